//! Turns: how many threads of a process call at the same time.
//!
//! A call that is answered at once keeps two processors busy: the caller's, which looks for the answer, and the shadow's.
//! With more such callers than pairs of processors the kernel would change threads for every call, which costs more than
//! the call. So a thread that has called has a turn until it makes no call for a moment, sleeps in one, or has
//! had it for a while and passes it on; who finds every turn taken stands in a [queue](Queue). Threads that call in turn use the
//! same lanes, whose shadow threads are awake.
//!
//! Where the guest's kernel is its own and has one processor, a thread that is in a call while another runs has lost that amid
//! the call. There a turn is free as soon as nobody is in a call, and all that counts is that threads change seldom: who waits
//! leaves the processor to whoever was in a call, and sleeps longer.

use super::queue::Queue;
use super::thread_end::ThreadEnd;
use super::{this_thread, Client, Guard, Slot, LAST, MOST};
use crate::clock::{ticks, Clock};
use crate::doorbell::{futex_wait, futex_wake};
use crate::stack;
use std::cell::Cell;
use std::ffi::c_void;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

/// How long a thread has a turn while others wait, microseconds: many times what waking the next takes.
const LONG: u64 = 1000;
/// The same where the guest's kernel has one processor; its system calls take fifty times as long.
const LONG_ALONE: u64 = 5000;
/// How long a thread looks for a turn before it sleeps for one, microseconds: who has one calls again within it, or does
/// something else.
const LOOK: u64 = 4;
/// How long the first in line sleeps before it looks whether anybody has called meanwhile: a turn that nobody wants any more is
/// passed on by nobody.
const NAP: Duration = Duration::from_micros(200);
/// The same where the guest's kernel has one processor: who has called last may need it to come to its end.
const NAP_ALONE: Duration = Duration::from_micros(2000);
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
    /// The guest's kernel has one processor.
    alone: bool,
    /// How long a thread has a turn while others wait, microseconds.
    long: u64,
    /// How long the first in line sleeps.
    nap: Duration,
    queue: Queue,
    /// How many turns had been passed on when somebody last got one: the next may be before the one behind it has woken.
    taken: AtomicU32,
}

/// One caller's wait for a turn, which ends when it has a lane.
pub(super) struct Wait<'t> {
    turns: &'t Turns,
    start: u64,
    /// When somebody was last seen to have called.
    last_call: u64,
    counts: Counts,
    /// The calls that there had been before the nap that it has taken as the first in line.
    napped: Option<Counts>,
    /// It has become the first in line in its sleep: somebody has just got a turn, whose processor it may have taken.
    promoted: bool,
    /// How many turns had been passed on when it last looked.
    passed: u32,
    /// A turn has been passed on to it.
    given: bool,
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let passed = PASSED_ON.load(Ordering::Acquire);
        self.turns.taken.store(passed, Ordering::Relaxed);
        self.turns.queue.leave();
    }
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
/// The slot of who passed one on last: its lane's shadow thread is awake.
static PASSED_SLOT: AtomicUsize = AtomicUsize::new(0);

/// A thread that had a turn which others waited for passes it on when it ends.
static AT_END: ThreadEnd = ThreadEnd::new(pass_at_end);

extern "C" fn pass_at_end(_: *mut c_void) {
    pass_on();
}

fn pass_on() {
    PASSED_SLOT.store(LAST.get(), Ordering::Relaxed);
    PASSED_ON.fetch_add(1, Ordering::Release);
    futex_wake(&PASSED_ON, 1);
}

impl Turns {
    /// One turn for two processors, or for the guest's only one.
    pub(super) fn new(clock: Clock, alone: bool) -> Turns {
        let (most, long, nap) = match alone {
            true => (1, LONG_ALONE, NAP_ALONE),
            false => (clock.processors / 2, LONG, NAP),
        };
        Turns {
            most: (most as usize).max(1),
            ticks_per_us: u64::from(clock.ticks_per_us).max(1),
            alone,
            long,
            nap,
            queue: Queue::new(),
            taken: AtomicU32::new(0),
        }
    }

    /// Whether anybody waits for a turn.
    #[inline]
    fn are_wanted(&self) -> bool {
        !self.queue.is_empty()
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
    pub(super) fn begin(&self, counts: Counts) -> Wait<'_> {
        let start = ticks();
        Wait {
            turns: self,
            start,
            last_call: start,
            counts,
            napped: None,
            promoted: false,
            passed: PASSED_ON.load(Ordering::Acquire),
            given: false,
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

    /// Sleeps in line until there may be a turn.
    fn rest(&self, wait: &mut Wait, counts: Counts) {
        SINCE.set(0);
        if !self.queue.stand() {
            self.queue.sleep();
            wait.promoted = true;
            wait.passed = self.taken.load(Ordering::Relaxed);
            return;
        }
        wait.napped = Some(counts);
        futex_wait(&PASSED_ON, wait.passed, Some(self.nap));
        let passed = PASSED_ON.load(Ordering::Acquire);
        wait.given = std::mem::replace(&mut wait.passed, passed) != passed;
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
            since if self.since(since) > self.long => {
                PASSED.set(true);
                self.pass();
            }
            _ => {}
        }
    }

    /// Wakes the thread that has waited longest, if any waits.
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
            self.turns.queue.stand();
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
        while !self.finds_turn(wait) {
            let counts = self.counts();
            match self.turns.patience_ends(wait, counts) {
                None => self.turns.rest(wait, counts),
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
    pub(super) fn is_interrupted(&self) -> bool {
        let mut slots = self.opened().iter();
        slots.any(|slot| slot.is_busy() && slot.is_own())
    }

    /// The same, but for calls that a handler has left by longjmp(3), which leaves their lanes in use: the stack has been taken back above
    /// them.
    pub fn is_amid_a_call(&self) -> bool {
        let here = stack::here();
        let mut slots = self.opened().iter();
        slots.any(|slot| {
            let below = slot.place.load(Ordering::Relaxed) > here;
            below && slot.is_busy() && slot.is_own()
        })
    }

    /// Whether the processors bear one more thread that is awake in a call.
    pub(super) fn bear_another(&self) -> bool {
        self.awake() < self.turns.most || self.is_interrupted()
    }

    /// Whether a turn is free for the calling thread.
    fn finds_turn(&self, wait: &mut Wait) -> bool {
        if self.is_interrupted() {
            return true;
        }
        let most = self.turns.most;
        let gathers = self.gathers.load(Ordering::Relaxed);
        // While nobody waits it does not matter whether who called last is about to call again.
        if (gathers || !self.turns.are_wanted()) && self.awake() < most {
            return true;
        }
        if !self.turns.queue.stand() {
            return false;
        }
        if std::mem::take(&mut wait.given) {
            return true;
        }
        if wait.promoted && wait.napped.is_none() {
            return false;
        }
        if self.turns.alone {
            return self.awake() < most;
        }
        let slots = |before| self.opened().iter().zip(before);
        let called = |before| slots(before).filter(|(slot, before)| slot.count() != *before);
        let mut seen = None;
        let before = wait.napped.filter(|_| !gathers).unwrap_or_else(|| {
            let before = self.counts();
            seen = self.turns.look(|| match gathers {
                true => (self.awake() < most).then_some(true),
                false => (called(before).count() >= most).then_some(false),
            });
            before
        });
        let have_turns = slots(before)
            .filter(|(slot, before)| slot.is_awake() || !slot.is_busy() && slot.count() != *before);
        seen.unwrap_or_else(|| have_turns.count() < most)
    }

    /// An idle lane, if there is one: best the one whose user has just passed its turn on.
    pub(super) fn idle_slot(&self) -> Option<Guard<'_>> {
        let passed = PASSED_SLOT.load(Ordering::Relaxed);
        let mut slots = (0..self.opened().len()).filter(|slot| *slot != passed);
        self.try_slot(passed)
            .or_else(|| slots.find_map(|slot| self.try_slot(slot)))
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
        for alone in [false, true] {
            let turns = Turns::new(Clock::measure(), alone);
            for (calls, expected) in [(0, TooLong::WithoutCalls), (1, TooLong::InAll)] {
                let mut counts = [0; MOST];
                let mut wait = turns.begin(counts);
                let ended = (0..10_000_000).find_map(|_| {
                    turns.rest(&mut wait, counts);
                    counts[0] += calls;
                    turns.patience_ends(&mut wait, counts)
                });
                assert_eq!(ended, Some(expected));
                drop(wait);
                assert!(!turns.are_wanted());
            }
        }
    }

    #[test]
    fn a_turn_is_passed_on_after_long_and_only_to_somebody() {
        let turns = Turns::new(Clock::measure(), false);
        turns.called();
        assert!(!PASSED.get(), "nobody waits");
        turns.queue.stand();
        turns.called();
        assert!(!PASSED.get(), "it has only begun");
        std::thread::sleep(Duration::from_micros(2 * LONG));
        turns.called();
        assert!(PASSED.get());
    }
}
