//! Programs that hostd has been asked to start, by the numbers of their jobs, and what it has answered.
//!
//! Several can be on their way at once: who starts a pipeline need not wait for each program before it asks for the next.

use super::streams::{Held, Streams};
use crate::board::Board;
use hostcall::types::Errno;
use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Starts on their way at once, those included whose answer nobody has taken.
const MOST: usize = 64;

/// An answer that is no.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    /// For programs.
    pub errno: Errno,
    /// For people, where errno does not say all: one line that names the cure.
    pub reason: Option<String>,
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Refusal {
        Refusal {
            errno,
            reason: None,
        }
    }
}

/// hostd's answer: the program runs, or why not.
pub type Answer = Result<(), Refusal>;

/// Those of a session.
#[derive(Debug, Default)]
pub struct Starts {
    all: Mutex<Numbered>,
    answered: Condvar,
}

#[derive(Debug, Default)]
struct Numbered {
    /// The last number that was given; none is given twice.
    last: u32,
    /// Those whose answer nobody has taken.
    untaken: BTreeMap<u32, Start>,
}

/// How far one is.
#[derive(Debug)]
enum Start {
    /// hostd is asked for a program with these streams.
    Asked(Held),
    /// It has answered.
    Answered(Answer),
}

impl Starts {
    fn all(&self) -> MutexGuard<'_, Numbered> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of a job that hostd is about to be asked for, with these streams.
    ///
    /// # Errors
    /// `EAGAIN` if too many are on their way.
    pub fn begin(&self, streams: Held) -> Result<u32, Errno> {
        let mut all = self.all();
        let number = all.last.checked_add(1).ok_or(Errno(libc::EAGAIN))?;
        if all.untaken.len() >= MOST {
            return Err(Errno(libc::EAGAIN));
        }
        all.last = number;
        all.untaken.insert(number, Start::Asked(streams));
        Ok(number)
    }

    /// hostd was not asked for it after all.
    pub fn withdraw(&self, job: u32) {
        self.all().untaken.remove(&job);
    }

    /// Whether hostd owes no answer.
    pub fn can_be_cleared(&self) -> bool {
        let is_asked = |start: &Start| matches!(start, Start::Asked(_));
        !self.all().untaken.values().any(is_asked)
    }

    /// Begins anew. What hostd tells of the old ones comes ahead of the next process, while there is none.
    pub fn clear(&self) {
        *self.all() = Numbered::default();
    }

    /// Whether a job is on its way, or nobody has taken the answer.
    pub fn holds(&self, job: u32) -> bool {
        self.all().untaken.contains_key(&job)
    }

    /// Main thread: a program runs; its bytes are counted at this place. Those who wait for it may move some at once.
    pub fn run(&self, job: u32, board: &Board, place: u32) {
        if let Some(Start::Asked(streams)) = self.all().untaken.get(&job) {
            Streams::give(board, streams, place);
        }
        self.answer(job, Ok(()));
    }

    /// Main thread: a program was not started.
    pub fn refuse(&self, job: u32, errno: Errno, reason: Option<String>) {
        self.answer(job, Err(Refusal { errno, reason }));
    }

    fn answer(&self, job: u32, answer: Answer) {
        if let Some(start) = self.all().untaken.get_mut(&job) {
            *start = Start::Answered(answer);
        }
        self.answered.notify_all();
    }

    /// Waits for the answer and takes it.
    ///
    /// # Errors
    /// hostd's no; `ESRCH` if no such job is on its way.
    pub fn wait(&self, job: u32) -> Answer {
        let mut all = self.all();
        while let Some(Start::Asked(_)) = all.untaken.get(&job) {
            let waited = self.answered.wait(all);
            all = waited.unwrap_or_else(PoisonError::into_inner);
        }
        match all.untaken.remove(&job) {
            Some(Start::Answered(answer)) => answer,
            _ => Err(Errno(libc::ESRCH).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_in_any_order_and_are_taken_once() {
        let starts = Starts::default();
        let [first, second] = [(); 2].map(|()| starts.begin(Held::default()).unwrap());
        starts.answer(second, Ok(()));
        starts.answer(first, Err(Errno(libc::ENOENT).into()));
        starts.answer(second + 1, Ok(()));
        assert_eq!(starts.wait(first), Err(Errno(libc::ENOENT).into()));
        assert!(starts.holds(second) && !starts.holds(first) && !starts.holds(second + 1));
        assert_eq!(starts.wait(second), Ok(()));
        assert_eq!(starts.wait(second), Err(Errno(libc::ESRCH).into()));
    }

    #[test]
    fn answers_that_nobody_takes_have_a_limit() {
        let starts = Starts::default();
        let numbers: Vec<u32> = (0..MOST)
            .map(|_| starts.begin(Held::default()).unwrap())
            .collect();
        assert_eq!(starts.begin(Held::default()), Err(Errno(libc::EAGAIN)));
        starts.withdraw(numbers[3]);
        let next = starts.begin(Held::default()).unwrap();
        assert!(numbers.iter().all(|number| *number < next));
        assert!(!starts.can_be_cleared());
        starts.clear();
        assert!(starts.can_be_cleared() && !starts.holds(next));
        assert_eq!(starts.begin(Held::default()), Ok(numbers[0]));
    }
}
