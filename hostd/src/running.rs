//! Programs that a guest's kernel executes from host files: as long as it does, nobody of the guest may write to these.
//!
//! The host's kernel knows nothing of it, for what it sees is a file that hostfs has open for reading. So the shadows
//! keep a list, in memory that they share, and answer `ETXTBSY` themselves.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The mark of an open for execve(2) in a FUSE request's flags, `__FMODE_EXEC` in the kernel's `include/linux/fs.h`. open(2)
/// passes over it.
pub const EXECUTE: i32 = 0x20;

/// Most files on the list. Further ones can be written to, as those of a network file system can.
const MOST: usize = 64;

#[derive(Debug)]
#[repr(C)]
struct Entry {
    /// Whose it is: place of the session and descriptor, or 0.
    owner: AtomicU64,
    device: AtomicU64,
    inode: AtomicU64,
}

/// The list. Zeroed memory is an empty one.
#[derive(Debug)]
#[repr(C)]
pub struct Running {
    count: AtomicU32,
    entries: [Entry; MOST],
}

/// Never 0: a session's descriptors are above its own.
fn owner(slot: u32, fd: i32) -> u64 {
    u64::from(slot) << 32 | u64::from(fd as u32)
}

impl Running {
    /// Whether there is any; one load.
    pub fn any(&self) -> bool {
        self.count.load(Ordering::Acquire) != 0
    }

    /// Enters the file behind a session's descriptor, by device and inode.
    pub fn enter(&self, slot: u32, fd: i32, (device, inode): (u64, u64)) {
        let mine = owner(slot, fd);
        for entry in &self.entries {
            let (order, failure) = (Ordering::Acquire, Ordering::Relaxed);
            let taken = entry.owner.compare_exchange(0, mine, order, failure);
            if taken.is_ok() {
                entry.device.store(device, Ordering::Relaxed);
                entry.inode.store(inode, Ordering::Relaxed);
                // Release: pairs with the acquire in `any`, so that whoever sees the count sees the file.
                self.count.fetch_add(1, Ordering::Release);
                return;
            }
        }
    }

    /// Takes a descriptor off the list, which is about to be closed.
    pub fn leave(&self, slot: u32, fd: i32) {
        self.remove(|of| of == owner(slot, fd));
    }

    /// Takes all of a session off, which has ended.
    pub fn end(&self, slot: u32) {
        self.remove(|of| of >> 32 == u64::from(slot));
    }

    fn remove(&self, is: impl Fn(u64) -> bool) {
        if !self.any() {
            return;
        }
        for entry in &self.entries {
            let of = entry.owner.load(Ordering::Relaxed);
            let (order, failure) = (Ordering::Relaxed, Ordering::Relaxed);
            // Of two that take it off, one counts.
            let ends = of != 0 && is(of);
            if ends && entry.owner.compare_exchange(of, 0, order, failure).is_ok() {
                self.count.fetch_sub(1, Ordering::Release);
            }
        }
    }

    /// Whether another session than that in `slot` has a file on the list.
    pub fn holds(&self, slot: u32, identity: (u64, u64)) -> bool {
        self.entries.iter().any(|entry| {
            let of = entry.owner.load(Ordering::Relaxed);
            let file = (
                entry.device.load(Ordering::Relaxed),
                entry.inode.load(Ordering::Relaxed),
            );
            of != 0 && of >> 32 != u64::from(slot) && file == identity
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_on_the_list_until_its_last_descriptor_is_closed() {
        let running = Running {
            count: AtomicU32::new(0),
            entries: std::array::from_fn(|_| Entry {
                owner: AtomicU64::new(0),
                device: AtomicU64::new(0),
                inode: AtomicU64::new(0),
            }),
        };
        let file = (7, 9);
        assert!(!running.any() && !running.holds(1, file));
        running.enter(1, 5, file);
        running.enter(1, 6, file);
        assert!(!running.holds(1, file), "its own");
        assert!(running.holds(2, file) && !running.holds(2, (7, 8)));
        running.leave(1, 5);
        running.leave(1, 5);
        assert!(running.any() && running.holds(2, file));
        running.leave(1, 6);
        assert!(!running.any() && !running.holds(2, file));
        (3..3 + 2 * MOST as i32).for_each(|fd| running.enter(1, fd, file));
        running.end(2);
        assert!(running.any());
        running.end(1);
        assert!(!running.any());
    }
}
