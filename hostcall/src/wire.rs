//! How the fields of a call travel: six words in the entry, bytes in the lane's chunk.
//!
//! A field knows how to [`put`](Field::put) itself and how to [`take`](Field::take) itself back out of hostile
//! words. Everything taken has been copied or bounded first, so a handler never sees a value that can change.

use crate::shm::{memory_to_window, window_to_memory, Window};
use crate::types::{
    AtFlags, DirFd, Errno, JobState, Mode, Offset, OpenFlags, RecordLock, RemoteFd, RwFlags, Times,
    Token,
};
use libc::iovec;
use std::ffi::CStr;
use std::fmt;
use std::marker::PhantomData;

/// Words of an entry that carry scalar fields.
pub const WORDS: usize = 6;

/// Longest path or name in bytes with its NUL, `PATH_MAX` of the host.
pub const PATH_MAX: usize = libc::PATH_MAX as usize;

/// Bytes of private memory that one call's paths are copied to: two paths and a name.
pub const SCRATCH: usize = 3 * PATH_MAX;

/// The peer broke the protocol; the session ends. An ordinary failure is an [`Errno`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A sequence word that is neither the last nor the next one (replay, or a jump over unread entries).
    Sequence {
        /// What the ring's own index asks for.
        expected: u32,
        /// What stands in the entry.
        found: u32,
    },
    /// A number that no op has.
    UnknownOp(u16),
    /// Flag bits that have no meaning.
    UnknownFlags(u32),
    /// A length that reaches past its chunk.
    Length {
        /// What the chunk still holds.
        room: usize,
        /// What the entry claims.
        claimed: u64,
    },
    /// More fields than an entry has words.
    Words,
    /// A header field that does not hold what this version writes.
    Header(&'static str),
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProtocolError::Sequence { expected, found } => {
                write!(f, "entry has sequence {found}, not {expected}")
            }
            ProtocolError::UnknownOp(op) => write!(f, "no op has number {op}"),
            ProtocolError::UnknownFlags(bits) => write!(f, "unknown flags {bits:#x}"),
            ProtocolError::Length { room, claimed } => {
                write!(f, "length {claimed} exceeds the {room} bytes of the chunk")
            }
            ProtocolError::Words => f.write_str("too many fields for an entry"),
            ProtocolError::Header(what) => write!(f, "bad {what}"),
        }
    }
}

impl std::error::Error for ProtocolError {}

/// The private copy of one entry's contents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Op number of a call, errno of a reply (0 for success).
    pub code: u32,
    /// [`flags`] of a call; 0 in a reply.
    pub flags: u32,
    /// Bytes of the chunk that the message uses.
    pub payload: u32,
    /// Scalar fields.
    pub words: [u64; WORDS],
}

/// Flags of a call.
pub mod flags {
    /// This call goes on where the one before it ended: if that one failed or was short, answer `ECANCELED`
    /// and do nothing. So one large read or write stays one, though its chunks are in flight together.
    pub const LINK: u32 = 1;
    /// The payload starts at the lane's first chunk and may fill the whole arena; nothing else is in flight.
    pub const WIDE: u32 = 2;
    /// Every defined flag.
    pub const ALL: u32 = LINK | WIDE;
}

/// Builds a message: fields go in, words and payload come out.
pub struct Writer<'w> {
    message: Message,
    used: usize,
    window: Window<'w>,
}

impl<'w> Writer<'w> {
    /// Starts a message whose payload goes to `window`.
    pub fn new(code: u32, window: Window<'w>) -> Writer<'w> {
        Writer {
            message: Message {
                code,
                ..Message::default()
            },
            used: 0,
            window,
        }
    }

    /// Appends one word. The op table's own test holds that no op needs more than [`WORDS`].
    pub fn word(&mut self, word: u64) {
        debug_assert!(self.used < WORDS);
        if let Some(slot) = self.message.words.get_mut(self.used) {
            *slot = word;
            self.used += 1;
        }
    }

    fn room(&self) -> Window<'w> {
        let start = self.message.payload as usize;
        self.window
            .part(start, self.window.len() - start)
            .unwrap_or(self.window)
    }

    /// Appends payload bytes and their length as a word.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        self.room()
            .copy_in(bytes)
            .ok_or(Errno(libc::ENAMETOOLONG))?;
        self.message.payload += bytes.len() as u32;
        self.word(bytes.len() as u64);
        Ok(())
    }

    /// The finished message.
    pub fn finish(self) -> Message {
        self.message
    }
}

/// Takes a hostile message apart.
pub struct Reader<'r> {
    message: Message,
    used: usize,
    at: usize,
    window: Window<'r>,
    scratch: &'r mut [u8],
}

impl<'r> Reader<'r> {
    /// Reads `message`, whose payload lies in `window`; paths are copied to `scratch` ([`SCRATCH`] bytes).
    pub fn new(
        message: Message,
        window: Window<'r>,
        scratch: &'r mut [u8],
    ) -> Result<Reader<'r>, ProtocolError> {
        if message.payload as usize > window.len() {
            return Err(ProtocolError::Length {
                room: window.len(),
                claimed: message.payload.into(),
            });
        }
        Ok(Reader {
            message,
            used: 0,
            at: 0,
            window,
            scratch,
        })
    }

    /// The next word.
    pub fn word(&mut self) -> Result<u64, ProtocolError> {
        let word = self
            .message
            .words
            .get(self.used)
            .copied()
            .ok_or(ProtocolError::Words)?;
        self.used += 1;
        Ok(word)
    }

    /// The next `claimed` payload bytes, bounded by what the message says it carries.
    fn shared(&mut self, claimed: u64) -> Result<Window<'r>, ProtocolError> {
        let room = self.message.payload as usize - self.at;
        let len = usize::try_from(claimed).ok().filter(|len| *len <= room);
        let part = len.and_then(|len| self.window.part(self.at, len));
        let part = part.ok_or(ProtocolError::Length { room, claimed })?;
        self.at += part.len();
        Ok(part)
    }

    /// The next payload bytes as a private copy.
    pub(crate) fn private(&mut self) -> Result<&'r [u8], ProtocolError> {
        let claimed = self.word()?;
        let shared = self.shared(claimed)?;
        if shared.len() > self.scratch.len() {
            return Err(ProtocolError::Length {
                room: self.scratch.len(),
                claimed,
            });
        }
        let (copy, rest) = std::mem::take(&mut self.scratch).split_at_mut(shared.len());
        self.scratch = rest;
        shared.copy_out(copy).ok_or(ProtocolError::Length {
            room: copy.len(),
            claimed,
        })?;
        Ok(copy)
    }

    /// The part of the chunk that a reply may fill, at most `claimed` bytes.
    fn space(&self, claimed: u64) -> Window<'r> {
        let len = usize::try_from(claimed)
            .unwrap_or(usize::MAX)
            .min(self.window.len());
        self.window.part(0, len).unwrap_or(self.window)
    }
}

/// A value that travels in a call or a reply.
pub trait Field<'a>: Sized {
    /// The field's type as `docs/PROTOCOL.md` names it.
    const TYPE: &'static str;
    /// Words it takes.
    const WORDS: usize;

    /// Appends the value.
    fn put(&self, writer: &mut Writer<'_>) -> Result<(), Errno>;

    /// Takes the value out of hostile words.
    fn take(reader: &mut Reader<'a>) -> Result<Self, ProtocolError>;

    /// Fetches what a reply left in the chunk, its first `filled` bytes: how many the program has room for.
    fn fetch(&self, _chunk: Window<'_>, filled: usize) -> usize {
        filled
    }

    /// Writes the value as a trace shows it.
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;

    /// The memory that the value refers to, for tests that hold its bounds.
    fn extent(&self) -> Extent {
        Extent::None
    }
}

/// Where the memory lies that a field of a request refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// The field is a plain value.
    None,
    /// A private copy: address and length.
    Private(usize, usize),
    /// A part of the chunk, which the other side may change at any time: address and length.
    Shared(usize, usize),
}

macro_rules! scalar {
    ($type:ty, $name:literal, |$v:ident| $to:expr, |$w:ident| $from:expr, $format:literal) => {
        impl<'a> Field<'a> for $type {
            const TYPE: &'static str = $name;
            const WORDS: usize = 1;
            fn put(&self, writer: &mut Writer<'_>) -> Result<(), Errno> {
                let $v = *self;
                writer.word($to);
                Ok(())
            }
            fn take(reader: &mut Reader<'a>) -> Result<Self, ProtocolError> {
                let $w = reader.word()?;
                Ok($from)
            }
            fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let $v = *self;
                write!(f, $format, $v)
            }
        }
    };
}

// Words are cut to the field's width, never range-checked: each bit pattern is a value that the system call itself judges.
scalar!(u64, "u64", |v| v, |w| w, "{}");
scalar!(i64, "i64", |v| v as u64, |w| w as i64, "{}");
scalar!(u32, "u32", |v| v.into(), |w| w as u32, "{}");
scalar!(i32, "i32", |v| v as u64, |w| w as i32, "{}");

macro_rules! newtype {
    ($type:ident($inner:ty), $name:literal, |$v:ident, $f:ident| $show:expr) => {
        impl<'a> Field<'a> for $type {
            const TYPE: &'static str = $name;
            const WORDS: usize = 1;
            fn put(&self, writer: &mut Writer<'_>) -> Result<(), Errno> {
                self.0.put(writer)
            }
            fn take(reader: &mut Reader<'a>) -> Result<Self, ProtocolError> {
                <$inner as Field>::take(reader).map($type)
            }
            fn show(&self, $f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let $v = self;
                $show
            }
        }
    };
}

newtype!(RemoteFd(i32), "fd", |v, f| write!(f, "{}", v.0));
newtype!(DirFd(i32), "dirfd", |v, f| if *v == DirFd::CWD {
    f.write_str("AT_FDCWD")
} else {
    write!(f, "{}", v.0)
});
newtype!(OpenFlags(i32), "open flags", |v, f| write!(f, "{v}"));
newtype!(AtFlags(i32), "at flags", |v, f| write!(f, "{v}"));
newtype!(RwFlags(i32), "rw flags", |v, f| write!(f, "{v}"));
newtype!(Mode(u32), "mode", |v, f| write!(f, "{v}"));
newtype!(
    Offset(i64),
    "offset or -1",
    |v, f| if *v == Offset::CURRENT {
        f.write_str("-")
    } else {
        write!(f, "{}", v.0)
    }
);

impl<'a> Field<'a> for Token {
    const TYPE: &'static str = "token";
    const WORDS: usize = 2;
    fn put(&self, writer: &mut Writer<'_>) -> Result<(), Errno> {
        self.0.iter().for_each(|word| writer.word(*word));
        Ok(())
    }
    fn take(reader: &mut Reader<'a>) -> Result<Self, ProtocolError> {
        Ok(Token([reader.word()?, reader.word()?]))
    }
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl<'a> Field<'a> for Times {
    const TYPE: &'static str = "times";
    const WORDS: usize = 3;
    fn put(&self, writer: &mut Writer<'_>) -> Result<(), Errno> {
        self.atime.put(writer)?;
        self.mtime.put(writer)?;
        writer.word(u64::from(self.atime_nsec) << 32 | u64::from(self.mtime_nsec));
        Ok(())
    }
    fn take(reader: &mut Reader<'a>) -> Result<Self, ProtocolError> {
        let (atime, mtime, nsec) = (i64::take(reader)?, i64::take(reader)?, reader.word()?);
        Ok(Times {
            atime,
            mtime,
            atime_nsec: (nsec >> 32) as u32,
            mtime_nsec: nsec as u32,
        })
    }
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "[{}.{:09}, {}.{:09}]",
            self.atime, self.atime_nsec, self.mtime, self.mtime_nsec
        )
    }
}

impl<'a> Field<'a> for RecordLock {
    const TYPE: &'static str = "record lock";
    const WORDS: usize = 4;
    fn put(&self, writer: &mut Writer<'_>) -> Result<(), Errno> {
        writer.word(u64::from(self.kind as u16) << 16 | u64::from(self.whence as u16));
        self.start.put(writer)?;
        self.len.put(writer)?;
        self.pid.put(writer)
    }
    fn take(reader: &mut Reader<'a>) -> Result<Self, ProtocolError> {
        let word = reader.word()?;
        let (start, len, pid) = (i64::take(reader)?, i64::take(reader)?, i32::take(reader)?);
        Ok(RecordLock {
            kind: (word >> 16) as i16,
            whence: word as i16,
            start,
            len,
            pid,
        })
    }
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{{type={}, whence={}, start={}, len={}}}",
            self.kind, self.whence, self.start, self.len
        )
    }
}

impl<'a> Field<'a> for JobState {
    const TYPE: &'static str = "job state";
    const WORDS: usize = 1;
    fn put(&self, writer: &mut Writer<'_>) -> Result<(), Errno> {
        let word =
            |kind: u64, code: u8, core: bool| kind | u64::from(code) << 8 | u64::from(core) << 16;
        writer.word(match *self {
            JobState::None => 0,
            JobState::Exited(code) => word(1, code, false),
            JobState::Signalled { signal, core } => word(2, signal, core),
            JobState::Stopped(signal) => word(3, signal, false),
            JobState::Continued => 4,
        });
        Ok(())
    }
    fn take(reader: &mut Reader<'a>) -> Result<Self, ProtocolError> {
        let word = reader.word()?;
        let code = (word >> 8) as u8;
        match word as u8 {
            0 => Ok(JobState::None),
            1 => Ok(JobState::Exited(code)),
            2 => Ok(JobState::Signalled {
                signal: code,
                core: word >> 16 & 1 != 0,
            }),
            3 => Ok(JobState::Stopped(code)),
            4 => Ok(JobState::Continued),
            _ => Err(ProtocolError::Header("job state")),
        }
    }
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JobState::None => f.write_str("none"),
            JobState::Exited(code) => write!(f, "exited {code}"),
            JobState::Signalled { signal, core } => {
                let core = if *core { " with a core file" } else { "" };
                write!(f, "died of signal {signal}{core}")
            }
            JobState::Stopped(signal) => write!(f, "stopped by signal {signal}"),
            JobState::Continued => f.write_str("continued"),
        }
    }
}

/// A path, name or target: bytes without NUL, at most [`PATH_MAX`] with the NUL that ends them.
impl<'a> Field<'a> for &'a CStr {
    const TYPE: &'static str = "path";
    const WORDS: usize = 1;
    fn put(&self, writer: &mut Writer<'_>) -> Result<(), Errno> {
        let bytes = self.to_bytes_with_nul();
        if bytes.len() > PATH_MAX {
            return Err(Errno(libc::ENAMETOOLONG));
        }
        writer.bytes(bytes)
    }
    fn take(reader: &mut Reader<'a>) -> Result<Self, ProtocolError> {
        // A NUL inside would make the checked name and the used one differ (CVE-2026-47243).
        CStr::from_bytes_with_nul(reader.private()?)
            .map_err(|_| ProtocolError::Header("path termination"))
    }
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Escaped: names must not reach a terminal as control sequences (CVE-2023-28101).
        write!(f, "\"{}\"", self.to_bytes().escape_ascii())
    }
    fn extent(&self) -> Extent {
        Extent::Private(self.as_ptr() as usize, self.to_bytes_with_nul().len())
    }
}

/// Memory that a call copies from or to: one piece, or one piece and the heads of further buffers.
///
/// On the guest's side it is the calling program's memory, on the host's a part of the chunk.
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
            #[allow(unsafe_code)]
            pub unsafe fn from_raw(ptr: *mut u8, len: usize) -> $name<'a> {
                $name(Span::one(ptr, len), PhantomData)
            }

            #[doc = concat!("The `len` bytes that begin `skip` bytes into the first of `vectors`.\n\n# Safety\nWhat there is of the buffers must be ", $access, " for `'a`, `skip` within the first, `len` within all.")]
            #[allow(unsafe_code)]
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
            #[allow(unsafe_code)]
            // SAFETY: the piece is readable by the constructor's promise; the room has its length.
            unsafe {
                memory_to_window(ptr, room, len)
            }
        })
    }
}

impl<'a> Field<'a> for Source<'a> {
    const TYPE: &'static str = "bytes";
    const WORDS: usize = 1;
    #[allow(unsafe_code)]
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
        writer.message.payload += self.len() as u32;
        writer.word(self.len() as u64);
        Ok(())
    }
    fn take(reader: &mut Reader<'a>) -> Result<Self, ProtocolError> {
        let claimed = reader.word()?;
        let window = reader.shared(claimed)?;
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
            #[allow(unsafe_code)]
            // SAFETY: the piece is writable by the constructor's promise; `at + len <= filled <= bytes.len()`.
            unsafe {
                std::ptr::copy_nonoverlapping(bytes.as_ptr().add(at), ptr, len)
            };
            0
        });
        Filled(filled)
    }
}

impl<'a> Field<'a> for Sink<'a> {
    const TYPE: &'static str = "capacity";
    const WORDS: usize = 1;
    fn put(&self, writer: &mut Writer<'_>) -> Result<(), Errno> {
        writer.word(self.len() as u64);
        Ok(())
    }
    fn take(reader: &mut Reader<'a>) -> Result<Self, ProtocolError> {
        let claimed = reader.word()?;
        let window = reader.space(claimed);
        Ok(Sink(Span::one(window.as_ptr(), window.len()), PhantomData))
    }
    #[allow(unsafe_code)]
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
    const WORDS: usize = 0;
    fn put(&self, writer: &mut Writer<'_>) -> Result<(), Errno> {
        writer.message.payload = self.0 as u32;
        Ok(())
    }
    fn take(reader: &mut Reader<'a>) -> Result<Self, ProtocolError> {
        Ok(Filled(reader.message.payload as usize))
    }
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
