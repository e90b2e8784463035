//! hrun with fewer lanes than it has threads that wait: they share.

use hostcall_tests::daemon::{program, Daemon};
use serde_json::json;
use std::io::Write;
use std::process::{Command, Stdio};

#[test]
fn one_lane_carries_all_streams_and_the_end() {
    let daemon = Daemon::configured(
        |_| json!({"exports": [{"path": "/"}], "exec": {"allow": ["*"]}, "limits": {"lanes": 1}}),
    );
    let script = "seq 50000; seq 50000 >&2; cat; exit 5";
    let mut child = Command::new(program("hrun"))
        .args(["sh", "-c", script])
        .env("HOSTCALL_ATTACH", daemon.socket())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("hrun starts");
    let mut input = child.stdin.take().expect("a pipe");
    let typed = std::thread::spawn(move || {
        for n in 0..50000 {
            writeln!(input, "{n}").expect("it reads");
        }
    });
    let output = child.wait_with_output().expect("it ends");
    typed.join().expect("all is written");
    let numbers = |from: u32, to: u32| -> Vec<u8> {
        (from..to)
            .flat_map(|n| format!("{n}\n").into_bytes())
            .collect()
    };
    assert_eq!(output.status.code(), Some(5));
    assert!(output.stdout == [numbers(1, 50001), numbers(0, 50000)].concat());
    assert!(output.stderr == numbers(1, 50001));
}
