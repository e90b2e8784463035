//! Waiting for the other side: spin while it was recently fast, then sleep until its doorbell.
//!
//! # The race that the fences close
//!
//! A sleeper announces itself in a word (`sleeping = 1`), looks once more for a message, and sleeps. A waker
//! publishes a message and then looks at the word. Each side stores one location and loads the other; without a
//! fence between its store and its load a processor may let the load pass the store (as x86 does, out of its store
//! buffer), so that the sleeper misses the message and the waker misses the sleeper, and both wait for ever. With a
//! sequentially consistent fence on both sides, one of the fences is first in their single order: if the sleeper's
//! ([W1]), the waker's load sees `sleeping`; if the waker's ([W2]), the sleeper's last look sees the message.

use crate::clock::{ticks, Clock};
use crate::sync::{full_fence, give_way, relax, AtomicU32, Ordering};
use std::time::Duration;

/// Value of a sleep word whose owner is awake.
pub const AWAKE: u32 = 0;
/// Value of a sleep word whose owner sleeps or is about to.
pub const SLEEPING: u32 = 1;

/// How a sleep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wakeup {
    /// Rung, or spuriously: look again.
    Rung,
    /// The time limit passed.
    TimedOut,
    /// A signal handler ran.
    Interrupted,
}

/// Sleeps and wakes over one kind of boundary.
pub trait Doorbell {
    /// Sleeps while `word` is [`SLEEPING`], at most `limit`.
    fn sleep(&self, word: &AtomicU32, limit: Option<Duration>) -> Wakeup;
    /// Wakes the other side, which sleeps on `word`.
    fn wake(&self, word: &AtomicU32);
    /// Whether this side has been told by its own that it is served no more, whatever the shared words say.
    fn is_over(&self) -> bool {
        false
    }
}

/// Rings if the other side sleeps; called after a publish.
pub fn notify<D: Doorbell>(bell: &D, word: &AtomicU32) {
    // [W2] Orders the publish before the look at the word; pairs with [W1].
    full_fence();
    if word.load(Ordering::Relaxed) == SLEEPING {
        word.store(AWAKE, Ordering::Relaxed);
        bell.wake(word);
    }
}

/// Announces a sleep, looks once more by `poll`, and sleeps if nothing came.
pub fn sleep_unless<D: Doorbell, T>(
    bell: &D,
    word: &AtomicU32,
    limit: Option<Duration>,
    poll: impl FnOnce() -> Option<T>,
) -> Result<T, Wakeup> {
    word.store(SLEEPING, Ordering::Relaxed);
    // [W1] Orders the announcement before the last look; pairs with [W2].
    full_fence();
    let outcome = match poll() {
        Some(message) => Ok(message),
        None => Err(bell.sleep(word, limit)),
    };
    word.store(AWAKE, Ordering::Relaxed);
    outcome
}

/// Bounds of spinning, in microseconds and polls.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Longest spin while the peer is known to be fast.
    pub most: u32,
    /// Spin while it is known to be slow: enough to catch an answer that is already under way.
    pub least: u32,
    /// Polls before that, without `pause` (which costs up to 140 cycles, a good part of a whole round trip).
    pub glance: u32,
    /// Whether a spinner gives way to other threads. Not on a guest's kernel, where that costs a slow system call.
    pub gives_way: bool,
    /// Spin for a peer's first message.
    pub first: u32,
    /// Whether a spinner that finds its peer on its processor, or while it does not know where that is keeps finding
    /// others there, goes to another one. For threads that are the host's own: it touches their affinity.
    pub moves: bool,
}

impl Budget {
    /// The same for a thread of the host's. A program that asks for its session as it starts calls a tenth to a half of a
    /// millisecond later: a thread that slept until then would have to be woken.
    pub const fn moving(self) -> Budget {
        Budget {
            moves: true,
            first: 600,
            ..self
        }
    }

    /// A peer on the same kernel: a sleep costs about 45 µs there and back, so longer spins cannot pay.
    pub const LOCAL: Budget = Budget {
        most: 50,
        first: 50,
        least: 2,
        glance: 12_000,
        gives_way: true,
        moves: false,
    };
    /// A peer on another kernel, where a doorbell costs a guest system call and a line interrupt.
    pub const DEVICE: Budget = Budget {
        most: 200,
        first: 200,
        least: 4,
        glance: 12_000,
        gives_way: true,
        moves: false,
    };
    /// That peer, which nobody can ring: its shortest sleep takes longer than waking a shadow, so even an answer of
    /// one that slept is better awaited awake.
    pub const UNRUNG: Budget = Budget {
        least: 80,
        gives_way: false,
        ..Budget::DEVICE
    };
}

/// Decides how long to spin: by what waits took lately, and not at all while the processor is contended.
#[derive(Debug)]
pub struct Pacer {
    budget: Budget,
    ticks_per_us: u64,
    /// Running mean of waits, ticks; a wait that ended in a sleep counts as four budgets.
    estimate: u64,
    /// Waits for which to sleep early, because the last spins lost the processor.
    contended: u32,
    /// Waits since the last probe while the peer is thought slow.
    since_probe: u32,
    /// Waits for which to give way early, because the last ones found other spinners on this processor.
    crowded: u32,
    /// Others that it has found there since it found nobody.
    met: u32,
    /// When it went to another processor, ticks.
    moved: u64,
    /// The peer's processor, as it last said.
    peer: Option<u32>,
    /// The processor that the peer knows of.
    told: u32,
    /// No message has been awaited yet.
    fresh: bool,
}

/// A gap of this many microseconds between two polls means that another job ran on this processor. A job gets a slice
/// of about a millisecond; shorter gaps are interrupts, and the timer of a guest kernel takes tens of microseconds.
const PREEMPTED_US: u64 = 250;
/// Waits that sleep early after that.
const CALM_DOWN: u32 = 64;
/// How early, microseconds at most.
const CALM_US: u64 = 4;
/// Giving way that took longer than this, microseconds, let another thread run: without one it takes half of one.
const SHARED_US: u64 = 2;
/// Waits that give way early after that, and the polls that they begin with.
const CROWDED: (u32, u32) = (32, 16);
/// A thread that was woken may have been put on its peer's processor although another is idle. Two that give way to each
/// other, or wake each other, look busy, and the kernel leaves them there for many milliseconds. Where the processors are
/// all taken a move changes nothing, so there is one in so many microseconds at most; it takes ten.
const MOVE_EVERY_US: u64 = 250;
/// Others that it must have found before: who only passes by, such as whoever has woken it, is found once.
const MEETINGS: u32 = 4;
/// Polls between two times of giving way.
const POLLS: u32 = 8;
/// One wait in this many spins in full although the peer is thought slow, so that a fast one is found again.
const PROBE_EVERY: u32 = 16;

impl Pacer {
    /// A pacer that assumes a fast peer.
    pub fn new(budget: Budget, clock: Clock) -> Pacer {
        let budget = match clock.processors {
            0 | 1 => Budget {
                most: budget.least,
                first: budget.least,
                glance: 1,
                ..budget
            },
            _ => budget,
        };
        Pacer {
            budget,
            ticks_per_us: u64::from(clock.ticks_per_us.clamp(1, 100_000)),
            estimate: 0,
            contended: 0,
            since_probe: 0,
            crowded: 0,
            met: 0,
            moved: 0,
            peer: None,
            told: 0,
            fresh: true,
        }
    }

    /// How long the next wait may spin, ticks.
    fn allowance(&mut self) -> u64 {
        let (most, least) = (
            u64::from(self.budget.most) * self.ticks_per_us,
            u64::from(self.budget.least) * self.ticks_per_us,
        );
        if self.contended > 0 {
            self.contended -= 1;
            return least.min(CALM_US * self.ticks_per_us);
        }
        if std::mem::take(&mut self.fresh) {
            return u64::from(self.budget.first) * self.ticks_per_us;
        }
        if self.estimate > most {
            self.since_probe += 1;
            if self.since_probe < PROBE_EVERY {
                return least;
            }
            self.since_probe = 0;
        }
        most
    }

    /// Looks for a microsecond or two, without `pause` or a look at the clock: either costs more than a poll, and
    /// the answer to a short call of a peer that spins arrives within it.
    #[inline]
    pub fn glance<T>(&mut self, mut poll: impl FnMut() -> Option<T>) -> Option<T> {
        let polls = match self.crowded {
            0 => self.budget.glance,
            _ => CROWDED.1,
        };
        self.crowded = self.crowded.saturating_sub(1);
        let found = (0..polls).find_map(|_| poll());
        if found.is_some() {
            self.learn(0);
        }
        found
    }

    /// The rest of a spin, with `pause` between looks.
    ///
    /// There may be more spinners than processors, on both sides, and none knows of all the others. So a spinner gives
    /// way every few looks: the processor goes round among the spinners, and whoever has got what it waits for works.
    #[inline(never)]
    pub fn linger<T>(&mut self, mut poll: impl FnMut() -> Option<T>) -> Option<T> {
        let start = ticks();
        let most = u64::from(self.budget.most) * self.ticks_per_us;
        // Another job would keep the processor that it is given for a whole slice; the sleep that is near is better.
        let gives_way = self.budget.gives_way && self.contended == 0;
        let allowance = self.allowance();
        let mut last = start;
        while last.wrapping_sub(start) < allowance {
            for _ in 0..POLLS {
                if let Some(found) = poll() {
                    let wait = ticks().wrapping_sub(start);
                    // Two sides that sleep find each other slow only because they do, and would for ever: a spin in
                    // spite of the estimate that was not in vain tells more than the estimate. (One in vain tells that
                    // the peer needs this processor, or is slow indeed.)
                    match self.estimate > most {
                        true => self.estimate = wait,
                        false => self.learn(wait),
                    }
                    return Some(found);
                }
                relax();
            }
            if gives_way {
                let before = ticks();
                give_way();
                let after = ticks();
                if after.wrapping_sub(before) > SHARED_US * self.ticks_per_us {
                    let again = std::mem::replace(&mut self.crowded, CROWDED.0) > 0;
                    self.met = if again { self.met + 1 } else { 1 };
                    if self.met >= MEETINGS && self.peer.is_none() {
                        self.move_away();
                    }
                }
            }
            let now = ticks();
            if now.wrapping_sub(last) > PREEMPTED_US * self.ticks_per_us {
                // Never spin against a job that wants this processor: the peer may be waiting for it too.
                self.contended = CALM_DOWN;
                break;
            }
            last = now;
        }
        self.learn(4 * most);
        None
    }

    /// Tells the peer which processor this thread runs on, if that means anything to it.
    pub fn tell(&mut self, word: &AtomicU32) {
        if self.budget.gives_way {
            let here = crate::sync::processor().map_or(0, |number| number.wrapping_add(1));
            if std::mem::replace(&mut self.told, here) != here {
                word.store(here, Ordering::Relaxed);
            }
        }
    }

    /// Goes to another processor if this is the one that the peer says it runs on.
    pub fn meet(&mut self, word: &AtomicU32) {
        if self.budget.moves {
            self.peer = word.load(Ordering::Relaxed).checked_sub(1);
            if self.peer.is_some() && self.peer == crate::sync::processor() {
                self.move_away();
            }
        }
    }

    fn move_away(&mut self) {
        let now = ticks();
        let due = MOVE_EVERY_US * self.ticks_per_us;
        if self.budget.moves && now.wrapping_sub(self.moved) > due {
            self.moved = now;
            crate::sync::move_away();
        }
    }

    fn learn(&mut self, wait: u64) {
        self.estimate = self.estimate - self.estimate / 8 + wait / 8;
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::clock::pretended;

    /// Gives way to nobody: how long that takes is the machine's business.
    const STAYING: Budget = Budget {
        gives_way: false,
        ..Budget::LOCAL
    };

    #[test]
    fn a_slow_peer_is_not_spun_for_and_a_fast_one_is_found_again() {
        let mut pacer = Pacer::new(STAYING, pretended::begin());
        for _ in 0..20 {
            assert_eq!(pacer.linger(|| None::<()>), None);
        }
        pacer.contended = 0;
        let most = 50 * pacer.ticks_per_us;
        let long = (0..PROBE_EVERY)
            .filter(|_| pacer.allowance() == most)
            .count();
        assert_eq!(long, 1, "one probe in {PROBE_EVERY} waits");
        for _ in 0..40 {
            pacer.glance(|| Some(()));
        }
        assert_eq!(pacer.allowance(), most);
    }

    #[test]
    fn two_sides_that_sleep_find_back_to_spinning() {
        let mut pacer = Pacer::new(STAYING, pretended::begin());
        let most = 50 * pacer.ticks_per_us;
        pacer.estimate = 4 * most;
        // The peer sleeps too: its answer takes what waking it does.
        let answer = 20 * pacer.ticks_per_us;
        let in_vain = (0..10 * PROBE_EVERY)
            .take_while(|_| {
                let start = ticks();
                pacer
                    .linger(|| (ticks() - start > answer).then_some(()))
                    .is_none()
            })
            .count();
        assert!(in_vain < 10 * PROBE_EVERY as usize, "some probe finds it");
        assert!(pacer.estimate <= most);
    }

    #[test]
    fn only_a_peer_on_the_same_processor_is_left() {
        let mut pacer = Pacer::new(Budget::LOCAL.moving(), pretended::begin());
        for elsewhere in [0, u32::MAX] {
            pacer.meet(&AtomicU32::new(elsewhere));
            assert_eq!(pacer.moved, 0, "{elsewhere}");
        }
        let word = AtomicU32::new(0);
        // The kernel may move it between the two.
        let told = (0..1000).any(|_| {
            pacer.told = 0;
            pacer.tell(&word);
            pacer.meet(&word);
            pacer.moved != 0
        });
        assert!(told);
    }

    #[test]
    fn losing_the_processor_ends_the_spin() {
        let mut pacer = Pacer::new(
            Budget {
                most: 1_000_000,
                first: 1_000_000,
                ..STAYING
            },
            pretended::begin(),
        );
        let mut polls = 0;
        pacer.glance(|| None::<()>);
        pacer.linger(|| {
            polls += 1;
            if polls == 10 {
                pretended::pass(1_000_000);
            }
            None::<()>
        });
        // No more than those before the next look at the clock.
        assert!(polls <= 10 + POLLS, "{polls}");
        assert_eq!(pacer.contended, CALM_DOWN);
    }
}

#[cfg(all(test, loom))]
mod models {
    use super::*;
    use crate::ring::{Consumer, Producer, Ring};
    use crate::wire::Message;
    use loom::sync::{Arc, Condvar, Mutex};

    /// A futex as the kernel keeps its promise: the word is compared under the lock that the waker takes.
    #[derive(Default)]
    struct Futex {
        queue: Mutex<()>,
        woken: Condvar,
    }

    impl Doorbell for Futex {
        fn sleep(&self, word: &AtomicU32, _: Option<Duration>) -> Wakeup {
            let queue = self.queue.lock().unwrap();
            if word.load(Ordering::Relaxed) == SLEEPING {
                drop(self.woken.wait(queue).unwrap());
            }
            Wakeup::Rung
        }
        fn wake(&self, _: &AtomicU32) {
            let _queue = self.queue.lock().unwrap();
            self.woken.notify_all();
        }
    }

    /// [W1]/[W2]: no interleaving loses the wake-up. (Without either fence this model deadlocks.)
    #[test]
    fn no_wakeup_is_lost() {
        loom::model(|| {
            let shared = Arc::new((Ring::default(), AtomicU32::new(AWAKE), Futex::default()));
            let waker = shared.clone();
            let thread = loom::thread::spawn(move || {
                let (ring, word, bell) = &*waker;
                Producer::default().publish(
                    ring,
                    Message {
                        code: 1,
                        ..Message::default()
                    },
                );
                notify(bell, word);
            });
            let (ring, word, bell) = &*shared;
            let mut consumer = Consumer::default();
            let message = loop {
                if let Ok(message) = sleep_unless(bell, word, None, || consumer.poll(ring).unwrap())
                {
                    break message;
                }
            };
            assert_eq!(message.code, 1);
            thread.join().unwrap();
        });
    }
}
