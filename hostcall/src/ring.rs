//! The ring: fixed entries from one producer to one consumer, where *the entry is its own flag*.
//!
//! There is no shared head or tail. An entry's sequence word says which lap of the ring it belongs to; the producer
//! stores it last, the consumer polls it. So an entry costs one cache line in one direction, and there is no index
//! of the peer's to check. Each side's own index is private.
//!
//! Nothing stops a producer from writing over an entry that was not consumed: the lane's rule (at most [`DEPTH`]
//! calls without an answer) does, and whoever breaks it loses only its own messages.

use crate::sync::{AtomicU32, AtomicU64, Ordering};
use crate::wire::{Message, ProtocolError, WORDS};

/// Entries of a ring.
pub const DEPTH: usize = 4;

/// One message in shared memory: a cache line.
#[derive(Debug, Default)]
#[cfg_attr(not(loom), repr(C, align(64)))]
pub struct Entry {
    sequence: AtomicU32,
    code: AtomicU32,
    flags: AtomicU32,
    payload: AtomicU32,
    words: [AtomicU64; WORDS],
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Entry>() == 64 && align_of::<Entry>() == 64);

/// The shared half of a ring; all zero when fresh.
#[derive(Debug, Default)]
#[cfg_attr(not(loom), repr(C))]
pub struct Ring {
    entries: [Entry; DEPTH],
}

/// The slot of the `index`th message, which is also the number of its chunk.
fn slot(index: u64) -> usize {
    (index % DEPTH as u64) as usize
}

/// The sequence word of the `index`th message: its lap, from 1, so that zeroed memory holds no message.
fn lap(index: u64) -> u32 {
    ((index / DEPTH as u64) as u32).wrapping_add(1)
}

/// The writing end: a private index.
#[derive(Debug, Default)]
pub struct Producer {
    next: u64,
}

impl Producer {
    /// The slot that the next message goes to; its payload belongs in the chunk of that number.
    pub fn slot(&self) -> usize {
        slot(self.next)
    }

    /// Messages published so far.
    pub fn published(&self) -> u64 {
        self.next
    }

    /// Publishes a message.
    pub fn publish(&mut self, ring: &Ring, message: Message) {
        let entry = &ring.entries[slot(self.next)];
        entry.code.store(message.code, Ordering::Relaxed);
        entry.flags.store(message.flags, Ordering::Relaxed);
        entry.payload.store(message.payload, Ordering::Relaxed);
        for (shared, word) in entry.words.iter().zip(message.words) {
            shared.store(word, Ordering::Relaxed);
        }
        // [E1] Release: whoever sees the new sequence word by the acquire load at [E2] sees the fields above and
        // the payload in the chunk, and this side's reads of the chunk's old contents have happened.
        entry.sequence.store(lap(self.next), Ordering::Release);
        self.next += 1;
    }
}

/// The reading end: a private index.
#[derive(Debug, Default)]
pub struct Consumer {
    next: u64,
}

impl Consumer {
    /// The slot of the next message to arrive.
    pub fn slot(&self) -> usize {
        slot(self.next)
    }

    /// Takes the next message if it is there, as a private copy: each shared word is read once.
    ///
    /// A sequence word of any other lap is a protocol error: the peer jumps or replays.
    // A spinner does nothing else; as a call of its own a look costs a third of the round trip.
    #[inline(always)]
    pub fn poll(&mut self, ring: &Ring) -> Result<Option<Message>, ProtocolError> {
        let entry = &ring.entries[slot(self.next)];
        let expected = lap(self.next);
        // [E2] Acquire: pairs with the release store at [E1].
        let found = entry.sequence.load(Ordering::Acquire);
        if found != expected {
            return match found == expected.wrapping_sub(1) {
                true => Ok(None),
                false => Err(ProtocolError::Sequence { expected, found }),
            };
        }
        let message = Message {
            code: entry.code.load(Ordering::Relaxed),
            flags: entry.flags.load(Ordering::Relaxed),
            payload: entry.payload.load(Ordering::Relaxed),
            words: std::array::from_fn(|i| entry.words[i].load(Ordering::Relaxed)),
        };
        self.next += 1;
        Ok(Some(message))
    }
}

/// What a hostile peer can do to a ring: set any word of any entry.
#[cfg(not(loom))]
pub mod mock {
    use super::{Ordering, Ring, DEPTH};
    use crate::wire::WORDS;

    /// 32-bit-halves of an entry that [`corrupt`] can reach.
    pub const FIELDS: usize = 4 + WORDS;

    /// Overwrites one field of one entry; fields 0–3 are sequence, code, flags and payload, the rest are words.
    pub fn corrupt(ring: &Ring, slot: usize, field: usize, value: u64) {
        let entry = &ring.entries[slot % DEPTH];
        match field % FIELDS {
            0 => entry.sequence.store(value as u32, Ordering::Release),
            1 => entry.code.store(value as u32, Ordering::Relaxed),
            2 => entry.flags.store(value as u32, Ordering::Relaxed),
            3 => entry.payload.store(value as u32, Ordering::Relaxed),
            word => entry.words[word - 4].store(value, Ordering::Relaxed),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn message(n: u64) -> Message {
        Message {
            code: n as u32,
            flags: 1,
            payload: 2,
            words: [n; WORDS],
        }
    }

    #[test]
    fn messages_arrive_in_order_over_many_laps() {
        let (ring, mut producer, mut consumer) =
            (Ring::default(), Producer::default(), Consumer::default());
        assert_eq!(consumer.poll(&ring), Ok(None));
        let mut received = 0;
        for burst in (1..=DEPTH as u64).cycle().take(1000) {
            (0..burst).for_each(|i| producer.publish(&ring, message(received + i)));
            for _ in 0..burst {
                assert_eq!(consumer.poll(&ring), Ok(Some(message(received))));
                received += 1;
            }
            assert_eq!(consumer.poll(&ring), Ok(None));
        }
    }

    #[test]
    fn laps_survive_the_wrap_of_their_word() {
        let ring = Ring::default();
        let start = (u64::from(u32::MAX) - 2) * DEPTH as u64;
        let (mut producer, mut consumer) = (Producer { next: start }, Consumer { next: start });
        (0..DEPTH)
            .for_each(|slot| mock::corrupt(&ring, slot, 0, u64::from(lap(start).wrapping_sub(1))));
        for n in 0..10 * DEPTH as u64 {
            assert_eq!(consumer.poll(&ring), Ok(None));
            producer.publish(&ring, message(n));
            assert_eq!(consumer.poll(&ring), Ok(Some(message(n))));
        }
    }

    #[test]
    fn dpdk_86846_a_jump_or_replay_is_a_protocol_error() {
        for found in [2, 3, u32::MAX, 1 << 31] {
            let ring = Ring::default();
            mock::corrupt(&ring, 0, 0, found.into());
            assert_eq!(
                Consumer::default().poll(&ring),
                Err(ProtocolError::Sequence { expected: 1, found })
            );
        }
    }

    /// DPDK -86848: what is checked is what is used. The copy does not follow later changes of the entry.
    #[test]
    fn dpdk_86848_no_double_fetch() {
        let (ring, mut producer, mut consumer) =
            (Ring::default(), Producer::default(), Consumer::default());
        producer.publish(&ring, message(7));
        let copy = consumer.poll(&ring).unwrap().unwrap();
        (0..mock::FIELDS).for_each(|field| mock::corrupt(&ring, 0, field, u64::MAX));
        assert_eq!(copy, message(7));
    }
}

#[cfg(all(test, loom))]
mod models {
    use super::*;
    use loom::sync::Arc;

    /// [E1]/[E2]: a consumer that sees an entry sees all of it, over more than one lap.
    #[test]
    fn an_entry_is_seen_whole() {
        loom::model(|| {
            let ring = Arc::new(Ring::default());
            let writer = ring.clone();
            let thread = loom::thread::spawn(move || {
                let mut producer = Producer::default();
                for n in 1..=2u64 {
                    producer.publish(
                        &writer,
                        Message {
                            code: n as u32,
                            flags: 0,
                            payload: n as u32,
                            words: [n; WORDS],
                        },
                    );
                }
            });
            let mut consumer = Consumer::default();
            let mut received = 0;
            while received < 2 {
                match consumer.poll(&ring).unwrap() {
                    Some(message) => {
                        received += 1;
                        assert_eq!(
                            (message.code, message.payload, message.words),
                            (received as u32, received as u32, [received; WORDS])
                        );
                    }
                    None => crate::sync::relax(),
                }
            }
            thread.join().unwrap();
        });
    }
}
