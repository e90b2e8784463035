//! Calls made from the op table: well formed ones, for a peer to corrupt.

use crate::random::Random;
use hostcall::ops::Op;
use hostcall::shm::Window;
use hostcall::wire::{Message, Writer};

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
    let mut writer = Writer::new(spec.number.into(), chunk);
    for field in spec.request {
        // A payload that the chunk does not hold is left out, and its word with it: malformed, which is welcome here.
        let _ = match field.kind {
            "path" => {
                let mut path = choices.path();
                path.push(0);
                writer.bytes(&path)
            }
            "bytes" | "groups" => writer.bytes(&choices.bytes()),
            _ => {
                (0..field.words).for_each(|_| writer.word(choices.word()));
                Ok(())
            }
        };
    }
    writer.finish()
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
