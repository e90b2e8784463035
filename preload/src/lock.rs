//! A lock that no signal handler waits for in vain: whoever has it has all signals blocked.
#![allow(unsafe_code)]

use crate::real::try_sys;
use crate::signals;
use std::sync::atomic::{AtomicBool, Ordering};
use syscalls::Sysno;

/// The lock.
pub struct Lock(AtomicBool);

/// The calling thread has the lock while this lives.
pub struct Locked<'l> {
    lock: &'l Lock,
    signals: u64,
}

impl Lock {
    /// One that nobody has.
    pub const fn new() -> Lock {
        Lock(AtomicBool::new(false))
    }

    /// Waits for it.
    pub fn take(&self) -> Locked<'_> {
        let signals = signals::block();
        while self.0.swap(true, Ordering::Acquire) {
            // SAFETY: no arguments.
            let _ = unsafe { try_sys!(Sysno::sched_yield) };
        }
        Locked {
            lock: self,
            signals,
        }
    }

    /// Whether somebody has it.
    pub fn is_taken(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// Whoever has it is no thread of this process: for a fork's child.
    pub fn reset(&self) {
        self.0.store(false, Ordering::Release);
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        self.lock.reset();
        signals::restore(self.signals);
    }
}
