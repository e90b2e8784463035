//! The table of contests; a new row is a new entry here.

mod contended;
mod dosh;
mod empty;
mod files;
mod guest;
mod mounted;
mod mounted_uml;
mod programs;
mod sequential;
pub mod session;
mod shell;
mod threads;

use crate::contest::{Contest, Source};
use crate::place::{Place, HOSTFS, PREFIX};
use crate::task::{Call, Road};
use std::path::Path;

/// A file that every host has and a guest sees at the same path, longer than 4 KiB.
pub const FILE: &str = "/usr/bin/bash";

/// Host, guest and the guests' roads to a file of the host.
fn host(call: Call, path: &str) -> Source {
    Source::Calls {
        place: Place::Host,
        road: Road::Libc,
        call,
        path: path.to_owned(),
    }
}

fn client(place: Place, call: Call, path: &str) -> Source {
    Source::Calls {
        place,
        road: Road::Client,
        call,
        path: path.to_owned(),
    }
}

fn preload(place: Place, call: Call, path: &str) -> Source {
    Source::Calls {
        place,
        road: Road::Libc,
        call,
        path: format!("{PREFIX}{path}"),
    }
}

fn uml_hostfs(call: Call, path: &str) -> Source {
    Source::Calls {
        place: Place::Uml,
        road: Road::Libc,
        call,
        path: format!("{HOSTFS}{path}"),
    }
}

/// All contests, in the order in which they run and are told. `data` is a file of the sequential contests' size.
pub fn all(data: &Path) -> Vec<Contest> {
    let data = data.to_string_lossy();
    let mut all = empty::contests();
    all.extend(files::contests());
    all.extend(sequential::contests(&data));
    all.extend(threads::contests());
    all.extend(contended::contests());
    all.extend(guest::contests());
    all.extend(mounted::contests());
    all.extend(mounted_uml::contests());
    all.extend(programs::contests());
    all.extend(session::contests());
    all.extend(shell::contests());
    all.extend(dosh::contests());
    all
}
