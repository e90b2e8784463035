//! Mounts of one directory: hostfs against libfuse's `passthrough_ll`, bindfs and the host's own file system.

use crate::contest::{Contest, Row, Source, Target, Unit};
use crate::mounts::{Cache, Server};
use crate::task::{Call, Manner};
use crate::tree::Job;

fn row(cache: &'static str, reference: usize, against: &'static str, target: Target) -> Row {
    Row {
        ours: 0,
        guest: "local",
        road: cache,
        reference,
        against,
        target,
    }
}

fn source(server: Server, call: Call, manner: Manner) -> Source {
    Source::Mounted {
        server,
        call,
        manner,
    }
}

/// Single calls where nothing is cached: each costs the whole way.
fn single(id: &'static str, call: Call) -> Contest {
    let manner = Manner::Together(500);
    Contest {
        id,
        unit: Unit::Microseconds,
        loaded: false,
        turns: 41,
        manner,
        sources: [
            Server::Ours(Cache::None),
            Server::Passthrough(Cache::None),
            Server::Native,
        ]
        .map(|server| source(server, call, manner))
        .into(),
        rows: vec![
            row("none", 1, "passthrough_ll never", Target::AtMost(1.05)),
            row("none", 2, "host", Target::None),
        ],
    }
}

/// The same calls where the kernel answers most of them itself.
fn cached(id: &'static str, call: Call) -> Contest {
    let manner = Manner::Together(500);
    Contest {
        id,
        unit: Unit::Microseconds,
        loaded: false,
        turns: 41,
        manner,
        sources: [
            Server::Ours(Cache::Always),
            Server::Passthrough(Cache::Always),
        ]
        .map(|server| source(server, call, manner))
        .into(),
        rows: vec![row(
            "always",
            1,
            "passthrough_ll always",
            Target::AtMost(1.0),
        )],
    }
}

/// 1 MiB blocks one after the other.
fn sequential(id: &'static str, call: Call) -> Contest {
    let manner = Manner::Together(64);
    Contest {
        id,
        unit: Unit::Gigabytes,
        loaded: false,
        turns: 21,
        manner,
        sources: [
            Server::Ours(Cache::Always),
            Server::Passthrough(Cache::Always),
            Server::Ours(Cache::None),
            Server::Passthrough(Cache::None),
        ]
        .map(|server| source(server, call, manner))
        .into(),
        rows: vec![
            row("always", 1, "passthrough_ll always", Target::AtLeast(0.9)),
            Row {
                ours: 2,
                ..row("none", 3, "passthrough_ll never", Target::AtLeast(0.9))
            },
        ],
    }
}

/// Four readers at once against one.
fn readers() -> Contest {
    let (one, four) = (Manner::Threads(1, 4000), Manner::Threads(4, 1000));
    let (ours, rival) = (Server::Ours(Cache::None), Server::Passthrough(Cache::None));
    Contest {
        id: "mount-4-readers",
        unit: Unit::Millions,
        loaded: false,
        turns: 21,
        manner: four,
        sources: vec![
            source(ours, Call::Pread4k, four),
            source(ours, Call::Pread4k, one),
            source(rival, Call::Pread4k, four),
            source(rival, Call::Pread4k, one),
        ],
        rows: vec![
            row("none", 1, "one reader", Target::AtLeast(1.0)),
            row("none", 2, "passthrough_ll never", Target::None),
            Row {
                ours: 2,
                road: "-",
                ..row("never", 3, "the same, one reader", Target::None)
            },
        ],
    }
}

/// Programs that walk, fill and remove a tree.
fn trees(id: &'static str, job: Job) -> Contest {
    let target = Target::AtMost(1.0);
    Contest {
        id,
        unit: Unit::Milliseconds,
        loaded: false,
        turns: 7,
        manner: Manner::Together(1),
        sources: [
            Server::Ours(Cache::Auto),
            Server::Passthrough(Cache::Auto),
            Server::Bindfs,
            Server::Native,
        ]
        .map(|server| Source::Tree { server, job })
        .into(),
        rows: vec![
            row("auto", 1, "passthrough_ll auto", target),
            row("auto", 2, "bindfs", target),
            row("auto", 3, "host", Target::None),
        ],
    }
}

pub fn contests() -> Vec<Contest> {
    vec![
        single("mount-stat", Call::Stat),
        single("mount-open", Call::OpenClose),
        single("mount-pread-4k", Call::Pread4k),
        cached("mount-stat", Call::Stat),
        cached("mount-open", Call::OpenClose),
        cached("mount-pread-4k", Call::Pread4k),
        sequential("mount-read-1m", Call::Read1m),
        sequential("mount-write-1m", Call::Write1m),
        readers(),
        trees("mount-find", Job::Find),
        trees("mount-du", Job::Du),
        trees("mount-git", Job::GitStatus),
        trees("mount-tar", Job::Untar),
        trees("mount-rm", Job::Remove),
    ]
}
