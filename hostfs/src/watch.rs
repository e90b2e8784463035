//! What the guest kernel was told of each inode, which directories are watched on the host, and what their events mean.
//! No I/O.
//!
//! The changes that this mount makes itself come back as events too. They must not cost the guest what it has cached: a
//! file's state is compared with what the kernel was told of it, and a difference right after a change of our own is
//! taken for that change.

use crate::fs::{Ino, Time};
use std::collections::{BTreeMap, HashMap};
use std::ffi::{CStr, CString};
use std::time::{Duration, Instant};

/// What is watched in a directory: names, and the contents and metadata of what has them.
pub const MASK: u32 = libc::IN_CREATE
    | libc::IN_DELETE
    | libc::IN_MODIFY
    | libc::IN_ATTRIB
    | libc::IN_MOVED_FROM
    | libc::IN_MOVED_TO
    | libc::IN_DELETE_SELF
    | libc::IN_ONLYDIR
    | libc::IN_EXCL_UNLINK;

/// What is watched of a file that has several names, or none: its contents and metadata, by whatever name they are changed.
pub const FILE_MASK: u32 = libc::IN_MODIFY | libc::IN_ATTRIB | libc::IN_DELETE_SELF;

/// How long after a change of our own its event may come.
const OWN: Duration = Duration::from_millis(50);
/// So many times other processes of the guest wait for a directory that nobody uses on the mount any more.
const TIRED: u32 = 8;
/// Bytes of a `struct inotify_event` before its name.
const HEAD: usize = size_of::<libc::inotify_event>();

/// A file's state, by which changes are seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Last change of the inode.
    pub ctime: Time,
    /// Last change of contents.
    pub mtime: Time,
    /// Bytes.
    pub size: u64,
}

/// What is known of a change besides the state that it has led to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// It may be one of the guest's other processes', who must see it on the mount from now on.
    pub near: bool,
    /// It is one of data, or of names in a directory.
    pub data: bool,
}

/// What the kernel is to forget of an inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stale {
    /// Nothing.
    Nothing,
    /// Its metadata.
    Metadata,
    /// Its data as well.
    Everything,
}

#[derive(Clone, Copy, Debug, Default)]
struct Told {
    state: Option<State>,
    own: Option<Instant>,
    directory: bool,
}

/// A watched directory; without a watch where the host refuses one, so that it is not asked every time.
#[derive(Clone, Copy, Debug)]
struct Watched {
    watch: Option<i32>,
    used: u64,
    /// Times that the guest's other processes have changed something here since.
    near: u32,
    /// A file with several names has been found here, of which only one is known.
    linked: bool,
}

/// The books.
#[derive(Debug)]
pub struct Watches {
    told: HashMap<Ino, Told>,
    /// Inodes of which the kernel believes a length of its own, and the look-ups by which it knew them then: it has let
    /// go of them when it has taken so many back.
    believed: HashMap<Ino, u64>,
    watched: HashMap<Ino, Watched>,
    by_watch: HashMap<i32, Ino>,
    /// Watched directories by their last use.
    order: BTreeMap<u64, Ino>,
    clock: u64,
    limit: usize,
    /// Whether the kernel keeps a file's data whatever it is told of its times.
    keeps: bool,
}

impl Watches {
    /// Books for at most `limit` directories. With `keeps`, new metadata do not make the kernel give up data; so the state
    /// that counts is the one before them.
    pub fn new(limit: usize, keeps: bool) -> Watches {
        Watches {
            told: HashMap::new(),
            believed: HashMap::new(),
            watched: HashMap::new(),
            by_watch: HashMap::new(),
            order: BTreeMap::new(),
            clock: 0,
            limit,
            keeps,
        }
    }

    /// The kernel is being told of an inode.
    pub fn tell(&mut self, ino: Ino, state: State, directory: bool) {
        let told = self.told.entry(ino).or_default();
        told.directory = directory;
        if told.state.is_none() || !self.keeps {
            told.state = Some(state);
        }
    }

    /// This mount changes an inode.
    pub fn own(&mut self, ino: Ino) {
        self.told.entry(ino).or_default().own = Some(Instant::now());
    }

    /// The kernel takes back look-ups of an inode, perhaps all of them.
    pub fn forget(&mut self, ino: Ino, count: u64, all: bool) {
        if all {
            self.told.remove(&ino);
        }
        if let Some(left) = self.believed.get_mut(&ino) {
            *left = left.saturating_sub(count);
            if all || *left == 0 {
                self.believed.remove(&ino);
            }
        }
    }

    /// The kernel is to let go of an inode that it knows by so many look-ups.
    pub fn disbelieve(&mut self, ino: Ino, lookups: u64) {
        self.believed.insert(ino, lookups);
    }

    /// Inodes that it has not let go of.
    pub fn believed(&self) -> Vec<Ino> {
        self.believed.keys().copied().collect()
    }

    /// Judges an inode that may have changed and is in this state now.
    pub fn judge(&mut self, ino: Ino, now: State, change: Change) -> Stale {
        let Some(told) = self.told.get_mut(&ino) else {
            return Stale::Nothing;
        };
        let before = told.state.replace(now);
        // Two changes may leave the same state, if a tick of the host's clock has room for both.
        if change.near && change.data {
            return Stale::Everything;
        }
        let Some(before) = before else {
            return match change.near {
                true => Stale::Everything,
                false => Stale::Nothing,
            };
        };
        let own = told.own.is_some_and(|when| when.elapsed() < OWN);
        match before {
            _ if !change.near && (own || before == now) => Stale::Nothing,
            State { mtime, size, .. } if (mtime, size) == (now.mtime, now.size) => Stale::Metadata,
            _ => Stale::Everything,
        }
    }

    /// Whether the kernel was told of an inode as a directory.
    pub fn is_directory(&self, ino: Ino) -> bool {
        self.told.get(&ino).is_some_and(|told| told.directory)
    }

    /// A name in a directory is one of several that a file has.
    pub fn linked(&mut self, directory: Ino) {
        if let Some(watched) = self.watched.get_mut(&directory) {
            watched.linked = true;
        }
    }

    /// Another process of the guest has waited for a directory; whether it had better not wait any more.
    pub fn tires(&mut self, ino: Ino) -> bool {
        let Some(watched) = self.watched.get_mut(&ino).filter(|it| !it.linked) else {
            return false;
        };
        watched.near += 1;
        watched.near % TIRED == 0
    }

    /// Gives a directory up; the watch to be ended.
    pub fn leave(&mut self, ino: Ino) -> Option<i32> {
        let watched = self.watched.remove(&ino)?;
        self.order.remove(&watched.used);
        let watch = watched.watch?;
        self.by_watch.remove(&watch);
        Some(watch)
    }

    /// Notes the use of a directory; whether it is to be watched now.
    pub fn wants(&mut self, ino: Ino) -> bool {
        self.clock += 1;
        match self.watched.get_mut(&ino) {
            Some(watched) => {
                self.order.remove(&watched.used);
                watched.used = self.clock;
                watched.near = 0;
                self.order.insert(self.clock, ino);
                false
            }
            None => self.limit > 0,
        }
    }

    /// Enters a directory and its watch, if it got one. A watch comes back that is to be ended for it.
    pub fn enter(&mut self, ino: Ino, watch: Option<i32>) -> Option<i32> {
        self.clock += 1;
        let used = self.clock;
        let new = Watched {
            watch,
            used,
            near: 0,
            linked: false,
        };
        if let Some(old) = self.watched.insert(ino, new) {
            self.order.remove(&old.used);
        }
        self.order.insert(used, ino);
        if let Some(watch) = watch {
            self.by_watch.insert(watch, ino);
        }
        if self.watched.len() <= self.limit {
            return None;
        }
        let (_, oldest) = self.order.pop_first()?;
        let old = self.watched.remove(&oldest)?.watch?;
        self.by_watch.remove(&old);
        Some(old)
    }

    /// All watches are gone; says which directories had one, those used last at the end.
    pub fn begin_again(&mut self) -> Vec<Ino> {
        self.by_watch.clear();
        self.watched.clear();
        std::mem::take(&mut self.order).into_values().collect()
    }

    /// The directory of a watch.
    pub fn directory(&self, watch: i32) -> Option<Ino> {
        self.by_watch.get(&watch).copied()
    }

    /// The host has ended a watch.
    pub fn ended(&mut self, watch: i32) {
        if let Some(ino) = self.by_watch.remove(&watch) {
            if let Some(watched) = self.watched.remove(&ino) {
                self.order.remove(&watched.used);
            }
        }
    }

    /// Forgets all that was told: nothing is known to be right any more.
    pub fn distrust(&mut self) {
        self.told.clear();
    }

    /// How many directories are watched.
    pub fn count(&self) -> usize {
        self.by_watch.len()
    }
}

/// One event, inotify(7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Which watch.
    pub watch: i32,
    /// What happened.
    pub mask: u32,
    /// To which name in the directory; empty for the directory itself.
    pub name: CString,
}

/// Reads packed events.
pub fn events(bytes: &[u8]) -> Vec<Event> {
    let mut found = Vec::new();
    let mut rest = bytes;
    while let Some((head, tail)) = rest.split_at_checked(HEAD) {
        let word = |at: usize| [0, 1, 2, 3].map(|byte| head[at + byte]);
        let len = u32::from_ne_bytes(word(12)) as usize;
        let Some((name, next)) = tail.split_at_checked(len) else {
            break;
        };
        let name = CStr::from_bytes_until_nul(name).unwrap_or(c"");
        found.push(Event {
            watch: i32::from_ne_bytes(word(0)),
            mask: u32::from_ne_bytes(word(4)),
            name: name.to_owned(),
        });
        rest = next;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAR: Change = Change {
        near: false,
        data: true,
    };

    fn state(second: i64, size: u64) -> State {
        let time = Time {
            seconds: second,
            nanoseconds: 0,
        };
        State {
            ctime: time,
            mtime: time,
            size,
        }
    }

    #[test]
    fn only_what_others_changed_is_stale() {
        let mut watches = Watches::new(8, false);
        assert_eq!(
            watches.judge(5, state(1, 1), FAR),
            Stale::Nothing,
            "never told"
        );
        watches.tell(5, state(1, 1), false);
        assert_eq!(
            watches.judge(5, state(1, 1), FAR),
            Stale::Nothing,
            "the same"
        );
        let mut chmod = state(1, 1);
        chmod.ctime.seconds = 2;
        assert_eq!(watches.judge(5, chmod, FAR), Stale::Metadata);
        assert_eq!(watches.judge(5, state(3, 1), FAR), Stale::Everything);
        assert_eq!(
            watches.judge(5, state(3, 1), FAR),
            Stale::Nothing,
            "said once"
        );
        watches.own(5);
        assert_eq!(
            watches.judge(5, state(4, 9), FAR),
            Stale::Nothing,
            "our own"
        );
        std::thread::sleep(OWN);
        assert_eq!(watches.judge(5, state(5, 9), FAR), Stale::Everything);
        watches.forget(5, 1, true);
        assert_eq!(watches.judge(5, state(6, 9), FAR), Stale::Nothing);
    }

    #[test]
    fn what_is_near_is_stale_whatever_it_looks_like() {
        let mut watches = Watches::new(8, false);
        let near = |data| Change { near: true, data };
        assert_eq!(watches.judge(5, state(1, 1), near(true)), Stale::Nothing);
        watches.tell(5, state(1, 1), false);
        watches.own(5);
        assert_eq!(watches.judge(5, state(1, 1), near(false)), Stale::Metadata);
        assert_eq!(watches.judge(5, state(1, 1), near(true)), Stale::Everything);
        assert_eq!(
            watches.judge(5, state(2, 1), near(false)),
            Stale::Everything
        );
    }

    #[test]
    fn data_that_is_kept_is_judged_by_its_own_time() {
        for (keeps, stale) in [(false, Stale::Nothing), (true, Stale::Everything)] {
            let mut watches = Watches::new(8, keeps);
            watches.tell(5, state(1, 1), false);
            watches.tell(5, state(2, 1), false);
            assert_eq!(watches.judge(5, state(2, 1), FAR), stale);
        }
    }

    #[test]
    fn the_directory_used_longest_ago_gives_way() {
        let mut watches = Watches::new(2, false);
        for (ino, watch) in [(10, 1), (11, 2)] {
            assert!(watches.wants(ino));
            assert_eq!(watches.enter(ino, Some(watch)), None);
        }
        assert!(!watches.wants(10));
        assert!(watches.wants(12));
        assert_eq!(watches.enter(12, Some(3)), Some(2));
        assert_eq!(
            (watches.directory(2), watches.directory(3)),
            (None, Some(12))
        );
        watches.ended(1);
        assert!(watches.wants(10));
        assert_eq!(
            watches.enter(10, None),
            None,
            "refused, and not asked again"
        );
        assert!(!watches.wants(10));
        assert_eq!(watches.count(), 1);
    }

    #[test]
    fn nobody_waits_for_long_for_what_nobody_uses() {
        let mut watches = Watches::new(8, false);
        watches.enter(10, Some(1));
        let mut tires = |times| (0..times).any(|_| watches.tires(10));
        assert!(!tires(TIRED - 1));
        assert!(tires(1));
        assert!(!watches.wants(10));
        assert!(!(0..TIRED - 1).any(|_| watches.tires(10)), "used");
        watches.linked(10);
        assert!(!(0..TIRED).any(|_| watches.tires(10)));
        assert_eq!((watches.leave(10), watches.leave(10)), (Some(1), None));
        assert!(watches.wants(10));
    }

    #[test]
    fn an_inode_is_let_go_when_its_old_look_ups_are_back() {
        let mut watches = Watches::new(2, false);
        watches.disbelieve(7, 3);
        watches.forget(7, 2, false);
        assert_eq!(watches.believed(), [7]);
        watches.forget(7, 1, false);
        assert!(watches.believed().is_empty());
    }

    #[test]
    fn events_are_read_up_to_what_is_whole() {
        let mut bytes = Vec::new();
        for (watch, name) in [(1i32, b"one\0\0\0\0\0".as_slice()), (2, b"")] {
            bytes.extend(watch.to_ne_bytes());
            for word in [libc::IN_CREATE, 0, name.len() as u32] {
                bytes.extend(word.to_ne_bytes());
            }
            bytes.extend(name);
        }
        let found = events(&bytes);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].watch, found[0].name.as_c_str()), (1, c"one"));
        assert_eq!((found[1].watch, found[1].name.as_c_str()), (2, c""));
        assert_eq!(events(&bytes[..20]), []);
    }
}
