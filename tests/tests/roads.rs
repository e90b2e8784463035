//! The roads to the host's files agree: what is done by the shim, on the mount or by the host's own programs is seen by the
//! others as soon as docs/HOSTFS.md promises it, in every cache mode. A failing run is cut down to its shortest and printed;
//! `HOSTCALL_SEED` repeats it, and `HOSTCALL_ROADS` names a file with such steps, to be played again and again.

use hostcall_tests::outside::may_mount;
use hostcall_tests::random::Random;
use hostcall_tests::roads::party::Party;
use hostcall_tests::roads::step::{steps, Step};
use std::time::{Duration, Instant};

/// Steps of a run.
const STEPS: usize = 60;

/// Plays runs of a cache mode for a while.
fn agree(cache: &'static str, time: Duration) {
    if !may_mount() {
        return;
    }
    if let Ok(file) = std::env::var("HOSTCALL_ROADS") {
        return repeat(cache, &std::fs::read_to_string(file).unwrap());
    }
    let mut seeds = Random::announced(20_261_126);
    let mut party = Party::new(cache);
    let start = Instant::now();
    let mut runs = 0;
    while start.elapsed() < time {
        let seed = seeds.clone();
        let mut random = Random::new(seeds.word());
        party.agree(
            &format!("{seed:?}"),
            steps(&mut random, STEPS, cache != "none"),
        );
        runs += 1;
    }
    println!("{cache}: {runs} runs of {STEPS} steps");
}

/// Plays the steps of a printed failure, often.
fn repeat(cache: &'static str, text: &str) {
    let mut party = Party::new(cache);
    let steps: Vec<Step> = text.lines().map(|line| line.parse().unwrap()).collect();
    for round in 0..100 {
        party.agree(&format!("round {round}"), steps.clone());
    }
}

const SHORT: Duration = Duration::from_secs(8);

#[test]
fn roads_agree_without_a_cache() {
    agree("none", SHORT);
}

#[test]
fn roads_agree_in_mode_auto() {
    agree("auto", SHORT);
}

#[test]
fn roads_agree_in_mode_always() {
    agree("always", SHORT);
}

const LONG: Duration = Duration::from_secs(240);

#[test]
#[ignore = "minutes"]
fn roads_agree_for_long_without_a_cache() {
    agree("none", LONG);
}

#[test]
#[ignore = "minutes"]
fn roads_agree_for_long_in_mode_auto() {
    agree("auto", LONG);
}

#[test]
#[ignore = "minutes"]
fn roads_agree_for_long_in_mode_always() {
    agree("always", LONG);
}
