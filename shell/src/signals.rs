//! The signals that a host program is to hear of: kept from this process, read one after another, passed on.
#![allow(unsafe_code)]

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// What somebody may send to a program and mean the program. Not those that tell of this process's own doings, nor those
/// that stop it for its use of the terminal.
const PASSED: [Signal; 12] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
    Signal::SIGVTALRM,
    Signal::SIGPROF,
    Signal::SIGIO,
    Signal::SIGTSTP,
    Signal::SIGCONT,
];

/// The signals' source. They are blocked in this thread and in those that it starts later.
#[derive(Debug)]
pub struct Signals(SignalFd);

impl Signals {
    /// Begins. What this process was started to ignore, nohup(1), it goes on ignoring.
    ///
    /// # Errors
    /// signalfd(2).
    pub fn start() -> nix::Result<Signals> {
        let mut set = SigSet::empty();
        for signal in PASSED.into_iter().filter(|signal| !is_ignored(*signal)) {
            set.add(signal);
        }
        set.add(Signal::SIGCONT);
        set.add(Signal::SIGWINCH);
        set.thread_block()?;
        SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).map(Signals)
    }

    /// The next one, if there is one.
    pub fn next(&self) -> Option<Signal> {
        let told = self.0.read_signal().ok().flatten()?;
        Signal::try_from(told.ssi_signo as i32).ok()
    }
}

impl std::os::fd::AsFd for Signals {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn is_ignored(signal: Signal) -> bool {
    // SAFETY: a live sigaction, valid when zeroed, and no new one.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        let asked = libc::sigaction(signal as i32, std::ptr::null(), &mut action);
        asked == 0 && action.sa_sigaction == libc::SIG_IGN
    }
}

/// Stops this process by a signal, with the whole process group if the terminal would have sent it there. Answers, once it
/// goes on, whether it was stopped at all: the kernel does not stop a group that no shell would continue.
pub fn stop(signal: i32, group: bool) -> bool {
    // SAFETY: plain system calls on this process and its group; the sets are live ones.
    unsafe {
        let (mut set, mut before) = (std::mem::zeroed(), std::mem::zeroed());
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, signal);
        match group {
            true => libc::kill(0, signal),
            false => libc::raise(signal),
        };
        // In this thread alone, so it is this one that takes it.
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &set, &mut before);
        libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut());
        let mut pending = std::mem::zeroed();
        libc::sigpending(&mut pending);
        libc::sigismember(&pending, libc::SIGCONT) == 1
    }
}

/// Sends a signal to the whole process group, as the terminal would have. It is blocked here.
pub fn tell_group(signal: i32) {
    // SAFETY: plain system call.
    unsafe { libc::kill(0, signal) };
}
