//! Files of a guest's that hostd passes from one process to another, and how it lets go of them.
//!
//! Closing a file can take long: one of a network file system is written back by it, the server of one in user space is asked, and
//! who does not answer is waited for, whatever signal comes. Meanwhile hostd would serve no guest. So files are closed by a thread,
//! one a guest, and the guest that they are of is refused when too many wait for that.

use nix::fcntl::{fcntl, FcntlArg, OFlag};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{channel, Receiver, Sender};
use std::sync::{Arc, OnceLock};

/// Files that wait to be closed, of one guest, before it is refused more.
const MOST_CLOSING: usize = 4096;

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
    waiting: Arc<AtomicUsize>,
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
        self.0.waiting.load(Ordering::Relaxed) >= MOST_CLOSING
    }

    fn close(&self, file: OwnedFd) {
        if closes_at_once(&file) {
            return;
        }
        // Without a thread it is closed here.
        if let Some(thread) = self.0.thread.get_or_init(|| self.start()) {
            self.0.waiting.fetch_add(1, Ordering::Relaxed);
            let _ = thread.send(file);
        }
    }

    fn start(&self) -> Option<Sender<OwnedFd>> {
        let (to, files): (Sender<OwnedFd>, Receiver<OwnedFd>) = channel();
        let waiting = self.0.waiting.clone();
        let close = move || {
            for file in files {
                drop(file);
                waiting.fetch_sub(1, Ordering::Relaxed);
            }
        };
        let thread = std::thread::Builder::new().name("closer".to_owned());
        let started = thread.stack_size(64 << 10).spawn(close);
        started.ok().map(|_| to)
    }
}

/// Whether the kernel asks no file system when a descriptor is closed: it stands for a place only, a pipe or memory.
fn closes_at_once(file: &OwnedFd) -> bool {
    let is_place = fcntl(file, FcntlArg::F_GETFL)
        .is_ok_and(|flags| OFlag::from_bits_retain(flags).contains(OFlag::O_PATH));
    is_place
        || fcntl(file, FcntlArg::F_GETPIPE_SZ).is_ok()
        || fcntl(file, FcntlArg::F_GET_SEALS).is_ok()
}
