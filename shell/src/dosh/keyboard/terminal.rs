//! The terminal itself: whose it is, and how it is set.

use crate::dosh::jobs::{Job, State};
use crate::dosh::shell::Shell;
use crate::dosh::sys;
use nix::sys::termios::{self, InputFlags, SetArg};

/// Sets the terminal as the editor does, but a newline that a program sends is Enter.
///
/// # Errors
/// Of the terminal.
pub fn take_newlines() -> std::io::Result<()> {
    crossterm::terminal::enable_raw_mode()?;
    let mut settings = termios::tcgetattr(std::io::stdin())?;
    settings.input_flags.insert(InputFlags::INLCR);
    termios::tcsetattr(std::io::stdin(), SetArg::TCSANOW, &settings)?;
    Ok(())
}

impl Shell {
    /// Waits for the foreground, and takes the terminal for a process group of the shell's own. Answers the group that had it.
    pub fn take_terminal(&mut self) -> Option<i32> {
        self.follow_monitor();
        let terminal = self.terminal?;
        let own = sys::own_group();
        let before = loop {
            match sys::foreground_group(terminal) {
                // A shell that was begun in the background stops here until it is brought to the foreground.
                group if group > 0 && group != own => {
                    let _ = sys::kill(0, libc::SIGTTIN);
                }
                group => break group,
            }
        };
        sys::set_group(0, 0);
        sys::give_terminal(terminal, sys::own_group());
        (before > 0).then_some(before)
    }

    /// After a job was in the foreground. How a program has left the terminal when it ended by itself is what it was run for
    /// (stty); one that was stopped or killed had no time to put it in order.
    pub fn settle_terminal(&mut self, job: &mut Job) {
        let (Some(terminal), Some(keyboard)) = (self.terminal, &mut self.keyboard) else {
            return;
        };
        let left = sys::settings(terminal);
        match job.state() {
            State::Ended(raw) if libc::WIFEXITED(raw) => keyboard.settings = left,
            state => {
                if let State::Stopped(_) = state {
                    job.settings = left;
                }
                if let Some(settings) = &keyboard.settings {
                    sys::set_settings(terminal, settings);
                }
            }
        }
    }

    /// `LINES` and `COLUMNS` are the window's.
    pub fn follow_window(&mut self) {
        if let Some((rows, columns)) = sys::window(2) {
            self.variables.put(b"LINES", rows.to_string().into_bytes());
            self.variables
                .put(b"COLUMNS", columns.to_string().into_bytes());
        }
    }
}
