//! `stat` while a compile-like load keeps every processor busy, against what sleeping at once would give.

use super::{host, preload, FILE};
use crate::contest::{Contest, Row, Source, Target, Unit};
use crate::echo::{Wait, Work};
use crate::place::Place;
use crate::task::{Call, Manner};

pub fn contests() -> Vec<Contest> {
    let row = |ours, guest, road, reference, against, target| Row {
        ours,
        guest,
        road,
        reference,
        against,
        target,
    };
    vec![Contest {
        id: "contended-stat",
        unit: Unit::Nanoseconds,
        loaded: true,
        turns: 15,
        manner: Manner::Each(300, 0),
        sources: vec![
            host(Call::Stat, FILE),
            Source::Echo(Wait::Sleep, Work::Stat),
            preload(Place::Local, Call::Stat, FILE),
            preload(Place::Uml, Call::Stat, FILE),
        ],
        rows: vec![
            row(
                2,
                "local",
                "preload",
                1,
                "futex sleeping",
                Target::AtMost(3.0),
            ),
            row(
                3,
                "uml",
                "preload",
                1,
                "futex sleeping",
                Target::AtMost(3.0),
            ),
            row(2, "local", "preload", 0, "host", Target::None),
        ],
    }]
}
