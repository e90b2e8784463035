//! Readiness of host files beside the guest's own descriptors: poll(2) and select(2).
//!
//! The guest kernel waits for its own, the host for its files, and no call waits for both. Whatever is ready at once is
//! answered at once. A single file of the host's with nothing of the guest's beside it is waited for on the host. All else is
//! waited for in the guest kernel, in steps, with a look at the host's files between them. Signals are let in by the steps
//! alone then, as by ppoll(2), so that none is handled unnoticed; and libc is left out of them, which would end a cancelled thread
//! with its signals blocked.

pub mod list;
pub mod sets;
mod terms;

pub use terms::{Back, Terms};

use crate::fds::Age;
use crate::real::{errno, failed};
use crate::{cancel, fds, session, signals};
use hostcall::cancellation;
use hostcall::ops::Calls;
use hostcall::types::Errno;
use libc::c_int;
use std::time::Duration;

/// First and longest step in the guest kernel.
const STEP: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(20));

/// What a file has that is ready at any time.
const ALWAYS: i16 = libc::POLLIN | libc::POLLOUT | libc::POLLRDNORM | libc::POLLWRNORM;

/// What a call asks for.
trait Asked {
    /// Has the guest kernel wait for its own descriptors, so long at most, with this mask of signals if there is one. Answers as
    /// libc's functions do.
    fn guests(&mut self, limit: Duration, mask: Option<u64>) -> c_int;

    /// Notes which host files are ready besides; how many answers these are.
    ///
    /// # Errors
    /// `EINTR`: a handler has run.
    fn hosts(&mut self) -> Result<c_int, Errno>;

    /// The host file and its events if nothing else is asked for.
    fn alone(&mut self) -> Option<(c_int, i16)>;
}

/// Waits until something is ready that is asked for.
fn wait(asked: &mut impl Asked, terms: &mut Terms) -> c_int {
    let ready = loop {
        let ready = look(asked, Duration::ZERO, None);
        // Who does not wait is not interrupted.
        if ready != -1 || errno() != Errno(libc::EINTR) || !terms.are_a_look() {
            break ready;
        }
    };
    if ready != 0 || terms.are_a_look() {
        return ready;
    }
    terms.begin();
    // Where signals are to be let in just for the call, only a system call can do that.
    let alone = asked.alone().filter(|_| terms.leave_signals_alone());
    let ready = match alone {
        Some((fd, events)) => on_the_host(asked, terms, fd, events),
        None => in_steps(asked, terms),
    };
    terms.end();
    ready
}

/// What a call answers that has waited, with the errno that came with it. A cancelled thread ends here, so nothing is in hand any more.
fn answer(ready: c_int, error: Errno) -> c_int {
    if ready == -1 && error == Errno(libc::EINTR) {
        cancel::interrupted();
    }
    match ready {
        -1 => failed(error),
        ready => ready,
    }
}

/// Asks both kernels.
fn look(asked: &mut impl Asked, limit: Duration, mask: Option<u64>) -> c_int {
    match asked.guests(limit, mask) {
        -1 => -1,
        guests => asked.hosts().map_or_else(failed, |hosts| guests + hosts),
    }
}

fn on_the_host(asked: &mut impl Asked, terms: &Terms, fd: c_int, events: i16) -> c_int {
    if let Err(errno) = ask(fd, events, terms.left()) {
        return failed(errno);
    }
    match look(asked, Duration::ZERO, None) {
        // The time is over, or there is what poll(2) tells unasked and select(2) does not.
        0 => in_steps(asked, terms),
        ready => ready,
    }
}

fn in_steps(asked: &mut impl Asked, terms: &Terms) -> c_int {
    let own = signals::block();
    let mask = terms.mask().unwrap_or(own);
    let mut step = STEP.0;
    let ready = loop {
        let left = terms.left();
        let limit = left.map_or(step, |left| left.min(step));
        let ready = look(asked, limit, Some(mask));
        if ready != 0 || left == Some(limit) {
            break ready;
        }
        if cancellation::is_wanted() {
            break failed(Errno(libc::EINTR));
        }
        step = (step * 2).min(STEP.1);
    };
    signals::restore(own);
    ready
}

/// What a host file is ready for now, of these events and those that nobody needs to ask for.
fn host(fd: c_int, events: i16) -> Result<i16, Errno> {
    ask(fd, events, Some(Duration::ZERO))
}

/// The same once there is something, or the time is over.
///
/// # Errors
/// `EINTR` and no other: what else is wrong with a file, whoever reads it or writes to it is told.
fn ask(fd: c_int, events: i16, limit: Option<Duration>) -> Result<i16, Errno> {
    let then = Age::now();
    let Some(entry) = fds::entry(fd) else {
        return Ok(libc::POLLNVAL);
    };
    if entry.ready {
        return Ok(events & ALWAYS);
    }
    let wanted = u32::from(events as u16);
    let timeout = limit.map_or(-1, |limit| limit.as_nanos().try_into().unwrap_or(i64::MAX));
    let asked = session::client().and_then(|client| client.poll(entry.remote, wanted, timeout));
    match asked {
        Ok(reply) => {
            if reply.always != 0 {
                fds::note_ready(fd, then);
            }
            Ok(reply.ready as i16)
        }
        Err(Errno(libc::EINTR)) => Err(Errno(libc::EINTR)),
        Err(Errno(libc::EBADF)) => Ok(libc::POLLNVAL),
        Err(_) => Ok(libc::POLLERR),
    }
}
