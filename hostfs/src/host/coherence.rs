//! Coherence: what changes on the host while the guest kernel has it cached.
//!
//! Directories in which names were looked up or listed are watched on the host, and files that have several names. A thread
//! of its own reads the events, looks what has really changed, and has the guest kernel forget that. The guest's other
//! processes, whose calls go past the mount, are answered after that where the host lets this one follow
//! (`watch_follow`).

use super::session::{Acting, Whom};
use super::stat::{Stat, MASK as STATX_MASK, STATX};
use super::{locked, statx, Host, HostFs};
use crate::cache::Cache;
use crate::fs::{Caller, Ino, Notify};
use crate::hidden;
use crate::inode::{Held, Key};
use crate::watch::{events, Change, Event, Stale, State, Watches, FILE_MASK, MASK};
use hostcall::ops::Calls;
use hostcall::types::{AtFlags, Errno, Offset, RemoteFd, RwFlags};
use hostcall::wire::Sink;
use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Events are gathered so long, so that a burst costs one look at each file.
const GATHER: Duration = Duration::from_millis(5);
/// First and longest time between attempts at an open file.
const PAUSE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(500));
/// Bytes of events that are read at once.
const ROOM: usize = 64 << 10;
/// Events of names in a directory.
const NAMES: u32 = libc::IN_CREATE | libc::IN_DELETE | libc::IN_MOVED_FROM | libc::IN_MOVED_TO;

/// An inotify instance of the host.
#[derive(Clone, Debug)]
struct Instance {
    held: Arc<Held>,
    /// Whether the guest's other processes wait for what is read from it.
    follows: bool,
}

impl Instance {
    fn open<H: Host>(host: &Acting<H>) -> Option<Instance> {
        let (fd, follows) = match host.watch_follow() {
            Ok(followed) => (followed.fd, true),
            // The guest has another mount.
            Err(_) => (host.watch_open(libc::IN_CLOEXEC).ok()?.fd, false),
        };
        let held = host.hold(fd);
        Some(Instance { held, follows })
    }
}

/// The host's watches.
#[derive(Debug)]
pub(super) struct Coherence {
    /// The inotify instance, in the session with the newest view.
    instance: Mutex<Instance>,
    watches: Mutex<Watches>,
    /// Rung when the kernel is to let go of an inode.
    believed: Condvar,
}

impl Coherence {
    /// For at most `limit` directories; `None` in a mode that keeps nothing, or where the host grants no watches.
    pub(super) fn new<H: Host>(host: &Acting<H>, cache: Cache, limit: usize) -> Option<Coherence> {
        if cache == Cache::None || limit == 0 {
            return None;
        }
        Some(Coherence {
            instance: Mutex::new(Instance::open(host)?),
            watches: Mutex::new(Watches::new(limit, cache.writes_back())),
            believed: Condvar::new(),
        })
    }

    fn instance(&self) -> Instance {
        locked(&self.instance).clone()
    }

    /// How many directories are watched.
    pub(super) fn count(&self) -> usize {
        locked(&self.watches).count()
    }
}

/// A change that this mount makes: its events, while it lasts and shortly after, are known.
pub(super) struct Own<'f, H>(&'f HostFs<H>, Ino);

impl<H> Drop for Own<'_, H> {
    fn drop(&mut self) {
        if let Some(coherence) = &self.0.coherence {
            locked(&coherence.watches).own(self.1);
        }
    }
}

fn state(stat: &Stat) -> State {
    State {
        ctime: stat.attr.ctime,
        mtime: stat.attr.mtime,
        size: stat.attr.size,
    }
}

impl<H: Host> HostFs<H> {
    /// The guest kernel is told of an inode.
    pub(super) fn tell(&self, ino: Ino, stat: &Stat) {
        if let Some(coherence) = &self.coherence {
            let directory = stat.kind() == libc::S_IFDIR;
            locked(&coherence.watches).tell(ino, state(stat), directory);
        }
    }

    /// The guest kernel has taken back look-ups: inode, how many, whether all.
    pub(super) fn untell(&self, inodes: &[(Ino, u64, bool)]) {
        if let Some(coherence) = &self.coherence {
            let mut watches = locked(&coherence.watches);
            for (ino, count, all) in inodes {
                watches.forget(*ino, *count, *all);
            }
        }
    }

    /// Begins a change of our own.
    pub(super) fn own(&self, ino: Ino) -> Own<'_, H> {
        if let Some(coherence) = &self.coherence {
            locked(&coherence.watches).own(ino);
        }
        Own(self, ino)
    }

    /// Sees to it that a directory is watched, before the guest kernel is told what is in it. Where the host has no
    /// watch to give, what the kernel keeps is right until its time is over.
    pub(super) fn watch(&self, caller: &Caller, ino: Ino, directory: &Held) {
        self.watch_for(caller, ino, (directory.session(), directory.fd()), MASK);
    }

    /// Sees to it that a file is watched that is changed by other names than the one by which it is known here, or by none.
    pub(super) fn watch_file(&self, ino: Ino, session: u32, fd: RemoteFd) {
        self.watch_for(&Caller::KERNEL, ino, (session, fd), FILE_MASK);
    }

    /// A file with several names has been found in a directory.
    pub(super) fn linked(&self, directory: Ino) {
        if let Some(coherence) = &self.coherence {
            locked(&coherence.watches).linked(directory);
        }
    }

    pub(super) fn watch_for(
        &self,
        caller: &Caller,
        ino: Ino,
        (session, fd): (u32, RemoteFd),
        mask: u32,
    ) {
        let Some(coherence) = &self.coherence else {
            return;
        };
        if !locked(&coherence.watches).wants(ino) {
            return;
        }
        let instance = coherence.instance().held;
        if instance.session() != session {
            return;
        }
        // A caller may search what only others may list; the session has its own rights.
        let add = |whom| {
            let host = self.at_for(whom, &instance);
            host.watch_add(instance.fd(), fd, mask)
        };
        let added = match (self.whom(caller), self.has_callers) {
            (whom, true) => add(whom).or_else(|_| add(Whom::Session)),
            (whom, false) => add(whom),
        };
        let watch = added.ok().map(|reply| reply.descriptor);
        let mut watches = locked(&coherence.watches);
        if !Arc::ptr_eq(&instance, &coherence.instance().held) {
            return;
        }
        let ended = watches.enter(ino, watch);
        drop(watches);
        if let Some(ended) = ended {
            // It may have ended with its directory.
            let host = self.at_for(Whom::Session, &instance);
            let _ = host.watch_remove(instance.fd(), ended);
        }
    }

    /// Watches in another session what was watched in the one before it, whose root was this.
    pub(super) fn watch_again(&self, now: &Acting<H>, root: &Option<Arc<Held>>) {
        let Some(coherence) = &self.coherence else {
            return;
        };
        let Some(opened) = Instance::open(now) else {
            return;
        };
        let (old, directories) = {
            let mut watches = locked(&coherence.watches);
            let mut instance = locked(&coherence.instance);
            let old = std::mem::replace(&mut *instance, opened).held;
            (old, watches.begin_again())
        };
        for ino in directories {
            if let Ok(held) = self.fd(&Caller::KERNEL, ino) {
                self.watch(&Caller::KERNEL, ino, &held);
            }
        }
        // Whoever reads the old events is told by one more of them.
        if let Some(root) = root {
            let host = self.at_for(Whom::Session, &old);
            if let Ok(added) = host.watch_add(old.fd(), root.fd(), MASK) {
                let _ = host.watch_remove(old.fd(), added.descriptor);
            }
        }
    }

    /// Follows the events for ever; returns when the host is gone, or at once if nothing is watched.
    pub fn follow(&self, notify: &impl Notify) {
        let Some(coherence) = &self.coherence else {
            return;
        };
        let mut room = vec![0; ROOM];
        loop {
            let sink = Sink::new(&mut room);
            let instance = coherence.instance();
            let Instance { held, follows } = &instance;
            let host = self.at_for(Whom::Session, held);
            let current = || Arc::ptr_eq(held, &coherence.instance().held);
            let read = match follows {
                true => host
                    .watch_heed(held.fd(), sink)
                    .map(|read| (read.filled.0, read.near != 0)),
                false => host
                    .read(held.fd(), Offset::CURRENT, RwFlags(0), sink)
                    .map(|read| (read.filled.0, false)),
            };
            match read {
                // Another one has taken its place, and its watches have these numbers by now.
                _ if !current() => {}
                Ok((len, near)) => self.heed(coherence, &events(&room[..len]), near, notify),
                Err(Errno(libc::EINTR)) => {}
                // A session that was ended for an export that it saw has a successor.
                Err(_) if self.alive() && !current() => {}
                Err(_) => return,
            }
            if !follows {
                std::thread::sleep(GATHER);
            }
        }
    }

    fn heed(&self, coherence: &Coherence, events: &[Event], near: bool, notify: &impl Notify) {
        let mut touched: BTreeMap<(Ino, CString), u32> = BTreeMap::new();
        for event in events {
            if event.mask & libc::IN_Q_OVERFLOW != 0 {
                return self.distrust(coherence, notify);
            }
            let mut watches = locked(&coherence.watches);
            let directory = watches.directory(event.watch);
            if event.mask & libc::IN_IGNORED != 0 {
                watches.ended(event.watch);
            }
            let Some(directory) = directory else { continue };
            if event.mask & NAMES != 0 {
                *touched.entry((directory, CString::default())).or_default() |= event.mask;
            }
            *touched.entry((directory, event.name.clone())).or_default() |= event.mask;
        }
        for ((directory, name), mask) in &touched {
            match name.is_empty() {
                true => {
                    let data = mask & (libc::IN_MODIFY | NAMES) != 0;
                    self.look(coherence, *directory, Change { near, data }, notify);
                }
                false => {
                    let data = mask & libc::IN_MODIFY != 0;
                    let change = Change { near, data };
                    self.look_at_name(coherence, (*directory, name), *mask, change, notify);
                }
            }
        }
        if near {
            let mut tired: Vec<Ino> = touched.keys().map(|(directory, _)| *directory).collect();
            tired.dedup();
            tired.retain(|directory| locked(&coherence.watches).tires(*directory));
            for directory in tired {
                self.leave(coherence, directory, notify);
            }
        }
    }

    /// Gives up a directory in which the guest's other processes change much and the guest kernel has been looked for nothing
    /// since: each of them waits until that is acted on. It forgets what it knows of it, but for what it cannot, and for the names
    /// of directories: with these it would lose what the guest has mounted there. Where it keeps names for long, they are a
    /// reason to stay.
    fn leave(&self, coherence: &Coherence, directory: Ino, notify: &impl Notify) {
        let children = self.inodes().children(directory);
        let lasting = self.settings.cache.writes_back();
        let kept = |ino: &Ino, key: &Key| {
            let watches = locked(&coherence.watches);
            watches.is_directory(*ino) || lasting && key.directory || self.inodes().is_open(*ino)
        };
        let own = self.inodes().is_open(directory);
        if own || children.iter().any(|(_, ino, key)| kept(ino, key)) {
            return;
        }
        let Some(watch) = locked(&coherence.watches).leave(directory) else {
            return;
        };
        let instance = coherence.instance().held;
        let host = self.at_for(Whom::Session, &instance);
        let _ = host.watch_remove(instance.fd(), watch);
        for (name, ino, key) in children {
            if !key.directory {
                notify.entry(directory, &name);
            }
            notify.inode(ino, true);
        }
        notify.inode(directory, true);
    }

    /// Looks whether an inode has changed.
    fn look(&self, coherence: &Coherence, ino: Ino, change: Change, notify: &impl Notify) {
        let stat = self
            .fd(&Caller::KERNEL, ino)
            .and_then(|held| statx(&self.at_for(Whom::Session, &held), held.fd()));
        match stat {
            Ok(stat) => self.judge(coherence, ino, &stat, change, notify),
            Err(_) => notify.inode(ino, true),
        }
    }

    fn look_at_name(
        &self,
        coherence: &Coherence,
        (directory, name): (Ino, &CStr),
        mask: u32,
        change: Change,
        notify: &impl Notify,
    ) {
        if directory == crate::fs::ROOT && name == hidden::NAME {
            return;
        }
        // The kernel keeps no absent names, and of a file only that by which it was found last is known here. It may know the
        // file by this one as well.
        let known = self.inodes().named(directory, name);
        const MOVED: u32 = libc::IN_MOVED_FROM | libc::IN_MOVED_TO;
        if known.is_none() && !change.near && mask & MOVED == 0 {
            if mask & libc::IN_DELETE != 0 {
                notify.entry(directory, name);
            }
            return;
        }
        let finder = known.and_then(|ino| self.inodes().finder(ino));
        let whom = finder.map_or(Whom::Session, Whom::Caller);
        let found = self.stat_of(directory, name, whom);
        // A directory has one name. If it is not known yet, this mount is just making it, and who does may be in it by now.
        let is_directory = |stat: &Stat| stat.kind() == libc::S_IFDIR;
        let new = found.as_ref().is_ok_and(is_directory);
        if known.is_none() && mask & NAMES != 0 && !new {
            notify.entry(directory, name);
        }
        let reached = found.as_ref().ok();
        let reached = reached.and_then(|stat| Some((self.inodes().known_as(&stat.key)?, stat)));
        if let Some((ino, stat)) = reached {
            self.judge(coherence, ino, stat, change, notify);
        }
        let reached = reached.map(|(ino, _)| ino);
        if let Some(ino) = known.filter(|ino| reached != Some(*ino)) {
            notify.entry(directory, name);
            // It may live on under another name, or in open files.
            self.look(coherence, ino, change, notify);
        }
    }

    fn judge(
        &self,
        coherence: &Coherence,
        ino: Ino,
        stat: &Stat,
        change: Change,
        notify: &impl Notify,
    ) {
        let stale = locked(&coherence.watches).judge(ino, state(stat), change);
        match stale {
            Stale::Nothing => {}
            Stale::Metadata => notify.inode(ino, false),
            Stale::Everything => {
                notify.inode(ino, true);
                if self.settings.cache.writes_back() && stat.kind() == libc::S_IFREG {
                    let lookups = self.inodes().lookups(ino);
                    locked(&coherence.watches).disbelieve(ino, lookups);
                    self.let_go(ino, notify);
                    coherence.believed.notify_one();
                }
            }
        }
    }

    /// Has the guest kernel let go of an inode. One that writes back believes no length but its own as long as it has the
    /// inode; it drops that with its name, unless the file is open.
    fn let_go(&self, ino: Ino, notify: &impl Notify) {
        let place = self.inodes().place_of(ino);
        if let Some((parent, name)) = place {
            notify.entry(parent, &name);
        }
    }

    /// Repeats that for inodes of files that were open, for ever.
    pub fn settle(&self, notify: &impl Notify) {
        let Some(coherence) = &self.coherence else {
            return;
        };
        let mut pause = PAUSE.0;
        loop {
            let believed = {
                let mut watches = locked(&coherence.watches);
                while watches.believed().is_empty() {
                    pause = PAUSE.0;
                    watches = coherence
                        .believed
                        .wait(watches)
                        .unwrap_or_else(PoisonError::into_inner);
                }
                watches.believed()
            };
            for ino in believed {
                self.let_go(ino, notify);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    /// Programs of both systems that share files by locks believe what they read under one. So the guest kernel forgets a
    /// file whose lock it was given, and the names beside it: a journal that the other side has removed is not found again. Not
    /// those of directories, with which it would lose what the guest has mounted there.
    pub(super) fn forget_stale(&self, ino: Ino, notify: &dyn Notify) {
        notify.inode(ino, true);
        let (parent, beside) = {
            let inodes = self.inodes();
            let Some((parent, _)) = inodes.place_of(ino) else {
                return;
            };
            (parent, inodes.children(parent))
        };
        for (name, ..) in beside.iter().filter(|(.., key)| !key.directory) {
            notify.entry(parent, name);
        }
    }

    /// Has the guest kernel write back what was written to files that are still open. Forgetting an inode's data takes its
    /// dirty pages to the server first and waits for that; syncfs(2) does not wait for pages of FUSE, whose server
    /// the kernel does not trust to answer.
    pub fn write_back(&self, notify: &impl Notify) {
        for handle in self.handles.all() {
            if handle.flags & libc::O_ACCMODE != libc::O_RDONLY {
                notify.inode(handle.ino, true);
            }
        }
    }

    /// Events were lost: the guest kernel forgets all that it has, but for directories that are where they were.
    fn distrust(&self, coherence: &Coherence, notify: &impl Notify) {
        locked(&coherence.watches).distrust();
        let (inodes, names) = self.inodes().all();
        for (parent, name, key) in names {
            if !(key.directory && self.leads_to(parent, &name, &key)) {
                notify.entry(parent, &name);
            }
        }
        for ino in inodes {
            notify.inode(ino, true);
        }
    }
    /// Whether a name leads to this file now.
    fn leads_to(&self, directory: Ino, name: &CStr, key: &Key) -> bool {
        let found = self.stat_of(directory, name, Whom::Session);
        found.is_ok_and(|stat| stat.key == *key)
    }

    fn stat_of(&self, directory: Ino, name: &CStr, whom: Whom) -> Result<Stat, Errno> {
        let held = self.fd(&Caller::KERNEL, directory)?;
        let mut bytes = [0; STATX];
        let flags = AtFlags(libc::AT_SYMLINK_NOFOLLOW);
        let sink = Sink::new(&mut bytes);
        let host = self.at_for(whom, &held);
        host.statx(held.fd().into(), name, flags, STATX_MASK, sink)?;
        Ok(Stat::parse(&bytes))
    }
}
