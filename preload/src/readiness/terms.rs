//! How long a call waits, which signals may end it, and where it says how much time was left.
#![allow(unsafe_code)]

use crate::real::try_sys;
use hostcall::access::{get, put};
use libc::{timespec, timeval};
use std::time::{Duration, Instant};
use syscalls::Sysno;

/// Where the time that is left is written, as Linux does it.
#[derive(Clone, Copy, Debug)]
pub enum Back {
    /// To nobody.
    Nowhere,
    /// ppoll(2) and pselect(2), the system calls.
    Timespec(*mut timespec),
    /// select(2).
    Timeval(*mut timeval),
}

/// The terms of one call.
#[derive(Debug)]
pub struct Terms {
    /// None: for ever.
    limit: Option<Duration>,
    until: Option<Instant>,
    mask: Option<u64>,
    back: Back,
}

impl Terms {
    fn of(limit: Option<Duration>) -> Terms {
        Terms {
            limit,
            until: None,
            mask: None,
            back: Back::Nowhere,
        }
    }

    /// As poll(2) has it.
    pub fn milliseconds(limit: i32) -> Terms {
        Terms::of(u64::try_from(limit).ok().map(Duration::from_millis))
    }

    /// As ppoll(2) has it. `None` if the kernel would refuse it, which is to say itself why.
    ///
    /// # Safety
    /// What there is at `limit` is the program's.
    pub unsafe fn timespec(limit: *const timespec) -> Option<Terms> {
        let duration = |limit: timespec| {
            let nanoseconds = u32::try_from(limit.tv_nsec).ok()?;
            let seconds = u64::try_from(limit.tv_sec).ok()?;
            (nanoseconds < 1_000_000_000).then(|| Duration::new(seconds, nanoseconds))
        };
        // SAFETY: the caller's promise.
        unsafe { Terms::at(limit, duration) }
    }

    /// As select(2) has it, which tells how much is left. `None` as above.
    ///
    /// # Safety
    /// What there is at `limit` is the program's.
    pub unsafe fn timeval(limit: *mut timeval) -> Option<Terms> {
        let duration = |limit: timeval| {
            let microseconds = Duration::from_micros(u64::try_from(limit.tv_usec).ok()?);
            let seconds = Duration::from_secs(u64::try_from(limit.tv_sec).ok()?);
            seconds.checked_add(microseconds)
        };
        // SAFETY: the caller's promise.
        let terms = unsafe { Terms::at(limit, duration) }?;
        Some(terms.telling(Back::Timeval(limit)))
    }

    /// For ever if there is no limit; `None` if there is one that cannot be read, or is no `duration`.
    ///
    /// # Safety
    /// What there is at `limit` is the program's.
    unsafe fn at<T: Copy>(
        limit: *const T,
        duration: impl FnOnce(T) -> Option<Duration>,
    ) -> Option<Terms> {
        if limit.is_null() {
            return Some(Terms::of(None));
        }
        // SAFETY: the caller's promise.
        let limit = unsafe { get(limit) }.ok()?;
        Some(Terms::of(Some(duration(limit)?)))
    }

    /// With the mask at `mask`, the kernel's 64 bits, unless that is null. `None` as above.
    ///
    /// # Safety
    /// What there is at `mask` is the program's.
    pub unsafe fn masked(self, mask: *const u64) -> Option<Terms> {
        if mask.is_null() {
            return Some(self);
        }
        // SAFETY: the caller's promise.
        let mask = unsafe { get(mask) }.ok()?;
        Some(Terms {
            mask: Some(mask),
            ..self
        })
    }

    /// Has somebody told how much time is left.
    pub fn telling(self, back: Back) -> Terms {
        Terms { back, ..self }
    }

    /// Whether nothing is waited for, not even a signal.
    pub fn are_a_look(&self) -> bool {
        self.limit == Some(Duration::ZERO) && self.mask.is_none()
    }

    /// Whether the thread's own mask holds.
    pub fn leave_signals_alone(&self) -> bool {
        let own = || {
            let mut own = 0u64;
            // SAFETY: a live mask of the size that is passed; nothing is changed.
            let _ = unsafe { try_sys!(Sysno::rt_sigprocmask, 0, 0, &raw mut own, 8) };
            own
        };
        self.mask.is_none_or(|mask| mask == own())
    }

    /// The mask that the call brings.
    pub fn mask(&self) -> Option<u64> {
        self.mask
    }

    /// The time begins.
    pub fn begin(&mut self) {
        self.until = self
            .limit
            .and_then(|limit| Instant::now().checked_add(limit));
    }

    /// What is left of it.
    pub fn left(&self) -> Option<Duration> {
        let until = self.until?;
        Some(until.saturating_duration_since(Instant::now()))
    }

    /// The call is over.
    pub fn end(&self) {
        let Some(left) = self.left() else { return };
        let left = spec(left);
        // SAFETY: where the program's own time was read. A place that cannot be written is left alone, as the kernel does it.
        let _ = unsafe {
            match self.back {
                Back::Nowhere => Ok(()),
                Back::Timespec(to) => put(to, &left),
                Back::Timeval(to) => {
                    let (tv_sec, tv_usec) = (left.tv_sec, left.tv_nsec / 1000);
                    put(to, &timeval { tv_sec, tv_usec })
                }
            }
        };
    }
}

/// A limit as the kernel takes it.
pub fn spec(limit: Duration) -> timespec {
    timespec {
        tv_sec: limit.as_secs() as i64,
        tv_nsec: limit.subsec_nanos().into(),
    }
}
