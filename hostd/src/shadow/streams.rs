//! Pipes and terminals of a session, and how many bytes it has moved through each for its programs.
//!
//! What a program reads and writes itself, a file of the host that was handed to it, crosses nothing and is not counted. Nor is
//! what another session moves that a pipe was passed on to. The counts are on the board, so that hostd knows them when this
//! process is gone.

use crate::board::Board;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A program that has a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct User {
    /// Where its bytes are counted.
    place: u32,
    /// It reads the stream.
    reads: bool,
    /// It writes to the stream.
    writes: bool,
}

/// A pipe or a terminal.
#[derive(Debug, Default)]
struct Stream {
    users: Vec<User>,
    /// Bytes moved before a program had it.
    written: u64,
}

/// The streams by their descriptors.
#[derive(Debug, Default)]
pub struct Streams {
    by_number: Mutex<BTreeMap<i32, Arc<Mutex<Stream>>>>,
    /// How many descriptors there are, for sessions that have none: every transfer asks.
    count: AtomicUsize,
}

/// The standard streams that a program is to have, whatever becomes of their descriptors.
#[derive(Debug, Default)]
pub struct Held([Option<Arc<Mutex<Stream>>>; 3]);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Streams {
    fn change<T>(&self, f: impl FnOnce(&mut BTreeMap<i32, Arc<Mutex<Stream>>>) -> T) -> T {
        let mut all = lock(&self.by_number);
        let answer = f(&mut all);
        self.count.store(all.len(), Ordering::Relaxed);
        answer
    }

    fn of(&self, fd: i32) -> Option<Arc<Mutex<Stream>>> {
        match self.count.load(Ordering::Relaxed) {
            0 => None,
            _ => lock(&self.by_number).get(&fd).cloned(),
        }
    }

    /// Descriptors of a stream that has just been made.
    pub fn add(&self, fds: &[i32]) {
        let stream = Arc::new(Mutex::new(Stream::default()));
        let entries = fds.iter().map(|fd| (*fd, stream.clone()));
        self.change(|all| all.extend(entries));
    }

    /// A descriptor has been duplicated.
    pub fn duplicate(&self, fd: i32, new: i32) {
        if let Some(stream) = self.of(fd) {
            self.change(|all| all.insert(new, stream));
        }
    }

    /// A descriptor is being closed.
    pub fn close(&self, fd: i32) {
        if self.count.load(Ordering::Relaxed) != 0 {
            self.change(|all| all.remove(&fd));
        }
    }

    /// Forgets all of them.
    pub fn clear(&self) {
        self.change(BTreeMap::clear);
    }

    /// What stands behind these descriptors, for a program that is to be started.
    pub fn hold(&self, fds: [Option<i32>; 3]) -> Held {
        Held(fds.map(|fd| self.of(fd?)))
    }

    /// A program has these; its bytes are counted at this place.
    pub fn give(board: &Board, Held(streams): &Held, place: u32) {
        for (number, stream) in streams.iter().enumerate() {
            let Some(stream) = stream else {
                continue;
            };
            let mut stream = lock(stream);
            let known = stream.users.iter().position(|user| user.place == place);
            let at = known.unwrap_or_else(|| {
                stream.users.push(User {
                    place,
                    reads: false,
                    writes: false,
                });
                stream.users.len() - 1
            });
            match number {
                0 => {
                    stream.users[at].reads = true;
                    let written = std::mem::take(&mut stream.written);
                    board.job(place).carry_in(written);
                }
                _ => stream.users[at].writes = true,
            }
        }
    }

    /// A program's bytes are counted no more.
    pub fn take_back(&self, place: u32) {
        for stream in lock(&self.by_number).values() {
            lock(stream).users.retain(|user| user.place != place);
        }
    }

    /// The session has written.
    pub fn wrote(&self, board: &Board, fd: i32, bytes: u64) {
        let Some(stream) = self.of(fd) else {
            return;
        };
        let mut stream = lock(&stream);
        if stream.users.is_empty() {
            stream.written += bytes;
        }
        let readers = stream.users.iter().filter(|user| user.reads);
        readers.for_each(|user| board.job(user.place).carry_in(bytes));
    }

    /// The session has read. From a program's input it takes back what that has left.
    pub fn read(&self, board: &Board, fd: i32, bytes: u64) {
        let Some(stream) = self.of(fd) else {
            return;
        };
        for user in &lock(&stream).users {
            match user.writes {
                true => board.job(user.place).carry_out(bytes),
                false => board.job(user.place).carry_back(bytes),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(board: &Board, place: u32) -> (u64, u64) {
        let bytes = board.job(place).get();
        (bytes.to_program, bytes.from_program)
    }

    #[test]
    fn bytes_are_those_of_the_programs_that_have_a_stream() {
        let (board, _) = Board::create(1, 2).unwrap();
        let streams = Streams::default();
        streams.wrote(&board, 3, 100);
        streams.add(&[3, 4]);
        streams.add(&[5, 6]);
        streams.wrote(&board, 4, 10);
        let held = streams.hold([Some(3), Some(6), Some(6)]);
        streams.close(6);
        Streams::give(&board, &held, 0);
        assert_eq!(counts(&board, 0), (10, 0));
        streams.wrote(&board, 4, 5);
        streams.read(&board, 5, 7);
        assert_eq!(counts(&board, 0), (15, 7));
        // What the program has not read.
        streams.read(&board, 3, 2);
        assert_eq!(counts(&board, 0), (13, 7));
        streams.duplicate(5, 9);
        streams.close(5);
        streams.read(&board, 9, 1);
        streams.read(&board, 5, 1);
        streams.take_back(0);
        streams.read(&board, 9, 1);
        assert_eq!(counts(&board, 0), (13, 8));
    }

    #[test]
    fn a_terminal_goes_both_ways() {
        let (board, _) = Board::create(1, 2).unwrap();
        let streams = Streams::default();
        streams.add(&[3]);
        Streams::give(&board, &streams.hold([Some(3); 3]), 1);
        streams.wrote(&board, 3, 4);
        streams.read(&board, 3, 9);
        assert_eq!((counts(&board, 1), counts(&board, 0)), ((4, 9), (0, 0)));
    }
}
