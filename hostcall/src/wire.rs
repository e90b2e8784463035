//! How the fields of a call travel: in the entry as far as it reaches, then in the lane's chunk.
//!
//! The entry's head holds the scalar fields one behind the other, then the first bytes of what the receiver copies to
//! private memory (a path, a file's metadata): most calls that find a file by name cost one cache line. What the
//! host's kernel reads or fills itself ([`Source`], [`Sink`]) lies in the chunk in one piece, behind what of the private bytes had
//! to go there.
//!
//! A field knows how to [`put`](Field::put) itself and how to [`take`](Field::take) itself back out of hostile
//! words. Everything taken has been copied or bounded first, so a handler never sees a value that can change.

pub use crate::message::{flags, Message, HEAD, WORDS};
pub(crate) use crate::message::{to_bytes, to_words};
use crate::shm::Window;
pub use crate::span::{Filled, Sink, Source};
use crate::types::{AtFlags, DirFd, Errno, Mode, Offset, OpenFlags, RemoteFd, RwFlags};
use std::ffi::CStr;
use std::fmt;

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
    /// More fields than a head has room for.
    Head,
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
            ProtocolError::Head => f.write_str("too many fields for an entry"),
            ProtocolError::Header(what) => write!(f, "bad {what}"),
        }
    }
}

impl std::error::Error for ProtocolError {}

/// Builds a message: fields go in, an entry and the chunk's bytes come out.
pub struct Writer<'w> {
    message: Message,
    head: [u8; HEAD],
    /// Where the next scalar goes in the head.
    scalar: usize,
    /// Where the next private byte goes in the head.
    private: usize,
    window: Window<'w>,
}

impl<'w> Writer<'w> {
    /// Starts a message with `scalars` bytes of scalar fields. What its head does not hold goes to `window`.
    #[inline(always)]
    pub fn new(code: u32, scalars: usize, window: Window<'w>) -> Writer<'w> {
        Writer {
            message: Message {
                code,
                ..Message::default()
            },
            head: [0; HEAD],
            scalar: 0,
            private: scalars,
            window,
        }
    }

    /// Appends a scalar. The op table holds by an assertion that no op has more of them than a head.
    #[inline(always)]
    pub fn scalar<const N: usize>(&mut self, bytes: [u8; N]) {
        let place = self.head.get_mut(self.scalar..self.scalar + N);
        debug_assert!(place.is_some());
        if let Some(place) = place {
            place.copy_from_slice(&bytes);
            self.scalar += N;
        }
    }

    /// What of the window is free.
    pub(crate) fn room(&self) -> Window<'w> {
        self.window.behind(self.message.payload as usize)
    }

    /// Counts bytes that have been put at the start of the [`room`](Self::room), and appends their number.
    pub(crate) fn fill(&mut self, len: usize) {
        self.message.payload += len as u32;
        self.scalar((len as u32).to_le_bytes());
    }

    /// Says that an answer's bytes, so many, lie in the window already: [`Payload::Filled`].
    pub(crate) fn leave(&mut self, len: usize) {
        self.message.payload = len as u32;
    }

    /// Appends private bytes and their number.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        self.private(bytes).ok_or(Errno(libc::ENAMETOOLONG))?;
        self.scalar((bytes.len() as u32).to_le_bytes());
        Ok(())
    }

    /// Appends private bytes of which both sides know how many they are: what is left of the head takes the first.
    #[inline(always)]
    pub(crate) fn private(&mut self, bytes: &[u8]) -> Option<()> {
        let place = self.head.get_mut(self.private..)?;
        let (near, far) = bytes.split_at(bytes.len().min(place.len()));
        self.private += near.len();
        place.get_mut(..near.len())?.copy_from_slice(near);
        if !far.is_empty() {
            self.room().copy_in(far)?;
            self.message.payload += far.len() as u32;
        }
        Some(())
    }

    /// The finished message.
    #[inline(always)]
    pub fn finish(self) -> Message {
        self.message.with_head(self.head)
    }
}

/// Takes a hostile message apart.
pub struct Reader<'r> {
    message: Message,
    head: [u8; HEAD],
    /// Where the next scalar lies in the head.
    scalar: usize,
    /// Where the next private byte lies in the head.
    private: usize,
    /// Bytes of the payload that have been taken.
    taken: usize,
    window: Window<'r>,
    scratch: &'r mut [u8],
}

impl<'r> Reader<'r> {
    /// Reads `message` with `scalars` bytes of scalar fields, whose payload lies in `window`; private bytes are copied
    /// to `scratch` ([`SCRATCH`] bytes).
    #[inline(always)]
    pub fn new(
        message: Message,
        scalars: usize,
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
            head: message.head(),
            scalar: 0,
            private: scalars,
            taken: 0,
            window,
            scratch,
        })
    }

    /// The next scalar.
    #[inline(always)]
    pub fn scalar<const N: usize>(&mut self) -> Result<[u8; N], ProtocolError> {
        let bytes = self.head.get(self.scalar..self.scalar + N);
        self.scalar += N;
        bytes
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or(ProtocolError::Head)
    }

    /// Bytes of the chunk that the message uses.
    pub(crate) fn payload(&self) -> usize {
        self.message.payload as usize
    }

    /// The next `claimed` bytes of the payload, bounded by what the message says it has.
    fn part(&mut self, claimed: usize) -> Result<Window<'r>, ProtocolError> {
        let room = self.payload() - self.taken;
        let fits = Some(claimed).filter(|claimed| *claimed <= room);
        let part = fits.and_then(|len| self.window.part(self.taken, len));
        let part = part.ok_or(ProtocolError::Length {
            room,
            claimed: claimed as u64,
        })?;
        self.taken += claimed;
        Ok(part)
    }

    /// The next bytes of the payload, as many as a scalar says, where they lie.
    pub(crate) fn shared(&mut self) -> Result<Window<'r>, ProtocolError> {
        let claimed = u32::from_le_bytes(self.scalar()?);
        self.part(claimed as usize)
    }

    /// Copies the next private bytes, each shared one once.
    #[inline(always)]
    fn fill(&mut self, to: &mut [u8]) -> Result<(), ProtocolError> {
        let left = self.head.get(self.private..).unwrap_or_default();
        let (near, far) = to.split_at_mut(to.len().min(left.len()));
        near.copy_from_slice(&left[..near.len()]);
        self.private += near.len();
        if !far.is_empty() {
            let part = self.part(far.len())?;
            part.copy_out(far).ok_or(ProtocolError::Head)?;
        }
        Ok(())
    }

    /// The next private bytes, as many as a scalar says.
    pub(crate) fn bytes(&mut self) -> Result<&'r [u8], ProtocolError> {
        let claimed = u32::from_le_bytes(self.scalar()?) as usize;
        if claimed > self.scratch.len() {
            return Err(ProtocolError::Length {
                room: self.scratch.len(),
                claimed: claimed as u64,
            });
        }
        let (copy, rest) = std::mem::take(&mut self.scratch).split_at_mut(claimed);
        self.scratch = rest;
        self.fill(copy)?;
        Ok(copy)
    }

    /// The next private bytes, of which both sides know how many they are.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], ProtocolError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// The part of the chunk that a reply may fill: at most what a scalar says.
    pub(crate) fn space(&mut self) -> Result<Window<'r>, ProtocolError> {
        let claimed = u32::from_le_bytes(self.scalar()?) as usize;
        let len = claimed.min(self.window.len());
        Ok(self.window.part(0, len).unwrap_or(self.window))
    }
}

/// A value that travels in a call or a reply.
pub trait Field<'a>: Sized {
    /// The field's type as `docs/PROTOCOL.md` names it.
    const TYPE: &'static str;
    /// Bytes of the head that it takes as a scalar.
    const SIZE: usize;
    /// What else it takes.
    const PAYLOAD: Payload = Payload::None;

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

/// What a field takes besides scalars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Nothing.
    None,
    /// Private bytes, in the head and then in the chunk.
    Private,
    /// Bytes in the chunk.
    Shared,
    /// An answer's bytes from the start of the chunk on, where the call has left them.
    Filled,
}

impl Payload {
    /// Whether the fields of an answer leave each other's bytes alone. What is filled while the call is executed begins where
    /// other bytes would.
    pub(crate) const fn agree(fields: &[Payload]) -> bool {
        let (mut filled, mut others, mut at) = (0, 0, 0);
        while at < fields.len() {
            match fields[at] {
                Payload::None => {}
                Payload::Filled => filled += 1,
                Payload::Private | Payload::Shared => others += 1,
            }
            at += 1;
        }
        filled == 0 || filled == 1 && others == 0
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
    ($type:ty, $name:literal) => {
        impl<'a> Field<'a> for $type {
            const TYPE: &'static str = $name;
            const SIZE: usize = size_of::<$type>();
            #[inline(always)]
            fn put(&self, writer: &mut Writer<'_>) -> Result<(), Errno> {
                writer.scalar(self.to_le_bytes());
                Ok(())
            }
            #[inline(always)]
            fn take(reader: &mut Reader<'a>) -> Result<Self, ProtocolError> {
                reader.scalar().map(<$type>::from_le_bytes)
            }
            fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{self}")
            }
        }
    };
}

// Each bit pattern is a value, which the system call itself judges.
scalar!(u64, "u64");
scalar!(i64, "i64");
scalar!(u32, "u32");
scalar!(i32, "i32");

macro_rules! newtype {
    ($type:ident($inner:ty), $name:literal, |$v:ident, $f:ident| $show:expr) => {
        impl<'a> Field<'a> for $type {
            const TYPE: &'static str = $name;
            const SIZE: usize = size_of::<$inner>();
            #[inline(always)]
            fn put(&self, writer: &mut Writer<'_>) -> Result<(), Errno> {
                self.0.put(writer)
            }
            #[inline(always)]
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

/// A path, name or target: bytes without NUL, at most [`PATH_MAX`] with the NUL that ends them.
impl<'a> Field<'a> for &'a CStr {
    const TYPE: &'static str = "path";
    const SIZE: usize = 4;
    const PAYLOAD: Payload = Payload::Private;
    #[inline]
    fn put(&self, writer: &mut Writer<'_>) -> Result<(), Errno> {
        let bytes = self.to_bytes_with_nul();
        if bytes.len() > PATH_MAX {
            return Err(Errno(libc::ENAMETOOLONG));
        }
        writer.bytes(bytes)
    }
    fn take(reader: &mut Reader<'a>) -> Result<Self, ProtocolError> {
        // A NUL inside would make the checked name and the used one differ (CVE-2026-47243).
        CStr::from_bytes_with_nul(reader.bytes()?)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_call_leaves_in_the_chunk_is_alone_there() {
        use Payload::{Filled, None, Private, Shared};
        assert!(Payload::agree(&[None, Filled]));
        assert!(Payload::agree(&[Private, None, Shared, Private]));
        for others in [Private, Shared, Filled] {
            assert!(!Payload::agree(&[others, Filled]));
            assert!(!Payload::agree(&[Filled, None, others]));
        }
    }

    /// What is too long for the head goes on in the payload, and what stands in the payload anyway begins behind that.
    #[test]
    fn private_bytes_of_any_length_leave_what_follows_them_whole() {
        const SCALARS: usize = 3 * 4;
        let (mut chunk, mut scratch) = ([0; 256], [0; 256]);
        let pattern = |from: u8, len: usize| (0..len).map(|at| from + at as u8).collect::<Vec<_>>();
        for (first, second) in
            (0..=64).flat_map(|first| (0..=64).map(move |second| (first, second)))
        {
            let (a, b, c) = (pattern(0, first), pattern(100, second), pattern(200, 20));
            let window = Window::of(&mut chunk);
            let mut writer = Writer::new(0, SCALARS, window);
            writer.bytes(&a).unwrap();
            Source::new(&c).put(&mut writer).unwrap();
            writer.bytes(&b).unwrap();
            let message = writer.finish();
            let beyond = (first + second).saturating_sub(HEAD - SCALARS);
            assert_eq!(message.payload as usize, beyond + c.len());

            let mut reader = Reader::new(message, SCALARS, window, &mut scratch).unwrap();
            assert_eq!(reader.bytes(), Ok(a.as_slice()));
            let (source, mut copy) = (Source::take(&mut reader).unwrap(), [0; 20]);
            assert_eq!((source.copy_out(&mut copy), copy.as_slice()), (20, &c[..]));
            assert_eq!(reader.bytes(), Ok(b.as_slice()));

            // A payload that is shorter by a byte lacks it for the last field of which a part lies there.
            let payload = message.payload - 1;
            let shorter = Message { payload, ..message };
            let mut reader = Reader::new(shorter, SCALARS, window, &mut scratch).unwrap();
            let taken = [
                reader.bytes().map(drop),
                Source::take(&mut reader).map(drop),
                reader.bytes().map(drop),
            ];
            let is_short = |part: &_| matches!(part, Err(ProtocolError::Length { .. }));
            assert!(taken.iter().any(is_short), "{first} {second}");
        }
    }
}
