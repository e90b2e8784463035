//! Simple commands (XCU 2.9.1): expansion, assignments, and who the command is.

use super::redirect::Failed;
use crate::dosh::builtins::{self, Builtin};
use crate::dosh::plan::Place;
use crate::dosh::shell::{Flow, Run, Shell};
use crate::dosh::syntax::tree::{Assignment, Bytes, Redirect, Simple};
use crate::dosh::sys;
use crate::dosh::variables::Scope;
use crate::failure::MISSING;
use std::rc::Rc;

/// A simple command whose words are expanded.
pub struct Call<'c> {
    pub simple: &'c Simple,
    pub redirects: &'c [Redirect],
    pub text: &'c Rc<[u8]>,
    /// The process has nothing to do behind it.
    pub last: bool,
}

impl Shell {
    pub fn simple(&mut self, call: &Call) -> Run {
        self.substituted = None;
        let held = self.held.len();
        let result = self.simple_held(call);
        if self.held.len() > held {
            self.release(held);
        }
        result
    }

    fn simple_held(&mut self, call: &Call) -> Run {
        let fields = self.fields(&call.simple.words)?;
        let Some(name) = fields.first() else {
            return self.assign_only(call);
        };
        if let Some(last) = fields.last() {
            self.last_argument.clone_from(last);
        }
        if let Some(builtin) = builtins::find(name) {
            let function = match builtin.special {
                true => None,
                false => self.functions.get(name).cloned(),
            };
            return match function {
                Some(function) => {
                    self.call_with(call, false, |shell| shell.call(&function, fields))
                }
                None if builtin.apart => self.external(call, &fields),
                None if builtin.special => self.special_builtin(call, builtin, &fields),
                None => {
                    let stays = redirects_the_shell(&fields);
                    self.call_with(call, stays, |shell| shell.built_in(call, builtin, &fields))
                }
            };
        }
        match self.functions.get(name).cloned() {
            Some(function) => self.call_with(call, false, |shell| shell.call(&function, fields)),
            None => self.external(call, &fields),
        }
    }

    /// Without a command's name: the assignments stay, the redirections do not.
    fn assign_only(&mut self, call: &Call) -> Run {
        let saved = match self.redirect(call.redirects)? {
            Ok(saved) => saved,
            Err(Failed) => {
                self.status = 1;
                return Ok(());
            }
        };
        self.restore(saved);
        for assignment in &call.simple.assignments {
            self.assign_one(assignment)?;
            self.trace_assignment(assignment)?;
        }
        self.status = self.substituted.unwrap_or(0);
        Ok(())
    }

    /// A function or regular built-in: assignments hold for its time, and so do redirections unless they are to stay.
    fn call_with(&mut self, call: &Call, stays: bool, run: impl FnOnce(&mut Shell) -> Run) -> Run {
        if call.simple.assignments.is_empty() && call.redirects.is_empty() {
            return run(self);
        }
        let saved = match self.redirect(call.redirects)? {
            Ok(saved) => saved,
            Err(Failed) => {
                self.status = 1;
                return Ok(());
            }
        };
        self.trace_to = saved.errors();
        let assigns = !call.simple.assignments.is_empty();
        if assigns {
            self.variables.push_frame(Scope::Command);
        }
        let result = match self.assign_for(&call.simple.assignments) {
            Ok(()) => run(self),
            Err(flow) => Err(flow),
        };
        if assigns {
            self.variables.pop_frame();
        }
        self.trace_to = None;
        match stays && result.is_ok() {
            true => self.keep(saved),
            false => self.restore(saved),
        }
        result
    }

    /// Assignments in the environment of one command.
    fn assign_for(&mut self, assignments: &[Assignment]) -> Run {
        for assignment in assignments {
            self.variables.hide(&assignment.name);
            self.assign_one(assignment)?;
            let variable = self.variables.attributes(&assignment.name);
            (variable.exported, variable.passed) = (true, true);
            self.trace_assignment(assignment)?;
        }
        Ok(())
    }

    fn built_in(&mut self, call: &Call, builtin: Builtin, fields: &[Bytes]) -> Run {
        self.trace(fields)?;
        self.status = (builtin.run)(self, fields)?;
        match self.status {
            0 => self.assign_declared(&call.simple.words),
            _ => Ok(()),
        }
    }

    /// A special built-in: its assignments stay, and its errors end a script (XCU 2.14, 2.8.1).
    fn special_builtin(&mut self, call: &Call, builtin: Builtin, fields: &[Bytes]) -> Run {
        let saved = match self.redirect(call.redirects)? {
            Ok(saved) => saved,
            Err(Failed) => return Err(Flow::Abort(1)),
        };
        self.trace_to = saved.errors();
        for assignment in &call.simple.assignments {
            self.assign_one(assignment)?;
            self.trace_assignment(assignment)?;
        }
        if fields[0] == b"exec" && !redirects_the_shell(fields) {
            for assignment in &call.simple.assignments {
                self.variables.attributes(&assignment.name).exported = true;
            }
        }
        let result = self.built_in(call, builtin, fields);
        self.trace_to = None;
        match redirects_the_shell(fields) && result.is_ok() {
            true => self.keep(saved),
            false => self.restore(saved),
        }
        result
    }

    fn external(&mut self, call: &Call, fields: &[Bytes]) -> Run {
        // An error of an assignment is the shell's own (XCU 2.8.1), and not that of the process in which it is made.
        for assignment in &call.simple.assignments {
            if let Err(error) = self.variables.check(&assignment.name) {
                return Err(self.refuse_readonly(&error));
            }
        }
        let sets_path = call
            .simple
            .assignments
            .iter()
            .any(|one| one.name == b"PATH");
        let place = self.place_of(&fields[0]);
        let host = place == Place::Host;
        if host && !self.has_host() {
            self.status = MISSING.into();
            return Ok(());
        }
        let found = match sets_path || host {
            true => None,
            false => self.find_program(&fields[0]),
        };
        if !call.last || !self.may_be_replaced() {
            let run = |shell: &mut Shell| shell.become_program(call, fields, found);
            return self.in_child_for(place, call.text, run);
        }
        self.become_program(call, fields, found)
    }

    /// Whether nobody will miss the shell once the command has begun.
    fn may_be_replaced(&self) -> bool {
        self.traps.is_empty() && !self.interactive && self.held.is_empty()
    }

    fn become_program(&mut self, call: &Call, fields: &[Bytes], found: Option<Bytes>) -> Run {
        for assignment in &call.simple.assignments {
            self.assign_one(assignment)?;
            self.variables.attributes(&assignment.name).exported = true;
            self.trace_assignment(assignment)?;
        }
        self.trace(fields)?;
        if let Err(Failed) = self.redirect_for_good(call.redirects)? {
            return Err(Flow::Exit(1));
        }
        let status = match self.place_of(&fields[0]) {
            Place::Guest => {
                let found = found.or_else(|| self.find_program(&fields[0]));
                self.execute(fields, found)
            }
            Place::Host => self.attend_one(fields, &call.simple.assignments),
        };
        Err(Flow::Exit(status))
    }

    /// Runs words as a command that is no function: for `command`.
    pub fn command_without_functions(&mut self, fields: &[Bytes], path: Option<&[u8]>) -> Run<i32> {
        if let Some(builtin) = builtins::find(&fields[0]) {
            if builtin.apart && !self.has_host() {
                return Ok(MISSING.into());
            }
            // As a regular built-in, whose errors do not end the script. Those of the commands that it runs are none of its own.
            return match (&fields[0][..], (builtin.run)) {
                (b".", _) => builtins::source(self, fields),
                (b"eval" | b"source", run) => run(self, fields),
                (_, run) => match run(self, fields) {
                    Err(Flow::Abort(status)) => Ok(status),
                    result => result,
                },
            };
        }
        let found = match path {
            _ if self.place_of(&fields[0]) == Place::Host => None,
            Some(path) => self.search(&fields[0], path),
            None => self.find_program(&fields[0]),
        };
        let text: Rc<[u8]> = fields.join(&b' ').into();
        let run = |shell: &mut Shell| Err(Flow::Exit(shell.execute(fields, found)));
        self.in_child_for(self.place_of(&fields[0]), &text, run)?;
        Ok(self.status)
    }

    /// Takes the process's place; answers the status if that fails.
    pub fn execute(&mut self, fields: &[Bytes], found: Option<Bytes>) -> i32 {
        self.execute_as(fields[0].clone(), fields, found)
    }

    /// The same by the name that a program of the guest's is told to be its own.
    pub fn execute_as(&mut self, own: Bytes, fields: &[Bytes], found: Option<Bytes>) -> i32 {
        if self.place_of(&fields[0]) == Place::Host {
            return self.attend_one(fields, &[]);
        }
        let name = String::from_utf8_lossy(&fields[0]).into_owned();
        let Some(path) = found else {
            let hint = match name.starts_with('@') {
                true => "; a line that begins with `@ ' runs on the host",
                false => "",
            };
            self.complain(format_args!("{name}: command not found{hint}"));
            return 127;
        };
        let mut arguments = fields.to_vec();
        arguments[0] = own;
        let error = self.exec_path(&path, &arguments);
        let missing = error.kind() == std::io::ErrorKind::NotFound;
        self.complain(format_args!("{name}: {}", sys::reason(error)));
        match missing {
            true => 127,
            false => 126,
        }
    }
}

/// Whether the words are `exec` without a command, which redirects the shell itself.
fn redirects_the_shell(fields: &[Bytes]) -> bool {
    let named = |field: &&Bytes| !matches!(&field[..], b"command" | b"--" | b"-p");
    let mut named = fields.iter().filter(named);
    named.next().is_some_and(|name| name == b"exec") && named.next().is_none()
}
