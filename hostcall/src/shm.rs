//! Shared memory: sealed memfds, their mappings, and windows on them.
//!
//! Everything here may be changed by the other side at any instant. So no reference to shared bytes is ever
//! formed: a [`Window`] hands out a pointer for a system call or copies; it never lends a slice.
#![allow(unsafe_code)]

use crate::access;
use crate::types::Errno;
use std::ffi::CStr;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;

/// Makes a memfd of `len` bytes that can neither shrink nor grow, memfd_create(2).
///
/// A peer that could truncate the file would kill us with SIGBUS at the next touch.
pub fn sealed_memfd(name: &CStr, len: usize) -> Result<OwnedFd, Errno> {
    let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
    // SAFETY: `name` is a NUL-terminated string; the call touches no other memory of ours.
    let fd = Errno::result(
        unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING) }
            .into(),
    )?;
    // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd as i32) };
    // SAFETY: plain system calls on a descriptor that we own.
    unsafe {
        Errno::result(libc::ftruncate(fd.as_raw_fd(), len as i64).into())?;
        Errno::result(libc::fcntl(fd.as_raw_fd(), libc::F_ADD_SEALS, seals).into())?;
    }
    Ok(fd)
}

/// A shared mapping of a region, unmapped when dropped.
#[derive(Debug)]
pub struct Mapping {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: a mapping is an address range; all access to it goes through atomics or copies.
unsafe impl Send for Mapping {}
// SAFETY: as above; no method gives out references to the mapped bytes.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `len` bytes of `fd` from its start, to be read and written.
    pub fn new(fd: BorrowedFd<'_>, len: usize) -> Result<Mapping, Errno> {
        Mapping::with(libc::PROT_READ | libc::PROT_WRITE, fd, len)
    }

    /// The same, to be read only.
    pub fn read_only(fd: BorrowedFd<'_>, len: usize) -> Result<Mapping, Errno> {
        Mapping::with(libc::PROT_READ, fd, len)
    }

    fn with(protection: i32, fd: BorrowedFd<'_>, len: usize) -> Result<Mapping, Errno> {
        // SAFETY: a fresh mapping at an address of the kernel's choice overlaps nothing of ours.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                protection,
                libc::MAP_SHARED,
                fd.as_raw_fd(),
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(Errno::last());
        }
        NonNull::new(base.cast())
            .map(|base| Mapping { base, len })
            .ok_or(Errno(libc::EINVAL))
    }

    /// Maps all of `fd`, which must have a size of its own as a memfd has.
    pub fn whole(fd: BorrowedFd<'_>) -> Result<Mapping, Errno> {
        // SAFETY: stat is valid when zeroed, and a live local here.
        let len = unsafe {
            let mut stat: libc::stat = std::mem::zeroed();
            Errno::result(libc::fstat(fd.as_raw_fd(), &mut stat).into())?;
            stat.st_size
        };
        Mapping::new(fd, usize::try_from(len).map_err(|_| Errno(libc::EINVAL))?)
    }

    /// First mapped byte.
    pub fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is mapped.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range is the one that `new` mapped; whoever holds pointers into it holds the mapping too.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}

/// A bounded window on bytes that the other side may change at any time.
#[derive(Clone, Copy, Debug)]
pub struct Window<'a> {
    ptr: NonNull<u8>,
    len: usize,
    life: PhantomData<&'a ()>,
}

impl<'a> Window<'a> {
    /// A window on `len` bytes at `ptr`.
    ///
    /// # Safety
    /// The range must stay mapped readable and writable for `'a`.
    pub unsafe fn new(ptr: NonNull<u8>, len: usize) -> Window<'a> {
        Window {
            ptr,
            len,
            life: PhantomData,
        }
    }

    /// A window on private memory, for decoding a copy with the code that decodes shared memory.
    pub fn of(bytes: &'a mut [u8]) -> Window<'a> {
        let len = bytes.len();
        // SAFETY: the slice is borrowed exclusively for `'a`; its pointer is never null.
        unsafe { Window::new(NonNull::new_unchecked(bytes.as_mut_ptr()), len) }
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the window has no byte.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// First byte, for a system call; see the module's rule.
    pub fn as_ptr(&self) -> *mut u8 {
        self.ptr.as_ptr()
    }

    /// The part of `len` bytes from `start`; `None` if it would reach outside.
    pub fn part(&self, start: usize, len: usize) -> Option<Window<'a>> {
        if start > self.len || len > self.len - start {
            return None;
        }
        // SAFETY: `start <= self.len`, so the pointer stays inside (or at the end of) the range.
        let ptr = unsafe { self.ptr.add(start) };
        Some(Window {
            ptr,
            len,
            life: PhantomData,
        })
    }

    /// What lies behind the first `len` bytes.
    pub fn behind(&self, len: usize) -> Window<'a> {
        let len = len.min(self.len);
        self.part(len, self.len - len).unwrap_or(*self)
    }

    /// Copies all of it to the end of `bytes`, each byte once.
    pub fn append_to(&self, bytes: &mut Vec<u8>) {
        let start = bytes.len();
        bytes.resize(start + self.len, 0);
        let _ = self.copy_out(&mut bytes[start..]);
    }

    /// Copies the first `to.len()` bytes out, each byte once; `None` if the window is shorter.
    pub fn copy_out(&self, to: &mut [u8]) -> Option<()> {
        let from = self.part(0, to.len())?;
        // SAFETY: `from` has exactly `to.len()` mapped bytes; private and shared memory never overlap.
        unsafe { copy(from.as_ptr(), to.as_mut_ptr(), to.len()) };
        Some(())
    }

    /// Copies `from` to the start of the window; `None` if the window is shorter.
    pub fn copy_in(&self, from: &[u8]) -> Option<()> {
        let to = self.part(0, from.len())?;
        // SAFETY: `to` has exactly `from.len()` mapped bytes; private and shared memory never overlap.
        unsafe { copy(from.as_ptr(), to.as_ptr(), from.len()) };
        Some(())
    }
}

/// memcpy that the compiler cannot turn into repeated loads of the shared side.
///
/// # Safety
/// Both ranges are valid for `len` bytes and do not overlap.
unsafe fn copy(from: *const u8, to: *mut u8, len: usize) {
    // SAFETY: the caller's promise; `black_box` keeps the pointers opaque, so that no load is repeated after a check (XSA-155).
    unsafe {
        std::ptr::copy_nonoverlapping(std::hint::black_box(from), std::hint::black_box(to), len)
    }
}

/// Copies between a window and raw memory of the calling program: how many bytes are left, for there may be less memory than
/// the program says. What lies in the window already ([`flow`](crate::flow)) stays there.
///
/// # Safety
/// What can be written of `len` bytes at `memory` may be written; `window` is at least as long.
pub(crate) unsafe fn window_to_memory(window: Window<'_>, memory: *mut u8, len: usize) -> usize {
    debug_assert!(len <= window.len());
    if memory == window.as_ptr() {
        return 0;
    }
    // SAFETY: the caller's promise.
    unsafe { access::copy(window.as_ptr(), memory, len) }
}

/// The other direction of [`window_to_memory`].
///
/// # Safety
/// What can be read of `len` bytes at `memory` may be read; `window` is at least as long.
pub(crate) unsafe fn memory_to_window(memory: *const u8, window: Window<'_>, len: usize) -> usize {
    debug_assert!(len <= window.len());
    if memory == window.as_ptr() {
        return 0;
    }
    // SAFETY: the caller's promise.
    unsafe {
        match len {
            ..LARGE => access::copy(memory, window.as_ptr(), len),
            // The other side has read the lines of a window, so that a plain store waits for each to be taken out of
            // another processor's cache, which may be far away.
            LARGE.. => access::copy_past_the_cache(memory, window.as_ptr(), len),
        }
    }
}

/// Bytes from which a copy goes past the cache: what is shorter the other side finds there sooner than in memory.
const LARGE: usize = 32 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn a_peer_cannot_truncate_the_region() {
        let fd = sealed_memfd(c"test", 8192).unwrap();
        for len in [0, 4096, 16384] {
            // SAFETY: plain system call.
            let r = unsafe { libc::ftruncate(fd.as_raw_fd(), len) };
            assert_eq!((r, Errno::last()), (-1, Errno(libc::EPERM)));
        }
        let map = Mapping::new(fd.as_fd(), 8192).unwrap();
        assert_eq!(map.len(), 8192);
    }

    #[test]
    fn a_copy_is_whole_wherever_it_begins_and_ends() {
        let from: Vec<u8> = (0..LARGE + 300).map(|at| (at % 251) as u8).collect();
        for (skip, at) in [(0, 0), (1, 0), (0, 1), (80, 0), (3, 63), (7, 64)] {
            for len in [0, 1, 63, LARGE - 1, LARGE, LARGE + 1, LARGE + 130] {
                let mut to = vec![255u8; LARGE + 300];
                let window = Window::of(&mut to).part(at, len).unwrap();
                // SAFETY: `from` has `len` bytes behind `skip`.
                unsafe { memory_to_window(from[skip..].as_ptr(), window, len) };
                assert!(to[at..at + len] == from[skip..skip + len]);
                assert!(to[..at]
                    .iter()
                    .chain(&to[at + len..])
                    .all(|byte| *byte == 255));
            }
        }
    }

    #[test]
    fn windows_never_reach_outside() {
        let mut bytes = *b"0123456789";
        let window = Window::of(&mut bytes);
        let mut out = [0; 4];
        window.part(3, 4).unwrap().copy_out(&mut out).unwrap();
        assert_eq!(&out, b"3456");
        assert!(window.part(11, 0).is_none());
        assert!(window.part(5, 6).is_none());
        assert!(window.part(1, usize::MAX).is_none());
        assert!(window.copy_out(&mut [0; 11]).is_none());
        assert!(window.part(10, 0).unwrap().is_empty());
    }
}
