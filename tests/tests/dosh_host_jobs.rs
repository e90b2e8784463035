//! Jobs of dosh that work on the host, or on both systems: stopped, continued, signalled, and ended with the shell.

use hostcall_tests::daemon::{eventually, Scratch};
use hostcall_tests::family;
use hostcall_tests::processes::lives;
use hostcall_tests::shell::Shell;
use std::time::Duration;

hostcall_tests::in_each_guest![
    hostcall_tests::shell::Shell::dosh:
    control_c_ends_a_pipeline_and_its_loop,
    control_c_is_not_lost_behind_a_program_that_has_ended,
    control_z_stops_pipelines_of_both_systems,
    jobs_say_where_they_work,
    jobs_are_signalled_and_waited_for,
    a_pager_of_the_hosts_has_the_keys,
    stopped_jobs_end_with_the_shell,
];

const SLOW: &str = "bash -c 'echo go; sleep 0.5; echo slept; exit 5'";

fn control_c_ends_a_pipeline_and_its_loop(shell: &mut Shell) {
    let program = "sh -c 'echo go; sleep 100'";
    for line in [
        format!("hrun {program}"),
        format!("hrun {program} | hrun cat"),
        format!("hrun {program} | cat"),
        format!("true | hrun {program} | hrun cat | cat"),
        format!("while :; do hrun {program} | hrun cat; done"),
        format!("@ while :; do {program}; done"),
    ] {
        shell.types(&format!("{line}\n"));
        shell.sees("go\r\n");
        shell.types("\x03");
        shell.prompts();
        let (shown, status) = shell.ends_with("echo on");
        assert_eq!((shown.trim(), &status[..]), ("on", "0"), "{line}");
    }
    shell.types(&format!("hrun {program} | hrun cat\n"));
    shell.sees("go\r\n");
    shell.types("\x03");
    shell.prompts();
    assert_eq!(shell.does("echo ${PIPESTATUS[*]}").trim(), "130 130");
}

/// What the program leaves running keeps its terminal open, so most keys come when it has ended and `hrun` has not. A few still
/// come when neither is there and the shell does not have the terminal back.
fn control_c_is_not_lost_behind_a_program_that_has_ended(shell: &mut Shell) {
    let loops = 12;
    let mut keys = 0;
    for _ in 0..loops {
        shell.types("echo be''gun; while :; do hrun sh -c 'sleep 0.2 & :'; done\n");
        shell.sees("begun");
        let prompts = |shell: &Shell| shell.raw().matches("prompt> ").count();
        let before = prompts(shell);
        std::thread::sleep(Duration::from_millis(200));
        eventually("the loop ends", || {
            keys += 1;
            shell.types("\x03");
            let mut looks = 0..30;
            looks.any(|_| {
                std::thread::sleep(Duration::from_millis(10));
                prompts(shell) > before
            })
        });
        shell.prompts();
    }
    assert!(keys <= loops + 8, "{keys} keys for {loops} loops");
}

fn control_z_stops_pipelines_of_both_systems(shell: &mut Shell) {
    let settings = shell.does("stty -g");
    for (line, status) in [
        (format!("hrun {SLOW}"), "5"),
        (format!("hrun {SLOW} | hrun cat"), "0"),
        (format!("hrun cat /dev/null | hrun {SLOW}"), "5"),
        (format!("hrun {SLOW} | hrun cat | cat"), "0"),
        (format!("{SLOW} | hrun cat | hrun cat"), "0"),
        (format!("@ {SLOW} | cat"), "0"),
    ] {
        shell.begins(&line);
        shell.sees("go\r\n");
        shell.types("\x1a");
        shell.sees("Stopped");
        assert_eq!(shell.ends(), "148", "{line}");
        assert!(shell.does("jobs").contains("Stopped"), "{line}");
        assert_eq!(shell.does("stty -g"), settings, "{line}");
        shell.begins("fg");
        shell.sees("slept\r\n");
        assert_eq!(shell.ends(), status, "{line}");
        shell.begins(&line);
        shell.sees("go\r\n");
        shell.types("\x1a");
        assert_eq!(shell.ends(), "148", "{line}");
        shell.does("bg");
        let shown = shell.does("wait");
        assert!(shown.contains("slept"), "{line}: {shown}");
    }
}

fn jobs_say_where_they_work(shell: &mut Shell) {
    for line in [
        "sleep 100",
        "hrun sleep 100",
        "sleep 100 | hrun cat",
        "@ sleep 100 | cat",
    ] {
        shell.leaves(line);
    }
    let jobs = shell.does("jobs");
    let places = ["", "(host)", "(guest and host)", "(host)"];
    for (line, place) in jobs.lines().zip(places) {
        let end = line.rsplit("  ").next().unwrap_or_default().trim();
        let said = if end.starts_with('(') { end } else { "" };
        assert_eq!(said, place, "{jobs}");
    }
    assert_eq!(jobs.lines().count(), 4, "{jobs}");
    let hosts = shell.does("hjobs");
    assert_eq!(hosts.lines().count(), 3, "{hosts}");
    assert!(!hosts.contains("[1]"), "{hosts}");
    shell.does("kill %1 %2 %3 %4; wait; jobs");
}

fn jobs_are_signalled_and_waited_for(shell: &mut Shell) {
    shell.leaves("hrun sleep 100 | hrun sh -c 'trap \"exit 7\" TERM; sleep 100 & wait'");
    // In one line: a job that has ended is told of before the prompt, and known no more.
    let (_, status) = shell.ends_with("sleep 0.5; kill %%; wait %%");
    assert_eq!(status, "7");
    shell.leaves("hrun sleep 100");
    let (shown, status) =
        shell.ends_with("kill -STOP %%; sleep 0.5; jobs; kill -KILL %%; sleep 0.5; wait %%");
    assert_eq!(status, "137", "{shown}");
    assert!(
        shown.contains("Stopped(STOP)") && shown.contains("(host)"),
        "{shown}"
    );
}

fn a_pager_of_the_hosts_has_the_keys(shell: &mut Shell) {
    let pager = "sh -c 'cat; read key < /dev/tty; echo \"<$key>\"; test -t 1 && echo terminal'";
    shell.begins(&format!("@ seq 3 | {pager}"));
    shell.sees("1\r\n2\r\n3\r\n");
    shell.types("some keys\n");
    shell.sees("<some keys>\r\nterminal\r\n");
    assert_eq!(shell.ends(), "0");
}

fn stopped_jobs_end_with_the_shell(shell: &mut Shell) {
    let directory = Scratch::new();
    let file = directory.join("pid");
    shell.begins(&format!(
        "hrun sh -c 'echo go; echo $$ > {}; exec sleep 1000' | hrun cat",
        file.display()
    ));
    shell.sees("go\r\n");
    let pid = family::pid_in(&file);
    shell.types("\x1a");
    shell.sees("Stopped");
    shell.ends();
    assert!(lives(pid));
    shell.types("exit\nexit\n");
    family::all_gone(&[pid]);
}
