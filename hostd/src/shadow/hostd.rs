//! A shadow's line to hostd: requests of its lanes, one at a time, answered through the main thread.

use crate::message::{self, FromShadow};
use hostcall::types::Errno;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// hostd's answer to the last request: no, or what was asked for.
type Answer = Result<Granted, Errno>;

/// What hostd gives.
#[derive(Debug, Default)]
pub struct Granted {
    /// A file.
    pub file: Option<OwnedFd>,
    /// A number; 0 where none is asked for.
    pub value: u32,
}

/// The line.
#[derive(Debug)]
pub struct Hostd {
    control: BorrowedFd<'static>,
    turn: Mutex<()>,
    answer: Mutex<Option<Answer>>,
    answered: Condvar,
}

/// A program would take the line's own errors for its call's: a write's broken pipe, say, where hostd is gone.
fn io(error: std::io::Error) -> Errno {
    match error.raw_os_error() {
        None | Some(libc::EPIPE | libc::ECONNRESET | libc::ENOTCONN) => Errno(libc::EIO),
        Some(errno) => Errno(errno),
    }
}

impl Hostd {
    /// The line over the shadow's control socket.
    pub fn new(control: BorrowedFd<'static>) -> Hostd {
        Hostd {
            control,
            turn: Mutex::new(()),
            answer: Mutex::new(None),
            answered: Condvar::new(),
        }
    }

    /// The right to make a request; kept until its [`answer`](Hostd::answer).
    pub fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a lane waits for an answer, or is about to.
    pub fn is_asked(&self) -> bool {
        self.turn.try_lock().is_err()
    }

    /// Sends without waiting for an answer.
    pub fn tell(&self, message: &FromShadow, fds: &[RawFd]) -> Result<(), Errno> {
        message::send(&self.control, message, fds).map_err(io)
    }

    /// Has a lane named to the guest, unless hostd is behind: the guest's thread looks by itself before long.
    pub fn ring(&self, lane: u32) {
        let _ = message::try_send(&self.control, &FromShadow::Ring { lane }, &[]);
    }

    /// Sends a part of the files of a child under preparation. What another lane has closed meanwhile the child does not have.
    pub fn tell_files(&self, files: &[(RawFd, bool)]) -> Result<(), Errno> {
        let closed = Errno(libc::EBADF);
        match self.tell_part(files, false) {
            Err(errno) if errno == closed => files.chunks(1).try_for_each(|file| {
                let told = self.tell_part(file, false);
                told.or_else(|errno| if errno == closed { Ok(()) } else { Err(errno) })
            }),
            told => told,
        }
    }

    /// Tells that those were all.
    pub fn tell_no_more_files(&self) -> Result<(), Errno> {
        self.tell_part(&[], true)
    }

    fn tell_part(&self, files: &[(RawFd, bool)], last: bool) -> Result<(), Errno> {
        let fds: Vec<RawFd> = files.iter().map(|(fd, _)| *fd).collect();
        self.tell(
            &FromShadow::ForkFiles {
                files: files.to_vec(),
                last,
            },
            &fds,
        )
    }

    /// Waits for the answer to the request made in this turn.
    pub fn answer(&self, turn: MutexGuard<'_, ()>) -> Answer {
        let mut answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = loop {
            match answer.take() {
                Some(answer) => break answer,
                None => {
                    answer = self
                        .answered
                        .wait(answer)
                        .unwrap_or_else(PoisonError::into_inner)
                }
            }
        };
        drop(turn);
        answer
    }

    /// Makes a request and waits for its answer.
    pub fn ask(&self, message: &FromShadow, fds: &[RawFd]) -> Answer {
        let turn = self.turn();
        self.tell(message, fds)?;
        self.answer(turn)
    }

    /// Main thread: delivers the answer that it is no.
    pub fn refuse(&self, errno: Errno) {
        self.deliver(Err(errno));
    }

    /// Main thread: delivers an answer.
    pub fn deliver(&self, answer: Answer) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
        self.answered.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_dead_hostd_is_no_broken_pipe_of_the_programs() {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        drop(theirs);
        let ours: &'static UnixStream = Box::leak(Box::new(ours));
        let hostd = Hostd::new(ours.as_fd());
        let told = hostd.tell(&FromShadow::Settle, &[]);
        assert_eq!(told, Err(Errno(libc::EIO)));
    }
}
