//! One thread that waits on the host for all that a process waits for: its programs' changes, and streams that are silent.
//!
//! Each call that waits keeps a lane, and where hundreds of programs share the lanes of one guest, a lane is what a silent
//! program may keep, not three. So who carries a stream waits for its next bytes, when they have been long in coming, not by a
//! call of its own but here.

use hostcall::client::{interruptible, Client, Interrupt};
use hostcall::ops::Calls;
use hostcall::types::{Errno, JobState, RemoteFd, LET_GO};
use hostcall::wire::Source;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Streams that are waited for here: as many as one call takes. Others are waited for by their own threads.
const MOST: usize = 32;

/// How long the thread that waits may not have heard that there is more to wait for, before it is told again. It grows.
const DEAF: Duration = Duration::from_millis(10);
/// The longest.
const DEAFEST: Duration = Duration::from_secs(10);

/// What is waited for on a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Awaited {
    /// The host's end.
    pub remote: RemoteFd,
    /// Bytes to read, or room to write.
    pub events: i16,
}

/// How far the wait for a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Nobody waits for it.
    Empty,
    /// Somebody does, and the thread does not know yet.
    New(Awaited),
    /// The thread waits for it.
    Known(Awaited),
    /// It is ready.
    Ready,
}

/// The thread's, and what others tell it.
#[derive(Debug)]
pub struct Lookout {
    places: Mutex<Vec<Place>>,
    /// A place has changed, or somebody is to look up.
    stirred: Condvar,
    /// Nobody looks out any more: who waits does so by himself.
    closed: AtomicBool,
    interrupt: Interrupt,
}

impl Lookout {
    /// One that has not begun. It is for a thread, and so for good.
    pub fn new() -> &'static Lookout {
        Box::leak(Box::new(Lookout {
            places: Mutex::default(),
            stirred: Condvar::new(),
            closed: AtomicBool::new(false),
            interrupt: Interrupt::new(),
        }))
    }

    fn places(&self) -> MutexGuard<'_, Vec<Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one more stream.
    pub fn place(&self) -> usize {
        let mut places = self.places();
        places.push(Place::Empty);
        places.len() - 1
    }

    /// Waits until a stream is ready, without a lane; not while `called` says that the thread has something else to mind, which
    /// [`stir`](Lookout::stir) has it ask. In the end nobody waits here.
    pub fn wait(&self, host: &Client, at: usize, what: Awaited, called: impl Fn() -> bool) {
        if at >= MOST {
            return;
        }
        let mut deaf = DEAF;
        let mut places = self.places();
        places[at] = Place::New(what);
        while !self.closed.load(Ordering::SeqCst) && places[at] != Place::Ready && !called() {
            if matches!(places[at], Place::New(_)) {
                host.interrupt(&self.interrupt);
            }
            // That it has been heard nobody says: one look more costs less than a wake.
            let waited = self.stirred.wait_timeout(places, deaf);
            places = waited.unwrap_or_else(PoisonError::into_inner).0;
            deaf = (deaf * 2).min(DEAFEST);
        }
        places[at] = Place::Empty;
    }

    /// Has those who wait ask whether they are called.
    pub fn stir(&self) {
        drop(self.places());
        self.stirred.notify_all();
    }

    /// What the thread is to wait for, with the places.
    fn take(&self) -> Vec<(usize, Awaited)> {
        let mut places = self.places();
        let mut all = Vec::new();
        for (at, place) in places.iter_mut().enumerate() {
            if let Place::New(what) | Place::Known(what) = *place {
                *place = Place::Known(what);
                all.push((at, what));
            }
        }
        all
    }

    /// Bits of `ready` are those of what was taken.
    fn settle(&self, taken: &[(usize, Awaited)], ready: u32) {
        if ready == 0 {
            return;
        }
        let mut places = self.places();
        for (bit, (at, what)) in taken.iter().enumerate() {
            if ready >> bit & 1 != 0 && places[*at] == Place::Known(*what) {
                places[*at] = Place::Ready;
            }
        }
        self.stirred.notify_all();
    }

    fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.stir();
    }

    /// The thread: waits for all, and tells of the jobs' changes until the last has ended. Of a group in which all are stopped the
    /// first is that runs. `lets_go`: nobody wants a job after its end.
    ///
    /// # Errors
    /// A job cannot be waited for any more.
    pub fn run(
        &'static self,
        host: &Client,
        jobs: &[u32],
        lets_go: bool,
        mut tell: impl FnMut(JobState),
    ) -> Result<(), Errno> {
        interruptible(&self.interrupt);
        for (at, job) in jobs.iter().enumerate() {
            let end = self.see_through(host, *job, lets_go, &mut tell);
            if end.is_err() || at + 1 == jobs.len() {
                self.close();
            }
            tell(end?);
        }
        Ok(())
    }

    /// Waits for one job's end, and tells what comes before.
    fn see_through(
        &self,
        host: &Client,
        job: u32,
        lets_go: bool,
        tell: &mut impl FnMut(JobState),
    ) -> Result<JobState, Errno> {
        let let_go = if lets_go { LET_GO } else { 0 };
        let changes = libc::WUNTRACED | libc::WCONTINUED | let_go;
        loop {
            self.interrupt.reset();
            let taken = self.take();
            match host.await_job(job, changes, Source::new(&packed(&taken))) {
                Ok(reply) => {
                    self.settle(&taken, reply.ready);
                    match reply.state {
                        JobState::None => {}
                        end if is_end(end) => return Ok(end),
                        change => tell(change),
                    }
                }
                Err(Errno(libc::EINTR)) => host.give_way(),
                Err(errno) => return Err(errno),
            }
        }
    }
}

/// Whether all of the jobs have ended, told or not.
pub fn have_ended(host: &Client, jobs: &[u32]) -> bool {
    let mut states = jobs.iter().map(|job| host.wait(*job, libc::WNOHANG));
    states.all(|reply| match reply {
        Ok(reply) => is_end(reply.state),
        // It has been let go of.
        Err(errno) => errno.0 == libc::ECHILD,
    })
}

/// Whether it is the last state of a job.
pub fn is_end(state: JobState) -> bool {
    matches!(state, JobState::Exited(_) | JobState::Signalled { .. })
}

/// As the host takes them: pairs of a descriptor and events.
fn packed(taken: &[(usize, Awaited)]) -> Vec<u8> {
    let pair =
        |(_, what): &(usize, Awaited)| [what.remote.0, what.events.into()].map(i32::to_le_bytes);
    taken.iter().flat_map(pair).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const INPUT: Awaited = Awaited {
        remote: RemoteFd(5),
        events: libc::POLLOUT,
    };
    const OUTPUT: Awaited = Awaited {
        remote: RemoteFd(0x102),
        events: libc::POLLIN,
    };

    #[test]
    fn what_is_ready_is_waited_for_no_more() {
        let lookout = Lookout::new();
        *lookout.places() = vec![Place::New(INPUT), Place::Empty, Place::New(OUTPUT)];
        let taken = lookout.take();
        assert_eq!(taken, [(0, INPUT), (2, OUTPUT)]);
        lookout.settle(&taken, 0b10);
        assert_eq!(
            *lookout.places(),
            [Place::Known(INPUT), Place::Empty, Place::Ready]
        );
        assert_eq!(lookout.take(), [(0, INPUT)]);
    }

    #[test]
    fn who_came_in_the_meantime_is_not_taken_for_ready() {
        let lookout = Lookout::new();
        let at = lookout.place();
        lookout.places()[at] = Place::New(OUTPUT);
        let taken = lookout.take();
        // It was called away, and waits again.
        lookout.places()[at] = Place::New(OUTPUT);
        lookout.settle(&taken, 1);
        assert_eq!(lookout.places()[at], Place::New(OUTPUT));
    }

    #[test]
    fn pairs_are_packed_as_the_host_takes_them() {
        let bytes = packed(&[(0, INPUT), (1, OUTPUT)]);
        assert_eq!(bytes, [5, 0, 0, 0, 4, 0, 0, 0, 2, 1, 0, 0, 1, 0, 0, 0]);
    }
}
