//! Runs of a case and what distinguishes them: the conversation with a case's process, the differences between two
//! transcripts, and the differences that are known.

use crate::actor::Actor;
use crate::cases::{self, Case};
use crate::daemon::PATIENCE;
use crate::guest::Guest;
use crate::tree::listing;
use crate::way::Way;
use nix::unistd::{chown, Gid, Uid};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a FUSE file system cannot do as the host's own does, and why.
const BEYOND_FUSE: &[(&str, &str)] = &[
    (
        "tmpfile",
        "O_TMPFILE is a request that the crate does not know; programs fall back",
    ),
    ("tmpfile_made_visible", "likewise"),
    (
        "positions",
        "the guest kernel knows one largest position for all FUSE files",
    ),
    ("shifting", "the guest kernel passes no range shifts on"),
    (
        "large",
        "names are packed by the guest kernel into the room of its own replies",
    ),
    ("statfs_of_files", "the type is FUSE's"),
    (
        "fifo_read_restarted",
        "a FIFO belongs to the kernel that opens it: host and guest do not meet in it",
    ),
    ("fifo_open_and_read", "likewise"),
    ("fifo_awaited", "likewise"),
    (
        "ofd_is_of_the_description",
        "the guest kernel tells of the last close after close(2) has returned",
    ),
];

/// What is promised of files that only the guest changes, and of no others.
const BEYOND_ALWAYS: &[(&str, &str)] = &[(
    "appending",
    "the guest kernel appends at the length that it knows of an open file",
)];

/// What programs of a guest with a root of its own see otherwise.
const BEYOND_THE_ROOT: &[(&str, &str)] = &[(
    "climbing",
    "the way up from the host's files ends in the guest's own root directory",
)];

/// After this, a cache that is told of the host's changes knows them, on a busy machine too.
const SETTLED: Duration = Duration::from_millis(300);

/// A way and what the guest kernel keeps by it.
#[derive(Clone, Copy, Debug)]
pub struct Road {
    /// Who makes the calls.
    pub way: Way,
    /// Cache mode of the mount; without meaning for ways that have none.
    pub cache: &'static str,
    /// Whether the guest's root directory is the host's.
    pub one_root: bool,
}

impl Road {
    /// A way that caches nothing.
    pub const fn straight(way: Way) -> Road {
        Road {
            way,
            cache: "none",
            one_root: true,
        }
    }

    /// A mount in a cache mode.
    pub const fn mounted(cache: &'static str) -> Road {
        Road {
            cache,
            ..Road::straight(Way::Hostfs)
        }
    }

    /// The same from a guest that has a root of its own.
    pub const fn from_another_root(self) -> Road {
        Road {
            one_root: false,
            ..self
        }
    }

    /// Options of hostfs with which links mean what they mean to the oracle.
    pub fn options(self) -> String {
        format!("cache={},symlinks=stored", self.cache)
    }

    /// Whether the case table promises anything of this case by this road.
    fn can(self, case: &Case) -> bool {
        let listed = |list: &[(&str, &str)]| list.iter().any(|(name, _)| *name == case.name);
        let beyond = match self.way {
            Way::Native | Way::Client => false,
            _ if !self.one_root && listed(BEYOND_THE_ROOT) => true,
            Way::Preload => false,
            Way::Hostfs => listed(BEYOND_FUSE) || self.cache == "always" && listed(BEYOND_ALWAYS),
        };
        !beyond
    }

    /// How long a native process waits with its answer, so that what it did is known.
    pub fn settling(self) -> Duration {
        match self.cache {
            "always" => SETTLED,
            _ => Duration::ZERO,
        }
    }

    /// What both transcripts may differ in, made equal.
    fn even(self, lines: &mut [String]) {
        if self.way != Way::Hostfs {
            return;
        }
        for line in lines {
            // Whoever looks from the host sees a guest process's record locks as those of the shadow's open files.
            *line = line.replace(", posix, flock", ", ofd, flock");
            // A target that the guest kernel knows is not read on the host again.
            let times = line.find(": 120777 ").and_then(|_| line.find("times (\""));
            if let Some(from) = times.filter(|_| self.cache == "always") {
                let from = from + "times (\"".len();
                let to = from + line[from..].find('"').expect("a time of access");
                line.replace_range(from..to, "…");
            }
        }
    }
}

/// The cases that a road is to pass; `CASE=TEXT` in the environment chooses those whose names hold it.
fn cases_of(road: Road) -> Vec<Case> {
    let only = std::env::var("CASE").ok();
    let direct = cases::direct().filter(|_| road.way == Way::Client);
    cases::all()
        .chain(direct)
        .filter(|case| only.as_ref().is_none_or(|only| case.name.contains(only)))
        .filter(|case| road.can(case))
        .collect()
}

/// A fresh directory for a run of a case, a user's own.
pub fn directory(parent: &Path, case: &Case, way: Way, user: u32) -> PathBuf {
    let base = parent.join(format!("{}-{}", case.name, way.name()));
    std::fs::create_dir(&base).expect("the case's directory");
    let owner = (Uid::from_raw(user), Gid::from_raw(user));
    chown(&base, Some(owner.0), Some(owner.1)).expect("its owner");
    base
}

/// Writes down what a case's process says and does what it asks for, up to its end or a line that is no event; that line.
pub fn converse(
    process: &mut Guest,
    lines: &mut Vec<String>,
    base: &Path,
    settling: Duration,
) -> Option<String> {
    let actor = Actor::new(base);
    while let Some(line) = process.hear(PATIENCE) {
        let Ok(event) = serde_json::from_str::<Value>(&line) else {
            return Some(line);
        };
        match event["ask"].as_str() {
            Some(command) => {
                let answer = actor.act(command);
                // What is done later the case waits for itself.
                if !command.contains("-after ") {
                    std::thread::sleep(settling);
                }
                process.tell(&answer);
            }
            None => lines.push(line),
        }
    }
    None
}

/// Adds how a run ended, what it said to its user and what it left on the host.
pub fn conclude(lines: &mut Vec<String>, status: &str, complaints: &str, base: &Path) {
    lines.push(format!("-- {status}"));
    lines.extend(complaints.lines().map(|line| format!("-- stderr: {line}")));
    lines.push("-- left behind:".to_owned());
    // A directory that a case moved or removed is listed as what it is.
    lines.extend(listing(base));
}

/// Runs each case natively and by a road.
///
/// # Panics
/// A case differs, or fails natively: one that fails alike everywhere shows nothing.
pub fn compare(
    road: Road,
    mut native: impl FnMut(&Case) -> Vec<String>,
    mut run: impl FnMut(&Case) -> Vec<String>,
) {
    let cases = cases_of(road);
    let mut differences = Vec::new();
    for case in &cases {
        let (mut expected, mut found) = (native(case), run(case));
        road.even(&mut expected);
        road.even(&mut found);
        let sound = expected.iter().any(|line| line == "-- exit status: 0");
        let text = expected.join("\n");
        assert!(sound, "{} fails natively:\n{text}", case.name);
        if expected != found {
            let difference = difference(&expected, &found);
            differences.push(format!("  {}:\n{difference}", case.name));
        }
    }
    let count = differences.len();
    assert!(
        count == 0,
        "{count} of {} cases differ by way of {}:\n{}",
        cases.len(),
        road.way.name(),
        differences.join("\n")
    );
}

/// The first lines that differ, in their surroundings.
fn difference(expected: &[String], found: &[String]) -> String {
    let pairs = expected.iter().zip(found);
    let first = pairs.take_while(|(expected, found)| expected == found);
    let first = first.count();
    let part = |lines: &[String]| {
        let lines: Vec<_> = lines
            .iter()
            .skip(first)
            .take(3)
            .map(|line| short(line))
            .collect();
        lines.join("\n      ")
    };
    let before = expected[..first].last().map_or("", |line| short(line));
    format!(
        "    after {before}\n    native {}\n    found  {}",
        part(expected),
        part(found)
    )
}

fn short(line: &str) -> &str {
    line.get(..300).unwrap_or(line)
}
