//! A lane in the hands of one thread: sending calls on it and waiting for their replies.
#![allow(unsafe_code)]

use super::interrupt::Wanted;
use super::{herald, heralds, this_thread, Client, LAST};
use crate::acting::ActsFor;
use crate::cancellation;
use crate::doorbell::{futex_wake, Bell};
use crate::lane::GuestEnd;
use crate::observer;
use crate::ops::Op;
use crate::region::{LaneState, Region, CHUNK};
use crate::ring::DEPTH;
use crate::shm::Window;
use crate::stack;
use crate::table::{Reply, Request};
use crate::types::Errno;
use crate::wait::{Doorbell, Wakeup};
use crate::wire::{Message, Reader};
use std::cell::Cell;
use std::sync::atomic::{fence, AtomicU32, Ordering};
use std::time::Duration;

/// Sleep before a look whether the host still lives.
const PATIENCE: Duration = Duration::from_millis(200);

/// The longest, to which it grows where the look is a question to hostd, which hundreds who
/// wait for long are not to keep busy.
const LONGEST_PATIENCE: Duration = Duration::from_millis(3200);

/// A sleep that a thread does nothing before: to call another in its place would cost more.
const SHORT: Duration = Duration::from_micros(500);

thread_local! {
    /// Bytes that reads of this thread have brought and its memory could not take.
    static SURPLUS: Cell<usize> = const { Cell::new(0) };
}

/// How many bytes this thread has read on the host, since it was asked last, that its memory could not take: as many too far
/// is the position of the file.
pub fn take_surplus() -> usize {
    SURPLUS.take()
}

/// More such bytes.
#[cold]
pub(crate) fn add_surplus(bytes: usize) {
    SURPLUS.set(SURPLUS.get() + bytes);
}

/// A doorbell before whose longer sleeps the thread does what it is to do.
struct Heralded<'r> {
    bell: Bell<'r>,
    /// Whether the sleep of the call goes on after a handler with `SA_RESTART`.
    restarts: bool,
}

/// A doorbell before whose sleeps the thread passes its turn on. Who is cancelled does not sleep in a call that blocks.
struct Passing<'c, 'r> {
    bell: Heralded<'r>,
    client: &'c Client,
    slot: usize,
    blocks: bool,
    /// The call is being given up already.
    cancelled: Cell<bool>,
}

impl Passing<'_, '_> {
    /// Announces a sleep that others may end; whether it is not to begin at all.
    fn is_cancelled(&self) -> bool {
        let sleeper = &self.client.slots[self.slot].sleeper;
        sleeper.store(cancellation::this_thread(), Ordering::Relaxed);
        // [K2] Orders the announcement before the look; pairs with [K1] of who cancels this thread.
        fence(Ordering::SeqCst);
        !self.cancelled.get() && cancellation::is_wanted()
    }
}

impl Doorbell for Passing<'_, '_> {
    fn sleep(&self, word: &AtomicU32, limit: Option<Duration>) -> Wakeup {
        let asleep = &self.client.slots[self.slot].asleep;
        asleep.store(true, Ordering::Relaxed);
        self.client.turns.pass();
        let woken = if self.blocks && self.is_cancelled() {
            self.cancelled.set(true);
            Wakeup::Interrupted
        } else {
            self.bell.sleep(word, limit)
        };
        if self.blocks {
            let sleeper = &self.client.slots[self.slot].sleeper;
            sleeper.store(0, Ordering::Relaxed);
        }
        asleep.store(false, Ordering::Relaxed);
        woken
    }
    fn wake(&self, word: &AtomicU32) {
        self.bell.wake(word);
    }
}

impl Doorbell for Heralded<'_> {
    fn sleep(&self, word: &AtomicU32, limit: Option<Duration>) -> Wakeup {
        if heralds() && limit.is_none_or(|limit| limit > SHORT) {
            match self.bell.sleep_in_a_call(word, Some(SHORT), self.restarts) {
                Wakeup::TimedOut => herald(),
                woken => return woken,
            }
        }
        self.bell.sleep_in_a_call(word, limit, self.restarts)
    }
    fn wake(&self, word: &AtomicU32) {
        self.bell.wake(word);
    }
}

/// A lane in the hands of one thread.
pub(crate) struct Guard<'c> {
    client: &'c Client,
    slot: usize,
    /// Replies that come first and nobody waits for: those of [posted](crate::acting::As::post_close) calls.
    owed: usize,
}

impl<'c> Guard<'c> {
    /// The hold on a slot whose `busy` word the calling thread has set.
    pub(super) fn of(client: &'c Client, slot: usize) -> Guard<'c> {
        LAST.set(slot);
        let entry = &client.slots[slot];
        entry.holder.store(this_thread(), Ordering::Relaxed);
        entry.place.store(stack::here(), Ordering::Relaxed);
        entry.asleep.store(false, Ordering::Relaxed);
        let calls = entry.calls.load(Ordering::Relaxed);
        entry.calls.store(calls.wrapping_add(1), Ordering::Relaxed);
        let mut guard = Guard {
            client,
            slot,
            owed: 0,
        };
        guard.owed = guard.parts().0.in_flight();
        guard
    }

    /// The chunk of the call that is sent after `ahead` others.
    pub(crate) fn chunk_ahead(&mut self, ahead: usize) -> Option<Window<'c>> {
        let slot = (self.parts().0.call_slot() + ahead) % DEPTH;
        let number = self.client.slots[self.slot].number.load(Ordering::Relaxed);
        self.client.region.arena(number)?.part(slot * CHUNK, CHUNK)
    }

    /// Says whether a thread that keeps the lane for longer than a call waits in it for an answer: while it does not, it takes no
    /// turn from others.
    pub(crate) fn set_awake(&self, awake: bool) {
        let entry = &self.client.slots[self.slot];
        entry.asleep.store(!awake, Ordering::Relaxed);
    }

    /// Whether another thread waits for a lane.
    pub(crate) fn is_wanted(&self) -> bool {
        self.client.waiters.load(Ordering::Relaxed) > 0
    }
}

impl Guard<'_> {
    fn parts(&mut self) -> (&mut GuestEnd, &Region, u32, Bell<'_>) {
        // SAFETY: this guard holds the slot's `busy` word, and `&mut self` makes it the only borrow.
        let lane = unsafe { &mut *self.client.slots[self.slot].lane.get() };
        let number = self.client.slots[self.slot].number.load(Ordering::Relaxed);
        let Some(end) = &mut lane.end else {
            unreachable!("a guard is made for a started lane only")
        };
        (
            end,
            &self.client.region,
            number,
            self.client.link.bell(&self.client.region, number),
        )
    }

    /// Sends a call.
    pub(crate) fn send<R: Request>(&mut self, request: &R, flags: u32) -> Result<(), Errno> {
        let (end, region, lane, bell) = self.parts();
        let (Some(page), Some(arena)) = (region.page(lane), region.arena(lane)) else {
            return Err(Errno(libc::ENOTCONN));
        };
        end.send(page, arena, &bell, request, flags)
    }

    /// Whether another call may be in flight.
    pub(crate) fn has_room(&mut self) -> bool {
        self.parts().0.has_room()
    }

    /// Whom the lane acts for.
    pub(crate) fn acts_for(&mut self) -> &mut ActsFor {
        // SAFETY: as in `parts`.
        unsafe { &mut (*self.client.slots[self.slot].lane.get()).acts_for }
    }

    /// Before a transfer that fills the arena.
    pub(crate) fn make_ready(&mut self) {
        // SAFETY: as in `parts`.
        let lane = unsafe { &mut *self.client.slots[self.slot].lane.get() };
        if !std::mem::replace(&mut lane.ready, true) {
            let (client, number) = (self.client, self.parts().2);
            client.link.make_ready(&client.region, number);
        }
    }

    /// Notes that a signal came; whether one had come before.
    fn note_signal(&mut self, came: bool) -> bool {
        // SAFETY: as in `parts`.
        let lane = unsafe { &mut *self.client.slots[self.slot].lane.get() };
        std::mem::replace(&mut lane.interrupted, came)
    }

    /// Takes the replies that nobody waits for.
    pub(crate) fn settle(&mut self) -> Result<(), Errno> {
        while self.owed > 0 {
            self.owed -= 1;
            self.receive_next(Op::CloseMany)?;
        }
        Ok(())
    }

    /// Waits for the reply to the oldest call that was sent with this hold on the lane.
    pub(crate) fn receive(&mut self, op: Op) -> Result<Message, Errno> {
        self.settle()?;
        self.receive_next(op)
    }

    /// That reply, if it is there.
    pub(crate) fn look(&mut self) -> Result<Option<Message>, Errno> {
        self.settle()?;
        let client = self.client;
        let (end, region, lane, _) = self.parts();
        let page = region.page(lane).ok_or(Errno(libc::ENOTCONN))?;
        end.look(page).map_err(|_| client.lose())
    }

    /// Has the next wait for a reply begin with cancelling its call.
    pub(crate) fn cancel_next(&mut self) {
        self.note_signal(true);
    }

    /// Waits for the next reply, however long it takes while the host lives. A signal cancels an op that blocks; one
    /// that comes while another op is waited for cancels the next that blocks and is already in flight behind it.
    fn receive_next(&mut self, op: Op) -> Result<Message, Errno> {
        let client = self.client;
        let blocks = op.blocks();
        let was_interrupted = self.note_signal(false);
        let slot = self.slot;
        let (end, region, lane, bell) = self.parts();
        let Some(page) = region.page(lane) else {
            return Err(client.lose());
        };
        let cancel = |end: &GuestEnd| {
            page.cancel.0.store(end.cancel_number(), Ordering::Release);
            client.link.attention(lane);
        };
        let wanted = Wanted::on(lane);
        if blocks && was_interrupted {
            cancel(end);
        }
        let bell = Passing {
            bell: Heralded {
                bell,
                restarts: op.restarts(),
            },
            client,
            slot,
            blocks,
            cancelled: Cell::new(false),
        };
        let (mut interrupted, mut patience) = (false, PATIENCE);
        loop {
            if blocks && (wanted.now() || wanted.is_possible() && client.lane_is_wanted()) {
                cancel(end);
            }
            match end.receive(page, &bell, patience) {
                Ok(Ok(message)) => {
                    let more = end.in_flight() > 0;
                    self.note_signal(interrupted && more);
                    return Ok(message);
                }
                Err(_) => return Err(client.lose()),
                Ok(Err(Wakeup::Interrupted)) => match blocks {
                    true => cancel(end),
                    false => interrupted = true,
                },
                Ok(Err(Wakeup::TimedOut)) if !client.link.alive(region) => {
                    return Err(client.lose())
                }
                Ok(Err(Wakeup::TimedOut)) if blocks && wanted.after_a_while() => cancel(end),
                Ok(Err(_)) => {
                    if client.link.is_shared() {
                        patience = (patience * 2).min(LONGEST_PATIENCE);
                    }
                }
            }
            // Ours is none of the other states: the host has let go of the lane, and will never answer.
            if !matches!(
                page.state(),
                Some(LaneState::Claimed | LaneState::Waiting | LaneState::Served)
            ) {
                return Err(client.lose());
            }
        }
    }

    /// Fetches what came back into the request's sinks and decodes the reply.
    pub(crate) fn finish<R: Request>(
        &mut self,
        request: &R,
        answer: Message,
    ) -> Result<R::Reply, Errno> {
        let outcome = self.decode(request, answer);
        observer::tell(request, &outcome);
        outcome
    }

    fn decode<R: Request>(&mut self, request: &R, answer: Message) -> Result<R::Reply, Errno> {
        if answer.code != 0 {
            return Err(Errno(answer.code as i32));
        }
        let client = self.client;
        let (end, region, lane, _) = self.parts();
        // The reply's slot is the one before the next.
        let slot = (end.reply_slot() + crate::ring::DEPTH - 1) % crate::ring::DEPTH;
        let Some(chunk) = region
            .arena(lane)
            .and_then(|arena| arena.part(slot * crate::region::CHUNK, crate::region::CHUNK))
        else {
            return Err(client.lose());
        };
        let mut reader =
            Reader::new(answer, R::Reply::SCALARS, chunk, &mut []).map_err(|_| client.lose())?;
        let brought = answer.payload as usize;
        let taken = request.fetch(chunk, brought);
        if taken < brought {
            return Guard::cut::<R>(answer, chunk, taken);
        }
        R::Reply::decode(&mut reader).map_err(|_| client.lose())
    }

    /// The reply of which the program's memory could take only the first bytes. What a read(2) brought so far it has read, as on a
    /// local file; everything else is worth nothing if it is not whole.
    #[cold]
    fn cut<R: Request>(
        answer: Message,
        chunk: Window<'_>,
        taken: usize,
    ) -> Result<R::Reply, Errno> {
        add_surplus(answer.payload as usize - taken);
        if R::OP != Op::Read || taken == 0 {
            return Err(Errno(libc::EFAULT));
        }
        let payload = taken as u32;
        let shorter = Message { payload, ..answer };
        Reader::new(shorter, R::Reply::SCALARS, chunk, &mut [])
            .and_then(|mut reader| R::Reply::decode(&mut reader))
            .map_err(|_| Errno(libc::EFAULT))
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        // Release: pairs with the acquire in `try_slot`.
        self.client.slots[self.slot]
            .busy
            .store(0, Ordering::Release);
        if self.client.waiters.load(Ordering::Relaxed) > 0 {
            self.client.freed.fetch_add(1, Ordering::Release);
            futex_wake(&self.client.freed, 1);
        }
        self.client.turns.called();
    }
}
