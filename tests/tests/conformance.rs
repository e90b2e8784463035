//! Every case of the table, by every way, as root and as an ordinary user: the transcripts and what is left on the
//! host must be those of native libc.

use hostcall::ops::Op;
use hostcall_tests::actor::Actor;
use hostcall_tests::cases::{self, Case};
use hostcall_tests::daemon::{program, Daemon, PATIENCE};
use hostcall_tests::mount::Mount;
use hostcall_tests::tree::listing;
use hostcall_tests::way::Way;
use nix::unistd::{chown, Gid, Uid};
use serde_json::{json, Value};
use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// User and group of the runs that are not root's: nobody, in no other group.
const NOBODY: u32 = 65534;

/// What a FUSE file system cannot do as the host's own does, and why.
const BEYOND_FUSE: &[(&str, &str)] = &[
    (
        "tmpfile",
        "O_TMPFILE is a request that the crate does not know; programs fall back",
    ),
    ("tmpfile_made_visible", "likewise"),
    (
        "positions",
        "the guest kernel knows one largest position for all FUSE files",
    ),
    ("shifting", "the guest kernel passes no range shifts on"),
    (
        "large",
        "names are packed by the guest kernel into the room of its own replies",
    ),
    ("statfs_of_files", "the type is FUSE's"),
    (
        "fifo_read_restarted",
        "a FIFO belongs to the kernel that opens it: host and guest do not meet in it",
    ),
    ("fifo_open_and_read", "likewise"),
    (
        "ofd_is_of_the_description",
        "the guest kernel tells of the last close after close(2) has returned",
    ),
];

/// A hostd for one user, and copies of the programs that this user can reach.
struct Stage {
    daemon: Daemon,
    user: u32,
    runner: PathBuf,
    library: PathBuf,
    mount: Option<Mount>,
}

impl Stage {
    fn new(user: u32, way: Way, cache: &str) -> Stage {
        let name = if user == 0 { "root" } else { "nobody" };
        let daemon =
            Daemon::configured(|_| json!({"exports": [{"path": "/", "mode": "rw"}], "as": name}));
        let copy = |file: &str| {
            let to = daemon.directory.join(file);
            std::fs::copy(program(file), &to).expect("a copy for the user");
            to
        };
        let (runner, library) = (copy("case_runner"), copy("libhostcall_preload.so"));
        let mount = (way == Way::Hostfs)
            .then(|| Mount::of(&daemon, &format!("cache={cache},symlinks=stored")));
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
    fn run(&self, case: &Case, way: Way) -> Vec<String> {
        let base = self.daemon.export(&format!("{}-{}", case.name, way.name()));
        std::fs::create_dir(&base).expect("the case's directory");
        chown(
            &base,
            Some(Uid::from_raw(self.user)),
            Some(Gid::from_raw(self.user)),
        )
        .expect("its owner");
        let text = base.to_str().expect("a plain path");
        let mountpoint = self.mount.as_ref().map(|mount| &mount.mountpoint);
        let mountpoint = mountpoint.map_or("", |path| path.to_str().expect("a plain path"));
        let mut command = Command::new(&self.runner);
        command
            .args([case.name, way.name(), &way.sees(text, mountpoint)])
            .env_clear();
        match way {
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
        let mut lines = converse(command, &base);
        lines.push("-- left behind:".to_owned());
        // A directory that a case moved or removed is listed as what it is.
        lines.extend(listing(&base));
        lines
    }
}

/// Runs a case's process to its end and does what it asks for.
fn converse(mut command: Command, base: &Path) -> Vec<String> {
    let log = base.with_extension("stderr");
    command
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command.stderr(std::fs::File::create(&log).expect("a log"));
    let mut child = command.spawn().expect("the case's process starts");
    let watchdog = Watchdog::over(child.id());
    let mut answers = child.stdin.take().expect("a pipe");
    let actor = Actor::new(base);
    let mut lines = Vec::new();
    for line in BufReader::new(child.stdout.take().expect("a pipe")).lines() {
        let line = line.expect("a line of text");
        let event: Value =
            serde_json::from_str(&line).unwrap_or_else(|_| panic!("not an event: {line}"));
        match event["ask"].as_str() {
            Some(command) => {
                writeln!(answers, "{}", actor.act(command)).expect("the process listens")
            }
            None => lines.push(line),
        }
    }
    let status = child.wait().expect("the process ends");
    drop(watchdog);
    lines.push(format!("-- {status}"));
    let said = std::fs::read_to_string(&log).unwrap_or_default();
    lines.extend(said.lines().map(|line| format!("-- stderr: {line}")));
    lines
}

/// Kills a process that hangs, so that the test fails instead of hanging too.
struct Watchdog(
    std::sync::mpsc::Sender<()>,
    Option<std::thread::JoinHandle<()>>,
);

impl Watchdog {
    fn over(pid: u32) -> Watchdog {
        let (alive, done) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            if done.recv_timeout(PATIENCE) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                let pid = nix::unistd::Pid::from_raw(pid as i32);
                let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
            }
        });
        Watchdog(alive, Some(thread))
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        let _ = self.0.send(());
        let _ = self.1.take().map(std::thread::JoinHandle::join);
    }
}

/// The first lines that differ, in their surroundings.
fn difference(expected: &[String], found: &[String]) -> String {
    let first = expected
        .iter()
        .zip(found)
        .take_while(|(expected, found)| expected == found)
        .count();
    let part = |lines: &[String]| {
        lines
            .iter()
            .skip(first)
            .take(3)
            .cloned()
            .collect::<Vec<_>>()
            .join("\n      ")
    };
    let before = expected[..first].last().cloned().unwrap_or_default();
    format!(
        "    after {before}\n    native {}\n    found  {}",
        part(expected),
        part(found)
    )
}

fn conform(user: u32, way: Way) {
    conform_with(user, way, "none");
}

fn conform_with(user: u32, way: Way, cache: &str) {
    if user == 0 && !Uid::effective().is_root() {
        eprintln!("skipped: needs root");
        return;
    }
    let stage = Stage::new(user, way, cache);
    let (mut differences, start) = (Vec::new(), Instant::now());
    let only = std::env::var("CASE").ok();
    let direct = cases::direct().filter(|_| way == Way::Client);
    let cases: Vec<Case> = cases::all()
        .chain(direct)
        .filter(|case| only.as_ref().is_none_or(|only| case.name.contains(only)))
        .filter(|case| way != Way::Hostfs || BEYOND_FUSE.iter().all(|(name, _)| *name != case.name))
        .collect();
    for case in &cases {
        let (mut expected, found) = (stage.run(case, Way::Native), stage.run(case, way));
        if way == Way::Hostfs {
            // Whoever looks from the host sees a guest process's record locks as those of the shadow's open files.
            for line in &mut expected {
                *line = line.replace(", posix, flock", ", ofd, flock");
            }
        }
        // A case that fails alike everywhere shows nothing.
        let sound = expected.iter().any(|line| line == "-- exit status: 0");
        assert!(
            sound,
            "{} fails natively:\n{}",
            case.name,
            expected.join("\n")
        );
        if expected != found {
            differences.push(format!(
                "  {}:\n{}",
                case.name,
                difference(&expected, &found)
            ));
        }
    }
    let count = differences.len();
    assert!(
        count == 0,
        "{count} cases differ by way of {}:\n{}",
        way.name(),
        differences.join("\n")
    );
    eprintln!("{} by {} in {:?}", cases.len(), way.name(), start.elapsed());
}

#[test]
fn client_as_root() {
    conform(0, Way::Client);
}

#[test]
fn client_as_nobody() {
    conform(NOBODY, Way::Client);
}

#[test]
fn preload_as_root() {
    conform(0, Way::Preload);
}

#[test]
fn preload_as_nobody() {
    conform(NOBODY, Way::Preload);
}

#[test]
fn hostfs_as_root() {
    conform(0, Way::Hostfs);
}

#[test]
fn hostfs_as_nobody() {
    conform(NOBODY, Way::Hostfs);
}

#[test]
fn hostfs_that_caches() {
    conform_with(0, Way::Hostfs, "auto");
}

#[test]
fn every_op_of_the_table_occurs_in_a_case() {
    let stage = Stage::new(0, Way::Native, "none");
    let mut seen = HashSet::new();
    for case in cases::all().chain(cases::direct()) {
        for line in stage.run(&case, Way::Native) {
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
