//! Which byte ranges of a file an owner has locked, so that whoever asks what is in the way learns the holder. Pure.

use crate::fs::{Lock, LockKind};

/// One owner's locks on one file, as the kernel keeps them: in order, without overlap, neighbours of one kind in one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges(Vec<Lock>);

impl Ranges {
    /// Notes a lock that was granted, or an unlocking: what it covers is replaced, as fcntl(2) does.
    pub fn set(&mut self, lock: Lock) {
        let mut rest = Vec::with_capacity(self.0.len() + 2);
        for old in self.0.drain(..) {
            if old.end < lock.start || old.start > lock.end {
                rest.push(old);
                continue;
            }
            if old.start < lock.start {
                rest.push(Lock {
                    end: lock.start - 1,
                    ..old
                });
            }
            if old.end > lock.end {
                rest.push(Lock {
                    start: lock.end + 1,
                    ..old
                });
            }
        }
        if lock.kind != LockKind::Unlock {
            rest.push(lock);
        }
        rest.sort_by_key(|one| one.start);
        rest.dedup_by(|next, one| {
            let joined = one.kind == next.kind && one.end.checked_add(1) == Some(next.start);
            if joined {
                one.end = next.end;
            }
            joined
        });
        self.0 = rest;
    }

    /// The first lock that is in the way of another owner's.
    pub fn against(&self, lock: &Lock) -> Option<Lock> {
        let exclusive = |one: &Lock| one.kind == LockKind::Write;
        self.0.iter().copied().find(|held| {
            held.start <= lock.end && held.end >= lock.start && (exclusive(held) || exclusive(lock))
        })
    }

    /// Whether nothing is locked.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(kind: LockKind, start: u64, end: u64) -> Lock {
        Lock {
            kind,
            start,
            end,
            pid: 7,
            owner: 1,
            flock: false,
        }
    }

    #[test]
    fn unlocking_the_middle_leaves_both_ends() {
        let mut ranges = Ranges::default();
        ranges.set(lock(LockKind::Write, 0, 99));
        ranges.set(lock(LockKind::Unlock, 40, 59));
        let read = |start, end| ranges.against(&lock(LockKind::Read, start, end));
        assert_eq!(read(0, 0), Some(lock(LockKind::Write, 0, 39)));
        assert_eq!(read(40, 59), None);
        assert_eq!(read(59, 60), Some(lock(LockKind::Write, 60, 99)));
    }

    #[test]
    fn the_first_in_the_file_is_told_and_neighbours_are_one() {
        let mut ranges = Ranges::default();
        ranges.set(lock(LockKind::Write, 20, 29));
        ranges.set(lock(LockKind::Read, 0, 4));
        ranges.set(lock(LockKind::Read, 5, 9));
        let first = |start, end| ranges.against(&lock(LockKind::Write, start, end));
        assert_eq!(first(0, 99), Some(lock(LockKind::Read, 0, 9)));
        assert_eq!(first(10, 99), Some(lock(LockKind::Write, 20, 29)));
        ranges.set(lock(LockKind::Write, 10, 19));
        assert_eq!(
            ranges.against(&lock(LockKind::Write, 12, 12)),
            Some(lock(LockKind::Write, 10, 29))
        );
    }

    #[test]
    fn readers_do_not_exclude_each_other() {
        let mut ranges = Ranges::default();
        ranges.set(lock(LockKind::Read, 10, 19));
        assert_eq!(ranges.against(&lock(LockKind::Read, 0, 100)), None);
        assert!(ranges.against(&lock(LockKind::Write, 19, 19)).is_some());
        ranges.set(lock(LockKind::Write, 0, u64::MAX));
        assert_eq!(
            ranges.against(&lock(LockKind::Read, 500, 501)),
            Some(lock(LockKind::Write, 0, u64::MAX))
        );
        ranges.set(lock(LockKind::Unlock, 0, u64::MAX));
        assert!(ranges.is_empty());
    }
}
