//! The file system by host calls: what every family of operations needs, and the trait's own methods in their files.

mod attributes;
pub mod coherence;
mod dirs;
mod exports;
mod files;
mod locks;
mod metadata;
mod names;
mod own;
pub mod session;
pub mod shared;
pub mod stat;
mod system;

use crate::cache::Cache;
use crate::ending::Endings;
use crate::fs::{Attr, Caller, Entry, Ino, ROOT};
use crate::handle::Handles;
use crate::hidden::{self, Waiting};
use crate::inode::{Held, Inodes, Key, Kind, Way};
use crate::people::{People, Who};
use crate::turns::about_to_sleep;
use coherence::Coherence;
use exports::Changes;
use hostcall::ops::Calls;
use hostcall::types::{AtFlags, DirFd, Errno, Mode, OpenFlags, RemoteFd};
use hostcall::wire::{Sink, Source};
use locks::LockFile;
pub use session::Host;
use session::{Acting, Session, Whom};
use stat::{Stat, MASK, STATX};
use std::collections::HashMap;
use std::ffi::CStr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, TryLockError};

/// The inode of a descriptor, `O_PATH` or not, for calls that take an empty path.
const INODE: AtFlags = AtFlags(libc::AT_EMPTY_PATH | libc::AT_SYMLINK_NOFOLLOW);
/// The descriptor itself.
const EMPTY: AtFlags = AtFlags(libc::AT_EMPTY_PATH);
/// Descriptors that may wait to be closed, so that many are closed by one call.
const UNUSED: usize = 32;

/// How the file system is to behave.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The cache mode.
    pub cache: Cache,
    /// `O_PATH` descriptors to hold at most.
    pub handles: usize,
    /// Directories to watch on the host at most.
    pub watches: usize,
    /// Put before absolute targets of symbolic links, so that following them stays on the host; `None` leaves them.
    pub prefix: Option<Vec<u8>>,
}

/// The host's exports as a file system.
#[derive(Debug)]
pub struct HostFs<H> {
    sessions: RwLock<Sessions<H>>,
    has_callers: bool,
    people: People,
    settings: Settings,
    inodes: Mutex<Inodes>,
    handles: Handles,
    endings: Endings,
    locks: Mutex<HashMap<(Ino, u64), LockFile>>,
    waiting: Mutex<Waiting>,
    streams: AtomicU64,
    coherence: Option<Coherence>,
    changes: Mutex<Changes>,
}

/// The session whose view is the newest, and those before it that still have open files.
#[derive(Debug)]
struct Sessions<H> {
    now: Arc<Session<H>>,
    old: Vec<Arc<Session<H>>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    match mutex.try_lock() {
        Ok(guard) => guard,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(TryLockError::WouldBlock) => {
            // Some locks are held while a host call is made.
            about_to_sleep();
            mutex.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }
}

impl<H: Host> HostFs<H> {
    /// Begins at the root of the host's view.
    ///
    /// # Errors
    /// The host is gone, or its root cannot be opened.
    pub fn new(host: H, settings: Settings) -> Result<HostFs<H>, Errno> {
        let has_callers = host.has_callers();
        let session = Session::new(host, 0);
        let acting = Acting::ourselves(&session);
        let (key, root) = root_of(&acting)?;
        Ok(HostFs {
            coherence: Coherence::new(&acting, settings.cache, settings.watches),
            inodes: Mutex::new(Inodes::new(key, root, settings.handles)),
            sessions: RwLock::new(Sessions {
                now: session,
                old: Vec::new(),
            }),
            changes: Mutex::default(),
            has_callers,
            people: People::default(),
            settings,
            handles: Handles::default(),
            endings: Endings::default(),
            locks: Mutex::default(),
            waiting: Mutex::default(),
            streams: AtomicU64::new(hidden::STREAMS),
        })
    }

    /// Whether the host is there.
    pub fn alive(&self) -> bool {
        // A guest's process looks for a hostd that may be gone.
        about_to_sleep();
        if !self.session().host.alive() {
            // It may have been ended because it saw an export that was removed.
            self.renew();
        }
        self.session().host.alive()
    }

    /// Tells the guest's programs that what is mounted over the host's files has changed.
    pub fn announce_mounts(&self) {
        self.session().host.announce_mounts();
    }

    /// Whether calls are made for each caller, so that the guest kernel must tell users apart by itself as well.
    pub fn has_callers(&self) -> bool {
        self.has_callers
    }

    fn inodes(&self) -> MutexGuard<'_, Inodes> {
        locked(&self.inodes)
    }

    /// Has the host close what is not needed any more, once there are `count` such descriptors in a session.
    fn close_unused(&self, caller: &Caller, count: usize) {
        self.close_unused_for(|| self.whom(caller), count, false);
    }

    /// The same for somebody for whom the lane may act already. That paths are closed nobody waits for, unless they are to
    /// make room.
    fn close_unused_for(&self, whom: impl Fn() -> Whom, count: usize, for_room: bool) {
        // What is taken here another thread may have left.
        let _ending = self.endings.begin();
        let (now, old) = {
            let sessions = self.sessions.read().unwrap_or_else(PoisonError::into_inner);
            (sessions.now.clone(), sessions.old.clone())
        };
        for session in old.iter().chain([&now]) {
            for kind in [Kind::File, Kind::Path] {
                let numbers = session.unused.take(kind, count);
                let numbers: Vec<u8> = numbers.iter().flat_map(|it| it.to_le_bytes()).collect();
                for batch in numbers.chunks(64 << 10) {
                    let close = |whom| match kind {
                        Kind::Path if !for_room => Acting::new(session, whom).post_close(batch),
                        _ => {
                            let acting = Acting::new(session, whom);
                            acting.close_many(Source::new(batch)).map(drop)
                        }
                    };
                    // Nobody's rights are needed, and a lane that acts for somebody already need not change. Whatever
                    // fails for the session itself fails because the host is gone, and then so are the descriptors.
                    if close(whom()).is_err() && self.has_callers {
                        let _ = close(Whom::Session);
                    }
                }
            }
        }
        if !old.is_empty() {
            drop(old);
            self.end_unused();
        }
    }

    /// Makes a call that takes a descriptor of the host; if there are none left, gives some back and tries again. `ENFILE`,
    /// open(2)'s for the limit of all processes together, if that does not help: what is short is the mount's, not the caller's.
    fn opening<T>(&self, caller: &Caller, call: impl Fn() -> Result<T, Errno>) -> Result<T, Errno> {
        match call() {
            Err(Errno(libc::EMFILE | libc::ENFILE)) => {
                {
                    let mut inodes = self.inodes();
                    let half = inodes.half();
                    inodes.shrink(half);
                }
                self.close_unused_for(|| self.whom(caller), 1, true);
                call().map_err(|errno| match errno.0 {
                    libc::EMFILE => Errno(libc::ENFILE),
                    _ => errno,
                })
            }
            made => made,
        }
    }

    /// Finds one name in a directory of the host.
    fn walk(
        &self,
        caller: &Caller,
        directory: &Held,
        name: &CStr,
    ) -> Result<(Stat, Arc<Held>), Errno> {
        self.walk_by(&self.at(caller, directory), caller, directory, name)
    }

    fn walk_by(
        &self,
        acting: &Acting<H>,
        caller: &Caller,
        directory: &Held,
        name: &CStr,
    ) -> Result<(Stat, Arc<Held>), Errno> {
        let mut bytes = [0; STATX];
        // A name of the guest kernel's own making is passed as it is; one that the host would read as more than a name is
        // refused there.
        let fd = {
            let bytes = std::cell::RefCell::new(&mut bytes);
            self.opening(caller, || {
                let mut bytes = bytes.borrow_mut();
                let sink = Sink::new(&mut bytes[..]);
                acting.walk(directory.fd().into(), name, sink)
            })?
            .fd
        };
        Ok((Stat::parse(&bytes), acting.hold_path(fd)))
    }

    /// A descriptor that leads to an inode: one that is held, or one found again by its name from the nearest directory
    /// that is held.
    ///
    /// A name is looked for with the rights of whoever found it last, then of the caller, then of the session: that a
    /// descriptor was given back must fail no call that it would have served, such as one through a directory which this
    /// caller may not search. Nothing is granted by it: what is found is checked to be the same file, and all calls with
    /// the descriptor are the caller's.
    fn fd(&self, caller: &Caller, ino: Ino) -> Result<Arc<Held>, Errno> {
        if hidden::is_own(ino) {
            return Err(Errno(libc::EPERM));
        }
        let mut missing = Vec::new();
        let mut at = ino;
        let mut held = loop {
            match self.inodes().way(at) {
                Way::Held(held) => break held,
                Way::Named(parent, name, key, finder) => {
                    missing.push((at, name, key, finder));
                    at = parent;
                }
                Way::Lost => return Err(Errno(libc::ESTALE)),
            }
        };
        while let Some((ino, name, key, finder)) = missing.pop() {
            let (stat, found) = self
                .find_again(caller, finder, &held, &name)
                .map_err(|errno| match errno {
                    Errno(libc::ENOENT | libc::ENOTDIR) => Errno(libc::ESTALE),
                    errno => errno,
                })?;
            if stat.key != key {
                return Err(Errno(libc::ESTALE));
            }
            self.inodes().give(ino, found.clone());
            held = found;
        }
        self.close_unused(caller, UNUSED);
        Ok(held)
    }

    fn find_again(
        &self,
        caller: &Caller,
        finder: Option<Arc<Who>>,
        directory: &Held,
        name: &CStr,
    ) -> Result<(Stat, Arc<Held>), Errno> {
        let mut outcome = Err(Errno(libc::EACCES));
        let finder = finder.map_or(Whom::Unknown, Whom::Caller);
        for whom in [finder, self.whom(caller), Whom::Session] {
            let acting = self.at_for(whom, directory);
            outcome = self.walk_by(&acting, caller, directory, name);
            if !matches!(outcome, Err(Errno(libc::EACCES | libc::EPERM))) {
                break;
            }
        }
        outcome
    }

    /// Enters what a caller found under a name.
    fn entry(
        &self,
        caller: &Caller,
        stat: &Stat,
        path: Option<Arc<Held>>,
        place: Option<(Ino, &CStr)>,
    ) -> Entry {
        let finder = self.whom(caller).who();
        let linked = path.clone().filter(|_| stat.is_linked());
        let more = path.as_ref().map_or(0, |held| {
            self.lengthening(&self.at(caller, held), stat, held.fd())
        });
        let (ino, generation) = {
            let mut inodes = self.inodes();
            let entered = inodes.enter(stat.key, path, place);
            inodes.found_by(entered.0, finder);
            entered
        };
        self.tell(ino, stat);
        if let Some(path) = linked {
            self.watch_file(ino, path.session(), path.fd());
            if let Some((parent, _)) = place {
                self.linked(parent);
            }
        }
        Entry {
            attr: stat.under(ino, more),
            generation,
            cacheable: true,
        }
    }

    /// Looks up a name that the host holds.
    fn find(&self, caller: &Caller, parent: Ino, name: &CStr) -> Result<Entry, Errno> {
        self.follow_exports();
        loop {
            let directory = self.fd(caller, parent)?;
            self.watch(caller, parent, &directory);
            let (stat, path) = self.walk(caller, &directory, name)?;
            let session = path.session();
            let entry = self.entry(caller, &stat, Some(path.clone()), Some((parent, name)));
            if stat.kind() == libc::S_IFDIR {
                self.watch(caller, entry.attr.ino, &path);
            }
            self.close_unused(caller, UNUSED);
            if session == self.session().number() {
                return Ok(entry);
            }
            // The exports have changed meanwhile, perhaps too late for this name to be looked at again.
            self.inodes().forget(entry.attr.ino, 1);
        }
    }

    /// Metadata of what a descriptor leads to.
    fn attr(&self, acting: &Acting<H>, ino: Ino, fd: RemoteFd) -> Result<Attr, Errno> {
        let stat = statx(acting, fd)?;
        let more = self.lengthening(acting, &stat, fd);
        self.tell(ino, &stat);
        let of = (acting.session.number(), fd);
        if stat.is_linked() {
            self.watch_file(ino, of.0, of.1);
        } else if stat.kind() == libc::S_IFDIR {
            self.watch_for(&Caller::KERNEL, ino, of, crate::watch::MASK);
        }
        Ok(stat.under(ino, more))
    }

    /// What `.hostcall/status` says.
    fn status(&self) -> String {
        let (known, held) = self.inodes().count();
        format!(
            "cache: {}\nhost: {}\nrights: {}\ninodes known: {known}\npath descriptors on the host: {held} (root included), at most {} \
             besides those of files without a name\nwatched directories: {}\nopen files: {}\nowners of record locks: {}\nabsolute symbolic links: {}\n",
            self.settings.cache.name(),
            if self.alive() { "attached" } else { "gone" },
            if self.has_callers { "each caller's" } else { "one host user's" },
            self.settings.handles,
            self.coherence.as_ref().map_or(0, Coherence::count),
            self.handles.count(),
            locked(&self.locks).len(),
            match &self.settings.prefix {
                Some(prefix) => format!("followed below {}", prefix.escape_ascii()),
                None => "as stored".to_owned(),
            },
        )
    }
}

/// The root of the view.
fn root_of<H: Host>(acting: &Acting<H>) -> Result<(Key, Arc<Held>), Errno> {
    let flags = OpenFlags(libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC);
    let root = acting.openat(DirFd::CWD, c"/", flags, Mode(0))?.fd;
    let root = acting.hold_path(root);
    Ok((statx(acting, root.fd())?.key, root))
}

fn statx(host: &impl Calls, fd: RemoteFd) -> Result<Stat, Errno> {
    let mut bytes = [0; STATX];
    host.statx(fd.into(), c"", EMPTY, MASK, Sink::new(&mut bytes))?;
    Ok(Stat::parse(&bytes))
}

/// Whether an inode number is the root's; its `..` stays inside.
fn is_root(ino: Ino) -> bool {
    ino == ROOT
}
