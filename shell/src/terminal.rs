//! The guest's terminal while a host program has one of the host's: raw, so that every key is the program's, and as it was
//! before in the end, whatever happens.

use crate::streams::guest;
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::termios::{cfmakeraw, tcgetattr, tcsetattr, SetArg, Termios};
use nix::unistd::{getpgrp, tcgetpgrp};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// The settings to go back to.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);
/// Whether the terminal is raw.
static RAW: AtomicBool = AtomicBool::new(false);

/// Rows, columns, and the size in pixels if that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Size {
    pub rows: u32,
    pub columns: u32,
    pub xpixels: u32,
    pub ypixels: u32,
}

impl Size {
    /// That of the first standard stream that is a terminal; the classic one if none is.
    #[allow(unsafe_code)]
    pub fn find() -> Size {
        let found = (0..3).find_map(|number| {
            // SAFETY: a live winsize, valid when zeroed.
            unsafe {
                let mut size: libc::winsize = std::mem::zeroed();
                let asked = libc::ioctl(number, libc::TIOCGWINSZ, &mut size);
                (asked == 0).then_some(size)
            }
        });
        match found {
            Some(size) => Size {
                rows: size.ws_row.into(),
                columns: size.ws_col.into(),
                xpixels: size.ws_xpixel.into(),
                ypixels: size.ws_ypixel.into(),
            },
            None => Size {
                rows: 24,
                columns: 80,
                xpixels: 0,
                ypixels: 0,
            },
        }
    }
}

/// Whether this process is in the foreground of the terminal that a standard stream is.
pub fn is_ours(number: usize) -> bool {
    match tcgetpgrp(guest(number)) {
        Ok(group) => group == getpgrp(),
        // Not our session's terminal: there is no job control on it.
        Err(_) => true,
    }
}

/// Whether the terminal is raw.
pub fn is_raw() -> bool {
    RAW.load(Ordering::SeqCst)
}

/// Makes the terminal raw, if it is ours.
pub fn make_raw() {
    if is_raw() || !is_ours(0) {
        return;
    }
    let Ok(settings) = tcgetattr(guest(0)) else {
        return;
    };
    let mut raw = settings.clone();
    cfmakeraw(&mut raw);
    *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(settings);
    if set(&raw) {
        RAW.store(true, Ordering::SeqCst);
    }
}

/// Gives the terminal its settings back. Another's in the meantime has its own.
pub fn restore() {
    if !RAW.swap(false, Ordering::SeqCst) {
        return;
    }
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let (Some(before), true) = (before, is_ours(0)) {
        set(&before);
    }
}

/// From the background this would stop us, as it happens when the shell takes the terminal at the same moment.
fn set(settings: &Termios) -> bool {
    let mut stops = SigSet::empty();
    stops.add(Signal::SIGTTOU);
    let masked = stops.thread_swap_mask(SigmaskHow::SIG_BLOCK);
    let done = tcsetattr(guest(0), SetArg::TCSANOW, settings).is_ok();
    if let Ok(before) = masked {
        let _ = before.thread_set_mask();
    }
    done
}

/// Has a panic restore the terminal before it says anything.
pub fn restore_on_panic() {
    let say = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        restore();
        say(panic);
    }));
}
