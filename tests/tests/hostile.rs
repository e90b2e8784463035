//! A hostile guest corrupts every word that it shares with the host, before and during calls.
//!
//! Ten million corruptions meet the host's half of a lane in this process, where a [`Spy`] checks every field that a
//! handler would be given; tens of thousands meet a real hostd with real shadows, while a well-behaved session checks
//! all its own answers.

use hostcall::lane::{HostEnd, Next};
use hostcall::ops::{self, Op, Spy};
use hostcall::region::{self, LanePage, LaneState, Region, ARENA, CHUNK};
use hostcall::ring::{Producer, DEPTH};
use hostcall::shm::{sealed_memfd, Mapping};
use hostcall::table::Witness;
use hostcall::types::Errno;
use hostcall::wait::{Budget, Doorbell, Wakeup};
use hostcall::wire::{flags, Extent, Message, ProtocolError, PATH_MAX, SCRATCH};
use hostcall_tests::generator::{self, Likely};
use hostcall_tests::peer::{corrupt, FRESH};
use hostcall_tests::random::Random;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// Holds that all memory a request refers to is where it may be.
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
                assert!(
                    (1..=PATH_MAX * 3).contains(&len),
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

const CLOCK: hostcall::wait::Clock = hostcall::wait::Clock {
    ticks_per_us: 1000,
    processors: 2,
};
const NO_SPIN: Budget = Budget { most: 0, least: 0 };
const NAMES: &[&[u8]] = &[b"a", b"b", b"d/e", b"..", b"/etc/passwd", b"", b"\xff\xfe"];

fn region() -> Region {
    let fd = sealed_memfd(c"hostile", region::size(1)).unwrap();
    Region::create(Mapping::new(fd.as_fd(), region::size(1)).unwrap(), 1, CLOCK)
}

/// What came of the host's half.
#[derive(Debug, Default)]
struct Outcome {
    mutations: u64,
    dispatched: u64,
    fields: u64,
    /// Sequence, op, flags, length, header, other.
    faults: [u64; 6],
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

/// Serves one lane of a region as a shadow's thread does, until the peer breaks the protocol or nothing is left.
fn serve(
    region: &Region,
    end: &mut HostEnd,
    scratch: &mut [u8],
    spy: &mut Spy<Bounds>,
    outcome: &mut Outcome,
) -> Result<(), ProtocolError> {
    let (page, arena) = (region.page(0).unwrap(), region.arena(0).unwrap());
    let spinners = AtomicU32::new(0);
    // A hostile ring may seem to hold calls for ever; a session is as good as any other after so many.
    for _ in 0..4 * DEPTH {
        let Next::Call(call, chunk) = end.next(page, arena, &Ends(page), &spinners, 0)? else {
            return Ok(());
        };
        let wide = call.flags & flags::WIDE != 0;
        assert_eq!(chunk.len(), if wide { ARENA } else { CHUNK });
        spy.0.chunk = (chunk.as_ptr() as usize, chunk.len());
        spy.0.private.clear();
        let answer = ops::dispatch(spy, call, chunk, scratch)?;
        outcome.dispatched += 1;
        assert!(answer.payload as usize <= ARENA);
        end.reply(page, &Ends(page), answer);
    }
    Ok(())
}

fn storm(seed: u64, mutations: u64) -> Outcome {
    let mut random = Random::announced(seed);
    let region = region();
    let (page, arena) = (region.page(0).unwrap(), region.arena(0).unwrap());
    let mut scratch = vec![0; SCRATCH];
    let bounds = Bounds {
        scratch: (scratch.as_ptr() as usize, scratch.len()),
        arena: (arena.as_ptr() as usize, arena.len()),
        chunk: (0, 0),
        private: Vec::new(),
        fields: 0,
        random: Random::new(seed),
    };
    let mut spy = Spy(bounds);
    let mut outcome = Outcome::default();
    while outcome.mutations < mutations {
        region.wipe(0);
        page.set_claim(&FRESH);
        page.set_state(LaneState::Served);
        let (mut end, mut calls) = (HostEnd::new(NO_SPIN, CLOCK), Producer::default());
        for _ in 0..8 {
            for _ in 0..random.below(DEPTH + 1) {
                let op = random.one_of(Op::ALL);
                let chunk = arena.part(calls.slot() * CHUNK, CHUNK).unwrap();
                let message = generator::call(
                    op,
                    &mut Likely {
                        random: &mut random,
                        names: NAMES,
                    },
                    chunk,
                );
                let flags = if random.chance(3) {
                    random.below(4) as u32
                } else {
                    0
                };
                calls.publish(&page.calls.0, Message { flags, ..message });
            }
            let hits = random.below(12);
            (0..hits).for_each(|_| corrupt(&region, 0, &mut random));
            outcome.mutations += hits as u64;
            if random.chance(2) {
                page.set_state(LaneState::Served);
            }
            if let Err(error) = serve(&region, &mut end, &mut scratch, &mut spy, &mut outcome) {
                outcome.faults[kind(&error)] += 1;
                break;
            }
            if page.state() != Some(LaneState::Served) && random.chance(2) {
                break;
            }
            page.set_state(LaneState::Served);
        }
    }
    outcome.fields = spy.0.fields;
    outcome
}

/// [`storm`] is repeatable; here the corruption comes at the same time as the calls.
fn race(seed: u64, mutations: u64) -> Outcome {
    let region = region();
    let (done, count) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut outcome = Outcome::default();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut random = Random::announced(seed);
            while count.load(Ordering::Relaxed) < mutations {
                (0..64).for_each(|_| corrupt(&region, 0, &mut random));
                count.fetch_add(64, Ordering::Relaxed);
            }
            done.store(true, Ordering::Relaxed);
        });
        let mut random = Random::new(seed + 1);
        let (page, arena) = (region.page(0).unwrap(), region.arena(0).unwrap());
        let mut scratch = vec![0; SCRATCH];
        let bounds = Bounds {
            scratch: (scratch.as_ptr() as usize, scratch.len()),
            arena: (arena.as_ptr() as usize, arena.len()),
            chunk: (0, 0),
            private: Vec::new(),
            fields: 0,
            random: Random::new(seed),
        };
        let mut spy = Spy(bounds);
        while !done.load(Ordering::Relaxed) {
            region.wipe(0);
            page.set_state(LaneState::Served);
            let (mut end, mut calls) = (HostEnd::new(NO_SPIN, CLOCK), Producer::default());
            for _ in 0..DEPTH {
                let op = random.one_of(Op::ALL);
                let chunk = arena.part(calls.slot() * CHUNK, CHUNK).unwrap();
                let message = generator::call(
                    op,
                    &mut Likely {
                        random: &mut random,
                        names: NAMES,
                    },
                    chunk,
                );
                calls.publish(&page.calls.0, message);
                page.set_state(LaneState::Served);
                if let Err(error) = serve(&region, &mut end, &mut scratch, &mut spy, &mut outcome) {
                    outcome.faults[kind(&error)] += 1;
                    break;
                }
            }
        }
        outcome.fields = spy.0.fields;
    });
    outcome.mutations = count.into_inner();
    outcome
}

#[test]
fn ten_million_corruptions_never_reach_outside_the_lane() {
    let outcomes: Vec<Outcome> = std::thread::scope(|scope| {
        let storms: Vec<_> = [(1, 4_200_000), (2, 4_200_000)]
            .into_iter()
            .map(|(seed, n)| scope.spawn(move || storm(seed, n)))
            .collect();
        storms
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .chain([race(3, 2_000_000)])
            .collect()
    });
    println!("{outcomes:?}");
    let sum = |of: fn(&Outcome) -> u64| outcomes.iter().map(of).sum::<u64>();
    assert!(sum(|outcome| outcome.mutations) >= 10_000_000);
    assert!(
        sum(|outcome| outcome.dispatched) >= 100_000,
        "calls are still served among the corruption"
    );
    assert!(sum(|outcome| outcome.fields) >= 100_000);
    for outcome in &outcomes {
        assert!(
            outcome.faults[..5].iter().all(|count| *count > 0),
            "every kind of fault was met: {outcome:?}"
        );
        assert_eq!(outcome.faults[5], 0);
    }
}
