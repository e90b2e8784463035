//! Other machines than x86-64: what enters the kernel by itself is left to the mount.
#![allow(unsafe_code)]

/// Nothing changes there.
pub fn begin() {}

/// No fault is the library's.
///
/// # Safety
/// None is needed.
pub unsafe fn resume(_: *mut libc::ucontext_t) -> bool {
    false
}

/// A program may block what it likes.
///
/// # Safety
/// None is needed.
pub unsafe fn unblocked(_: *const libc::sigset_t) -> Option<libc::sigset_t> {
    None
}
