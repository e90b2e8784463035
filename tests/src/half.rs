//! The host's half of a lane without a host: a shadow's loop whose handler holds that every field is in bounds.

use crate::random::Random;
use hostcall::clock::Clock;
use hostcall::lane::{HostEnd, Next};
use hostcall::ops::{self, Op, Spy};
use hostcall::region::{self, LanePage, LaneState, Region, ARENA, CHUNK};
use hostcall::ring::DEPTH;
use hostcall::shm::{sealed_memfd, Mapping};
use hostcall::table::Witness;
use hostcall::types::Errno;
use hostcall::wait::{Budget, Doorbell, Wakeup};
use hostcall::wire::{flags, Extent, Message, ProtocolError, PATH_MAX, SCRATCH};
use std::os::fd::AsFd;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

/// A fresh region with one lane.
///
/// # Panics
/// There is no memory for it.
pub fn region() -> Region {
    let fd = sealed_memfd(c"hostile", region::size(1)).expect("a memfd");
    Region::create(
        Mapping::new(fd.as_fd(), region::size(1)).expect("a mapping"),
        1,
        CLOCK,
    )
}

/// A shadow's private memory and what came of it all.
#[derive(Debug)]
pub struct Half {
    scratch: Vec<u8>,
    spy: Spy<Bounds>,
    /// What came of it so far.
    pub outcome: Outcome,
}

impl Half {
    /// The half for lane 0 of a region; answers are random.
    ///
    /// # Panics
    /// The region has no lane.
    pub fn new(region: &Region, seed: u64) -> Half {
        let (arena, scratch) = (region.arena(0).expect("a lane"), vec![0; SCRATCH]);
        let bounds = Bounds {
            scratch: (scratch.as_ptr() as usize, scratch.len()),
            arena: (arena.as_ptr() as usize, arena.len()),
            chunk: (0, 0),
            private: Vec::new(),
            fields: 0,
            random: Random::new(seed),
        };
        Half {
            scratch,
            spy: Spy(bounds),
            outcome: Outcome::default(),
        }
    }

    /// An end for a fresh lane.
    pub fn end() -> HostEnd {
        HostEnd::new(NO_SPIN, CLOCK)
    }

    /// Serves lane 0 as a shadow's thread does, until the peer breaks the protocol (true) or nothing is left.
    ///
    /// # Panics
    /// A field reaches outside its bounds.
    pub fn serve(&mut self, region: &Region, end: &mut HostEnd) -> bool {
        let served = self.run(region, end);
        self.outcome.fields = self.spy.0.fields;
        match served {
            Ok(()) => false,
            Err(error) => {
                self.outcome.faults[kind(&error)] += 1;
                true
            }
        }
    }

    fn run(&mut self, region: &Region, end: &mut HostEnd) -> Result<(), ProtocolError> {
        let (page, arena) = (
            region.page(0).expect("a lane"),
            region.arena(0).expect("a lane"),
        );
        // A hostile ring may seem to hold calls for ever; a session is as good as any other after so many.
        for _ in 0..4 * DEPTH {
            let Next::Call(call, chunk) = end.next(page, arena, &Ends(page))? else {
                return Ok(());
            };
            let wide = call.flags & flags::WIDE != 0;
            assert_eq!(chunk.len(), if wide { ARENA } else { CHUNK });
            self.spy.0.chunk = (chunk.as_ptr() as usize, chunk.len());
            self.spy.0.private.clear();
            let answer = ops::dispatch(&mut self.spy, call, chunk, &mut self.scratch)?;
            self.outcome.dispatched += 1;
            assert!(answer.payload as usize <= ARENA);
            end.reply(page, &Ends(page), answer);
        }
        Ok(())
    }
}

/// Holds that all memory a request refers to is where it may be.
#[derive(Debug)]
struct Bounds {
    scratch: (usize, usize),
    arena: (usize, usize),
    /// The chunk of the call's slot; all of the arena for a wide call.
    chunk: (usize, usize),
    private: Vec<(usize, usize)>,
    fields: u64,
    random: Random,
}

impl Bounds {
    fn within(&self, (at, len): (usize, usize), (start, room): (usize, usize)) -> bool {
        at >= start && at - start <= room && len <= room - (at - start)
    }
}

impl Witness for Bounds {
    fn field(&mut self, op: Op, name: &'static str, extent: Extent) {
        self.fields += 1;
        match extent {
            Extent::None => {}
            Extent::Private(at, len) => {
                assert!(
                    self.within((at, len), self.scratch),
                    "{op:?}.{name}: {len} bytes outside the private copy"
                );
                // A path has its NUL at least; a caller may be in no group.
                let fields = op.spec().request.iter();
                let paths = fields.filter(|field| field.kind == "path");
                let is_path = paths.map(|field| field.name).any(|path| path == name);
                assert!(
                    (usize::from(is_path)..=PATH_MAX * 3).contains(&len),
                    "{op:?}.{name}: {len} bytes"
                );
                for other in &self.private {
                    assert!(
                        at + len <= other.0 || other.0 + other.1 <= at,
                        "{op:?}.{name} overlaps another copy"
                    );
                }
                self.private.push((at, len));
            }
            Extent::Shared(at, len) => {
                assert!(
                    self.within((at, len), self.arena),
                    "{op:?}.{name}: {len} bytes outside the arena"
                );
                assert!(
                    self.within((at, len), self.chunk),
                    "{op:?}.{name}: {len} bytes outside the call's chunk"
                );
            }
        }
    }

    fn answer(&mut self, _: Op) -> Result<Message, Errno> {
        self.private.clear();
        match self.random.chance(4) {
            true => Err(Errno(libc::ENOENT)),
            false => Ok(Message {
                payload: self.random.below(CHUNK) as u32,
                words: std::array::from_fn(|_| self.random.word()),
                ..Message::default()
            }),
        }
    }
}

/// A doorbell that does not sleep but ends the session, so that a driver never waits.
struct Ends<'p>(&'p LanePage);

impl Doorbell for Ends<'_> {
    fn sleep(&self, _: &AtomicU32, _: Option<Duration>) -> Wakeup {
        self.0.set_state(LaneState::Dead);
        Wakeup::Rung
    }
    fn wake(&self, _: &AtomicU32) {}
}

const CLOCK: Clock = Clock {
    ticks_per_us: 1000,
    // One, so that nobody spins for calls that do not come.
    processors: 1,
};
const NO_SPIN: Budget = Budget {
    most: 0,
    first: 0,
    least: 0,
    glance: 1,
    gives_way: false,
    moves: false,
};

/// What came of the host's half.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Corruptions, counted by the peer.
    pub mutations: u64,
    /// Calls that reached a handler.
    pub dispatched: u64,
    /// Fields whose bounds were held.
    pub fields: u64,
    /// Protocol errors: sequence, op, flags, length, header, other.
    pub faults: [u64; 6],
}

fn kind(error: &ProtocolError) -> usize {
    match error {
        ProtocolError::Sequence { .. } => 0,
        ProtocolError::UnknownOp(_) => 1,
        ProtocolError::UnknownFlags(_) => 2,
        ProtocolError::Length { .. } => 3,
        ProtocolError::Header(_) => 4,
        _ => 5,
    }
}
