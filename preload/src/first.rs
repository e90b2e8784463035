//! What hooks look at first, in one line of the processor's cache.
//!
//! A system call leaves little of its program in the caches, so each line that a hook reads costs a call that has nothing to do with
//! the host more than all that is done with it.

use crate::glance::Marks;
use crate::route::Prefix;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicU8};

/// The line.
#[repr(C, align(64))]
pub struct First {
    /// Who looks on, and whether threads are cancelled ([`observe`](crate::observe)).
    pub armed: AtomicU8,
    /// Whether any number was ever a host file, reserved or internal ([`fds`](crate::fds)).
    pub touched: AtomicBool,
    /// Whether the working directory lies on the host ([`cwd`](crate::cwd)).
    pub on_host: AtomicBool,
    /// What paths are searched for.
    pub marks: Marks,
    /// Numbers (below 64) whose placeholder is kept without a host file ([`fds`](crate::fds)).
    pub reserved: AtomicU64,
}

/// As a program starts whose prefix is the usual one.
pub static FIRST: First = First {
    armed: AtomicU8::new(0),
    touched: AtomicBool::new(false),
    on_host: AtomicBool::new(false),
    marks: Marks::new(Prefix::DEFAULT.inward()),
    reserved: AtomicU64::new(0),
};
