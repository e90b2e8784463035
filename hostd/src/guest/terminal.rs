//! The user's terminal in raw mode, put back on every way out.

use nix::sys::termios::{cfmakeraw, tcgetattr, tcsetattr, SetArg, Termios};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, Once, PoisonError};

/// What the panic hook must put back: the profile aborts on panic, so no destructor runs.
static FORMER: Mutex<Option<libc::termios>> = Mutex::new(None);
static HOOK: Once = Once::new();

/// Raw mode of the terminal on standard input, for the life of this value.
#[derive(Debug)]
pub struct RawTerminal {
    former: Termios,
}

impl RawTerminal {
    /// Sets the terminal raw.
    ///
    /// # Errors
    /// termios(3).
    pub fn enter() -> io::Result<RawTerminal> {
        let stdin = io::stdin();
        let former = tcgetattr(&stdin)?;
        HOOK.call_once(|| {
            let next = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                if let Some(former) = FORMER.try_lock().ok().and_then(|mut former| former.take()) {
                    put(io::stdin().as_fd(), &former.into());
                }
                next(info);
            }));
        });
        *FORMER.lock().unwrap_or_else(PoisonError::into_inner) = Some(former.clone().into());
        let terminal = RawTerminal { former };
        terminal.apply();
        Ok(terminal)
    }

    /// Sets raw mode again, after the process was stopped and continued.
    pub fn apply(&self) {
        let mut raw = self.former.clone();
        cfmakeraw(&mut raw);
        put(io::stdin().as_fd(), &raw);
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        put(io::stdin().as_fd(), &self.former);
        *FORMER.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Not `TCSADRAIN`: a terminal that was stopped with Ctrl-S would never drain.
fn put(fd: BorrowedFd<'_>, mode: &Termios) {
    let _ = tcsetattr(fd, SetArg::TCSANOW, mode);
}

/// Sets a serial line raw, so that every byte passes unchanged in both directions.
///
/// # Errors
/// termios(3).
pub fn set_raw(fd: BorrowedFd<'_>) -> io::Result<()> {
    let mut mode = tcgetattr(fd)?;
    cfmakeraw(&mut mode);
    tcsetattr(fd, SetArg::TCSANOW, &mode)?;
    Ok(())
}
