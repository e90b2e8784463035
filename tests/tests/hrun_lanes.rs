//! hrun with fewer lanes than it has threads that wait: they share.

use hostcall_tests::daemon::{program, Daemon, Scratch};
use hostcall_tests::guest::Guest;
use hostcall_tests::shell::{can_be, UML};
use serde_json::json;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

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

/// Starts so many programs in a guest whose processes share 254 lanes; each waits until all run.
fn run_long_and_at_once(count: u32, within: Duration) {
    if !can_be(UML) {
        return;
    }
    let directory = Scratch::new();
    let gate = directory.join("gate");
    nix::unistd::mkfifo(&gate, nix::sys::stat::Mode::S_IRWXU).expect("a gate");
    let directory = directory.display();
    let script = format!(
        "mkdir /tmp/many; cd /tmp/many
         for n in $(seq {count}); do
             hrun sh -c \"touch {directory}/$n; read x < {directory}/gate; echo $n\" < /dev/null > out$n 2> err$n &
         done
         until said=$(hrun ls {directory} | wc -l); [ $said -gt {count} ]; do sleep 0.5; done
         hrun sh -c 'exec 3<> {directory}/gate; sleep 1'
         wait
         echo ended $(cat out* | sort -n | uniq | wc -l), $(cat err* | wc -c)"
    );
    let mut command = Command::new(program("hostd"));
    command.args([
        "run", "--guest", UML, "--mem", "512M", "--", "bash", "-c", &script,
    ]);
    let said = Guest::run(command).expect("ended ", within);
    assert_eq!(said, format!("{count}, 0"));
}

#[test]
fn a_hundred_programs_run_long_and_at_once() {
    run_long_and_at_once(100, Duration::from_secs(120));
}

#[test]
#[ignore = "minutes"]
fn two_hundred_programs_run_long_and_at_once() {
    run_long_and_at_once(200, Duration::from_secs(400));
}
