//! Compound commands (XCU 2.9.4).

use super::redirect::Failed;
use super::simple::Call;
use crate::dosh::builtins;
use crate::dosh::expand::pattern;
use crate::dosh::shell::{Flow, Run, Shell};
use crate::dosh::stack;
use crate::dosh::syntax::tree::{Arithmetic, Arm, Command, Kind, List, Then, Word};
use crate::dosh::sys;
use std::rc::Rc;

impl Shell {
    /// Runs a command. `text`: its pipeline as it was written.
    pub fn command(&mut self, command: &Command, text: &Rc<[u8]>, last: bool) -> Run {
        self.line = command.line;
        if stack::is_low() {
            return Err(self.fail("commands are nested too deeply"));
        }
        if let Kind::Simple(simple) = &command.kind {
            return self.simple(&Call {
                simple,
                redirects: &command.redirects,
                text,
                last,
            });
        }
        if command.redirects.is_empty() {
            return self.compound(&command.kind, text, last);
        }
        let held = self.held.len();
        let result = match self.redirect(&command.redirects) {
            Ok(Ok(saved)) => {
                let result = self.compound(&command.kind, text, false);
                self.restore(saved);
                result
            }
            Ok(Err(Failed)) => {
                self.status = 1;
                match self.options.errexit() && self.guard == 0 {
                    true => Err(Flow::Exit(1)),
                    false => Ok(()),
                }
            }
            Err(flow) => Err(flow),
        };
        self.release(held);
        result
    }

    fn compound(&mut self, kind: &Kind, text: &Rc<[u8]>, last: bool) -> Run {
        match kind {
            Kind::Simple(_) => Ok(()),
            Kind::Group(list) => self.list(list, last),
            Kind::Subshell(list) if last && self.subshell && self.traps.is_empty() => {
                self.list(list, true)
            }
            Kind::Subshell(list) => self.in_child(text, |shell| shell.list(list, true)),
            Kind::If { arms, otherwise } => self.choose(arms, otherwise.as_ref()),
            Kind::Loop {
                until,
                condition,
                body,
            } => self.repeat(*until, condition, body),
            Kind::For { name, words, body } => self.each(name, words.as_deref(), body),
            Kind::Count {
                first,
                condition,
                step,
                body,
            } => self.count(first, condition, step, body),
            Kind::Case { word, arms } => self.case(word, arms),
            Kind::Function(function) => {
                if builtins::find(&function.name).is_some_and(|it| it.special) {
                    let name = String::from_utf8_lossy(&function.name).into_owned();
                    self.complain(format_args!("`{name}': is a special built-in"));
                    return Err(Flow::Abort(2));
                }
                self.functions
                    .insert(function.name.clone(), Rc::clone(function));
                self.status = 0;
                Ok(())
            }
            Kind::Arithmetic(arithmetic) => {
                self.status = match self.arithmetic(arithmetic) {
                    Ok(value) => i32::from(value == 0),
                    // In `((…))` an error is a failure, and ends nothing.
                    Err(Flow::Abort(_)) => 1,
                    Err(flow) => return Err(flow),
                };
                Ok(())
            }
            Kind::OnHost(list) => self.on_host(list, last),
            Kind::Condition(condition) => {
                self.status = self.test_condition(condition)?;
                Ok(())
            }
        }
    }

    fn choose(&mut self, arms: &[(List, List)], otherwise: Option<&List>) -> Run {
        for (condition, body) in arms {
            self.guarded(|shell| shell.list(condition, false))?;
            if self.status == 0 {
                return self.list(body, false);
            }
        }
        match otherwise {
            Some(body) => self.list(body, false),
            None => {
                self.status = 0;
                Ok(())
            }
        }
    }

    /// Runs a loop's body; whether the loop goes on.
    fn turn(&mut self, body: &List) -> Run<bool> {
        self.loops += 1;
        let result = self.list(body, false);
        self.loops -= 1;
        self.turned(result)
    }

    fn turned(&mut self, result: Run) -> Run<bool> {
        // Who goes on at once with the next turn has not come to the end of a command.
        if sys::any_arrived() {
            self.run_pending_traps()?;
        }
        if std::mem::take(&mut self.suspended) {
            // All loops around it end, or the next turn would be stopped as well, and so on.
            self.suspended = self.loops > 0 || self.depth > 0;
            return match result {
                Ok(()) | Err(Flow::Break(_) | Flow::Continue(_)) => Ok(false),
                Err(flow) => Err(flow),
            };
        }
        match result {
            Ok(()) | Err(Flow::Continue(1)) => Ok(true),
            Err(Flow::Break(1)) => Ok(false),
            Err(Flow::Break(count)) => Err(Flow::Break(count - 1)),
            Err(Flow::Continue(count)) => Err(Flow::Continue(count - 1)),
            Err(flow) => Err(flow),
        }
    }

    fn repeat(&mut self, until: bool, condition: &List, body: &List) -> Run {
        let mut status = 0;
        loop {
            self.loops += 1;
            let result = self.guarded(|shell| shell.list(condition, false));
            self.loops -= 1;
            let continues = matches!(result, Err(Flow::Continue(1)));
            if !self.turned(result)? {
                break;
            }
            if continues {
                continue;
            }
            if (self.status == 0) == until {
                break;
            }
            let goes_on = self.turn(body)?;
            status = self.status;
            if !goes_on {
                break;
            }
        }
        self.status = status;
        Ok(())
    }

    fn each(&mut self, name: &[u8], words: Option<&[Word]>, body: &List) -> Run {
        let values = match words {
            Some(words) => self.fields(words)?,
            None => self.arguments.clone(),
        };
        if values.is_empty() {
            self.status = 0;
        }
        for value in values {
            self.assign(name, value)?;
            if !self.turn(body)? {
                break;
            }
        }
        Ok(())
    }

    fn count(
        &mut self,
        first: &Option<Arithmetic>,
        condition: &Option<Arithmetic>,
        step: &Option<Arithmetic>,
        body: &List,
    ) -> Run {
        if let Some(first) = first {
            self.arithmetic(first)?;
        }
        self.status = 0;
        loop {
            if let Some(condition) = condition {
                if self.arithmetic(condition)? == 0 {
                    return Ok(());
                }
            }
            if !self.turn(body)? {
                return Ok(());
            }
            if let Some(step) = step {
                self.arithmetic(step)?;
            }
            if sys::any_arrived() {
                self.run_pending_traps()?;
            }
        }
    }

    fn case(&mut self, word: &Word, arms: &[Arm]) -> Run {
        let text = self.text(word)?;
        let (mut falls, mut fits) = (false, false);
        for arm in arms {
            if !falls && !self.arm_fits(arm, &text)? {
                continue;
            }
            fits = true;
            self.list(&arm.body, false)?;
            match arm.then {
                Then::Leave => return Ok(()),
                Then::FallThrough => falls = true,
                Then::TestNext => falls = false,
            }
        }
        if !fits {
            self.status = 0;
        }
        Ok(())
    }

    fn arm_fits(&mut self, arm: &Arm, text: &[u8]) -> Run<bool> {
        for word in &arm.patterns {
            let fits = match word {
                Word::Plain(plain) => plain == text,
                word => {
                    let pattern = self.pattern(word)?;
                    pattern::matches(&pattern, text)
                }
            };
            if fits {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
