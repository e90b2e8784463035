//! Calls made from the op table: well formed ones, for a peer to corrupt.

use crate::random::Random;
use hostcall::ops::Op;
use hostcall::shm::Window;
use hostcall::table::FieldSpec;
use hostcall::wire::{Field, Message, Source, Writer, HEAD};

/// Where the words and bytes of generated calls come from: a random sequence, or a fuzzer's input.
pub trait Choices {
    /// A plain word.
    fn word(&mut self) -> u64;
    /// A path without its NUL.
    fn path(&mut self) -> Vec<u8>;
    /// Some bytes to write.
    fn bytes(&mut self) -> Vec<u8>;
}

/// Builds a well-formed call of an op in `chunk`, by the fields that its row declares.
pub fn call(op: Op, choices: &mut impl Choices, chunk: Window<'_>) -> Message {
    let spec = op.spec();
    let scalars = spec.request.iter().map(|field| field.size).sum();
    let mut writer = Writer::new(spec.number.into(), scalars, chunk);
    for field in spec.request {
        // A payload that the chunk does not hold is left out, and its length with it: malformed, which is welcome here.
        let _ = match field.kind {
            "path" => {
                let mut path = choices.path();
                path.push(0);
                writer.bytes(&path)
            }
            "groups" => writer.bytes(&choices.bytes()),
            "bytes" => {
                let bytes = choices.bytes();
                Source::new(&bytes).put(&mut writer)
            }
            _ => {
                for size in pieces(field) {
                    let word = choices.word();
                    match size {
                        8 => writer.scalar(word.to_le_bytes()),
                        _ => writer.scalar((word as u32).to_le_bytes()),
                    }
                }
                Ok(())
            }
        };
    }
    writer.finish()
}

/// The numbers that make a scalar, by their sizes.
fn pieces(field: &FieldSpec) -> impl Iterator<Item = usize> {
    let (long, short) = (field.size / 8, field.size % 8);
    std::iter::repeat_n(8, long).chain((short > 0).then_some(short))
}

/// How many choices a call of an op takes.
pub fn choices(op: Op) -> usize {
    let of = |field: &FieldSpec| pieces(field).count().max(1);
    op.spec().request.iter().map(of).sum()
}

/// A call by hand: these scalars, each cut to its size, these bytes behind them in the head, and so much payload.
pub fn forged(op: Op, scalars: &[u64], private: &[u8], payload: u32) -> Message {
    let (mut head, mut values) = (Vec::with_capacity(HEAD), scalars.iter());
    for size in op.spec().request.iter().flat_map(pieces) {
        let value = values.next().copied().unwrap_or(0);
        head.extend_from_slice(&value.to_le_bytes()[..size]);
    }
    head.extend_from_slice(private);
    head.resize(HEAD, 0);
    let message = Message {
        code: op as u32,
        payload,
        ..Message::default()
    };
    message.with_head(head.try_into().expect("as many bytes"))
}

/// Random choices around a small set of names and descriptors, so that many calls succeed.
#[derive(Debug)]
pub struct Likely<'r> {
    /// The sequence.
    pub random: &'r mut Random,
    /// Names worth trying.
    pub names: &'r [&'r [u8]],
}

impl Choices for Likely<'_> {
    fn word(&mut self) -> u64 {
        match self.random.below(8) {
            0 => self.random.hostile(),
            1 => libc::AT_FDCWD as u64,
            2 => 0,
            3 => self.random.one_of(&[
                libc::O_RDWR,
                libc::O_CREAT,
                libc::O_DIRECTORY,
                libc::O_PATH,
                libc::O_NONBLOCK,
                0o600,
            ]) as u64,
            _ => self.random.word() & 15,
        }
    }

    fn path(&mut self) -> Vec<u8> {
        match self.random.below(16) {
            0 => (0..self.random.below(300))
                .map(|_| 1 + (self.random.word() % 255) as u8)
                .collect(),
            1 => vec![b'x'; self.random.below(5000)],
            _ => self.random.one_of(self.names).to_vec(),
        }
    }

    fn bytes(&mut self) -> Vec<u8> {
        vec![b'w'; self.random.below(600)]
    }
}
