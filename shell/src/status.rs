//! Ending as the host program has ended.
#![allow(unsafe_code)]

use crate::signals;
use hostcall::types::JobState;

/// The code of a program that was ended by this signal, where it cannot be had otherwise.
const SIGNALLED: i32 = 128;

/// Ends this process by the program's code, or by the same signal, without a core file; by a signal of its own if one has come
/// that nobody has taken.
pub fn end(state: JobState) -> ! {
    signals::let_in();
    match state {
        JobState::Exited(code) => std::process::exit(code.into()),
        JobState::Signalled { signal, .. } => die(signal.into()),
        JobState::None | JobState::Stopped(_) | JobState::Continued => {
            std::process::exit(crate::failure::OWN.into())
        }
    }
}

/// Dies of a signal.
pub fn die(signal: i32) -> ! {
    // SAFETY: plain system calls on this process; the set is a live one.
    unsafe {
        // A core file of ours would be taken for the program's.
        libc::prctl(libc::PR_SET_DUMPABLE, 0);
        libc::signal(signal, libc::SIG_DFL);
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, signal);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &set, std::ptr::null_mut());
        // To this thread, for in the others it is blocked.
        libc::raise(signal);
    }
    // The first process of a namespace does not die of its own signals.
    std::process::exit(SIGNALLED + signal)
}
