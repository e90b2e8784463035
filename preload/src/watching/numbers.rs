//! Watch descriptors: which of the host's is which of the kernel's.

use libc::c_int;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Room; the host grants a guest no more watches.
const MOST: usize = 8192;

const EMPTY: u64 = 0;
/// Something stood here: a search goes on behind it.
const GONE: u64 = 1;

/// The watches of one instance: a hash table by the host's number, with the next place free for what collides.
#[derive(Debug)]
pub struct Numbers {
    /// `host << 32 | guest`, both at least 1.
    entries: [AtomicU64; MOST],
    live: AtomicU32,
}

fn pack(host: c_int, guest: c_int) -> u64 {
    u64::from(host as u32) << 32 | u64::from(guest as u32)
}

fn unpack(entry: u64) -> (c_int, c_int) {
    ((entry >> 32) as c_int, entry as u32 as c_int)
}

impl Numbers {
    /// No watches.
    pub const fn new() -> Numbers {
        Numbers {
            entries: [const { AtomicU64::new(EMPTY) }; MOST],
            live: AtomicU32::new(0),
        }
    }

    /// The places in which a number of the host's may stand.
    fn places(&self, host: c_int) -> impl Iterator<Item = &AtomicU64> {
        (0..MOST).map(move |step| &self.entries[(host as u32 as usize + step) % MOST])
    }

    fn find(&self, host: c_int) -> Option<(&AtomicU64, u64)> {
        self.places(host)
            .map(|place| (place, place.load(Ordering::Acquire)))
            .take_while(|(_, entry)| *entry != EMPTY)
            .find(|(_, entry)| *entry != GONE && unpack(*entry).0 == host)
    }

    /// The kernel's number for one of the host's.
    pub fn guest(&self, host: c_int) -> Option<c_int> {
        self.find(host).map(|(_, entry)| unpack(entry).1)
    }

    /// The host's number for one of the kernel's. Looks at all of them.
    pub fn host(&self, guest: c_int) -> Option<c_int> {
        let entries = self
            .entries
            .iter()
            .map(|place| place.load(Ordering::Acquire));
        entries
            .filter(|entry| !matches!(*entry, EMPTY | GONE))
            .take(self.live.load(Ordering::Acquire) as usize)
            .map(unpack)
            .find(|(_, number)| *number == guest)
            .map(|(host, _)| host)
    }

    /// Enters a pair; whether there is room. One thread at a time may do so.
    #[must_use]
    pub fn insert(&self, host: c_int, guest: c_int) -> bool {
        let free = self
            .places(host)
            .find(|place| matches!(place.load(Ordering::Acquire), EMPTY | GONE));
        if let Some(place) = free {
            self.live.fetch_add(1, Ordering::AcqRel);
            place.store(pack(host, guest), Ordering::Release);
        }
        free.is_some()
    }

    /// Forgets a number of the host's; says which of the kernel's it was.
    pub fn remove(&self, host: c_int) -> Option<c_int> {
        let (place, entry) = self.find(host)?;
        place.store(GONE, Ordering::Release);
        self.live.fetch_sub(1, Ordering::AcqRel);
        Some(unpack(entry).1)
    }

    /// Forgets all. Nobody else may use the table meanwhile.
    pub fn clear(&self) {
        for place in &self.entries {
            // A page that nobody wrote to stays one that the process does not have.
            if place.load(Ordering::Relaxed) != EMPTY {
                place.store(EMPTY, Ordering::Relaxed);
            }
        }
        self.live.store(0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_collide_are_told_apart() {
        static NUMBERS: Numbers = Numbers::new();
        let room = MOST as c_int;
        for (host, guest) in [(7, 1), (7 + room, 2), (7 + 2 * room, 3), (8, 4)] {
            assert!(NUMBERS.insert(host, guest));
        }
        assert_eq!(NUMBERS.remove(7 + room), Some(2));
        let found = [7, 7 + room, 7 + 2 * room, 8].map(|host| NUMBERS.guest(host));
        assert_eq!(found, [Some(1), None, Some(3), Some(4)]);
        assert_eq!(
            (NUMBERS.host(3), NUMBERS.host(2)),
            (Some(7 + 2 * room), None)
        );
        assert!(NUMBERS.insert(9 + room, 5));
        assert_eq!((NUMBERS.guest(9 + room), NUMBERS.guest(9)), (Some(5), None));
        NUMBERS.clear();
        assert_eq!((NUMBERS.guest(7), NUMBERS.host(1)), (None, None));
    }

    #[test]
    fn no_more_than_there_is_room() {
        static NUMBERS: Numbers = Numbers::new();
        assert!((1..=MOST as c_int).all(|number| NUMBERS.insert(number, number)));
        assert!(!NUMBERS.insert(MOST as c_int + 1, 1));
        assert_eq!(NUMBERS.remove(100), Some(100));
        assert!(NUMBERS.insert(MOST as c_int + 1, 1));
        assert_eq!(NUMBERS.guest(MOST as c_int + 1), Some(1));
    }
}
