//! Unmodified programs under the preload library: on a tree of 10,000 host files, many short ones, and what those pay
//! that have nothing to do with the host.

use super::FILE;
use crate::contest::{Contest, Row, Source, Target, Unit};
use crate::place::{Place, HOSTFS, PREFIX};
use crate::task::{Call, Manner, Road};
use crate::tree::Job;

fn row(guest: &'static str, reference: usize, against: &'static str, target: Target) -> Row {
    Row {
        ours: 0,
        guest,
        road: "preload",
        reference,
        against,
        target,
    }
}

fn contest(
    id: &'static str,
    unit: Unit,
    turns: u32,
    sources: Vec<Source>,
    rows: Vec<Row>,
) -> Contest {
    Contest {
        id,
        unit,
        loaded: false,
        turns,
        manner: Manner::Together(1),
        sources,
        rows,
    }
}

/// A short file of every system.
const SHORT: &str = "/etc/passwd";

/// A job on the tree, against the host's own time; in UML, where UML's hostfs can do it too (the jail has the host
/// read-only), against that.
fn trees(id: &'static str, job: Job) -> [Contest; 2] {
    let source = |place, prefix| Source::Program { place, prefix, job };
    let local = contest(
        id,
        Unit::Milliseconds,
        9,
        vec![source(Place::Local, PREFIX), source(Place::Host, "")],
        vec![row("local", 1, "host", Target::AtMost(1.5))],
    );
    let mut sources = vec![source(Place::Uml, PREFIX), source(Place::Host, "")];
    let mut rows = vec![row("uml", 1, "host", Target::None)];
    if !job.writes() {
        sources.push(source(Place::Uml, HOSTFS));
        rows.push(row("uml", 2, "uml hostfs", Target::AtMost(1.0 / 3.0)));
    }
    [local, contest(id, Unit::Milliseconds, 3, sources, rows)]
}

/// A call that has nothing to do with the host, by the library's function and by libc's beneath it: in one process, for two
/// differ by more than is looked for.
fn foreign(id: &'static str, call: Call) -> Contest {
    let source = |road| Source::Calls {
        place: Place::Aloof,
        road,
        call,
        path: FILE.to_owned(),
    };
    Contest {
        manner: Manner::Together(1024),
        ..contest(
            id,
            Unit::Nanoseconds,
            301,
            vec![source(Road::Libc), source(Road::Beneath)],
            vec![row("local", 1, "without it", Target::Added(10.0))],
        )
    }
}

/// A program that is started again and again, with the library and without.
fn runs(id: &'static str, ours: &[&str], without: &[&str]) -> Contest {
    let source = |place, words: &[&str]| Source::Runs {
        place,
        words: words.iter().map(|word| (*word).to_owned()).collect(),
    };
    Contest {
        manner: Manner::Together(100),
        ..contest(
            id,
            Unit::Milliseconds,
            21,
            vec![source(Place::Local, ours), source(Place::Bare, without)],
            vec![row("local", 1, "without it", Target::Added(0.3))],
        )
    }
}

pub fn contests() -> Vec<Contest> {
    let mut all = vec![
        foreign("foreign-read", Call::PipeRead),
        foreign("foreign-stat", Call::Stat),
        foreign("foreign-open", Call::OpenClose),
        runs("start-bash", &["bash", "-c", ":"], &["bash", "-c", ":"]),
        runs(
            "start-cat",
            &["cat", &format!("{PREFIX}{SHORT}")],
            &["cat", SHORT],
        ),
    ];
    for (id, job) in [
        ("tree-git", Job::GitStatus),
        ("tree-find", Job::Find),
        ("tree-tar", Job::Untar),
        ("tree-rm", Job::Remove),
        ("tree-grep", Job::Grep),
        ("tree-cp", Job::Copy),
    ] {
        all.extend(trees(id, job));
    }
    all
}
