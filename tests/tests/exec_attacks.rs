//! Guests that ask for more than they may: paths that change under the judge, floods, logs that are to be filled or fooled.

use hostcall::client::Client;
use hostcall::ops::Calls;
use hostcall::types::{Errno, JobState};
use hostcall::wire::Sink;
use hostcall_tests::daemon::{eventually, leave, Daemon};
use hostcall_tests::launch::{
    audited, finish, output, pipe, put, read_all, start, start_raw, words_of, write_all, NONE,
};
use serde_json::{json, Value};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

const DENIED: Errno = Errno(libc::EACCES);

/// A guest with this `exec`, whose audit log is in the daemon's directory.
fn daemon(exec: Value) -> Daemon {
    Daemon::configured(|directory| guest(directory, exec))
}

fn guest(directory: &Path, mut exec: Value) -> Value {
    let object = exec.as_object_mut().expect("an object");
    object.insert("audit".to_owned(), json!(directory.join("audit")));
    json!({"exports": [{"path": "/"}], "exec": exec})
}

fn log(daemon: &Daemon) -> String {
    std::fs::read_to_string(daemon.directory.join("audit")).expect("an audit log")
}

/// Why words are refused, for people.
fn reason(client: &Client, arguments: &[&str]) -> (Errno, String) {
    let words = words_of(arguments, &[]);
    let scratch = client.scratch(words.len() as u64).expect("room").fd;
    put(client, scratch, &words).expect("room");
    let started = client.exec(scratch, NONE, NONE, NONE, 0, 0).map(drop);
    let mut room = [0; 2048];
    let filled = client
        .refusal(scratch, Sink::new(&mut room))
        .expect("an answer")
        .filled
        .0;
    client.close(scratch).expect("open");
    let text = String::from_utf8_lossy(&room[..filled]).into_owned();
    (started.expect_err("it is refused"), text)
}

fn script(path: &Path, text: &str) {
    std::fs::write(path, text).expect("made");
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).expect("ours");
}

#[test]
fn a_refusal_names_its_rule_and_the_cure() {
    let daemon = Daemon::configured(|directory| {
        let exec = json!({
            "allow": ["true", {"program": "echo", "arguments": ["a"]}, {"program": "expr", "arguments": ["**"]}],
            "deny": [{"program": "expr", "arguments": ["1", "**"]}],
            "directories": ["/usr", directory.join("export")], "processes": 1,
        });
        guest(directory, exec)
    });
    let client = daemon.attach();
    client.chdir(c"/usr").expect("there");
    for (words, why) in [
        (&["sh"][..], "no rule of \"allow\" has /"),
        (
            &["echo", "b"],
            "the rule of \"allow\" for \"echo\" does not have these arguments",
        ),
        (
            &["expr", "1", "+", "1"],
            "the rule of \"deny\" for \"expr\" has it",
        ),
    ] {
        let (errno, reason) = reason(&client, words);
        assert!(
            errno == DENIED && reason.starts_with(why),
            "{words:?}: {reason}"
        );
        assert!(
            reason.contains("\"exec\" in hostd's configuration"),
            "{reason}"
        );
    }
    client.chdir(c"/etc").expect("there");
    let (errno, why) = reason(&client, &["true"]);
    assert!(
        errno == DENIED && why.starts_with("/etc is not in \"directories\" (/usr, "),
        "{why}"
    );
    client.chdir(c"/usr").expect("there");
    assert_eq!(
        reason(&client, &["/no/such"]),
        (Errno(libc::ENOENT), String::new())
    );
    let job = start(&client, &["true"], [NONE; 3]).expect("allowed");
    let (errno, why) = reason(&client, &["true"]);
    assert!(
        errno == Errno(libc::EAGAIN) && why.contains("`processes`"),
        "{why}"
    );
    finish(&client, job);
}

/// A shell that reckons with a variable executes the command substitutions in it.
#[test]
fn a_size_of_the_guests_is_a_number_to_a_script_that_reckons_with_it() {
    let daemon = Daemon::configured(|directory| {
        let text = "#!/bin/bash\necho $((COLUMNS - 2)) $((LINES)) $((NO_COLOR))\n";
        script(&directory.join("wide"), text);
        guest(directory, json!({"allow": [directory.join("wide")]}))
    });
    let client = daemon.attach();
    let (wide, bad) = (daemon.directory.join("wide"), daemon.directory.join("bad"));
    let evil = format!("a[$(touch {})]", bad.display());
    let offered = ["COLUMNS", "LINES", "NO_COLOR"].map(|name| format!("{name}={evil}"));
    for (offered, said) in [
        (["COLUMNS=80", "LINES=24", "NO_COLOR=1"], "78 24 1\n"),
        (offered.each_ref().map(String::as_str), "-2 0 0\n"),
    ] {
        let (reader, writer) = pipe(&client);
        let wide = wide.to_str().expect("text");
        let words = words_of(&[wide], &offered);
        let job = start_raw(&client, &words, [NONE, writer, NONE], 0).expect("allowed");
        client.close(writer).expect("open");
        let text = read_all(&client, reader);
        assert_eq!(String::from_utf8_lossy(&text), said);
        assert_eq!(finish(&client, job), JobState::Exited(0));
        client.close(reader).expect("open");
    }
    assert!(!bad.exists(), "a command of the guest's was executed");
}

/// CVE-2026-34078: a link in an exposed path that leads elsewhere when it is used than when it was judged.
#[test]
fn cve_2026_34078_what_is_judged_is_what_is_executed() {
    let daemon = Daemon::configured(|directory| {
        for name in ["good", "evil"] {
            let place = directory.join("export").join(name);
            std::fs::create_dir(&place).expect("made");
            script(&place.join("tool"), &format!("#!/bin/sh\necho {name}\n"));
        }
        guest(
            directory,
            json!({"allow": [directory.join("export/good/tool")]}),
        )
    });
    let client = daemon.attach();
    let (link, next) = (daemon.export("link"), daemon.export("next"));
    let tool = link.join("tool");
    let tool = tool.to_str().expect("plain");
    let point = |to: &str| {
        std::os::unix::fs::symlink(daemon.export(to), &next).expect("made");
        std::fs::rename(&next, &link).expect("renamed");
    };
    point("good");
    let (done, mut outcomes) = (AtomicBool::new(false), [0; 2]);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                ["evil", "good"].into_iter().for_each(point);
            }
        });
        while outcomes[0] < 30 || outcomes[1] < 30 {
            match output(&client, &[tool]) {
                Ok((text, _)) => {
                    assert_eq!(text, "good\n");
                    outcomes[0] += 1;
                }
                Err(errno) => {
                    assert_eq!(errno, DENIED);
                    outcomes[1] += 1;
                }
            }
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_script_gets_its_words_as_they_are() {
    let daemon = Daemon::configured(|directory| {
        let file = directory.join("export/say");
        script(&file, "#!/bin/sh -e\nprintf '[%s]' \"$@\"\n");
        guest(directory, json!({"allow": [file]}))
    });
    let client = daemon.attach();
    let file = daemon.export("say");
    let file = file.to_str().expect("plain");
    let (text, _) = output(&client, &[file, "-c", "", "a\nb", "--"]).expect("runs");
    assert_eq!(text, "[-c][][a\nb][--]");
    // The interpreter itself is no more allowed for that.
    assert_eq!(output(&client, &["/bin/sh", "-c", "exit"]), Err(DENIED));
}

/// CVE-2023-28101: names that a terminal would obey, in logs and in what tools print.
#[test]
fn cve_2023_28101_no_name_reaches_a_terminal_raw() {
    let daemon = daemon(json!({"allow": ["sleep"]}));
    let client = daemon.attach();
    let evil = "\u{1b}]0;x\u{7}\u{9b}2J\u{7f}\r\n\u{202e}";
    std::fs::create_dir(daemon.export(evil)).expect("made");
    let directory = daemon.export(evil);
    let directory = std::ffi::CString::new(directory.into_os_string().into_encoded_bytes());
    client.chdir(&directory.expect("no NUL")).expect("there");
    let job = start(&client, &["sleep", "1000", evil], [NONE; 3]).expect("started");
    assert_eq!(
        start(&client, &[&format!("/bin/{evil}")], [NONE; 3]),
        Err(Errno(libc::ENOENT))
    );
    let status = std::process::Command::new(hostcall_tests::daemon::program("hostd"))
        .arg("status")
        .output()
        .expect("runs");
    let status = String::from_utf8(status.stdout).expect("text");
    assert!(status.contains(": sleep 1000 \\u{1b}]0;"), "{status}");
    client.signal(job, 9).expect("it lives");
    finish(&client, job);
    eventually("its end is written down", || {
        audited(&daemon, "end").len() == 1
    });
    for text in [log(&daemon), daemon.log(), status] {
        let raw = |letter: char| letter.is_control() && letter != '\n';
        assert!(!text.contains(raw), "{text:?}");
    }
    assert!(!log(&daemon).contains('\u{202e}'));
    assert_eq!(audited(&daemon, "start")[0]["arguments"][2], json!(evil));
}

#[test]
fn nothing_is_started_that_cannot_be_written_down() {
    const ROOM: u64 = 64 << 20;
    // A log with room for some lines more.
    let daemon = Daemon::with_room(ROOM, |directory| {
        let log = std::fs::File::create(directory.join("audit")).expect("made");
        log.set_len(ROOM - 2000).expect("sparse");
        guest(directory, json!({"allow": ["touch"]}))
    });
    let client = daemon.attach();
    let touch = |n: usize| {
        let file = daemon.export(&n.to_string());
        let words = ["touch", file.to_str().expect("plain")];
        let job = start(&client, &words, [NONE; 3]);
        job.map(|job| assert_eq!(finish(&client, job), JobState::Exited(0)))
    };
    let failed = (0..100).find(|n| touch(*n) == Err(Errno(libc::EIO)));
    let failed = failed.expect("the log is full");
    assert!(failed > 0, "some have been started");
    for n in 0..failed + 10 {
        assert_eq!(daemon.export(&n.to_string()).exists(), n < failed, "{n}");
    }
    let (_, why) = reason(&client, &["touch", "x"]);
    assert!(why.contains("the audit log cannot be written"), "{why}");
    let log = std::fs::File::options()
        .write(true)
        .open(daemon.directory.join("audit"));
    log.expect("there").set_len(0).expect("ours");
    touch(1000).expect("there is room again");
    assert!(daemon.export("1000").exists());
    eventually("and its end is written down", || {
        // Begun anew after the line that did not fit.
        let text = self::log(&daemon);
        text.lines()
            .any(|line| line.contains("\"end\"") && line.contains("1000"))
    });
}

#[test]
fn an_end_tells_what_was_carried() {
    let daemon = daemon(json!({"allow": ["*"]}));
    let client = daemon.attach();
    let (input, to) = pipe(&client);
    let (from, out) = pipe(&client);
    write_all(&client, to, &[b'x'; 1000]).expect("room");
    let job = start(
        &client,
        &["sh", "-c", "head -c 5000; echo err >&2"],
        [input, out, out],
    );
    let job = job.expect("started");
    write_all(&client, to, &[b'x'; 4000]).expect("read");
    for end in [to, input, out] {
        client.close(end).expect("open");
    }
    assert_eq!(read_all(&client, from).len(), 5004);
    let status = &daemon.status().jobs[0];
    assert_eq!((status.bytes_in, status.bytes_out), (5000, 5004));
    finish(&client, job);
    // A file that is handed over: no byte crosses.
    let words = ["sh", "-c", "cat /etc/passwd > /dev/null"];
    finish(&client, start(&client, &words, [NONE; 3]).expect("started"));
    // One that is killed with its guest process.
    let master = client.pty_open(24, 80, 0, 0).expect("a terminal").fd;
    let words = words_of(&["sh", "-c", "stty -echo; echo 1234567; sleep 1000"], &[]);
    start_raw(&client, &words, [master; 3], 1).expect("started");
    let mut line = [0; 9];
    client
        .read(
            master,
            hostcall::types::Offset::CURRENT,
            hostcall::types::RwFlags(0),
            Sink::new(&mut line),
        )
        .expect("a line");
    assert_eq!(&line, b"1234567\r\n");
    leave(client);
    eventually("all ends are written down", || {
        audited(&daemon, "end").len() == 3
    });
    let bytes = |line: &Value| (line["bytes_in"].as_u64(), line["bytes_out"].as_u64());
    let all: Vec<_> = audited(&daemon, "end").iter().map(bytes).collect();
    let expected = [(5000, 5004), (0, 0), (0, 9)];
    assert_eq!(
        all,
        expected.map(|(input, output)| (Some(input), Some(output)))
    );
}

#[test]
fn a_flood_of_programs_ends_at_the_limit_and_fills_no_log() {
    let daemon = daemon(json!({"allow": ["sleep", "true"], "processes": 4}));
    let client = daemon.attach();
    // The launcher stays.
    output(&client, &["true"]).expect("allowed");
    leave(client);
    let before = daemon.settled_footprint();
    let client = daemon.attach();
    for _ in 0..4 {
        start(&client, &["sleep", "1000"], [NONE; 3]).expect("one of four");
    }
    for _ in 0..1000 {
        assert_eq!(
            start(&client, &["true"], [NONE; 3]),
            Err(Errno(libc::EAGAIN))
        );
    }
    let (refused, logged) = (1000, daemon.logged("a host program is refused"));
    assert!((1..refused / 4).contains(&logged), "{logged}");
    leave(client);
    eventually("they are gone", || daemon.status().jobs.is_empty());
    let client = daemon.attach();
    for _ in 0..1200 {
        assert_eq!(start(&client, &["sh"], [NONE; 3]), Err(DENIED));
    }
    output(&client, &["true"]).expect("allowed");
    let left_out = |line: &Value| line["left_out"].as_u64().unwrap_or(0);
    let denied = audited(&daemon, "deny");
    let others = ["start", "end"]
        .map(|event| audited(&daemon, event))
        .concat();
    let all = denied.len() as u64 + denied.iter().chain(&others).map(left_out).sum::<u64>();
    assert_eq!(all, 2200, "each is written down or counted");
    let reason = denied[0]["reason"].as_str().expect("a reason");
    assert!(reason.contains("`processes`"), "{reason}");
    leave(client);
    daemon.settles_to(&before);
}

#[test]
fn scratch_files_and_terminals_are_bounded_for_the_guest() {
    let daemon = daemon(json!({"allow": ["true"], "processes": 3}));
    let clients: Vec<Client> = (0..5).map(|_| daemon.attach()).collect();
    let mut taken = 0;
    for client in &clients[..4] {
        for _ in 0..4 {
            client.scratch(4 << 20).expect("16 times 4 MiB");
            taken += 1;
        }
    }
    assert_eq!(taken, 16);
    assert_eq!(clients[4].scratch(1).map(drop), Err(Errno(libc::EAGAIN)));
    assert_eq!(output(&clients[4], &["true"]), Err(Errno(libc::EAGAIN)));
    let mut clients = clients.into_iter();
    // One goes, and one is killed.
    leave(clients.next().expect("the first"));
    let shadow = daemon.status().sessions[0].shadow.expect("a shadow");
    let kill =
        |pid| nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGKILL);
    kill(shadow).expect("it lives");
    let last = clients.next_back().expect("the last");
    eventually("their room is given back", || {
        let eight: Vec<_> = (0..4).map(|_| last.scratch(4 << 20)).collect();
        let done = eight.iter().all(Result::is_ok);
        for scratch in eight.into_iter().flatten() {
            last.close(scratch.fd).expect("open");
        }
        done
    });
    let scratch = last.scratch(100).expect("room").fd;
    let anew = last.reopen(scratch, hostcall::types::OpenFlags(libc::O_RDWR));
    assert_eq!(anew.map(drop), Err(Errno(libc::EINVAL)));
    let open = || last.pty_open(24, 80, 0, 0).map(|reply| reply.fd);
    let masters = [open(), open(), open()].map(|master| master.expect("one of three"));
    assert_eq!(open(), Err(Errno(libc::EAGAIN)));
    last.close(masters[0]).expect("open");
    eventually("a closed one makes room", || open().is_ok());
}

/// A view with limits has directories of its own on the way to its exports, at whose like on the host programs start.
#[test]
fn programs_start_where_the_guest_is_whatever_it_sees() {
    let daemon = Daemon::configured(|directory| {
        let exports = hostcall_tests::daemon::exports(directory);
        json!({"exports": exports, "exec": {"allow": ["pwd"]}})
    });
    let client = daemon.attach();
    for place in [Path::new("/"), &daemon.directory, &daemon.export("")] {
        let path = std::ffi::CString::new(place.to_str().expect("plain")).expect("no NUL");
        client.chdir(&path).expect("it is seen");
        let text = output(&client, &["pwd"]).expect("runs").0;
        assert_eq!(Path::new(text.trim_end()).components(), place.components());
    }
    let gone = daemon.export("gone");
    std::fs::create_dir(&gone).expect("made");
    let path = std::ffi::CString::new(gone.to_str().expect("plain")).expect("no NUL");
    client.chdir(&path).expect("it is there");
    std::fs::remove_dir(&gone).expect("empty");
    assert_eq!(output(&client, &["pwd"]), Err(Errno(libc::ENOENT)));
}
