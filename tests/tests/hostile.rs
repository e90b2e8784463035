//! A hostile guest corrupts every word that it shares with the host, before and during calls.
//!
//! Ten million corruptions meet the host's half of a lane in this process, where every field that a handler would
//! be given is held to its bounds. `hostile_live.rs` does the same to a real hostd with real shadows.

use hostcall::ops::Op;
use hostcall::region::{LaneState, Region, CHUNK};
use hostcall::ring::{Producer, DEPTH};
use hostcall::wire::Message;
use hostcall_tests::daemon::PATIENCE;
use hostcall_tests::generator::{self, Likely};
use hostcall_tests::half::{region, Half, Outcome};
use hostcall_tests::peer::{corrupt, FRESH};
use hostcall_tests::random::Random;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

const NAMES: &[&[u8]] = &[b"a", b"b", b"d/e", b"..", b"/etc/passwd", b"", b"\xff\xfe"];

/// Publishes a well-formed call.
fn publish(region: &Region, calls: &mut Producer, random: &mut Random, flags: u32) {
    let (page, arena) = (region.page(0).unwrap(), region.arena(0).unwrap());
    let op = random.one_of(Op::ALL);
    let chunk = arena.part(calls.slot() * CHUNK, CHUNK).unwrap();
    let message = generator::call(
        op,
        &mut Likely {
            random,
            names: NAMES,
        },
        chunk,
    );
    calls.publish(&page.calls.0, Message { flags, ..message });
}

fn storm(seed: u64, mutations: u64) -> Outcome {
    let mut random = Random::announced(seed);
    let region = region();
    let page = region.page(0).unwrap();
    let mut half = Half::new(&region, seed);
    while half.outcome.mutations < mutations {
        region.wipe(0);
        page.set_claim(&FRESH);
        page.set_state(LaneState::Served);
        let (mut end, mut calls) = (Half::end(), Producer::default());
        for _ in 0..8 {
            for _ in 0..random.below(DEPTH + 1) {
                let flags = if random.chance(3) {
                    random.below(4) as u32
                } else {
                    0
                };
                publish(&region, &mut calls, &mut random, flags);
            }
            let hits = random.below(12);
            (0..hits).for_each(|_| corrupt(&region, 0, &mut random));
            half.outcome.mutations += hits as u64;
            if random.chance(2) {
                page.set_state(LaneState::Served);
            }
            if half.serve(&region, &mut end)
                || page.state() != Some(LaneState::Served) && random.chance(2)
            {
                break;
            }
            page.set_state(LaneState::Served);
        }
    }
    half.outcome
}

/// [`storm`] is repeatable; here the corruption comes at the same time as the calls. What it meets depends on the
/// schedule, so it goes on until it has met every kind of fault.
fn race(seed: u64, mutations: u64) -> Outcome {
    let region = region();
    let (done, met, count) = (
        AtomicBool::new(false),
        AtomicBool::new(false),
        AtomicU64::new(0),
    );
    let mut half = Half::new(&region, seed);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut random, start) = (Random::announced(seed), Instant::now());
            let enough = || count.load(Ordering::Relaxed) >= mutations;
            while !enough() || !met.load(Ordering::Relaxed) && start.elapsed() < PATIENCE {
                // Short bursts: where the two threads take turns, a call meets a few corruptions, not thousands.
                let hits = 1 + random.below(64) as u64;
                (0..hits).for_each(|_| corrupt(&region, 0, &mut random));
                count.fetch_add(hits, Ordering::Relaxed);
                if enough() {
                    std::thread::yield_now();
                }
            }
            done.store(true, Ordering::Relaxed);
        });
        let mut random = Random::new(seed + 1);
        let page = region.page(0).unwrap();
        while !done.load(Ordering::Relaxed) {
            region.wipe(0);
            page.set_state(LaneState::Served);
            let (mut end, mut calls) = (Half::end(), Producer::default());
            for _ in 0..DEPTH {
                publish(&region, &mut calls, &mut random, 0);
                page.set_state(LaneState::Served);
                if half.serve(&region, &mut end) {
                    break;
                }
            }
            met.store(every_kind(&half.outcome), Ordering::Relaxed);
        }
    });
    half.outcome.mutations = count.into_inner();
    half.outcome
}

/// Whether the protocol was broken in every way that a lane allows.
fn every_kind(outcome: &Outcome) -> bool {
    outcome.faults[..5].iter().all(|count| *count > 0)
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
            every_kind(outcome),
            "every kind of fault was met: {outcome:?}"
        );
        assert_eq!(outcome.faults[5], 0);
    }
}
