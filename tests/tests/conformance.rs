//! Every case of the table, by every way, as root and as an ordinary user: the transcripts and what is left on the
//! host must be those of native libc.

use hostcall::ops::Op;
use hostcall_tests::cases::{self, Case};
use hostcall_tests::conform::{self, Road};
use hostcall_tests::daemon::{program, Daemon, PATIENCE};
use hostcall_tests::guest::Guest;
use hostcall_tests::mount::Mount;
use hostcall_tests::way::Way;
use nix::unistd::Uid;
use serde_json::{json, Value};
use std::collections::HashSet;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

/// User and group of the runs that are not root's: nobody, in no other group.
const NOBODY: u32 = 65534;

/// A hostd for one user, and copies of the programs that this user can reach.
struct Stage {
    daemon: Daemon,
    user: u32,
    runner: PathBuf,
    library: PathBuf,
    mount: Option<Mount>,
}

impl Stage {
    fn new(user: u32, road: Road) -> Stage {
        let name = if user == 0 { "root" } else { "nobody" };
        let daemon = Daemon::configured(
            |_| json!({"exports": [{"path": "/", "mode": "rw"}], "as": name, "exec": {"allow": ["*"]}}),
        );
        let copy = |file: &str| {
            let to = daemon.directory.join(file);
            std::fs::copy(program(file), &to).expect("a copy for the user");
            to
        };
        let (runner, library) = (copy("case_runner"), copy("libhostcall_preload.so"));
        let mount = (road.way == Way::Hostfs).then(|| Mount::of(&daemon, &road.options()));
        if let Some(mount) = &mount {
            mount.enter();
        }
        Stage {
            daemon,
            user,
            runner,
            library,
            mount,
        }
    }

    /// Runs one case by one way; the transcript, and after it the state of the case's directory.
    fn run(&self, case: &Case, road: Road) -> Vec<String> {
        let base = conform::directory(&self.daemon.export(""), case, road.way, self.user);
        let text = base.to_str().expect("a plain path");
        let mountpoint = self.mount.as_ref().map(|mount| &mount.mountpoint);
        let mountpoint = mountpoint.map_or("", |path| path.to_str().expect("a plain path"));
        let mut command = Command::new(&self.runner);
        command
            .args([case.name, road.way.name(), &road.way.sees(text, mountpoint)])
            .env_clear();
        match road.way {
            Way::Native | Way::Hostfs => {}
            Way::Client => drop(command.env("HOSTCALL_ATTACH", self.daemon.socket())),
            Way::Preload => drop(
                command
                    .env("HOSTCALL_ATTACH", self.daemon.socket())
                    .env("LD_PRELOAD", &self.library),
            ),
        }
        if self.user != 0 {
            command.uid(self.user).gid(self.user);
        }
        let log = base.with_extension("stderr");
        command.current_dir("/");
        command.stderr(std::fs::File::create(&log).expect("a log"));
        let mut process = Guest::run(command);
        let mut lines = Vec::new();
        let foreign = conform::converse(&mut process, &mut lines, &base, road.settling());
        assert_eq!(foreign, None, "not an event");
        let status = process.ended(PATIENCE);
        let complaints = std::fs::read_to_string(&log).unwrap_or_default();
        conform::conclude(&mut lines, &status.to_string(), &complaints, &base);
        lines
    }
}

fn conform(user: u32, road: Road) {
    if user == 0 && !Uid::effective().is_root() {
        eprintln!("skipped: needs root");
        return;
    }
    let stage = Stage::new(user, road);
    let native = Road::straight(Way::Native);
    conform::compare(
        road,
        |case| stage.run(case, native),
        |case| stage.run(case, road),
    );
}

#[test]
fn client_as_root() {
    conform(0, Road::straight(Way::Client));
}

#[test]
fn client_as_nobody() {
    conform(NOBODY, Road::straight(Way::Client));
}

#[test]
fn preload_as_root() {
    conform(0, Road::straight(Way::Preload));
}

#[test]
fn preload_as_nobody() {
    conform(NOBODY, Road::straight(Way::Preload));
}

#[test]
fn hostfs_as_root() {
    conform(0, Road::mounted("none"));
}

#[test]
fn hostfs_as_nobody() {
    conform(NOBODY, Road::mounted("none"));
}

#[test]
fn hostfs_that_caches() {
    conform(0, Road::mounted("auto"));
}

#[test]
fn hostfs_that_writes_back() {
    conform(0, Road::mounted("always"));
}

#[test]
fn every_op_of_the_table_occurs_in_a_case() {
    let native = Road::straight(Way::Native);
    let stage = Stage::new(0, native);
    let mut seen = HashSet::new();
    for case in cases::all().chain(cases::direct()) {
        for line in stage.run(&case, native) {
            let event: Value = serde_json::from_str(&line).unwrap_or_default();
            seen.extend(event["op"].as_str().map(str::to_owned));
        }
    }
    let missing: Vec<&str> = Op::ALL
        .iter()
        .map(|op| op.spec().name)
        .filter(|name| !seen.contains(*name))
        .collect();
    assert!(missing.is_empty(), "no case makes these calls: {missing:?}");
}

#[test]
fn names_of_cases_are_unique() {
    let mut names = HashSet::new();
    assert!(cases::all()
        .chain(cases::direct())
        .all(|case| names.insert(case.name)));
}
