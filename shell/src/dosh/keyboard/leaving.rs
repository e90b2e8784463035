//! The end of a shell at a terminal, and what becomes of its jobs.

use crate::dosh::jobs::State;
use crate::dosh::shell::Shell;
use crate::dosh::sys;

/// So many ends of input in a row are no key, but a terminal that is gone.
const MOST_ENDS: u32 = 10;

impl Shell {
    /// Whether the shell ends at an end of input.
    pub fn may_end(&mut self, ends: u32) -> bool {
        if self.options.is_on(b"ignoreeof") == Some(true) && ends < MOST_ENDS {
            let _ = sys::write_all(2, b"Use \"exit\" to leave the shell.\n");
            return false;
        }
        if self.refuses_to_leave() {
            self.status = 1;
            return false;
        }
        let _ = sys::write_all(2, b"exit\n");
        true
    }

    /// Says once that jobs are stopped, which will not survive the shell.
    pub fn refuses_to_leave(&mut self) -> bool {
        if !self.interactive || !self.has_stopped_jobs() {
            return false;
        }
        let Some(keyboard) = &mut self.keyboard else {
            return false;
        };
        if std::mem::replace(&mut keyboard.warned, true) {
            return false;
        }
        let _ = sys::write_all(2, b"There are stopped jobs.\n");
        true
    }

    /// After the shell's last command: jobs are hung up that are stopped, for nobody could continue them; the others only if the
    /// shell itself was hung up, or under `huponexit`. The terminal goes back to who had it.
    pub fn leave_terminal(&mut self) {
        if !self.interactive {
            return;
        }
        let hangs_up = sys::has_arrived(libc::SIGHUP)
            || self.status == 128 + libc::SIGHUP
            || self.options.is_on(b"huponexit") == Some(true);
        self.jobs.reap();
        for job in self.jobs.all() {
            match job.state() {
                State::Stopped(_) => {
                    job.signal(libc::SIGHUP);
                    job.signal(libc::SIGCONT);
                }
                State::Running if hangs_up => drop(job.signal(libc::SIGHUP)),
                _ => {}
            }
        }
        let before = self.keyboard.as_ref().and_then(|keyboard| keyboard.before);
        if let (Some(terminal), Some(before)) = (self.terminal, before) {
            sys::give_terminal(terminal, before);
        }
    }
}
