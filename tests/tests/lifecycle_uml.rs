//! The same across two kernels: a UML guest, its shadow or its hostd dies while a guest process waits or works.

use hostcall_tests::daemon::{
    self, descendants, eventually, program, Footprint, Scratch, PATIENCE,
};
use hostcall_tests::guest::{Guest, SOON};
use hostcall_tests::soon::soon;
use hostd::server::admin::Status;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;
use std::fs::{File, OpenOptions};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// A guest boots in about a second; the machine may be busy with others.
const BOOT: Duration = Duration::from_secs(60);

fn installed() -> bool {
    let found = Path::new("/usr/bin/linux.uml").exists();
    if !found {
        eprintln!("skipped: user-mode-linux is not installed");
    }
    found
}

fn try_lock(path: &Path) -> Option<File> {
    let file = OpenOptions::new().write(true).open(path).expect("a file");
    let lock = libc::flock {
        l_type: libc::F_WRLCK as i16,
        l_whence: 0,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    let taken = nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_OFD_SETLK(&lock)).is_ok();
    taken.then_some(file)
}

/// Where the guest process's program lies in the guest: the checkout may be in a place that the guest does not see.
const RUNNER: &str = "/run/guest_runner";

fn copy() -> String {
    format!("{}:{RUNNER}", program("guest_runner").display())
}

/// A booted guest with a process in a phase.
fn boot(phase: &str, path: &Path) -> Guest {
    let mut command = Command::new(program("hostd"));
    command
        // Without a mount, whose server would be a session too.
        .args(["run", "--guest", "uml", "--no-mount", "--copy", &copy()])
        .args(["--", RUNNER])
        .arg(phase)
        .arg(path);
    let guest = Guest::run(command);
    guest.expect("ready", BOOT);
    std::thread::sleep(Duration::from_millis(100));
    guest
}

fn status_of(run: &Guest) -> Status {
    daemon::status_of(run.pid()).expect("the guest's hostd")
}

fn shadow_of(run: &Guest) -> i32 {
    let mut sessions = status_of(run)
        .guests
        .into_iter()
        .flat_map(|guest| guest.sessions);
    sessions
        .find_map(|session| session.shadow)
        .expect("a shadow")
}

fn kernel_of(run: &Guest) -> i32 {
    let named = |pid: &i32| {
        let command = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        command.contains("iomem=")
    };
    // The kernel's own helper processes have the same command line; it is the one that the others descend from.
    let all: Vec<i32> = descendants(run.pid()).into_iter().filter(named).collect();
    let top = all.iter().max_by_key(|pid| descendants(**pid).len());
    *top.expect("a kernel runs")
}

fn destroy(pid: i32) {
    kill(Pid::from_raw(pid), Signal::SIGKILL).expect("it lives");
}

fn all_end(what: &str, pids: &[i32]) {
    let alive = |pid: &i32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        !stat.is_empty()
            && !stat
                .rsplit(')')
                .next()
                .is_some_and(|rest| rest.trim_start().starts_with('Z'))
    };
    eventually(&format!("{what}: all of {pids:?} end"), || {
        !pids.iter().any(alive)
    });
}

#[test]
fn death_of_a_shadow_reaches_a_process_in_another_kernel() {
    if !installed() {
        return;
    }
    let directory = Scratch::new();
    let file = directory.join("file");
    std::fs::write(&file, "").expect("a file");
    let held = try_lock(&file).expect("a lock");
    for phase in ["locking", "spinning"] {
        soon(phase, SOON, || {
            let mut run = boot(phase, &file);
            let start = Instant::now();
            destroy(shadow_of(&run));
            run.expect("lost", BOOT);
            let took = start.elapsed();
            assert!(run.ended(BOOT).success());
            took
        });
    }
    drop(held);
}

/// As on a machine where it waits for a processor that long.
#[test]
fn a_process_outlives_seconds_in_which_hostd_does_not_answer() {
    if !installed() {
        return;
    }
    let directory = Scratch::new();
    let file = directory.join("file");
    std::fs::write(&file, "content\n").expect("a file");
    let seen = Path::new("/host").join(file.strip_prefix("/").expect("absolute"));
    let mut command = Command::new(program("hostd"));
    command
        .args(["run", "--guest", "uml", "--no-mount", "--", "bash", "-c"])
        .arg("echo ready; sleep 1; exec cat <$0")
        .arg(seen);
    let mut run = Guest::run(command);
    run.expect("ready", BOOT);
    let hostd = Pid::from_raw(run.pid());
    kill(hostd, Signal::SIGSTOP).expect("it lives");
    std::thread::sleep(Duration::from_secs(4));
    kill(hostd, Signal::SIGCONT).expect("it lives");
    run.expect("content", BOOT);
    assert!(run.ended(BOOT).success());
}

#[test]
fn death_of_a_guest_kernel_frees_its_locks_and_ends_its_run() {
    if !installed() {
        return;
    }
    let directory = Scratch::new();
    let file = directory.join("file");
    std::fs::write(&file, "").expect("a file");
    for phase in ["holding", "transferring"] {
        soon(phase, SOON, || {
            let mut run = boot(phase, &file);
            let family = descendants(run.pid());
            destroy(kernel_of(&run));
            let start = Instant::now();
            eventually("its locks are free", || try_lock(&file).is_some());
            let took = start.elapsed();
            assert!(
                !run.ended(BOOT).success(),
                "{phase}: a guest that died has not succeeded"
            );
            all_end(phase, &family);
            took
        });
    }
}

#[test]
fn death_of_hostd_leaves_no_guest_kernel() {
    if !installed() {
        return;
    }
    let directory = Scratch::new();
    let file = directory.join("file");
    std::fs::write(&file, "").expect("a file");
    for phase in ["holding", "spinning"] {
        soon(phase, SOON, || {
            let run = boot(phase, &file);
            let family = descendants(run.pid());
            let start = Instant::now();
            destroy(run.pid());
            all_end(phase, &family);
            start.elapsed()
        });
        assert!(
            try_lock(&file).is_some(),
            "{phase}: a lock outlived its shadow"
        );
    }
}

#[test]
fn death_of_a_process_in_another_kernel_frees_its_lanes() {
    if !installed() {
        return;
    }
    let directory = Scratch::new();
    let file = directory.join("file");
    std::fs::write(&file, "").expect("a file");
    let _held = try_lock(&file).expect("a lock");
    // Each process is killed while a call sleeps on the host; the shell goes on, and a last one finds the host as ever.
    let script = "for n in 1 2 3 4 5 6 7 8; do \"$0\" locking \"$1\" & sleep 0.3; kill -9 $!; wait $! 2>/dev/null; done; read line; \"$0\" once";
    let mut command = Command::new(program("hostd"));
    command
        .args(["run", "--guest", "uml", "--copy", &copy()])
        .args(["--", "sh", "-c", script, RUNNER])
        .arg(&file);
    let mut run = Guest::run(command);
    (0..8).for_each(|_| drop(run.expect("ready", BOOT)));
    // That of hostfs, and that of the shell if it has one.
    eventually("the sessions of dead processes are over", || {
        status_of(&run).guests[0].sessions.len() <= 2
    });
    run.poke();
    assert!(run.ended(BOOT).success());
}

/// Phases of a process that is killed, and what it works on.
const PHASES: [(&str, &str); 11] = [
    ("idle", "file"),
    ("spinning", "file"),
    ("locking", "locked"),
    ("holding", "file"),
    ("opening", "fifo"),
    ("reading", "fifo"),
    ("transferring", "file"),
    ("held", "file"),
    ("preparing", "file"),
    ("claiming", "file"),
    ("forking", "file"),
];

#[test]
fn death_of_a_process_at_every_phase_leaves_nothing_on_the_host() {
    if !installed() {
        return;
    }
    let directory = Scratch::new();
    for name in ["file", "locked"] {
        std::fs::write(directory.join(name), "").expect("a file");
    }
    nix::unistd::mkfifo(&directory.join("fifo"), nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
    let _held = try_lock(&directory.join("locked")).expect("a lock");
    // A process in a phase for each line; another line kills it.
    let script = "mkfifo /tmp/silent; exec 9<>/tmp/silent; echo begun; while read phase file; do \"$0\" $phase \"$1/$file\" <&9 & read _; kill -9 $! && wait $! 2>/dev/null; [ $? = 137 ] && echo dead; done";
    let mut command = Command::new(program("hostd"));
    command
        .args(["run", "--guest", "uml", "--no-mount", "--copy", &copy()])
        .args(["--", "/bin/sh", "-c", script, RUNNER])
        .arg(&*directory);
    let mut run = Guest::run(command);
    run.expect("begun", BOOT);
    eventually("the spare shadows are there", || {
        status_of(&run).guests[0].spares == 4
    });
    let before = Footprint::of(&status_of(&run));
    for (phase, file) in PHASES {
        run.tell(&format!("{phase} {file}"));
        run.expect("ready", PATIENCE);
        // Into the middle of the phase.
        std::thread::sleep(Duration::from_millis(60));
        run.poke();
        run.expect("dead", PATIENCE);
    }
    let mut now = before;
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        now = Footprint::of(&status_of(&run));
        if now == before {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(now, before);
    assert!(try_lock(&directory.join("file")).is_some());
}

#[test]
fn output_that_cannot_be_written_is_told_of_and_no_success() {
    if !installed() {
        return;
    }
    for (script, expected) in [("echo x", 1), ("echo x; exit 3", 3)] {
        let output = Command::new(program("hostd"))
            .args(["run", "--guest", "uml", "--no-mount", "--"])
            .args(["sh", "-c", script])
            .stdout(File::create("/dev/full").unwrap())
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said, "hostd: standard output: No space left on device\n");
        assert_eq!(output.status.code(), Some(expected), "{script}");
    }
}

/// A command that has ended has the status that it had, however slowly its output is read.
#[test]
fn output_of_a_command_that_has_ended_outlives_sigterm() {
    if !installed() {
        return;
    }
    let (mut reader, writer) = std::io::pipe().unwrap();
    let held = writer.try_clone().unwrap();
    // More than the pipe takes, and less than hostd does.
    let script = "trap '' TERM; head -c 100000 /dev/zero; exit 3";
    let mut run = Command::new(program("hostd"))
        .args(["run", "--guest", "uml", "--no-mount", "--grace", "1", "--"])
        .args(["sh", "-c", script])
        .stdout(writer)
        .spawn()
        .unwrap();
    eventually("the pipe is full", || {
        let mut writable = [PollFd::new(held.as_fd(), PollFlags::POLLOUT)];
        poll(&mut writable, PollTimeout::ZERO) == Ok(0)
    });
    drop(held);
    kill(Pid::from_raw(run.id() as i32), Signal::SIGTERM).unwrap();
    std::thread::sleep(Duration::from_millis(1300));
    let read = std::io::copy(&mut reader, &mut std::io::sink()).unwrap();
    assert_eq!((read, run.wait().unwrap().code()), (100_000, Some(3)));
}

#[test]
fn what_is_written_to_one_file_by_both_outputs_keeps_its_order() {
    if !installed() {
        return;
    }
    let scratch = Scratch::new();
    let file = File::create(scratch.join("both")).unwrap();
    let script = "for n in $(seq 200); do echo $n; echo $n >&2; done";
    let status = Command::new(program("hostd"))
        .args(["run", "--guest", "uml", "--no-mount", "--"])
        .args(["sh", "-c", script])
        .stdout(file.try_clone().unwrap())
        .stderr(file)
        .status()
        .unwrap();
    assert!(status.success());
    let expected: String = (1..=200).map(|n| format!("{n}\n{n}\n")).collect();
    let written = std::fs::read_to_string(scratch.join("both")).unwrap();
    assert_eq!(written, expected);
}

/// Who could cut off what threads of the guest sleep on would end them all by SIGBUS.
#[test]
fn no_user_of_a_guest_can_cut_off_what_others_sleep_on() {
    if !installed() {
        return;
    }
    let script = "
        bells=/run/hostcall/bells
        for n in $(seq 300); do [ -s $bells ] && break; sleep 0.1; done
        user() { setpriv --reuid 65534 --regid 65534 --clear-groups \"$@\" 2> /dev/null; }
        user truncate -s 0 $bells; echo $?
        user rm $bells; echo $?
        user head -c 1 $bells | wc -c
        stat -c %s $bells";
    let output = Command::new(program("hostd"))
        .args(["run", "--guest", "uml", "--no-mount", "--"])
        .args(["sh", "-c", script])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said, "1\n1\n1\n4096\n", "{output:?}");
}
