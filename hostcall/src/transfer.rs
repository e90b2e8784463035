//! Reads and writes of any length: chunks in flight together, so that one is copied while the next is executed.
//!
//! Chunks of one transfer are linked: once one is short or fails, the shadow does not execute those behind it. So a
//! transfer ends where a single system call would have ended. Only regular files are pipelined; on anything else
//! (FIFO, device) a second chunk could wait for data that the first did not, so one chunk is asked for at a time.
//! An appending write that fits the arena goes in one piece and is as atomic as on the host; a larger one is atomic
//! in pieces of the arena's size.
#![allow(unsafe_code)]

use crate::acting::{Approach, As};
use crate::client::add_surplus;
use crate::ops::{request, Calls};
use crate::region::{ARENA, CHUNK};
use crate::ring::DEPTH;
use crate::table::Request;
use crate::types::{AtFlags, Errno, Offset, RemoteFd, RwFlags};
use crate::wire::{flags, Sink, Source};
use libc::iovec;

/// What is known of a file, so that the host need not be asked ahead of a large transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// Nothing.
    Nothing,
    /// It is a regular file, opened without `O_APPEND`.
    Plain,
}

/// Reads into `vectors`, readv(2), preadv2(2): the bytes read, which may be fewer than asked for.
///
/// # Safety
/// What there is of the buffers must be writable.
pub unsafe fn read_vectored<'c>(
    caller: impl Into<As<'c>>,
    fd: RemoteFd,
    offset: Offset,
    rw: RwFlags,
    vectors: &[iovec],
) -> Result<usize, Errno> {
    // SAFETY: the caller's promise.
    unsafe { read_known(caller.into(), fd, Known::Nothing, offset, rw, vectors) }
}

/// # Safety
/// What there is of the buffers must be writable.
unsafe fn read_known(
    caller: As<'_>,
    fd: RemoteFd,
    known: Known,
    offset: Offset,
    rw: RwFlags,
    vectors: &[iovec],
) -> Result<usize, Errno> {
    let total = total(vectors)?;
    let shape = match total > CHUNK && !regular(caller, fd, known)? {
        true => Shape {
            total: CHUNK,
            ..Shape::pipelined(total)
        },
        false => Shape::pipelined(total),
    };
    let make = |vectors, skip, len, offset| {
        // SAFETY: the caller's promise.
        let sink = unsafe { Sink::from_vectors(vectors, skip, len) };
        request::Read {
            fd,
            offset,
            flags: rw,
            sink,
        }
    };
    transfer(caller, vectors, offset, shape, make, |reply| reply.filled.0)
}

/// Writes `vectors`, writev(2), pwritev2(2): the bytes written, which may be fewer than given.
///
/// # Safety
/// What there is of the buffers must be readable.
pub unsafe fn write_vectored<'c>(
    caller: impl Into<As<'c>>,
    fd: RemoteFd,
    offset: Offset,
    rw: RwFlags,
    vectors: &[iovec],
) -> Result<usize, Errno> {
    // SAFETY: the caller's promise.
    unsafe { write_known(caller.into(), fd, Known::Nothing, offset, rw, vectors) }
}

/// # Safety
/// What there is of the buffers must be readable.
unsafe fn write_known(
    caller: As<'_>,
    fd: RemoteFd,
    known: Known,
    offset: Offset,
    rw: RwFlags,
    vectors: &[iovec],
) -> Result<usize, Errno> {
    let total = total(vectors)?;
    let shape = match total <= CHUNK {
        true => Shape::pipelined(total),
        false if rw.0 & libc::RWF_APPEND != 0 || appends(caller, fd, known)? => Shape {
            total,
            chunk: ARENA,
            depth: 1,
            flags: flags::WIDE,
        },
        false if regular(caller, fd, known)? => Shape::pipelined(total),
        false => Shape {
            depth: 1,
            ..Shape::pipelined(total)
        },
    };
    let make = |vectors, skip, len, offset| {
        // SAFETY: the caller's promise.
        let source = unsafe { Source::from_vectors(vectors, skip, len) };
        request::Write {
            fd,
            offset,
            flags: rw,
            source,
        }
    };
    transfer(caller, vectors, offset, shape, make, |reply| {
        reply.written as usize
    })
}

/// Reads at an offset into one buffer: the bytes read.
pub fn read<'c>(
    caller: impl Into<As<'c>>,
    fd: RemoteFd,
    known: Known,
    offset: Offset,
    buffer: &mut [u8],
) -> Result<usize, Errno> {
    let vector = iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    // SAFETY: the vector is the whole of a live, exclusive slice.
    unsafe { read_known(caller.into(), fd, known, offset, RwFlags(0), &[vector]) }
}

/// Writes one buffer at an offset, or as the flags say: the bytes written.
pub fn write<'c>(
    caller: impl Into<As<'c>>,
    fd: RemoteFd,
    known: Known,
    offset: Offset,
    rw: RwFlags,
    data: &[u8],
) -> Result<usize, Errno> {
    let vector = iovec {
        iov_base: data.as_ptr().cast_mut().cast(),
        iov_len: data.len(),
    };
    // SAFETY: the vector is the whole of a live slice, which is only read.
    unsafe { write_known(caller.into(), fd, known, offset, rw, &[vector]) }
}

/// How a transfer is cut.
#[derive(Clone, Copy)]
struct Shape {
    /// Bytes to move.
    total: usize,
    /// Bytes of a call.
    chunk: usize,
    /// Calls in flight.
    depth: usize,
    /// Flags of every call.
    flags: u32,
}

impl Shape {
    fn pipelined(total: usize) -> Shape {
        Shape {
            total,
            chunk: CHUNK,
            depth: DEPTH,
            flags: 0,
        }
    }
}

/// Sum of the lengths, which readv(2) limits to `SSIZE_MAX`.
fn total(vectors: &[iovec]) -> Result<usize, Errno> {
    let sum = vectors
        .iter()
        .try_fold(0usize, |sum, vector| sum.checked_add(vector.iov_len));
    sum.filter(|sum| *sum <= isize::MAX as usize)
        .ok_or(Errno(libc::EINVAL))
}

fn regular(caller: As<'_>, fd: RemoteFd, known: Known) -> Result<bool, Errno> {
    if known == Known::Plain {
        return Ok(true);
    }
    let mut data = std::mem::MaybeUninit::<libc::statx>::zeroed();
    // SAFETY: the sink is the whole of a live statx, for which every bit pattern is a value.
    let data = unsafe {
        let sink = Sink::from_raw(data.as_mut_ptr().cast(), size_of::<libc::statx>());
        caller.statx(
            fd.into(),
            c"",
            AtFlags(libc::AT_EMPTY_PATH),
            libc::STATX_TYPE,
            sink,
        )?;
        data.assume_init()
    };
    Ok(u32::from(data.stx_mode) & libc::S_IFMT == libc::S_IFREG)
}

fn appends(caller: As<'_>, fd: RemoteFd, known: Known) -> Result<bool, Errno> {
    Ok(known == Known::Nothing && caller.fcntl(fd, libc::F_GETFL, 0)?.value & libc::O_APPEND != 0)
}

/// Moves bytes by calls that `make` builds for (vectors, skip, length, offset); `moved` reads a reply.
fn transfer<'v, R: Request + Copy>(
    caller: As<'_>,
    mut vectors: &'v [iovec],
    offset: Offset,
    shape: Shape,
    make: impl Fn(&'v [iovec], usize, usize, Offset) -> R,
    moved: impl Fn(R::Reply) -> usize,
) -> Result<usize, Errno> {
    if caller.client.lost() {
        return Err(Errno(libc::ENOTCONN));
    }
    let mut lane = caller.client.lane()?;
    let mut approach = caller.approach(&mut lane)?;
    if shape.total > CHUNK {
        lane.make_ready();
    }
    if shape.flags & flags::WIDE != 0 {
        // A wide payload needs the arena to itself.
        lane.settle()?;
        lane.arrive(approach, 0)?;
        approach = Approach::Done;
    }
    let mut approach = Some(approach);
    let mut flying = [None::<(R, usize)>; DEPTH];
    let (mut skip, mut sent, mut calls, mut received, mut done) = (0, 0, 0usize, 0usize, 0);
    let (mut end, mut ended) = (None, false);
    loop {
        while end.is_none()
            && calls - received < shape.depth
            && lane.has_room()
            && (sent < shape.total || calls == 0)
        {
            while vectors.first().is_some_and(|first| first.iov_len <= skip) && sent < shape.total {
                skip -= vectors[0].iov_len;
                vectors = &vectors[1..];
            }
            let len = shape.chunk.min(shape.total - sent);
            let at = if offset == Offset::CURRENT {
                offset
            } else {
                Offset(offset.0.wrapping_add(sent as i64))
            };
            let request = make(vectors, skip, len, at);
            let link = match &approach {
                Some(approach) if calls == 0 => approach.flags(),
                _ if calls > received => flags::LINK,
                _ => 0,
            };
            match lane.send(&request, shape.flags | link) {
                // What is in flight before it is written.
                Err(Errno(libc::EFAULT)) if calls > 0 => {
                    end = Some(Err(Errno(libc::EFAULT)));
                    break;
                }
                sent => sent?,
            }
            flying[calls % DEPTH] = Some((request, len));
            (skip, sent, calls) = (skip + len, sent + len, calls + 1);
        }
        if let Some(approach) = approach.take() {
            lane.arrive(approach, calls)?;
        }
        let Some((request, len)) = flying[received % DEPTH].take() else {
            break;
        };
        let answer = lane.receive(R::OP)?;
        received += 1;
        match lane.finish(&request, answer) {
            // Behind a short chunk there are only cancelled ones, unless it is the program's memory that was too short.
            outcome if ended => add_surplus(outcome.map_or(0, &moved)),
            Ok(reply) => {
                let n = moved(reply);
                done += n;
                if n < len {
                    (end, ended) = (Some(Ok(())), true);
                }
            }
            Err(errno) => (end, ended) = (Some(Err(errno)), true),
        }
    }
    match end {
        Some(Err(errno)) if done == 0 => Err(errno),
        _ => Ok(done),
    }
}
