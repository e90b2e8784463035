//! In a guest with its own kernel: hostfs mounted in each cache mode against UML's own way to host files, by a program
//! whose calls all go to the guest's kernel.

use super::uml_hostfs;
use crate::contest::{Contest, Row, Source, Target, Unit};
use crate::place::{Place, MOUNTED};
use crate::task::{Call, Manner, Road};

fn contest(id: &'static str, call: Call) -> Contest {
    let path = super::FILE;
    let mounted = MOUNTED.iter().map(|(_, mountpoint)| Source::Calls {
        place: Place::Uml,
        road: Road::Libc,
        call,
        path: format!("{mountpoint}{path}"),
    });
    let rows = MOUNTED.iter().enumerate().map(|(index, (cache, _))| Row {
        ours: index,
        guest: "uml",
        road: cache,
        reference: MOUNTED.len(),
        against: "uml hostfs",
        target: Target::None,
    });
    Contest {
        id,
        unit: Unit::Microseconds,
        loaded: false,
        turns: 21,
        manner: Manner::Together(200),
        sources: mounted.chain([uml_hostfs(call, path)]).collect(),
        rows: rows.collect(),
    }
}

pub fn contests() -> Vec<Contest> {
    vec![
        contest("mount-stat", Call::Stat),
        contest("mount-open", Call::OpenClose),
        contest("mount-pread-4k", Call::Pread4k),
    ]
}
