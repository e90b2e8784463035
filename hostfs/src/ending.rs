//! When an open file of the guest has ended on the host.
//!
//! The guest kernel tells that an open file has ended (FUSE_RELEASE) after close(2) has returned, to whichever thread of
//! ours is free; whoever asks for a lock right after it may be heard by another thread first. But the kernel hands out its
//! requests in the order in which they came, unless it has so much to read ahead or to write back that it keeps releases
//! waiting: when a request is being served, the release before it has been read, by a thread that then runs, but for a lock
//! held for a moment, until it [begins](Endings::begin) the end. So once every other thread has been seen asleep and no end
//! is under way, whatever was closed before is closed on the host.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Longest wait: on a machine so busy that a thread does not come to run for so long, a lock given back may be in the way.
pub const LONGEST: Duration = Duration::from_secs(1);
/// Time between two looks.
const NAP: Duration = Duration::from_micros(50);
/// The wait where threads cannot be looked at, for want of `/proc`.
const BLIND: Duration = Duration::from_millis(10);

/// The ends under way.
#[derive(Debug, Default)]
pub struct Endings(AtomicUsize);

/// An end under way, until it is dropped.
#[derive(Debug)]
pub struct Ending<'a>(&'a AtomicUsize);

impl Endings {
    /// Says that something may be closed on the host from now on.
    pub fn begin(&self) -> Ending<'_> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ending(&self.0)
    }

    /// Waits until what is being closed is closed; if the guest has `closed` something of which no thread may have begun
    /// the end, until that has ended too.
    pub fn settle(&self, closed: bool) {
        let until = Instant::now() + LONGEST;
        if closed {
            let mut awake = Awake::others();
            while awake.any() && Instant::now() < until {
                std::thread::sleep(NAP);
            }
        }
        while self.0.load(Ordering::SeqCst) != 0 && Instant::now() < until {
            std::thread::sleep(NAP);
        }
    }
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Threads of this process that have not been seen asleep yet.
#[derive(Debug)]
enum Awake {
    Known(Vec<String>),
    Unknown(Instant),
}

impl Awake {
    fn others() -> Awake {
        let own = nix::unistd::gettid().to_string();
        let Ok(tasks) = fs::read_dir("/proc/self/task") else {
            return Awake::Unknown(Instant::now() + BLIND);
        };
        let names = tasks.flatten().map(|task| task.file_name());
        let threads = names.map(|name| name.to_string_lossy().into_owned());
        Awake::Known(threads.filter(|thread| *thread != own).collect())
    }

    /// Looks at those that are left, and says whether any is.
    fn any(&mut self) -> bool {
        match self {
            Awake::Known(threads) => {
                threads.retain(|thread| {
                    // One that is gone does nothing any more.
                    fs::read_to_string(format!("/proc/self/task/{thread}/stat"))
                        .is_ok_and(|stat| !asleep(&stat))
                });
                !threads.is_empty()
            }
            Awake::Unknown(until) => Instant::now() < *until,
        }
    }
}

/// Whether a line of `/proc/PID/stat` is that of a thread that waits; proc(5). Its second field is a name in parentheses,
/// which may hold anything.
fn asleep(stat: &str) -> bool {
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| rest.starts_with('S'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;
    use std::sync::{mpsc, Arc};

    #[test]
    fn the_state_is_found_behind_any_name() {
        assert!(asleep("7 (fuser-1) S 1 1"));
        assert!(!asleep("7 (fuser-1) R 1 1"));
        assert!(asleep("7 (a) R 1) S 1 1"));
        assert!(!asleep("7 (a) S 1) D 1 1"));
        assert!(!asleep(""));
    }

    #[test]
    fn an_end_under_way_is_waited_for() {
        let endings = Arc::new(Endings::default());
        let ended = Arc::new(AtomicBool::new(false));
        let (begun, begins) = mpsc::channel();
        let (own, seen) = (endings.clone(), ended.clone());
        let other = std::thread::spawn(move || {
            let _ending = own.begin();
            begun.send(()).unwrap();
            std::thread::sleep(Duration::from_millis(50));
            seen.store(true, Ordering::SeqCst);
        });
        begins.recv().unwrap();
        endings.settle(false);
        assert!(ended.load(Ordering::SeqCst));
        other.join().unwrap();
    }

    #[test]
    fn a_thread_on_its_way_to_an_end_is_waited_for() {
        let endings = Arc::new(Endings::default());
        let ended = Arc::new(AtomicBool::new(false));
        let (begun, begins) = mpsc::channel();
        let (own, seen) = (endings.clone(), ended.clone());
        let other = std::thread::spawn(move || {
            begun.send(()).unwrap();
            let until = Instant::now() + Duration::from_millis(30);
            while Instant::now() < until {
                std::hint::spin_loop();
            }
            let _ending = own.begin();
            seen.store(true, Ordering::SeqCst);
        });
        begins.recv().unwrap();
        endings.settle(true);
        assert!(ended.load(Ordering::SeqCst));
        other.join().unwrap();
    }
}
