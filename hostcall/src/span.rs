//! Memory that a call copies from or to: the calling program's on the guest's side, a part of the chunk on the host's.
#![allow(unsafe_code)]

use crate::shm::{memory_to_window, window_to_memory, Window};
use crate::types::Errno;
use crate::wire::{Extent, Field, Payload, ProtocolError, Reader, Writer};
use libc::iovec;
use std::fmt;
use std::marker::PhantomData;

/// One piece, or one piece and the heads of further buffers.
#[derive(Clone, Copy, Debug)]
struct Span<'a> {
    first: *mut u8,
    first_len: usize,
    rest: &'a [iovec],
    len: usize,
}

impl Span<'_> {
    fn one(first: *mut u8, len: usize) -> Self {
        Span {
            first,
            first_len: len,
            rest: &[],
            len,
        }
    }

    /// Calls `f` with each piece of the first `limit` bytes and its place in the whole, until one is not moved whole: how many
    /// bytes were. `f` says how many of a piece are left.
    fn pieces(&self, limit: usize, mut f: impl FnMut(*mut u8, usize, usize) -> usize) -> usize {
        let mut done = 0;
        let first = std::iter::once((self.first, self.first_len));
        for (ptr, len) in first.chain(
            self.rest
                .iter()
                .map(|vector| (vector.iov_base.cast(), vector.iov_len)),
        ) {
            let len = len.min(self.len.min(limit) - done);
            let left = f(ptr, len, done);
            done += len - left;
            if left > 0 {
                break;
            }
        }
        done
    }
}

macro_rules! span {
    ($(#[$doc:meta])* $name:ident, $access:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name<'a>(Span<'a>, PhantomData<&'a mut [u8]>);

        impl<'a> $name<'a> {
            #[doc = concat!("`len` bytes at `ptr`.\n\n# Safety\nWhat there is of the range must be ", $access, " for `'a`.")]
            pub unsafe fn from_raw(ptr: *mut u8, len: usize) -> $name<'a> {
                $name(Span::one(ptr, len), PhantomData)
            }

            #[doc = concat!("The `len` bytes that begin `skip` bytes into the first of `vectors`.\n\n# Safety\nWhat there is of the buffers must be ", $access, " for `'a`, `skip` within the first, `len` within all.")]
            pub unsafe fn from_vectors(vectors: &'a [iovec], skip: usize, len: usize) -> $name<'a> {
                let Some((head, rest)) = vectors.split_first() else { return $name(Span::one(std::ptr::dangling_mut(), 0), PhantomData) };
                // SAFETY: within the first buffer by the caller's promise.
                let first = unsafe { head.iov_base.cast::<u8>().add(skip) };
                $name(Span { first, first_len: (head.iov_len - skip).min(len), rest, len }, PhantomData)
            }

            /// First byte, for a system call only: on the host the bytes may change while one looks at them.
            pub fn as_ptr(&self) -> *mut u8 {
                self.0.first
            }

            /// Length in bytes.
            pub fn len(&self) -> usize {
                self.0.len
            }

            /// Whether there is no byte.
            pub fn is_empty(&self) -> bool {
                self.0.len == 0
            }
        }
    };
}

span! {
    /// Bytes that go to the host.
    Source, "readable"
}

span! {
    /// Room for bytes that come back.
    Sink, "writable"
}

impl<'a> Source<'a> {
    /// All of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Source<'a> {
        Source(
            Span::one(bytes.as_ptr().cast_mut(), bytes.len()),
            PhantomData,
        )
    }

    /// Copies its start to private memory, each byte once, as many as fit; says how many.
    pub fn copy_out(&self, to: &mut [u8]) -> usize {
        let (room, len) = (Window::of(to), self.len());
        let fits = room.len().min(len);
        self.0.pieces(fits, |ptr, len, at| {
            let Some(room) = room.part(at, len) else {
                return len;
            };
            // SAFETY: the piece is readable by the constructor's promise; the room has its length.
            unsafe { memory_to_window(ptr, room, len) }
        })
    }
}

impl<'a> Field<'a> for Source<'a> {
    const TYPE: &'static str = "bytes";
    const SIZE: usize = 4;
    const PAYLOAD: Payload = Payload::Shared;
    fn put(&self, writer: &mut Writer<'_>) -> Result<(), Errno> {
        let room = writer
            .room()
            .part(0, self.len())
            .ok_or(Errno(libc::E2BIG))?;
        let moved = self.0.pieces(usize::MAX, |ptr, len, at| {
            let Some(room) = room.part(at, len) else {
                return len;
            };
            // SAFETY: the piece is readable by the constructor's promise; the room has its length.
            unsafe { memory_to_window(ptr, room, len) }
        });
        if moved < self.len() {
            return Err(Errno(libc::EFAULT));
        }
        writer.fill(self.len());
        Ok(())
    }
    fn take(reader: &mut Reader<'a>) -> Result<Self, ProtocolError> {
        let window = reader.shared()?;
        Ok(Source(
            Span::one(window.as_ptr(), window.len()),
            PhantomData,
        ))
    }
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} bytes]", self.len())
    }
    fn extent(&self) -> Extent {
        Extent::Shared(self.as_ptr() as usize, self.len())
    }
}

impl<'a> Sink<'a> {
    /// All of `bytes`.
    pub fn new(bytes: &'a mut [u8]) -> Sink<'a> {
        Sink(Span::one(bytes.as_mut_ptr(), bytes.len()), PhantomData)
    }

    /// Puts private bytes at its start, as many as fit.
    pub fn fill(&self, bytes: &[u8]) -> Filled {
        let filled = bytes.len().min(self.len());
        self.0.pieces(filled, |ptr, len, at| {
            // SAFETY: the piece is writable by the constructor's promise; `at + len <= filled <= bytes.len()`.
            unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr().add(at), ptr, len) };
            0
        });
        Filled(filled)
    }
}

impl<'a> Field<'a> for Sink<'a> {
    const TYPE: &'static str = "capacity";
    const SIZE: usize = 4;
    fn put(&self, writer: &mut Writer<'_>) -> Result<(), Errno> {
        // More than the arena holds, no answer brings.
        u32::try_from(self.len()).unwrap_or(u32::MAX).put(writer)
    }
    fn take(reader: &mut Reader<'a>) -> Result<Self, ProtocolError> {
        let window = reader.space()?;
        Ok(Sink(Span::one(window.as_ptr(), window.len()), PhantomData))
    }
    fn fetch(&self, chunk: Window<'_>, filled: usize) -> usize {
        self.0.pieces(filled.min(chunk.len()), |ptr, len, at| {
            let Some(part) = chunk.part(at, len) else {
                return len;
            };
            // SAFETY: the piece is writable by the constructor's promise; the part has its length.
            unsafe { window_to_memory(part, ptr, len) }
        })
    }
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.len())
    }
    fn extent(&self) -> Extent {
        Extent::Shared(self.as_ptr() as usize, self.len())
    }
}

/// How many bytes of a call's [`Sink`] were filled; part of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filled(pub usize);

impl<'a> Field<'a> for Filled {
    const TYPE: &'static str = "bytes";
    const SIZE: usize = 0;
    const PAYLOAD: Payload = Payload::Filled;
    fn put(&self, writer: &mut Writer<'_>) -> Result<(), Errno> {
        writer.leave(self.0);
        Ok(())
    }
    fn take(reader: &mut Reader<'a>) -> Result<Self, ProtocolError> {
        Ok(Filled(reader.payload()))
    }
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
