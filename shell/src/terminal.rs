//! The guest's terminal while a host program has one of the host's: raw, so that every key is the program's, and as it was
//! before in the end, whatever happens.

use crate::guardian;
use crate::streams::guest;
use nix::errno::Errno;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::sys::signal::{kill, SigSet, SigmaskHow, Signal};
use nix::sys::termios::{
    cfmakeraw, tcgetattr, tcsetattr, LocalFlags, SetArg, SpecialCharacterIndices, Termios,
};
use nix::unistd::{getpgrp, getsid, tcgetpgrp};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How often a program in the background looks whether the terminal is its own.
const LOOK: Duration = Duration::from_millis(100);

/// `_POSIX_VDISABLE`: the terminal has no key for it.
const NO_KEY: u8 = 0;

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

/// Whether the terminal has been hung up, or the session that it was for has ended.
pub fn is_gone() -> bool {
    let hung_up = (0..3).any(|number| tcgetattr(guest(number)) == Err(Errno::EIO));
    hung_up || {
        // 0: a leader outside of the guest.
        let leader = getsid(None).ok().filter(|leader| leader.as_raw() > 0);
        leader.is_some_and(|leader| kill(leader, None) == Err(Errno::ESRCH))
    }
}

/// Whether the terminal is raw.
pub fn is_raw() -> bool {
    RAW.load(Ordering::SeqCst)
}

/// Makes the terminal raw, if it is ours. A shell may have given it settings of its own while this process was stopped.
pub fn make_raw() {
    if !is_ours(0) {
        return;
    }
    let Ok(settings) = tcgetattr(guest(0)) else {
        return;
    };
    let mut raw = settings.clone();
    cfmakeraw(&mut raw);
    if is_raw() && raw == settings {
        return;
    }
    guardian::watch(&raw, &settings);
    *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(settings);
    if set(&raw) {
        RAW.store(true, Ordering::SeqCst);
    }
}

/// Whether the key is among these bytes by which the terminal, had it not been made raw, would interrupt.
pub fn interrupts(bytes: &[u8]) -> bool {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
    before.as_ref().is_some_and(|settings| {
        let key = settings.control_chars[SpecialCharacterIndices::VINTR as usize];
        let has_key = settings.local_flags.contains(LocalFlags::ISIG) && key != NO_KEY;
        has_key && bytes.contains(&key)
    })
}

/// Gives the terminal its settings back. Another's in the meantime has its own.
pub fn restore() {
    if !RAW.swap(false, Ordering::SeqCst) {
        return;
    }
    let before = BEFORE
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    if let (Some(before), true) = (before, is_ours(0)) {
        set(&before);
    }
    guardian::release();
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

/// The guest's terminal as a program's input. It is read only when that is the program's affair: in the foreground, and while
/// no other program, such as a pager at the end of our pipeline, has taken the keys for itself.
#[derive(Clone, Copy, Debug)]
pub struct Keyboard {
    /// The terminal's descriptor.
    number: usize,
    /// Whether every key is the host's terminal's.
    raw: bool,
}

impl Keyboard {
    /// For the thread that reads it; `raw` if the program has a terminal of the host. From here on reading in the background
    /// is `EIO` to this thread: the signal for that would stop the whole of us, whether or not the program wants to read.
    pub fn new(number: usize, raw: bool) -> Keyboard {
        let mut stops = SigSet::empty();
        stops.add(Signal::SIGTTIN);
        let _ = stops.thread_block();
        Keyboard { number, raw }
    }

    fn is_ours(&self) -> bool {
        let program = match self.raw {
            true => is_raw(),
            false => comes_by_lines(self.number),
        };
        program && is_ours(self.number)
    }

    /// Waits until there is something to read, and it is ours. A wait without a limit would be one for a key that is
    /// another's when it comes.
    pub fn await_turn(&self) {
        loop {
            let mut key = [PollFd::new(guest(self.number), PollFlags::POLLIN)];
            if !self.is_ours() {
                std::thread::sleep(LOOK);
            } else if !matches!(poll(&mut key, PollTimeout::NONE), Ok(0)) && self.is_ours() {
                return;
            }
        }
    }
}

/// Whether the terminal gives whole lines; one that is gone does, for its end is to be read.
fn comes_by_lines(number: usize) -> bool {
    tcgetattr(guest(number)).map_or(true, |settings| {
        settings.local_flags.contains(LocalFlags::ICANON)
    })
}
