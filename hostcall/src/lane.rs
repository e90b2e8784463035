//! The two ends of a lane: a guest's thread sends calls and receives replies, a shadow's thread does the reverse.

use crate::clock::Clock;
use crate::region::{payload, LanePage, LaneState};
use crate::ring::{Consumer, Producer, DEPTH};
use crate::shm::Window;
use crate::table::Request;
use crate::types::Errno;
use crate::wait::{notify, sleep_unless, Budget, Doorbell, Pacer, Wakeup};
use crate::wire::{Message, ProtocolError, Writer};
use std::time::Duration;

/// The guest's private half of a lane.
#[derive(Debug)]
pub struct GuestEnd {
    calls: Producer,
    replies: Consumer,
    pacer: Pacer,
    received: u64,
}

impl GuestEnd {
    /// The end of a fresh lane.
    pub fn new(budget: Budget, clock: Clock) -> GuestEnd {
        let pacer = Pacer::new(budget, clock);
        GuestEnd {
            calls: Producer::default(),
            replies: Consumer::default(),
            pacer,
            received: 0,
        }
    }

    /// Calls sent whose replies have not been received.
    pub fn in_flight(&self) -> usize {
        (self.calls.published() - self.received) as usize
    }

    /// Whether another call may be sent.
    pub fn has_room(&self) -> bool {
        self.in_flight() < DEPTH
    }

    /// Sends a call with [`flags`](crate::wire::flags); there must be room. An error means that nothing was sent.
    pub fn send<R: Request, D: Doorbell>(
        &mut self,
        page: &LanePage,
        arena: Window<'_>,
        bell: &D,
        request: &R,
        flags: u32,
    ) -> Result<(), Errno> {
        debug_assert!(self.has_room());
        let frame = Message {
            flags,
            ..Message::default()
        };
        let chunk = payload(arena, self.calls.slot(), &frame).map_err(|_| Errno(libc::EINVAL))?;
        let mut writer = Writer::new(R::OP as u32, R::SCALARS, chunk);
        request.encode(&mut writer)?;
        self.calls.publish(
            &page.calls.0,
            Message {
                flags,
                ..writer.finish()
            },
        );
        notify(bell, &page.host_sleep.0);
        Ok(())
    }

    /// The slot of the next call.
    pub fn call_slot(&self) -> usize {
        self.calls.slot()
    }

    /// The next reply, if it is there.
    pub fn look(&mut self, page: &LanePage) -> Result<Option<Message>, ProtocolError> {
        let found = self.replies.poll(&page.replies.0)?;
        self.received += u64::from(found.is_some());
        Ok(found)
    }

    /// The next reply's slot, which is its call's.
    pub fn reply_slot(&self) -> usize {
        self.replies.slot()
    }

    /// Waits for the next reply, in the order of the calls, at most `limit` asleep.
    pub fn receive<D: Doorbell>(
        &mut self,
        page: &LanePage,
        bell: &D,
        limit: Duration,
    ) -> Result<Result<Message, Wakeup>, ProtocolError> {
        let mut look = || self.replies.poll(&page.replies.0).transpose();
        let mut found = self.pacer.glance(&mut look);
        if found.is_none() {
            self.pacer.tell(&page.guest_processor.0);
            found = self.pacer.linger(&mut look);
        }
        let found = match found {
            Some(found) => Ok(found),
            None => sleep_unless(bell, &page.guest_sleep.0, Some(limit), look),
        };
        if matches!(found, Ok(Ok(_))) {
            self.received += 1;
        }
        found.map_or_else(|wakeup| Ok(Err(wakeup)), |reply| reply.map(Ok))
    }

    /// The number by which [`LanePage::cancel`] names the oldest call in flight.
    pub fn cancel_number(&self) -> u32 {
        call_number(self.received)
    }
}

/// Names the `index`th call of a lane in a cancel word; 0 names none for the first four thousand million calls.
pub fn call_number(index: u64) -> u32 {
    (index as u32).wrapping_add(1)
}

/// What the shadow's thread finds.
#[derive(Debug)]
pub enum Next<'l> {
    /// A call and the bytes that its payload may lie in.
    Call(Message, Window<'l>),
    /// The lane was given back, or its session is over.
    Closed,
}

/// The host's private half of a lane.
#[derive(Debug)]
pub struct HostEnd {
    calls: Consumer,
    replies: Producer,
    pacer: Pacer,
}

impl HostEnd {
    /// The end of a fresh lane.
    pub fn new(budget: Budget, clock: Clock) -> HostEnd {
        HostEnd {
            calls: Consumer::default(),
            replies: Producer::default(),
            pacer: Pacer::new(budget, clock),
        }
    }

    /// Waits for the next call.
    pub fn next<'l, D: Doorbell>(
        &mut self,
        page: &LanePage,
        arena: Window<'l>,
        bell: &D,
    ) -> Result<Next<'l>, ProtocolError> {
        let slot = self.calls.slot();
        let call = loop {
            // Before the calls: a guest that goes on making them would be served for ever.
            if bell.is_over() {
                return Ok(Next::Closed);
            }
            let mut look = || self.calls.poll(&page.calls.0).transpose();
            if let Some(found) = self.pacer.glance(&mut look) {
                break found?;
            }
            if page.state() != Some(LaneState::Served) {
                return Ok(Next::Closed);
            }
            let found = self.pacer.linger(&mut look);
            // The state is looked at again after the announcement, or a release that came in between would not wake us.
            let found = found.map_or_else(
                || {
                    sleep_unless(bell, &page.host_sleep.0, None, || match page.state() {
                        Some(LaneState::Served) if !bell.is_over() => look().map(Some),
                        _ => Some(None),
                    })
                },
                |found| Ok(Some(found)),
            );
            match found {
                Ok(Some(found)) => {
                    self.pacer.meet(&page.guest_processor.0);
                    break found?;
                }
                Ok(None) => return Ok(Next::Closed),
                Err(_) => continue,
            }
        };
        Ok(Next::Call(call, payload(arena, slot, &call)?))
    }

    /// Calls answered so far.
    pub fn answered(&self) -> u64 {
        self.replies.published()
    }

    /// Answers the call that was taken last.
    pub fn reply<D: Doorbell>(&mut self, page: &LanePage, bell: &D, answer: Message) {
        self.replies.publish(&page.replies.0, answer);
        notify(bell, &page.guest_sleep.0);
    }
}
