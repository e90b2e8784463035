//! The region: what lies where in the memory that guest and host share.
//!
//! One header page, then a page for each lane (control words and two rings), then an arena for each lane. The slot of
//! a call is also the number of its chunk in the arena, so no offset ever travels and none needs checking.
#![allow(unsafe_code)]

use crate::clock::Clock;
use crate::commons::Commons;
use crate::ring::{Ring, DEPTH};
use crate::shm::{Mapping, Window};
use crate::sync::{AtomicU32, AtomicU64, Ordering};
use crate::types::Token;
use crate::wire::{flags, Message, ProtocolError};

/// "hostcall", little-endian.
pub const MAGIC: u64 = u64::from_le_bytes(*b"hostcall");
/// Version of layout and op table; the two sides must agree.
pub const VERSION: u32 = 5;
/// Size of the pages that the region is made of, bytes.
pub const PAGE: usize = 4096;
/// Bytes of payload that one call in flight may have.
pub const CHUNK: usize = 128 << 10;
/// Bytes of payload of a lane.
pub const ARENA: usize = CHUNK * DEPTH;
/// Most lanes of a region: a doorbell line names one in a byte, and the last value means the region itself.
pub const MOST_LANES: u32 = 255;

/// First page of a region.
#[derive(Debug)]
#[repr(C)]
pub struct Header {
    /// [`MAGIC`].
    pub magic: AtomicU64,
    /// [`VERSION`].
    pub version: AtomicU32,
    /// Lanes in the region.
    pub lanes: AtomicU32,
    /// Rate of [`ticks`](crate::clock::ticks), which a guest cannot measure cheaply.
    pub ticks_per_us: AtomicU32,
    /// Processors of the host: with one, nobody may spin.
    pub processors: AtomicU32,
    /// Guest: counts its questions whether the host still lives.
    pub ping: AtomicU32,
    /// Host: the last question answered.
    pub pong: AtomicU32,
    /// 1 if each call has the rights of its caller, which the guest then names.
    pub callers: AtomicU32,
    /// Counts the changes to the guest's exports.
    pub view: AtomicU32,
    /// Host: bytes written to a device guest's line.
    pub rung: AtomicU32,
    /// Guest: bytes that its resident has read from the line.
    pub heard: AtomicU32,
    /// Device guest: what its processes tell each other.
    pub commons: Commons,
    /// Guest: counts the looks of its resident at the lanes, which tell the host how time passes there.
    pub looks: AtomicU32,
}

const _: () = assert!(size_of::<Header>() <= PAGE);

/// Who owns a lane; the word changes only as the arrows of [`LaneState`] allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum LaneState {
    /// Nobody's; a guest thread takes it by compare-and-swap → `Claimed`.
    Free = 0,
    /// Taken; the claimer fills in [`Claim`](LanePage) → `Waiting`.
    Claimed = 1,
    /// Filled in; the host gives it a thread → `Served`, or refuses → `Dead`.
    Waiting = 2,
    /// Calls are answered. The guest → `Released` when it is done, the host → `Dead` when the session ends.
    Served = 3,
    /// Given back, or its owner died; the host lets go, wipes it → `Free`.
    Released = 4,
    /// The session has ended; the guest → `Released`.
    Dead = 5,
}

impl LaneState {
    /// The state with this number.
    pub fn from_word(word: u32) -> Option<LaneState> {
        use LaneState::*;
        [Free, Claimed, Waiting, Served, Released, Dead]
            .into_iter()
            .find(|state| *state as u32 == word)
    }
}

/// A cache line of its own, so that one side's stores do not take another's line away.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Line<T>(pub T);

/// What a claimer says of itself.
#[derive(Debug)]
#[repr(C)]
pub struct ClaimWords {
    process: [AtomicU64; 2],
    resume: [AtomicU64; 2],
    umask: AtomicU32,
}

/// What a claimer says of itself: all of it a guest's word, believed only inside that guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The guest process: lanes with the same key share a shadow.
    pub process: Token,
    /// A prepared or held session to take over, or [`Token::NONE`].
    pub resume: Token,
    /// The guest process's file mode creation mask, for a new session.
    pub umask: u32,
}

/// Control page of a lane.
#[derive(Debug)]
#[repr(C)]
pub struct LanePage {
    /// A [`LaneState`].
    pub state: Line<AtomicU32>,
    /// Guest: the call (its index + 1, cut to 32 bits) that is to be interrupted.
    pub cancel: Line<AtomicU32>,
    /// Sleep word of the guest's thread.
    pub guest_sleep: Line<AtomicU32>,
    /// Sleep word of the shadow's thread.
    pub host_sleep: Line<AtomicU32>,
    pub(crate) claim: Line<ClaimWords>,
    /// Guest to host.
    pub calls: Line<Ring>,
    /// Host to guest.
    pub replies: Line<Ring>,
    /// Device guest: 1 while its thread sleeps on a bell of its own kernel and wants the lane named on the line.
    pub bell: Line<AtomicU32>,
    /// Guest: one more than the host's processor on which its thread looked for an answer last; 0 if it cannot know.
    pub guest_processor: Line<AtomicU32>,
}

const _: () = {
    assert!(size_of::<LanePage>() <= PAGE);
    assert!(std::mem::offset_of!(LanePage, cancel) == 64);
    assert!(std::mem::offset_of!(LanePage, guest_sleep) == 128);
    assert!(std::mem::offset_of!(LanePage, host_sleep) == 192);
    assert!(std::mem::offset_of!(LanePage, claim) == 256);
    assert!(std::mem::offset_of!(LanePage, calls) == 320);
    assert!(std::mem::offset_of!(LanePage, replies) == 576);
    assert!(std::mem::offset_of!(LanePage, bell) == 832);
    assert!(std::mem::offset_of!(LanePage, guest_processor) == 896);
};

impl LanePage {
    /// Writes the claim; the claimer then stores [`LaneState::Waiting`] (release), which publishes it.
    pub fn set_claim(&self, claim: &Claim) {
        let words = &self.claim.0;
        for (to, from) in [
            (&words.process, claim.process),
            (&words.resume, claim.resume),
        ] {
            to.iter()
                .zip(from.0)
                .for_each(|(word, value)| word.store(value, Ordering::Relaxed));
        }
        words.umask.store(claim.umask, Ordering::Relaxed);
    }

    /// Reads the claim, each word once.
    pub fn claim(&self) -> Claim {
        let words = &self.claim.0;
        let token = |from: &[AtomicU64; 2]| {
            Token([
                from[0].load(Ordering::Relaxed),
                from[1].load(Ordering::Relaxed),
            ])
        };
        Claim {
            process: token(&words.process),
            resume: token(&words.resume),
            umask: words.umask.load(Ordering::Relaxed),
        }
    }

    /// The state, or `None` for a word that no version writes.
    pub fn state(&self) -> Option<LaneState> {
        // Acquire: pairs with the release of whoever stored the state, so that the claim or the wiped rings are seen.
        LaneState::from_word(self.state.0.load(Ordering::Acquire))
    }

    /// Stores a state and publishes what was written before.
    pub fn set_state(&self, state: LaneState) {
        self.state.0.store(state as u32, Ordering::Release);
    }

    /// Changes the state if it is still `from`.
    pub fn move_state(&self, from: LaneState, to: LaneState) -> bool {
        self.state
            .0
            .compare_exchange(from as u32, to as u32, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }
}

/// Bytes of a region with so many lanes.
pub fn size(lanes: u32) -> usize {
    PAGE + lanes as usize * (PAGE + ARENA)
}

/// Bytes that must be mapped to use lanes below `lanes` of a region that has `total`.
pub fn prefix_size(total: u32, lanes: u32) -> usize {
    PAGE + total as usize * PAGE + lanes as usize * ARENA
}

/// A mapped region, or the first part of one.
#[derive(Debug)]
pub struct Region {
    mapping: Mapping,
    lanes: u32,
}

impl Region {
    /// Writes the header of a fresh region on the host.
    pub fn create(mapping: Mapping, lanes: u32, clock: Clock) -> Region {
        let region = Region { mapping, lanes };
        region.write_header(clock);
        region
    }

    /// Host: maps a region that this side made. Its header may be the guest's by now and is not looked at.
    pub fn own(mapping: Mapping, lanes: u32) -> Result<Region, ProtocolError> {
        match mapping.len() >= size(lanes) {
            true => Ok(Region { mapping, lanes }),
            false => Err(ProtocolError::Header("region size")),
        }
    }

    /// Host: writes the header, whatever a guest has made of it.
    pub fn write_header(&self, clock: Clock) {
        let header = self.header();
        header.version.store(VERSION, Ordering::Relaxed);
        header.lanes.store(self.lanes, Ordering::Relaxed);
        header
            .ticks_per_us
            .store(clock.ticks_per_us, Ordering::Relaxed);
        header.processors.store(clock.processors, Ordering::Relaxed);
        header.magic.store(MAGIC, Ordering::Release);
    }

    /// Host: says whether each call has the rights of its caller, and which view the guest's exports make now.
    pub fn set_policy(&self, callers: bool, view: u32) {
        self.header()
            .callers
            .store(callers.into(), Ordering::Relaxed);
        self.set_view(view);
    }

    /// Host: the guest's exports have changed.
    pub fn set_view(&self, view: u32) {
        // Release: pairs with the acquire in `view`. Whoever sees the count begins a session with the new view, for
        // hostd has stopped giving out the old one.
        self.header().view.store(view, Ordering::Release);
    }

    /// Counts the changes to the guest's exports.
    pub fn view(&self) -> u32 {
        self.header().view.load(Ordering::Acquire)
    }

    /// Whether each call has the rights of its caller.
    pub fn has_callers(&self) -> bool {
        self.header().callers.load(Ordering::Relaxed) != 0
    }

    /// What the header says of the host's processors.
    pub fn clock(&self) -> Clock {
        Clock {
            ticks_per_us: self.header().ticks_per_us.load(Ordering::Relaxed),
            processors: self.header().processors.load(Ordering::Relaxed),
        }
    }

    /// Reads the header of a region that the host made.
    pub fn open(mapping: Mapping) -> Result<Region, ProtocolError> {
        if mapping.len() < PAGE {
            return Err(ProtocolError::Header("region size"));
        }
        let mut region = Region { mapping, lanes: 0 };
        let header = region.header();
        if header.magic.load(Ordering::Acquire) != MAGIC {
            return Err(ProtocolError::Header("magic number"));
        }
        if header.version.load(Ordering::Relaxed) != VERSION {
            return Err(ProtocolError::Header("version"));
        }
        let lanes = header.lanes.load(Ordering::Relaxed);
        if lanes == 0 || lanes > MOST_LANES {
            return Err(ProtocolError::Header("number of lanes"));
        }
        region.lanes = lanes;
        Ok(region)
    }

    /// First page.
    pub fn header(&self) -> &Header {
        // SAFETY: the mapping has at least a page, is aligned to one, and a `Header` is made of atomics only.
        unsafe { self.mapping.base().cast::<Header>().as_ref() }
    }

    /// Whether a quarter of the lanes or more are taken.
    pub fn lanes_are_short(&self) -> bool {
        let pages = (0..self.lanes()).filter_map(|lane| self.page(lane));
        let free = pages.filter(|page| page.state() == Some(LaneState::Free));
        free.count() < (self.lanes() - self.lanes() / 4) as usize
    }

    /// Lanes of the whole region.
    pub fn lanes(&self) -> u32 {
        self.lanes
    }

    /// Bytes mapped.
    pub fn mapped(&self) -> usize {
        self.mapping.len()
    }

    /// Control page of a lane; `None` if there is no such lane or it is not mapped.
    pub fn page(&self, lane: u32) -> Option<&LanePage> {
        let start = PAGE * (1 + lane as usize);
        if lane >= self.lanes || start + PAGE > self.mapping.len() {
            return None;
        }
        // SAFETY: in bounds by the check above, aligned to a page, and a `LanePage` is made of atomics only.
        Some(unsafe { self.mapping.base().add(start).cast::<LanePage>().as_ref() })
    }

    /// Arena of a lane; `None` if there is no such lane or it is not mapped.
    pub fn arena(&self, lane: u32) -> Option<Window<'_>> {
        let start = prefix_size(self.lanes, lane);
        if lane >= self.lanes || start + ARENA > self.mapping.len() {
            return None;
        }
        // SAFETY: in bounds by the check above; the window borrows the region, which keeps the mapping.
        Some(unsafe { Window::new(self.mapping.base().add(start), ARENA) })
    }

    /// Host: makes a lane as it was when the region was fresh. Nobody may be using it.
    pub fn wipe(&self, lane: u32) {
        let Some(page) = self.page(lane) else { return };
        // SAFETY: the page is in bounds; zeroing it word by word races with nobody but a hostile guest, which only
        // harms itself. Volatile, because the guest may look at any time.
        unsafe {
            let words = std::ptr::from_ref(page).cast::<u64>().cast_mut();
            // The state (first line) goes last, by the caller.
            for word in 8..PAGE / 8 {
                words.add(word).write_volatile(0);
            }
        }
    }
}

/// The bytes that a message in `slot` may use: its chunk, or the whole arena if it is alone.
pub fn payload<'w>(
    arena: Window<'w>,
    slot: usize,
    message: &Message,
) -> Result<Window<'w>, ProtocolError> {
    if message.flags & !flags::ALL != 0 {
        return Err(ProtocolError::UnknownFlags(message.flags));
    }
    let part = match message.flags & flags::WIDE {
        0 => arena.part(slot * CHUNK, CHUNK),
        _ => Some(arena),
    };
    part.ok_or(ProtocolError::Header("slot"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shm::sealed_memfd;
    use std::os::fd::AsFd;

    const CLOCK: Clock = Clock {
        ticks_per_us: 7,
        processors: 3,
    };

    fn region(lanes: u32) -> Region {
        let fd = sealed_memfd(c"region", size(lanes)).unwrap();
        Region::create(Mapping::new(fd.as_fd(), size(lanes)).unwrap(), lanes, CLOCK)
    }

    #[test]
    fn lanes_do_not_overlap_and_end_where_the_region_ends() {
        let region = region(3);
        assert_eq!(prefix_size(3, 3), size(3));
        let mut starts: Vec<usize> = (0..3)
            .map(|lane| region.arena(lane).unwrap().as_ptr() as usize)
            .collect();
        starts.push(region.mapping.base().as_ptr() as usize + size(3));
        assert!(starts.windows(2).all(|pair| pair[1] - pair[0] == ARENA));
        assert!(
            region.page(3).is_none()
                && region.arena(3).is_none()
                && region.page(u32::MAX).is_none()
        );
    }

    #[test]
    fn a_prefix_of_a_region_serves_its_first_lanes() {
        let fd = sealed_memfd(c"region", size(4)).unwrap();
        let whole = Region::create(Mapping::new(fd.as_fd(), size(4)).unwrap(), 4, CLOCK);
        let part = Region::open(Mapping::new(fd.as_fd(), prefix_size(4, 2)).unwrap()).unwrap();
        assert_eq!(part.clock(), CLOCK);
        whole.arena(1).unwrap().copy_in(b"same").unwrap();
        let mut seen = [0; 4];
        part.arena(1).unwrap().copy_out(&mut seen).unwrap();
        assert_eq!(&seen, b"same");
        assert!(part.arena(2).is_none() && part.page(3).is_some());
    }

    #[test]
    fn a_wiped_lane_is_fresh() {
        let region = region(1);
        let page = region.page(0).unwrap();
        let mut producer = crate::ring::Producer::default();
        producer.publish(&page.calls.0, Message::default());
        page.set_claim(&Claim {
            process: Token([1, 2]),
            resume: Token([3, 4]),
            umask: 0o22,
        });
        page.cancel.0.store(9, Ordering::Relaxed);
        region.wipe(0);
        page.set_state(LaneState::Free);
        assert_eq!(
            crate::ring::Consumer::default().poll(&page.calls.0),
            Ok(None)
        );
        assert_eq!(
            page.claim(),
            Claim {
                process: Token::NONE,
                resume: Token::NONE,
                umask: 0
            }
        );
        assert_eq!(page.cancel.0.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn hostile_flags_are_refused() {
        let mut bytes = vec![0; ARENA];
        let arena = Window::of(&mut bytes);
        for bit in 2..32 {
            let message = Message {
                flags: 1 << bit,
                ..Message::default()
            };
            assert!(payload(arena, 0, &message).is_err());
        }
        let wide = Message {
            flags: flags::WIDE,
            ..Message::default()
        };
        assert_eq!(payload(arena, 3, &wide).unwrap().len(), ARENA);
        assert_eq!(
            payload(arena, 3, &Message::default()).unwrap().as_ptr() as usize,
            arena.as_ptr() as usize + 3 * CHUNK
        );
    }
}
