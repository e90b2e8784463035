//! The terminal of a dosh is closed.

use hostcall_tests::daemon::eventually;
use hostcall_tests::dosh::{Dosh, MARK};
use std::fs;
use std::time::Duration;

/// Whether a process is there, and not only its status.
fn lives(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ")
        .next()
        .is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

/// The number that a line of the shell's has written.
fn number(dosh: &Dosh, file: &str) -> i32 {
    let mut number = None;
    eventually(file, || {
        let text = fs::read_to_string(dosh.home.join(file)).unwrap_or_default();
        number = text.strip_suffix('\n').and_then(|text| text.parse().ok());
        number.is_some()
    });
    number.expect("a number")
}

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
    let mut jobs = vec![number(&dosh, "running"), number(&dosh, "stopped")];
    dosh.types(line);
    match line.contains(">job") {
        true => jobs.push(number(&dosh, "job")),
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
