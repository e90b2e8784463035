//! A terminal: whose it is, and how it is set.
#![allow(unsafe_code)]

use super::blocking_signals;

/// Gives the terminal to a process group. The caller may be in the background: it is not stopped for that.
pub fn give_terminal(terminal: i32, group: i32) {
    blocking_signals(|_| {
        // SAFETY: no memory is concerned.
        unsafe { libc::tcsetpgrp(terminal, group) };
    });
}

pub fn is_terminal(fd: i32) -> bool {
    // SAFETY: no memory is concerned.
    unsafe { libc::isatty(fd) == 1 }
}

/// A terminal's settings, termios(3).
#[derive(Clone)]
pub struct Settings(libc::termios);

impl Settings {
    /// What is typed is not shown.
    pub fn silent(mut self) -> Settings {
        self.0.c_lflag &= !(libc::ECHO | libc::ECHOK | libc::ECHONL);
        self
    }

    /// Every key can be read at once.
    pub fn by_key(mut self) -> Settings {
        self.0.c_lflag &= !libc::ICANON;
        self.0.c_cc[libc::VMIN] = 1;
        self.0.c_cc[libc::VTIME] = 0;
        self
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, to: &mut std::fmt::Formatter) -> std::fmt::Result {
        to.write_str("Settings")
    }
}

/// Nothing if the terminal is gone.
pub fn settings(terminal: i32) -> Option<Settings> {
    // SAFETY: all-zero is a valid place to be filled.
    let mut settings: libc::termios = unsafe { std::mem::zeroed() };
    // SAFETY: the place outlives the call.
    let result = unsafe { libc::tcgetattr(terminal, &mut settings) };
    (result == 0).then_some(Settings(settings))
}

/// Whether this was a terminal that has been hung up: its other end is closed.
pub fn is_gone(terminal: i32) -> bool {
    // SAFETY: all-zero is a valid place to be filled.
    let mut settings: libc::termios = unsafe { std::mem::zeroed() };
    // SAFETY: the place outlives the call.
    let result = unsafe { libc::tcgetattr(terminal, &mut settings) };
    result == -1 && std::io::Error::last_os_error().raw_os_error() == Some(libc::EIO)
}

/// Once everything written has been shown.
pub fn set_settings(terminal: i32, settings: &Settings) {
    // SAFETY: the settings outlive the call.
    blocking_signals(|_| unsafe { libc::tcsetattr(terminal, libc::TCSADRAIN, &settings.0) });
}

/// The process group in the terminal's foreground; -1 if it is not the session's terminal.
pub fn foreground_group(terminal: i32) -> i32 {
    // SAFETY: no memory is concerned.
    unsafe { libc::tcgetpgrp(terminal) }
}

/// Rows and columns, as far as the terminal knows.
pub fn window(terminal: i32) -> Option<(u16, u16)> {
    // SAFETY: all-zero is a valid place to be filled.
    let mut size: libc::winsize = unsafe { std::mem::zeroed() };
    // SAFETY: the place outlives the call.
    let result = unsafe { libc::ioctl(terminal, libc::TIOCGWINSZ, &mut size) };
    (result == 0 && size.ws_col > 0).then_some((size.ws_row, size.ws_col))
}
