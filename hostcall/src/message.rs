//! A message: the private copy of an entry, and how its words travel as bytes.

/// Words of an entry's head.
pub const WORDS: usize = 6;

/// Bytes of an entry's head.
pub const HEAD: usize = 8 * WORDS;

/// The private copy of one entry's contents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Op number of a call, errno of a reply (0 for success).
    pub code: u32,
    /// [`flags`] of a call; 0 in a reply.
    pub flags: u32,
    /// Bytes of the chunk that the message uses.
    pub payload: u32,
    /// The head: scalar fields, each at its own size, then the first of the private bytes.
    pub words: [u64; WORDS],
}

impl Message {
    /// The same with another head.
    #[inline(always)]
    pub fn with_head(self, head: [u8; HEAD]) -> Message {
        Message {
            words: to_words(&head),
            ..self
        }
    }

    /// The head's bytes.
    #[inline(always)]
    pub fn head(&self) -> [u8; HEAD] {
        to_bytes(&self.words)
    }
}

/// Words as they travel.
#[inline(always)]
pub(crate) fn to_bytes<const BYTES: usize, const WORDS: usize>(
    words: &[u64; WORDS],
) -> [u8; BYTES] {
    const { assert!(BYTES == 8 * WORDS) };
    let mut bytes = [0; BYTES];
    for (place, word) in bytes.as_chunks_mut().0.iter_mut().zip(words) {
        *place = word.to_le_bytes();
    }
    bytes
}

/// Words that have travelled.
#[inline(always)]
pub(crate) fn to_words<const BYTES: usize, const WORDS: usize>(
    bytes: &[u8; BYTES],
) -> [u64; WORDS] {
    const { assert!(BYTES == 8 * WORDS) };
    let mut words = [0; WORDS];
    for (word, place) in words.iter_mut().zip(bytes.as_chunks().0) {
        *word = u64::from_le_bytes(*place);
    }
    words
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
