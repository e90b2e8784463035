//! A supervisor: a child of the launcher that leads a session, starts the programs of it ([`super::child`]) and tells what becomes
//! of them until it is killed.
//!
//! It stays in the session as the programs' parent: the kernel stops no process by SIGTSTP, SIGTTIN or SIGTTOU whose group has no
//! parent in its session, for nobody there could continue it. It also keeps each program as a zombie until the launcher lets go of
//! its job, and the first until the launcher kills it, so that the number of their group cannot become another's before. Whatever
//! of their descendants loses its parent comes to it, so that none escapes from the job.
#![allow(unsafe_code)]

use super::child::{bind_to_parent, start, tell, Failure, Report, Task};
use super::jobs::{reap_orphans, wait};
use super::message::About;
use super::processes::signal_group;
use super::{become_program, terminal, Policy};
use hostcall::types::Errno;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::sys::prctl;
use nix::sys::signal::{kill, SigSet, Signal};
use nix::unistd::Pid;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;

/// Waits for a task on the line, has its program run and tells of it until the launcher ends this. It has one thread and never
/// returns to the launcher's code.
pub(super) fn run(policy: &Policy, launcher: i32, line: UnixStream) -> ! {
    let led = lead(launcher).and_then(|()| keep_open(&line));
    // A launcher that is gone sends nothing, and this process ends with it.
    let Ok((task, report)) = await_task(&line) else {
        end()
    };
    let mut supervisor = Supervisor {
        policy,
        line,
        programs: Vec::new(),
        is_told: false,
    };
    let led = led.map_err(|failure| Failure {
        about: Some(About::default()),
        ..failure
    });
    match led.and_then(|()| supervisor.start(task, &report)) {
        Ok(program) => supervisor.watch(program, report),
        Err(failure) => {
            let _ = tell(&report, &[Report::Failure(failure)]);
            end()
        }
    }
}

/// The first task, whenever it comes.
fn await_task(line: &UnixStream) -> std::io::Result<(Task, UnixStream)> {
    poll(
        &mut [PollFd::new(line.as_fd(), PollFlags::POLLIN)],
        PollTimeout::NONE,
    )?;
    Task::take(line)
}

fn end() -> ! {
    // SAFETY: ends a process that has nothing to flush; what it copied from its parent is the parent's.
    unsafe { libc::_exit(127) }
}

/// Becomes what a supervisor is.
fn lead(launcher: i32) -> Result<(), Failure> {
    // Nothing but SIGKILL ends this process: it is in nobody's way, and must outlive a hang-up of its terminal.
    SigSet::all().thread_block()?;
    let _ = prctl::set_name(c"supervisor");
    nix::unistd::setsid()?;
    prctl::set_child_subreaper(true)?;
    // If the launcher is killed, nobody else may be left to end the program.
    bind_to_parent(launcher)
}

/// A program that has been started.
struct Supervised {
    pid: i32,
    report: UnixStream,
    ended: bool,
}

/// The leader of a session, and the programs in it. The first leads their process group.
struct Supervisor<'p> {
    policy: &'p Policy,
    /// On which tasks come.
    line: UnixStream,
    programs: Vec<Supervised>,
    /// Whether the launcher knows that nothing is left.
    is_told: bool,
}

impl Supervisor<'_> {
    /// Starts a program, the first or one beside it.
    fn start(&mut self, task: Task, report: &UnixStream) -> Result<Pid, Failure> {
        let group = self.programs.first();
        let group = group.map_or(become_program::OWN_GROUP, |first| Pid::from_raw(first.pid));
        let mut about = Some(About::default());
        let started = start(task, self.policy, group, &mut about, report);
        started.map_err(|failure| Failure { about, ..failure })
    }

    /// Tells what becomes of the programs, and stays until it is killed.
    fn watch(mut self, program: Pid, report: UnixStream) -> ! {
        self.add(program, report);
        let leader = program.as_raw();
        let mut before = leader;
        loop {
            self.start_others();
            self.look();
            match await_signal() {
                Wish::Look => {}
                // The kernel tells a session's leader that the terminal is gone, whose affair it is to tell the others.
                Wish::HangUp => {
                    let _ = signal_group(leader, libc::SIGHUP);
                    let _ = signal_group(leader, libc::SIGCONT);
                }
                Wish::Move { own } => {
                    terminal::move_program(leader, own, &mut before);
                    if own {
                        // It may have asked for the terminal a moment before.
                        let _ = signal_group(leader, libc::SIGCONT);
                    }
                }
            }
        }
    }

    fn add(&mut self, program: Pid, report: UnixStream) {
        let pid = program.as_raw();
        let _ = tell(&report, &[Report::Running(pid)]);
        self.programs.push(Supervised {
            pid,
            report,
            ended: false,
        });
    }

    /// Starts what the launcher has sent, however often it has called for that: signals merge.
    fn start_others(&mut self) {
        while let Ok((task, report)) = Task::take(&self.line) {
            match self.start(task, &report) {
                Ok(program) => {
                    self.is_told = false;
                    self.add(program, report);
                }
                Err(failure) => drop(tell(&report, &[Report::Failure(failure)])),
            }
        }
    }

    fn look(&mut self) {
        let stops = libc::WSTOPPED | libc::WCONTINUED | libc::WNOHANG;
        // The end is not taken: that leaves the zombie.
        let end = libc::WEXITED | libc::WNOWAIT | libc::WNOHANG;
        for program in &mut self.programs {
            let (pid, mut reports) = (program.pid, Vec::new());
            while let Some(change) =
                wait(pid, stops).or_else(|| wait(pid, end).filter(|_| !program.ended))
            {
                program.ended |= change.is_end();
                reports.push(Report::Changed(change));
            }
            let _ = tell(&program.report, &reports);
        }
        // Who is not kept is reaped with the orphans. That the first is, keeps the group's number.
        let mut leads = true;
        self.programs.retain(|program| {
            std::mem::take(&mut leads) || !program.ended || !is_closed(&program.report)
        });
        let is_own = |child| self.programs.iter().any(|program| program.pid == child);
        let is_alone = reap_orphans(is_own) && self.programs.iter().all(|program| program.ended);
        if is_alone && !std::mem::replace(&mut self.is_told, true) {
            for program in &self.programs {
                let _ = tell(&program.report, &[Report::Alone]);
            }
        }
    }
}

/// What a supervisor is woken for.
enum Wish {
    /// A program's state may have changed, or the launcher has sent another or dropped one.
    Look,
    /// The terminal is gone.
    HangUp,
    /// The program is to have the terminal's foreground, or not.
    Move { own: bool },
}

/// The launcher's call to a supervisor for [`Wish::Look`]. Unlike a signal that is queued it cannot fail for want of room.
///
/// # Errors
/// kill(2).
pub(super) fn wake(supervisor: i32) -> Result<(), nix::Error> {
    kill(Pid::from_raw(supervisor), Signal::SIGCHLD)
}

/// Whether the other end of a line is closed.
fn is_closed(line: &UnixStream) -> bool {
    let mut polled = [PollFd::new(line.as_fd(), PollFlags::empty())];
    let hung_up = |fd: &PollFd<'_>| {
        fd.revents()
            .is_some_and(|events| events.contains(PollFlags::POLLHUP))
    };
    poll(&mut polled, PollTimeout::ZERO).is_ok() && hung_up(&polled[0])
}

/// hostd's signal to a supervisor for [`Wish::Move`]. These come in the order in which they were sent.
fn mover() -> i32 {
    libc::SIGRTMIN()
}

/// Has a supervisor move its program to the terminal's foreground, or to the background.
///
/// # Errors
/// sigqueue(3).
pub(crate) fn move_program(supervisor: i32, own: bool) -> Result<(), Errno> {
    let value = libc::sigval {
        sival_ptr: std::ptr::without_provenance_mut(own.into()),
    };
    // SAFETY: plain system call.
    Errno::result(unsafe { libc::sigqueue(supervisor, mover(), value) }.into()).map(drop)
}

fn await_signal() -> Wish {
    // SAFETY: a set and a siginfo are valid when zeroed, and live through the calls. The signals are blocked. A value is there
    // when the code says so.
    unsafe {
        let (mut set, mut info): (libc::sigset_t, libc::siginfo_t) = std::mem::zeroed();
        for signal in [libc::SIGCHLD, libc::SIGHUP, mover()] {
            libc::sigaddset(&mut set, signal);
        }
        match (libc::sigwaitinfo(&set, &mut info), info.si_code) {
            (libc::SIGHUP, libc::SI_KERNEL) => Wish::HangUp,
            (signal, libc::SI_QUEUE) if signal == mover() => Wish::Move {
                own: info.si_value().sival_ptr.addr() != 0,
            },
            _ => Wish::Look,
        }
    }
}

/// Closes whatever else the launcher has: a line's other end must see the program's end, not this process's.
fn keep_open(line: &UnixStream) -> Result<(), Failure> {
    // SAFETY: 0 is no object's. 1 is /dev/null.
    Errno::result(unsafe { libc::dup2(1, 0) }.into())?;
    let line = line.as_raw_fd() as u32;
    for (first, last) in [(3, line - 1), (line + 1, u32::MAX)] {
        if first <= last {
            // SAFETY: the objects that own these numbers are the launcher's, and this copy of the process never comes back to
            // them.
            Errno::result(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) })?;
        }
    }
    Ok(())
}
