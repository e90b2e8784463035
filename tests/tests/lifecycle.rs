//! Death of any party at any phase: the others know it soon, nobody hangs, nothing is left behind.

use hostcall::ops::Calls;
use hostcall::types::{DirFd, Mode, OpenFlags};
use hostcall_tests::daemon::{descendants, eventually, leave, program, Daemon, PATIENCE};
use hostcall_tests::guest::{Guest, SOON};
use hostcall_tests::processes::{all_end, destroy, lives};
use hostcall_tests::soon::{soon, Times};
use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;
use serde_json::json;
use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Phases of a session, and whether a line wakes the process in it (it does not call by itself).
const PHASES: [(&str, bool); 13] = [
    ("idle", true),
    ("spinning", false),
    ("locking", false),
    ("holding", true),
    ("opening", false),
    ("reading", false),
    ("polling", false),
    ("transferring", false),
    ("watching", true),
    ("forking", false),
    ("held", true),
    ("preparing", true),
    ("claiming", false),
];

/// What the phases work on: a file locked natively, a FIFO that nobody writes to, a file to fill.
struct Props {
    directory: PathBuf,
    _locked: File,
}

impl Props {
    fn new(directory: PathBuf) -> Props {
        std::fs::create_dir_all(&directory).expect("a directory");
        for name in ["locked", "free", "data"] {
            std::fs::write(directory.join(name), "").expect("a file");
        }
        let _ = nix::unistd::mkfifo(&directory.join("fifo"), nix::sys::stat::Mode::S_IRWXU);
        let locked = OpenOptions::new()
            .write(true)
            .open(directory.join("locked"))
            .expect("a file");
        assert!(try_lock(&locked), "the file is locked by nobody yet");
        Props {
            directory,
            _locked: locked,
        }
    }

    fn path(&self, phase: &str) -> PathBuf {
        self.directory.join(match phase {
            "locking" => "locked",
            "opening" | "reading" | "polling" => "fifo",
            "transferring" | "appending" => "data",
            _ => "free",
        })
    }

    fn guest(&self, socket: &Path, phase: &str) -> Guest {
        let guest = Guest::ready(socket, phase, &self.path(phase));
        // Into the middle of the phase: a blocking call is asleep by now.
        std::thread::sleep(Duration::from_millis(60));
        guest
    }

    /// Whether a natively taken lock shows that no guest holds one.
    fn is_free(&self) -> bool {
        let file = OpenOptions::new()
            .write(true)
            .open(self.path("idle"))
            .expect("a file");
        try_lock(&file)
    }
}

/// An OFD lock on the whole file.
fn try_lock(file: &File) -> bool {
    let lock = libc::flock {
        l_type: libc::F_WRLCK as i16,
        l_whence: 0,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    nix::fcntl::fcntl(file, nix::fcntl::FcntlArg::F_OFD_SETLK(&lock)).is_ok()
}

/// Waits until a shadow is gone with all its threads: a signal that is sent has not yet ended it, and until then it answers.
fn reaped(shadow: i32) {
    eventually("the zygote takes leave of a dead shadow", || {
        !Path::new(&format!("/proc/{shadow}")).exists()
    });
}

fn shadow_of(daemon: &Daemon, guest: &Guest) -> i32 {
    let sessions = daemon.status().sessions;
    let session = sessions
        .iter()
        .find(|session| session.process == Some(guest.pid()));
    session
        .and_then(|session| session.shadow)
        .expect("the guest has a shadow")
}

fn zygote_of(daemon: &Daemon) -> i32 {
    let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", daemon.pid()))
        .expect("hostd lives");
    children
        .split_whitespace()
        .next()
        .and_then(|pid| pid.parse().ok())
        .expect("hostd has a zygote")
}

/// A shadow's death reaches its guest as `ENOTCONN` or `EIO`, whatever the guest is doing.
fn loses(phase: &str, pokes: bool, guest: &mut Guest) {
    if pokes {
        guest.poke();
    }
    let errno = guest.expect("lost", PATIENCE);
    let expected = [libc::ENOTCONN.to_string(), libc::EIO.to_string()];
    assert!(expected.contains(&errno), "{phase}: errno {errno}");
}

#[test]
fn death_of_a_guest_process_at_every_phase() {
    let daemon = Daemon::start();
    let props = Props::new(daemon.export("props"));
    let before = daemon.settled_footprint();
    assert!(before.memfds >= 4, "a region for each spare: {before:?}");
    for (phase, _) in PHASES {
        soon(phase, SOON, || {
            let guest = props.guest(daemon.socket(), phase);
            // Not from a thread of ours that also waits: dropping kills and reaps.
            drop(guest);
            let start = Instant::now();
            eventually("its locks are free", || props.is_free());
            start.elapsed()
        });
    }
    daemon.settles_to(&before);
}

#[test]
fn death_of_a_shadow_at_every_phase() {
    let daemon = Daemon::start();
    let props = Props::new(daemon.export("props"));
    let before = daemon.settled_footprint();
    for (phase, pokes) in PHASES {
        soon(phase, SOON, || {
            let mut guest = props.guest(daemon.socket(), phase);
            let shadow = shadow_of(&daemon, &guest);
            let start = Instant::now();
            destroy(shadow);
            reaped(shadow);
            loses(phase, pokes, &mut guest);
            let took = start.elapsed();
            eventually("its locks are free", || props.is_free());
            took
        });
    }
    daemon.settles_to(&before);
}

#[test]
fn a_shadows_violent_death_leaves_one_line() {
    let daemon = Daemon::start();
    let props = Props::new(daemon.export("props"));
    for (signal, number) in [
        (Signal::SIGSYS, libc::SIGSYS),
        (Signal::SIGKILL, libc::SIGKILL),
    ] {
        let mut guest = props.guest(daemon.socket(), "idle");
        let shadow = shadow_of(&daemon, &guest);
        kill(Pid::from_raw(shadow), signal).expect("it lives");
        reaped(shadow);
        loses("idle", true, &mut guest);
        let line = format!("shadow {shadow} died of signal {number}");
        eventually("the log tells", || daemon.logged(&line) == 1);
    }
    // Nor does hostd complain of what it has killed itself: a shadow that cannot be cleared of what its process left.
    let guest = props.guest(daemon.socket(), "watching");
    let shadow = shadow_of(&daemon, &guest);
    destroy(guest.pid());
    eventually("the shadow is gone", || !lives(shadow));
    assert_eq!(daemon.logged("died of signal"), 2);
}

#[test]
fn death_of_the_zygote_at_every_phase() {
    let daemon = Daemon::start();
    let props = Props::new(daemon.export("props"));
    let (before, times) = (daemon.settled_footprint(), Times::default());
    let mut family = descendants(daemon.pid());
    for (phase, _) in PHASES
        .into_iter()
        .filter(|(phase, _)| ["idle", "spinning", "locking", "forking", "claiming"].contains(phase))
    {
        let mut guest = props.guest(daemon.socket(), phase);
        let old = zygote_of(&daemon);
        family.extend(descendants(daemon.pid()));
        // A zygote that dies at once is not started again, lest it be done for ever.
        std::thread::sleep(Duration::from_millis(200));
        destroy(old);
        let mut later: Vec<Guest> = Vec::new();
        times.until("new processes are served", || {
            later.push(Guest::ready(daemon.socket(), "idle", Path::new("")));
            later.len() == 6
        });
        for guest in &mut later {
            guest.poke();
            guest.expect("ok", PATIENCE);
        }
        // A session does not depend on the zygote that made its shadow.
        if phase == "idle" {
            guest.poke();
            guest.expect("ok", PATIENCE);
        }
        assert_ne!(zygote_of(&daemon), old);
    }
    times.mostly_within(SOON);
    eventually("no session stays", || {
        daemon.status().sessions.len() <= before.sessions
    });
    family.extend(descendants(daemon.pid()));
    drop(daemon);
    all_end("zygotes and shadows of a dead hostd", &family);
}

/// hostd started again by its configuration, killed when dropped.
struct Again(Child);

impl Drop for Again {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn death_of_hostd_at_every_phase() {
    for (phase, pokes) in PHASES {
        soon(phase, SOON, || hostd_dies(phase, pokes));
    }
}

fn hostd_dies(phase: &str, pokes: bool) -> Duration {
    let daemon = Daemon::start();
    let props = Props::new(daemon.export("props"));
    let mut guest = props.guest(daemon.socket(), phase);
    let family = descendants(daemon.pid());
    assert!(family.len() >= 2, "{family:?}");
    let start = Instant::now();
    destroy(daemon.pid());
    // Before the poke: a shadow that has not yet seen the death may still answer.
    all_end(phase, &family);
    loses(phase, pokes, &mut guest);
    let took = start.elapsed();
    assert!(props.is_free(), "{phase}: a lock outlived its shadow");
    if phase == "idle" {
        // A new hostd takes the same socket, though the dead one could not remove it.
        let mut command = Command::new(program("hostd"));
        command
            .args(["serve", "--config"])
            .arg(daemon.directory.join("config.json"));
        let _again = Again(
            command
                .stdin(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("hostd starts"),
        );
        let mut attached = None;
        eventually("a client of the new hostd", || {
            attached = daemon.try_attach(None).ok();
            attached.is_some()
        });
        let client = attached.expect("just seen");
        client.nop().expect("an answer");
        leave(client);
    }
    took
}

#[test]
fn acknowledged_writes_are_on_the_host() {
    let daemon = Daemon::start();
    let props = Props::new(daemon.export("props"));
    for victim in ["guest", "shadow", "hostd"] {
        // Another file: the shadow of a process that was killed may execute its last call a moment later.
        std::fs::remove_file(props.path("appending")).expect("there is one");
        std::fs::write(props.path("appending"), "").expect("a fresh file");
        let mut guest = props.guest(daemon.socket(), "appending");
        std::thread::sleep(Duration::from_millis(100));
        destroy(match victim {
            "guest" => guest.pid(),
            "shadow" => shadow_of(&daemon, &guest),
            _ => daemon.pid(),
        });
        let acked = guest
            .rest()
            .into_iter()
            .filter(|line| line.starts_with("acked"))
            .count();
        let data = std::fs::read(props.path("appending")).expect("the file");
        let numbers: Vec<u64> = data
            .chunks_exact(8)
            .map(|word| u64::from_le_bytes(word.try_into().expect("8 bytes")))
            .collect();
        assert!(
            acked > 0 && numbers.len() >= acked && data.len().is_multiple_of(8),
            "{victim}: {acked} acknowledged, {} there",
            numbers.len()
        );
        assert!(
            numbers
                .iter()
                .enumerate()
                .all(|(at, number)| at as u64 == *number),
            "{victim}: out of order"
        );
    }
}

#[test]
fn strangers_that_say_nothing_are_forgotten() {
    use nix::sys::socket::{connect, socket, AddressFamily, SockFlag, SockType, UnixAddr};
    let daemon = Daemon::start();
    let before = daemon.settled_footprint();
    let strangers: Vec<_> = (0..20)
        .map(|_| {
            let socket = socket(
                AddressFamily::Unix,
                SockType::SeqPacket,
                SockFlag::SOCK_CLOEXEC,
                None,
            )
            .expect("a socket");
            connect(
                socket.as_raw_fd(),
                &UnixAddr::new(daemon.socket()).expect("an address"),
            )
            .expect("connected");
            socket
        })
        .collect();
    daemon.attach().nop().expect("others are served meanwhile");
    drop(strangers);
    eventually("they are forgotten", || {
        daemon.footprint().fds <= before.fds + 8
    });
    // A process may end as soon as it has connected: there is nothing to tell of.
    assert_eq!(daemon.logged("introduces itself"), 0, "{}", daemon.log());
}

#[test]
fn many_threads_share_two_lanes() {
    let daemon = Daemon::with_limits(json!({"lanes": 2}));
    let fifo = daemon.export("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
    let client = daemon.attach();
    let path = std::ffi::CString::new(fifo.to_str().expect("plain")).expect("no NUL");
    std::thread::scope(|scope| {
        // One lane is taken by a call that waits for another process.
        let waiting = scope.spawn(|| {
            client
                .openat(DirFd::CWD, &path, OpenFlags(libc::O_RDONLY), Mode(0))
                .map(|reply| reply.fd)
        });
        let busy: Vec<_> = (0..16)
            .map(|_| scope.spawn(|| (0..300).try_for_each(|_| client.nop().map(drop))))
            .collect();
        for thread in busy {
            assert_eq!(thread.join().expect("no panic"), Ok(()));
        }
        drop(
            OpenOptions::new()
                .write(true)
                .open(&fifo)
                .expect("the other side"),
        );
        waiting.join().expect("no panic").expect("opened");
    });
    leave(client);
}

#[test]
fn handlers_make_calls_during_calls() {
    let daemon = Daemon::start();
    let mut guest = Guest::start(daemon.socket(), "handling", Path::new(""));
    assert_eq!(guest.expect("handled", PATIENCE), "0 failures");
    assert!(guest.ended(PATIENCE).success());
}

#[test]
fn two_hundred_processes_come_and_go() {
    let daemon = Daemon::start();
    let round = || {
        for _ in 0..25 {
            let mut guests: Vec<Guest> = (0..4)
                .map(|_| Guest::start(daemon.socket(), "once", Path::new("")))
                .collect();
            guests
                .iter_mut()
                .for_each(|guest| assert!(guest.ended(PATIENCE).success()));
        }
    };
    let resident = || {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).expect("hostd lives");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .expect("a size");
        line.split_whitespace()
            .next()
            .and_then(|size| size.parse::<u64>().ok())
            .expect("kB")
    };
    let before = daemon.settled_footprint();
    round();
    daemon.settles_to(&before);
    let kilobytes = resident();
    round();
    daemon.settles_to(&before);
    assert!(
        resident() < kilobytes + 1024,
        "{kilobytes} kB before, {} after",
        resident()
    );
}
