//! Scratch files: memory for the words of programs.
#![allow(unsafe_code)]

use super::done;
use hostcall::types::Errno;
use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Scratch files of one guest process.
pub const MOST_SCRATCHES: usize = 4;

/// A process's scratch files by their descriptors. They are never duplicated, shared nor opened anew, so what they take ends with
/// those.
#[derive(Debug, Default)]
pub struct Scratches {
    by_number: Mutex<BTreeMap<i32, Scratch>>,
    /// How many there are, for those who have none: closing a file asks.
    count: AtomicUsize,
}

/// One scratch file.
#[derive(Debug)]
pub(super) struct Scratch {
    /// Bytes that it takes.
    pub len: u64,
    /// Why its words were refused, for people.
    pub refusal: Option<String>,
}

impl Scratches {
    /// Looks at them or changes them.
    pub(super) fn with<T>(&self, f: impl FnOnce(&mut BTreeMap<i32, Scratch>) -> T) -> T {
        let mut all = self
            .by_number
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let answer = f(&mut all);
        self.count.store(all.len(), Ordering::Relaxed);
        answer
    }

    /// Whether a descriptor is one: it is not to be duplicated or handed on.
    pub fn holds(&self, fd: i32) -> bool {
        self.count.load(Ordering::Relaxed) != 0 && self.with(|all| all.contains_key(&fd))
    }

    /// Forgets all of them. hostd gives their room back.
    pub fn clear(&self) {
        self.with(BTreeMap::clear);
    }

    /// Forgets a descriptor that is being closed; bytes that the file had.
    pub(super) fn close(&self, fd: i32) -> Option<u64> {
        match self.count.load(Ordering::Relaxed) {
            0 => None,
            _ => self.with(|all| all.remove(&fd)).map(|scratch| scratch.len),
        }
    }
}

/// Makes a memory file of this length, which it keeps.
pub(super) fn memory(len: u64) -> Result<OwnedFd, Errno> {
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    let seals = libc::F_SEAL_GROW | libc::F_SEAL_SHRINK;
    // SAFETY: a NUL-terminated name; the descriptor that comes back is ours.
    unsafe {
        let fd = libc::memfd_create(c"hostcall-words".as_ptr(), flags);
        let file = OwnedFd::from_raw_fd(Errno::result(fd.into())? as i32);
        done(libc::ftruncate(file.as_raw_fd(), len as i64))?;
        done(libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals))?;
        Ok(file)
    }
}
