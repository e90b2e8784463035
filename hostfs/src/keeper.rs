//! Waits for locks, so that no thread that serves the guest kernel does.
//!
//! One thread tries what is waiting in the order in which it came, more often at first, and gives up for those whose
//! guest thread has a signal to handle or is gone. The kernel tells of a signal by a request that `fuser` refuses; what
//! stands in `/proc/PID/status` of the waiting thread says the same.

use hostcall::types::Errno;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// The shortest and the longest time between two tries.
const NAPS: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(20));

/// A request that waits for its lock.
pub struct Waiting {
    /// The guest's thread; 0 if there is none to look at.
    pub pid: u32,
    /// Tries once; `EAGAIN` means to go on waiting.
    pub attempt: Box<dyn Fn() -> Result<(), Errno> + Send>,
    /// Tells the outcome.
    pub answer: Box<dyn FnOnce(Result<(), Errno>) + Send>,
}

/// The waiting requests.
#[derive(Default)]
pub struct Keeper {
    new: Mutex<Vec<Waiting>>,
    come: Condvar,
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keeper")
    }
}

impl Keeper {
    /// Starts one with its thread, which lives as long as the process.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start() -> std::io::Result<Arc<Keeper>> {
        let keeper = Arc::new(Keeper::default());
        let own = keeper.clone();
        std::thread::Builder::new()
            .name("locks".to_owned())
            .spawn(move || own.run())?;
        Ok(keeper)
    }

    /// Hands over a request.
    pub fn wait(&self, waiting: Waiting) {
        let mut new = self.new.lock().unwrap_or_else(PoisonError::into_inner);
        new.push(waiting);
        self.come.notify_one();
    }

    fn run(&self) {
        let mut waiting: Vec<Waiting> = Vec::new();
        let mut nap = NAPS.0;
        loop {
            let come = self.next(waiting.is_empty(), nap);
            nap = if come.is_empty() {
                (nap * 2).min(NAPS.1)
            } else {
                NAPS.0
            };
            waiting.extend(come);
            let before = waiting.len();
            waiting = waiting.into_iter().filter_map(attempt).collect();
            if waiting.len() < before {
                // Who has just got a lock may give it back as soon.
                nap = NAPS.0;
            }
        }
    }

    /// What has come, after a nap, or however long it takes if nothing else is waiting.
    fn next(&self, idle: bool, nap: Duration) -> Vec<Waiting> {
        let mut new = self.new.lock().unwrap_or_else(PoisonError::into_inner);
        if idle {
            while new.is_empty() {
                new = self.come.wait(new).unwrap_or_else(PoisonError::into_inner);
            }
        } else if new.is_empty() {
            let waited = self.come.wait_timeout(new, nap);
            new = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        std::mem::take(&mut *new)
    }
}

fn attempt(waiting: Waiting) -> Option<Waiting> {
    let outcome = match (waiting.attempt)() {
        Err(Errno(libc::EAGAIN)) if !interrupted(waiting.pid) => return Some(waiting),
        Err(Errno(libc::EAGAIN)) => Err(Errno(libc::EINTR)),
        outcome => outcome,
    };
    (waiting.answer)(outcome);
    None
}

/// Whether a thread has a signal to handle, or is gone.
fn interrupted(pid: u32) -> bool {
    if pid == 0 {
        return false;
    }
    match std::fs::read_to_string(format!("/proc/{pid}/status")) {
        Ok(status) => is_signalled(&status),
        Err(error) => {
            error.raw_os_error() == Some(libc::ENOENT) || error.raw_os_error() == Some(libc::ESRCH)
        }
    }
}

/// Whether proc_pid_status(5) shows a signal that is pending and neither blocked nor ignored.
fn is_signalled(status: &str) -> bool {
    let mask = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let digits = line.and_then(|line| line.strip_prefix(':'));
        digits.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok())
    };
    let pending = mask("SigPnd").unwrap_or(0) | mask("ShdPnd").unwrap_or(0);
    let kept = mask("SigBlk").unwrap_or(0) | mask("SigIgn").unwrap_or(0);
    pending & !kept != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::mpsc::channel;

    #[test]
    fn only_signals_that_will_be_handled_count() {
        let status = |pending: &str, shared: &str, blocked: &str, ignored: &str| {
            format!("Name:\tx\nSigPnd:\t{pending}\nShdPnd:\t{shared}\nSigBlk:\t{blocked}\nSigIgn:\t{ignored}\n")
        };
        let zero = "0000000000000000";
        let alarm = "0000000000002000";
        assert!(!is_signalled(&status(zero, zero, zero, zero)));
        assert!(is_signalled(&status(alarm, zero, zero, zero)));
        assert!(is_signalled(&status(zero, alarm, zero, zero)));
        assert!(!is_signalled(&status(alarm, zero, alarm, zero)));
        assert!(!is_signalled(&status(zero, alarm, zero, alarm)));
        assert!(!is_signalled(""));
    }

    #[test]
    fn waits_in_order_and_answers_once() {
        let keeper = Keeper::start().unwrap();
        let (told, outcomes) = channel();
        let free = Arc::new(AtomicU32::new(0));
        for number in 0..3 {
            let (free, told) = (free.clone(), told.clone());
            keeper.wait(Waiting {
                pid: 0,
                // One after the other gets it.
                attempt: Box::new(move || {
                    let taken = free.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |free| {
                        free.checked_sub(1)
                    });
                    taken.map(drop).map_err(|_| Errno(libc::EAGAIN))
                }),
                answer: Box::new(move |outcome| told.send((number, outcome)).unwrap()),
            });
        }
        for number in 0..3 {
            std::thread::sleep(Duration::from_millis(5));
            free.fetch_add(1, Ordering::SeqCst);
            assert_eq!(outcomes.recv().unwrap(), (number, Ok(())));
        }
    }

    #[test]
    fn a_thread_that_is_gone_waits_no_more() {
        let keeper = Keeper::start().unwrap();
        let (told, outcomes) = channel();
        keeper.wait(Waiting {
            pid: u32::MAX,
            attempt: Box::new(|| Err(Errno(libc::EAGAIN))),
            answer: Box::new(move |outcome| told.send(outcome).unwrap()),
        });
        let outcome = outcomes.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(outcome, Err(Errno(libc::EINTR)));
    }
}
