//! Turns: how many threads of a process call at the same time.
//!
//! A call that is answered at once keeps two processors busy: the caller's, which looks for the answer, and the shadow's.
//! With more such callers than pairs of processors the kernel would change threads for every call, which costs more than
//! the call. So a thread that has called has a turn until it makes no call for a moment, sleeps in one, or has
//! had it for a while and passes it on; who finds every turn taken sleeps. Threads that call in turn use the same lanes,
//! whose shadow threads are awake.

use super::thread_end::ThreadEnd;
use super::{this_thread, Client, Guard, Slot, LAST, MOST};
use crate::doorbell::{futex_wait, futex_wake};
use crate::wait::{ticks, Clock};
use std::cell::Cell;
use std::ffi::c_void;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// How long a thread has a turn while others wait, microseconds: many times what waking the next takes.
const LONG: u64 = 1000;
/// How long a thread looks for a turn before it sleeps for one, microseconds: who has one calls again within it, or does
/// something else.
const LOOK: u64 = 4;
/// Microseconds that it sleeps for each that waits. Together they look as often, however many they are.
const NAP: u64 = 200;
/// Most waiters that are counted in a nap.
const COUNTED: u64 = 20;
/// A caller that waits for so many microseconds while nobody calls does so without a turn: whoever has it may have ended
/// in its call.
const PATIENCE: u64 = 20_000;
/// One that waits for so many microseconds does so whatever others do.
const PATIENCE_IN_ALL: u64 = 200_000;

/// How many calls each slot has seen.
pub(super) type Counts = [u32; MOST];

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
}

/// One caller's wait for a turn.
pub(super) struct Wait {
    start: u64,
    /// When somebody was last seen to have called.
    last_call: u64,
    counts: Counts,
}

/// Why a wait has been too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TooLong {
    /// Nobody has called all the time.
    WithoutCalls,
    InAll,
}

/// Counts the turns that were passed on, in any session: a futex, which threads touch that outlive theirs.
static PASSED_ON: AtomicU32 = AtomicU32::new(0);

/// A thread that had a turn which others waited for passes it on when it ends.
static AT_END: ThreadEnd = ThreadEnd::new(pass_at_end);

extern "C" fn pass_at_end(_: *mut c_void) {
    pass_on();
}

fn pass_on() {
    PASSED_ON.fetch_add(1, Ordering::Release);
    futex_wake(&PASSED_ON, 1);
}

impl Turns {
    /// One turn for two processors.
    pub(super) fn new(clock: Clock) -> Turns {
        Turns {
            most: (clock.processors as usize / 2).max(1),
            ticks_per_us: u64::from(clock.ticks_per_us).max(1),
            waiters: AtomicU32::new(0),
        }
    }

    /// Whether anybody sleeps for a turn.
    fn are_wanted(&self) -> bool {
        self.waiters.load(Ordering::Relaxed) > 0
    }

    /// Microseconds since `start`, ticks.
    fn since(&self, start: u64) -> u64 {
        ticks().wrapping_sub(start) / self.ticks_per_us
    }

    /// Looks for a while whether `seen` knows an answer.
    fn look(&self, seen: impl Fn() -> Option<bool>) -> Option<bool> {
        let start = ticks();
        while self.since(start) < LOOK {
            if let Some(answer) = seen() {
                return Some(answer);
            }
            crate::sync::relax();
        }
        None
    }

    /// Begins a wait.
    pub(super) fn begin(&self, counts: Counts) -> Wait {
        let start = ticks();
        Wait {
            start,
            last_call: start,
            counts,
        }
    }

    /// Whether a wait has been too long.
    fn patience_ends(&self, wait: &mut Wait, counts: Counts) -> Option<TooLong> {
        if counts != wait.counts {
            (wait.last_call, wait.counts) = (ticks(), counts);
        }
        if self.since(wait.last_call) > PATIENCE {
            return Some(TooLong::WithoutCalls);
        }
        (self.since(wait.start) > PATIENCE_IN_ALL).then_some(TooLong::InAll)
    }

    /// Sleeps until a turn is passed on, or for a nap: a turn that nobody wants any more is passed on by nobody.
    fn sleep(&self) {
        let seen = PASSED_ON.load(Ordering::Acquire);
        let waiters = u64::from(self.waiters.fetch_add(1, Ordering::Relaxed)) + 1;
        let nap = Duration::from_micros(NAP * waiters.min(COUNTED));
        futex_wait(&PASSED_ON, seen, Some(nap));
        self.waiters.fetch_sub(1, Ordering::Relaxed);
        SINCE.set(0);
    }

    /// After a call: passes the turn on if others wait and it has been long.
    #[inline]
    pub(super) fn called(&self) {
        if self.are_wanted() {
            self.consider();
        }
    }

    #[cold]
    fn consider(&self) {
        match SINCE.get() {
            0 => {
                SINCE.set(ticks());
                AT_END.ask();
            }
            since if self.since(since) > LONG => {
                PASSED.set(true);
                self.pass();
            }
            _ => {}
        }
    }

    /// Wakes the thread that has waited longest, if any does.
    pub(super) fn pass(&self) {
        SINCE.set(0);
        if self.are_wanted() {
            pass_on();
        }
    }
}

impl Slot {
    fn count(&self) -> u32 {
        self.calls.load(Ordering::Relaxed)
    }

    fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Relaxed) != 0
    }

    /// Whether a thread is in a call, and looks for the answer.
    fn is_awake(&self) -> bool {
        self.is_busy() && !self.asleep.load(Ordering::Relaxed)
    }

    /// Whether the calling thread has used it last, or uses it.
    fn is_own(&self) -> bool {
        self.holder.load(Ordering::Relaxed) == this_thread()
    }
}

impl Client {
    /// A lane, if the calling thread has a turn.
    #[inline]
    pub(super) fn lane_at_once(&self) -> Option<Guard<'_>> {
        if PASSED.replace(false) && self.turns.are_wanted() {
            self.turns.sleep();
            return None;
        }
        if self.gathers.load(Ordering::Relaxed) {
            return self.try_slot(0);
        }
        let last = LAST.get();
        let has_turn =
            self.slots.get(last)?.is_own() && (last < self.turns.most || self.sleep_below(last));
        has_turn.then(|| self.try_slot(last)).flatten()
    }

    /// Whether all lanes below this one are with sleepers, such as a thread that waits for events: then it is as good as
    /// the first.
    fn sleep_below(&self, slot: usize) -> bool {
        let mut below = self.slots.iter().take(slot);
        below.all(|slot| slot.is_busy() && !slot.is_awake())
    }

    /// Waits until a turn is free, or for as long as anybody has a right to one: then a call is due in any case.
    #[cold]
    pub(super) fn await_turn(&self, wait: &mut Wait) -> bool {
        while !self.finds_turn() {
            match self.turns.patience_ends(wait, self.counts()) {
                None => self.turns.sleep(),
                Some(TooLong::InAll) => return true,
                Some(TooLong::WithoutCalls) => {
                    // Who has been in one and the same call all the time, and awake, has ended in it.
                    let busy = self.opened().iter().filter(|slot| slot.is_busy());
                    busy.for_each(|slot| slot.asleep.store(true, Ordering::Relaxed));
                    return true;
                }
            }
        }
        false
    }

    fn awake(&self) -> usize {
        self.opened().iter().filter(|slot| slot.is_awake()).count()
    }

    /// Whether the calling thread is in a call, which a signal handler of it has interrupted.
    fn is_interrupted(&self) -> bool {
        let mut slots = self.opened().iter();
        slots.any(|slot| slot.is_busy() && slot.is_own())
    }

    /// Whether the processors bear one more thread that is awake in a call.
    pub(super) fn bear_another(&self) -> bool {
        self.awake() < self.turns.most || self.is_interrupted()
    }

    /// Whether a turn is free.
    fn finds_turn(&self) -> bool {
        if self.is_interrupted() {
            return true;
        }
        let most = self.turns.most;
        let gathers = self.gathers.load(Ordering::Relaxed);
        // While nobody waits it does not matter whether who called last is about to call again.
        if (gathers || !self.turns.are_wanted()) && self.awake() < most {
            return true;
        }
        let before = self.counts();
        let slots = || self.opened().iter().zip(before);
        let called = || slots().filter(|(slot, before)| slot.count() != *before);
        let seen = self.turns.look(|| match gathers {
            true => (self.awake() < most).then_some(true),
            false => (called().count() >= most).then_some(false),
        });
        let have_turns = slots()
            .filter(|(slot, before)| slot.is_awake() || !slot.is_busy() && slot.count() != *before);
        seen.unwrap_or_else(|| have_turns.count() < most)
    }

    /// How many calls each slot has seen that has had a lane.
    pub(super) fn counts(&self) -> Counts {
        let mut counts = [0; MOST];
        for (count, slot) in counts.iter_mut().zip(self.opened()) {
            *count = slot.count();
        }
        counts
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Who has the turn may have ended amid its call, or go on calling without ever having it for long.
    #[test]
    fn nobody_waits_for_ever() {
        let turns = Turns::new(Clock::measure());
        for (calls, expected) in [(0, TooLong::WithoutCalls), (1, TooLong::InAll)] {
            let mut counts = [0; MOST];
            let mut wait = turns.begin(counts);
            let ended = (0..100_000).find_map(|_| {
                turns.sleep();
                counts[0] += calls;
                turns.patience_ends(&mut wait, counts)
            });
            assert_eq!(ended, Some(expected));
            assert_eq!(turns.waiters.load(Ordering::Relaxed), 0);
        }
    }

    #[test]
    fn a_turn_is_passed_on_after_long_and_only_to_somebody() {
        let turns = Turns::new(Clock::measure());
        turns.called();
        assert!(!PASSED.get(), "nobody waits");
        turns.waiters.store(1, Ordering::Relaxed);
        turns.called();
        assert!(!PASSED.get(), "it has only begun");
        std::thread::sleep(Duration::from_micros(2 * LONG));
        turns.called();
        assert!(PASSED.get());
    }
}
