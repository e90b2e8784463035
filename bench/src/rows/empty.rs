//! The way there and back alone, spinning and sleeping.

use super::client;
use crate::contest::{Contest, Row, Source, Target, Unit};
use crate::echo::{Wait, Work};
use crate::place::Place;
use crate::task::{Call, Manner};

/// Microseconds between two calls after which both sides have long gone to sleep.
const PAUSE: u32 = 3000;

fn rows(against: &'static str, bound: f64) -> Vec<Row> {
    let row = |ours, guest| Row {
        ours,
        guest,
        road: "client",
        reference: 2,
        against,
        target: Target::AtMost(bound),
    };
    vec![row(0, "local"), row(1, "uml")]
}

pub fn contests() -> Vec<Contest> {
    let sources = |wait| {
        vec![
            client(Place::Local, Call::Nop, ""),
            client(Place::Uml, Call::Nop, ""),
            Source::Echo(wait, Work::Nothing),
        ]
    };
    vec![
        Contest {
            id: "call.empty",
            unit: Unit::Nanoseconds,
            loaded: false,
            turns: 201,
            manner: Manner::Together(2_000),
            sources: sources(Wait::Spin),
            rows: rows("cache-line round trip", 1.5),
        },
        Contest {
            id: "call.empty-each",
            unit: Unit::Nanoseconds,
            loaded: false,
            turns: 21,
            manner: Manner::Each(5_000, 0),
            sources: sources(Wait::Spin),
            rows: rows("cache-line round trip", 1.5),
        },
        Contest {
            id: "call.sleeping",
            unit: Unit::Nanoseconds,
            loaded: false,
            turns: 15,
            manner: Manner::Each(40, PAUSE),
            sources: sources(Wait::Sleep),
            rows: rows("futex round trip", 1.3),
        },
    ]
}
