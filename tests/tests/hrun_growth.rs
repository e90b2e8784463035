//! A guest that runs host programs all day leaves hostd as it was.

use hostcall_tests::daemon::{descendants, program, Daemon};
use serde_json::json;
use std::process::{Command, Stdio};

/// Runs ahead of the first look: what is allocated once is there then.
const WARM_UP: usize = 100;
const RUNS: usize = 1000;
/// KiB that the memory of a process may grow by in all runs: half a KiB a run would exceed it.
const SLACK: usize = 500;

fn run(daemon: &Daemon, count: usize) {
    for _ in 0..count {
        let mut hrun = Command::new(program("hrun"));
        hrun.arg("true").env("HOSTCALL_ATTACH", daemon.socket());
        // Standard output and error are pipes.
        let output = hrun.stdin(Stdio::null()).output().expect("hrun starts");
        assert!(output.status.success(), "{output:?}");
    }
}

/// Anonymous memory of a process, KiB: what it has allocated and touched.
fn memory(pid: i32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number
        .and_then(|number| number.parse().ok())
        .expect("a number")
}

fn fds(pid: i32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

fn launcher(daemon: &Daemon) -> i32 {
    let is_launcher = |pid: &i32| {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        name.trim_end() == "launcher"
    };
    let mut all = descendants(daemon.pid()).into_iter();
    all.find(is_launcher).expect("a launcher")
}

#[test]
fn a_thousand_programs_leave_nothing_behind() {
    let daemon =
        Daemon::configured(|_| json!({"exports": [{"path": "/"}], "exec": {"allow": ["*"]}}));
    run(&daemon, WARM_UP);
    let launcher = launcher(&daemon);
    let processes = [daemon.pid(), launcher];
    let before = daemon.settled_footprint();
    let (had, open) = (processes.map(memory), fds(launcher));
    run(&daemon, RUNS);
    daemon.settles_to(&before);
    hostcall_tests::daemon::eventually("the launcher lets go of its programs", || {
        fds(launcher) <= open
    });
    for (pid, had) in processes.into_iter().zip(had) {
        let has = memory(pid);
        assert!(has <= had + SLACK, "process {pid} has {has} KiB, had {had}");
    }
}
