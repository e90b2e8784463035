//! A lock that no signal handler waits for in vain: whoever has it has all signals blocked.
#![allow(unsafe_code)]

use crate::real::{thread, try_sys};
use crate::signals;
use std::sync::atomic::{AtomicUsize, Ordering};
use syscalls::Sysno;

/// The lock: the [thread] that has it, or 0.
pub struct Lock(AtomicUsize);

/// The calling thread has the lock while this lives.
pub struct Locked<'l> {
    lock: &'l Lock,
    signals: u64,
}

impl Lock {
    /// One that nobody has.
    pub const fn new() -> Lock {
        Lock(AtomicUsize::new(0))
    }

    /// Waits for it.
    pub fn take(&self) -> Locked<'_> {
        let signals = signals::block();
        let own = thread();
        while self
            .0
            .compare_exchange_weak(0, own, Ordering::Acquire, Ordering::Relaxed)
            .is_err()
        {
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
        self.0.load(Ordering::Acquire) != 0
    }

    /// Whether the calling thread has it.
    pub fn is_own(&self) -> bool {
        self.0.load(Ordering::Relaxed) == thread()
    }

    /// Whoever has it is no thread of this process: for a fork's child.
    pub fn reset(&self) {
        self.0.store(0, Ordering::Release);
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        self.lock.reset();
        signals::restore(self.signals);
    }
}
