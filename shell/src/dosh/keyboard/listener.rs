//! Who hears a Ctrl-C that finds no program any more.
//!
//! The terminal interrupts the process group in its foreground. A program that ends at once leaves a group in which nobody is until
//! the shell has taken the terminal back: in a loop of such programs every other key would come to nothing. So within loops a process
//! of the shell's own is put into the group of each job, and tells of interrupts that it has heard there. The terminal is the group's
//! only after that, however late the shell comes to run: the job's first process waits for a word at a gate.

use super::host_child;
use crate::dosh::shell::Shell;
use crate::dosh::sys::{self, Disposition};
use std::os::fd::IntoRawFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// A job that ends so soon after an interrupt has ended for it, or would have. One that goes on has taken the key for itself.
const SOON: Duration = Duration::from_millis(500);

/// What a key or a signal to the whole job must not end.
const DEAF: [i32; 5] = [
    libc::SIGQUIT,
    libc::SIGTERM,
    libc::SIGTSTP,
    libc::SIGTTIN,
    libc::SIGTTOU,
];

/// The process that listens.
pub struct Listener {
    pid: i32,
    fd: i32,
    /// A pipe with a byte for each job that it has joined.
    gate: (i32, i32),
    /// What it tells are times since then.
    since: Instant,
}

/// Where the first process of a job waits until the listener has joined its group.
#[derive(Clone, Copy)]
pub struct Gate(i32);

impl Gate {
    /// Longest wait, milliseconds: whoever would open it is gone.
    const PATIENCE: i32 = 1000;

    /// Waits.
    pub fn pass(self) {
        if sys::readable(self.0, Gate::PATIENCE) {
            let _ = sys::read(self.0, &mut [0]);
        }
    }
}

impl Listener {
    fn begin() -> Option<Listener> {
        let (own, other) = UnixStream::pair().ok()?;
        let gate = sys::pipe().ok()?;
        let (fd, other) = (
            sys::raise(own.into_raw_fd()),
            sys::raise(other.into_raw_fd()),
        );
        let since = Instant::now();
        // An interrupt is noted in the child from its beginning, as it is in the shell; but not what the shell has noted before.
        let forked = sys::blocking_signals(|_| {
            let forked = sys::fork();
            if let Ok(None) = forked {
                sys::arrived();
            }
            forked
        });
        match forked {
            Ok(None) => listen(other, since),
            Ok(Some(pid)) => {
                sys::close(other);
                sys::set_group(pid, pid);
                Some(Listener {
                    pid,
                    fd,
                    gate,
                    since,
                })
            }
            Err(_) => {
                [fd, other, gate.0, gate.1].into_iter().for_each(sys::close);
                None
            }
        }
    }

    /// Joins a group, and opens the gate.
    fn join(&self, group: i32) {
        sys::set_group(self.pid, group);
        let _ = sys::write_all(self.gate.1, &[0]);
    }

    /// Takes what it has told: whether the last interrupt was heard not long ago, and since the line began.
    fn heard(&self, begun: Instant) -> bool {
        let mut last = None;
        while sys::readable(self.fd, 0) {
            let mut time = [0; size_of::<u64>()];
            match sys::read(self.fd, &mut time) {
                Ok(count) if count == time.len() => last = Some(u64::from_le_bytes(time)),
                _ => break,
            }
        }
        let last = last.map(|time| self.since + Duration::from_micros(time));
        last.is_some_and(|time| time >= begun && time.elapsed() < SOON)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        [self.fd, self.gate.0, self.gate.1]
            .into_iter()
            .for_each(sys::close);
        let _ = sys::kill(self.pid, libc::SIGKILL);
        let _ = sys::wait(self.pid, 0);
    }
}

fn listen(fd: i32, since: Instant) -> ! {
    for signal in DEAF {
        sys::set_signal(signal, Disposition::Ignore);
    }
    host_child::leave_the_shell(fd);
    loop {
        // The shell says nothing: it ends.
        match sys::read_unless_noted(fd, &mut [0]) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {
                let time = since.elapsed().as_micros() as u64;
                let interrupted = sys::arrived().contains(&libc::SIGINT);
                if interrupted && sys::write_all(fd, &time.to_le_bytes()).is_err() {
                    sys::exit_now(0);
                }
            }
            _ => sys::exit_now(0),
        }
    }
}

impl Shell {
    /// Makes ready to listen to a job that is about to begin in the foreground, in a loop: its gate.
    pub fn prepare_to_listen(&mut self) -> Option<Gate> {
        if self.loops == 0 || self.terminal.is_none() {
            return None;
        }
        let keyboard = self.keyboard.as_mut()?;
        keyboard.listener = keyboard.listener.take().or_else(Listener::begin);
        let listener = keyboard.listener.as_ref()?;
        Some(Gate(listener.gate.0))
    }

    /// Listens in that job's group, ahead of its having the terminal.
    pub fn listen_in(&self, group: i32) {
        let keyboard = self.keyboard.as_ref();
        if let Some(listener) = keyboard.and_then(|keyboard| keyboard.listener.as_ref()) {
            listener.join(group);
        }
    }

    /// After the job, when the terminal is the shell's again: whether an interrupt came that nobody else may have heard.
    pub fn stop_listening(&mut self) -> bool {
        // In a subshell it is the parent's.
        if self.terminal.is_none() {
            return false;
        }
        let Some(keyboard) = &mut self.keyboard else {
            return false;
        };
        let Some(listener) = &keyboard.listener else {
            return false;
        };
        sys::set_group(listener.pid, listener.pid);
        // A signal to the whole job can have stopped it.
        let lives = sys::kill(listener.pid, libc::SIGCONT).is_ok();
        let heard = listener.heard(keyboard.begun);
        if !lives {
            keyboard.listener = None;
        }
        heard
    }
}
