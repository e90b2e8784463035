//! dosh at a terminal, with a home directory of its own.

use crate::daemon::{eventually, program, Scratch};
use crate::screen::Screen;
use std::ops::{Deref, DerefMut};
use std::process::Command;

/// A shell without a host to attach to.
#[derive(Debug)]
pub struct Dosh {
    screen: Screen,
    /// Its home, in which it begins.
    pub home: Scratch,
}

/// The mark of the prompt.
pub const MARK: &str = "% ";

/// A dosh at home in a directory, with the variables that are its own affair.
pub fn command(home: &Scratch, words: &[&str]) -> Command {
    let mut command = Command::new(program("dosh"));
    command
        .args(words)
        .env_clear()
        .current_dir(home.as_os_str());
    command
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", home.as_os_str());
    command.env("TERM", "xterm");
    command
}

impl Dosh {
    /// Starts it on a terminal of 24 rows and 80 columns.
    ///
    /// # Panics
    /// It does not start.
    pub fn start() -> Dosh {
        Dosh::with(|_, _| {})
    }

    /// The same after its start was prepared.
    ///
    /// # Panics
    /// It does not start.
    pub fn with(prepare: impl FnOnce(&mut Command, &Scratch)) -> Dosh {
        Dosh::sized(24, 80, prepare)
    }

    /// The same on a terminal of this size.
    ///
    /// # Panics
    /// It does not start.
    pub fn sized(rows: u16, columns: u16, prepare: impl FnOnce(&mut Command, &Scratch)) -> Dosh {
        let home = Scratch::new();
        let mut command = command(&home, &[]);
        prepare(&mut command, &home);
        let screen = Screen::start(command, rows, columns);
        Dosh { screen, home }
    }

    /// One whose prompt is nothing but its mark.
    ///
    /// # Panics
    /// It does not start.
    pub fn bare() -> Dosh {
        let dosh = Dosh::with(|command, _| {
            command.env("PS1", MARK);
        });
        dosh.at(MARK);
        dosh
    }

    /// Another on the same home, with the bare prompt.
    ///
    /// # Panics
    /// It does not start.
    pub fn beside(&self) -> Screen {
        let mut command = command(&self.home, &[]);
        command.env("PS1", MARK);
        let screen = Screen::start(command, 24, 80);
        screen.at(MARK);
        screen
    }

    /// The number that a line of the shell's writes into a file at home, once it is there.
    ///
    /// # Panics
    /// It does not come.
    pub fn number(&self, file: &str) -> i32 {
        let path = self.home.join(file);
        let mut number = None;
        eventually(file, || {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            number = text.strip_suffix('\n').and_then(|text| text.parse().ok());
            number.is_some()
        });
        number.expect("a number")
    }

    /// Enters a line and waits for the next prompt: what is on the screen then.
    ///
    /// # Panics
    /// It does not come.
    pub fn does(&mut self, line: &str) -> String {
        enter(&mut self.screen, line)
    }
}

/// Enters a line at a bare prompt and waits for the next one, on a screen that was cleared before.
///
/// # Panics
/// It does not come.
pub fn enter(screen: &mut Screen, line: &str) -> String {
    screen.types("\x0c");
    screen.until("cleared screen", |shown| {
        shown.trim_end() == MARK.trim_end()
    });
    screen.types(line);
    screen.types("\r");
    let ends = |shown: &str| {
        let lines = shown.lines().collect::<Vec<_>>();
        lines.len() > 1
            && lines
                .last()
                .is_some_and(|last| last.trim_end() == MARK.trim_end())
    };
    screen.until("prompt", ends)
}

impl Deref for Dosh {
    type Target = Screen;
    fn deref(&self) -> &Screen {
        &self.screen
    }
}

impl DerefMut for Dosh {
    fn deref_mut(&mut self) -> &mut Screen {
        &mut self.screen
    }
}
