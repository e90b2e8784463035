//! The mount of the host's files: a hostfs process that is started before COMMAND and ended after all others.

use super::agent::wait_one;
use super::frame::Status;
use super::link::ready;
use super::mounts::table;
use super::plan::{Context, Task};
use super::sys::{self, Side};
use hostcall::say::complain;
use nix::errno::Errno;
use nix::poll::{PollFlags, PollTimeout};
use nix::sys::signal::{kill, Signal};
use nix::sys::signalfd::SignalFd;
use nix::sys::wait::{waitpid, WaitPidFlag, WaitStatus};
use nix::unistd::Pid;
use std::ffi::{CString, OsStr, OsString};
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// Longest wait for the mount; the guest goes on without it afterwards.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest wait for the end of the guest's processes, and then for the unmount.
const LEAVE: Duration = Duration::from_secs(1);
/// What hostfs has to say lands here: COMMAND's streams are COMMAND's.
const LOG: &str = "/run/hostcall/hostfs.log";

/// Mounts the host's files at the task's prefix, if it wants that, and names the process that serves them.
/// `children` tells of ended children.
///
/// # Errors
/// One line for the user; nothing is left of the attempt.
pub fn mount(task: &Task, children: &SignalFd) -> Result<Option<Pid>, String> {
    if task.hostfs.is_empty() {
        return Ok(None);
    }
    let prefix = Path::new(&task.prefix);
    let mounted = serve(&task.hostfs, prefix, children);
    mounted.map(Some).map_err(|error| {
        format!(
            "the host's files are not mounted at {}, where only programs under the preload see them now: {error}",
            prefix.display()
        )
    })
}

fn serve(program: &[OsString], prefix: &Path, children: &SignalFd) -> Result<Pid, String> {
    let prefix = prefix.canonicalize().context(prefix.display())?;
    let log = File::create(LOG).context(LOG)?;
    // Opened before the mount can be made: from here on a poll tells of every change since.
    let changes = File::open("/proc/self/mountinfo").context("/proc/self/mountinfo")?;
    match sys::clone_into(0).context("start hostfs")? {
        Side::Child => execute(program, &prefix, &log),
        Side::Parent(pid) => match await_mount(pid, &prefix, &changes, children) {
            Ok(()) => Ok(pid),
            Err(error) => {
                let _ = kill(pid, Signal::SIGKILL);
                let _ = waitpid(pid, None);
                Err(error)
            }
        },
    }
}

/// The child's side.
fn execute(program: &[OsString], prefix: &Path, log: &File) -> ! {
    let prepared = || -> Result<std::convert::Infallible, String> {
        let _ = nix::unistd::setsid();
        let null = File::open("/dev/null").context("/dev/null")?;
        sys::place(null.as_fd(), 0).context("standard input")?;
        for number in [1, 2] {
            sys::place(log.as_fd(), number).context("the log")?;
        }
        sys::default_signals();
        let word = |text: &OsStr| CString::new(text.as_bytes()).context("hostfs's arguments");
        let program: Result<Vec<CString>, String> = program.iter().map(|text| word(text)).collect();
        let program = program?;
        let own = [
            word(prefix.as_os_str())?,
            c"-o".into(),
            c"allow_other".into(),
            c"--foreground".into(),
        ];
        let arguments = [&program[..], &own[..]].concat();
        // Nothing of COMMAND's environment, above all not the preload: the server of a mount must not use it.
        let environment = [c"PATH=/usr/sbin:/usr/bin:/sbin:/bin"];
        nix::unistd::execve(&program[0], &arguments, &environment)
            .context(program[0].to_string_lossy().escape_default())
    };
    let Err(error) = prepared();
    complain("hostfs", error);
    std::process::exit(1)
}

fn await_mount(pid: Pid, prefix: &Path, changes: &File, children: &SignalFd) -> Result<(), String> {
    let start = Instant::now();
    loop {
        let mounted = |mount: &super::mounts::Mount| mount.at == prefix && mount.is_fuse();
        if table()?.iter().any(mounted) {
            return Ok(());
        }
        let left = PATIENCE.saturating_sub(start.elapsed());
        if left.is_zero() {
            return Err(format!("hostfs has not mounted them within {PATIENCE:?}"));
        }
        let [_, ended] = ready(
            [
                Some((changes.as_fd(), PollFlags::POLLPRI)),
                Some((children.as_fd(), PollFlags::POLLIN)),
            ],
            PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX),
        )
        .context("poll")?;
        if !ended.is_empty() {
            while let Ok(Some(_)) = children.read_signal() {}
            if waitpid(pid, Some(WaitPidFlag::WNOHANG)) != Ok(WaitStatus::StillAlive) {
                return Err(last_words());
            }
        }
    }
}

/// What has become of the host's files when their server has ended in COMMAND's time.
pub fn lost(prefix: &str, status: Status) -> String {
    let how = match status {
        Status::Code(_) => last_words(),
        Status::Signal(number) => format!("hostfs ended by signal {number}"),
    };
    format!("the host's files are no more mounted at {prefix}, where only programs under the preload see them now: {how}")
}

/// Why hostfs gave up, by its own last line.
fn last_words() -> String {
    let log = fs::read(LOG).unwrap_or_default();
    let text = String::from_utf8_lossy(&log);
    match text.lines().rfind(|line| !line.trim().is_empty()) {
        Some(line) => line.trim().to_owned(),
        None => "hostfs ended without a word".into(),
    }
}

/// Ends every process of the guest but this one; the server of the mount last, so that nobody is left waiting for
/// a file system without one, and so that what was written through it has reached the host.
pub fn end_all(server: Option<Pid>) {
    if let Some(server) = server {
        let start = Instant::now();
        while start.elapsed() < LEAVE && kill_all_but(server) {
            while wait_one(WaitPidFlag::WNOHANG).is_some() {}
            std::thread::sleep(Duration::from_millis(1));
        }
        let asked = Instant::now();
        let _ = kill(server, Signal::SIGTERM);
        let lives = || waitpid(server, Some(WaitPidFlag::WNOHANG)) == Ok(WaitStatus::StillAlive);
        while lives() && asked.elapsed() < LEAVE {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
    while wait_one(WaitPidFlag::empty()).is_some() {}
}

/// Whether there was somebody to kill.
fn kill_all_but(server: Pid) -> bool {
    let own = nix::unistd::getpid();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let others = entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .map(Pid::from_raw)
        .filter(|pid| ![own, server].contains(pid));
    let mut found = false;
    for pid in others {
        // A kernel thread of a guest with its own kernel takes no signal and has no end.
        let user = fs::read(format!("/proc/{pid}/stat")).is_ok_and(|stat| is_process(&stat));
        found |= user && kill(pid, Signal::SIGKILL) != Err(Errno::ESRCH);
    }
    found
}

/// Whether a `/proc/PID/stat` is that of a process, not of a kernel thread (its flags, the ninth field, say so).
fn is_process(stat: &[u8]) -> bool {
    /// `PF_KTHREAD` of `linux/sched.h`.
    const KERNEL_THREAD: u64 = 0x0020_0000;
    let text = String::from_utf8_lossy(stat);
    let flags = text
        .rsplit(')')
        .next()
        .and_then(|rest| rest.split_ascii_whitespace().nth(6)?.parse::<u64>().ok());
    flags.is_some_and(|flags| flags & KERNEL_THREAD == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_threads_are_told_from_processes() {
        assert!(is_process(b"7 (a) b) S 1 7 7 0 -1 4194560 0 0"));
        assert!(!is_process(b"2 (kthreadd) S 0 0 0 0 -1 2129984 0 0"));
        assert!(!is_process(b""));
        assert!(is_process(
            &fs::read("/proc/self/stat").expect("own process")
        ));
    }
}
