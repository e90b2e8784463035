//! The terminal while `read` takes from it: without echo, or key by key.

use crate::dosh::sys::{self, Disposition, Settings};

/// Those that end a script. The terminal is put in order first, which nobody else does for it.
const ENDING: [i32; 4] = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM];

/// A terminal that is set for one `read`, and as it was behind that.
pub struct Taken {
    terminal: i32,
    before: Settings,
    /// Signals that are noted for this time only.
    caught: Vec<i32>,
}

impl Taken {
    /// Nothing unless this is the terminal, and the shell is in its foreground: else it is another's to set.
    pub fn take(terminal: i32, silent: bool, by_key: bool) -> Option<Taken> {
        let wanted = silent || by_key;
        if !wanted || sys::foreground_group(terminal) != sys::own_group() {
            return None;
        }
        let before = sys::settings(terminal)?;
        let ending = ENDING.into_iter();
        let caught = ending.filter(|signal| sys::is_default(*signal)).collect();
        let taken = Taken {
            terminal,
            before,
            caught,
        };
        for signal in &taken.caught {
            sys::set_signal(*signal, Disposition::Note);
        }
        let mut settings = taken.before.clone();
        if silent {
            settings = settings.silent();
        }
        if by_key {
            settings = settings.by_key();
        }
        sys::set_settings(terminal, &settings);
        Some(taken)
    }

    /// Lets a signal end the shell that would have done so without this.
    pub fn heed(&self) {
        let struck = |signal: &&i32| sys::has_arrived(**signal);
        if let Some(signal) = self.caught.iter().find(struck) {
            sys::set_settings(self.terminal, &self.before);
            sys::set_signal(*signal, Disposition::Default);
            let _ = sys::kill(std::process::id() as i32, *signal);
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        sys::set_settings(self.terminal, &self.before);
        for signal in &self.caught {
            sys::set_signal(*signal, Disposition::Default);
        }
        self.heed();
    }
}
