//! Signals while the editor waits for a key: it has to come back for them.
//!
//! The editor sleeps until its terminal can be read or the window's size has changed. So a signal is passed on as SIGWINCH: the
//! editor looks whether it shall break off when it wakes, and an idle prompt wakes for nothing else.
//!
//! Of a terminal that is gone it reads no bytes, for ever and without looking at anything. A hang-up takes that terminal away:
//! its number is lent to a pipe from which nothing comes, and the editor goes back to sleep and is woken. A terminal that does
//! not control the shell closes without a hang-up: there the work that reading nothing makes is the signal.

use crate::dosh::sys::{self, Disposition};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, OnceLock};

static READING: AtomicBool = AtomicBool::new(false);
static BREAKS: OnceLock<Arc<AtomicBool>> = OnceLock::new();
/// What takes the place of a terminal that is gone.
static SILENCE: AtomicI32 = AtomicI32::new(-1);
/// It has taken it.
static LOST: AtomicBool = AtomicBool::new(false);

/// Comes after so much work of the processor's, in milliseconds: far more than a key makes.
pub const WORKED: i32 = libc::SIGPROF;
const MUCH_WORK: u32 = 200;

/// What makes the editor come back.
pub fn breaks() -> Arc<AtomicBool> {
    sys::on_note(heard);
    Arc::clone(BREAKS.get_or_init(Arc::default))
}

/// Runs while signals break it off. `watches`: [`WORKED`] is nobody else's.
pub fn while_reading<T>(watches: bool, read: impl FnOnce() -> T) -> T {
    let terminal = sys::duplicate_above(0, sys::PRIVATE, true);
    let silence = sys::silence();
    SILENCE.store(
        silence.as_ref().map_or(-1, |ends| ends.0),
        Ordering::Relaxed,
    );
    // Even one that is ignored has to be heard: the editor finds no end by itself.
    let ignores = sys::is_ignored(libc::SIGHUP);
    if ignores {
        sys::set_signal(libc::SIGHUP, Disposition::Note);
    }
    if let Some(breaks) = BREAKS.get() {
        // One that came before has been seen to, or is noted still.
        breaks.store(sys::any_arrived(), Ordering::Relaxed);
    }
    READING.store(true, Ordering::Release);
    if sys::any_arrived() {
        heard(0);
    }
    if watches {
        sys::set_signal(WORKED, Disposition::Note);
        sys::tell_of_work(MUCH_WORK);
    }
    let result = read();
    if watches {
        sys::tell_of_work(0);
        sys::set_signal(WORKED, Disposition::Default);
    }
    READING.store(false, Ordering::Release);
    if ignores {
        sys::set_signal(libc::SIGHUP, Disposition::Ignore);
    }
    if let Ok(terminal) = terminal {
        if LOST.swap(false, Ordering::Relaxed) {
            let _ = sys::duplicate_to(terminal, 0);
        }
        sys::close(terminal);
    }
    if let Ok((reader, writer)) = silence {
        sys::close(reader);
        sys::close(writer);
    }
    result
}

/// The editor looks at its keys.
pub fn wake() {
    let _ = sys::kill(std::process::id() as i32, libc::SIGWINCH);
}

/// In the handler of a signal.
fn heard(signal: i32) {
    if !READING.load(Ordering::Acquire) {
        return;
    }
    let gone = sys::is_gone(0);
    if signal == WORKED && !gone {
        return;
    }
    if gone {
        LOST.store(true, Ordering::Relaxed);
        let _ = sys::duplicate_to(SILENCE.load(Ordering::Relaxed), 0);
    }
    if let Some(breaks) = BREAKS.get() {
        breaks.store(true, Ordering::Release);
    }
    wake();
}
