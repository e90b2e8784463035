//! Jobs: the processes of a pipeline, and what became of them (XCU 2.11, 2.9.3.1).

use super::plan::Place;
use super::syntax::tree::Bytes;
use super::sys::{self, Settings};
use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;
use std::rc::Rc;

/// Ended jobs that nobody has asked for are forgotten beyond so many.
const REMEMBERED: usize = 1024;

/// How so many processes of jobs that were forgotten have ended is still known.
const ENDS: usize = 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Running,
    /// By this signal.
    Stopped(i32),
    /// With this status, as `waitpid` gives it.
    Ended(i32),
}

impl State {
    fn of(raw: i32) -> State {
        if libc::WIFSTOPPED(raw) {
            State::Stopped(libc::WSTOPSIG(raw))
        } else if libc::WIFCONTINUED(raw) {
            State::Running
        } else {
            State::Ended(raw)
        }
    }

    /// The status that the shell gives it.
    pub fn status(self) -> i32 {
        match self {
            State::Running => 0,
            State::Stopped(signal) => 128 + signal,
            State::Ended(raw) => status_of(raw),
        }
    }
}

/// The shell's status of what `waitpid` gave.
pub fn status_of(raw: i32) -> i32 {
    match libc::WIFSIGNALED(raw) {
        true => 128 + libc::WTERMSIG(raw),
        false => libc::WEXITSTATUS(raw),
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Process {
    pub pid: i32,
    pub state: State,
}

/// The systems that a job works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Places {
    Guest,
    Host,
    Both,
}

impl Places {
    /// Those of a job's stages.
    pub fn of(stages: impl Iterator<Item = Place>) -> Places {
        let each = stages.map(|place| match place {
            Place::Guest => Places::Guest,
            Place::Host => Places::Host,
        });
        let both = |one, other| if one == other { one } else { Places::Both };
        each.reduce(both).unwrap_or(Places::Guest)
    }
}

/// The line on which a process tells how its stages have ended.
#[derive(Clone, Debug)]
pub struct Report {
    /// Its place among the job's processes.
    process: usize,
    line: Rc<File>,
    stages: usize,
}

impl Report {
    pub fn new(process: usize, line: i32, stages: usize) -> Report {
        Report {
            process,
            line: Rc::new(sys::owned(line)),
            stages,
        }
    }

    /// Each stage's status. What a process that has ended has not said is its own.
    fn statuses(&self, state: State) -> Vec<i32> {
        let mut said = Vec::new();
        if let State::Ended(_) = state {
            let _ = (&*self.line).read_to_end(&mut said);
        }
        let mut statuses: Vec<i32> = said
            .chunks_exact(size_of::<i32>())
            .map(|raw| status_of(i32::from_le_bytes([raw[0], raw[1], raw[2], raw[3]])))
            .collect();
        statuses.resize(self.stages, state.status());
        statuses
    }
}

#[derive(Clone, Debug)]
pub struct Job {
    pub number: usize,
    /// Its process group; 0 if it is in the shell's own.
    pub group: i32,
    pub processes: Vec<Process>,
    /// Where its processes work.
    pub places: Places,
    /// What processes that see to several stages have said of these.
    pub reports: Vec<Report>,
    /// As it was written.
    pub text: Rc<[u8]>,
    /// The state that the user knows.
    pub told: State,
    /// The terminal's settings when it was stopped.
    pub settings: Option<Settings>,
}

impl Job {
    pub fn new(group: i32, pids: &[i32], text: Rc<[u8]>) -> Job {
        let process = |pid: &i32| Process {
            pid: *pid,
            state: State::Running,
        };
        Job {
            number: 0,
            group,
            processes: pids.iter().map(process).collect(),
            places: Places::Guest,
            reports: Vec::new(),
            text,
            told: State::Running,
            settings: None,
        }
    }

    /// Running if any process runs, else stopped if any is, else as the last one has ended.
    pub fn state(&self) -> State {
        let states = || self.processes.iter().map(|process| process.state);
        if states().any(|state| state == State::Running) {
            return State::Running;
        }
        let stopped = states().find(|state| matches!(state, State::Stopped(_)));
        stopped.or(states().next_back()).unwrap_or(State::Ended(0))
    }

    /// The status of every stage.
    pub fn statuses(&self) -> Vec<i32> {
        let mut statuses = Vec::new();
        for (at, process) in self.processes.iter().enumerate() {
            let report = self.reports.iter().find(|report| report.process == at);
            match report {
                Some(report) => statuses.extend(report.statuses(process.state)),
                None => statuses.push(process.state.status()),
            }
        }
        statuses
    }

    pub fn is_ended(&self) -> bool {
        matches!(self.state(), State::Ended(_))
    }

    /// The signal that has ended it. An interrupt of any process is one of the job, for the key was for all.
    pub fn signal_of_end(&self) -> Option<i32> {
        let signal = |state| match state {
            State::Ended(raw) if libc::WIFSIGNALED(raw) => Some(libc::WTERMSIG(raw)),
            _ => None,
        };
        let signals = self.processes.iter().map(|process| signal(process.state));
        let mut interrupts = signals.flatten().filter(|signal| *signal == libc::SIGINT);
        interrupts.next().or_else(|| signal(self.state()))
    }

    fn update(&mut self, pid: i32, raw: i32) -> bool {
        let process = self.processes.iter_mut().find(|process| process.pid == pid);
        process.is_some_and(|process| {
            process.state = State::of(raw);
            true
        })
    }

    /// Waits until no process of it runs, or a signal comes that ends the waiting.
    pub fn attend(&mut self, sees_stops: bool, ends: impl Fn() -> bool) {
        let flags = if sees_stops { libc::WUNTRACED } else { 0 };
        // One that came while the job was begun interrupts nothing any more.
        while self.state() == State::Running && !ends() {
            let running = |process: &&Process| process.state == State::Running;
            let first = self
                .processes
                .iter()
                .find(running)
                .map_or(-1, |process| process.pid);
            let whom = match self.group {
                0 => first,
                group => -group,
            };
            match sys::wait(whom, flags) {
                Ok(Some((pid, raw))) => drop(self.update(pid, raw)),
                Ok(None) => {}
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                // They are gone without a status: somebody else has reaped them.
                Err(_) => self.lose(),
            }
        }
    }

    fn lose(&mut self) {
        for process in &mut self.processes {
            if process.state == State::Running {
                process.state = State::Ended(127 << 8);
            }
        }
    }

    /// Goes on where it was stopped.
    pub fn resume(&mut self) {
        for process in &mut self.processes {
            if matches!(process.state, State::Stopped(_)) {
                process.state = State::Running;
            }
        }
        self.told = State::Running;
        self.signal(libc::SIGCONT);
    }

    /// Sends a signal to all of it; whether any process was there.
    pub fn signal(&self, signal: i32) -> bool {
        match self.group {
            0 => {
                self.processes
                    .iter()
                    .filter(|process| sys::kill(process.pid, signal).is_ok())
                    .count()
                    > 0
            }
            group => sys::kill(-group, signal).is_ok(),
        }
    }
}

/// The jobs that are not in the foreground.
#[derive(Default)]
pub struct Jobs {
    list: Vec<Job>,
    /// Numbers, the current job last.
    order: Vec<usize>,
    /// Processes whose status nobody asks for.
    strays: Vec<i32>,
    /// Of processes whose job was forgotten when its end was told: `wait` can be asked later. Oldest first.
    ends: VecDeque<(i32, i32)>,
    /// They are not this process's children.
    foreign: bool,
}

impl Jobs {
    /// In a subshell: they are the parent's, and can be listed until there are own ones.
    pub fn leave(&mut self) {
        self.foreign = true;
        self.strays.clear();
        self.ends.clear();
    }

    /// Adds a job; answers its number.
    pub fn add(&mut self, mut job: Job) -> usize {
        if self.foreign {
            *self = Jobs::default();
        }
        self.forget_oldest();
        job.number = self.list.iter().map(|job| job.number).max().unwrap_or(0) + 1;
        let number = job.number;
        self.list.push(job);
        self.order.push(number);
        number
    }

    fn forget_oldest(&mut self) {
        while self.list.len() >= REMEMBERED {
            let Some(at) = self.list.iter().position(Job::is_ended) else {
                return;
            };
            let number = self.list[at].number;
            self.forget(number);
        }
    }

    /// The process shall be reaped when it ends.
    pub fn forget_later(&mut self, pid: i32) {
        self.strays.push(pid);
    }

    /// Sees what has become of all processes.
    pub fn reap(&mut self) {
        if self.foreign {
            return;
        }
        let flags = libc::WNOHANG | libc::WUNTRACED | libc::WCONTINUED;
        for job in &mut self.list {
            for at in 0..job.processes.len() {
                let process = job.processes[at];
                if matches!(process.state, State::Ended(_)) {
                    continue;
                }
                match sys::wait(process.pid, flags) {
                    Ok(Some((pid, raw))) => drop(job.update(pid, raw)),
                    Ok(None) => {}
                    Err(_) => job.processes[at].state = State::Ended(127 << 8),
                }
            }
        }
        self.strays
            .retain(|pid| matches!(sys::wait(*pid, libc::WNOHANG), Ok(None)));
    }

    /// Whether a child of this process runs.
    pub fn any_runs(&self) -> bool {
        !self.foreign && self.list.iter().any(|job| job.state() == State::Running)
    }

    pub fn all(&self) -> &[Job] {
        &self.list
    }

    pub fn get(&self, number: usize) -> Option<&Job> {
        self.list.iter().find(|job| job.number == number)
    }

    pub fn get_mut(&mut self, number: usize) -> Option<&mut Job> {
        self.list.iter_mut().find(|job| job.number == number)
    }

    /// Forgets a job that has ended, but not how.
    pub fn forget(&mut self, number: usize) {
        let Some(job) = self.remove(number) else {
            return;
        };
        for process in job.processes {
            // The system gives a number again when it is free: the newer process is meant.
            self.ends.retain(|(pid, _)| *pid != process.pid);
            if self.ends.len() >= ENDS {
                self.ends.pop_front();
            }
            self.ends.push_back((process.pid, process.state.status()));
        }
    }

    /// The status of a child whose job was forgotten.
    pub fn end_of(&self, pid: i32) -> Option<i32> {
        let mut ends = self.ends.iter();
        ends.find(|(ended, _)| *ended == pid)
            .map(|(_, status)| *status)
    }

    pub fn remove(&mut self, number: usize) -> Option<Job> {
        self.order.retain(|other| *other != number);
        let at = self.list.iter().position(|job| job.number == number)?;
        Some(self.list.remove(at))
    }

    /// Adds a job that has been in the foreground, under the number that it had before if it had one.
    pub fn add_again(&mut self, job: Job) -> usize {
        let number = job.number;
        if number == 0 {
            return self.add(job);
        }
        self.order.push(number);
        let at = self.list.partition_point(|other| other.number < number);
        self.list.insert(at, job);
        number
    }

    /// The number of `%%`, or the one before it: of `%-`.
    pub fn current(&self, back: usize) -> Option<usize> {
        // Stopped jobs come before running ones.
        let stopped = |number: &&usize| {
            self.get(**number)
                .is_some_and(|job| matches!(job.state(), State::Stopped(_)))
        };
        let first = self.order.iter().rev().filter(stopped);
        let rest = self.order.iter().rev().filter(|number| !stopped(number));
        first.chain(rest).nth(back).copied()
    }

    /// The job of a child.
    pub fn by_pid(&self, pid: i32) -> Option<&Job> {
        if self.foreign {
            return None;
        }
        let holds = |job: &&Job| job.processes.iter().any(|process| process.pid == pid);
        self.list.iter().find(holds)
    }

    /// The job that `%text` names.
    ///
    /// # Errors
    /// Why there is none.
    pub fn find(&self, name: &[u8]) -> Result<usize, &'static str> {
        let found = match name {
            b"" | b"%" | b"+" => self.current(0),
            b"-" => self.current(1).or(self.current(0)),
            digits if digits.iter().all(u8::is_ascii_digit) => {
                let number = std::str::from_utf8(digits)
                    .ok()
                    .and_then(|digits| digits.parse().ok());
                number.filter(|number| self.get(*number).is_some())
            }
            [b'?', part @ ..] => {
                return self
                    .only(|text| text.windows(part.len().max(1)).any(|window| window == part))
            }
            start => return self.only(|text| text.starts_with(start)),
        };
        found.ok_or("no such job")
    }

    fn only(&self, fits: impl Fn(&[u8]) -> bool) -> Result<usize, &'static str> {
        let mut found = self.list.iter().filter(|job| fits(&job.text));
        match (found.next(), found.next()) {
            (Some(job), None) => Ok(job.number),
            (None, _) => Err("no such job"),
            (Some(_), Some(_)) => Err("ambiguous job spec"),
        }
    }

    /// The line by which `jobs` tells of a job. `ids`: with its process ids.
    pub fn line(&self, job: &Job, ids: bool) -> Bytes {
        let mark = match job.number {
            number if Some(number) == self.current(0) => '+',
            number if Some(number) == self.current(1) => '-',
            _ => ' ',
        };
        let state = match job.state() {
            State::Running => "Running".to_owned(),
            State::Stopped(libc::SIGTSTP) => "Stopped".to_owned(),
            State::Stopped(signal) => format!("Stopped({})", super::signals::name(signal)),
            State::Ended(raw) if libc::WIFSIGNALED(raw) => {
                super::signals::describe(libc::WTERMSIG(raw))
            }
            State::Ended(raw) => match status_of(raw) {
                0 => "Done".to_owned(),
                status => format!("Exit {status}"),
            },
        };
        let pid = match ids {
            true => format!(
                "{} ",
                job.processes.first().map_or(0, |process| process.pid)
            ),
            false => String::new(),
        };
        let mut line = format!("[{}]{mark}  {pid}{state:<24}", job.number).into_bytes();
        line.extend_from_slice(&job.text);
        if job.state() == State::Running {
            line.extend_from_slice(b" &");
        }
        line.extend_from_slice(match job.places {
            Places::Guest => b"",
            Places::Host => b"  (host)",
            Places::Both => b"  (guest and host)",
        });
        line.push(b'\n');
        line
    }
}
