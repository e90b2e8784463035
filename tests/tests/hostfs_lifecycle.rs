//! A mount's beginning and end: each failure names the cure, each death leaves no hung process and a clear errno, and the
//! next mount works.

use hostcall_tests::daemon::{eventually, program, Daemon, PATIENCE};
use hostcall_tests::mount::{errno, mounted, Mount};
use hostcall_tests::soon::soon;
use nix::fcntl::{fcntl, FcntlArg, OFlag};
use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;
use std::fs::{self, File, OpenOptions};
use std::io::{PipeReader, PipeWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// hostfs as a user runs it.
fn hostfs(arguments: &[&Path], options: &str) -> Output {
    Command::new(program("hostfs"))
        .args(arguments)
        .args(["-o", options])
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn is_mounted(place: &Path) -> bool {
    let table = fs::read_to_string("/proc/thread-self/mounts").unwrap();
    let place = place.to_str().unwrap();
    table
        .lines()
        .any(|line| line.split(' ').nth(1) == Some(place))
}

#[test]
fn each_failure_names_the_cure() {
    let daemon = Daemon::start();
    let place = daemon.directory.join("absent");
    let failed = hostfs(&[daemon.socket(), &place], "");
    assert!(said(&failed).contains("mkdir -p"), "{}", said(&failed));
    let file = daemon.directory.join("file");
    fs::write(&file, "").unwrap();
    let failed = hostfs(&[daemon.socket(), &file], "");
    assert!(
        said(&failed).contains("not a directory"),
        "{}",
        said(&failed)
    );
    fs::create_dir(&place).unwrap();
    let failed = hostfs(&[&daemon.directory.join("no.sock"), &place], "");
    assert!(said(&failed).contains("no.sock"), "{}", said(&failed));
    let failed = hostfs(&[daemon.socket(), &place], "chache=none");
    assert!(
        said(&failed).contains("did you mean `cache`"),
        "{}",
        said(&failed)
    );
    assert!(!is_mounted(&place));
    assert_eq!(failed.status.code(), Some(1));
    assert_eq!(said(&failed).lines().count(), 1);
}

#[test]
fn a_failure_is_told_before_the_command_ends() {
    let (reader, writer) = full_pipe();
    let mut command = Command::new(program("hostfs"))
        .args(["/no.sock", "/"])
        .stderr(writer.try_clone().unwrap())
        .spawn()
        .unwrap();
    let pid = command.id();
    let mut child = String::new();
    let early = "the command has ended, and its message is still to come";
    eventually("hostfs waits for a reader of its message", || {
        assert!(command.try_wait().unwrap().is_none(), "{early}");
        let all = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        child = all.unwrap_or_default().trim().to_owned();
        fs::read_to_string(format!("/proc/{child}/wchan")).is_ok_and(|at| at.contains("pipe_write"))
    });
    // The pipe by whose end the command is let go.
    let held = fs::read_dir(format!("/proc/{child}/fd"))
        .unwrap()
        .any(|fd| {
            let path = fd.unwrap().path();
            let number: i32 = path.file_name().unwrap().to_str().unwrap().parse().unwrap();
            number > 2
                && fs::read_link(path).is_ok_and(|it| it.to_string_lossy().starts_with("pipe:"))
        });
    drop((reader, writer));
    assert!(!command.wait().unwrap().success());
    assert!(held, "{early}");
}

/// A pipe that takes no more.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, writer) = std::io::pipe().unwrap();
    let flags = |flags| fcntl(&writer, FcntlArg::F_SETFL(flags)).unwrap();
    flags(OFlag::O_NONBLOCK);
    while (&writer).write(&[0; 4096]).is_ok() {}
    flags(OFlag::empty());
    (reader, writer)
}

#[test]
fn sigterm_unmounts() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let (_daemon, mut mount, guest) = mounted("cache=always");
        fs::write(guest.join("f"), "data").unwrap();
        kill(Pid::from_raw(mount.pid()), signal).unwrap();
        assert_eq!(mount.wait(), Some(0));
        assert!(!is_mounted(&mount.mountpoint));
        assert_eq!(mount.log(), "");
    }
}

#[test]
fn a_mount_in_use_goes_with_what_was_written() {
    let (daemon, mut mount, guest) = mounted("cache=always");
    let mut file = File::create(guest.join("f")).unwrap();
    file.write_all(&[b'x'; 100_000]).unwrap();
    kill(Pid::from_raw(mount.pid()), Signal::SIGTERM).unwrap();
    assert_eq!(mount.wait(), Some(0));
    assert!(!is_mounted(&mount.mountpoint));
    let written = fs::read(daemon.export("f")).unwrap();
    assert!(
        written == [b'x'; 100_000],
        "{} bytes arrived",
        written.len()
    );
    let after = file.write_all(b"y").and_then(|()| file.sync_all());
    let clear = [Some(libc::ENOTCONN), Some(libc::ECONNABORTED)];
    assert!(clear.contains(&errno(after)));
}

#[test]
fn umount_ends_hostfs() {
    let (_daemon, mut mount, _guest) = mounted("cache=auto");
    nix::mount::umount(&mount.mountpoint).unwrap();
    assert_eq!(mount.wait(), Some(0));
}

#[test]
fn the_end_of_one_mount_leaves_the_next_one_on_its_place_alone() {
    let (daemon, mut mount, guest) = mounted("cache=auto");
    fs::write(daemon.export("f"), "there").unwrap();
    let old = Pid::from_raw(mount.pid());
    kill(old, Signal::SIGSTOP).unwrap();
    nix::mount::umount(&mount.mountpoint).unwrap();
    let next = hostfs(&[daemon.socket(), &mount.mountpoint], "");
    assert!(next.status.success(), "{}", said(&next));
    kill(old, Signal::SIGCONT).unwrap();
    assert_eq!(mount.wait(), Some(0));
    assert_eq!(fs::read_to_string(guest.join("f")).unwrap(), "there");
    nix::mount::umount(&mount.mountpoint).unwrap();
}

#[test]
fn in_the_background_the_command_returns_once_mounted() {
    let (daemon, mount, _guest) = mounted("cache=auto");
    let place = daemon.directory.join("other");
    fs::create_dir(&place).unwrap();
    let begun = hostfs(&[daemon.socket(), &place], "cache=none");
    assert!(begun.status.success(), "{}", said(&begun));
    assert!(place.join(".hostcall/status").exists());
    let again = hostfs(&[daemon.socket(), &place], "");
    assert!(said(&again).contains("mounted already"), "{}", said(&again));
    nix::mount::umount(&place).unwrap();
    drop(mount);
}

#[test]
fn death_of_hostd_ends_the_mount() {
    soon("the end", Duration::from_secs(5), hostd_dies_under_a_mount);
}

fn hostd_dies_under_a_mount() -> Duration {
    let (daemon, mut mount, guest) = mounted("cache=none");
    fs::write(guest.join("f"), "data").unwrap();
    let file = OpenOptions::new().read(true).open(guest.join("f")).unwrap();
    let start = Instant::now();
    kill(Pid::from_raw(daemon.pid()), Signal::SIGKILL).unwrap();
    let mut failed = None;
    eventually("reading fails", || {
        failed = errno(file.read_at(&mut [0; 4], 0));
        failed.is_some()
    });
    let clear = [libc::ENOTCONN, libc::EIO, libc::ECONNABORTED];
    assert!(clear.contains(&failed.unwrap()), "{failed:?}");
    assert_eq!(mount.wait(), Some(1));
    let took = start.elapsed();
    assert_eq!(mount.log().lines().count(), 1, "{}", mount.log());
    assert!(mount.log().contains("the host is gone"));
    assert!(!is_mounted(&mount.mountpoint));
    took
}

#[test]
fn death_of_the_shadow_ends_the_mount_and_the_next_one_works() {
    let (daemon, mut mount, guest) = mounted("cache=none");
    fs::write(guest.join("f"), "data").unwrap();
    let shadow = daemon.status().sessions[0].shadow.unwrap();
    kill(Pid::from_raw(shadow), Signal::SIGKILL).unwrap();
    assert_eq!(mount.wait(), Some(1));
    assert!(!is_mounted(&mount.mountpoint));
    let next = Mount::of(&daemon, "cache=none");
    next.enter();
    assert_eq!(fs::read(next.path(daemon.export("f"))).unwrap(), b"data");
}

#[test]
fn death_of_hostfs_leaves_a_clear_errno_and_the_next_one_clears_up() {
    let (daemon, mut mount, guest) = mounted("cache=none");
    fs::write(guest.join("f"), "data").unwrap();
    let file = File::open(guest.join("f")).unwrap();
    let before = daemon.settled_footprint();
    kill(Pid::from_raw(mount.pid()), Signal::SIGKILL).unwrap();
    mount.wait();
    assert_eq!(errno(fs::metadata(&guest)), Some(libc::ENOTCONN));
    assert_eq!(errno(file.read_at(&mut [0; 4], 0)), Some(libc::ENOTCONN));
    eventually("its session ends", || {
        daemon.footprint().sessions < before.sessions
    });
    let next = hostfs(&[daemon.socket(), &mount.mountpoint], "cache=none");
    assert!(next.status.success(), "{}", said(&next));
    assert!(said(&next).contains("whose server was gone"));
    assert_eq!(fs::read(guest.join("f")).unwrap(), b"data");
    nix::mount::umount2(&mount.mountpoint, nix::mount::MntFlags::MNT_DETACH).unwrap();
}

/// The kernel knows the directory still, and asks nobody.
#[test]
fn a_dead_mount_that_looks_alive_is_cleared_up() {
    let (daemon, mut mount, guest) = mounted("cache=always");
    fs::write(guest.join("f"), "data").unwrap();
    fs::metadata(&mount.mountpoint).unwrap();
    kill(Pid::from_raw(mount.pid()), Signal::SIGKILL).unwrap();
    mount.wait();
    assert!(fs::metadata(&mount.mountpoint).is_ok_and(|data| data.is_dir()));
    let next = hostfs(&[daemon.socket(), &mount.mountpoint], "");
    assert!(next.status.success(), "{}", said(&next));
    assert!(said(&next).contains("whose server was gone"));
    assert_eq!(fs::read(guest.join("f")).unwrap(), b"data");
    nix::mount::umount2(&mount.mountpoint, nix::mount::MntFlags::MNT_DETACH).unwrap();
    assert!(!is_mounted(&mount.mountpoint), "one mount on another");
}

#[test]
fn a_process_that_reads_when_hostfs_dies_is_not_stuck() {
    let (daemon, mut mount, guest) = mounted("cache=none");
    fs::write(daemon.export("f"), vec![7; 4 << 20]).unwrap();
    let mut reader = Command::new("sh")
        .args([
            "-c",
            "while cat \"$0\" > /dev/null; do :; done",
            guest.join("f").to_str().unwrap(),
        ])
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(300));
    kill(Pid::from_raw(mount.pid()), Signal::SIGKILL).unwrap();
    mount.wait();
    let start = Instant::now();
    while reader.try_wait().unwrap().is_none() {
        assert!(start.elapsed() < PATIENCE, "the reader hangs");
        std::thread::sleep(Duration::from_millis(10));
    }
}
