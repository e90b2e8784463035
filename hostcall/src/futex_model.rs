//! A futex for model checking, as the kernel keeps its promise: the word is compared under the lock that the waker takes, and
//! nobody wakes without being woken.

use crate::wait::Wakeup;
use loom::sync::atomic::{AtomicU32, Ordering};
use loom::sync::{Condvar, Mutex};
use loom::thread::ThreadId;
use std::cell::Cell;
use std::time::Duration;

loom::lazy_static! {
    static ref ASLEEP: (Mutex<Vec<(usize, ThreadId)>>, Condvar) = Default::default();
}

thread_local! {
    /// Whether every wait that has a limit reaches it. (All threads of a model run on one of the system.)
    static TIME_FLIES: Cell<bool> = const { Cell::new(false) };
}

/// Has limits of waits be reached at once in what is modelled, or never.
pub(crate) fn let_time_fly(flies: bool) {
    TIME_FLIES.set(flies);
}

fn name(word: &AtomicU32) -> usize {
    std::ptr::from_ref(word).addr()
}

/// Sleeps while `word` is `value`.
pub(crate) fn futex_wait(word: &AtomicU32, value: u32, limit: Option<Duration>) -> Wakeup {
    if limit.is_some() && TIME_FLIES.get() {
        loom::thread::yield_now();
        return Wakeup::TimedOut;
    }
    let (asleep, woken) = &*ASLEEP;
    let own = (name(word), loom::thread::current().id());
    let mut asleep = asleep.lock().unwrap();
    if word.load(Ordering::Relaxed) == value {
        asleep.push(own);
        while asleep.contains(&own) {
            asleep = woken.wait(asleep).unwrap();
        }
    }
    Wakeup::Rung
}

/// Wakes all sleepers on `word`.
pub(crate) fn futex_wake(word: &AtomicU32, _count: i32) {
    let (asleep, woken) = &*ASLEEP;
    asleep.lock().unwrap().retain(|(of, _)| *of != name(word));
    woken.notify_all();
}
