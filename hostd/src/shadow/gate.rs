//! A gate that opens once for each guest process.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

/// Holds back a lane's thread until the context is the guest process's: it has begun while the shadow is a spare, so that attaching
/// does not wait for a thread to start.
#[derive(Debug, Default)]
pub struct Gate {
    open: AtomicBool,
    lock: Mutex<()>,
    opened: Condvar,
}

impl Gate {
    /// Lets everybody through from now on.
    pub fn open(&self) {
        {
            let _lock = self.lock.lock();
            self.open.store(true, Ordering::Release);
        }
        self.opened.notify_all();
    }

    /// Holds everybody back again.
    pub fn close(&self) {
        self.open.store(false, Ordering::Release);
    }

    /// Waits until it is open.
    pub fn pass(&self) {
        if self.open.load(Ordering::Acquire) {
            return;
        }
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        while !self.open.load(Ordering::Acquire) {
            lock = self
                .opened
                .wait(lock)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}
