//! Traps: what signals and the shell's end do (XCU 2.11, 2.14 trap).

use super::keyboard;
use super::shell::{Flow, Run, Shell};
use super::syntax::tree::Bytes;
use super::sys::{self, Disposition, SIGNALS};
use std::collections::BTreeMap;

/// The shell's end.
pub const EXIT: i32 = 0;
/// A command's failure, where `set -e` would end the shell.
pub const ERR: i32 = -1;

#[derive(Default)]
pub struct Traps {
    /// An empty action ignores.
    actions: BTreeMap<i32, Bytes>,
    /// The parent's, which a subshell can still list.
    parents: BTreeMap<i32, Bytes>,
    /// Signals that were ignored when the shell began stay so.
    ignored: Vec<i32>,
    /// In how many functions the one on ERR was set: those within them have none, but under `set -E`.
    pub error_depth: u32,
    /// At a terminal some signals do nothing without a trap.
    interactive: bool,
    /// There, and in subshells of such a shell, signals ignored at entry can be trapped all the same.
    unlocked: bool,
}

impl Traps {
    pub fn at_entry() -> Traps {
        // The language's runtime ignores this one.
        if !sys::pipe_was_ignored() {
            sys::set_signal(libc::SIGPIPE, Disposition::Default);
        }
        // For these it has handlers, which would take the first one that is sent.
        for signal in [libc::SIGSEGV, libc::SIGBUS] {
            if !sys::is_ignored(signal) {
                sys::set_signal(signal, Disposition::Default);
            }
        }
        let signals = 1..SIGNALS as i32;
        Traps {
            ignored: signals.filter(|signal| sys::is_ignored(*signal)).collect(),
            ..Traps::default()
        }
    }

    /// The shell is one at a terminal.
    pub fn be_interactive(&mut self) {
        (self.interactive, self.unlocked) = (true, true);
    }

    /// Traps are the parent's; what it ignores stays ignored. `errors`: the action on ERR is inherited.
    pub fn enter_subshell(&mut self, errors: bool) {
        let stays =
            |(condition, action): &(i32, Bytes)| action.is_empty() || errors && *condition == ERR;
        let (ignored, caught) = std::mem::take(&mut self.actions)
            .into_iter()
            .partition(stays);
        let caught: BTreeMap<i32, Bytes> = caught;
        for signal in caught.keys().filter(|signal| **signal > 0) {
            sys::set_signal(*signal, Disposition::Default);
        }
        self.actions = ignored;
        self.parents = caught;
        self.interactive = false;
        sys::arrived();
    }

    /// Sets an action; nothing is the default.
    pub fn set(&mut self, condition: i32, action: Option<Bytes>) {
        self.parents.clear();
        if self.ignored.contains(&condition) && !self.unlocked {
            return;
        }
        if condition > 0 {
            let disposition = match action.as_deref() {
                None if self.interactive => keyboard::signals::untrapped(condition),
                None => Disposition::Default,
                Some(b"") => Disposition::Ignore,
                Some(_) => Disposition::Note,
            };
            sys::set_signal(condition, disposition);
        }
        match action {
            Some(action) => drop(self.actions.insert(condition, action)),
            None => drop(self.actions.remove(&condition)),
        }
    }

    /// Every condition with its action, as `trap` lists them.
    pub fn listed(&self) -> impl Iterator<Item = (&i32, &Bytes)> {
        let own = self.actions.keys().collect::<Vec<_>>();
        let parents = self.parents.iter().filter(move |(at, _)| !own.contains(at));
        parents.chain(self.actions.iter())
    }

    /// Whether it was so when the shell began.
    pub fn was_ignored(&self, signal: i32) -> bool {
        self.ignored.contains(&signal)
    }

    pub fn action(&self, condition: i32) -> Option<&Bytes> {
        self.actions.get(&condition)
    }

    /// Whether anything is to be done when the shell ends or hears a signal.
    pub fn is_empty(&self) -> bool {
        self.actions.values().all(Vec::is_empty)
    }

    pub fn take_exit(&mut self) -> Option<Bytes> {
        self.actions
            .remove(&EXIT)
            .filter(|action| !action.is_empty())
    }

    /// The first trapped signal that has arrived.
    pub fn waiting(&self) -> Option<i32> {
        let caught = self
            .actions
            .iter()
            .filter(|(at, action)| **at > 0 && !action.is_empty());
        caught
            .map(|(signal, _)| *signal)
            .find(|signal| sys::has_arrived(*signal))
    }
}

impl Shell {
    /// Runs the actions of signals that have arrived. The command's status stays. Wherever they interrupt, they are no part of a
    /// condition.
    pub fn run_pending_traps(&mut self) -> Run {
        if !sys::any_arrived() {
            return Ok(());
        }
        let guard = std::mem::take(&mut self.guard);
        let mut result = Ok(());
        for signal in sys::arrived() {
            result = match self.traps.action(signal).cloned() {
                Some(action) if action.is_empty() => Ok(()),
                Some(action) => self.run_trap(&action),
                None if self.interactive => self.heed(signal),
                None => Ok(()),
            };
            if result.is_err() {
                break;
            }
        }
        self.guard = guard;
        result
    }

    /// Runs an action between two commands.
    pub fn run_trap(&mut self, action: &[u8]) -> Run {
        let (status, pipe_status) = (self.status, self.pipe_status.clone());
        let line = self.line;
        let outer = self.trapped.replace((status, self.depth));
        let result = self.run_text(action, line);
        self.trapped = outer;
        self.line = line;
        match result {
            // `return` in a trap ends the function around the command.
            Err(Flow::Return(status)) if self.depth == 0 => self.status = status,
            Err(flow) => return Err(flow),
            Ok(()) => self.status = status,
        }
        self.pipe_status = pipe_status;
        Ok(())
    }
}
