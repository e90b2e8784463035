//! Who waits for a turn, in the order in which they came.
//!
//! Each takes a ticket. Only the first in line looks for a turn; the others sleep until it leaves and wakes the next. One
//! that never leaves, for a signal handler has jumped out of its wait, is passed over after a while.

#[cfg(not(loom))]
use crate::doorbell::{futex_wait, futex_wake};
#[cfg(loom)]
use crate::futex_model::{futex_wait, futex_wake};
use crate::sync::{full_fence, AtomicU32, Ordering};
use crate::wait::Wakeup;
use std::cell::Cell;
use std::time::Duration;

/// How long one may be the first in line while another waits behind it: many turns.
const PATIENCE: Duration = Duration::from_millis(20);
/// Places to sleep at. Tickets beyond them share one, and wake in vain now and then.
const PLACES: usize = if cfg!(loom) { 2 } else { 32 };

/// The queue in which the thread stands, and its ticket. A handler that interrupts the wait stands there in its place.
type Ticket = Cell<Option<(usize, u32)>>;

#[cfg(not(loom))]
thread_local! {
    static TICKET: Ticket = const { Cell::new(None) };
}
#[cfg(loom)]
loom::thread_local! {
    static TICKET: Ticket = Cell::new(None);
}

/// A queue of threads.
pub(super) struct Queue {
    /// The ticket of who comes next.
    next: AtomicU32,
    /// The ticket of who is first; no ticket yet if nobody waits.
    first: AtomicU32,
    /// Futexes that count who became first, by ticket.
    places: [AtomicU32; PLACES],
}

impl Queue {
    pub(super) fn new() -> Queue {
        Queue {
            next: AtomicU32::new(0),
            first: AtomicU32::new(0),
            places: std::array::from_fn(|_| AtomicU32::new(0)),
        }
    }

    /// Whether nobody waits.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.first.load(Ordering::Relaxed) == self.next.load(Ordering::Relaxed)
    }

    fn name(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    fn ticket(&self) -> Option<u32> {
        let (queue, ticket) = TICKET.with(Cell::get)?;
        (queue == self.name()).then_some(ticket)
    }

    fn place(&self, ticket: u32) -> &AtomicU32 {
        &self.places[ticket as usize % PLACES]
    }

    /// Whether a ticket is the first, or has been passed over.
    fn has_come(&self, ticket: u32) -> bool {
        self.first.load(Ordering::Acquire).wrapping_sub(ticket) as i32 >= 0
    }

    /// Puts the calling thread into line, if it is not; whether it is the first.
    pub(super) fn stand(&self) -> bool {
        let ticket = self.ticket().unwrap_or_else(|| {
            let ticket = self.next.fetch_add(1, Ordering::Relaxed);
            // [Q1] Orders taking a ticket before the look for who is first; pairs with [Q2]. Else whoever leaves could see nobody
            // behind it, while this one sees it still there and sleeps.
            full_fence();
            TICKET.with(|own| own.set(Some((self.name(), ticket))));
            ticket
        });
        self.has_come(ticket)
    }

    /// Sleeps until the calling thread, which stands in line, may have become the first.
    pub(super) fn sleep(&self) {
        let Some(ticket) = self.ticket() else {
            return;
        };
        let place = self.place(ticket);
        // The place before who is first, as `advance` writes them the other way round: whoever comes in between ends the sleep.
        let seen = place.load(Ordering::Acquire);
        let first = self.first.load(Ordering::Acquire);
        if self.has_come(ticket) {
            return;
        }
        if futex_wait(place, seen, Some(PATIENCE)) == Wakeup::TimedOut {
            self.advance(first);
        }
    }

    /// Takes the calling thread out of line, if it stands there.
    pub(super) fn leave(&self) {
        if let Some(ticket) = self.ticket() {
            TICKET.with(|own| own.set(None));
            self.advance(ticket);
        }
    }

    /// Lets the one behind `ticket` be the first, if that is.
    fn advance(&self, ticket: u32) {
        let next = ticket.wrapping_add(1);
        let (success, failure) = (Ordering::AcqRel, Ordering::Relaxed);
        let moved = self.first.compare_exchange(ticket, next, success, failure);
        if moved.is_err() {
            return;
        }
        // [Q2] Orders leaving before the look for who is behind; pairs with [Q1].
        full_fence();
        if !self.is_empty() {
            let place = self.place(next);
            place.fetch_add(1, Ordering::Release);
            futex_wake(place, i32::MAX);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::thread;

    fn await_first(queue: &Queue) {
        while !queue.stand() {
            queue.sleep();
        }
    }

    #[test]
    fn who_came_first_is_first() {
        let (queue, order) = (Queue::new(), Mutex::new(Vec::new()));
        await_first(&queue);
        thread::scope(|scope| {
            // More than there are places.
            for number in 0..2 * PLACES as u32 {
                let (queue, order) = (&queue, &order);
                scope.spawn(move || {
                    await_first(queue);
                    order.lock().unwrap().push(number);
                    queue.leave();
                });
                while queue.next.load(Ordering::Relaxed) != number + 2 {
                    thread::yield_now();
                }
            }
            queue.leave();
        });
        let order = order.into_inner().unwrap();
        assert!(order.is_sorted(), "{order:?}");
        assert!(queue.is_empty());
    }

    #[test]
    fn who_never_leaves_is_passed_over() {
        let queue = Queue::new();
        thread::scope(|scope| {
            // Three waits that nobody comes back to.
            (0..3).for_each(|_| {
                scope.spawn(|| queue.stand()).join().unwrap();
            });
            scope.spawn(|| {
                await_first(&queue);
                queue.leave();
            });
        });
        assert!(queue.is_empty());
    }

    #[test]
    fn a_handler_stands_where_its_thread_stood() {
        let queue = Queue::new();
        await_first(&queue);
        // The handler's wait, and its end.
        assert!(queue.stand());
        queue.leave();
        assert!(queue.is_empty());
        // The thread's own goes on, from the end of the line.
        assert!(queue.stand());
        queue.leave();
        assert!(queue.is_empty());
    }
}

#[cfg(all(test, loom))]
mod models {
    use super::*;
    use crate::futex_model::let_time_fly;
    use loom::sync::{Arc, Mutex};
    use loom::thread;

    /// Threads change where they need not at most so often. More finds nothing more here and takes minutes.
    const PREEMPTIONS: usize = 3;

    /// Some threads wait for a turn each, behind so many that have died in line, or are not in this copy of the process. The
    /// tickets in the order of the turns.
    fn turns(threads: usize, dead: u32, check: fn(Vec<u32>)) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(PREEMPTIONS);
        builder.check(move || {
            let shared = Arc::new((Queue::new(), Mutex::new(Vec::new())));
            shared.0.next.store(dead, Ordering::Relaxed);
            let turn = |(queue, turns): &(Queue, Mutex<Vec<u32>>)| {
                while !queue.stand() {
                    queue.sleep();
                }
                turns.lock().unwrap().extend(queue.ticket());
                queue.leave();
            };
            let other = || {
                let shared = shared.clone();
                thread::spawn(move || turn(&shared))
            };
            let others: Vec<_> = (1..threads).map(|_| other()).collect();
            turn(&shared);
            others.into_iter().for_each(|other| other.join().unwrap());
            assert!(shared.0.is_empty());
            let turns = shared.1.lock().unwrap().clone();
            check(turns);
        });
    }

    /// [Q1]/[Q2]: no interleaving loses the wake-up. (Without either fence this model deadlocks.)
    #[test]
    fn nobody_is_forgotten_and_who_came_first_is_first() {
        let_time_fly(false);
        turns(3, 0, |turns| assert_eq!(turns, [0, 1, 2]));
    }

    #[test]
    fn who_has_died_in_line_is_passed_over() {
        let_time_fly(true);
        turns(2, 2, |mut turns| {
            turns.sort_unstable();
            assert_eq!(turns, [2, 3]);
        });
    }

    #[test]
    fn who_is_passed_over_alive_has_a_turn_too() {
        let_time_fly(true);
        turns(3, 0, |mut turns| {
            turns.sort_unstable();
            assert_eq!(turns, [0, 1, 2]);
        });
    }
}
