//! Host programs by `hrun`: one that does nothing, and pipes between a program of the guest and one of the host.

use crate::contest::{Contest, Row, Source, Target, Unit};
use crate::place::Place;
use crate::task::Manner;

fn row(guest: &'static str, reference: usize, against: &'static str, target: Target) -> Row {
    Row {
        ours: 0,
        guest,
        road: "hrun",
        reference,
        against,
        target,
    }
}

fn contest(
    id: &'static str,
    unit: Unit,
    (turns, manner): (u32, Manner),
    sources: Vec<Source>,
    rows: Vec<Row>,
) -> Contest {
    Contest {
        id,
        unit,
        loaded: false,
        turns,
        manner,
        sources,
        rows,
    }
}

/// `hrun true`, each run timed, against the same by a connection of OpenSSH that is open already.
fn short(place: Place, turns: u32, rows: Vec<Row>) -> Contest {
    let words = ["hrun", "true"].map(str::to_owned).to_vec();
    let sources = vec![
        Source::Runs { place, words },
        Source::Ssh,
        Source::Bound(3.0),
    ];
    let manner = (turns, Manner::Each(10, 0));
    contest("hrun-true", Unit::Milliseconds, manner, sources, rows)
}

/// Writes so many MiB: `$0`.
const WRITER: &str = "dd if=/dev/zero bs=128k count=$(($0 * 8)) status=none";
/// Reads all.
const READER: &str = "cat > /dev/null";

/// A pipe between two programs, one of which is the host's, against one between the same two in the guest.
fn pipe(id: &'static str, place: Place, mib: u32, ours: String) -> Contest {
    let source = |script| Source::Pipeline { place, script };
    contest(
        id,
        Unit::Gigabytes,
        (9, Manner::Together(mib)),
        vec![source(ours), source(format!("{WRITER} | {READER}"))],
        vec![row(
            place.name(),
            1,
            "pipe of the guest",
            Target::AtLeast(0.8),
        )],
    )
}

fn pipes(place: Place, mib: u32) -> [Contest; 2] {
    let hrun = |program: &str| format!("hrun {program}");
    [
        pipe(
            "hrun-pipe-in",
            place,
            mib,
            format!("{WRITER} | {}", hrun(READER)),
        ),
        pipe(
            "hrun-pipe-out",
            place,
            mib,
            format!("{} | {READER}", hrun(WRITER)),
        ),
    ]
}

pub fn contests() -> Vec<Contest> {
    let ssh = |guest, target| row(guest, 1, "multiplexed ssh", target);
    let local = vec![
        row("local", 2, "3 ms", Target::AtMost(1.0)),
        ssh("local", Target::AtMost(1.0 / 30.0)),
    ];
    let mut all = vec![
        short(Place::Local, 11, local),
        short(Place::Uml, 3, vec![ssh("uml", Target::None)]),
    ];
    all.extend(pipes(Place::Local, 2048));
    all.extend(pipes(Place::Uml, 256));
    all
}
