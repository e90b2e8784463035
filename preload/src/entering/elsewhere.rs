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
pub fn unblocked(signals: u64) -> u64 {
    signals
}

/// No signal has to be let in.
pub const ILLEGAL: u64 = 0;

/// Nothing changes there.
pub fn start() {}
