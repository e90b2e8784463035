//! Who the guest's callers are: ids from the request, supplementary groups from what the guest kernel shows of the thread.
//!
//! A wrong list of groups must never grant more. So one is believed for [`FRESH`] only and for the very ids that it was
//! read with. For a thread that has other ids than its request the guest kernel acts as somebody else, such as whoever
//! mounted an overlay or registered a personality with io_uring(7): that one has no supplementary groups. A thread that
//! cannot be looked at is nobody: its request fails, unless it is made through an open file, which then acts as whoever
//! opened that. Besides, the guest kernel has checked the request by its own, exact knowledge before it was sent.

use crate::fs::Caller;
use hostcall::acting::Credentials;
use hostcall::ids::{GuestGid, GuestUid, MOST_GROUPS};
use hostcall::types::Mode;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long groups are believed. Reading them anew costs about as much as one request.
const FRESH: Duration = Duration::from_millis(50);
/// Threads that are remembered before the stale ones are dropped.
const MOST: usize = 1024;

/// Somebody in the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    uid: GuestUid,
    gid: GuestGid,
    groups: Vec<GuestGid>,
}

impl Who {
    /// As the host is told. A mask is one that the guest kernel has left to the host.
    pub fn credentials(&self, umask: Option<Mode>) -> Credentials<'_> {
        Credentials {
            uid: self.uid,
            gid: self.gid,
            groups: &self.groups,
            umask,
        }
    }
}

/// Those who have called lately, by their threads.
#[derive(Debug, Default)]
pub struct People(Mutex<HashMap<u32, (Arc<Who>, Instant)>>);

impl People {
    /// Whoever makes a request; `None` if that is not to be known.
    pub fn who(&self, caller: &Caller) -> Option<Arc<Who>> {
        if caller.pid == 0 {
            return None;
        }
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((who, since)) = known.get(&caller.pid) {
            if since.elapsed() < FRESH && (who.uid, who.gid) == (caller.uid, caller.gid) {
                return Some(who.clone());
            }
        }
        drop(known);
        let status = std::fs::read_to_string(format!("/proc/{}/status", caller.pid)).ok()?;
        let who = Arc::new(Who {
            uid: caller.uid,
            gid: caller.gid,
            groups: groups(&status, caller)?,
        });
        known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.retain(|_, (_, since)| since.elapsed() < FRESH);
        }
        known.insert(caller.pid, (who.clone(), Instant::now()));
        Some(who)
    }
}

/// The supplementary groups in proc_pid_status(5), if it is that of a thread with the caller's ids: as the file-system ids
/// or, for access(2), the real ones. None where the ids are others, and no answer where there are no ids.
fn groups(status: &str, caller: &Caller) -> Option<Vec<GuestGid>> {
    let line = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
    let ids = |name: &str| -> Option<Vec<u32>> {
        let words = line(name)?.split_ascii_whitespace();
        words.map(|word| word.parse().ok()).collect()
    };
    let has = |name: &str, id: u32| {
        let ids = ids(name)?;
        Some(*ids.first()? == id || *ids.get(3)? == id)
    };
    if !has("Uid:", caller.uid.0)? || !has("Gid:", caller.gid.0)? {
        return Some(Vec::new());
    }
    let groups = ids("Groups:")?;
    (groups.len() <= MOST_GROUPS).then(|| groups.into_iter().map(GuestGid).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str =
        "Name:\tx\nUid:\t1000\t0\t0\t0\nGid:\t1001\t7\t7\t7\nGroups:\t4 24 1001 \n";

    fn caller(uid: u32, gid: u32) -> Caller {
        Caller {
            uid: GuestUid(uid),
            gid: GuestGid(gid),
            ..Caller::KERNEL
        }
    }

    #[test]
    fn groups_are_those_of_a_thread_with_the_same_ids() {
        let list = Some(vec![GuestGid(4), GuestGid(24), GuestGid(1001)]);
        assert_eq!(groups(STATUS, &caller(0, 7)), list);
        assert_eq!(groups(STATUS, &caller(1000, 1001)), list);
        assert_eq!(groups(STATUS, &caller(1001, 7)), Some(Vec::new()));
        assert_eq!(groups(STATUS, &caller(0, 1002)), Some(Vec::new()));
        assert_eq!(groups("", &caller(0, 0)), None);
        let none = "Uid:\t1\t1\t1\t1\nGid:\t1\t1\t1\t1\nGroups:\t\n";
        assert_eq!(groups(none, &caller(1, 1)), Some(Vec::new()));
    }

    #[test]
    fn a_thread_that_is_gone_is_nobody() {
        let people = People::default();
        assert_eq!(people.who(&caller(0, 0)), None);
        let gone = Caller {
            pid: u32::MAX,
            ..caller(0, 0)
        };
        assert_eq!(people.who(&gone), None);
    }
}
