//! Signals that come while a case waits in a call.
#![allow(unsafe_code)]

use crate::run::Run;
use std::sync::atomic::{AtomicU32, Ordering};

/// Signals that a case has caught.
static CAUGHT: AtomicU32 = AtomicU32::new(0);

extern "C" fn count(_: i32) {
    CAUGHT.fetch_add(1, Ordering::Relaxed);
}

impl Run {
    /// Counts a signal from now on, with or without `SA_RESTART`.
    pub fn handle(&self, signal: i32, restart: bool) {
        // SAFETY: a zeroed structure is valid; the handler only counts.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = count as extern "C" fn(i32) as usize;
            action.sa_flags = if restart { libc::SA_RESTART } else { 0 };
            libc::sigaction(signal, &action, std::ptr::null_mut());
        }
    }

    /// Arranges for a signal after so many milliseconds, with or without `SA_RESTART`, and again each second until
    /// [`caught`](Run::caught): on a busy machine the first may come before the call that it is to interrupt.
    pub fn alarm(&self, milliseconds: i64, restart: bool) {
        self.handle(libc::SIGALRM, restart);
        // SAFETY: a zeroed structure is valid; the pointer is to a live local.
        unsafe {
            let mut timer: libc::itimerval = std::mem::zeroed();
            timer.it_value.tv_usec = milliseconds * 1000;
            timer.it_interval.tv_sec = 1;
            libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut());
        }
    }

    /// Ends the alarm and notes whether a signal came.
    pub fn caught(&self) {
        // SAFETY: a zeroed timer is valid and stops the alarm; the pointer is to a live local.
        unsafe {
            let timer: libc::itimerval = std::mem::zeroed();
            libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut());
        }
        let came = CAUGHT.swap(0, Ordering::Relaxed) > 0;
        self.note(format!("a signal came: {came}"));
    }
}
