//! What the processes of a guest tell each other: words that each of them may change, and of which the host believes nothing.
//!
//! Across kernels they lie in the header of the guest's one region. On the same kernel each process has a region of its
//! own, so they have a page to themselves, which hostd makes and hands to each process.
#![allow(unsafe_code)]

use crate::region::PAGE;
use crate::shm::{sealed_memfd, Mapping};
use crate::sync::AtomicU32;
use crate::types::Errno;
use std::os::fd::{BorrowedFd, OwnedFd};

/// The words; zeroed memory is the beginning.
#[derive(Debug)]
#[repr(C)]
pub struct Commons {
    /// Counts the changes of what the guest mounts over the host's files.
    pub mounts: AtomicU32,
}

const _: () = assert!(size_of::<Commons>() <= PAGE);

/// A mapped page of commons.
#[derive(Debug)]
pub struct CommonsPage(Mapping);

impl CommonsPage {
    /// Makes a page for a guest.
    ///
    /// # Errors
    /// memfd_create(2).
    pub fn create() -> Result<OwnedFd, Errno> {
        sealed_memfd(c"hostcall-commons", PAGE)
    }

    /// Maps a page that [`create`](CommonsPage::create) made.
    ///
    /// # Errors
    /// mmap(2).
    pub fn open(fd: BorrowedFd<'_>) -> Result<CommonsPage, Errno> {
        Mapping::new(fd, PAGE).map(CommonsPage)
    }

    /// The words.
    pub fn words(&self) -> &Commons {
        // SAFETY: the mapping has a page's bytes, is aligned to one, and `Commons` is made of atomics.
        unsafe { self.0.base().cast::<Commons>().as_ref() }
    }
}
