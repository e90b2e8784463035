//! Pipelines of dosh's where the host's policy, or a limit of the host's, is in the way.

use hostcall_tests::daemon::{program, Daemon};
use hostcall_tests::launch::audited;
use serde_json::{json, Value};
use std::process::{Command, Output, Stdio};

fn daemon(exec: Value, limits: Value) -> Daemon {
    Daemon::configured(|directory| {
        let mut exec = exec;
        exec["audit"] = json!(directory.join("audit"));
        json!({"exports": [{"path": "/"}], "exec": exec, "limits": limits})
    })
}

fn run(daemon: &Daemon, script: &str) -> Output {
    Command::new(program("dosh"))
        .args(["-c", script])
        .env("HOSTCALL_ATTACH", daemon.socket())
        .env("HOSTCALL_SESSION", "refused")
        .stdin(Stdio::null())
        .output()
        .expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Programs that the audit log has under an event.
fn programs(daemon: &Daemon, event: &str) -> Vec<String> {
    let lines = audited(daemon, event).into_iter();
    lines
        .map(|line| line["arguments"][0].as_str().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn each_stage_is_judged_and_written_down_by_itself() {
    let daemon = daemon(json!({"allow": ["*"], "deny": ["tr"]}), json!({}));
    let script = "hrun true | hrun tr a b | hrun cat; echo ${PIPESTATUS[*]}";
    let output = run(&daemon, script);
    let complained = text(&output.stderr);
    assert_eq!(text(&output.stdout), "0 126 0\n", "{complained}");
    assert_eq!(complained.lines().count(), 1, "{complained}");
    assert!(
        complained.starts_with("hrun: tr: refused: "),
        "{complained}"
    );
    assert_eq!(programs(&daemon, "start"), ["true", "cat"]);
    assert_eq!(programs(&daemon, "deny"), ["tr"]);
    assert_eq!(programs(&daemon, "end").len(), 2);
}

#[test]
fn a_guest_without_host_programs_is_told_so_once_for_all_stages() {
    let daemon = daemon(json!({"allow": []}), json!({}));
    let script = "hrun echo a | hrun cat | hrun cat; echo ${PIPESTATUS[*]}";
    let output = run(&daemon, script);
    let complained = text(&output.stderr);
    assert_eq!(text(&output.stdout), "126 126 126\n", "{complained}");
    assert_eq!(complained.lines().count(), 1, "{complained}");
    assert!(
        complained.contains("allow them under \"exec\""),
        "{complained}"
    );
}

#[test]
fn what_is_beyond_the_limit_is_a_stage_that_fails() {
    let daemon = daemon(json!({"allow": ["*"], "processes": 2}), json!({}));
    let script = "hrun echo a | hrun cat | hrun cat; echo ${PIPESTATUS[*]}";
    let output = run(&daemon, script);
    let complained = text(&output.stderr);
    assert!(text(&output.stdout).ends_with(" 126\n"), "{complained}");
    assert!(complained.contains("processes"), "{complained}");
}

#[test]
fn one_lane_carries_a_pipeline() {
    let daemon = daemon(json!({"allow": ["*"]}), json!({"lanes": 1}));
    let script = "seq 50000 | hrun cat 2>&1 | cat | hrun cat | hrun sh -c 'cat; exit 5' | cksum
        echo ${PIPESTATUS[*]}; seq 50000 | cksum";
    let output = run(&daemon, script);
    let said = text(&output.stdout);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 3, "{said}");
    assert_eq!((lines[0], lines[1]), (lines[2], "0 0 0 0 5 0"), "{said}");
}

#[test]
fn options_that_are_none_are_told_whole_with_the_way_to_those_that_are() {
    for (word, told) in [
        ("--bogus", "--bogus"),
        ("-Z", "-Z"),
        ("--\u{1b}[2J", "--\\u{1b}[2J"),
    ] {
        let mut command = Command::new(program("dosh"));
        let output = command.arg(word).output().expect("it runs");
        let expected = format!("dosh: {told}: invalid option; see dosh --help\n");
        assert_eq!(text(&output.stderr), expected);
        assert_eq!(output.status.code(), Some(2));
    }
}
