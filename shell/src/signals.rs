//! The signals that a host program is to hear of: kept from this process, read one after another, passed on.
#![allow(unsafe_code)]

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::sync::atomic::{AtomicBool, Ordering};

/// What is not passed on: what cannot be kept from this process, what tells of its own children, and what stops it for its use
/// of the terminal. Those that libc keeps for itself it has taken out of every set already.
const OWN: [i32; 5] = [
    libc::SIGKILL,
    libc::SIGSTOP,
    libc::SIGCHLD,
    libc::SIGTTIN,
    libc::SIGTTOU,
];

/// Whether this program was started to ignore SIGPIPE.
static IGNORES_PIPES: AtomicBool = AtomicBool::new(false);

/// Looks ahead of std, which has the signal ignored.
#[used]
#[link_section = ".init_array"]
static LOOK: extern "C" fn() = look;

extern "C" fn look() {
    IGNORES_PIPES.store(is_ignored(libc::SIGPIPE), Ordering::Relaxed);
}

/// The signals' source. They are blocked in this thread and in those that it starts later.
#[derive(Debug)]
pub struct Signals(SignalFd);

impl Signals {
    /// Begins. What this process was started to ignore, nohup(1), it goes on ignoring. A signal that tells of a fault ends it
    /// all the same when it has made one: blocking keeps only what others send.
    ///
    /// # Errors
    /// signalfd(2).
    pub fn start() -> nix::Result<Signals> {
        // SAFETY: a live set, filled; plain system calls.
        let set = unsafe {
            let mut set = std::mem::zeroed();
            libc::sigfillset(&mut set);
            for signal in OWN {
                libc::sigdelset(&mut set, signal);
            }
            let ignored = (1..=libc::SIGRTMAX()).filter(|signal| match *signal {
                libc::SIGPIPE => IGNORES_PIPES.load(Ordering::Relaxed),
                libc::SIGCONT | libc::SIGWINCH => false,
                signal => is_ignored(signal),
            });
            for signal in ignored {
                libc::sigdelset(&mut set, signal);
            }
            // What is ignored is never told.
            if libc::sigismember(&set, libc::SIGPIPE) == 1 {
                libc::signal(libc::SIGPIPE, libc::SIG_DFL);
            }
            SigSet::from_sigset_t_unchecked(set)
        };
        set.thread_block()?;
        SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).map(Signals)
    }

    /// The next one, if there is one: its number, for nix knows no real-time signals.
    pub fn next(&self) -> Option<i32> {
        loop {
            let told = self.0.read_signal().ok().flatten()?;
            let number = told.ssi_signo as i32;
            // The other is that of a write of ours, which has failed for it.
            if number != libc::SIGPIPE || told.ssi_pid != std::process::id() {
                return Some(number);
            }
        }
    }
}

impl std::os::fd::AsFd for Signals {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Has writes to nobody fail instead of ending the process.
pub fn ignore_broken_pipes() {
    // SAFETY: plain system call; no handler is installed.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}

fn is_ignored(signal: i32) -> bool {
    // SAFETY: a live sigaction, valid when zeroed, and no new one.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        let asked = libc::sigaction(signal, std::ptr::null(), &mut action);
        asked == 0 && action.sa_sigaction == libc::SIG_IGN
    }
}

/// Does something with all signals blocked, as the threads that it starts have them for good.
pub fn without<T>(act: impl FnOnce() -> T) -> T {
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_BLOCK);
    let done = act();
    if let Ok(before) = before {
        let _ = before.thread_set_mask();
    }
    done
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

/// Signals that end a process end this one from here on, and so do those that have come and were not taken.
pub fn let_in() {
    let set = SigSet::from_iter([Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM]);
    let _ = set.thread_unblock();
}
