//! Promises of time, held on a machine that is busy with other things: such a machine spoils some of several times, a fault
//! all of them.

use crate::daemon::eventually;
use std::cell::RefCell;
use std::time::{Duration, Instant};

/// How often a promise may be broken before it counts as broken.
const TRIES: usize = 5;

/// Has `attempt` tell how long something took until that was within `limit`.
///
/// # Panics
/// It never was.
pub fn soon(what: &str, limit: Duration, mut attempt: impl FnMut() -> Duration) {
    let mut times = Vec::new();
    while times.len() < TRIES {
        let took = attempt();
        if took < limit {
            return;
        }
        times.push(took);
    }
    panic!("{what}: {times:?}, and {limit:?} was promised");
}

/// Times of one kind: each has the usual patience, most keep the promise.
#[derive(Debug, Default)]
pub struct Times(RefCell<Vec<Duration>>);

impl Times {
    /// Waits until `condition` holds, and notes how long that took.
    pub fn until(&self, what: &str, condition: impl FnMut() -> bool) {
        let start = Instant::now();
        eventually(what, condition);
        self.0.borrow_mut().push(start.elapsed());
    }

    /// # Panics
    /// Half of the times or more are longer than `limit`.
    pub fn mostly_within(&self, limit: Duration) {
        let times = self.0.borrow();
        let kept = times.iter().filter(|time| **time < limit).count();
        assert!(
            2 * kept > times.len(),
            "{times:?}, and {limit:?} was promised"
        );
    }
}
