//! What stays with the shadow when a host file becomes one of the mount (see `materialise`): the locks.
//!
//! A record lock is the process's until the process closes the file, one of flock(2) the open file description's; the host
//! takes those of the mount for somebody else's. So the shadow's descriptor stays open as long as the number, and locks of
//! such a number are the shadow's as before.

use crate::fds::{Age, MOST};
use crate::session;
use hostcall::ops::Calls;
use hostcall::types::RemoteFd;
use libc::c_int;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// 0: nothing is kept. Else since when, and the shadow's descriptor and one.
static TABLE: [AtomicU64; MOST] = [const { AtomicU64::new(0) }; MOST];
/// Numbers for which one is kept.
static COUNT: AtomicU32 = AtomicU32::new(0);

fn remote(word: u64) -> RemoteFd {
    RemoteFd(Age::lower(word) as i32 - 1)
}

/// Keeps the shadow's descriptor for a number that has none so far.
pub fn keep(fd: c_int, remote: RemoteFd) {
    if let Some(slot) = TABLE.get(fd as u32 as usize) {
        let word = Age::next().with(remote.0 as u32 + 1);
        slot.store(word, Ordering::Release);
        COUNT.fetch_add(1, Ordering::Release);
    }
}

/// The shadow's descriptor behind a file of the mount. One load where there is none in the process.
#[inline]
pub fn of(fd: c_int) -> Option<RemoteFd> {
    if COUNT.load(Ordering::Acquire) == 0 {
        return None;
    }
    let word = TABLE.get(fd as u32 as usize)?.load(Ordering::Acquire);
    (word != 0).then(|| remote(word))
}

/// Whether one is kept for any number.
pub fn any() -> bool {
    COUNT.load(Ordering::Acquire) != 0
}

/// All that are kept.
pub fn all() -> impl Iterator<Item = RemoteFd> {
    let slots = TABLE.iter().take(if any() { MOST } else { 0 });
    let words = slots.map(|slot| slot.load(Ordering::Acquire));
    words.filter(|word| *word != 0).map(remote)
}

/// To be called when a number is closed by whatever way, or is given another file: its locks end. One load where
/// nothing is kept in the process.
#[inline]
pub fn closed(fd: c_int) {
    if COUNT.load(Ordering::Acquire) != 0 {
        close(fd);
    }
}

#[cold]
fn close(fd: c_int) {
    let Some(slot) = TABLE.get(fd as u32 as usize) else {
        return;
    };
    // Nothing is asked of the host for any other number: it may be one of the library's own, closed while there is no session.
    if slot.load(Ordering::Acquire) == 0 {
        return;
    }
    // Before the slot is empty: another thread may then begin another session.
    let client = session::client();
    let word = slot.swap(0, Ordering::AcqRel);
    if word != 0 {
        COUNT.fetch_sub(1, Ordering::AcqRel);
        let _ = client.and_then(|client| client.close(remote(word)));
    }
}

/// [`closed`] for all numbers of a range, ends included.
pub fn closed_between(first: c_int, last: c_int) {
    if COUNT.load(Ordering::Acquire) != 0 {
        (first.max(0)..=last.min(MOST as c_int - 1)).for_each(close);
    }
}

/// In a fork's child: forgets those that its shadow may not have.
pub fn forget_changed(since: Age) {
    if COUNT.load(Ordering::Acquire) == 0 {
        return;
    }
    let mut left = 0;
    for slot in &TABLE {
        match slot.load(Ordering::Acquire) {
            0 => {}
            word if since.is_before(word) => slot.store(0, Ordering::Release),
            _ => left += 1,
        }
    }
    COUNT.store(left, Ordering::Release);
}

/// In a child that has no shadow with these files.
pub fn forget_all() {
    if COUNT.swap(0, Ordering::AcqRel) != 0 {
        TABLE
            .iter()
            .for_each(|slot| slot.store(0, Ordering::Release));
    }
}
