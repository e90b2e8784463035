//! Host programs by the typed client: streams, states, signals, terminals.

use hostcall::client::Client;
use hostcall::ops::Calls;
use hostcall::types::{Errno, JobState, Offset, RemoteFd, RwFlags};
use hostcall::wire::{Sink, Source};
use hostcall_tests::daemon::{eventually, Daemon};
use hostcall_tests::launch::{
    daemon, finish, output, pipe, read_all, start, start_raw, words_of, write_all, NONE,
};
use serde_json::json;

fn run(client: &Client, arguments: &[&str]) -> (String, JobState) {
    output(client, arguments).unwrap_or_else(|errno| panic!("{arguments:?}: {errno}"))
}

#[test]
fn a_program_runs_and_its_end_is_told_exactly() {
    let daemon = daemon();
    let client = daemon.attach();
    let (text, state) = run(&client, &["echo", "-n", "a  b", "", "c\nd"]);
    assert_eq!((text.as_str(), state), ("a  b  c\nd", JobState::Exited(0)));
    for code in [0, 1, 126, 127, 128, 255] {
        let (_, state) = run(&client, &["sh", "-c", &format!("exit {code}")]);
        assert_eq!(state, JobState::Exited(code));
    }
    for signal in [1, 2, 9, 15, 40, 64] {
        let (_, state) = run(&client, &["sh", "-c", &format!("kill -{signal} $$")]);
        assert_eq!(
            state,
            JobState::Signalled {
                signal,
                core: false
            },
            "{signal}"
        );
    }
    assert_eq!(run(&client, &["/bin/sh", "-c", "echo $0"]).0, "/bin/sh\n");
    let missing = output(&client, &["no-such-program"]);
    assert_eq!(missing, Err(Errno(libc::ENOENT)));
    let directory = output(&client, &["/etc"]);
    assert_eq!(directory, Err(Errno(libc::EACCES)));
    assert_eq!(output(&client, &[""]), Err(Errno(libc::ENOENT)));
}

#[test]
fn bytes_go_both_ways_and_wait_for_who_is_slow() {
    const LEN: usize = 100 << 20;
    let daemon = daemon();
    let client = daemon.attach();
    let (input, to) = pipe(&client);
    let (from, out) = pipe(&client);
    let job = start(&client, &["cat"], [input, out, NONE]).expect("started");
    for end in [input, out] {
        client.close(end).expect("open");
    }
    let block: Vec<u8> = (0..251u8).cycle().take(1 << 20).collect();
    let (sent, received) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for _ in 0..LEN >> 20 {
                write_all(&client, to, &block).expect("cat reads");
            }
            client.close(to).expect("open");
        });
        // Meanwhile the pipes fill: neither side loses a byte when the other is late.
        std::thread::sleep(std::time::Duration::from_millis(200));
        let received = read_all(&client, from);
        (writer.join().is_ok(), received)
    });
    assert!(sent);
    assert_eq!(received.len(), LEN);
    assert!(
        received.chunks(1 << 20).all(|chunk| chunk == block),
        "other bytes came back"
    );
    assert_eq!(finish(&client, job), JobState::Exited(0));
}

#[test]
fn who_writes_to_nobody_hears_of_it() {
    let daemon = daemon();
    let client = daemon.attach();
    let (reader, writer) = pipe(&client);
    let job = start(&client, &["yes"], [NONE, writer, NONE]).expect("started");
    client.close(writer).expect("open");
    client.close(reader).expect("open");
    let state = finish(&client, job);
    assert_eq!(
        state,
        JobState::Signalled {
            signal: 13,
            core: false
        },
        "SIGPIPE is not ignored"
    );
    let (reader, writer) = pipe(&client);
    let job = start(&client, &["true"], [reader, NONE, NONE]).expect("started");
    client.close(reader).expect("open");
    assert_eq!(finish(&client, job), JobState::Exited(0));
    assert_eq!(write_all(&client, writer, b"x"), Err(Errno(libc::EPIPE)));
}

#[test]
fn a_policy_may_be_longer_than_a_message() {
    let long = "x".repeat(100_000);
    let environment = json!({"A": long, "B": long, "C": long});
    let daemon = Daemon::configured(
        |_| json!({"exports": [{"path": "/"}], "exec": {"allow": ["sh"], "environment": environment}}),
    );
    let lengths = run(&daemon.attach(), &["sh", "-c", "echo ${#A} ${#B} ${#C}"]);
    assert_eq!(lengths.0, "100000 100000 100000\n");
}

#[test]
fn one_call_waits_for_a_program_and_its_streams() {
    let daemon = daemon();
    let client = daemon.attach();
    let (theirs, ours) = pipe(&client);
    let (reader, writer) = pipe(&client);
    let job = start(&client, &["cat"], [theirs, writer, NONE]).expect("started");
    client.close(theirs).expect("open");
    client.close(writer).expect("open");
    let pair = |fd: RemoteFd, events: i16| [fd.0.to_le_bytes(), i32::from(events).to_le_bytes()];
    let both = [pair(reader, libc::POLLIN), pair(ours, libc::POLLOUT)]
        .concat()
        .concat();
    let wait = |options, files: &[u8]| {
        let reply = client.await_job(job, options, Source::new(files));
        reply.map(|reply| (reply.state, reply.ready))
    };
    let silent = &both[..8];
    assert_eq!(wait(libc::WNOHANG, &both), Ok((JobState::None, 0b10)));
    assert_eq!(wait(0, &both), Ok((JobState::None, 0b10)));
    assert_eq!(wait(libc::WNOHANG, silent), Ok((JobState::None, 0)));
    // A stream that becomes ready, and a change, each while it is waited for.
    let stopped = JobState::Stopped(libc::SIGSTOP as u8);
    let later = |act: &(dyn Fn() + Sync), files: &[u8]| {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(std::time::Duration::from_millis(100));
                act();
            });
            wait(libc::WUNTRACED, files)
        })
    };
    let write = || write_all(&client, ours, b"x").expect("it reads");
    assert_eq!(later(&write, silent), Ok((JobState::None, 1)));
    let mut byte = [0];
    let read = |byte: &mut [u8]| client.read(reader, Offset::CURRENT, RwFlags(0), Sink::new(byte));
    assert_eq!(read(&mut byte).expect("a byte").filled.0, 1);
    let stop = || assert!(client.signal(job, libc::SIGSTOP).is_ok());
    assert_eq!(later(&stop, silent), Ok((stopped, 0)));
    assert_eq!(
        wait(libc::WUNTRACED | libc::WNOHANG, silent),
        Ok((JobState::None, 0))
    );
    // What is not open is ready, for whoever reads it to hear so; what is malformed is refused.
    let closed = pair(RemoteFd(999), libc::POLLIN).concat();
    assert_eq!(wait(0, &closed), Ok((JobState::None, 1)));
    for malformed in [vec![0; 7], vec![0; 33 * 8]] {
        assert_eq!(wait(0, &malformed), Err(Errno(libc::EINVAL)));
    }
    client.signal(job, libc::SIGKILL).expect("sent");
    // Its streams end before it does.
    assert_eq!(wait(0, silent).map(|(_, ready)| ready), Ok(1));
    assert!(matches!(
        finish(&client, job),
        JobState::Signalled { signal: 9, .. }
    ));
    assert_eq!(wait(0, silent), Err(Errno(libc::ECHILD)));
}

#[test]
fn stops_and_continuations_are_told_when_asked_for() {
    let daemon = daemon();
    let client = daemon.attach();
    let job = start(&client, &["sleep", "1000"], [NONE; 3]).expect("started");
    let wait = |options| client.wait(job, options).expect("a job").state;
    let all = libc::WUNTRACED | libc::WCONTINUED;
    assert_eq!(wait(libc::WNOHANG | all), JobState::None);
    client.signal(job, libc::SIGSTOP).expect("sent");
    assert_eq!(
        wait(libc::WUNTRACED),
        JobState::Stopped(libc::SIGSTOP as u8)
    );
    assert_eq!(wait(libc::WNOHANG | all), JobState::None);
    client.signal(job, libc::SIGCONT).expect("sent");
    assert_eq!(wait(all), JobState::Continued);
    assert_eq!(client.forget(job).map(drop), Err(Errno(libc::EBUSY)));
    client.signal(job, 0).expect("it lives");
    client.signal(job, libc::SIGTERM).expect("sent");
    let ended = JobState::Signalled {
        signal: 15,
        core: false,
    };
    assert_eq!(
        (wait(0), wait(all), wait(libc::WNOHANG)),
        (ended, ended, ended)
    );
    assert_eq!(finish(&client, job), ended);
    assert_eq!(client.wait(job, 0).map(drop), Err(Errno(libc::ECHILD)));
    assert_eq!(client.signal(job, 9).map(drop), Err(Errno(libc::ESRCH)));
    assert_eq!(client.forget(job).map(drop), Err(Errno(libc::ECHILD)));
}

#[test]
fn a_signal_reaches_the_whole_group() {
    let daemon = daemon();
    let client = daemon.attach();
    let (reader, writer) = pipe(&client);
    let script = "sleep 1000 & sleep 1000 & echo; wait";
    let job = start(&client, &["sh", "-c", script], [NONE, writer, NONE]).expect("started");
    client.close(writer).expect("open");
    let mut byte = [0];
    let sink = hostcall::wire::Sink::new(&mut byte);
    let (position, flags) = (
        hostcall::types::Offset::CURRENT,
        hostcall::types::RwFlags(0),
    );
    client.read(reader, position, flags, sink).expect("a line");
    client.signal(job, libc::SIGTERM).expect("sent");
    // The pipe ends only when all three that have it are gone.
    assert_eq!(read_all(&client, reader), b"");
    assert_eq!(
        finish(&client, job),
        JobState::Signalled {
            signal: 15,
            core: false
        }
    );
}

#[test]
fn a_thousand_programs_leave_nothing_in_hostd() {
    let daemon = daemon();
    let client = daemon.attach();
    let resident = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid()));
        let status = status.expect("hostd lives");
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .expect("a line");
        line.split_whitespace()
            .nth(1)
            .and_then(|kib| kib.parse::<u64>().ok())
            .expect("a number")
    };
    let rounds = |n: u32| {
        for _ in 0..n {
            let job = start(&client, &["true"], [NONE; 3]).expect("started");
            assert_eq!(finish(&client, job), JobState::Exited(0));
        }
    };
    rounds(100);
    let (before, memory) = (daemon.settled_footprint(), resident());
    rounds(1000);
    daemon.settles_to(&before);
    let grown = resident().saturating_sub(memory);
    assert!(
        grown < 1024,
        "hostd has grown by {grown} KiB in 1,000 programs"
    );
    eventually(
        "only the launcher, its guard and one that waits are left",
        || {
            let all = hostcall_tests::daemon::descendants(daemon.pid());
            let name =
                |pid| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            let mut left: Vec<String> = all.iter().map(name).collect();
            left.retain(|name| !["zygote", "shadow"].contains(&name.trim_end()));
            left.sort();
            left == ["guard\n", "launcher\n", "supervisor\n"]
        },
    );
}

/// What a terminal shows, up to this text.
fn shows(client: &Client, master: RemoteFd, text: &str) -> String {
    let (mut seen, mut room) = (String::new(), [0; 1024]);
    while !seen.contains(text) {
        let read = client.read(master, Offset::CURRENT, RwFlags(0), Sink::new(&mut room));
        let len = read
            .unwrap_or_else(|errno| panic!("{errno} after {seen:?}"))
            .filled
            .0;
        seen += &String::from_utf8_lossy(&room[..len]);
    }
    seen
}

/// Starts a shell's script on a new terminal that controls it.
fn on_terminal(client: &Client, script: &str) -> (RemoteFd, u32) {
    with_terminal(client, script, 1)
}

fn with_terminal(client: &Client, script: &str, flags: u32) -> (RemoteFd, u32) {
    let master = client.pty_open(24, 80, 0, 0).expect("a terminal").fd;
    let words = words_of(&["sh", "-c", script], &["TERM=xterm"]);
    let job = start_raw(client, &words, [master; 3], flags).expect("started");
    (master, job)
}

#[test]
fn a_terminal_has_a_size_and_tells_of_its_change() {
    let daemon = daemon();
    let client = daemon.attach();
    let script = "trap 'stty size; exit 9' WINCH; stty size; while :; do sleep 0.01; done";
    let (master, job) = on_terminal(&client, script);
    shows(&client, master, "24 80\r\n");
    client
        .pty_resize(master, 40, 100, 0, 0)
        .expect("a terminal");
    shows(&client, master, "40 100\r\n");
    assert_eq!(finish(&client, job), JobState::Exited(9));
    // Nobody has it open any more.
    let end = client.read(master, Offset::CURRENT, RwFlags(0), Sink::new(&mut [0; 9]));
    assert_eq!(end.map(drop), Err(Errno(libc::EIO)));
}

#[test]
fn keys_reach_the_foreground_by_the_line_discipline() {
    let daemon = daemon();
    let client = daemon.attach();
    let type_keys =
        |master, keys: &str| write_all(&client, master, keys.as_bytes()).expect("typed");
    let (master, job) = on_terminal(&client, "echo ready; exec sleep 1000");
    shows(&client, master, "ready");
    type_keys(master, "\x1a");
    let wait = |job| {
        client
            .wait(job, libc::WUNTRACED | libc::WCONTINUED)
            .expect("a job")
            .state
    };
    assert_eq!(wait(job), JobState::Stopped(libc::SIGTSTP as u8));
    client.signal(job, libc::SIGCONT).expect("sent");
    assert_eq!(wait(job), JobState::Continued);
    type_keys(master, "\x03");
    assert_eq!(
        finish(&client, job),
        JobState::Signalled {
            signal: 2,
            core: false
        }
    );
    let (master, job) = on_terminal(&client, "echo ready; read line; echo \"[$line]\"; cat");
    shows(&client, master, "ready");
    type_keys(master, "word\n");
    shows(&client, master, "[word]");
    type_keys(master, "\x04");
    assert_eq!(finish(&client, job), JobState::Exited(0), "end of file");
}

#[test]
fn who_reads_in_the_background_of_a_terminal_stops() {
    let daemon = daemon();
    let client = daemon.attach();
    let wait = |job| client.wait(job, libc::WUNTRACED).expect("a job").state;
    let asks = JobState::Stopped(libc::SIGTTIN as u8);
    let script = "read line; echo \"[$line]\"; read line; echo \"[$line]\"; exit 6";
    let (master, job) = with_terminal(&client, script, 3);
    assert_eq!(wait(job), asks);
    client.foreground(job, 1).expect("a job");
    write_all(&client, master, b"one\n").expect("typed");
    shows(&client, master, "[one]");
    client.foreground(job, 0).expect("a job");
    write_all(&client, master, b"two\n").expect("typed");
    // It may have been reading already, and reads on then.
    client.signal(job, libc::SIGSTOP).expect("a job");
    client.wait(job, libc::WUNTRACED).expect("a job");
    client.foreground(job, 1).expect("a job");
    shows(&client, master, "[two]");
    assert_eq!(finish(&client, job), JobState::Exited(6));
    let gone = client.foreground(job, 1).map(drop);
    assert_eq!(gone, Err(Errno(libc::ESRCH)));
}

#[test]
fn a_terminal_that_is_closed_hangs_up() {
    let daemon = daemon();
    let client = daemon.attach();
    let (master, job) = on_terminal(&client, "echo ready; exec sleep 1000");
    shows(&client, master, "ready");
    client.close(master).expect("open");
    assert_eq!(
        finish(&client, job),
        JobState::Signalled {
            signal: 1,
            core: false
        }
    );
}

/// CVE-2017-5226, CVE-2023-28100: the terminal that hostd was started from is nobody's to control.
#[test]
fn cve_2017_5226_no_program_has_a_terminal_of_the_hosts() {
    let daemon = daemon();
    let client = daemon.attach();
    let (text, state) = run(
        &client,
        &["sh", "-c", "cut -d' ' -f5-7 /proc/$$/stat; exec 3</dev/tty"],
    );
    let fields: Vec<&str> = text.split_whitespace().collect();
    let own = nix::unistd::getsid(None).expect("a session").to_string();
    assert!(
        fields[1] != own && fields[2] == "0",
        "a session of its own, no terminal: {text}"
    );
    assert_ne!(state, JobState::Exited(0));
}

#[test]
fn a_named_session_keeps_its_directory_for_every_process() {
    let daemon = daemon();
    let (one, two) = (daemon.attach(), daemon.attach());
    let directory = |client: &Client| {
        let mut room = [0; 4096];
        let filled = client
            .getcwd(Sink::new(&mut room))
            .expect("it is there")
            .filled
            .0;
        String::from_utf8_lossy(&room[..filled]).into_owned()
    };
    assert_eq!(one.enter_session(c"tty1").expect("new").kept, 0);
    one.chdir(c"/usr/lib").expect("it is there");
    one.keep_session(c"tty1").expect("kept");
    assert_eq!(two.enter_session(c"tty1").expect("known").kept, 1);
    assert_eq!(directory(&two), "/usr/lib");
    assert_eq!(output(&two, &["pwd"]).expect("runs").0, "/usr/lib\n");
    assert_eq!(two.enter_session(c"tty2").expect("new").kept, 0);
    let home = nix::unistd::User::from_uid(nix::unistd::geteuid())
        .expect("known")
        .expect("there")
        .dir;
    let home = home.canonicalize().unwrap_or("/".into());
    assert_eq!(directory(&two), home.to_str().expect("plain"));
}

#[test]
fn two_hundred_at_once() {
    let daemon = daemon();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|n| {
                let daemon = &daemon;
                scope.spawn(move || {
                    let client = daemon.attach();
                    let jobs: Vec<u32> = (0..25)
                        .map(|m| {
                            let script = format!("sleep 1; exit {}", n * 25 + m);
                            start(&client, &["sh", "-c", &script], [NONE; 3]).expect("started")
                        })
                        .collect();
                    for (m, job) in jobs.into_iter().enumerate() {
                        assert_eq!(finish(&client, job), JobState::Exited((n * 25 + m) as u8));
                    }
                })
            })
            .collect();
        threads
            .into_iter()
            .for_each(|thread| thread.join().expect("all ended"));
    });
}
