//! Standard streams that a program was started without.
//!
//! The standard library's runtime opens /dev/null in their places before `main`, and what is written there is lost without a word.
//! So a program looks ahead of it: it has the loader call [`look`], by a pointer in its section `.init_array`.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicU8, Ordering};

/// A bit for each.
static MISSING: AtomicU8 = AtomicU8::new(0);

/// Sees which streams are missing now.
pub extern "C" fn look() {
    for number in 0..3 {
        // SAFETY: plain system call.
        match unsafe { libc::fcntl(number, libc::F_GETFD) } {
            -1 => MISSING.fetch_or(1 << number, Ordering::Relaxed),
            _ => MISSING.fetch_and(!(1 << number), Ordering::Relaxed),
        };
    }
}

/// Whether the stream of this number was missing, and nothing else is there since then than what the runtime has opened.
pub fn is_missing(number: usize) -> bool {
    number < 3 && MISSING.load(Ordering::Relaxed) & 1 << number != 0 && !is_used(number as i32)
}

/// Whether something else than /dev/null is open under a number.
fn is_used(number: i32) -> bool {
    let null = libc::makedev(1, 3);
    // SAFETY: stat is valid when zeroed, and lives through the call.
    unsafe {
        let mut stat: libc::stat = std::mem::zeroed();
        libc::fstat(number, &mut stat) == 0 && stat.st_rdev != null
    }
}

/// Undoes what the runtime has done when the program started: what was missing is missing again.
pub fn close() {
    let missing = MISSING.swap(0, Ordering::Relaxed);
    for number in { 0..3 }.filter(|number| missing & 1 << number != 0) {
        // SAFETY: plain system call; what is open there is the runtime's, which does not use it.
        unsafe { libc::close(number) };
    }
}
