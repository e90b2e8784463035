//! Host programs of one pipeline: one process group, each with its own end.

use hostcall::client::Client;
use hostcall::ops::Calls;
use hostcall::types::{Errno, JobState, Offset, RemoteFd, RwFlags};
use hostcall::wire::Sink;
use hostcall_tests::daemon::{eventually, Daemon};
use hostcall_tests::launch::{
    daemon, finish, pipe, put, read_all, start, start_beside, words_of, LATER, NONE,
};
use nix::unistd::Pid;
use serde_json::json;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// A pipeline whose last program writes to us: its jobs, and our end.
fn pipeline(client: &Client, stages: &[&[&str]]) -> (Vec<u32>, RemoteFd) {
    let mut jobs: Vec<u32> = Vec::new();
    let mut input = NONE;
    for stage in stages {
        let (next, output) = pipe(client);
        let (words, beside) = (words_of(stage, &[]), jobs.first().copied().unwrap_or(0));
        let job = start_beside(client, &words, [input, output, NONE], 0, beside).expect("started");
        jobs.push(job);
        for end in [input, output] {
            let _ = client.close(end);
        }
        input = next;
    }
    (jobs, input)
}

#[test]
fn programs_of_a_pipeline_share_a_process_group() {
    let daemon = daemon();
    let client = daemon.attach();
    let shows = "ps -o sid=,pgid=,tpgid= -p $$; cat";
    let (jobs, end) = pipeline(
        &client,
        &[
            &["sh", "-c", shows],
            &["sh", "-c", shows],
            &["sh", "-c", shows],
        ],
    );
    let shown = String::from_utf8(read_all(&client, end)).expect("text");
    let mut groups: Vec<&str> = shown.lines().collect();
    assert_eq!(groups.len(), 3, "{shown}");
    groups.dedup();
    assert_eq!(groups.len(), 1, "{shown}");
    for job in jobs {
        assert_eq!(finish(&client, job), JobState::Exited(0));
    }
}

#[test]
fn each_program_of_a_group_has_its_own_end_and_signals_are_for_all() {
    let daemon = daemon();
    let client = daemon.attach();
    let (jobs, end) = pipeline(
        &client,
        &[
            &["sh", "-c", "exit 3"],
            &["sleep", "100"],
            &[
                "sh",
                "-c",
                "trap 'echo got; exit 5' TERM; echo go; sleep 100 & wait",
            ],
        ],
    );
    assert_eq!(client.wait(jobs[0], 0).unwrap().state, JobState::Exited(3));
    let mut said = [0; 3];
    let read = client.read(end, Offset::CURRENT, RwFlags(0), Sink::new(&mut said));
    assert_eq!((read.unwrap().filled.0, &said), (3, b"go\n"));
    // The first, which leads the group, has ended; one can still be started beside it, and signalled with it.
    let words = words_of(&["sleep", "100"], &[]);
    let late = start_beside(&client, &words, [NONE; 3], 0, jobs[0]).expect("started");
    client.signal(jobs[0], libc::SIGTSTP).expect("a group");
    for job in [jobs[1], late] {
        let stopped = client.wait(job, libc::WUNTRACED).unwrap().state;
        assert_eq!(stopped, JobState::Stopped(libc::SIGTSTP as u8));
    }
    client.signal(late, libc::SIGCONT).expect("a group");
    client.signal(jobs[2], libc::SIGTERM).expect("a group");
    assert_eq!(read_all(&client, end), b"got\n");
    let ended = JobState::Signalled {
        signal: 15,
        core: false,
    };
    for (job, end) in [
        (jobs[0], JobState::Exited(3)),
        (jobs[1], ended),
        (jobs[2], JobState::Exited(5)),
        (late, ended),
    ] {
        assert_eq!(finish(&client, job), end);
    }
    // With the last of them its numbers are given up.
    let words = words_of(&["true"], &[]);
    let beside = start_beside(&client, &words, [NONE; 3], 0, jobs[0]);
    assert_eq!(beside, Err(Errno(libc::ESRCH)));
}

#[test]
fn nothing_joins_a_group_that_is_not_its_sessions() {
    let daemon = daemon();
    let (client, other) = (daemon.attach(), daemon.attach());
    let job = start(&client, &["sleep", "100"], [NONE; 3]).expect("started");
    let words = words_of(&["true"], &[]);
    for beside in [job, job + 1, u32::MAX] {
        let started = start_beside(&other, &words, [NONE; 3], 0, beside);
        assert_eq!(started, Err(Errno(libc::ESRCH)), "{beside}");
    }
    for flags in [1, 3, 8, LATER | 1] {
        let started = start_beside(&client, &words, [NONE; 3], flags, job);
        assert_eq!(started, Err(Errno(libc::EINVAL)), "{flags}");
    }
    // What is refused leaves the others alone.
    let words = words_of(&["no-such-program"], &[]);
    for _ in 0..20 {
        let started = start_beside(&client, &words, [NONE; 3], 0, job);
        assert_eq!(started, Err(Errno(libc::ENOENT)));
    }
    let words = words_of(&["sh", "-c", "exit 7"], &[]);
    let beside = start_beside(&client, &words, [NONE; 3], 0, job).expect("started");
    assert_eq!(finish(&client, beside), JobState::Exited(7));
    client.signal(job, libc::SIGKILL).expect("a group");
    finish(&client, job);
}

/// Children of a process.
fn children(pid: i32) -> usize {
    let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    list.expect("it lives").split_whitespace().count()
}

/// The process that leads the session of a guest's programs.
fn supervisor(daemon: &Daemon) -> i32 {
    let program = daemon.status().jobs[0].pid.expect("it runs");
    let leader = nix::unistd::getsid(Some(Pid::from_raw(program)));
    leader.expect("it is not reaped").as_raw()
}

#[test]
fn programs_beside_one_that_has_ended_leave_no_zombies() {
    const MOST: usize = 4;
    let daemon = Daemon::configured(
        |_| json!({"exports": [{"path": "/"}], "exec": {"allow": ["true"], "processes": MOST}}),
    );
    let client = daemon.attach();
    let first = start(&client, &["true"], [NONE; 3]).expect("started");
    client.wait(first, 0).expect("its end");
    let supervisor = supervisor(&daemon);
    let open = || std::fs::read_dir(format!("/proc/{supervisor}/fd")).map(Iterator::count);
    let before = open().ok();
    let words = words_of(&["true"], &[]);
    let (mut started, mut most) = (0, 0);
    while started < 20 * MOST {
        match start_beside(&client, &words, [NONE; 3], 0, first) {
            Ok(job) => {
                assert_eq!(finish(&client, job), JobState::Exited(0));
                started += 1;
            }
            // Those that nobody waits for count until they are reaped.
            Err(errno) => assert_eq!(errno, Errno(libc::EAGAIN)),
        }
        most = most.max(children(supervisor));
    }
    // The next may run before the last is reaped.
    assert!(most <= MOST + 1, "{most}");
    eventually("all but the first are reaped", || children(supervisor) == 1);
    assert_eq!(open().ok(), before, "and their lines are closed");
    assert_eq!(finish(&client, first), JobState::Exited(0));
}

#[test]
fn one_that_may_not_start_leaves_its_group_alone() {
    const ROOM: u64 = 64 << 20;
    let daemon = Daemon::with_room(
        ROOM,
        |directory| json!({"exports": [{"path": "/"}], "exec": {"allow": ["*"], "audit": directory.join("audit")}}),
    );
    let client = daemon.attach();
    let first = start(&client, &["sleep", "1000"], [NONE; 3]).expect("started");
    let log = std::fs::File::options()
        .write(true)
        .open(daemon.directory.join("audit"))
        .expect("there");
    let size = |size: u64| log.set_len(size).expect("ours");
    let words = words_of(&["true"], &[]);
    for _ in 0..3 {
        size(ROOM);
        let refused = start_beside(&client, &words, [NONE; 3], 0, first);
        assert_eq!(refused, Err(Errno(libc::EIO)), "it cannot be written down");
        size(0);
        let job = start_beside(&client, &words, [NONE; 3], 0, first).expect("there is room again");
        assert_eq!(finish(&client, job), JobState::Exited(0));
    }
    client.signal(first, libc::SIGTERM).expect("it runs");
    let ended = JobState::Signalled {
        signal: libc::SIGTERM as u8,
        core: false,
    };
    assert_eq!(finish(&client, first), ended);
}

#[test]
fn programs_are_started_without_room_for_signals() {
    let daemon = daemon();
    let client = daemon.attach();
    let first = start(&client, &["sleep", "1000"], [NONE; 3]).expect("started");
    let supervisor = supervisor(&daemon);
    let limit = |soft: u64| {
        let mut prlimit = Command::new("prlimit");
        prlimit.arg(format!("--pid={supervisor}"));
        prlimit.arg(format!("--sigpending={soft}:"));
        assert!(prlimit.status().expect("runs").success());
    };
    let words = words_of(&["true"], &[]);
    for room in [0, 100, 0] {
        limit(room);
        let job = start_beside(&client, &words, [NONE; 3], 0, first).expect("started");
        assert_eq!(finish(&client, job), JobState::Exited(0));
    }
    client.signal(first, libc::SIGKILL).expect("a group");
    finish(&client, first);
}

/// Asks for a program without waiting for it: its words, and its job.
fn ask(client: &Client, words: &[&str], streams: [RemoteFd; 3], beside: u32) -> (RemoteFd, u32) {
    let words = words_of(words, &[]);
    let scratch = client.scratch(words.len() as u64).expect("a file").fd;
    put(client, scratch, &words).expect("written");
    let [stdin, stdout, stderr] = streams;
    let asked = client.exec(scratch, stdin, stdout, stderr, LATER, beside);
    (scratch, asked.expect("asked").job)
}

#[test]
fn programs_of_a_pipeline_are_on_their_way_at_once() {
    let daemon = daemon();
    let client = daemon.attach();
    let (reader, writer) = pipe(&client);
    let (next, output) = pipe(&client);
    let shows = "ps -o pgid= -p $$; cat";
    let first = ask(&client, &["sh", "-c", shows], [NONE, writer, NONE], 0);
    let second = ask(
        &client,
        &["sh", "-c", shows],
        [reader, output, NONE],
        first.1,
    );
    for end in [reader, writer, output] {
        client.close(end).expect("closed");
    }
    // In whatever order it is asked, and once.
    for (words, job) in [second, first] {
        client.started(job, words).expect("started");
        let again = client.started(job, words).map(drop);
        assert_eq!(again, Err(Errno(libc::ESRCH)));
        client.close(words).expect("closed");
    }
    let shown = String::from_utf8(read_all(&client, next)).expect("text");
    let mut groups: Vec<&str> = shown.lines().map(str::trim).collect();
    groups.dedup();
    assert_eq!((shown.lines().count(), groups.len()), (2, 1), "{shown}");
    for (_, job) in [first, second] {
        assert_eq!(finish(&client, job), JobState::Exited(0));
    }
}

#[test]
fn nothing_joins_the_group_of_a_program_that_does_not_run() {
    let daemon = daemon();
    let client = daemon.attach();
    // The second is found to be none when the host has permitted it.
    let empty = daemon.export("empty");
    std::fs::write(&empty, "\0").expect("written");
    std::fs::set_permissions(&empty, Permissions::from_mode(0o755)).expect("set");
    let empty = empty.to_str().expect("a path");
    for (failing, errno) in [("no-such-program", libc::ENOENT), (empty, libc::ENOEXEC)] {
        let first = ask(&client, &[failing], [NONE; 3], 0);
        let second = ask(&client, &["true"], [NONE; 3], first.1);
        for ((words, job), errno) in [(second, libc::ESRCH), (first, errno)] {
            let started = client.started(job, words).map(drop);
            assert_eq!(started, Err(Errno(errno)), "{failing}");
            client.close(words).expect("closed");
            let waited = client.wait(job, 0).map(drop);
            assert_eq!(waited, Err(Errno(libc::ECHILD)));
        }
    }
    // Who waits for none of them is not forgotten by the host.
    for _ in 0..64 {
        let (words, _) = ask(&client, &["no-such-program"], [NONE; 3], 0);
        client.close(words).expect("closed");
    }
    let words = words_of(&["true"], &[]);
    let beyond = start_beside(&client, &words, [NONE; 3], 0, 0);
    assert_eq!(beyond, Err(Errno(libc::EAGAIN)));
    let other = daemon.attach();
    let job = start(&other, &["true"], [NONE; 3]).expect("started");
    assert_eq!(finish(&other, job), JobState::Exited(0));
}
