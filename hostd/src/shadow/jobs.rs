//! What has become of a session's programs, as far as hostd has told and nobody has taken it.

use crate::exec::message::Change;
use hostcall::doorbell::{futex_wait, futex_wake};
use hostcall::types::{Errno, JobState};
use hostcall::wait::Wakeup;
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What waiting can ask for.
const OPTIONS: i32 = libc::WNOHANG | libc::WUNTRACED | libc::WCONTINUED;

/// The jobs by their numbers.
#[derive(Debug, Default)]
pub struct Jobs {
    by_number: Mutex<BTreeMap<u32, Job>>,
    /// Counts changes; those who wait for nothing else sleep on it.
    changes: AtomicU32,
    /// Those of who wait for something else too.
    bells: Mutex<Vec<Arc<EventFd>>>,
}

/// A descriptor that is readable once some job has changed.
#[derive(Debug)]
pub struct Bell<'j> {
    jobs: &'j Jobs,
    event: Arc<EventFd>,
}

impl Bell<'_> {
    /// Takes note of the changes so far. To be called before a look at them: a change after it rings again.
    pub fn reset(&self) {
        let _ = self.event.read();
    }

    /// Its number.
    pub fn fd(&self) -> RawFd {
        self.event.as_raw_fd()
    }
}

impl Drop for Bell<'_> {
    fn drop(&mut self) {
        let mut bells = self.jobs.bells();
        bells.retain(|bell| !Arc::ptr_eq(bell, &self.event));
    }
}

/// One job's untaken changes. As for waitid(2) a stop and a continuation each end the other, and the end stays.
#[derive(Clone, Copy, Debug, Default)]
struct Job {
    /// Where its bytes are counted on the board.
    place: u32,
    stopped: Option<Change>,
    continued: bool,
    end: Option<Change>,
}

impl Job {
    fn take(&mut self, options: i32) -> Option<Change> {
        if self.end.is_some() {
            return self.end;
        }
        let stopped = match options & libc::WUNTRACED {
            0 => None,
            _ => self.stopped.take(),
        };
        let continued = options & libc::WCONTINUED != 0 && std::mem::take(&mut self.continued);
        stopped.or(continued.then_some(Change::Continued))
    }
}

impl Jobs {
    fn by_number(&self) -> MutexGuard<'_, BTreeMap<u32, Job>> {
        self.by_number
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn bells(&self) -> MutexGuard<'_, Vec<Arc<EventFd>>> {
        self.bells.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A bell for as long as it is kept.
    ///
    /// # Errors
    /// eventfd(2).
    pub fn bell(&self) -> Result<Bell<'_>, Errno> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let event = EventFd::from_flags(flags).map_err(|error| Errno(error as i32))?;
        let event = Arc::new(event);
        self.bells().push(event.clone());
        Ok(Bell { jobs: self, event })
    }

    /// A program runs; its bytes are counted at this place on the board.
    pub fn begin(&self, job: u32, place: u32) {
        let begun = Job {
            place,
            ..Job::default()
        };
        self.by_number().insert(job, begun);
    }

    /// Where the bytes of a job are counted.
    pub fn place(&self, job: u32) -> Option<u32> {
        self.by_number().get(&job).map(|job| job.place)
    }

    /// Where the bytes of a job were counted that has ended.
    ///
    /// # Errors
    /// `EBUSY` if it has not, `ECHILD` if there is no such job.
    pub fn ended(&self, job: u32) -> Result<u32, Errno> {
        match self.by_number().get(&job) {
            Some(job) if job.end.is_some() => Ok(job.place),
            Some(_) => Err(Errno(libc::EBUSY)),
            None => Err(Errno(libc::ECHILD)),
        }
    }

    /// Its state has changed.
    pub fn change(&self, job: u32, change: Change) {
        if let Some(job) = self.by_number().get_mut(&job) {
            let bare = Job {
                place: job.place,
                ..Job::default()
            };
            *job = match change {
                Change::Stopped(_) => Job {
                    stopped: Some(change),
                    ..bare
                },
                Change::Continued => Job {
                    continued: true,
                    ..bare
                },
                end => Job {
                    end: Some(end),
                    ..bare
                },
            };
        }
        self.changes.fetch_add(1, Ordering::Release);
        futex_wake(&self.changes, i32::MAX);
        for bell in self.bells().iter() {
            // One that is full has not been heard yet.
            let _ = bell.write(1);
        }
    }

    /// Nobody asks for it any more.
    pub fn forget(&self, job: u32) {
        self.by_number().remove(&job);
    }

    /// Forgets all of them.
    pub fn clear(&self) {
        self.by_number().clear();
    }

    /// Whether there is such a job.
    pub fn holds(&self, job: u32) -> bool {
        self.by_number().contains_key(&job)
    }

    /// Takes a change, and waits for it if wanted.
    ///
    /// # Errors
    /// `ECHILD` if there is no such job, `EINTR` when a signal interrupts the thread, `EINVAL` for other options.
    pub fn wait(&self, job: u32, options: i32) -> Result<JobState, Errno> {
        if options & !OPTIONS != 0 {
            return Err(Errno(libc::EINVAL));
        }
        loop {
            // Before the look: a change after it wakes the sleeper.
            let seen = self.changes.load(Ordering::Acquire);
            let taken = match self.by_number().get_mut(&job) {
                Some(job) => job.take(options),
                None => return Err(Errno(libc::ECHILD)),
            };
            match taken {
                Some(change) => return Ok(change.into()),
                None if options & libc::WNOHANG != 0 => return Ok(JobState::None),
                None => {}
            }
            if futex_wait(&self.changes, seen, None) == Wakeup::Interrupted {
                return Err(Errno(libc::EINTR));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_change_is_the_one_that_is_taken_and_the_end_stays() {
        let (jobs, all) = (
            Jobs::default(),
            libc::WNOHANG | libc::WUNTRACED | libc::WCONTINUED,
        );
        assert_eq!(jobs.wait(1, all), Err(Errno(libc::ECHILD)));
        jobs.begin(1, 0);
        assert_eq!(jobs.wait(1, all), Ok(JobState::None));
        assert_eq!(jobs.wait(1, 1 << 30), Err(Errno(libc::EINVAL)));
        jobs.change(1, Change::Stopped(19));
        jobs.change(1, Change::Continued);
        assert_eq!(
            jobs.wait(1, libc::WNOHANG | libc::WUNTRACED),
            Ok(JobState::None)
        );
        assert_eq!(jobs.wait(1, all), Ok(JobState::Continued));
        jobs.change(1, Change::Stopped(20));
        assert_eq!(jobs.wait(1, libc::WNOHANG), Ok(JobState::None));
        assert_eq!(jobs.wait(1, all), Ok(JobState::Stopped(20)));
        assert_eq!(jobs.wait(1, all), Ok(JobState::None));
        jobs.change(1, Change::Exited(3));
        for options in [0, all] {
            assert_eq!(jobs.wait(1, options), Ok(JobState::Exited(3)));
        }
        jobs.forget(1);
        jobs.change(1, Change::Exited(4));
        assert_eq!(jobs.wait(1, 0), Err(Errno(libc::ECHILD)));
    }
}
