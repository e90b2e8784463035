//! Steps: what one road does, and what all of them look at then. Each makes sense without the others, so a list of them can
//! be cut down to the ones that make it fail.

use super::act::MAP;
use crate::random::Random;
use std::fmt;
use std::str::FromStr;

/// Who acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Road {
    /// A program under the preload, which has a session of its own.
    Shim,
    /// A program without it, on the mount.
    Mount,
    /// A program of the host.
    Host,
}

impl Road {
    /// All of them.
    pub const ALL: [Road; 3] = [Road::Shim, Road::Mount, Road::Host];

    /// As slots and failures name it.
    pub fn name(self) -> &'static str {
        match self {
            Road::Shim => "shim",
            Road::Mount => "mount",
            Road::Host => "host",
        }
    }
}

/// An act and a look.
#[derive(Clone, Debug)]
pub struct Step {
    /// Who acts.
    pub road: Road,
    /// What it does: a line of [`act`](super::act).
    pub act: String,
    /// What all look at.
    pub look: String,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Step { road, act, look } = self;
        write!(f, "{}: {act} -- {look}", road.name())
    }
}

impl FromStr for Step {
    type Err = String;

    /// A line as it is printed.
    fn from_str(line: &str) -> Result<Step, String> {
        let parts = || {
            let (road, rest) = line.trim().split_once(": ")?;
            let (act, look) = rest.split_once(" -- ")?;
            let road = Road::ALL.into_iter().find(|it| it.name() == road)?;
            let (act, look) = (act.to_owned(), look.to_owned());
            Some(Step { road, act, look })
        };
        parts().ok_or_else(|| format!("no step: {line}"))
    }
}

/// Names of files, directories and links alike: few, so that steps meet.
pub const NAMES: [&str; 9] = ["a", "b", "c", "d", "d/a", "d/b", "e", "e/a", "e/d"];
/// Slots of each road.
const SLOTS: usize = 3;
/// Bytes of the longest write.
const LONG: usize = 9_000;

fn name(random: &mut Random) -> &'static str {
    random.one_of(&NAMES)
}

fn length(random: &mut Random) -> usize {
    match random.below(4) {
        0 => random.below(20),
        1 => 4096 - 2 + random.below(4),
        _ => random.below(LONG),
    }
}

fn place(random: &mut Random) -> usize {
    let most = MAP - LONG;
    match random.below(4) {
        0 => 0,
        1 => 4096 * random.below(most / 4096),
        2 => random.below(LONG),
        _ => random.below(most),
    }
}

fn slot(random: &mut Random, road: Road) -> String {
    format!("{}{}", road.name(), random.below(SLOTS))
}

/// A step by the road; `maps` says whether maps that live on are coherent.
fn step(random: &mut Random, road: Road, maps: bool) -> Step {
    let (p, q) = (name(random), name(random));
    let (at, to, len) = (place(random), place(random), length(random));
    let byte = 1 + random.below(250);
    let mode = random.one_of(&[0o600, 0o644, 0o755, 0o640]);
    let s = slot(random, road);
    let act = match random.below(if maps { 36 } else { 33 }) {
        0..=2 => format!("make {p} {mode}"),
        3..=5 => format!("put {p} {at} {len} {byte}"),
        6 => format!("append {p} {} {byte}", len.min(200)),
        7 => format!("empty {p}"),
        8 => format!("cut {p} {at}"),
        9 => format!("punch {p} {at} {}", len + 1),
        10 => format!("copy {p} {q} 0 {} {len}", to.min(LONG)),
        11..=13 => format!("rename {p} {q} {}", random.one_of(&[0, 0, 1, 2])),
        14..=15 => format!("unlink {p}"),
        16 => format!("link {p} {q}"),
        17 => format!("symlink {p} {q}"),
        18..=19 => format!("mkdir {p}"),
        20 => format!("rmdir {p}"),
        21 => format!("chmod {p} {mode}"),
        22..=25 => {
            let flags = random.one_of(&[
                libc::O_RDONLY,
                libc::O_RDWR,
                libc::O_RDWR,
                libc::O_RDWR | libc::O_CREAT,
                libc::O_RDWR | libc::O_TRUNC,
            ]);
            format!("open {s} {p} {flags}")
        }
        26 => format!("close {s}"),
        27..=29 => format!("sput {s} {at} {len} {byte}"),
        30 => format!("scut {s} {at}"),
        31 => format!("spunch {s} {at} {}", len + 1),
        32 => format!("schmod {s} {mode}"),
        33 => format!("map {s}"),
        34 => format!("poke {s} {at} {byte}"),
        _ => format!("unmap {s}"),
    };
    // Mostly at what was touched.
    let any = name(random);
    let seen = random.one_of(&[p, q, p, any]);
    let looker = random.one_of(&Road::ALL);
    let other = slot(random, looker);
    let look = match random.below(if maps { 13 } else { 12 }) {
        0..=1 => format!("stat {seen}"),
        2..=4 => format!("cat {seen}"),
        5 => format!("mapcat {seen}"),
        6 => format!("target {seen}"),
        7 => format!("list {}", random.one_of(&[".", "d", "e"])),
        8 => format!("times {seen}"),
        9 => "tree".to_owned(),
        10..=11 => format!("scat {other}"),
        _ => format!("smap {other}"),
    };
    Step { road, act, look }
}

/// A sequence of steps.
pub fn steps(random: &mut Random, count: usize, maps: bool) -> Vec<Step> {
    (0..count)
        .map(|_| {
            let road = random.one_of(&Road::ALL);
            step(random, road, maps)
        })
        .collect()
}
