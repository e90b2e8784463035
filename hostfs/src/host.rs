//! The file system by host calls: what every family of operations needs, and the trait's own methods in their files.

mod attributes;
pub mod coherence;
mod dirs;
mod files;
mod locks;
mod metadata;
mod names;
mod own;
pub mod shared;
pub mod stat;
mod system;

use crate::cache::Cache;
use crate::fs::{Attr, Caller, Entry, Ino, ROOT};
use crate::handle::Handles;
use crate::hidden::{self, Waiting};
use crate::inode::{Held, Inodes, Unused, Way};
use coherence::Coherence;
use hostcall::client::Client;
use hostcall::ops::Calls;
use hostcall::transfer;
use hostcall::types::{AtFlags, DirFd, Errno, Mode, Offset, OpenFlags, RemoteFd, RwFlags};
use hostcall::wire::{Sink, Source};
use locks::LockFile;
use stat::{Stat, MASK, STATX};
use std::collections::HashMap;
use std::ffi::CStr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The inode of a descriptor, `O_PATH` or not, for calls that take an empty path.
const INODE: AtFlags = AtFlags(libc::AT_EMPTY_PATH | libc::AT_SYMLINK_NOFOLLOW);
/// The descriptor itself.
const EMPTY: AtFlags = AtFlags(libc::AT_EMPTY_PATH);
/// Descriptors that may wait to be closed, so that many are closed by one call.
const UNUSED: usize = 32;

/// Whoever executes host calls, bulk transfers included.
pub trait Host: Calls + Send + Sync + 'static {
    /// Reads at an offset, or at the file's own position.
    fn read_at(&self, fd: RemoteFd, offset: Offset, buffer: &mut [u8]) -> Result<usize, Errno>;
    /// Writes at an offset, at the file's own position, or with `RWF_APPEND` at its end.
    fn write_at(
        &self,
        fd: RemoteFd,
        offset: Offset,
        flags: RwFlags,
        data: &[u8],
    ) -> Result<usize, Errno>;
    /// Whether the host is there.
    fn alive(&self) -> bool;
}

impl Host for Client {
    fn read_at(&self, fd: RemoteFd, offset: Offset, buffer: &mut [u8]) -> Result<usize, Errno> {
        transfer::read(self, fd, offset, buffer)
    }
    fn write_at(
        &self,
        fd: RemoteFd,
        offset: Offset,
        flags: RwFlags,
        data: &[u8],
    ) -> Result<usize, Errno> {
        transfer::write(self, fd, offset, flags, data)
    }
    fn alive(&self) -> bool {
        Client::alive(self)
    }
}

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
    host: H,
    settings: Settings,
    inodes: Mutex<Inodes>,
    handles: Handles,
    unused: Arc<Unused>,
    locks: Mutex<HashMap<(Ino, u64), LockFile>>,
    waiting: Mutex<Waiting>,
    streams: AtomicU64,
    coherence: Option<Coherence>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<H: Host> HostFs<H> {
    /// Begins at the root of the host's view.
    ///
    /// # Errors
    /// The host is gone, or its root cannot be opened.
    pub fn new(host: H, settings: Settings) -> Result<HostFs<H>, Errno> {
        let flags = OpenFlags(libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC);
        let root = host.openat(DirFd::CWD, c"/", flags, Mode(0))?.fd;
        let unused = Arc::new(Unused::default());
        let root = Held::new(root, &unused);
        let key = statx(&host, root.fd())?.key;
        Ok(HostFs {
            coherence: Coherence::new(&host, settings.cache, settings.watches),
            inodes: Mutex::new(Inodes::new(key, root, settings.handles)),
            host,
            settings,
            handles: Handles::default(),
            unused,
            locks: Mutex::default(),
            waiting: Mutex::default(),
            streams: AtomicU64::new(hidden::STREAMS),
        })
    }

    /// Who makes the host calls for a caller.
    fn host(&self, _caller: &Caller) -> &H {
        &self.host
    }

    /// Whether the host is there.
    pub fn alive(&self) -> bool {
        self.host.alive()
    }

    fn inodes(&self) -> MutexGuard<'_, Inodes> {
        locked(&self.inodes)
    }

    /// Has the host close what is not needed any more, once there are `count` such descriptors.
    fn close_unused(&self, caller: &Caller, count: usize) {
        let numbers: Vec<u8> = self
            .unused
            .take(count)
            .iter()
            .flat_map(|number| number.to_le_bytes())
            .collect();
        for batch in numbers.chunks(64 << 10) {
            // Whatever fails here fails because the host is gone, and then so are the descriptors.
            let _ = self.host(caller).close_many(Source::new(batch));
        }
    }

    /// Makes a call that takes a descriptor of the host; if there are none left, gives some back and tries again.
    fn opening<T>(&self, caller: &Caller, call: impl Fn() -> Result<T, Errno>) -> Result<T, Errno> {
        match call() {
            Err(Errno(libc::EMFILE | libc::ENFILE)) => {
                {
                    let mut inodes = self.inodes();
                    let half = inodes.half();
                    inodes.shrink(half);
                }
                self.close_unused(caller, 1);
                call()
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
        let mut bytes = [0; STATX];
        // A name of the guest kernel's own making is passed as it is; one that the host would read as more than a name is
        // refused there.
        let fd = {
            let bytes = std::cell::RefCell::new(&mut bytes);
            self.opening(caller, || {
                let mut bytes = bytes.borrow_mut();
                let sink = Sink::new(&mut bytes[..]);
                self.host(caller).walk(directory.fd().into(), name, sink)
            })?
            .fd
        };
        Ok((Stat::parse(&bytes), Held::new(fd, &self.unused)))
    }

    /// A descriptor that leads to an inode: one that is held, or one found again by its name from the nearest directory
    /// that is held.
    fn fd(&self, caller: &Caller, ino: Ino) -> Result<Arc<Held>, Errno> {
        if hidden::is_own(ino) {
            return Err(Errno(libc::EPERM));
        }
        let mut missing = Vec::new();
        let mut at = ino;
        let mut held = loop {
            match self.inodes().way(at) {
                Way::Held(held) => break held,
                Way::Named(parent, name, key) => {
                    missing.push((at, name, key));
                    at = parent;
                }
                Way::Lost => return Err(Errno(libc::ESTALE)),
            }
        };
        while let Some((ino, name, key)) = missing.pop() {
            let (stat, found) = self
                .walk(caller, &held, &name)
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

    /// Enters what was found under a name.
    fn entry(&self, stat: &Stat, path: Option<Arc<Held>>, place: Option<(Ino, &CStr)>) -> Entry {
        let (ino, generation) = self.inodes().enter(stat.key, path, place);
        self.tell(ino, stat);
        Entry {
            attr: stat.under(ino),
            generation,
            cacheable: true,
        }
    }

    /// Looks up a name that the host holds.
    fn find(&self, caller: &Caller, parent: Ino, name: &CStr) -> Result<Entry, Errno> {
        let directory = self.fd(caller, parent)?;
        self.watch(caller, parent, &directory);
        let (stat, path) = self.walk(caller, &directory, name)?;
        let entry = self.entry(&stat, Some(path), Some((parent, name)));
        self.close_unused(caller, UNUSED);
        Ok(entry)
    }

    /// Metadata of what a descriptor leads to.
    fn stat(&self, caller: &Caller, fd: RemoteFd) -> Result<Stat, Errno> {
        statx(self.host(caller), fd)
    }

    fn attr(&self, caller: &Caller, ino: Ino, fd: RemoteFd) -> Result<Attr, Errno> {
        let stat = self.stat(caller, fd)?;
        self.tell(ino, &stat);
        Ok(stat.under(ino))
    }

    /// What `.hostcall/status` says.
    fn status(&self) -> String {
        let (known, held) = self.inodes().count();
        format!(
            "cache: {}\nhost: {}\ninodes known: {known}\npath descriptors on the host: {held} (root included), at most {} \
             besides those of files without a name\nwatched directories: {}\nopen files: {}\nowners of record locks: {}\nabsolute symbolic links: {}\n",
            self.settings.cache.name(),
            if self.host.alive() { "attached" } else { "gone" },
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

fn statx<H: Host>(host: &H, fd: RemoteFd) -> Result<Stat, Errno> {
    let mut bytes = [0; STATX];
    host.statx(fd.into(), c"", EMPTY, MASK, Sink::new(&mut bytes))?;
    Ok(Stat::parse(&bytes))
}

/// Whether an inode number is the root's; its `..` stays inside.
fn is_root(ino: Ino) -> bool {
    ino == ROOT
}
