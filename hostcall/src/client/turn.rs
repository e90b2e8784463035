//! Turns: how many threads of a process are awake in calls at the same time.
//!
//! A call that is answered at once keeps two processors busy: the caller's, which looks for the answer, and the shadow's.
//! With more callers than pairs of processors the kernel would change threads for every call, which costs more than
//! the call. So a caller that finds every turn taken sleeps; whoever has had one for a while passes it on, and who
//! sleeps in a call has none. Threads that call in turn use the same lanes, whose shadow threads are awake.

use crate::doorbell::{futex_wait, futex_wake};
use crate::wait::{ticks, Clock};
use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// How long a thread has a turn while others wait, microseconds: many times what waking the next takes.
const LONG: u64 = 1000;
/// How long a thread looks for a turn before it sleeps for one, microseconds: as long as a few calls take.
const LOOK: u64 = 4;
/// Microseconds that it sleeps for each that waits. Together they look as often, however many they are.
const NAP: u64 = 100;
/// Most waiters that are counted in a nap.
const COUNTED: u64 = 20;
/// A caller that got no turn for so many microseconds calls without one: whoever has it may never call again.
const PATIENCE: u64 = 20_000;

thread_local! {
    /// Since when this thread has had a turn that others wait for, ticks; 0 if none does.
    static SINCE: Cell<u64> = const { Cell::new(0) };
    /// This thread has passed its turn on and has not called since.
    static PASSED: Cell<bool> = const { Cell::new(false) };
}

/// The turns of a process.
pub(super) struct Turns {
    most: usize,
    ticks_per_us: u64,
    /// Threads that sleep for a turn.
    waiters: AtomicU32,
    /// Counts the turns that were passed on; a futex.
    passed: AtomicU32,
}

/// One caller's wait for a turn.
pub(super) struct Wait {
    start: u64,
    looked: bool,
}

impl Turns {
    /// One turn for two processors.
    pub(super) fn new(clock: Clock) -> Turns {
        Turns {
            most: (clock.processors as usize / 2).max(1),
            ticks_per_us: u64::from(clock.ticks_per_us).max(1),
            waiters: AtomicU32::new(0),
            passed: AtomicU32::new(0),
        }
    }

    /// How many threads may be awake in calls.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// Whether the calling thread is to stand back behind those that wait, which it does once.
    pub(super) fn stands_back(&self) -> bool {
        PASSED.replace(false) && self.waiters.load(Ordering::Relaxed) > 0
    }

    /// Begins a wait.
    pub(super) fn wait(&self) -> Wait {
        Wait {
            start: ticks(),
            looked: false,
        }
    }

    /// Looks for a turn for a while, the first time; then sleeps until one is passed on, or for a nap. False if the wait
    /// has been too long already.
    pub(super) fn await_one(&self, wait: &mut Wait, free: impl Fn() -> bool) -> bool {
        let waited = || ticks().wrapping_sub(wait.start) / self.ticks_per_us;
        if waited() > PATIENCE {
            return false;
        }
        if !std::mem::replace(&mut wait.looked, true) {
            while waited() < LOOK {
                if free() {
                    return true;
                }
                crate::sync::relax();
            }
        }
        self.sleep();
        true
    }

    /// Sleeps until a turn is passed on, or for a nap: a turn that nobody wants any more is passed on by nobody.
    pub(super) fn sleep(&self) {
        let seen = self.passed.load(Ordering::Acquire);
        let waiters = u64::from(self.waiters.fetch_add(1, Ordering::Relaxed)) + 1;
        let nap = Duration::from_micros(NAP * waiters.min(COUNTED));
        futex_wait(&self.passed, seen, Some(nap));
        self.waiters.fetch_sub(1, Ordering::Relaxed);
        SINCE.set(0);
    }

    /// After a call: passes the turn on if others wait and it has been long.
    #[inline]
    pub(super) fn called(&self) {
        if self.waiters.load(Ordering::Relaxed) > 0 {
            self.consider();
        }
    }

    #[cold]
    fn consider(&self) {
        let now = ticks();
        match SINCE.get() {
            0 => SINCE.set(now),
            since if now.wrapping_sub(since) > LONG * self.ticks_per_us => {
                PASSED.set(true);
                self.pass();
            }
            _ => {}
        }
    }

    /// Wakes the thread that has waited longest, if any does.
    pub(super) fn pass(&self) {
        SINCE.set(0);
        if self.waiters.load(Ordering::Relaxed) > 0 {
            self.passed.fetch_add(1, Ordering::Release);
            futex_wake(&self.passed, 1);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Who has the turn may have ended amid its call.
    #[test]
    fn nobody_waits_for_ever() {
        let turns = Turns::new(Clock::measure());
        let mut wait = turns.wait();
        let naps = (0..1000).take_while(|_| turns.await_one(&mut wait, || false));
        assert!(naps.count() < 1000);
        assert_eq!(turns.waiters.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_turn_is_passed_on_after_long_and_only_to_somebody() {
        let turns = Turns::new(Clock::measure());
        turns.called();
        assert!(!turns.stands_back(), "nobody waits");
        turns.waiters.store(1, Ordering::Relaxed);
        turns.called();
        assert!(!turns.stands_back(), "it has only begun");
        std::thread::sleep(Duration::from_micros(2 * LONG));
        turns.called();
        assert_eq!(turns.passed.load(Ordering::Relaxed), 1);
        assert!(turns.stands_back() && !turns.stands_back(), "once");
    }
}
