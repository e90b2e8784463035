//! The guard of a launcher: its parent, which kills whatever is left when the launcher dies before its time, and a launcher that
//! does not end in time.
//!
//! The launcher has the rights of the user of programs, so that a program can kill or stop it. Where hostd is root and that user is
//! somebody else, nobody of theirs can kill the guard, which keeps hostd's rights and does nothing but wait. It holds the
//! line to hostd too: that ends only when the last program has.
#![allow(unsafe_code)]

use super::jobs::GRACE;
use super::processes::{children, kill_descendants};
use hostcall::types::Errno;
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{fork, ForkResult, Pid};
use std::io::{Error, Result};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// How long a launcher on which hostd has hung up may take to end all programs.
const PATIENCE: Duration = GRACE.saturating_add(Duration::from_secs(1));

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
    await_end(launcher);
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

/// Waits until the launcher has ended, or kills it when it is late.
fn await_end(launcher: i32) {
    // SAFETY: plain system calls on our own child, which nobody else reaps; the descriptor that comes back is ours. An array of live
    // pollfds, and its length.
    unsafe {
        let Ok(pidfd) = Errno::result(libc::syscall(libc::SYS_pidfd_open, launcher, 0)) else {
            return;
        };
        let pidfd = OwnedFd::from_raw_fd(pidfd as RawFd);
        let polled = |fd, events| libc::pollfd {
            fd,
            events,
            revents: 0,
        };
        let ended = polled(pidfd.as_raw_fd(), libc::POLLIN);
        // The line, which the launcher reads.
        let mut either = [ended, polled(0, libc::POLLRDHUP)];
        while libc::poll(either.as_mut_ptr(), 2, -1) == -1 {}
        if libc::poll(&mut { ended }, 1, PATIENCE.as_millis() as i32) == 0 {
            libc::kill(launcher, libc::SIGKILL);
        }
    }
}
