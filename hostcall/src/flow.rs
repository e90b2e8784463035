//! Busy streams, carried where they lie: the guest's kernel reads from a pipe into the chunks of a lane, or writes out of them,
//! while the host moves the others. So no byte is copied on the way, and neither side waits for the other's copy.
//!
//! A thread keeps its lane as long as its flow lasts. A flow is over when the host has not written all of a chunk, or has read
//! nothing; why, whoever goes on by ordinary calls hears. Nothing is lost by that: the end of a flow hands over what was read and
//! not written.
#![allow(unsafe_code)]

use crate::acting::As;
use crate::client::{Client, Guard};
use crate::ops::{request, Op};
use crate::region::CHUNK;
use crate::ring::DEPTH;
use crate::shm::Window;
use crate::table::Request;
use crate::types::{Errno, Offset, RemoteFd, RwFlags};
use crate::wire::{flags, Message, Sink, Source};
use libc::iovec;
use std::collections::VecDeque;
use std::os::fd::{AsRawFd, BorrowedFd};

/// The lane, and the calls that are in flight on it.
struct Kept<'c> {
    lane: Guard<'c>,
    remote: RemoteFd,
    /// The bytes that each call in flight is to move, the oldest call first.
    flying: VecDeque<Window<'c>>,
    /// A call did not do what it should.
    is_over: bool,
}

impl<'c> Kept<'c> {
    fn new(host: &'c Client, remote: RemoteFd) -> Result<Kept<'c>, Errno> {
        if host.lost() {
            return Err(Errno(libc::ENOTCONN));
        }
        let mut lane = host.lane()?;
        lane.settle()?;
        let approach = As::from(host).approach(&mut lane)?;
        lane.arrive(approach, 0)?;
        lane.set_awake(false);
        Ok(Kept {
            lane,
            remote,
            flying: VecDeque::with_capacity(DEPTH),
            is_over: false,
        })
    }

    /// Calls that there is room for.
    fn room(&self) -> usize {
        match self.is_over {
            true => 0,
            false => DEPTH - self.flying.len(),
        }
    }

    /// The chunks of the calls to come that there is room for.
    fn chunks(&mut self) -> Result<Vec<Window<'c>>, Errno> {
        let chunks = (0..self.room()).map(|ahead| self.lane.chunk_ahead(ahead));
        chunks.collect::<Option<_>>().ok_or(Errno(libc::ENOTCONN))
    }

    fn await_answer(&mut self, op: Op) -> Result<Message, Errno> {
        self.lane.set_awake(true);
        let answer = self.lane.receive(op);
        self.lane.set_awake(false);
        answer
    }

    fn send<R: Request>(
        &mut self,
        request: &R,
        flags: u32,
        bytes: Window<'c>,
    ) -> Result<(), Errno> {
        self.lane.send(request, flags)?;
        self.flying.push_back(bytes);
        Ok(())
    }
}

fn write(fd: RemoteFd, data: Window<'_>) -> request::Write<'_> {
    request::Write {
        fd,
        offset: Offset::CURRENT,
        flags: RwFlags(0),
        // SAFETY: a window is readable as long as it lives.
        source: unsafe { Source::from_raw(data.as_ptr(), data.len()) },
    }
}

fn read(fd: RemoteFd, room: Window<'_>) -> request::Read<'_> {
    request::Read {
        fd,
        offset: Offset::CURRENT,
        flags: RwFlags(0),
        // SAFETY: a window is writable as long as it lives.
        sink: unsafe { Sink::from_raw(room.as_ptr(), room.len()) },
    }
}

/// Writes once to a stream of the guest, write(2): the bytes written.
///
/// # Errors
/// The call's.
pub fn put(to: BorrowedFd<'_>, data: Window<'_>) -> Result<usize, Errno> {
    // SAFETY: a window is readable as long as it lives.
    let written = unsafe { libc::write(to.as_raw_fd(), data.as_ptr().cast(), data.len()) };
    Errno::result(written as i64).map(|written| written as usize)
}

/// From a stream of the guest to one of the host.
pub struct Inflow<'c>(Kept<'c>);

impl<'c> Inflow<'c> {
    /// Takes a lane for it.
    ///
    /// # Errors
    /// `ENOTCONN` if the host is gone, and those of naming the caller.
    pub fn begin(host: &'c Client, remote: RemoteFd) -> Result<Inflow<'c>, Errno> {
        Kept::new(host, remote).map(Inflow)
    }

    /// Whether more can be read.
    pub fn has_room(&self) -> bool {
        self.0.room() > 0
    }

    /// Reads once from the guest's stream, which is not to wait, as much as there is room for, and has the host write that: the
    /// bytes read.
    ///
    /// # Errors
    /// readv(2)'s; `ENOTCONN`.
    pub fn feed(&mut self, from: BorrowedFd<'_>) -> Result<usize, Errno> {
        let chunks = self.0.chunks()?;
        let vector = |chunk: &Window<'_>| iovec {
            iov_base: chunk.as_ptr().cast(),
            iov_len: chunk.len(),
        };
        let vectors: Vec<iovec> = chunks.iter().map(vector).collect();
        // SAFETY: each buffer is a chunk of the lane that no call in flight has; it stays mapped.
        let read = unsafe { libc::readv(from.as_raw_fd(), vectors.as_ptr(), vectors.len() as i32) };
        let read = Errno::result(read as i64)? as usize;
        let mut rest = read;
        for chunk in chunks {
            let Some(data) = chunk
                .part(0, rest.min(CHUNK))
                .filter(|data| !data.is_empty())
            else {
                break;
            };
            // Behind one that was short or failed nothing may be written.
            let link = match self.0.flying.is_empty() {
                true => 0,
                false => flags::LINK,
            };
            self.0.send(&write(self.0.remote, data), link, data)?;
            rest -= data.len();
        }
        Ok(read)
    }

    /// Takes the answers that are there, or waits for one if `must`. The bytes that have been written.
    ///
    /// # Errors
    /// `ENOTCONN`.
    pub fn settle(&mut self, must: bool, left: &mut Vec<u8>) -> Result<usize, Errno> {
        let (mut written, mut must) = (0, must);
        while let Some(data) = self.0.flying.front().copied() {
            let answer = match std::mem::take(&mut must) {
                true => self.0.await_answer(Op::Write)?,
                false => match self.0.lane.look()? {
                    Some(answer) => answer,
                    None => break,
                },
            };
            self.0.flying.pop_front();
            written += self.take_stock(data, answer, left);
        }
        Ok(written)
    }

    /// Waits for all answers. The bytes that have been written; what has not goes to `left`.
    ///
    /// # Errors
    /// `ENOTCONN`.
    pub fn end(mut self, left: &mut Vec<u8>) -> Result<usize, Errno> {
        let mut written = 0;
        while !self.0.flying.is_empty() {
            written += self.settle(true, left)?;
        }
        Ok(written)
    }

    fn take_stock(&mut self, data: Window<'_>, answer: Message, left: &mut Vec<u8>) -> usize {
        let reply = self.0.lane.finish(&write(self.0.remote, data), answer);
        let written = reply.map_or(0, |reply| data.len().min(reply.written as usize));
        self.0.is_over |= written < data.len();
        data.behind(written).append_to(left);
        written
    }

    /// Whether somebody else of this process waits for a lane.
    pub fn is_in_the_way(&self) -> bool {
        self.0.lane.is_wanted()
    }
}

/// From a stream of the host to one of the guest.
pub struct Outflow<'c>(Kept<'c>);

impl<'c> Outflow<'c> {
    /// Takes a lane for it.
    ///
    /// # Errors
    /// `ENOTCONN` if the host is gone, and those of naming the caller.
    pub fn begin(host: &'c Client, remote: RemoteFd) -> Result<Outflow<'c>, Errno> {
        Kept::new(host, remote).map(Outflow)
    }

    /// Has the host read ahead, and waits for the bytes that come first, which stay until the next call. `None`: the flow is over.
    ///
    /// # Errors
    /// `ENOTCONN`.
    pub fn receive(&mut self) -> Result<Option<Window<'c>>, Errno> {
        for chunk in self.0.chunks()? {
            self.0.send(&read(self.0.remote, chunk), 0, chunk)?;
        }
        let Some(chunk) = self.0.flying.pop_front() else {
            return Ok(None);
        };
        let answer = self.0.await_answer(Op::Read)?;
        let data = self.filled(chunk, answer);
        self.0.is_over = data.is_none();
        Ok(data)
    }

    /// Ends those calls that still wait. What others have read goes to `left`.
    ///
    /// # Errors
    /// `ENOTCONN`.
    pub fn end(mut self, left: &mut Vec<u8>) -> Result<(), Errno> {
        while let Some(chunk) = self.0.flying.pop_front() {
            let answer = match self.0.lane.look()? {
                Some(answer) => answer,
                None => {
                    self.0.lane.cancel_next();
                    self.0.await_answer(Op::Read)?
                }
            };
            if let Some(data) = self.filled(chunk, answer) {
                data.append_to(left);
            }
        }
        Ok(())
    }

    fn filled(&mut self, chunk: Window<'c>, answer: Message) -> Option<Window<'c>> {
        let reply = self.0.lane.finish(&read(self.0.remote, chunk), answer);
        let filled = reply.ok()?.filled.0;
        chunk.part(0, filled).filter(|data| !data.is_empty())
    }

    /// Whether somebody else of this process waits for a lane.
    pub fn is_in_the_way(&self) -> bool {
        self.0.lane.is_wanted()
    }
}
