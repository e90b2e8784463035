//! How much of the stack is used: nesting in a script is recursion here, and shall end in a message.

use super::sys;
use std::cell::Cell;

/// Of a thread that nobody has measured.
const UNMEASURED: usize = 1 << 20;

/// What stays free for what nests no further.
const RESERVE: usize = 1 << 20;

/// Without a limit of the system's.
const UNLIMITED: usize = 64 << 20;

thread_local! {
    static START: Cell<usize> = const { Cell::new(0) };
    static MOST: Cell<usize> = const { Cell::new(UNMEASURED) };
}

/// At the beginning of the main thread: its stack grows to the system's limit.
pub fn measure() {
    let limit = match sys::limit(libc::RLIMIT_STACK) {
        Ok((soft, _)) if soft != libc::RLIM_INFINITY => soft as usize,
        _ => UNLIMITED,
    };
    MOST.set(
        limit
            .min(UNLIMITED)
            .saturating_sub(RESERVE)
            .max(RESERVE / 2),
    );
    is_low();
}

/// Whether no more should be nested.
pub fn is_low() -> bool {
    let here = 0u8;
    let here = std::ptr::from_ref(&here) as usize;
    if START.get() == 0 {
        START.set(here);
    }
    START.get().saturating_sub(here) > MOST.get()
}
