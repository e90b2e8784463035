//! Jobs and signals of dosh at a terminal.

use hostcall_tests::daemon::eventually;
use hostcall_tests::dosh::{Dosh, MARK};
use nix::sys::signal::{kill, Signal};
use nix::sys::termios::LocalFlags;
use nix::unistd::Pid;
use std::fs;
use std::time::Duration;

/// The status of the last line.
fn status(dosh: &mut Dosh) -> String {
    let shown = dosh.does("echo \"<$?>\"");
    let start = shown.find("\n<").expect("a status") + 2;
    shown[start..]
        .split('>')
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// Whether a process is there and runs, or is stopped, or is gone.
fn state(pid: i32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let rest = &stat[stat.rfind(')')? + 2..];
    rest.chars().next().filter(|state| *state != 'Z')
}

#[test]
fn control_c_ends_every_kind_of_loop() {
    let mut dosh = Dosh::bare();
    for line in [
        "while :; do :; done",
        "until false; do :; done",
        "while true; do continue; done",
        "for ((;;)); do :; done",
        "while sleep 0.01; do :; done",
        "while :; do sleep 0.01; done",
        "while :; do /bin/true; done",
        "while :; do (:); done",
        "while :; do x=$(echo a); done",
        "while :; do echo a | cat >/dev/null; done",
        "while :; do :; done | cat",
        "while :; do echo a; done >/dev/null",
        "f() { while :; do :; done; }; f",
        "f() { :; }; while :; do f; done",
        "eval 'while :; do :; done'",
        "while :; do case x in x) ;; esac; done",
        "(while :; do :; done)",
        "x=$(while :; do :; done)",
        "while :; do for i in 1 2; do :; done; done",
        "while :; do ! :; done; echo never",
        "trap : USR1; while :; do :; done",
        "set +m; while :; do sleep 0.01; done",
        "set +m; while :; do :; done | cat",
    ] {
        dosh.types(&format!("\x0cprintf 'be''gun'; {line}; echo never\r"));
        dosh.shows("begun");
        // A key that comes while a program is ending reaches nobody: the terminal is still that program's.
        eventually("the loop ends", || {
            dosh.types("\x03");
            dosh.comes_to(MARK, Duration::from_millis(300))
        });
        let shown = dosh.shown();
        assert!(!shown.contains("\nnever"), "{line}: {shown}");
        assert_eq!(status(&mut dosh), "130", "{line}");
        dosh.does("set -m");
    }
}

#[test]
fn control_c_ends_what_waits() {
    let mut dosh = Dosh::bare();
    for line in [
        "read x",
        "read -t 100 x",
        "read -n 5 x",
        "wait",
        "wait $!",
        "wait %1",
        "sleep 100",
        "sleep 100 | cat",
        "cat",
        "x=$(sleep 100)",
        "(sleep 100)",
        "command sleep 100",
        "{ sleep 100; }",
    ] {
        dosh.does("sleep 1000 &");
        dosh.types(&format!("\x0cprintf 'be''gun'; {line}; echo never\r"));
        dosh.shows("begun");
        // Until it waits.
        std::thread::sleep(Duration::from_millis(100));
        dosh.types("\x03");
        dosh.at(MARK);
        let shown = dosh.shown();
        assert!(!shown.contains("\nnever"), "{line}: {shown}");
        assert_eq!(status(&mut dosh), "130", "{line}");
        dosh.does("kill %1; wait");
    }
}

#[test]
fn a_trap_on_interrupts_runs() {
    let mut dosh = Dosh::bare();
    dosh.does("trap 'echo caught' INT");
    dosh.types("\x0cn=0; while [ $n -lt 1 ]; do read x; n=$((n + 1)); done\r");
    std::thread::sleep(Duration::from_millis(100));
    dosh.types("\x03");
    dosh.shows("caught");
    dosh.types("line\r");
    dosh.at(MARK);
    dosh.does("trap - INT");
    dosh.types("while :; do :; done\r");
    std::thread::sleep(Duration::from_millis(100));
    dosh.types("\x03");
    dosh.at(MARK);
    assert_eq!(status(&mut dosh), "130");
}

/// Stages are programs, functions, loops and subshells: all of one job are stopped and go on together.
#[test]
fn stopped_pipelines_go_on() {
    let mut dosh = Dosh::bare();
    dosh.does("f() { while read -r x; do echo \"f:$x\"; done; }");
    let feed = "{ echo a; sleep 0.6; echo b; }";
    for line in [
        format!("{feed} | cat"),
        format!("{feed} | f"),
        format!("{feed} | while read -r x; do echo \"w:$x\"; done"),
        format!("{feed} | (cat) | f | cat"),
        "for i in 1 2 3; do echo $i; sleep 0.3; done | f | cat".to_owned(),
        "{ sleep 0.6; echo b; }".to_owned() + " | { cat; echo end; }",
        "(sleep 0.6; echo b)".to_owned(),
        "bash -c 'sleep 0.6; echo b'".to_owned(),
    ] {
        for continued in ["fg", "bg; wait", "fg %1", "kill -CONT %1; wait"] {
            dosh.types(&format!("\x0c{line} >out; echo \"st=$?\"\r"));
            std::thread::sleep(Duration::from_millis(150));
            dosh.types("\x1a");
            dosh.shows("Stopped");
            dosh.at(MARK);
            let shown = dosh.shown();
            assert!(shown.contains("st=148"), "{line}: {shown}");
            assert!(dosh.does("jobs").contains("Stopped"));
            dosh.does(continued);
            let out = fs::read_to_string(dosh.home.join("out")).expect("output");
            let last = out.lines().last().unwrap_or_default();
            assert!(
                ["b", "f:b", "w:b", "f:f:b", "end", "f:3"].contains(&last),
                "{line}, {continued}: {out}"
            );
            let jobs = dosh.does("jobs");
            assert!(!jobs.contains('['), "{line}, {continued}: {jobs}");
        }
    }
}

#[test]
fn a_stopped_job_ends_the_loops_around_it() {
    let mut dosh = Dosh::bare();
    dosh.does("f() { sleep 100; }");
    for line in [
        "while :; do sleep 100; done",
        "for i in 1 2; do while :; do f; done; done",
    ] {
        dosh.types(&format!("\x0c{line}; echo \"st=$?\"\r"));
        std::thread::sleep(Duration::from_millis(150));
        dosh.types("\x1a");
        dosh.shows("st=148");
        dosh.at(MARK);
        let jobs = dosh.does("jobs");
        assert_eq!(jobs.matches("Stopped").count(), 1, "{jobs}");
        dosh.does("kill -9 %1; wait");
    }
}

#[test]
fn jobs_are_told_of_before_the_prompt() {
    let mut dosh = Dosh::bare();
    dosh.types("sleep 0.1 &\r");
    dosh.shows("[1] ");
    dosh.at(MARK);
    std::thread::sleep(Duration::from_millis(300));
    assert!(!dosh.shown().contains("Done"));
    dosh.types(":\r");
    dosh.shows("Done");
    // At once.
    dosh.does("set -b");
    dosh.types("\x0c(sleep 0.2; exit 3) &\rtyped");
    dosh.shows("Exit 3");
    dosh.at(&format!("{MARK}typed"));
}

#[test]
fn how_a_job_has_ended_is_known_when_it_was_told_of() {
    let mut dosh = Dosh::bare();
    dosh.does("sh -c 'exit 7' & one=$!");
    dosh.does("sh -c 'kill -9 $$' & two=$!");
    std::thread::sleep(Duration::from_millis(200));
    dosh.does(":");
    let shown = dosh.does("jobs; wait $two; echo \"<$?>\"; wait $one; echo \"<$?>\"");
    assert!(shown.contains("\n<137>\n<7>"), "{shown}");
    assert!(dosh.does("wait $one; echo \"<$?>\"").contains("\n<7>"));
    assert!(dosh.does("wait $$; echo \"<$?>\"").contains("\n<127>"));
}

#[test]
fn stopped_jobs_are_told_of_once_before_the_shell_ends() {
    for leave in ["exit\r", "\x04"] {
        let mut dosh = Dosh::bare();
        dosh.types("echo $$ >shell; sh -c 'echo $$ >job; kill -STOP $$; sleep 100'\r");
        dosh.shows("Stopped");
        dosh.at(MARK);
        let job = dosh.number("job");
        dosh.types(leave);
        dosh.shows("There are stopped jobs.");
        dosh.at(MARK);
        dosh.does(":");
        dosh.types(leave);
        dosh.shows("There are stopped jobs.");
        dosh.at(MARK);
        dosh.types(leave);
        dosh.ends();
        eventually("the job is hung up", || state(job).is_none());
    }
}

#[test]
fn running_jobs_stay_but_under_huponexit() {
    for (option, stays) in [("", true), ("set -o huponexit; ", false)] {
        let mut dosh = Dosh::bare();
        dosh.types(&format!("{option}sleep 100 & echo $! >job\r"));
        dosh.at(MARK);
        let job = dosh.number("job");
        dosh.types("exit 4\r");
        assert_eq!(dosh.ends().code(), Some(4));
        match stays {
            true => {
                assert!(state(job).is_some());
                kill(Pid::from_raw(job), Signal::SIGKILL).expect("killed");
            }
            false => eventually("the job is hung up", || state(job).is_none()),
        }
    }
}

#[test]
fn a_hang_up_ends_shell_and_jobs() {
    for busy in [
        "",
        "sleep 100\r",
        "while :; do :; done\r",
        "cat\r",
        "read x\r",
    ] {
        let mut dosh = Dosh::bare();
        dosh.types("sleep 100 & echo $! >running; sh -c 'echo $$ >stopped; kill -STOP $$'\r");
        dosh.shows("Stopped");
        dosh.at(MARK);
        let (running, stopped) = (dosh.number("running"), dosh.number("stopped"));
        dosh.types(busy);
        std::thread::sleep(Duration::from_millis(100));
        kill(Pid::from_raw(dosh.pid()), Signal::SIGHUP).expect("sent");
        assert_eq!(dosh.ends().code(), Some(129), "{busy}");
        for job in [running, stopped] {
            eventually("the jobs are hung up", || state(job).is_none());
        }
    }
}

#[test]
fn signals_that_end_others_do_not_end_the_shell() {
    let mut dosh = Dosh::bare();
    for signal in [
        Signal::SIGTERM,
        Signal::SIGQUIT,
        Signal::SIGTSTP,
        Signal::SIGTTOU,
        Signal::SIGTTIN,
        Signal::SIGINT,
    ] {
        kill(Pid::from_raw(dosh.pid()), signal).expect("sent");
    }
    assert!(dosh.does("echo al''ive").contains("\nalive"));
    // Nor are they ignored by what it starts.
    for signal in ["TERM", "QUIT", "INT", "HUP", "TSTP", "TTIN", "TTOU"] {
        let shown = dosh.does(&format!(
            "sh -c 'kill -{signal} $$; sleep 1; echo sur''vived'"
        ));
        assert!(!shown.contains("\nsurvived"), "{signal}: {shown}");
        dosh.does("kill -9 %1; wait");
    }
    let shown = dosh
        .does("trap 'echo caught' TERM; kill -TERM $$; trap - TERM; kill -TERM $$; echo al''ive");
    assert!(
        shown.contains("\ncaught") && shown.contains("\nalive"),
        "{shown}"
    );
}

#[test]
fn the_terminal_is_put_in_order_behind_a_program_that_could_not() {
    let mut dosh = Dosh::bare();
    for end in ["kill -9 $$", "kill -STOP $$"] {
        dosh.does(&format!("sh -c 'stty -echo -icanon; {end}'"));
        let shown = dosh.does("stty -a");
        assert!(
            !shown.contains("-echo ") && !shown.contains("-icanon"),
            "{end}: {shown}"
        );
    }
    // What a stopped program has set is there when it goes on.
    dosh.does("kill -9 %1; wait");
    dosh.does("sh -c 'stty -echo; kill -STOP $$; stty -a >set'");
    dosh.does("fg");
    let set = fs::read_to_string(dosh.home.join("set")).expect("settings");
    assert!(set.contains("-echo "), "{set}");
    // What one has set that ended by itself was meant so.
    dosh.does("stty -echo");
    assert!(dosh.does("stty -a").contains("-echo "));
    assert!(!dosh.settings().local_flags.contains(LocalFlags::ICANON));
}

/// A child is a job from its first moment on.
#[test]
fn signals_reach_a_job_that_has_just_begun() {
    let mut dosh = Dosh::bare();
    for (signal, status) in [("TERM", 143), ("HUP", 129), ("INT", 130), ("QUIT", 131)] {
        let shown = dosh.does(&format!(
            "for i in 1 2 3; do sleep 1000 & kill -{signal} $!; wait $!; s=\"$s $?\"; done; echo \"<$s>\"; s="
        ));
        let all = format!("\n< {status} {status} {status}>");
        assert!(shown.contains(&all), "{signal}: {shown}");
    }
    dosh.does("sleep 1000 & kill -TSTP $!; echo $! >job");
    let job = dosh.number("job");
    eventually("the job is stopped", || state(job) == Some('T'));
    dosh.does("kill -9 %%; wait");
}

#[test]
fn an_interrupt_of_any_stage_is_one_of_the_line() {
    let mut dosh = Dosh::bare();
    let shown = dosh.does("while :; do sh -c 'kill -INT $$' | cat; sleep 0.01; done; echo never");
    assert!(!shown.contains("\nnever"), "{shown}");
    assert_eq!(status(&mut dosh), "130");
}

#[test]
fn control_z_does_not_stop_substitutions() {
    let mut dosh = Dosh::bare();
    for line in [
        "x=$(echo 1 >begun; sleep 0.5; echo q)",
        "x=$(echo 1 >begun; sleep 0.5 | cat; echo q)",
        "x=$(echo 1 >begun; (sleep 0.5; echo q))",
    ] {
        dosh.types(&format!("\x0c{line}; echo \"<$x>\"\r"));
        dosh.number("begun");
        dosh.types("\x1a");
        dosh.shows("<q>");
        dosh.at(MARK);
        let shown = dosh.shown();
        assert!(!shown.contains("Stopped"), "{line}: {shown}");
        assert!(!dosh.does("rm begun; jobs").contains('['), "{line}");
    }
}

#[test]
fn traps_speak_above_the_prompt() {
    let mut dosh = Dosh::bare();
    for before in ["", "seq 50"] {
        dosh.does("trap 'echo caught' USR1");
        dosh.does(before);
        dosh.types("typed");
        dosh.at(&format!("{MARK}typed"));
        kill(Pid::from_raw(dosh.pid()), Signal::SIGUSR1).expect("sent");
        dosh.shows("caught\n% typed");
        dosh.at(&format!("{MARK}typed"));
        let shown = dosh.shown();
        assert!(shown.contains("% typed\ncaught\n% typed"), "{shown}");
        dosh.types("\x03");
        dosh.at(MARK);
    }
}

#[test]
fn what_takes_the_shells_place_hears_signals_and_a_shell_that_stays_does_not() {
    let mut dosh = Dosh::bare();
    dosh.does("exec no-such-program");
    dosh.does("kill -TERM $$; kill -TSTP $$");
    dosh.types("exec grep SigIgn /proc/self/status >out\r");
    let out = dosh.home.join("out");
    let read = || std::fs::read_to_string(&out).unwrap_or_default();
    dosh.until("the program", |_| read().ends_with('\n'));
    let mask = read().split_whitespace().nth(1).map(str::to_owned);
    let mask = u64::from_str_radix(&mask.expect("a mask"), 16).expect("a mask");
    for signal in [libc::SIGTERM, libc::SIGQUIT, libc::SIGTSTP, libc::SIGTTIN] {
        assert_eq!(mask >> (signal - 1) & 1, 0, "{signal}");
    }
}
