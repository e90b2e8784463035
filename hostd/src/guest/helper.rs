//! The processes that stand between hostd and a guest, so that neither can outlive the other.
//!
//! `hostd ── helper ── first process of a new pid namespace ── the guest`. Each dies with its parent
//! (`PR_SET_PDEATHSIG`), and with the namespace's first process the kernel kills everything inside, and
//! drops its mounts. The helper also writes the id maps, which only a process outside can.
#![allow(unsafe_code)]

use super::link::FrameLink;
use super::plan::{Context, Machine, Plan};
use super::sys::{self, Side};
use super::{jail, local, namespaces};
use nix::fcntl::OFlag;
use nix::sys::memfd::{memfd_create, MFdFlags};
use nix::sys::signal::{kill, SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{waitpid, WaitPidFlag, WaitStatus};
use nix::unistd::{getppid, pipe2, Pid};
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

/// Serialises the plan into an anonymous file, for the helper to inherit.
///
/// # Errors
/// memfd_create(2), write(2).
pub fn write_plan(plan: &Plan) -> std::io::Result<OwnedFd> {
    let mut file = File::from(memfd_create("hostcall-plan", MFdFlags::MFD_CLOEXEC)?);
    serde_json::to_writer(&mut file, plan)?;
    file.rewind()?;
    Ok(file.into())
}

/// The helper's life: `plan` is the descriptor of [`write_plan`]'s file.
pub fn main(plan: RawFd) -> ! {
    let Some(plan) = read_plan(plan) else {
        std::process::exit(2)
    };
    let _ = nix::sys::prctl::set_name(c"hostd-guest");
    let mut keep = plan.descriptors();
    keep.sort_unstable();
    sys::close_all_but(&keep);
    let Ok(report) = sys::inherited(plan.report) else {
        std::process::exit(2)
    };
    if let Err(error) = supervise(&plan, &report) {
        tell(&report, &error);
        std::process::exit(1);
    }
    std::process::exit(0)
}

fn read_plan(fd: RawFd) -> Option<Plan> {
    let mut text = Vec::new();
    File::from(sys::inherited(fd).ok()?)
        .read_to_end(&mut text)
        .ok()?;
    serde_json::from_slice(&text).ok()
}

/// Reports one line to hostd.
fn tell(report: &OwnedFd, line: &str) {
    if let Ok(report) = report.try_clone() {
        let _ = File::from(report).write_all(format!("{line}\n").as_bytes());
    }
}

fn supervise(plan: &Plan, report: &OwnedFd) -> Result<(), String> {
    // hostd may have died before PR_SET_PDEATHSIG was in force.
    if getppid().as_raw() != plan.parent {
        return Err("hostd is gone".into());
    }
    let mut watched = SigSet::empty();
    watched.add(Signal::SIGTERM);
    watched.add(Signal::SIGCHLD);
    watched.thread_block().context("block signals")?;
    let signals = SignalFd::with_flags(&watched, SfdFlags::SFD_CLOEXEC).context("signalfd")?;

    let (gate, opener) = pipe2(OFlag::O_CLOEXEC).context("pipe")?;
    let flags = libc::CLONE_NEWUSER
        | libc::CLONE_NEWNS
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWNET
        | libc::CLONE_NEWCGROUP;
    match sys::clone_into(flags).map_err(|error| namespaces::cure(&error))? {
        Side::Child => {
            drop((opener, signals));
            let _ = watched.thread_unblock();
            let failed = first_process(plan, gate).err();
            if let Some(error) = &failed {
                tell(report, error);
            }
            std::process::exit(i32::from(failed.is_some()))
        }
        Side::Parent(pid) => {
            drop(gate);
            // Only the guest holds its lines now, so that their ends mean its death.
            for fd in plan
                .descriptors()
                .into_iter()
                .filter(|fd| *fd != plan.report)
            {
                drop(sys::inherited(fd));
            }
            let opened = namespaces::map_ids(pid).and_then(|()| {
                nix::unistd::write(&opener, &[1]).context("start the guest")?;
                Ok(())
            });
            if let Err(error) = opened {
                end(pid);
                return Err(error);
            }
            watch(pid, &signals)
        }
    }
}

/// Waits for the guest's end, or ends it when hostd says so.
fn watch(pid: Pid, signals: &SignalFd) -> Result<(), String> {
    loop {
        let signal = signals.read_signal().context("signalfd")?;
        if signal.is_some_and(|signal| signal.ssi_signo == Signal::SIGTERM as u32) {
            end(pid);
            return Ok(());
        }
        match waitpid(pid, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => {}
            Ok(WaitStatus::Signaled(_, signal, _)) => {
                return Err(format!("the guest's init was killed by {signal}"))
            }
            _ => return Ok(()),
        }
    }
}

/// Kills the namespace. wait(2) for its first process returns when all of its processes are gone.
fn end(pid: Pid) {
    let _ = kill(pid, Signal::SIGKILL);
    let _ = waitpid(pid, None);
}

fn first_process(plan: &Plan, gate: OwnedFd) -> Result<(), String> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).context("PR_SET_PDEATHSIG")?;
    // The helper writes here once the ids are mapped; an end of file means that it died before the
    // line above was in force.
    if nix::unistd::read(gate.as_fd(), &mut [0]) != Ok(1) {
        std::process::exit(1);
    }
    let _ = nix::unistd::setsid();
    // Supplementary groups of the caller give nothing to the guest's root; where they are locked, they stay.
    let _ = nix::unistd::setgroups(&[]);
    let link = sys::inherited(plan.link).context("the frame line")?;
    match &plan.machine {
        Machine::Local { socket } => {
            let link = FrameLink::new(link).context("the frame line")?;
            local::run(plan, socket, link)
        }
        Machine::Uml {
            kernel,
            modules,
            mem_mib,
            region,
            doorbell,
        } => {
            let lines = jail::Lines {
                console: link,
                region: sys::inherited(*region).context("the region")?,
                doorbell: sys::inherited(*doorbell).context("the doorbell line")?,
            };
            jail::run(plan, kernel, modules, *mem_mib, lines)
        }
    }
}

/// Starts the helper: this program again, with the plan and the lines as inherited descriptors, and
/// `log` as its standard error when the guest has a kernel that talks.
///
/// # Errors
/// fork(2), execve(2).
pub fn spawn(plan: &Plan, log: Option<OwnedFd>) -> std::io::Result<Child> {
    let document = write_plan(plan)?;
    let mut keep = plan.descriptors();
    keep.push(document.as_raw_fd());
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0("hostd")
        .args(["guest-init", "helper"])
        .arg(document.as_raw_fd().to_string())
        .env_clear();
    if let Some(log) = log {
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
    } else {
        for (number, stdio) in plan.task.stdio.iter().enumerate() {
            // What the guest does not inherit, its processes must not hold: above all the user's terminal.
            if *stdio != super::plan::Stdio::Inherit {
                match number {
                    0 => command.stdin(Stdio::null()),
                    1 => command.stdout(Stdio::null()),
                    _ => command.stderr(Stdio::null()),
                };
            }
        }
    }
    let prepare = move || {
        // In force from before exec, so that no instant is left in which hostd's death goes unseen; the
        // helper compares its parent afterwards.
        nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
        // Out of hostd's process group: a Ctrl-C at its terminal is COMMAND's to hear, not the helper's.
        nix::unistd::setsid()?;
        for fd in &keep {
            sys::keep_over_exec(*fd)?;
        }
        Ok(())
    };
    // SAFETY: `prepare` only makes system calls; it neither allocates nor locks.
    unsafe { command.pre_exec(prepare) };
    command.spawn()
}
