//! What signals do to a shell at a terminal, and to what it starts.

use crate::dosh::shell::{Flow, Run, Shell};
use crate::dosh::sys::{self, Disposition};
use crate::dosh::traps::Traps;

/// Those of which the shell does not die.
const KEPT: [(i32, Disposition); 7] = [
    (libc::SIGINT, Disposition::Note),
    (libc::SIGHUP, Disposition::Note),
    (libc::SIGQUIT, Disposition::Ignore),
    (libc::SIGTERM, Disposition::Ignore),
    (libc::SIGTSTP, Disposition::Ignore),
    (libc::SIGTTIN, Disposition::Ignore),
    (libc::SIGTTOU, Disposition::Ignore),
];

/// By which a terminal stops what runs on it.
const STOPS: [i32; 3] = [libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];

/// What the signal does without a trap.
pub fn untrapped(signal: i32) -> Disposition {
    let kept = KEPT.iter().find(|(kept, _)| *kept == signal);
    kept.map_or(Disposition::Default, |(_, does)| *does)
}

pub fn begin() {
    for (signal, disposition) in KEPT {
        sys::set_signal(signal, disposition);
    }
}

/// In a child: the signals end it as they end any process. It is stopped only if it is a job, which somebody continues; what a
/// substitution starts is not.
pub fn leave(traps: &Traps) {
    for (signal, _) in KEPT {
        if !STOPS.contains(&signal) {
            give_back(traps, signal);
            // One that came just before the child began found nothing to end.
            if sys::has_arrived(signal) {
                let _ = sys::kill(std::process::id() as i32, signal);
            }
        }
    }
}

/// In a job.
pub fn be_stoppable(traps: &Traps) {
    for signal in STOPS {
        give_back(traps, signal);
    }
}

/// After the shell has not become another program.
pub fn take_back(traps: &Traps) {
    for (signal, untrapped) in KEPT {
        let disposition = match traps.action(signal) {
            Some(action) if action.is_empty() => Disposition::Ignore,
            Some(_) => Disposition::Note,
            None => untrapped,
        };
        sys::set_signal(signal, disposition);
    }
}

fn give_back(traps: &Traps, signal: i32) {
    let is_ignored = match traps.action(signal) {
        Some(action) => action.is_empty(),
        None => traps.was_ignored(signal),
    };
    let disposition = match is_ignored {
        true => Disposition::Ignore,
        false => Disposition::Default,
    };
    sys::set_signal(signal, disposition);
}

impl Shell {
    /// What a signal without a trap means between two commands: an interrupt ends the line; a hang-up the shell, and so
    /// does the alarm that is set while it reads.
    pub fn heed(&mut self, signal: i32) -> Run {
        match signal {
            libc::SIGINT => Err(Flow::Abort(128 + signal)),
            libc::SIGHUP => Err(Flow::Exit(128 + signal)),
            libc::SIGALRM => {
                self.complain("nothing was entered for $TMOUT seconds");
                Err(Flow::Exit(self.status))
            }
            _ => Ok(()),
        }
    }

    /// The first signal that ends what the shell waits for.
    pub fn interrupting(&self) -> Option<i32> {
        let own = || {
            let mut ends = [libc::SIGHUP, libc::SIGINT].into_iter();
            ends.find(|signal| sys::has_arrived(*signal))
        };
        let own = if self.interactive { own() } else { None };
        own.or_else(|| self.traps.waiting())
    }
}
