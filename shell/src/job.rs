//! Running host programs, of one pipeline and in one process group, and what this process does for them: it passes signals on,
//! stops and goes on with them, keeps the terminal, and sees that every byte has arrived before the end is told.

use crate::events::{Event, Events};
use crate::failure::Failure;
use crate::lookout::{have_ended, is_end};
use crate::signals;
use crate::streams::join::{Carried, Joined};
use crate::streams::pump::LARGE;
use crate::streams::{rewind, NAMES};
use crate::terminal::{self, Size};
use crate::{status, streams::kind};
use hostcall::client::Client;
use hostcall::ops::Calls;
use hostcall::say::complain;
use hostcall::types::{Errno, JobState, RemoteFd};
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How often a program in the background looks whether it is in the foreground again.
const LOOK: Duration = Duration::from_millis(100);
/// How long the ends of its streams may come after the program's own.
const GRACE: Duration = Duration::from_millis(10);
/// How long a program may go on when it has been hung up on because the terminal is gone. Then this process ends too, and with
/// its session the host ends what is left.
const HANG_UP: Duration = Duration::from_secs(2);
/// How long a program's stop waits at most for what it had written before.
const PAUSE: Duration = Duration::from_millis(500);

/// A program.
#[derive(Debug)]
pub struct Program {
    /// Its job's number.
    pub number: u32,
    /// Its streams.
    pub streams: Joined,
}

/// Whether nothing is left to do for programs that have ended: no stream to empty, and no other of the group to reach by the first.
pub fn are_done_with(programs: &[Program]) -> bool {
    matches!(programs, [only] if only.streams.carried.is_empty())
}

/// Running programs.
pub struct Job {
    host: &'static Client,
    /// There is one at least, and the first leads the process group.
    programs: Vec<Program>,
    /// How they have ended, from the first on.
    ends: Vec<JobState>,
    events: Events,
    /// Streams that no thread carries any more, by their places in what is carried.
    done: BTreeSet<usize>,
    /// When to look whether it has been hung up on for good.
    hung_up: Option<Instant>,
    /// Whether the program is in the foreground of its terminal.
    in_front: bool,
    /// A signal that came for programs that had ended.
    late: Option<i32>,
}

/// How they ended.
#[derive(Debug)]
pub struct Ended {
    /// Each one's state.
    pub states: Vec<JobState>,
    /// How their streams were joined, for people.
    pub streams: String,
}

impl Job {
    /// Those that have just been started, one at least, in the foreground of their terminal or not.
    pub fn new(
        host: &'static Client,
        programs: Vec<Program>,
        events: Events,
        in_front: bool,
    ) -> Job {
        Job {
            host,
            programs,
            ends: Vec::new(),
            events,
            done: BTreeSet::new(),
            hung_up: None,
            in_front,
            late: None,
        }
    }

    /// The one whose number stands for the process group.
    fn leader(&self) -> u32 {
        self.programs[0].number
    }

    fn numbers(&self) -> Vec<u32> {
        self.programs.iter().map(|program| program.number).collect()
    }

    /// The master of the programs' terminal.
    fn terminal(&self) -> Option<RemoteFd> {
        self.programs[0].streams.terminal
    }

    /// Sees the programs through to their end.
    ///
    /// # Errors
    /// The host is lost.
    pub fn attend(mut self) -> Result<Ended, Failure> {
        if self.terminal().is_some() {
            terminal::restore_on_panic();
            terminal::make_raw();
        }
        let ended = self.start_threads().and_then(|()| self.until_the_end());
        if ended.is_ok() {
            self.drain();
        }
        terminal::restore();
        ended?;
        let are_forgotten = are_done_with(&self.programs);
        for program in &self.programs {
            program.streams.follow(self.host);
            if !are_forgotten {
                // What it has left running is nobody's any more, and lives on.
                let _ = self.host.forget(program.number);
            }
        }
        self.interrupt_others();
        let failure = self.failure();
        if let Some((role, errno)) = failure {
            complain("hrun", format_args!("{}: {errno}", NAMES[role]));
        }
        if let Some(signal) = self.late {
            status::die(signal);
        }
        let judged = |state: &JobState| match failure {
            Some(_) => failed(*state),
            None => *state,
        };
        let tell = |program: &Program| program.streams.tell();
        Ok(Ended {
            states: self.ends.iter().map(judged).collect(),
            streams: self.programs.iter().map(tell).collect(),
        })
    }

    /// The terminal's key was the whole group's: a script that waits for us ends as well, and so do we if there was no program
    /// any more to end by it.
    fn interrupt_others(&self) {
        if self.terminal().is_none() {
            return;
        }
        let by_key = |state: &JobState| match *state {
            JobState::Signalled { signal, .. } => {
                let signal = signal.into();
                matches!(signal, libc::SIGINT | libc::SIGQUIT).then_some(signal)
            }
            _ => None,
        };
        let is_late = |carried: &Carried| carried.pump.interrupted.load(Ordering::SeqCst);
        let late = self.carried().any(is_late).then_some(libc::SIGINT);
        if let Some(signal) = late.or_else(|| self.ends.iter().find_map(by_key)) {
            signals::tell_group(signal);
        }
    }

    fn start_threads(&mut self) -> Result<(), Failure> {
        let failed = |error| Failure::own(format_args!("cannot start a thread: {error}"));
        for (at, carried) in self.carried().enumerate() {
            let teller = self.events.teller();
            let tell = move || teller.tell(Event::Carried(at));
            let terminal_of = self.terminal().map(|_| self.numbers());
            carried
                .start(self.host, terminal_of, tell)
                .map_err(failed)?;
        }
        Ok(())
    }

    fn until_the_end(&mut self) -> Result<(), Failure> {
        let keeps_terminal = self.terminal().is_some() && kind::of(0) == kind::Kind::Terminal;
        while self.ends.len() < self.programs.len() {
            let looks = keeps_terminal && !terminal::is_raw() || self.hung_up.is_some();
            match self.events.next(looks.then_some(LOOK)) {
                Some(Event::Signal(signal)) => self.pass_on(signal),
                Some(Event::State(JobState::Stopped(signal))) => self.stop(signal.into()),
                Some(Event::State(state)) if is_end(state) => self.ends.push(state),
                Some(Event::State(_)) => {}
                Some(Event::Lost(errno)) => {
                    return Err(Failure::host("the program cannot be waited for", errno))
                }
                Some(Event::Carried(at)) => {
                    self.done.insert(at);
                }
                None => {
                    if keeps_terminal {
                        self.take_terminal();
                    }
                    self.mind_hang_up();
                }
            }
        }
        Ok(())
    }

    fn pass_on(&mut self, signal: i32) {
        match (signal, self.terminal()) {
            (libc::SIGWINCH, Some(terminal)) => {
                let size = Size::find();
                let (rows, columns) = (size.rows, size.columns);
                let (x, y) = (size.xpixels, size.ypixels);
                let _ = self.host.pty_resize(terminal, rows, columns, x, y);
                return;
            }
            (libc::SIGCONT, Some(_)) => self.take_terminal(),
            (libc::SIGINT | libc::SIGTERM, _) if have_ended(self.host, &self.numbers()) => {
                self.late = Some(signal);
            }
            (libc::SIGHUP, _) => {
                self.hung_up.get_or_insert(Instant::now() + HANG_UP);
            }
            _ => {}
        }
        self.send(signal);
    }

    /// The program is where this process is: in the foreground, with all keys, or in the background, where it stops when it
    /// asks for one.
    fn take_terminal(&mut self) {
        let in_front = terminal::is_ours(0);
        if in_front != self.in_front {
            let _ = self.host.foreground(self.leader(), in_front.into());
            self.in_front = in_front;
        }
        terminal::make_raw();
    }

    /// Ends with the terminal, as shells do. A program that ignores SIGHUP is not spared: nobody could end it any more.
    fn mind_hang_up(&mut self) {
        if self.hung_up.is_some_and(|due| due <= Instant::now()) {
            self.hung_up = None;
            if terminal::is_gone() {
                status::die(libc::SIGHUP);
            }
        }
    }

    /// That nothing is left of the group is told by its end.
    fn send(&self, signal: i32) {
        let _ = self.host.signal(self.leader(), signal);
    }

    /// The program has stopped, and so do we, by the same signal. The key for that was the whole group's.
    fn stop(&mut self, signal: i32) {
        let has_terminal = self.terminal().is_some();
        let asks = has_terminal && matches!(signal, libc::SIGTTIN | libc::SIGTTOU);
        // It has asked for the terminal a moment before it got it.
        if asks && terminal::is_ours(0) {
            return self.pass_on(libc::SIGCONT);
        }
        self.pause_outputs();
        terminal::restore();
        if !signals::stop(signal, has_terminal && signal == libc::SIGTSTP) {
            if asks {
                // No shell would ever continue it, nor is there a terminal for it: natively its call fails.
                self.send(libc::SIGHUP);
            }
            self.pass_on(libc::SIGCONT);
        }
        self.set_waiting(true);
        self.outputs().for_each(|carried| carried.pump.go_on());
    }

    /// Everything that threads carry.
    fn carried(&self) -> impl Iterator<Item = &Carried> {
        let programs = self.programs.iter();
        programs.flat_map(|program| &program.streams.carried)
    }

    /// What threads carry still of the programs' outputs.
    fn outputs(&self) -> impl Iterator<Item = &Carried> {
        let all = self.carried().enumerate();
        let left = all.filter(|(at, carried)| carried.role != 0 && !self.done.contains(at));
        left.map(|(_, carried)| carried)
    }

    /// Whether an output is carried still.
    fn carries_output(&self) -> bool {
        self.outputs().next().is_some()
    }

    /// Has our ends of the outputs wait for bytes or not.
    fn set_waiting(&self, wait: bool) {
        for carried in self.outputs() {
            let flags = self.host.fcntl(carried.remote, libc::F_GETFL, 0);
            let flags = flags.map_or(0, |reply| reply.value) & !libc::O_NONBLOCK;
            let flags = if wait {
                flags
            } else {
                flags | libc::O_NONBLOCK
            };
            let _ = self.host.fcntl(carried.remote, libc::F_SETFL, flags as u64);
        }
    }

    /// What the program had written before it stopped is there before the shell says so, if somebody takes it.
    fn pause_outputs(&self) {
        self.set_waiting(false);
        let due = Instant::now() + PAUSE;
        let left = |carried: &&Carried| !carried.pump.paused();
        while self.outputs().any(|carried| left(&carried)) {
            if due <= Instant::now() {
                break;
            }
            let left = self.outputs().filter(left);
            left.for_each(|carried| carried.pump.pause(self.host));
            std::thread::sleep(GRACE / 2);
        }
    }

    /// Which of the standard streams could not be carried, the first of them, and why.
    fn failure(&self) -> Option<(usize, Errno)> {
        // A terminal that fails has been hung up, which is told otherwise.
        let is_told = |role| role == 0 && kind::of(0) == kind::Kind::Terminal;
        let mut failures = self.carried().filter_map(|carried| {
            let errno = carried.pump.failure()?;
            Some((carried.role, errno))
        });
        failures.find(|(role, _)| !is_told(*role))
    }

    /// After the program's end: what its streams hold still is carried, and not what others may write to them later.
    fn drain(&mut self) {
        let inputs = self.carried().enumerate();
        let files = inputs.filter_map(|(at, carried)| Some((at, *carried, carried.reader?)));
        for (at, input, reader) in files.collect::<Vec<_>>() {
            let host = self.host;
            rewind::unread(host, reader, input.number, input.pump, || {
                self.done.contains(&at) || {
                    self.attend_to_end(GRACE / 10);
                    self.done.contains(&at)
                }
            });
        }
        if self.carries_output() {
            self.attend_to_end(GRACE);
        }
        if !self.carries_output() {
            return;
        }
        // Others hold the streams, or the guest is slow to read.
        self.set_waiting(false);
        while self.carries_output() {
            for carried in self.outputs() {
                carried.pump.finish(self.host, LARGE);
            }
            self.attend_to_end(GRACE);
        }
    }

    /// Takes events for so long at most. A signal that would have ended the program ends us: there is nobody else.
    fn attend_to_end(&mut self, patience: Duration) {
        match self.events.next(Some(patience)) {
            Some(Event::Carried(at)) => {
                self.done.insert(at);
            }
            Some(Event::Signal(
                signal @ (libc::SIGHUP | libc::SIGINT | libc::SIGQUIT | libc::SIGTERM),
            )) => {
                terminal::restore();
                status::die(signal)
            }
            // The key that stops who reads our output stops us too, or no shell would see a stopped job.
            Some(Event::Signal(libc::SIGTSTP)) => {
                terminal::restore();
                signals::stop(libc::SIGTSTP, false);
            }
            _ => {}
        }
    }
}

/// How a program has ended by what it could not know: that its output went nowhere, or its input did not end but failed.
fn failed(state: JobState) -> JobState {
    match state {
        JobState::Exited(0) => JobState::Exited(1),
        JobState::Signalled { signal, .. } if i32::from(signal) == libc::SIGPIPE => {
            JobState::Exited(1)
        }
        state => state,
    }
}
