//! Several threads of one guest process at once, each with its own lane, against as many threads on the host.

use super::{host, preload, FILE};
use crate::contest::{Contest, Row, Target, Unit};
use crate::place::Place;
use crate::task::{Call, Manner};

pub fn contests() -> Vec<Contest> {
    let contest = |(id, threads)| Contest {
        id,
        unit: Unit::Millions,
        loaded: false,
        turns: 15,
        manner: Manner::Threads(threads, 10_000 / threads),
        sources: vec![
            host(Call::Stat, FILE),
            preload(Place::Local, Call::Stat, FILE),
            preload(Place::Uml, Call::Stat, FILE),
        ],
        rows: [(1, "local"), (2, "uml")]
            .map(|(ours, guest)| Row {
                ours,
                guest,
                road: "preload",
                reference: 0,
                against: "host",
                target: Target::None,
            })
            .into(),
    };
    [
        ("threads-1", 1),
        ("threads-2", 2),
        ("threads-3", 3),
        ("threads-4", 4),
    ]
    .map(contest)
    .into()
}
