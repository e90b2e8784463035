//! The guard of a launcher: its parent, which kills whatever is left when the launcher dies before its time.
//!
//! The launcher has the rights of the user of programs, so that a program can kill it. Where hostd is root and that user is
//! somebody else, nobody of theirs can kill the guard, which keeps hostd's rights and does nothing but wait. It holds the
//! line to hostd too: that ends only when the last program has.
#![allow(unsafe_code)]

use super::processes::{children, kill_descendants};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{fork, ForkResult, Pid};
use std::io::{Error, Result};
use std::time::Duration;

/// How long the kernel is given to end what has been killed, before it is looked for again.
const LOOK: Duration = Duration::from_millis(10);

/// Forks the process that is to be the launcher, which this returns in. The guard's own process never returns.
///
/// # Errors
/// fork(2).
pub(super) fn mount() -> Result<Pid> {
    // Fails where this process leads its group already.
    let _ = nix::unistd::setsid();
    prctl::set_child_subreaper(true)?;
    let own = nix::unistd::getpid();
    // SAFETY: this process has one thread, so the child may do anything.
    match unsafe { fork()? } {
        ForkResult::Child => Ok(own),
        ForkResult::Parent { child } => stand(child.as_raw()),
    }
}

/// Ties the calling process, a launcher that has its user's rights for good, to its guard's life. (A change of user unties it.)
///
/// # Errors
/// The guard is gone.
pub(super) fn obey(guard: Pid) -> Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    match nix::unistd::getppid() == guard {
        true => Ok(()),
        false => Err(Error::other("its guard is gone")),
    }
}

fn stand(launcher: i32) -> ! {
    let _ = prctl::set_name(c"guard");
    let _ = prctl::set_dumpable(false);
    // What ends a session or a terminal must not end this.
    let _ = SigSet::all().thread_block();
    let mut status = 0;
    // SAFETY: plain system calls; the status is live.
    unsafe {
        while libc::waitpid(launcher, &mut status, 0) == -1 {}
        let own = std::process::id() as i32;
        while !kill_descendants(own, None) {
            std::thread::sleep(LOOK);
            for pid in children(own) {
                libc::waitpid(pid, &mut 0, libc::WNOHANG);
            }
        }
        libc::_exit(libc::WEXITSTATUS(status))
    }
}
