//! dosh: its language against bash's, and pipelines of host programs against the same on the host.

use crate::contest::{Contest, Row, Source, Target, Unit};
use crate::place::Place;
use crate::task::Manner;

fn row(guest: &'static str, against: &'static str, target: Target) -> Row {
    Row {
        ours: 0,
        guest,
        road: "dosh",
        reference: 1,
        against,
        target,
    }
}

fn contest(
    id: &'static str,
    unit: Unit,
    manner: Manner,
    sources: Vec<Source>,
    row: Row,
) -> Contest {
    Contest {
        id,
        unit,
        loaded: false,
        turns: 9,
        manner,
        sources,
        rows: vec![row],
    }
}

fn shell(place: Place, name: &str, script: &str) -> Source {
    let words = [name, "-c", script].map(str::to_owned).to_vec();
    Source::Runs { place, words }
}

/// A script's runs, each timed, against bash's.
fn language(id: &'static str, runs: u32, most: f64, script: &str) -> Contest {
    let sources = ["dosh", "bash"].map(|name| shell(Place::Local, name, script));
    contest(
        id,
        Unit::Milliseconds,
        Manner::Each(runs, 0),
        sources.to_vec(),
        row("local", "bash", Target::AtMost(most)),
    )
}

/// Three programs of the host's in a pipeline, started from a guest, against the same started there.
fn pipeline(id: &'static str, place: Place, mib: u32) -> Contest {
    let writer = "dd if=/dev/zero bs=128k count=$(($0 * 8)) status=none";
    let ours = format!("dosh -c 'hrun {writer} | hrun cat | hrun cat > /dev/null' \"$0\"");
    let sources = vec![
        Source::Pipeline {
            place,
            script: ours,
        },
        Source::Pipeline {
            place: Place::Host,
            script: format!("{writer} | cat | cat > /dev/null"),
        },
    ];
    contest(
        id,
        Unit::Gigabytes,
        Manner::Together(mib),
        sources,
        row(place.name(), "on the host", Target::AtLeast(0.95)),
    )
}

/// What the first byte of a pipeline takes that a shell which runs starts. The last program takes one byte, so that it ends.
fn short(place: Place, target: Target) -> Contest {
    let source = Source::FirstBytes {
        place,
        shell: "dosh",
        pipeline: "hrun yes < /dev/null | hrun cat | hrun head -c 1",
    };
    contest(
        "dosh-short-pipeline",
        Unit::Milliseconds,
        Manner::Each(10, 0),
        vec![source, Source::Bound(5.0)],
        row(place.name(), "5 ms", target),
    )
}

pub fn contests() -> Vec<Contest> {
    let calls = "f() { :; }; i=0; while ((i < 100000)); do f; ((i += 1)); done";
    let turns = "i=0; while [ $i -lt 3000 ]; do i=$((i + 1)); done";
    let programs = "i=0; while [ $i -lt 500 ]; do /bin/true; i=$((i + 1)); done";
    vec![
        language("dosh-start", 20, 1.5, ":"),
        language("dosh-functions", 1, 1.5, calls),
        language("dosh-turns", 5, 1.5, turns),
        language("dosh-programs", 1, 1.1, programs),
        pipeline("dosh-pipeline", Place::Local, 1024),
        pipeline("dosh-pipeline", Place::Uml, 1024),
        short(Place::Local, Target::AtMost(1.0)),
        short(Place::Uml, Target::None),
    ]
}
