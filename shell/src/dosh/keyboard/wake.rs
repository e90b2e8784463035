//! Signals while the editor waits for a key: it has to come back for them.
//!
//! The editor sleeps until its terminal can be read or the window's size has changed. So a signal is passed on as SIGWINCH: the
//! editor looks whether it shall break off when it wakes, and an idle prompt wakes for nothing else.

use crate::dosh::jobs::Jobs;
use crate::dosh::sys::{self, Disposition};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, OnceLock};

/// The jobs that are hung up with the shell while it reads.
const MOST_JOBS: usize = 64;

static READING: AtomicBool = AtomicBool::new(false);
static BREAKS: OnceLock<Arc<AtomicBool>> = OnceLock::new();
static GROUPS: [AtomicI32; MOST_JOBS] = [const { AtomicI32::new(0) }; MOST_JOBS];

/// What makes the editor come back.
pub fn breaks() -> Arc<AtomicBool> {
    sys::on_note(heard);
    Arc::clone(BREAKS.get_or_init(Arc::default))
}

/// Runs while signals break it off.
pub fn while_reading<T>(jobs: &Jobs, read: impl FnOnce() -> T) -> T {
    let groups = jobs.all().iter().filter(|job| !job.is_ended());
    let groups = groups.map(|job| job.group).chain(std::iter::repeat(0));
    for (place, group) in GROUPS.iter().zip(groups) {
        place.store(group, Ordering::Relaxed);
    }
    if let Some(breaks) = BREAKS.get() {
        // One that came before has been seen to, or is noted still.
        breaks.store(sys::any_arrived(), Ordering::Relaxed);
    }
    READING.store(true, Ordering::Release);
    if sys::any_arrived() {
        heard(0);
    }
    let result = read();
    READING.store(false, Ordering::Release);
    result
}

/// In the handler of a signal.
fn heard(signal: i32) {
    if !READING.load(Ordering::Acquire) {
        return;
    }
    // The editor reads a terminal that is gone for ever.
    if signal == libc::SIGHUP && sys::settings(0).is_none() {
        hang_up();
    }
    if let Some(breaks) = BREAKS.get() {
        breaks.store(true, Ordering::Release);
    }
    let _ = sys::kill(std::process::id() as i32, libc::SIGWINCH);
}

/// Ends the shell with its jobs.
fn hang_up() {
    for place in &GROUPS {
        let group = place.load(Ordering::Relaxed);
        if group > 0 {
            let _ = sys::kill(-group, libc::SIGHUP);
            let _ = sys::kill(-group, libc::SIGCONT);
        }
    }
    sys::set_signal(libc::SIGHUP, Disposition::Default);
    let _ = sys::kill(std::process::id() as i32, libc::SIGHUP);
}
