//! No host program outlives its guest process, its guest or hostd, whoever dies and when.

use hostcall::ops::Calls;
use hostcall::types::{Errno, JobState};
use hostcall_tests::daemon::{descendants, eventually, leave, Daemon};
use hostcall_tests::family::{self, all_gone, pid_in};
use hostcall_tests::launch::{daemon, enter, finish, start, NONE};
use hostcall_tests::processes::{destroy, lives, named};
use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;
use std::path::Path;

/// Starts the family from this process.
fn start_family(daemon: &Daemon, client: &hostcall::client::Client) -> (u32, Vec<i32>) {
    enter(daemon, client);
    let job = start(client, &["sh", "-c", family::SCRIPT], [NONE; 3]).expect("started");
    (job, family::gather(&daemon.export("")))
}

/// Supervisors that have programs, and those that wait for one.
fn supervisors(daemon: &Daemon) -> (Vec<i32>, Vec<i32>) {
    let all = named(daemon, "supervisor").into_iter();
    all.partition(|pid| !descendants(*pid).is_empty())
}

#[test]
fn a_session_takes_its_programs_along() {
    let daemon = daemon();
    let client = daemon.attach();
    let (_, pids) = start_family(&daemon, &client);
    leave(client);
    all_gone(&pids);
    let another = daemon.attach();
    let job = start(&another, &["true"], [NONE; 3]).expect("started");
    assert_eq!(finish(&another, job), JobState::Exited(0));
}

/// What a program leaves behind when it has ended and been let go of, such as a server that it has started.
#[test]
fn what_is_left_running_lives_until_its_guest_goes() {
    let daemon = daemon();
    let client = daemon.attach();
    enter(&daemon, &client);
    let script =
        "setsid sh -c 'echo $$ > daemon; exec sleep 1000' & while ! test -s daemon; do :; done";
    let job = start(&client, &["sh", "-c", script], [NONE; 3]).expect("started");
    assert_eq!(finish(&client, job), JobState::Exited(0));
    let left = pid_in(&daemon.export("daemon"));
    leave(client);
    let another = daemon.attach();
    let job = start(&another, &["true"], [NONE; 3]).expect("started");
    assert_eq!(finish(&another, job), JobState::Exited(0));
    assert!(lives(left));
    eventually("the other one is gone", || {
        let jobs = daemon.status().jobs;
        jobs.len() == 1 && jobs[0].state == "ended, others that it has started run"
    });
    drop(daemon);
    all_gone(&[left]);
}

#[test]
fn a_shadow_that_is_killed_takes_its_programs_along() {
    let daemon = daemon();
    let client = daemon.attach();
    let (_, pids) = start_family(&daemon, &client);
    let shadow = daemon.status().sessions[0].shadow.expect("a shadow");
    destroy(shadow);
    all_gone(&pids);
    assert_eq!(client.nop().map(drop), Err(Errno(libc::ENOTCONN)));
}

#[test]
fn a_launcher_that_is_killed_takes_its_programs_along() {
    let daemon = daemon();
    let client = daemon.attach();
    let (job, pids) = start_family(&daemon, &client);
    let launcher = named(&daemon, "launcher");
    assert_eq!(launcher.len(), 1);
    destroy(launcher[0]);
    all_gone(&pids);
    let killed = JobState::Signalled {
        signal: 9,
        core: false,
    };
    assert_eq!(client.wait(job, 0).expect("its end").state, killed);
    // Another is started for the next program.
    let next = start(&client, &["sh", "-c", "exit 5"], [NONE; 3]).expect("started");
    assert_eq!(finish(&client, next), JobState::Exited(5));
}

#[test]
fn a_supervisor_that_is_killed_takes_its_programs_along() {
    let daemon = daemon();
    let client = daemon.attach();
    let (job, pids) = start_family(&daemon, &client);
    destroy(supervisors(&daemon).0[0]);
    all_gone(&pids);
    let killed = JobState::Signalled {
        signal: 9,
        core: false,
    };
    assert_eq!(client.wait(job, 0).expect("its end").state, killed);
    assert_eq!(client.signal(job, 0).map(drop), Err(Errno(libc::ESRCH)));
    client.forget(job).expect("it has ended");
}

#[test]
fn one_supervisor_waits_for_a_program_and_can_be_spared() {
    let daemon = daemon();
    let client = daemon.attach();
    for _ in 0..3 {
        let job = start(&client, &["true"], [NONE; 3]).expect("started");
        assert_eq!(finish(&client, job), JobState::Exited(0));
        let mut waiting = Vec::new();
        eventually("one waits, and no other is left", || {
            let (busy, idle) = supervisors(&daemon);
            waiting = idle;
            busy.is_empty() && waiting.len() == 1
        });
        // /dev/null, the log and its line: nothing of the program before, nor of the launcher.
        let files = std::fs::read_dir(format!("/proc/{}/fd", waiting[0]));
        assert_eq!(files.expect("it lives").count(), 4);
        destroy(waiting[0]);
        eventually("it is dead", || !lives(waiting[0]));
    }
    let job = start(&client, &["sh", "-c", "exit 5"], [NONE; 3]).expect("started");
    assert_eq!(finish(&client, job), JobState::Exited(5));
}

#[test]
fn a_supervisor_that_is_killed_amid_the_handing_over_costs_no_program() {
    let daemon = daemon();
    let client = daemon.attach();
    let job = start(&client, &["true"], [NONE; 3]).expect("started");
    assert_eq!(finish(&client, job), JobState::Exited(0));
    let mut waiting = Vec::new();
    eventually("one waits, and no other is left", || {
        let (busy, idle) = supervisors(&daemon);
        waiting = idle;
        busy.is_empty() && waiting.len() == 1
    });
    kill(Pid::from_raw(waiting[0]), Signal::SIGSTOP).expect("it lives");
    std::thread::scope(|scope| {
        let starting = scope.spawn(|| start(&client, &["sh", "-c", "exit 5"], [NONE; 3]));
        eventually("it has its task", || daemon.status().jobs.len() == 1);
        destroy(waiting[0]);
        let job = starting.join().expect("an answer").expect("started");
        assert_eq!(finish(&client, job), JobState::Exited(5));
    });
}

#[test]
fn a_guard_that_is_killed_leaves_no_leader() {
    let daemon = daemon();
    let client = daemon.attach();
    let (_, pids) = start_family(&daemon, &client);
    let launcher = named(&daemon, "launcher");
    destroy(named(&daemon, "guard")[0]);
    all_gone(&launcher);
    all_gone(&pids[..1]);
    for pid in &pids[1..] {
        let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
    }
}

#[test]
fn a_hostd_that_is_killed_or_stopped_takes_all_programs_along() {
    for signal in [Signal::SIGKILL, Signal::SIGTERM] {
        let daemon = daemon();
        let client = daemon.attach();
        let (_, pids) = start_family(&daemon, &client);
        let launcher = named(&daemon, "launcher");
        kill(Pid::from_raw(daemon.pid()), signal).expect("it lives");
        all_gone(&pids);
        all_gone(&launcher);
    }
}

#[test]
fn hostd_and_launcher_killed_at_once_leave_nothing() {
    let daemon = daemon();
    let client = daemon.attach();
    let (_, pids) = start_family(&daemon, &client);
    let launcher = named(&daemon, "launcher")[0];
    for pid in [daemon.pid(), launcher] {
        kill(Pid::from_raw(pid), Signal::SIGSTOP).expect("it lives");
    }
    destroy(launcher);
    destroy(daemon.pid());
    all_gone(&pids);
}

#[test]
fn death_while_a_program_is_being_started_leaves_nothing() {
    // Most of a round is waiting.
    std::thread::scope(|scope| {
        for part in 0..4 {
            scope.spawn(move || (part..20).step_by(4).for_each(die_while_starting));
        }
    });
}

fn die_while_starting(round: u64) {
    let daemon = daemon();
    let client = daemon.attach();
    let job = start(&client, &["true"], [NONE; 3]).expect("started");
    finish(&client, job);
    let victim = match round % 2 {
        0 => daemon.status().sessions[0].shadow.expect("a shadow"),
        _ => named(&daemon, "launcher")[0],
    };
    std::thread::scope(|scope| {
        let starting = scope
            .spawn(|| (0..).find_map(|_| start(&client, &["sleep", "12345"], [NONE; 3]).err()));
        std::thread::sleep(std::time::Duration::from_millis(round % 7));
        destroy(victim);
        if round % 2 == 1 {
            // Another launcher may take over at once; the process itself goes now.
            std::thread::sleep(std::time::Duration::from_millis(20));
            destroy(daemon.status().sessions[0].shadow.expect("a shadow"));
        }
        assert!(starting.join().expect("it ends").is_some());
    });
    eventually("only hostd's own processes are left", || {
        descendants(daemon.pid()).iter().all(|pid| {
            let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            !line.contains("12345")
        })
    });
}

#[test]
fn a_held_session_keeps_its_programs() {
    let daemon = daemon();
    let client = daemon.attach();
    let job = start(&client, &["sleep", "1000"], [NONE; 3]).expect("started");
    let token = client.hold_session().expect("held").token;
    leave(client);
    let again = daemon.try_attach(Some(token)).expect("taken over");
    again.signal(job, libc::SIGTERM).expect("it lives");
    assert_eq!(
        finish(&again, job),
        JobState::Signalled {
            signal: 15,
            core: false
        }
    );
    assert!(Path::new(&format!("/proc/{}", daemon.pid())).exists());
}
