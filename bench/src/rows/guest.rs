//! A guest with its own kernel: what one of its system calls costs, and programs on 10,000 files of the host by host
//! calls, by UML's own hostfs (which the jail that UML runs in has read-only) and on the host itself.

use crate::contest::{Contest, Row, Source, Target, Unit};
use crate::place::{Place, HOSTFS, PREFIX};
use crate::task::{Call, Manner, Road, Step};

fn row(road: &'static str, reference: usize, against: &'static str) -> Row {
    Row {
        ours: 0,
        guest: "uml",
        road,
        reference,
        against,
        target: Target::None,
    }
}

fn system_call() -> Contest {
    let call = |place| Source::Calls {
        place,
        road: Road::Libc,
        call: Call::Getppid,
        path: String::new(),
    };
    Contest {
        id: "guest-syscall",
        unit: Unit::Nanoseconds,
        loaded: false,
        turns: 31,
        manner: Manner::Together(500),
        sources: vec![call(Place::Uml), call(Place::Host)],
        rows: vec![row("kernel", 1, "host")],
    }
}

fn script(id: &'static str, step: Step) -> Contest {
    let source = |place, prefix| Source::Script {
        place,
        prefix,
        step,
    };
    let mut sources = vec![source(Place::Uml, PREFIX), source(Place::Host, "")];
    let mut rows = vec![row("preload", 1, "host")];
    if matches!(step, Step::List | Step::Find) {
        sources.push(source(Place::Uml, HOSTFS));
        rows.push(row("preload", 2, "uml hostfs"));
    }
    Contest {
        id,
        unit: Unit::Milliseconds,
        loaded: false,
        turns: 5,
        manner: Manner::Together(1),
        sources,
        rows,
    }
}

pub fn contests() -> Vec<Contest> {
    vec![
        system_call(),
        script("script-touch", Step::Touch),
        script("script-ls", Step::List),
        script("script-find", Step::Find),
        script("script-rm", Step::Remove),
    ]
}
