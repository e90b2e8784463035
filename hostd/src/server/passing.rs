//! Files of a guest's that hostd passes from one process to another, and how it lets go of them.
//!
//! Closing a file can take long: one of a network file system is written back by it, the server of one in user space is asked, and
//! who does not answer is waited for, whatever signal comes. Meanwhile hostd would serve no guest. So such files are closed by a
//! thread, one a guest, and the guest that they are of is refused when too many wait for that. hostd goes on when they are closed, if
//! that is soon: until then a lock of theirs is held, and a program that has been written cannot be executed.

use nix::fcntl::{fcntl, FcntlArg, OFlag};
use rustix::fs::{statx, AtFlags, StatxFlags};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::mpsc::{channel, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// Files that wait to be closed, of one guest, before it is refused more.
const MOST_CLOSING: usize = 4096;

/// How long hostd waits for a file to be closed, if none before it hangs.
const PATIENCE: Duration = Duration::from_millis(20);

/// A file that is passed on.
#[derive(Debug)]
pub struct Passed {
    /// There until it is given away or dropped.
    file: Option<OwnedFd>,
    closer: Closer,
}

impl Passed {
    /// The file, for whom closing it is no matter.
    pub fn own(mut self) -> Option<OwnedFd> {
        self.file.take()
    }
}

impl AsRawFd for Passed {
    fn as_raw_fd(&self) -> RawFd {
        self.file.as_ref().map_or(-1, AsRawFd::as_raw_fd)
    }
}

impl Drop for Passed {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            self.closer.close(file);
        }
    }
}

/// Closes the files of a guest.
#[derive(Clone, Debug, Default)]
pub struct Closer(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// The way to the thread, once there is one.
    thread: OnceLock<Option<Sender<OwnedFd>>>,
    /// Files that it has not closed yet.
    waiting: Arc<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    count: Mutex<usize>,
    none: Condvar,
}

impl Waiting {
    fn count(&self) -> MutexGuard<'_, usize> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn closed(&self) {
        let mut count = self.count();
        *count -= 1;
        if *count == 0 {
            self.none.notify_all();
        }
    }
}

impl Closer {
    /// Takes files that have come from a process of the guest's.
    pub fn take(&self, files: Vec<OwnedFd>) -> Vec<Passed> {
        let passed = |file| Passed {
            file: Some(file),
            closer: self.clone(),
        };
        files.into_iter().map(passed).collect()
    }

    /// Whether so many files wait to be closed that the guest must not have hostd hold more.
    pub fn is_behind(&self) -> bool {
        *self.0.waiting.count() >= MOST_CLOSING
    }

    fn close(&self, file: OwnedFd) {
        if closes_at_once(&file) {
            return;
        }
        // Without a thread it is closed here.
        if let Some(thread) = self.0.thread.get_or_init(|| self.start()) {
            let waiting = &self.0.waiting;
            let mut count = waiting.count();
            *count += 1;
            let first = *count == 1;
            let _ = thread.send(file);
            if first {
                drop(
                    waiting
                        .none
                        .wait_timeout_while(count, PATIENCE, |count| *count > 0),
                );
            }
        }
    }

    fn start(&self) -> Option<Sender<OwnedFd>> {
        let (to, files): (Sender<OwnedFd>, Receiver<OwnedFd>) = channel();
        let waiting = self.0.waiting.clone();
        let close = move || {
            for file in files {
                drop(file);
                waiting.closed();
            }
        };
        let thread = std::thread::Builder::new().name("closer".to_owned());
        let started = thread.stack_size(64 << 10).spawn(close);
        started.ok().map(|_| to)
    }
}

/// Whether nobody is asked when a descriptor is closed: it stands for a place only, a pipe or memory, or for a file of a file system
/// on a device, which the kernel has a number for. The file system is not asked for that either.
fn closes_at_once(file: &OwnedFd) -> bool {
    let is_place = fcntl(file, FcntlArg::F_GETFL)
        .is_ok_and(|flags| OFlag::from_bits_retain(flags).contains(OFlag::O_PATH));
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    let has_device =
        || statx(file, c"", flags, StatxFlags::TYPE).is_ok_and(|known| known.stx_dev_major != 0);
    is_place
        || has_device()
        || fcntl(file, FcntlArg::F_GETPIPE_SZ).is_ok()
        || fcntl(file, FcntlArg::F_GET_SEALS).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::fcntl::{Flock, FlockArg};
    use std::fs::File;

    /// The kernel's own file system has no device, so its files are closed by the thread.
    #[test]
    fn what_hostd_has_let_go_of_is_locked_no_more() {
        let open = || File::open("/proc/version").unwrap();
        let closer = Closer::default();
        let mut held = 0;
        for _ in 0..200 {
            let Ok(locked) = Flock::lock(open(), FlockArg::LockExclusiveNonblock) else {
                held += 1;
                std::thread::sleep(Duration::from_millis(1));
                continue;
            };
            let passed = closer.take(vec![locked.try_clone().unwrap().into()]);
            // Closed, and not unlocked: the lock is the open file's.
            let fd = std::mem::ManuallyDrop::new(locked).as_raw_fd();
            nix::unistd::close(fd).unwrap();
            drop(passed);
        }
        // A process that another test forks has the file too until it executes its program.
        assert!(held < 20, "{held} of 200 times");
    }
}
