//! What the host has not got: descriptors, threads, a reader of its log. Callers wait, and nobody else notices.

use hostcall::ops::Calls;
use hostcall::types::{DirFd, Mode, Offset, OpenFlags, RwFlags};
use hostcall::wire::Sink;
use hostcall_tests::daemon::{eventually, exports, leave, Daemon};
use nix::fcntl::{open, OFlag};
use nix::sys::stat::Mode as FileMode;
use rustix::process::{prlimit, Pid, Resource, Rlimit};
use serde_json::json;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Processor time of a process, in ticks of 10 ms.
fn ticks(pid: i32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields = stat.rsplit(')').next().unwrap();
    let fields: Vec<&str> = fields.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// Sets the soft limit of another process; the old one comes back. The hard one stays.
fn limit(pid: i32, resource: Resource, soft: Option<u64>) -> Option<u64> {
    let name = match resource {
        Resource::Nofile => "Max open files",
        _ => "Max address space",
    };
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix(name));
    let maximum = line.unwrap().split_whitespace().nth(1).unwrap();
    let new = Rlimit {
        current: soft,
        maximum: maximum.parse().ok(),
    };
    prlimit(Pid::from_raw(pid), resource, new).unwrap().current
}

/// Gives a reader of a FIFO its byte when dropped, so that a test that fails ends.
struct Byte<'p>(&'p Path);

impl Drop for Byte<'_> {
    fn drop(&mut self) {
        std::fs::write(self.0, "x").expect("somebody has the FIFO open");
    }
}

#[test]
fn whoever_connects_waits_while_hostd_has_no_descriptor_left() {
    let daemon = Daemon::start();
    let client = daemon.attach();
    let old = limit(daemon.pid(), Resource::Nofile, Some(3));
    let served = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            leave(daemon.attach());
            served.store(true, Ordering::Relaxed);
        });
        let before = ticks(daemon.pid());
        std::thread::sleep(Duration::from_millis(1500));
        let spent = ticks(daemon.pid()) - before;
        assert!(
            spent < 15,
            "hostd spends {spent} of 150 ticks on waiting for a descriptor"
        );
        assert!(!served.load(Ordering::Relaxed));
        client.nop().unwrap();
        limit(daemon.pid(), Resource::Nofile, old);
        eventually("who waited is served", || served.load(Ordering::Relaxed));
    });
    assert!(daemon.logged("a process that connects") >= 1);
    leave(client);
}

#[test]
fn a_log_that_nobody_reads_holds_up_nobody() {
    let (reader, writer) = std::io::pipe().unwrap();
    // Filled by an open file of our own that does not wait.
    let path = format!("/proc/self/fd/{}", writer.as_raw_fd());
    let flags = OFlag::O_WRONLY | OFlag::O_NONBLOCK;
    let filler = open(path.as_str(), flags, FileMode::empty()).unwrap();
    while nix::unistd::write(&filler, &[b'x'; 4096]).is_ok() {}
    let daemon = Daemon::launch_logging(
        writer.into(),
        |directory, socket| json!({"guests": {"t": {"attach": {"local": socket}, "exports": exports(directory)}}}),
    );
    let client = daemon.attach();
    // Each of these is worth a line.
    for _ in 0..30 {
        let mut peer = hostcall_tests::peer::Peer::attach(daemon.socket()).unwrap();
        peer.send(hostcall::wire::Message {
            code: u32::MAX,
            ..Default::default()
        });
        assert!(peer.ended(hostcall_tests::daemon::PATIENCE));
    }
    client.nop().unwrap();
    leave(daemon.attach());
    leave(client);
    drop(reader);
}

#[test]
fn a_lane_without_a_thread_waits_for_one() {
    let daemon = Daemon::start();
    let fifo = daemon.export("fifo");
    nix::unistd::mkfifo(&fifo, FileMode::S_IRWXU).unwrap();
    let client = daemon.attach();
    let fd = client
        .openat(
            DirFd::CWD,
            &hostcall_tests::witness::c(&fifo),
            OpenFlags(libc::O_RDWR),
            Mode(0),
        )
        .unwrap()
        .fd;
    let shadow = daemon.status().sessions[0].shadow.unwrap();
    let answered = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // One lane is taken by a call that waits.
        let byte = Byte(&fifo);
        let blocked = scope.spawn(|| {
            let mut byte = [0];
            client.read(fd, Offset::CURRENT, RwFlags(0), Sink::new(&mut byte))
        });
        eventually("the call waits", || {
            let tasks = std::fs::read_dir(format!("/proc/{shadow}/task")).unwrap();
            tasks.flatten().any(|task| {
                let call = std::fs::read_to_string(task.path().join("wchan")).unwrap_or_default();
                call.contains("pipe")
            })
        });
        // No memory for the stack of another thread.
        let size = std::fs::read_to_string(format!("/proc/{shadow}/statm")).unwrap();
        let pages: u64 = size.split_whitespace().next().unwrap().parse().unwrap();
        let old = limit(shadow, Resource::As, Some(pages * 4096 + (64 << 10)));
        let other = scope.spawn(|| {
            client.nop().unwrap();
            answered.store(true, Ordering::Relaxed);
        });
        std::thread::sleep(Duration::from_millis(700));
        assert!(
            !answered.load(Ordering::Relaxed),
            "a thread was to be had after all"
        );
        assert!(!client.lost());
        limit(shadow, Resource::As, old);
        other.join().unwrap();
        drop(byte);
        assert_eq!(blocked.join().unwrap().unwrap().filled.0, 1);
    });
    leave(client);
}
