//! A running host program and what this process does for it: it passes signals on, stops and goes on with it, keeps the
//! terminal, and sees that every byte has arrived before the end is told.

use crate::events::{Event, Events};
use crate::failure::Failure;
use crate::signals;
use crate::streams::join::Joined;
use crate::streams::pump::{Done, LARGE};
use crate::streams::{rewind, NAMES};
use crate::terminal::{self, Size};
use crate::{status, streams::kind};
use hostcall::client::Client;
use hostcall::ops::Calls;
use hostcall::types::{Errno, JobState};
use nix::sys::signal::Signal;
use std::time::Duration;

/// How often a program in the background looks whether it is in the foreground again.
const LOOK: Duration = Duration::from_millis(100);
/// How long the ends of its streams may come after the program's own.
const GRACE: Duration = Duration::from_millis(10);

/// A running program.
pub struct Job {
    host: &'static Client,
    number: u32,
    streams: Joined,
    events: Events,
    /// Threads that still carry output.
    carrying: usize,
    /// Whether the thread that carries input has ended.
    input_done: bool,
    /// Output that could not be written.
    failed: Option<(usize, Errno)>,
}

/// How it ended.
#[derive(Debug)]
pub struct Ended {
    /// Its state.
    pub state: JobState,
    /// How its streams were joined, for people.
    pub streams: String,
}

impl Job {
    /// One that has just been started.
    pub fn new(host: &'static Client, number: u32, streams: Joined, events: Events) -> Job {
        Job {
            host,
            number,
            streams,
            events,
            carrying: 0,
            input_done: true,
            failed: None,
        }
    }

    /// Sees the program through to its end.
    ///
    /// # Errors
    /// The host is lost.
    pub fn attend(mut self) -> Result<Ended, Failure> {
        if self.streams.terminal.is_some() {
            terminal::restore_on_panic();
            terminal::make_raw();
        }
        let ended = self.start_threads().and_then(|()| self.until_the_end());
        if ended.is_ok() {
            self.drain();
        }
        terminal::restore();
        let state = ended?;
        self.streams.follow(self.host);
        // What it has left running is nobody's any more, and lives on.
        let _ = self.host.forget(self.number);
        if let (Some(_), JobState::Signalled { signal, .. }) = (self.streams.terminal, state) {
            let signal = signal.into();
            if matches!(signal, libc::SIGINT | libc::SIGQUIT) {
                // The key was the whole group's: a script that waits for us ends as well.
                signals::tell_group(signal);
            }
        }
        Ok(Ended {
            state: self.judged(state),
            streams: self.streams.tell(),
        })
    }

    /// What the program could not know: that its output went nowhere.
    fn judged(&self, state: JobState) -> JobState {
        let Some((number, errno)) = self.failed else {
            return state;
        };
        eprintln!("hrun: {}: {errno}", NAMES[number]);
        match state {
            JobState::Exited(0) => JobState::Exited(1),
            JobState::Signalled { signal, .. } if i32::from(signal) == libc::SIGPIPE => {
                JobState::Exited(1)
            }
            state => state,
        }
    }

    fn start_threads(&mut self) -> Result<(), Failure> {
        let failed = |error| Failure::own(format_args!("cannot start a thread: {error}"));
        for carried in self.streams.carried.clone() {
            let teller = self.events.teller();
            let tell = move |number, done| teller.tell(Event::Carried(number, done));
            carried
                .start(self.host, self.streams.terminal.is_some(), tell)
                .map_err(failed)?;
            match carried.number {
                0 => self.input_done = false,
                _ => self.carrying += 1,
            }
        }
        let (host, number, teller) = (self.host, self.number, self.events.teller());
        let waiter = std::thread::Builder::new().name("hrun-wait".to_owned());
        let wait = move || loop {
            match host.wait(number, libc::WUNTRACED | libc::WCONTINUED) {
                Ok(reply) => {
                    teller.tell(Event::State(reply.state));
                    if is_end(reply.state) {
                        return;
                    }
                }
                Err(Errno(libc::EINTR)) => {}
                Err(errno) => return teller.tell(Event::Lost(errno)),
            }
        };
        let waiter = waiter.stack_size(128 << 10).spawn(wait);
        waiter.map(drop).map_err(failed)
    }

    fn until_the_end(&mut self) -> Result<JobState, Failure> {
        let keeps_terminal = self.streams.terminal.is_some() && kind::of(0) == kind::Kind::Terminal;
        loop {
            let looks = keeps_terminal && !terminal::is_raw();
            match self.events.next(looks.then_some(LOOK)) {
                Some(Event::Signal(signal)) => self.pass_on(signal),
                Some(Event::State(JobState::Stopped(signal))) => self.stop(signal.into()),
                Some(Event::State(state)) if is_end(state) => return Ok(state),
                Some(Event::State(_)) => {}
                Some(Event::Lost(errno)) => {
                    return Err(Failure::host("the program cannot be waited for", errno))
                }
                Some(Event::Carried(number, done)) => self.carried(number, done),
                None if keeps_terminal => terminal::make_raw(),
                None => {}
            }
        }
    }

    fn pass_on(&self, signal: Signal) {
        if let (Signal::SIGWINCH, Some(terminal)) = (signal, self.streams.terminal) {
            let size = Size::find();
            let _ = self.host.pty_resize(
                terminal,
                size.rows,
                size.columns,
                size.xpixels,
                size.ypixels,
            );
            return;
        }
        if signal == Signal::SIGCONT && self.streams.terminal.is_some() {
            terminal::make_raw();
        }
        self.send(signal as i32);
    }

    /// That nothing is left of the group is told by its end.
    fn send(&self, signal: i32) {
        let _ = self.host.signal(self.number, signal);
    }

    /// The program has stopped, and so do we, by the same signal. The key for that was the whole group's.
    fn stop(&self, signal: i32) {
        terminal::restore();
        let group = self.streams.terminal.is_some() && signal == libc::SIGTSTP;
        if !signals::stop(signal, group) {
            self.pass_on(Signal::SIGCONT);
        }
    }

    fn carried(&mut self, number: usize, done: Done) {
        match number {
            0 => self.input_done = true,
            _ => self.carrying -= 1,
        }
        if let (1.., Done::Failed(errno)) = (number, done) {
            self.failed.get_or_insert((number, errno));
        }
    }

    /// After the program's end: what its streams hold still is carried, and not what others may write to them later.
    fn drain(&mut self) {
        if let Some(reader) = self.streams.reader {
            let pumps = self.streams.carried.iter();
            let pump = pumps.clone().find(|carried| carried.number == 0);
            if let Some(pump) = pump.map(|carried| carried.pump) {
                let host = self.host;
                rewind::unread(host, reader, pump, || {
                    self.input_done || {
                        self.attend_to_end(GRACE / 10);
                        self.input_done
                    }
                });
            }
        }
        if self.carrying > 0 {
            self.attend_to_end(GRACE);
        }
        if self.carrying == 0 {
            return;
        }
        // Others hold the streams, or the guest is slow to read.
        let outputs: Vec<_> = self
            .streams
            .carried
            .iter()
            .filter(|carried| carried.number != 0)
            .copied()
            .collect();
        for carried in &outputs {
            let (get, set) = (libc::F_GETFL, libc::F_SETFL);
            let flags = self.host.fcntl(carried.remote, get, 0);
            let flags = flags.map_or(0, |reply| reply.value) | libc::O_NONBLOCK;
            let _ = self.host.fcntl(carried.remote, set, flags as u64);
        }
        while self.carrying > 0 {
            for carried in &outputs {
                carried.pump.finish(self.host, LARGE);
            }
            self.attend_to_end(GRACE);
        }
    }

    /// Takes events for so long at most. A signal that would have ended the program ends us: there is nobody else.
    fn attend_to_end(&mut self, patience: Duration) {
        match self.events.next(Some(patience)) {
            Some(Event::Carried(number, done)) => self.carried(number, done),
            Some(Event::Signal(
                signal @ (Signal::SIGHUP | Signal::SIGINT | Signal::SIGQUIT | Signal::SIGTERM),
            )) => {
                terminal::restore();
                status::die(signal as i32)
            }
            _ => {}
        }
    }
}

fn is_end(state: JobState) -> bool {
    matches!(state, JobState::Exited(_) | JobState::Signalled { .. })
}
