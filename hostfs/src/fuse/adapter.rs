//! The adapter itself, and how an outcome becomes a reply.

use super::convert::*;
use crate::cache::Cache;
use crate::fs::{
    Attr, Caller, Data, Entry, FileSystem, HandleId, Ino, Lock, LockKind, Make, Notify, Opened,
    Sized, Space,
};
use crate::hidden;
use crate::keeper::{Keeper, Waiting};
use fuser::*;
use hostcall::handout;
use hostcall::types::{Errno as HostErrno, Mode, Token};
use std::ffi::{CString, OsStr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Bytes of the largest write, and of the largest read that is asked for ahead.
const MOST: u32 = 1 << 20;

/// A file system behind the kernel's protocol.
#[derive(Debug)]
pub struct Adapter<F> {
    pub(super) fs: Arc<F>,
    pub(super) cache: Cache,
    pub(super) keeper: Arc<Keeper>,
    /// Whether many users are told apart, by the host as well as by the kernel.
    many: bool,
    /// The way to the kernel, once there is one.
    notifier: Arc<OnceLock<Notifier>>,
}

impl<F: FileSystem> Adapter<F> {
    /// Serves `fs` with what the cache mode allows the kernel. `many` says that the host gives each call the rights of its
    /// caller.
    pub fn new(fs: Arc<F>, cache: Cache, keeper: Arc<Keeper>, many: bool) -> Adapter<F> {
        Adapter {
            fs,
            cache,
            keeper,
            many,
            notifier: Arc::default(),
        }
    }

    /// Where the way to the kernel is put when the mount exists.
    pub fn notifier(&self) -> Arc<OnceLock<Notifier>> {
        self.notifier.clone()
    }

    /// Takes or gives back a lock. What cannot be answered at once is the keeper's: a lock to be waited for, and one under
    /// which the kernel must not believe what it has kept.
    pub(super) fn set_lock(
        &self,
        caller: Caller,
        (ino, handle): (Ino, HandleId),
        wanted: Lock,
        sleep: bool,
        reply: ReplyEmpty,
    ) {
        let (fs, notifier) = (self.fs.clone(), self.notifier.clone());
        let forget = move || {
            if let Some(notifier) = notifier.get() {
                fs.forget_stale(ino, notifier);
            }
        };
        let keeps = self.cache != Cache::None;
        let gives_back = matches!(wanted.kind, LockKind::Unlock);
        let (fs, pid) = (self.fs.clone(), caller.pid);
        let set = move |patient| fs.setlk(&caller, handle, &wanted, patient);
        if gives_back && self.cache.writes_back() {
            // What was written under the lock must be there before another one has it.
            return self.keeper.wait(Waiting {
                pid,
                attempt: Box::new(move || {
                    forget();
                    set(false)
                }),
                answer: Box::new(move |outcome| empty(outcome, reply)),
            });
        }
        match set(!sleep) {
            Err(HostErrno(libc::EAGAIN)) if sleep => self.keeper.wait(Waiting {
                pid,
                attempt: Box::new(move || set(false)),
                answer: Box::new(move |outcome| {
                    if keeps && outcome.is_ok() {
                        forget();
                    }
                    empty(outcome, reply);
                }),
            }),
            Ok(()) if keeps && !gives_back => self.keeper.wait(Waiting {
                pid,
                attempt: Box::new(|| Ok(())),
                answer: Box::new(move |outcome| {
                    forget();
                    empty(outcome, reply);
                }),
            }),
            outcome => empty(outcome, reply),
        }
    }

    /// Has the kernel forget what it knows of a file whose set-id bits the host may have taken away with a change of its data: the
    /// kernel leaves that to the host and goes on believing the mode. Without its data it forgets a file at once, and waits for nobody.
    pub(super) fn forget_mode(&self, ino: Ino) {
        if let (true, Some(notifier)) = (self.cache != Cache::None, self.notifier.get()) {
            notifier.inode(ino, false);
        }
    }

    /// Has the kernel forget the name of a shared file that has been opened, lest it keep the inode for it. On the keeper's
    /// thread: the kernel may be in that directory, and wait for one that serves.
    pub(super) fn forget_token(&self, token: Option<Token>) {
        let Some(name) = token.and_then(|token| CString::new(token.to_string()).ok()) else {
            return;
        };
        let notifier = self.notifier.clone();
        self.keeper.wait(Waiting {
            pid: 0,
            attempt: Box::new(|| Ok(())),
            answer: Box::new(move |_| {
                if let Some(notifier) = notifier.get() {
                    notifier.entry(hidden::SHARED, &name);
                }
            }),
        });
    }

    /// Whoever makes a request that makes a file. For many users the kernel leaves the mask to the host, which alone knows
    /// whether a directory's default access control list takes its place.
    pub(super) fn maker(&self, req: &Request, umask: u32) -> Caller {
        Caller {
            umask: self.many.then_some(Mode(umask)),
            ..caller(req)
        }
    }

    /// Asks the kernel for what the cache mode wants, as far as it can.
    pub(super) fn negotiate(&self, config: &mut KernelConfig) {
        let many = match self.many {
            true => InitFlags::FUSE_POSIX_ACL | InitFlags::FUSE_DONT_MASK,
            false => InitFlags::empty(),
        };
        let wanted = self.cache.features() | many;
        let _ = config.add_capabilities(wanted & config.capabilities());
        let _ = config.set_max_write(MOST);
        // The kernel names the most that it reads ahead; more is refused by that number.
        let _ = config
            .set_max_readahead(MOST)
            .or_else(|most| config.set_max_readahead(most));
    }

    pub(super) fn lifetime(&self, entry: &Entry) -> Duration {
        match entry.cacheable {
            true => self.cache.lifetime(),
            false => Duration::ZERO,
        }
    }

    pub(super) fn reply_entry(&self, entry: Result<Entry, HostErrno>, reply: ReplyEntry) {
        match entry {
            Ok(entry) => reply.entry(
                &self.lifetime(&entry),
                &file_attr(&entry.attr),
                Generation(entry.generation),
            ),
            Err(errno) => reply.error(errno_of(errno)),
        }
    }

    pub(super) fn reply_attr(&self, attr: Result<Attr, HostErrno>, reply: ReplyAttr) {
        match attr {
            Ok(attr) => reply.attr(&self.cache.lifetime(), &file_attr(&attr)),
            Err(errno) => reply.error(errno_of(errno)),
        }
    }

    pub(super) fn make(
        &self,
        caller: &Caller,
        parent: INodeNo,
        name: &OsStr,
        what: Make<'_>,
        reply: ReplyEntry,
    ) {
        let made = c_string(name).and_then(|name| self.fs.make(caller, parent.0, &name, what));
        self.reply_entry(made, reply);
    }

    pub(super) fn remove(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        directory: bool,
        reply: ReplyEmpty,
    ) {
        let name = c_string(name);
        let removed =
            name.and_then(|name| self.fs.unlink(&caller(req), parent.0, &name, directory));
        empty(removed, reply);
    }

    /// ioctl(2): the one request that is ours. No other one reaches the host.
    pub(super) fn control(&self, req: &Request, fh: FileHandle, command: u32, reply: ReplyIoctl) {
        let handout = match command {
            handout::REQUEST => self.fs.hand_out(&caller(req), fh.0),
            _ => Err(HostErrno(libc::ENOTTY)),
        };
        match handout {
            Ok(handout) => reply.ioctl(0, &handout.to_bytes()),
            Err(errno) => reply.error(errno_of(errno)),
        }
    }

    pub(super) fn reply_directory(&self, opened: Result<Opened, HostErrno>, reply: ReplyOpen) {
        match opened {
            Ok(opened) => {
                let flags = match opened.data {
                    Data::Fresh => self.cache.directory_flags(),
                    _ => FopenFlags::empty(),
                };
                reply.opened(FileHandle(opened.handle), flags)
            }
            Err(errno) => reply.error(errno_of(errno)),
        }
    }

    pub(super) fn reply_created(
        &self,
        created: Result<(Entry, Opened), HostErrno>,
        reply: ReplyCreate,
    ) {
        match created {
            Ok((entry, opened)) => reply.created(
                &self.lifetime(&entry),
                &file_attr(&entry.attr),
                Generation(entry.generation),
                FileHandle(opened.handle),
                Cache::open_flags(opened.data),
            ),
            Err(errno) => reply.error(errno_of(errno)),
        }
    }
}

pub(super) fn empty(outcome: Result<(), HostErrno>, reply: ReplyEmpty) {
    match outcome {
        Ok(()) => reply.ok(),
        Err(errno) => reply.error(errno_of(errno)),
    }
}

pub(super) fn reply_sized(value: Result<Sized, HostErrno>, reply: ReplyXattr) {
    match value {
        Ok(Sized::Length(length)) => reply.size(length),
        Ok(Sized::Bytes(bytes)) => reply.data(&bytes),
        Err(errno) => reply.error(errno_of(errno)),
    }
}

pub(super) fn reply_lock(held: Result<Option<Lock>, HostErrno>, reply: ReplyLock) {
    match held {
        Ok(Some(held)) => reply.locked(held.start, held.end, lock_type(held.kind), held.pid),
        Ok(None) => reply.locked(0, 0, lock_type(LockKind::Unlock), 0),
        Err(errno) => reply.error(errno_of(errno)),
    }
}

pub(super) fn reply_space(space: Result<Space, HostErrno>, reply: ReplyStatfs) {
    match space {
        Ok(space) => reply.statfs(
            space.blocks,
            space.free,
            space.available,
            space.files,
            space.free_files,
            space.unit,
            space.longest_name,
            space.block,
        ),
        Err(errno) => reply.error(errno_of(errno)),
    }
}
