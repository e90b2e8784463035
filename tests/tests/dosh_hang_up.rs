//! The terminal of a dosh is closed.

use hostcall_tests::daemon::{eventually, Scratch};
use hostcall_tests::dosh::{self, Dosh, MARK};
use hostcall_tests::processes::lives;
use nix::fcntl::OFlag;
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Command, Stdio};
use std::time::Duration;

/// What the shell may be at when its terminal goes.
const BUSY: [&str; 8] = [
    "",
    "half a li",
    "sh -c 'echo $$ >job; exec sleep 100'\r",
    "sh -c 'echo $$ >job; exec sleep 100' | cat\r",
    "read x\r",
    "wait\r",
    "while :; do :; done\r",
    "cat\r",
];

/// A shell with a job that runs and one that is stopped, busy with a line.
fn busy(before: &str, line: &str) -> (Dosh, Vec<i32>) {
    let mut dosh = Dosh::bare();
    dosh.does(before);
    dosh.types("sleep 100 & echo $! >running; sh -c 'echo $$ >stopped; kill -STOP $$'\r");
    dosh.shows("Stopped");
    dosh.at(MARK);
    let mut jobs = vec![dosh.number("running"), dosh.number("stopped")];
    dosh.types(line);
    match line.contains(">job") {
        true => jobs.push(dosh.number("job")),
        false => std::thread::sleep(Duration::from_millis(100)),
    }
    (dosh, jobs)
}

fn jobs_end(jobs: &[i32], line: &str) {
    for job in jobs {
        eventually(&format!("{line:?}: the jobs are hung up"), || !lives(*job));
    }
}

#[test]
fn shell_and_jobs_end_with_their_terminal() {
    for line in BUSY {
        let (mut dosh, jobs) = busy(":", line);
        dosh.hangs_up();
        assert_eq!(dosh.ends().code(), Some(129), "{line:?}");
        jobs_end(&jobs, line);
    }
}

#[test]
fn traps_run_when_the_terminal_is_closed() {
    let traps = "trap 'echo hung up >>told' HUP; trap 'echo left >>told' EXIT";
    for line in BUSY {
        // An endless loop is the user's to end when the signal is.
        if line.starts_with("while") {
            continue;
        }
        let (mut dosh, jobs) = busy(traps, line);
        dosh.hangs_up();
        assert_eq!(dosh.ends().code(), Some(129), "{line:?}");
        let told = fs::read_to_string(dosh.home.join("told")).unwrap_or_default();
        assert_eq!(told, "hung up\nleft\n", "{line:?}");
        jobs_end(&jobs, line);
    }
}

#[test]
fn who_ignores_hang_ups_ends_all_the_same() {
    for line in ["", "half a li"] {
        let mut dosh = Dosh::bare();
        dosh.does("trap '' HUP; trap 'echo left >told' EXIT");
        dosh.types(line);
        std::thread::sleep(Duration::from_millis(100));
        dosh.hangs_up();
        assert_eq!(dosh.ends().code(), Some(129), "{line:?}");
        assert!(dosh.home.join("told").exists(), "{line:?}");
    }
}

#[test]
fn a_terminal_without_an_editor_is_closed_as_well() {
    let mut dosh = Dosh::with(|command, _| {
        command.env("TERM", "dumb").env("PS1", MARK);
    });
    dosh.at(MARK);
    dosh.types("trap 'echo left >told' EXIT; echo re''ady\r");
    dosh.shows("\nready");
    dosh.hangs_up();
    assert_eq!(dosh.ends().code(), Some(129));
    assert!(dosh.home.join("told").exists());
}

#[test]
fn a_terminal_that_does_not_control_the_shell_ends_it_too() {
    let scratch = Scratch::new();
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let mut master = posix_openpt(flags).expect("a terminal");
    grantpt(&master).expect("a terminal of one's own");
    unlockpt(&master).expect("its other end");
    let name = ptsname_r(&master).expect("its name");
    let mut options = fs::OpenOptions::new();
    let options = options.read(true).write(true);
    let slave = options.custom_flags(OFlag::O_NOCTTY.bits()).open(name);
    let slave = slave.expect("the other end");
    let end = || Stdio::from(slave.try_clone().expect("a copy"));
    let command = dosh::command(&scratch, &["--norc", "-i"]);
    // A session without a terminal: nobody hangs it up.
    let mut shell = Command::new("setsid")
        .arg("--wait")
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear()
        .envs(
            command
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .stdin(end())
        .stdout(end())
        .stderr(end())
        .spawn()
        .expect("setsid");
    drop(slave);
    let mut shown = Vec::new();
    let mut buffer = [0; 4096];
    // The editor asks where the cursor is before it reads keys.
    while !shown.ends_with(b"\x1b[6n") {
        let count = master.read(&mut buffer).expect("the prompt");
        shown.extend_from_slice(&buffer[..count]);
    }
    master.write_all(b"\x1b[1;1R").expect("an answer");
    std::thread::sleep(Duration::from_millis(300));
    drop(master);
    let mut ended = None;
    eventually("the shell ends", || {
        ended = shell.try_wait().expect("a status");
        ended.is_some()
    });
    assert_eq!(ended.and_then(|status| status.code()), Some(129));
}
