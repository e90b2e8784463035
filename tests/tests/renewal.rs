//! The shadow of a process that has ended serves another: nothing of the first is there, and where something would be, it is
//! another shadow.

use hostcall::client::Client;
use hostcall::ops::Calls;
use hostcall::types::{DirFd, Errno, Mode, OpenFlags, RecordLock, RemoteFd};
use hostcall::wire::Sink;
use hostcall_tests::daemon::{eventually, leave, Daemon};
use hostcall_tests::launch::{start, start_raw, words_of, LATER, NONE};
use hostcall_tests::peer::Peer;
use hostcall_tests::witness::c;
use hostd::calls::scratch::MOST_SCRATCHES;
use serde_json::json;
use std::collections::HashSet;
use std::path::Path;

/// Processes one after the other, many more than there are spare shadows.
const MANY: usize = 30;

/// The shadow of the only session.
fn shadow(daemon: &Daemon) -> i32 {
    let sessions = daemon.status().sessions;
    assert_eq!(sessions.len(), 1, "one process is attached");
    sessions[0].shadow.expect("the zygote has told of it")
}

/// Ends a session and waits until hostd knows.
fn end(daemon: &Daemon, client: Client) {
    leave(client);
    eventually("the session is over", || {
        daemon.status().sessions.is_empty()
    });
}

fn lives(pid: i32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[test]
fn processes_one_after_the_other_share_a_few_shadows() {
    let daemon = Daemon::start();
    let mut seen = HashSet::new();
    for _ in 0..MANY {
        let client = daemon.attach();
        seen.insert(shadow(&daemon));
        end(&daemon, client);
    }
    assert!(seen.len() < MANY / 2, "{} shadows", seen.len());
}

/// Fills a session with all that it may hold.
fn indulge(client: &Client, daemon: &Daemon) {
    let (directory, file) = (daemon.export("mine"), daemon.export("locked"));
    std::fs::create_dir_all(&directory).unwrap();
    client.chdir(&c(&directory)).unwrap();
    client.umask(Mode(0o777)).unwrap();
    let flags = OpenFlags(libc::O_RDWR | libc::O_CREAT);
    let open = || {
        let opened = client.openat(DirFd::CWD, &c(&file), flags, Mode(0o666));
        opened.unwrap().fd
    };
    let files: Vec<RemoteFd> = (0..20).map(|_| open()).collect();
    let lock = RecordLock {
        kind: libc::F_WRLCK as i16,
        whence: libc::SEEK_SET as i16,
        start: 0,
        len: 0,
        pid: 0,
    };
    client.lock(files[7], libc::F_SETLK, lock).unwrap();
    client.flock(files[9], libc::LOCK_EX).unwrap();
}

/// What a session shows of the one before it.
fn traces(client: &Client, daemon: &Daemon) -> Vec<String> {
    let mut found = Vec::new();
    let mut path = [0u8; 4096];
    let filled = client.getcwd(Sink::new(&mut path)).unwrap().filled.0;
    if &path[..filled] != b"/" {
        found.push(format!("the directory {}", path[..filled].escape_ascii()));
    }
    let mask = client.umask(Mode(0o22)).unwrap().old.0;
    if mask != 0o22 {
        found.push(format!("the mask {mask:o}"));
    }
    let open = (0..1024).filter(|fd| client.fcntl(RemoteFd(*fd), libc::F_GETFD, 0).is_ok());
    found.extend(open.map(|fd| format!("the file {fd}")));
    let locked = std::fs::File::open(daemon.export("locked")).unwrap();
    if nix::fcntl::Flock::lock(locked, nix::fcntl::FlockArg::LockExclusiveNonblock).is_err() {
        found.push("a lock of the whole file".to_owned());
    }
    found
}

#[test]
fn nothing_of_a_process_reaches_the_next() {
    let daemon = Daemon::start();
    let mut served = HashSet::new();
    let mut again = 0;
    for _ in 0..MANY {
        let client = daemon.attach();
        again += usize::from(!served.insert(shadow(&daemon)));
        if again > 0 {
            assert_eq!(traces(&client, &daemon), Vec::<String>::new());
        }
        indulge(&client, &daemon);
        end(&daemon, client);
    }
    assert!(again > 0, "no shadow has served twice");
}

/// Leaves all that host programs leave in a session; answers the process of one that runs.
fn launch_all(client: &Client, daemon: &Daemon) -> i32 {
    let told = daemon.export("told");
    let _ = std::fs::remove_file(&told);
    let script = format!("echo $$ > {}; exec sleep 1000", told.display());
    let sleeper = words_of(&["sh", "-c", &script], &[]);
    start_raw(client, &words_of(&["true"], &[]), [NONE; 3], LATER).unwrap();
    client.pipe(OpenFlags(0)).unwrap();
    let terminal = client.pty_open(24, 80, 0, 0).unwrap().fd;
    start(client, &["cat"], [terminal, NONE, NONE]).unwrap();
    start_raw(client, &sleeper, [NONE; 3], 0).unwrap();
    for _ in 0..MOST_SCRATCHES {
        client.scratch(4096).unwrap();
    }
    let mut pid = None;
    eventually("it runs", || {
        let text = std::fs::read_to_string(&told).unwrap_or_default();
        pid = text.trim().parse().ok();
        pid.is_some()
    });
    pid.unwrap_or_default()
}

/// Numbers of jobs that some session may have given.
const NUMBERS: std::ops::Range<u32> = 1..4 * MANY as u32;

/// What a session knows of the programs of those before it.
fn programs(client: &Client) -> Vec<String> {
    let mut found = Vec::new();
    for job in NUMBERS {
        if client.wait(job, libc::WNOHANG).err() != Some(Errno(libc::ECHILD)) {
            found.push(format!("the job {job}"));
        }
        if client.started(job, NONE).err() != Some(Errno(libc::ESRCH)) {
            found.push(format!("the start of job {job}"));
        }
    }
    let scratches = (0..MOST_SCRATCHES).filter_map(|_| client.scratch(1).ok());
    let scratches: Vec<RemoteFd> = scratches.map(|reply| reply.fd).collect();
    if scratches.len() < MOST_SCRATCHES {
        found.push(format!("no more than {} scratches", scratches.len()));
    }
    for scratch in scratches {
        client.close(scratch).unwrap();
    }
    found
}

#[test]
fn programs_end_with_their_process_and_the_next_knows_of_none() {
    let exec = json!({"exports": [{"path": "/"}], "exec": {"allow": ["*"], "processes": 64}});
    let daemon = Daemon::configured(|_| exec);
    std::fs::write(daemon.export("locked"), "").unwrap();
    let mut served = HashSet::new();
    let mut again = 0;
    for _ in 0..MANY {
        let client = daemon.attach();
        if !served.insert(shadow(&daemon)) {
            again += 1;
            let mut found = traces(&client, &daemon);
            found.extend(programs(&client));
            assert_eq!(found, Vec::<String>::new());
        }
        let pid = launch_all(&client, &daemon);
        end(&daemon, client);
        eventually("its program has ended", || !lives(pid));
    }
    assert!(again > 0, "no shadow has served twice");
}

#[test]
fn a_region_is_nobodys_before() {
    let daemon = Daemon::start();
    for _ in 0..MANY {
        let client = daemon.attach();
        indulge(&client, &daemon);
        end(&daemon, client);
        let peer = Peer::attach(daemon.socket()).expect("a session");
        let mut arena = vec![1; peer.arena().len()];
        peer.arena().copy_out(&mut arena).unwrap();
        assert!(arena.iter().all(|byte| *byte == 0));
        drop(peer);
        eventually("the session is over", || {
            daemon.status().sessions.is_empty()
        });
    }
}

#[test]
fn what_cannot_be_cleared_ends_with_its_process() {
    let daemon = Daemon::start();
    type Call = fn(&Client);
    let calls: [(&str, Call); 2] = [
        ("a limit", |client| {
            client.limit_size(1 << 20).unwrap();
        }),
        ("a watch", |client| {
            client.watch_open(0).unwrap();
        }),
    ];
    for (what, call) in calls {
        let client = daemon.attach();
        let shadow = shadow(&daemon);
        call(&client);
        leave(client);
        eventually(&format!("{what} is gone with the shadow"), || {
            !lives(shadow)
        });
    }
}
