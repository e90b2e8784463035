//! The shell at a terminal: reads lines, runs them, and tells of jobs.
//!
//! [`reader`] reads a line, by an editor ([`editor`]) or, where the terminal can do no more, as it comes ([`plain`]). The prompt
//! ([`prompt`]) shows both systems ([`sides`]). What was entered is kept ([`history`]). Signals ([`signals`]) and the terminal
//! ([`terminal`]) are the shell's while it reads, and a job's while that is in the foreground.
//!
//! Nothing of this is there in a shell that runs a script.

mod beyond;
mod choices;
#[cfg(test)]
mod choices_tests;
mod completer;
mod desk;
mod editor;
mod escapes;
mod files;
mod habits;
mod highlighter;
pub mod history;
mod host;
mod host_child;
mod host_paths;
mod keys;
mod leaving;
mod listener;
mod looks;
mod names;
mod notices;
mod offer;
mod paths;
mod plain;
mod programs;
mod prompt;
mod quoted;
mod reader;
mod scan;
mod scan_call;
mod scan_compound;
#[cfg(test)]
mod scan_tests;
mod scan_word;
mod scene;
pub mod sides;
pub mod signals;
mod startup;
mod terminal;
mod typed;
mod validator;
mod wake;

use super::shell::{Flow, Run, Shell};
use super::sys::{self, Settings};
use history::History;
use listener::Listener;
use reader::{Input, Reader};
use sides::Sides;
use std::time::{Duration, Instant};

pub use startup::Startup;

/// What a shell at a terminal keeps.
pub struct Keyboard {
    /// The terminal's settings as commands find them.
    settings: Option<Settings>,
    /// The process group that had the terminal before the shell.
    before: Option<i32>,
    pub history: History,
    /// Where the line that is being read will run.
    sides: Sides,
    /// The last line was refused because jobs are stopped: the next one that leaves is not.
    warned: bool,
    /// When the last line began to run.
    begun: Instant,
    /// How long it took.
    took: Duration,
    /// Once a loop has run programs.
    listener: Option<Listener>,
}

/// Makes the shell one at a terminal.
pub fn begin(shell: &mut Shell, startup: &Startup) {
    shell.interactive = true;
    shell.traps.be_interactive();
    signals::begin();
    shell.options.set_name(b"monitor", startup.controls_jobs);
    let before = shell.take_terminal();
    shell.keyboard = Some(Box::new(Keyboard {
        settings: shell.terminal.and_then(sys::settings),
        before,
        history: History::default(),
        sides: Sides::default(),
        warned: false,
        begun: Instant::now(),
        took: Duration::ZERO,
        listener: None,
    }));
}

impl Shell {
    /// Reads lines and runs them until the end.
    pub fn converse(&mut self, startup: &Startup) -> Run {
        self.start_up(startup)?;
        let mut reader = Reader::new(self);
        let mut ends = 0;
        loop {
            self.before_prompt()?;
            match reader.command(self) {
                Input::Line(text) => {
                    ends = 0;
                    // By what is known before: the line may make functions.
                    let places = self.places_of(&text);
                    self.run_line(&text)?;
                    reader.ran(self, places);
                }
                Input::Interrupted => self.status = 128 + libc::SIGINT,
                Input::End => {
                    ends += 1;
                    if self.may_end(ends) {
                        return Err(Flow::Exit(self.status));
                    }
                }
                Input::Leaves(status) => return Err(Flow::Exit(status)),
            }
        }
    }

    fn before_prompt(&mut self) -> Run {
        let status = self.status;
        self.tell_of_jobs();
        if let Some(command) = self.variables.get(b"PROMPT_COMMAND").map(<[u8]>::to_vec) {
            self.survive(|shell| shell.run_text(&command, 1))?;
        }
        self.status = status;
        Ok(())
    }

    fn run_line(&mut self, text: &[u8]) -> Run {
        self.suspended = false;
        self.follow_window();
        let started = Instant::now();
        let mut warned = false;
        if let Some(keyboard) = &mut self.keyboard {
            keyboard.begun = started;
            warned = keyboard.warned;
        }
        let result = self.survive(|shell| shell.run_commands(text, 1).map(|_| ()));
        if let Some(keyboard) = &mut self.keyboard {
            keyboard.took = started.elapsed();
            keyboard.warned &= !warned;
        }
        result
    }

    /// As they were when the last line began to be read.
    fn sides(&self) -> Sides {
        let keyboard = self.keyboard.as_ref();
        keyboard
            .map(|keyboard| keyboard.sides.clone())
            .unwrap_or_default()
    }

    /// Runs what may fail without ending the shell.
    fn survive(&mut self, run: impl FnOnce(&mut Shell) -> Run) -> Run {
        let (loops, depth, guard) = (self.loops, self.depth, self.guard);
        let result = run(self);
        (self.loops, self.depth, self.guard) = (loops, depth, guard);
        match result {
            Err(Flow::Exit(status)) => Err(Flow::Exit(status)),
            Err(Flow::Abort(status) | Flow::Return(status)) => {
                self.status = status;
                Ok(())
            }
            Err(Flow::Break(_) | Flow::Continue(_)) | Ok(()) => Ok(()),
        }
    }
}
