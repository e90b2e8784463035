//! Command-line tools that misbehave: guests do not notice.

use hostcall::ops::Calls;
use hostcall::types::{AtFlags, DirFd};
use hostcall_tests::daemon::{eventually, leave, program, Daemon, PATIENCE};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use std::ffi::CString;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Far less than a device guest's patience with hostd, far more than an attachment takes.
const SOON: Duration = Duration::from_millis(200);

fn tool(daemon: &Daemon) -> UnixStream {
    let ours = |stream: &UnixStream| {
        getsockopt(stream, PeerCredentials).is_ok_and(|peer| peer.pid() == daemon.pid())
    };
    let mut all = hostd::server::admin::running().into_iter();
    all.find(ours).expect("hostd listens")
}

/// The shortest of some times: another job on the processor holds up some of them, a tool that is in the way all.
fn soon(times: impl Iterator<Item = Duration>) {
    let shortest = times.min().expect("some");
    assert!(shortest < SOON, "{shortest:?}");
}

fn attaches(daemon: &Daemon) -> Duration {
    let start = Instant::now();
    let client = daemon.attach();
    client.nop().expect("served");
    let took = start.elapsed();
    leave(client);
    took
}

#[test]
fn a_trace_reader_that_does_not_read_holds_up_nobody() {
    let daemon = Daemon::start();
    let mut reader = tool(&daemon);
    reader.write_all(b"{\"Trace\":{\"guest\":null}}\n").unwrap();
    let client = daemon.attach();
    eventually("lines are lost", || {
        soon((0..100).map(|_| {
            let start = Instant::now();
            client.nop().unwrap();
            start.elapsed()
        }));
        daemon.status().dropped_traces > 0
    });
    soon((0..10).map(|_| attaches(&daemon)));
    leave(client);
}

#[test]
fn a_question_that_comes_byte_by_byte_holds_up_nobody() {
    let daemon = Daemon::start();
    let mut tools = [tool(&daemon), tool(&daemon)];
    soon(b"{\"Trace\":".iter().map(|byte| {
        tools
            .iter_mut()
            .for_each(|tool| tool.write_all(&[*byte]).unwrap());
        attaches(&daemon)
    }));
}

/// What ps(1) shows of a process: its name and its command line.
fn shown(pid: i32) -> (String, String) {
    let read = |file| std::fs::read_to_string(format!("/proc/{pid}/{file}")).expect("it lives");
    let line = read("cmdline").replace('\0', " ");
    let words = line.trim_end().split_once(' ').map(|(_, words)| words);
    (
        read("comm").trim_end().to_owned(),
        words.unwrap_or_default().to_owned(),
    )
}

#[test]
fn shadows_are_told_from_their_zygote_and_named_to_whoever_asks() {
    let daemon = Daemon::start();
    let client = daemon.attach();
    let session = daemon.status().sessions.remove(0);
    let shadow = session.shadow.expect("it has a shadow");
    let named = |name: &str, line: &str| (name.to_owned(), line.to_owned());
    assert_eq!(shown(shadow), named("shadow", "shadow t"));
    let stat = std::fs::read_to_string(format!("/proc/{shadow}/stat")).expect("it lives");
    let parent = stat.rsplit(") ").next().expect("fields");
    let parent = parent.split(' ').nth(1).expect("a parent").parse();
    assert_eq!(
        shown(parent.expect("a number")),
        named("zygote", "zygote t")
    );
    let own = std::process::id();
    assert_eq!(session.process, Some(own as i32));
    let text = hostd::status::text(&daemon.whole_status());
    assert!(
        text.contains(&format!("shadow {shadow} of process {own}")),
        "{text}"
    );
    let mut trace = tool(&daemon);
    trace.write_all(b"{\"Trace\":{\"guest\":null}}\n").unwrap();
    trace.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut line = String::new();
    let path = CString::new([b'x'; 2000]).expect("no NUL");
    let calls = AtomicBool::new(true);
    std::thread::scope(|scope| {
        // Until the reader is known to hostd, what is called is not told.
        scope.spawn(|| {
            while calls.load(Ordering::Relaxed) {
                let _ = client.stat(DirFd::CWD, &path, AtFlags(0));
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let read = BufReader::new(&trace).read_line(&mut line);
        calls.store(false, Ordering::Relaxed);
        read.expect("a line");
    });
    let (path, refused) = ("x".repeat(2000), "-1 (File name too long");
    let call = format!(r#"t {own} stat(AT_FDCWD, "{path}", 0x0) = {refused}"#);
    assert!(line.contains(&call), "{line:?}");
    leave(client);
}

/// Every answer, given to a reader that is gone and to a full disk.
#[test]
fn an_answer_that_nobody_takes_is_no_crash() {
    let daemon = Daemon::start();
    let config = daemon.directory.join("hosts.json");
    std::fs::write(&config, r#"{"guests": {"a": {}}}"#).unwrap();
    let config = config.to_str().unwrap();
    for (name, arguments) in [
        ("hostd", &["status"][..]),
        ("hostd", &["status", "--json"]),
        ("hostd", &["export", "--hostd", &daemon.pid().to_string()]),
        ("hostd", &["check", config]),
        ("hostfs", &["check-preload", "sh"]),
        ("hostfs", &["check-preload", "--json", "sh"]),
        ("hostd", &["--help"]),
        ("hostfs", &["--version"]),
        ("dosh", &["--help"]),
        ("dosh", &["--version"]),
        ("hrun", &["--help"]),
        ("hrun", &["--completion", "bash"]),
        ("hpath", &["--help"]),
        ("hpath", &["--guest", "/a", "/b"]),
    ] {
        let end = |output: Stdio| {
            let mut command = ours(name);
            let output = command.args(arguments).stdout(output).output().unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            (output.status.code(), said)
        };
        let (reader, gone) = std::io::pipe().unwrap();
        drop(reader);
        // A shell ends by SIGPIPE, as its commands are to.
        let told = (name != "dosh").then_some(0);
        assert_eq!(end(gone.into()), (told, String::new()), "{arguments:?}");
        let full = File::create("/dev/full").unwrap();
        let (code, said) = end(full.into());
        assert!(code.is_some_and(|code| code != 0), "{arguments:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{arguments:?}: {said}");
        assert!(said.contains("cannot write the answer"), "{said}");
        let mut command = Command::new("sh");
        command.args(["-c", "exec \"$@\" >&-", "sh"]);
        let output = named(&mut command, name).args(arguments).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{arguments:?}: {said}");
        assert!(said.contains("cannot write the answer: Bad file"), "{said}");
    }
}

/// A failure has its status, whether or not somebody can be told of it.
#[test]
fn a_complaint_that_nobody_takes_is_no_crash() {
    for (name, arguments, status) in [
        ("hostd", &["check"][..], 2),
        ("hostd", &["check", "/none"], 1),
        ("hostd", &["serve", "--config", "/none"], 125),
        ("hostfs", &["/none/at/all"], 1),
        ("hostfs", &["check-preload", "/none"], 2),
        ("dosh", &["-o"], 2),
        ("hrun", &["--none"], 125),
        ("hrun", &["--env", "none"], 125),
        ("hpath", &["--guest", "a"], 1),
        ("hpwd", &["none"], 2),
    ] {
        let (reader, gone) = std::io::pipe().unwrap();
        drop(reader);
        let full = File::create("/dev/full").unwrap();
        for (errors, status) in [
            (Stdio::from(gone), (name != "dosh").then_some(status)),
            (Stdio::from(full), Some(status)),
        ] {
            let mut command = ours(name);
            let ended = command.args(arguments).stderr(errors).output().unwrap();
            assert_eq!(ended.status.code(), status, "{name} {arguments:?}");
        }
    }
}

/// A program of ours, by a name of those that hrun is told by too.
fn ours(name: &str) -> Command {
    let mut command = Command::new("env");
    named(&mut command, name);
    command
}

/// The command that runs it, which takes that as its arguments.
fn named<'c>(command: &'c mut Command, name: &str) -> &'c mut Command {
    match name {
        "hcd" | "hpwd" | "hpath" => {
            let script = "name=$1; shift; exec -a \"$name\" \"$@\"";
            command.args(["bash", "-c", script, "bash", name]);
            command.arg(program("hrun"))
        }
        name => command.arg(program(name)),
    }
}

#[test]
fn only_files_are_copied_into_a_guest() {
    for (source, why) in [("/etc", "is no file"), ("/none/at/all", "no such file")] {
        let output = Command::new(program("hostd"))
            .args(["run", "--guest", "local", "--copy"])
            .arg(format!("{source}:/x"))
            .args(["--", "true"])
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            said.starts_with(&format!("hostd: {source}: {why}")),
            "{said}"
        );
        assert_eq!(output.status.code(), Some(125));
    }
}

#[test]
fn a_guest_that_cannot_have_its_host_files_is_not_started() {
    let cases: [(&[&str], &str); 4] = [
        (&["--export", "/proc"], "--export: /proc cannot be exported"),
        (
            &["--export", "/tmp", "--export", "/tmp/"],
            "--export: /tmp/ is listed twice",
        ),
        (
            &["--mount", "/dev"],
            "/dev cannot be the place for host files",
        ),
        (
            &["--mount", "/run"],
            "for the guest needs /run/hostcall of its own",
        ),
    ];
    for (options, why) in cases {
        let output = Command::new(program("hostd"))
            .args(["run", "--guest", "local"])
            .args(options)
            .args(["--", "echo", "started"])
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            said.starts_with("hostd: ") && said.contains(why),
            "{options:?}: {said}"
        );
        assert_eq!(said.lines().count(), 1, "{options:?}: {said}");
        assert_eq!(
            (output.status.code(), &output.stdout[..]),
            (Some(125), &b""[..])
        );
    }
}

#[test]
fn a_command_needs_no_dashes_ahead_of_it() {
    for words in [
        &["echo", "-n", "--mem", "x"][..],
        &["--", "echo", "-n", "--mem", "x"],
    ] {
        let mut command = Command::new(program("hostd"));
        command.args(["run", "--guest", "local", "--no-mount"]);
        let output = command.args(words).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.stdout, b"--mem x", "{words:?}: {said}");
    }
}
