//! 1 MiB blocks one after the other, of a file in the page cache.

use super::{host, preload};
use crate::contest::{Contest, Row, Target, Unit};
use crate::place::Place;
use crate::task::{Call, Manner};

pub fn contests(data: &str) -> Vec<Contest> {
    let contest = |id, call| Contest {
        id,
        unit: Unit::Gigabytes,
        loaded: false,
        turns: 31,
        manner: Manner::Together(64),
        sources: vec![
            host(call, data),
            preload(Place::Uml, call, data),
            preload(Place::Local, call, data),
        ],
        rows: [(1, "uml"), (2, "local")]
            .map(|(ours, guest)| Row {
                ours,
                guest,
                road: "preload",
                reference: 0,
                against: "host",
                target: Target::AtLeast(0.8),
            })
            .into(),
    };
    vec![
        contest("seq-read-1m", Call::Read1m),
        contest("seq-write-1m", Call::Write1m),
    ]
}
