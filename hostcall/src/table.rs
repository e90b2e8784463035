//! Turns the rows of [`ops`](crate::ops) into everything that knows about ops.
//!
//! From one row come: the [`Op`](crate::ops::Op) variant and its number, the request and reply types and their codec,
//! the client's method, the method of the family's handler trait (without a default body, so an op that nobody
//! serves does not compile), the arm of `dispatch`, the trace decoder and the [`OpSpec`] that counters, fuzzers, the
//! seccomp list and `docs/PROTOCOL.md` are made of.

use crate::shm::Window;
use crate::types::Errno;
use crate::wire::{Message, ProtocolError, Reader, Writer, HEAD};
use std::fmt;

/// What the table says of one op.
#[derive(Clone, Copy, Debug)]
pub struct OpSpec {
    /// Number on the wire; never reused.
    pub number: u16,
    /// Name, as in a trace.
    pub name: &'static str,
    /// The family, which is the handler trait that serves it.
    pub family: &'static str,
    /// First paragraph of its documentation.
    pub doc: &'static str,
    /// May wait for an event that another process causes; such a call can be cancelled.
    pub blocks: bool,
    /// Ends with `EINTR` after any signal handler while it waits, whatever `SA_RESTART` says.
    pub no_restart: bool,
    /// May be repeated after a lost answer without changing the outcome.
    pub retry: bool,
    /// Changes files: a guest's mount knows of it when it is answered.
    pub changes: bool,
    /// Leaves in its shadow nothing but open files, working directory and mask.
    pub clean: bool,
    /// Host system calls that serving it needs.
    pub syscalls: &'static [i64],
    /// Their names, `SYS_` before each.
    pub syscall_names: &'static [&'static str],
    /// Names, types and sizes of the request's fields.
    pub request: &'static [FieldSpec],
    /// Names, types and sizes of the reply's fields.
    pub reply: &'static [FieldSpec],
}

/// What the table says of one field.
#[derive(Clone, Copy, Debug)]
pub struct FieldSpec {
    /// Name.
    pub name: &'static str,
    /// Type, as `docs/PROTOCOL.md` names it.
    pub kind: &'static str,
    /// Bytes of the entry's head that it takes as a scalar.
    pub size: usize,
}

/// A call that can be sent.
pub trait Request {
    /// Its row.
    const OP: crate::ops::Op;
    /// Bytes of its scalar fields.
    const SCALARS: usize;
    /// What comes back.
    type Reply: Reply;
    /// Writes all fields.
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Errno>;
    /// Fetches what the reply left in the chunk, `filled` bytes, into the request's sinks: how many the program has room for.
    fn fetch(&self, chunk: Window<'_>, filled: usize) -> usize;
    /// Writes the call as a trace shows it: `name(field, …)`. Allocates nothing.
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

/// An answer that can be sent back.
pub trait Reply: Sized {
    /// Bytes of its scalar fields.
    const SCALARS: usize;
    /// Writes all fields.
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Errno>;
    /// Reads all fields.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, ProtocolError>;
    /// Writes the fields as a trace shows them; 0 if there are none. Allocates nothing.
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

/// What a [`Spy`](crate::ops::Spy) tells, and what it is to answer.
pub trait Witness {
    /// A field of a decoded request.
    fn field(&mut self, op: crate::ops::Op, name: &'static str, extent: crate::wire::Extent);
    /// The answer to the request: an errno, or a message whose words become the reply.
    fn answer(&mut self, op: crate::ops::Op) -> Result<Message, Errno>;
}

/// Writes a call and its answer as a trace line: `name(field, …) = reply`.
pub(crate) struct Line<'f, 'g> {
    f: &'f mut fmt::Formatter<'g>,
    first: bool,
}

impl<'f, 'g> Line<'f, 'g> {
    pub(crate) fn new(f: &'f mut fmt::Formatter<'g>) -> Line<'f, 'g> {
        Line { f, first: true }
    }

    /// Separates fields by commas.
    pub(crate) fn next(&mut self) -> Result<&mut fmt::Formatter<'g>, fmt::Error> {
        if !std::mem::replace(&mut self.first, false) {
            self.f.write_str(", ")?;
        }
        Ok(self.f)
    }
}

/// Encodes the outcome of a handler as a reply message.
pub(crate) fn answer<R: Reply>(outcome: Result<R, Errno>, chunk: Window<'_>) -> Message {
    let encoded = outcome.and_then(|reply| {
        let mut writer = Writer::new(0, R::SCALARS, chunk);
        reply.encode(&mut writer)?;
        Ok(writer.finish())
    });
    encoded.unwrap_or_else(|errno| Message {
        code: errno.0 as u32,
        ..Message::default()
    })
}

/// So many bytes, which must fit into a head: a row with more scalars does not compile.
pub(crate) const fn within_head(scalars: usize) -> usize {
    assert!(scalars <= HEAD);
    scalars
}

macro_rules! ops {
    ($(
        $(#[doc = $family_doc:literal])*
        family $family:ident {
            $(
                $(#[doc = $doc:literal])*
                $number:literal $method:ident $Name:ident $(<$life:lifetime>)? [$($attribute:ident)*] ($($syscall:ident)*)
                { $($field:ident : $type:ty),* $(,)? } -> { $($out:ident : $out_type:ty),* $(,)? }
            )*
        }
    )*) => {
        /// Every op, by its number on the wire.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u16)]
        pub enum Op { $($(
            $(#[doc = $doc])*
            $Name = $number,
        )*)* }

        impl Op {
            /// All ops in the order of the table.
            pub const ALL: &'static [Op] = &[$($(Op::$Name,)*)*];

            /// The op with this number.
            pub fn from_number(number: u32) -> Option<Op> {
                match number { $($( $number => Some(Op::$Name), )*)* _ => None }
            }

            /// Whether it may wait for an event that another process causes, as its row says. Whoever only calls needs no more of the
            /// table, whose texts would be relocated at each start of a program under the preload.
            pub fn blocks(self) -> bool {
                match self { $($( Op::$Name => has!(blocks $($attribute)*), )*)* }
            }

            /// Whether it goes on waiting after a signal handler with `SA_RESTART`, as its row says.
            pub fn restarts(self) -> bool {
                match self { $($( Op::$Name => !has!(no_restart $($attribute)*), )*)* }
            }

            /// Its row of the table.
            pub fn spec(self) -> &'static OpSpec {
                match self { $($( Op::$Name => {
                    const SPEC: &OpSpec = &OpSpec {
                        number: $number,
                        name: stringify!($method),
                        family: stringify!($family),
                        doc: concat!($($doc, "\n"),*),
                        blocks: has!(blocks $($attribute)*),
                        no_restart: has!(no_restart $($attribute)*),
                        retry: has!(retry $($attribute)*),
                        changes: has!(changes $($attribute)*),
                        clean: has!(clean $($attribute)*),
                        syscalls: &[$(numbers::$syscall),*],
                        syscall_names: &[$(stringify!($syscall)),*],
                        request: request::$Name::FIELDS,
                        reply: &[$(FieldSpec {
                            name: stringify!($out),
                            kind: <$out_type as Field>::TYPE,
                            size: <$out_type as Field>::SIZE,
                        }),*],
                    };
                    SPEC
                } )*)* }
            }
        }

        /// What each call asks.
        pub mod request {
            use super::*;
            $($(
                $(#[doc = $doc])*
                #[derive(Clone, Copy, Debug)]
                #[allow(missing_docs)]
                pub struct $Name $(<$life>)? { $(pub $field: $type),* }

                impl $(<$life>)? $Name $(<$life>)? {
                    pub(super) const FIELDS: &'static [FieldSpec] = &[$(FieldSpec {
                        name: stringify!($field),
                        kind: <$type as Field>::TYPE,
                        size: <$type as Field>::SIZE,
                    }),*];
                }

                impl $(<$life>)? Request for $Name $(<$life>)? {
                    const OP: Op = Op::$Name;
                    const SCALARS: usize = within_head(0 $( + <$type as Field>::SIZE )*);
                    type Reply = reply::$Name;
                    #[inline(always)]
                    fn encode(&self, _writer: &mut Writer<'_>) -> Result<(), Errno> {
                        let Self { $($field),* } = self;
                        $( $field.put(_writer)?; )*
                        Ok(())
                    }
                    fn fetch(&self, _chunk: Window<'_>, filled: usize) -> usize {
                        let Self { $($field),* } = self;
                        filled $( .min($field.fetch(_chunk, filled)) )*
                    }
                    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        let Self { $($field),* } = self;
                        f.write_str(concat!(stringify!($method), "("))?;
                        let mut _line = Line::new(f);
                        $( $field.show(_line.next()?)?; )*
                        f.write_str(")")
                    }
                }
            )*)*
        }

        /// What each call answers.
        pub mod reply {
            use super::*;
            $($(
                #[doc = concat!("Answer of [`", stringify!($method), "`](super::request::", stringify!($Name), ").")]
                #[derive(Clone, Copy, Debug)]
                #[allow(missing_docs)]
                pub struct $Name { $(pub $out: $out_type),* }

                const _: () = assert!(Payload::agree(&[$(<$out_type as Field>::PAYLOAD),*]));

                impl Reply for $Name {
                    const SCALARS: usize = within_head(0 $( + <$out_type as Field>::SIZE )*);
                    #[inline(always)]
                    fn encode(&self, _writer: &mut Writer<'_>) -> Result<(), Errno> {
                        let Self { $($out),* } = self;
                        $( $out.put(_writer)?; )*
                        Ok(())
                    }
                    #[inline(always)]
                    fn decode(_reader: &mut Reader<'_>) -> Result<Self, ProtocolError> {
                        Ok(Self { $($out: Field::take(_reader)?),* })
                    }
                    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        let Self { $($out),* } = self;
                        let mut _line = Line::new(f);
                        $( $out.show(_line.next()?)?; )*
                        has_none!(f $($out)*)
                    }
                }
            )*)*
        }

        $(
            $(#[doc = $family_doc])*
            pub trait $family {
                $(
                    $(#[doc = $doc])*
                    fn $method $(<$life>)? (&mut self, request: request::$Name $(<$life>)?) -> Result<reply::$Name, Errno>;
                )*
            }
        )*

        /// All families: whoever serves calls.
        pub trait Handler: $($family +)* {}
        impl<T: $($family +)*> Handler for T {}

        /// A handler that executes nothing and shows its witness every field; derived from the table, so that a test or
        /// fuzzer which uses it knows all ops.
        #[derive(Debug)]
        pub struct Spy<W>(pub W);

        $(
            impl<W: Witness> $family for Spy<W> {
                $(
                    fn $method $(<$life>)? (&mut self, request: request::$Name $(<$life>)?) -> Result<reply::$Name, Errno> {
                        let request::$Name { $($field),* } = request;
                        $( self.0.field(Op::$Name, stringify!($field), $field.extent()); )*
                        let answer = self.0.answer(Op::$Name)?;
                        let mut nothing = vec![0; answer.payload as usize];
                        let mut reader = Reader::new(answer, <reply::$Name as Reply>::SCALARS, Window::of(&mut nothing), &mut []).map_err(|_| Errno(libc::EIO))?;
                        reply::$Name::decode(&mut reader).map_err(|_| Errno(libc::EIO))
                    }
                )*
            }
        )*

        /// Decodes one call, has `handler` execute it and encodes the answer.
        ///
        /// An error means that the peer broke the protocol; an errno is a normal answer inside the message.
        pub fn dispatch<H: Handler>(handler: &mut H, call: Message, chunk: Window<'_>, scratch: &mut [u8]) -> Result<Message, ProtocolError> {
            let op = Op::from_number(call.code).ok_or(ProtocolError::UnknownOp(call.code as u16))?;
            Ok(match op { $($(
                Op::$Name => {
                    let mut _reader = Reader::new(call, <request::$Name as Request>::SCALARS, chunk, scratch)?;
                    let request = request::$Name { $($field: Field::take(&mut _reader)?),* };
                    answer(handler.$method(request), chunk)
                }
            )*)* })
        }

        /// Writes the call as `name(field, …)`; `chunk` holds a private copy of its payload.
        pub(crate) fn show_call(call: Message, chunk: Window<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let mut scratch = vec![0; SCRATCH];
            let Some(op) = Op::from_number(call.code) else { return write!(f, "op{}(…)", call.code) };
            match op { $($(
                Op::$Name => {
                    let reader = Reader::new(call, <request::$Name as Request>::SCALARS, chunk, &mut scratch);
                    match reader.and_then(|mut _reader| Ok(request::$Name { $($field: Field::take(&mut _reader)?),* })) {
                        Ok(request) => request.show(f),
                        Err(_) => write!(f, "{}(?)", op.spec().name),
                    }
                }
            )*)* }
        }

        /// Writes the answer of a call of `op`: its fields, or the errno.
        pub(crate) fn show_reply(op: u32, answer: Message, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            if answer.code != 0 {
                return write!(f, "-1 ({})", Errno(answer.code as i32));
            }
            let Some(op) = Op::from_number(op) else { return f.write_str("?") };
            let mut nothing = vec![0; answer.payload as usize];
            match op { $($(
                Op::$Name => {
                    let reader = Reader::new(answer, <reply::$Name as Reply>::SCALARS, Window::of(&mut nothing), &mut []);
                    match reader.and_then(|mut reader| reply::$Name::decode(&mut reader)) {
                        Ok(reply) => reply.show(f),
                        Err(_) => f.write_str("?"),
                    }
                }
            )*)* }
        }

        /// The typed calls, one method an op, over anything that can carry a request.
        pub trait Calls {
            /// Sends a request and waits for its answer.
            fn call<R: Request>(&self, request: R) -> Result<R::Reply, Errno>;
            $($(
                $(#[doc = $doc])*
                #[allow(clippy::too_many_arguments)]
                fn $method $(<$life>)? (&self, $($field: $type),*) -> Result<reply::$Name, Errno> {
                    self.call(request::$Name { $($field),* })
                }
            )*)*
        }
    };
}

/// Whether an attribute stands in a row.
macro_rules! has {
    (blocks) => { false };
    (no_restart) => { false };
    (retry) => { false };
    (changes) => { false };
    (clean) => { false };
    (blocks blocks $($rest:ident)*) => { true };
    (no_restart no_restart $($rest:ident)*) => { true };
    (retry retry $($rest:ident)*) => { true };
    (changes changes $($rest:ident)*) => { true };
    (clean clean $($rest:ident)*) => { true };
    ($want:ident $other:ident $($rest:ident)*) => { has!($want $($rest)*) };
}

/// What is written for a reply without fields.
macro_rules! has_none {
    ($f:ident) => {
        $f.write_str("0")
    };
    ($f:ident $($field:ident)+) => {
        Ok(())
    };
}

pub(crate) use {has, has_none, ops};
