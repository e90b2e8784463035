//! Processes: pipelines, subshells, and jobs in the background (XCU 2.9.2, 2.9.3, 2.12).

use crate::dosh::jobs::{Job, Places, Report, State};
use crate::dosh::keyboard;
use crate::dosh::plan::{Group, Known, Place, Plan};
use crate::dosh::shell::{Flow, Run, Shell};
use crate::dosh::syntax::tree::{AndOr, Command};
use crate::dosh::sys::{self, Disposition};
use crate::failure::MISSING;
use std::rc::Rc;

impl Shell {
    /// Runs each stage in a process of its own, and waits for all.
    pub fn piped(&mut self, stages: &[Command], text: &Rc<[u8]>) -> Run {
        self.line = stages.last().map_or(self.line, |stage| stage.line);
        let job = self.start_stages(stages, text, true)?;
        self.foreground(job);
        Ok(())
    }

    fn start_stages(&mut self, stages: &[Command], text: &Rc<[u8]>, foreground: bool) -> Run<Job> {
        let mut pids: Vec<i32> = Vec::with_capacity(stages.len());
        let mut reports = Vec::new();
        let mut input = None;
        let groups = self.plan(stages).groups();
        let places = Places::of(groups.iter().map(|group| group.place));
        for Group {
            place,
            first,
            count,
        } in groups
        {
            let stages_of_group = &stages[first..first + count];
            let output = match first + count < stages.len() {
                true => Some(self.pipe()?),
                false => None,
            };
            let report = match count {
                1 => None,
                _ => Some(self.pipe()?),
            };
            let has_host = place == Place::Guest || self.has_host();
            let group = pids.first().copied();
            let child = self.start(group, foreground, |shell| {
                if let Some(input) = input {
                    sys::move_to(input, 0);
                }
                if let Some((reader, writer)) = output {
                    sys::close(reader);
                    sys::move_to(writer, 1);
                }
                match (stages_of_group, report) {
                    ([stage], _) | ([stage, ..], None) => shell.command(stage, text, true),
                    (stages, Some((_, report))) if has_host => shell.attend(stages, report),
                    _ => Err(Flow::Exit(MISSING.into())),
                }
            })?;
            if let Some((reader, writer)) = report {
                sys::close(writer);
                reports.push(Report::new(pids.len(), reader, count));
            }
            pids.push(child);
            if let Some(input) = input {
                sys::close(input);
            }
            input = output.map(|(reader, writer)| {
                sys::close(writer);
                reader
            });
        }
        let mut job = self.job_of(&pids, text);
        job.places = places;
        job.reports = reports;
        Ok(job)
    }

    fn plan(&self, stages: &[Command]) -> Plan {
        let known = Known {
            otherwise: self.host.place,
            place_of: &|name| self.known_place(name),
        };
        Plan::of(stages, &known)
    }

    fn job_of(&self, pids: &[i32], text: &Rc<[u8]>) -> Job {
        let group = match self.options.monitor() {
            true => pids.first().copied().unwrap_or(0),
            false => 0,
        };
        Job::new(group, pids, Rc::clone(text))
    }

    /// Forks a process of a job: the first of it (no group), or another.
    fn start(
        &mut self,
        group: Option<i32>,
        foreground: bool,
        run: impl FnOnce(&mut Shell) -> Run,
    ) -> Run<i32> {
        let controlled = self.options.monitor();
        let terminal = self.terminal;
        let interactive = self.interactive;
        let gate = match controlled && foreground && group.is_none() {
            true => self.prepare_to_listen(),
            false => None,
        };
        // Until the child is a job, no signal for one may reach it.
        let child = sys::blocking_signals(|_| {
            let child = self.fork()?;
            if child.is_none() {
                if controlled {
                    sys::set_group(0, group.unwrap_or(0));
                    if let Some(gate) = gate {
                        gate.pass();
                    }
                    if let (true, Some(terminal)) = (foreground, terminal) {
                        sys::give_terminal(terminal, sys::own_group());
                    }
                }
                self.become_child(controlled, foreground, interactive);
            }
            Ok(child)
        })?;
        let Some(child) = child else {
            if !foreground && !controlled && group.is_none() {
                detach_input();
            }
            self.run_child(run);
        };
        // Both do it: whoever comes first, it is done before it is relied upon.
        if controlled {
            sys::set_group(child, group.unwrap_or(child));
            if gate.is_some() {
                self.listen_in(child);
            }
            if let (true, Some(terminal)) = (foreground, terminal) {
                sys::give_terminal(terminal, group.unwrap_or(child));
            }
        }
        Ok(child)
    }

    fn become_child(&mut self, controlled: bool, foreground: bool, interactive: bool) {
        if controlled || interactive {
            keyboard::signals::be_stoppable(&self.traps);
        }
        if !foreground && !controlled {
            sys::set_signal(libc::SIGINT, Disposition::Ignore);
            sys::set_signal(libc::SIGQUIT, Disposition::Ignore);
        }
    }

    /// Runs in a process of its own, and waits.
    pub fn in_child(&mut self, text: &Rc<[u8]>, run: impl FnOnce(&mut Shell) -> Run) -> Run {
        self.in_child_for(Place::Guest, text, run)
    }

    /// The same for a process that works on this system.
    pub fn in_child_for(
        &mut self,
        place: Place,
        text: &Rc<[u8]>,
        run: impl FnOnce(&mut Shell) -> Run,
    ) -> Run {
        let child = self.start(None, true, run)?;
        let mut job = self.job_of(&[child], text);
        job.places = Places::of(std::iter::once(place));
        self.foreground(job);
        Ok(())
    }

    /// Waits for a job that has the terminal. If it is stopped, it becomes one of the background, and so it does when the shell
    /// is hung up.
    pub fn foreground(&mut self, mut job: Job) {
        let controlled = job.group != 0;
        let (interactive, trapped) = (self.interactive, self.traps.action(libc::SIGHUP).is_some());
        // A trap's action waits for the job, but not for one that has lost its terminal with the shell.
        let is_gone = || self.terminal.is_some_and(sys::is_gone);
        job.attend(controlled, || {
            interactive && sys::has_arrived(libc::SIGHUP) && (!trapped || is_gone())
        });
        if let (true, Some(terminal)) = (controlled, self.terminal) {
            sys::give_terminal(terminal, sys::own_group());
        }
        let heard = self.stop_listening();
        // Who looks for a process of the background that has ended, as by ps, shall not find it.
        self.jobs.reap();
        self.pipe_status.clear();
        self.pipe_status.extend(job.statuses());
        self.status = self.pipeline_status();
        if self.interactive {
            self.settle_terminal(&mut job);
        }
        match job.state() {
            State::Running => drop(self.jobs.add_again(job)),
            State::Stopped(signal) => {
                self.status = 128 + signal;
                self.suspended = self.interactive && (self.loops > 0 || self.depth > 0);
                job.told = job.state();
                self.keep_stopped(job);
            }
            State::Ended(_) => {
                // What has ended at an interrupt, well or not, was interrupted, and so is the line.
                let interrupt = (heard && controlled).then_some(libc::SIGINT);
                if let Some(signal) = job.signal_of_end().or(interrupt) {
                    self.ended_by(signal, controlled);
                }
            }
        }
    }

    /// What a signal that has ended a job in the foreground means to the shell.
    fn ended_by(&mut self, signal: i32, controlled: bool) {
        match signal {
            // The terminal's interrupt has reached the job's group only, and is meant for the script or line.
            libc::SIGINT if controlled => drop(sys::kill(std::process::id() as i32, signal)),
            libc::SIGINT | libc::SIGPIPE => {}
            signal if self.interactive => {
                let text = crate::dosh::signals::describe(signal);
                let _ = sys::write_all(2, format!("{text}\n").as_bytes());
            }
            _ => {}
        }
    }

    fn keep_stopped(&mut self, job: Job) {
        let number = self.jobs.add_again(job);
        if let Some(job) = self.jobs.get(number) {
            let line = self.jobs.line(job, false);
            let _ = sys::write_all(2, &line);
        }
    }

    /// The last stage's status, or under `pipefail` the last failure.
    fn pipeline_status(&self) -> i32 {
        let last = self.pipe_status.last().copied().unwrap_or(0);
        if !self.options.pipefail() {
            return last;
        }
        let failure = self.pipe_status.iter().rev().find(|status| **status != 0);
        failure.copied().unwrap_or(0)
    }

    /// Waits for one process that is no job.
    pub fn wait_for_child(&mut self, child: i32) -> i32 {
        let mut job = Job::new(0, &[child], Rc::from(&b""[..]));
        job.attend(false, || false);
        job.state().status()
    }

    pub fn start_background(&mut self, and_or: &AndOr) -> Run {
        let simple =
            and_or.rest.is_empty() && !and_or.first.negated && and_or.first.timed.is_none();
        let job = match &and_or.first.stages[..] {
            stages if simple && !stages.is_empty() => {
                self.start_stages(stages, &and_or.text, false)?
            }
            _ => {
                let child = self.start(None, false, |shell| shell.and_or(and_or, true))?;
                self.job_of(&[child], &and_or.text)
            }
        };
        self.background = job.processes.last().map(|process| process.pid);
        let number = self.jobs.add(job);
        if let (true, Some(pid)) = (self.interactive, self.background) {
            let _ = sys::write_all(2, format!("[{number}] {pid}\n").as_bytes());
        }
        self.status = 0;
        Ok(())
    }
}

/// A job in the background does not take the script's input away. Under job control the terminal sees to that.
fn detach_input() {
    if let Ok(null) = sys::open(b"/dev/null", libc::O_RDONLY) {
        sys::move_to(null, 0);
    }
}
