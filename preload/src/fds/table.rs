//! Which numbers stand for which descriptors of the shadow.
//!
//! Each place knows when it was written to last, for a fork: the child's shadow has the files that there were when the parent asked for
//! it, the child the memory of a little later. What another thread has opened in between is not among those files, though its
//! descriptor's number may be, as that of an older one ([`changed`]); what it has closed still is, and the child has it closed.

use super::{Entry, MOST};
use hostcall::types::RemoteFd;
use libc::c_int;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// When the place was written to, in the upper 40 bits, and its entry's word.
static TABLE: [AtomicU64; MOST] = [const { AtomicU64::new(0) }; MOST];

/// One above the highest number that was ever a host file.
static HIGH: AtomicU32 = AtomicU32::new(0);
/// Host files now.
static COUNT: AtomicU32 = AtomicU32::new(0);
/// Changes of the table so far.
static CHANGES: AtomicU64 = AtomicU64::new(0);

/// A point in the order of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Age(u64);

impl Age {
    /// Bits below it in a word.
    const LOWER: u32 = 24;

    /// It begins anew after so many changes, which take a month.
    const ALL: u64 = 1 << (u64::BITS - Age::LOWER);

    /// No fork sees more changes than this while it is under way; so many of them take seconds.
    const FORK: u64 = 1 << 20;

    /// After all changes so far.
    pub fn now() -> Age {
        // [A1] Before the host is asked for its copy of the files: what has been counted here it had opened before. Pairs with [A2].
        Age(CHANGES.load(Ordering::SeqCst) % Age::ALL)
    }

    /// That of the next change.
    pub fn next() -> Age {
        // [A2] After the host has opened a file, and before it is asked to close one.
        Age(CHANGES.fetch_add(1, Ordering::SeqCst).wrapping_add(1) % Age::ALL)
    }

    /// When a word of some table was written.
    fn of(word: u64) -> Age {
        Age(word >> Age::LOWER)
    }

    /// Whether that was after this.
    pub fn is_before(self, word: u64) -> bool {
        let behind = Age::of(word).0.wrapping_sub(self.0) % Age::ALL;
        (1..Age::FORK).contains(&behind)
    }

    /// A word of a table, of which the lower bits have room for a descriptor of any shadow.
    pub fn with(self, lower: u32) -> u64 {
        self.0 << Age::LOWER | u64::from(Age::lower(lower.into()))
    }

    /// The lower bits of a word.
    pub fn lower(word: u64) -> u32 {
        word as u32 & ((1 << Age::LOWER) - 1)
    }
}

fn slot(fd: c_int) -> Option<&'static AtomicU64> {
    TABLE.get(fd as u32 as usize)
}

/// The table's entry for a descriptor; `None` for one that is the guest's own. One load.
#[inline]
pub fn entry(fd: c_int) -> Option<Entry> {
    Entry::unpack(Age::lower(slot(fd)?.load(Ordering::Acquire)))
}

/// The shadow's descriptor behind `fd`; `None` for a guest descriptor. One load.
#[inline]
pub fn host(fd: c_int) -> Option<RemoteFd> {
    Entry::remote(Age::lower(slot(fd)?.load(Ordering::Acquire)))
}

/// Whether any descriptor is a host file.
pub fn any() -> bool {
    COUNT.load(Ordering::Relaxed) != 0
}

fn words() -> impl Iterator<Item = (c_int, u64)> {
    let high = HIGH.load(Ordering::Relaxed) as usize;
    let words = TABLE.iter().take(high).enumerate();
    words.map(|(fd, word)| (fd as c_int, word.load(Ordering::Acquire)))
}

/// All host files: number and entry.
pub fn all() -> impl Iterator<Item = (c_int, Entry)> {
    words().filter_map(|(fd, word)| Some((fd, Entry::unpack(Age::lower(word))?)))
}

/// The numbers that have changed since.
pub(super) fn changed(since: Age) -> impl Iterator<Item = c_int> {
    let changed = words().filter(move |(_, word)| since.is_before(*word));
    changed.map(|(fd, _)| fd)
}

/// In a fork's child, whose memory was copied page by page.
pub(super) fn recount() {
    COUNT.store(all().count() as u32, Ordering::Relaxed);
}

/// Puts an entry into the table; answers what stood there.
pub(super) fn enter(fd: c_int, entry: Entry) -> Option<Entry> {
    let slot = slot(fd)?;
    // First: a child's memory is copied page by page, and it must see what is entered.
    if HIGH.load(Ordering::Relaxed) <= fd as u32 {
        HIGH.fetch_max(fd as u32 + 1, Ordering::SeqCst);
    }
    let word = Age::next().with(entry.pack());
    let old = Entry::unpack(Age::lower(slot.swap(word, Ordering::AcqRel)));
    if old.is_none() {
        COUNT.fetch_add(1, Ordering::Relaxed);
    }
    old
}

/// Changes what stands for a number as `to` has it; answers the entry before.
fn change(fd: c_int, to: impl Fn(u64) -> Option<u64>) -> Option<Entry> {
    let old = slot(fd)?.fetch_update(Ordering::AcqRel, Ordering::Acquire, to);
    Entry::unpack(Age::lower(old.ok()?))
}

/// A word with something noted of its entry, which is no newer by that.
fn noted(word: u64, note: impl Fn(&mut Entry)) -> Option<u64> {
    let mut entry = Entry::unpack(Age::lower(word))?;
    note(&mut entry);
    Some(Age::of(word).with(entry.pack()))
}

/// Forgets a host file without telling anybody; its placeholder stays and answers `EBADF`.
pub fn forget(fd: c_int) -> Option<Entry> {
    let old = change(fd, |word| {
        Entry::remote(Age::lower(word)).map(|_| Age::next().with(Entry::FOREIGN))
    });
    if old.is_some() {
        COUNT.fetch_sub(1, Ordering::Relaxed);
    }
    old
}

/// Notes a close-on-exec flag; whether there is a file, which had another.
pub(super) fn note_cloexec(fd: c_int, cloexec: bool) -> bool {
    let old = change(fd, |word| noted(word, |entry| entry.cloexec = cloexec));
    old.is_some_and(|old| old.cloexec != cloexec)
}

/// Notes that a host file is ready at any time, if it is the one that stood there at that time.
pub fn note_ready(fd: c_int, then: Age) {
    change(fd, |word| match then.is_before(word) {
        true => None,
        false => noted(word, |entry| entry.ready = true),
    });
}

/// Believes that `fd`, a placeholder inherited from the program image before, stands for `remote`.
pub fn adopt(fd: c_int, remote: RemoteFd) {
    enter(fd, Entry::new(remote, false));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told_from_what_was_there() {
        let entry = |remote, cloexec| Entry::new(RemoteFd(remote), cloexec);
        let beginning = Age::now();
        enter(70, entry(7, false));
        enter(71, entry(8, true));
        let before = Age::now();
        note_ready(71, before);
        note_ready(70, beginning);
        assert!(note_cloexec(70, true) && !note_cloexec(70, true) && !note_cloexec(69, true));
        assert_eq!(enter(72, entry(9, false)), None);
        let ready = Entry {
            ready: true,
            ..entry(8, true)
        };
        assert_eq!(forget(71), Some(ready));
        assert_eq!((forget(71), forget(69)), (None, None));
        let changes: Vec<_> = changed(before).collect();
        assert_eq!(changes, [71, 72]);
        let there: Vec<_> = all().collect();
        assert_eq!(there, [(70, entry(7, true)), (72, entry(9, false))]);
        assert_eq!((host(71), host(72)), (None, Some(RemoteFd(9))));
        assert_eq!((changed(Age::now()).count(), any()), (0, true));
    }

    #[test]
    fn the_count_of_changes_may_begin_anew() {
        let (last, first) = (Age(Age::ALL - 1), Age(0));
        assert!(last.is_before(first.with(1)) && !first.is_before(last.with(1)));
        assert!(!last.is_before(last.with(1)));
        assert!(!first.is_before(Age(Age::ALL / 2).with(1)));
        assert_eq!(Age::lower(last.with(7)), 7);
    }
}
