//! Single calls on a file: an unmodified program's loop in the guest against the same loop on the host, and against
//! UML's own way to host files. The bare server is the floor for this machine: another process that spins on one word,
//! makes the same system call without any check or confinement, and leaves the result in shared memory.

use super::{client, host, preload, uml_hostfs, FILE};
use crate::contest::{Contest, Row, Source, Target, Unit};
use crate::echo::{Wait, Work};
use crate::place::Place;
use crate::task::{Call, Manner};

fn contest(id: &'static str, call: Call, work: Work, bound: f64, rival_bound: Target) -> Contest {
    let at_most = Target::AtMost(bound);
    let row = |ours, guest, road, reference, against, target| Row {
        ours,
        guest,
        road,
        reference,
        against,
        target,
    };
    Contest {
        id,
        unit: Unit::Nanoseconds,
        loaded: false,
        turns: 101,
        manner: Manner::Together(500),
        sources: vec![
            host(call, FILE),
            preload(Place::Uml, call, FILE),
            client(Place::Uml, call, FILE),
            preload(Place::Local, call, FILE),
            client(Place::Local, call, FILE),
            uml_hostfs(call, FILE),
            Source::Echo(Wait::Spin, work),
        ],
        rows: vec![
            row(1, "uml", "preload", 0, "host", at_most),
            row(1, "uml", "preload", 5, "uml hostfs", rival_bound),
            row(1, "uml", "preload", 6, "bare server", Target::None),
            row(6, "-", "bare", 0, "host", Target::None),
            row(2, "uml", "client", 0, "host", Target::None),
            row(3, "local", "preload", 0, "host", at_most),
            row(4, "local", "client", 0, "host", Target::None),
        ],
    }
}

pub fn contests() -> Vec<Contest> {
    vec![
        contest(
            "stat",
            Call::Stat,
            Work::Stat,
            1.3,
            Target::AtMost(1.0 / 12.0),
        ),
        contest("pread-4k", Call::Pread4k, Work::Pread4k, 1.7, Target::None),
        contest(
            "open-close",
            Call::OpenClose,
            Work::OpenClose,
            2.5,
            Target::None,
        ),
    ]
}
