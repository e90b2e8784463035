//! Which descriptors of a shadow are the guest's: a bitmap, one load a check.
//!
//! A guest names its open files by the shadow's own descriptor numbers. The shadow's internal descriptors are 0, 1
//! and 2, and one above the guest's numbers (`calls/link.rs`). Others appear for a moment while calls are executed, the working directory
//! that a fork hands on and what calls make for themselves (docs/ARCHITECTURE.md): a race of two lanes can have one appear under a number
//! that was the guest's. The directory leads nowhere that the guest cannot go, and nothing else holds more than the one file that the
//! guest has named.

use hostcall::types::{DirFd, Errno, RemoteFd};
use std::sync::atomic::{AtomicU64, Ordering};

/// The guest's descriptors.
#[derive(Debug)]
pub struct FdTable {
    bits: Box<[AtomicU64]>,
}

impl FdTable {
    /// A table for numbers below `limit`.
    pub fn new(limit: u64) -> FdTable {
        FdTable {
            bits: (0..limit.div_ceil(64)).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    fn place(&self, fd: i32) -> Option<(&AtomicU64, u64)> {
        let fd = usize::try_from(fd).ok()?;
        Some((self.bits.get(fd / 64)?, 1 << (fd % 64)))
    }

    /// Enters a descriptor that a call has just opened for the guest.
    pub fn insert(&self, fd: i32) -> RemoteFd {
        if let Some((word, bit)) = self.place(fd) {
            word.fetch_or(bit, Ordering::Relaxed);
        }
        RemoteFd(fd)
    }

    /// Takes a descriptor out; `EBADF` if it is not the guest's. Of two lanes that close the same one, one wins.
    pub fn remove(&self, fd: RemoteFd) -> Result<i32, Errno> {
        let (word, bit) = self.place(fd.0).ok_or(Errno(libc::EBADF))?;
        match word.fetch_and(!bit, Ordering::Relaxed) & bit {
            0 => Err(Errno(libc::EBADF)),
            _ => Ok(fd.0),
        }
    }

    /// The number for a system call; `EBADF` if it is not the guest's.
    pub fn get(&self, fd: RemoteFd) -> Result<i32, Errno> {
        let (word, bit) = self.place(fd.0).ok_or(Errno(libc::EBADF))?;
        match word.load(Ordering::Relaxed) & bit {
            0 => Err(Errno(libc::EBADF)),
            _ => Ok(fd.0),
        }
    }

    /// The number for the directory argument of a system call.
    pub fn dir(&self, fd: DirFd) -> Result<i32, Errno> {
        match fd {
            DirFd::CWD => Ok(libc::AT_FDCWD),
            DirFd(fd) => self.get(RemoteFd(fd)),
        }
    }

    /// Forgets all of them.
    pub fn clear(&self) {
        self.bits
            .iter()
            .for_each(|word| word.store(0, Ordering::Relaxed));
    }

    /// All of them, in order.
    pub fn all(&self) -> Vec<i32> {
        let bits = self.bits.iter().enumerate();
        bits.flat_map(|(n, word)| {
            let word = word.load(Ordering::Relaxed);
            (0..64)
                .filter(move |bit| word >> bit & 1 == 1)
                .map(move |bit| (n * 64 + bit) as i32)
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_entered_is_the_guests() {
        let table = FdTable::new(100);
        for bad in [0, 2, -1, i32::MIN, i32::MAX, 5000] {
            assert_eq!(table.get(RemoteFd(bad)), Err(Errno(libc::EBADF)));
            assert_eq!(table.remove(RemoteFd(bad)), Err(Errno(libc::EBADF)));
        }
        let fd = table.insert(63);
        table.insert(64);
        assert_eq!((table.get(fd), table.dir(DirFd(64))), (Ok(63), Ok(64)));
        assert_eq!(table.all(), [63, 64]);
        assert_eq!(table.remove(fd), Ok(63));
        assert_eq!(table.remove(fd), Err(Errno(libc::EBADF)));
        assert_eq!(table.dir(DirFd::CWD), Ok(libc::AT_FDCWD));
        assert_eq!(table.dir(DirFd(-1)), Err(Errno(libc::EBADF)));
        table.clear();
        assert_eq!(table.get(RemoteFd(64)), Err(Errno(libc::EBADF)));
        assert!(table.all().is_empty());
    }
}
