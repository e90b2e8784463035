//! What a guest may start: the policy, the audit log, and a guest that does not keep to the rules.

use hostcall::client::Client;
use hostcall::ops::Calls;
use hostcall::types::{Errno, JobState, Mode, Offset, OpenFlags, RemoteFd, RwFlags};
use hostcall::wire::{Sink, Source};
use hostcall_tests::daemon::{eventually, Daemon};
use hostcall_tests::launch::{
    audited, finish, output, pipe, put, read_all, start, start_raw, start_with, words_of, NONE,
};
use serde_json::{json, Value};
use std::path::Path;

const DENIED: Errno = Errno(libc::EACCES);

/// A guest with this `exec`, whose audit log is in the daemon's directory.
fn daemon(exec: impl FnOnce(&Path) -> Value) -> Daemon {
    Daemon::configured(|directory| {
        let mut exec = exec(directory);
        let audit = directory.join("audit");
        exec.as_object_mut()
            .expect("an object")
            .insert("audit".to_owned(), json!(audit));
        json!({"exports": [{"path": "/"}], "exec": exec})
    })
}

fn runs(client: &Client, arguments: &[&str]) -> Result<String, Errno> {
    output(client, arguments).map(|(text, _)| text)
}

#[test]
fn without_exec_nothing_is_started() {
    let daemon = Daemon::configured(|_| json!({"exports": [{"path": "/"}]}));
    let client = daemon.attach();
    assert_eq!(runs(&client, &["true"]), Err(DENIED));
    assert_eq!(client.pty_open(24, 80, 0, 0).map(drop), Err(DENIED));
    let mut room = [0; 512];
    let filled = client
        .exec_policy(Sink::new(&mut room))
        .expect("an answer")
        .filled
        .0;
    let policy: Value = serde_json::from_slice(&room[..filled]).expect("JSON");
    assert_eq!(policy, json!({"allowed": false}));
    assert_eq!(daemon.logged("has no `exec`"), 1);
    let launchers = hostcall_tests::daemon::descendants(daemon.pid())
        .into_iter()
        .filter(|pid| {
            let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.contains("launcher")
        });
    assert_eq!(launchers.count(), 0);
}

#[test]
fn what_is_allowed_runs_and_nothing_else() {
    let daemon = daemon(|_| {
        json!({
            "allow": ["echo", {"program": "expr", "arguments": ["1", "+", "*"]}, "/usr/bin/env"],
            "deny": [{"program": "echo", "arguments": ["secret", "**"]}],
        })
    });
    let client = daemon.attach();
    assert_eq!(runs(&client, &["echo", "a"]).as_deref(), Ok("a\n"));
    assert_eq!(
        runs(&client, &["/bin/echo", "a"]).as_deref(),
        Ok("a\n"),
        "the same file"
    );
    assert_eq!(
        runs(&client, &["expr", "1", "+", "41"]).as_deref(),
        Ok("42\n")
    );
    for denied in [
        &["true"][..],
        &["echo", "secret"],
        &["echo", "secret", "x"],
        &["expr", "2", "+", "2"],
        &["expr", "1", "+", "2", "+", "3"],
        &["expr"],
        &["sh", "-c", "echo"],
    ] {
        assert_eq!(runs(&client, denied), Err(DENIED), "{denied:?}");
    }
    // A link by an allowed name to another program, and one by another name to an allowed program.
    let export = |name: &str| daemon.export(name).to_str().expect("plain").to_owned();
    std::os::unix::fs::symlink("/bin/sh", export("echo")).expect("made");
    std::os::unix::fs::symlink("/bin/echo", export("other")).expect("made");
    assert_eq!(runs(&client, &[&export("echo"), "-c", "exit"]), Err(DENIED));
    assert_eq!(runs(&client, &[&export("other"), "x"]), Err(DENIED));
    std::fs::copy("/bin/echo", export("copy")).expect("made");
    assert_eq!(runs(&client, &[&export("copy"), "x"]), Err(DENIED));
    let lines = audited(&daemon, "deny");
    assert_eq!(lines.len(), 10);
    assert_eq!(lines[1]["arguments"], json!(["echo", "secret"]));
    assert!(
        lines[1]["reason"].as_str().expect("text").contains("deny"),
        "{}",
        lines[1]
    );
    assert!(
        lines[0]["reason"].as_str().expect("text").contains("allow"),
        "{}",
        lines[0]
    );
}

/// CVE-2024-32462: words are words, whatever they look like.
#[test]
fn cve_2024_32462_no_word_becomes_an_option_or_another_word() {
    let daemon = daemon(|_| json!({"allow": ["*"]}));
    let client = daemon.attach();
    for name in ["-c", "--help", "-", "--", "a b", "a\nb", "$(id)", ";", "*"] {
        assert_eq!(runs(&client, &[name]), Err(Errno(libc::ENOENT)), "{name:?}");
    }
    let words = ["-n", "", "--", "a\nb", "$(id)", "*", "'", "\u{1b}[2J"];
    let shown = runs(&client, &[&["printf", "[%s]"][..], &words].concat()).expect("runs");
    assert_eq!(shown, words.map(|word| format!("[{word}]")).concat());
}

/// CVE-2021-21261: the guest's environment does not reach a host program but for what the policy names.
#[test]
fn cve_2021_21261_the_environment_is_the_hosts() {
    let daemon = daemon(
        |_| json!({"allow": ["env"], "environment": {"HOUSE": "host", "PATH": "/usr/bin:/bin"}, "pass": ["TERM", "L*", "X", "PS4"]}),
    );
    let client = daemon.attach();
    let (reader, writer) = pipe(&client);
    let offered = [
        "TERM=vt7",
        "LD_PRELOAD=/evil.so",
        "LD_LIBRARY_PATH=/e",
        "BASH_ENV=/e",
        "IFS=/",
        "PATH=/evil",
        "X=",
        "X=1=2",
        "Y=1",
        "PS4=$(id)",
        "LANG=C",
        "HOME=/evil",
        "=z",
        "nonsense",
    ];
    let job = start_with(&client, &["env"], &offered, [NONE, writer, NONE]).expect("started");
    client.close(writer).expect("open");
    let text = String::from_utf8(read_all(&client, reader)).expect("text");
    assert_eq!(finish(&client, job), JobState::Exited(0));
    let mut names: Vec<&str> = text
        .lines()
        .filter_map(|line| line.split('=').next())
        .collect();
    names.sort_unstable();
    let expected = [
        "HOME", "HOUSE", "LANG", "LOGNAME", "PATH", "PS4", "SHELL", "TERM", "USER", "X",
    ];
    assert_eq!(names, expected, "{text}");
    for line in ["TERM=vt7", "X=1=2", "HOUSE=host", "PATH=/usr/bin:/bin"] {
        assert!(
            text.lines().any(|found| found == line),
            "no {line} in {text}"
        );
    }
    assert!(!text.contains("evil"));
}

#[test]
fn directories_processes_seconds_and_limits_bound_programs() {
    let daemon = daemon(|directory| {
        std::os::unix::fs::symlink("/etc", directory.join("export/out")).expect("made");
        json!({
            "allow": ["*"], "directories": [directory.join("export")], "processes": 2, "seconds": 1,
            "limits": {"open_files": 64, "cpu_seconds": 5, "core_mib": 0},
        })
    });
    let client = daemon.attach();
    let enter = |path: &Path| {
        let path = std::ffi::CString::new(path.to_str().expect("plain")).expect("no NUL");
        client.chdir(&path).expect("it is there");
    };
    enter(Path::new("/"));
    assert_eq!(runs(&client, &["true"]), Err(DENIED));
    // CVE-2026-34078: a link out of an allowed directory leads to where it leads.
    enter(&daemon.export("out"));
    assert_eq!(runs(&client, &["true"]), Err(DENIED));
    enter(&daemon.export(""));
    assert_eq!(
        runs(&client, &["sh", "-c", "ulimit -n; ulimit -t; ulimit -c"]).as_deref(),
        Ok("64\n5\n0\n")
    );
    let one = start(&client, &["sleep", "1000"], [NONE; 3]).expect("the first");
    // The program before these counts until the host has cleared up behind it.
    let mut two = None;
    eventually("the second", || {
        let deaf = ["sh", "-c", "trap '' TERM; sleep 1000"];
        two = start(&client, &deaf, [NONE; 3]).ok();
        two.is_some()
    });
    let two = two.expect("started");
    let third = start(&client, &["true"], [NONE; 3]);
    assert_eq!(third, Err(Errno(libc::EAGAIN)));
    let signalled = |signal| JobState::Signalled {
        signal,
        core: false,
    };
    assert_eq!(finish(&client, one), signalled(15), "its second is over");
    assert_eq!(finish(&client, two), signalled(9), "it would not hear");
    let free = || {
        start(&client, &["true"], [NONE; 3])
            .map(|job| finish(&client, job))
            .is_ok()
    };
    eventually("there is room again", free);
}

#[test]
fn each_program_is_written_down() {
    let daemon = daemon(|_| json!({"allow": ["sh"], "user": "root"}));
    let client = daemon.attach();
    let state = output(&client, &["sh", "-c", "exit 3", "\u{1b}]0;x\u{7}\n"])
        .expect("runs")
        .1;
    assert_eq!(state, JobState::Exited(3));
    output(&client, &["sh", "-c", "kill -9 $$"]).expect("runs");
    assert_eq!(runs(&client, &["/no/such"]), Err(Errno(libc::ENOENT)));
    eventually("both ends are written down", || {
        audited(&daemon, "end").len() == 2
    });
    let text = std::fs::read_to_string(daemon.directory.join("audit")).expect("a log");
    assert!(
        !text.contains('\u{1b}') && !text.contains('\u{7}'),
        "raw control characters"
    );
    let (starts, ends, fails) = (
        audited(&daemon, "start"),
        audited(&daemon, "end"),
        audited(&daemon, "fail"),
    );
    assert_eq!((starts.len(), fails.len()), (2, 1));
    let start = &starts[0];
    assert_eq!(
        start["arguments"],
        json!(["sh", "-c", "exit 3", "\u{1b}]0;x\u{7}\n"])
    );
    assert_eq!(
        (&start["guest"], &start["user"]),
        (&json!("t"), &json!("root"))
    );
    assert_eq!(start["process"], json!(std::process::id()));
    assert_eq!(start["directory"], json!("/"));
    assert!(start["program"].as_str().expect("a path").starts_with('/'));
    assert_eq!(
        (&ends[0]["code"], &ends[0]["job"]),
        (&json!(3), &start["job"])
    );
    assert!(start["sid"].as_i64() > Some(1) && ends[0]["pid"].as_i64() > Some(1));
    assert_eq!(
        (&ends[1]["signal"], &ends[1]["code"]),
        (&json!(9), &Value::Null)
    );
    assert!(ends[0]["seconds"].as_f64().expect("a number") >= 0.0);
    assert_eq!(fails[0]["errno"], json!(libc::ENOENT));
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &daemon
            .directory
            .join("audit")
            .metadata()
            .expect("a file")
            .permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn programs_are_their_users_and_cannot_become_more() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: needs root");
        return;
    }
    let daemon = daemon(|_| json!({"allow": ["*"], "user": "nobody"}));
    let client = daemon.attach();
    assert_eq!(runs(&client, &["id", "-u"]).as_deref(), Ok("65534\n"));
    assert_eq!(runs(&client, &["id", "-G"]).as_deref(), Ok("65534\n"));
    let status = runs(&client, &["cat", "/proc/self/status"]).expect("runs");
    let field = |name: &str| {
        let line = status
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_default();
        line[name.len()..].trim().to_owned()
    };
    assert_eq!(field("NoNewPrivs:"), "1");
    assert_eq!(
        (field("CapEff:"), field("SigIgn:"), field("SigBlk:")),
        ("0".repeat(16), "0".repeat(16), "0".repeat(16))
    );
    let open = runs(&client, &["sh", "-c", "ls /proc/$$/fd"]).expect("runs");
    assert_eq!(
        open.split_whitespace().collect::<Vec<_>>(),
        ["0", "1", "2"],
        "nothing of ours is left open"
    );
    // The scheduler's name for it is the program's.
    assert_eq!(
        runs(&client, &["cat", "/proc/self/comm"]).as_deref(),
        Ok("cat\n")
    );
    assert_eq!(runs(&client, &["cat", "/etc/shadow"]).as_deref(), Ok(""));
}

#[test]
fn what_a_guest_hands_over_is_not_believed() {
    let daemon = daemon(|_| json!({"allow": ["*"]}));
    let client = daemon.attach();
    const INVALID: Errno = Errno(libc::EINVAL);
    let huge = u32::MAX.to_le_bytes();
    let garbage: [Vec<u8>; 6] = [
        vec![],
        vec![0xff; 100_000],
        [huge, [0; 4]].concat(),
        [[1, 0, 0, 0], huge].concat(),
        // Behind the words stand zeros, as many as there is room.
        [&(5u32 << 20).to_le_bytes()[..], &[0; 4], b"true"].concat(),
        vec![b'x'; 4 << 20],
    ];
    for bytes in &garbage {
        assert_eq!(
            start_raw(&client, bytes, [NONE; 3], 0),
            Err(INVALID),
            "{} bytes",
            bytes.len()
        );
    }
    let good = words_of(&["true"], &[]);
    for flags in [2, 6, 8, u32::MAX, 1, 3] {
        // 1 and 3: a terminal is to control it, and there is none.
        assert_eq!(
            start_raw(&client, &good, [NONE; 3], flags),
            Err(INVALID),
            "{flags}"
        );
    }
    for fd in [0, 1, 2, 99, -2, i32::MAX, i32::MIN] {
        let bad = start_raw(&client, &good, [RemoteFd(fd), NONE, NONE], 0);
        assert_eq!(bad, Err(Errno(libc::EBADF)), "{fd}");
        let words = client.exec(RemoteFd(fd), NONE, NONE, NONE, 0, 0).map(drop);
        assert_eq!(words, Err(Errno(libc::EBADF)), "{fd}");
    }
    // Words stand in scratch files alone, and those go nowhere.
    let file = client.openat(
        hostcall::types::DirFd::CWD,
        c"/etc/hosts",
        OpenFlags(0),
        Mode(0),
    );
    let file = file.expect("it is there").fd;
    assert_eq!(
        client.exec(file, NONE, NONE, NONE, 0, 0).map(drop),
        Err(INVALID)
    );
    let scratches: Vec<RemoteFd> = (0..4)
        .map(|_| client.scratch(4096).expect("one of four").fd)
        .collect();
    assert_eq!(client.scratch(1).map(drop), Err(Errno(libc::EMFILE)));
    let scratch = scratches[0];
    assert_eq!(client.dup(scratch, OpenFlags(0)).map(drop), Err(INVALID));
    assert_eq!(client.share(scratch).map(drop), Err(INVALID));
    put(&client, scratch, &good).expect("room");
    assert_eq!(
        client.exec(scratch, scratch, NONE, NONE, 0, 0).map(drop),
        Err(INVALID)
    );
    let job = client
        .exec(scratch, NONE, NONE, NONE, 0, 0)
        .expect("good words")
        .job;
    let written = client.write(scratch, Offset(0), RwFlags(0), Source::new(b"x"));
    assert_eq!(
        written.map(drop),
        Err(Errno(libc::EPERM)),
        "what was judged cannot change"
    );
    assert_eq!(finish(&client, job), JobState::Exited(0));
    for job in [0, job, job + 1, u32::MAX] {
        assert_eq!(
            client.wait(job, libc::WNOHANG).map(drop),
            Err(Errno(libc::ECHILD)),
            "{job}"
        );
        assert_eq!(
            client.signal(job, 9).map(drop),
            Err(Errno(libc::ESRCH)),
            "{job}"
        );
        assert_eq!(
            client.forget(job).map(drop),
            Err(Errno(libc::ECHILD)),
            "{job}"
        );
    }
    for scratch in scratches {
        client.close(scratch).expect("open");
    }
    let sleeper = start(&client, &["sleep", "1000"], [NONE; 3]).expect("started");
    for signal in [-1, 65, 1000, i32::MIN] {
        assert_eq!(
            client.signal(sleeper, signal).map(drop),
            Err(INVALID),
            "{signal}"
        );
    }
    assert_eq!(client.wait(sleeper, 1 << 20).map(drop), Err(INVALID));
    client.signal(sleeper, libc::SIGKILL).expect("sent");
    finish(&client, sleeper);
    assert_eq!(client.pty_open(65536, 80, 0, 0).map(drop), Err(INVALID));
    assert_eq!(runs(&client, &["echo", "still"]).as_deref(), Ok("still\n"));
}

/// While one thread has programs started, another writes into their words.
#[test]
fn words_that_change_are_those_that_were_judged() {
    let daemon = daemon(|_| json!({"allow": [{"program": "echo", "arguments": ["good"]}]}));
    let client = daemon.attach();
    let (good, evil) = (
        words_of(&["echo", "good"], &[]),
        words_of(&["echo", "evil"], &[]),
    );
    let mut outcomes = [0; 2];
    for _ in 0..200 {
        let scratch = client.scratch(good.len() as u64).expect("one").fd;
        put(&client, scratch, &good).expect("room");
        let (reader, writer) = pipe(&client);
        let started = std::thread::scope(|scope| {
            scope.spawn(|| {
                while client
                    .write(scratch, Offset(0), RwFlags(0), Source::new(&evil))
                    .is_ok()
                    && client
                        .write(scratch, Offset(0), RwFlags(0), Source::new(&good))
                        .is_ok()
                {}
            });
            client.exec(scratch, NONE, writer, NONE, 0, 0)
        });
        for fd in [scratch, writer] {
            client.close(fd).expect("open");
        }
        match started {
            Ok(reply) => {
                assert_eq!(read_all(&client, reader), b"good\n");
                finish(&client, reply.job);
                outcomes[0] += 1;
            }
            Err(errno) => {
                assert_eq!(errno, DENIED);
                outcomes[1] += 1;
            }
        }
        client.close(reader).expect("open");
    }
    assert_eq!(outcomes.iter().sum::<u32>(), 200);
    assert!(outcomes[0] > 0, "never in time: {outcomes:?}");
}

#[test]
fn guests_complete_what_they_may_start() {
    let daemon = daemon(
        |_| json!({"allow": ["expr", "env", {"program": "expand", "arguments": ["x"]}], "deny": ["env"]}),
    );
    let client = daemon.attach();
    let complete = |text: &std::ffi::CStr, room: usize| {
        let mut room = vec![0; room];
        let filled = client
            .complete(text, Sink::new(&mut room))
            .expect("a list")
            .filled
            .0;
        String::from_utf8_lossy(&room[..filled]).into_owned()
    };
    assert_eq!(complete(c"e", 100), "expand\0expr\0");
    assert_eq!(complete(c"expr", 100), "expr\0");
    assert_eq!(complete(c"e", 11), "expand\0");
    assert_eq!(complete(c"zzz", 100), "");
    let long = std::ffi::CString::new(vec![b'x'; 256]).expect("no NUL");
    assert_eq!(
        client.complete(&long, Sink::new(&mut [0])).map(drop),
        Err(Errno(libc::ENAMETOOLONG))
    );
}
