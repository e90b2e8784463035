//! Locks, held on the host, so that programs of both systems exclude each other.
//!
//! A whole-file lock, flock(2), belongs to the open file, and so it is one of the host's open file. A record lock belongs
//! to a guest process or to one open file of the guest; for each such owner there is an open file description of its own
//! on the host, and the locks are its `F_OFD_` locks. Closing that description gives them all back.

use super::session::Whom;
use super::{locked, Host, HostFs};
use crate::fs::{Caller, HandleId, Ino, Lock, LockKind};
use crate::handle::Handle;
use crate::inode::Held;
use crate::ranges::Ranges;
use crate::turns::about_to_sleep;
use hostcall::ops::Calls;
use hostcall::types::{Errno, OpenFlags, RecordLock};
use std::collections::HashSet;
use std::sync::Arc;

/// One owner's record locks on one file.
#[derive(Debug)]
pub(super) struct LockFile {
    held: Arc<Held>,
    ranges: Ranges,
    /// The handles by which locks were asked for.
    through: HashSet<HandleId>,
}

impl<H: Host> HostFs<H> {
    pub(super) fn find_lock(
        &self,
        caller: &Caller,
        handle: HandleId,
        lock: &Lock,
    ) -> Result<Option<Lock>, Errno> {
        match self.meet_lock(caller, handle, lock)? {
            Some(_) => {
                self.await_ends(self.handles.get(handle)?.ino);
                self.meet_lock(caller, handle, lock)
            }
            None => Ok(None),
        }
    }

    fn meet_lock(
        &self,
        caller: &Caller,
        handle: HandleId,
        lock: &Lock,
    ) -> Result<Option<Lock>, Errno> {
        let handle = self.handles.get(handle)?;
        // By the owner's own description if there is one, for it is not in its own way.
        let own = self.lock_file(handle.ino, lock.owner);
        let held = own.as_ref().map_or_else(|| handle.held(), Ok)?;
        let host = self.through(caller, &handle, held);
        let answer = host.lock(held.fd(), libc::F_OFD_GETLK, record(lock))?.lock;
        let kind = match i32::from(answer.kind) {
            libc::F_UNLCK => return Ok(None),
            libc::F_RDLCK => LockKind::Read,
            _ => LockKind::Write,
        };
        if let Some(known) = self.holder(handle.ino, lock) {
            return Ok(Some(known));
        }
        let start = answer.start as u64;
        Ok(Some(Lock {
            kind,
            start,
            end: match answer.len {
                0 => i64::MAX as u64,
                len => start + len as u64 - 1,
            },
            // A process of the host has no number in the guest.
            pid: 0,
            ..*lock
        }))
    }

    pub(super) fn set_lock(
        &self,
        caller: &Caller,
        handle: HandleId,
        lock: &Lock,
        patient: bool,
    ) -> Result<(), Errno> {
        let set = || match lock.flock {
            true => self.whole(caller, handle, lock),
            false => self.ranged(caller, handle, lock),
        };
        match set() {
            Err(Errno(libc::EAGAIN)) if patient => {
                self.await_ends(self.handles.get(handle)?.ino);
                set()
            }
            answer => answer,
        }
    }

    /// Waits until what the guest has closed of a file is closed on the host: what is in the way of a lock may be one that the
    /// guest has given up already.
    fn await_ends(&self, ino: Ino) {
        about_to_sleep();
        self.endings.settle(self.handles.closing(ino));
    }

    fn whole(&self, caller: &Caller, handle: HandleId, lock: &Lock) -> Result<(), Errno> {
        let operation = match lock.kind {
            LockKind::Read => libc::LOCK_SH,
            LockKind::Write => libc::LOCK_EX,
            LockKind::Unlock => libc::LOCK_UN,
        };
        let handle = self.handles.get(handle)?;
        let held = handle.held()?;
        let host = self.through(caller, &handle, held);
        host.flock(held.fd(), operation | libc::LOCK_NB).map(drop)
    }

    fn ranged(&self, caller: &Caller, id: HandleId, lock: &Lock) -> Result<(), Errno> {
        let handle = self.handles.get(id)?;
        let (ino, owner) = (handle.ino, lock.owner);
        let held = match (self.lock_file(ino, owner), lock.kind) {
            (Some(held), _) => held,
            (None, LockKind::Unlock) => return Ok(()),
            (None, _) => {
                let held = self.lock_description(caller, &handle)?;
                let mut locks = locked(&self.locks);
                // Another thread of the owner may have been faster; what it holds counts.
                let file = locks.entry((ino, owner)).or_insert_with(|| LockFile {
                    held,
                    ranges: Ranges::default(),
                    through: HashSet::new(),
                });
                file.held.clone()
            }
        };
        let host = self.through(caller, &handle, &held);
        let set = host
            .lock(held.fd(), libc::F_OFD_SETLK, record(lock))
            .map_err(|errno| match errno {
                Errno(libc::EACCES) => Errno(libc::EAGAIN),
                errno => errno,
            });
        let mut locks = locked(&self.locks);
        if let Some(file) = locks.get_mut(&(ino, owner)) {
            if set.is_ok() {
                file.ranges.set(*lock);
                file.through.insert(id);
            }
            if file.ranges.is_empty() && Arc::strong_count(&file.held) == 2 {
                locks.remove(&(ino, owner));
            }
        }
        drop(locks);
        drop(held);
        self.close_unused(caller, 1);
        set.map(drop)
    }

    /// Opens a file anew to hold an owner's locks: for reading and writing, so that it serves whatever handle the owner
    /// asks by next, or else as the handle is. With the rights of whoever opened the handle, or the session's: to lock what
    /// is open takes none.
    fn lock_description(&self, caller: &Caller, handle: &Handle) -> Result<Arc<Held>, Errno> {
        let file = handle.held()?;
        let opener = handle.opener.clone().map_or(Whom::Session, Whom::Caller);
        let open = |whom: &Whom, mode: i32| {
            let host = self.at_for(whom.clone(), file);
            let flags = OpenFlags(mode | libc::O_CLOEXEC);
            self.opening(caller, || host.reopen(file.fd(), flags))
                .map(|reply| host.hold(reply.fd))
        };
        let mode = handle.flags & libc::O_ACCMODE;
        open(&opener, libc::O_RDWR)
            .or_else(|_| open(&opener, mode))
            .or_else(|_| open(&Whom::Session, mode))
    }

    fn lock_file(&self, ino: Ino, owner: u64) -> Option<Arc<Held>> {
        let locks = locked(&self.locks);
        locks.get(&(ino, owner)).map(|file| file.held.clone())
    }

    /// Which other owner of this guest is in the way.
    fn holder(&self, ino: Ino, lock: &Lock) -> Option<Lock> {
        let locks = locked(&self.locks);
        locks
            .iter()
            .filter(|((of, owner), _)| *of == ino && *owner != lock.owner)
            .find_map(|(_, file)| file.ranges.against(lock))
    }

    /// Gives back all record locks of an owner on a file: a process has closed a descriptor of it.
    pub(super) fn drop_owner(&self, caller: &Caller, ino: Ino, owner: u64) {
        let gone = locked(&self.locks).remove(&(ino, owner));
        if gone.is_some() {
            drop(gone);
            self.close_unused(caller, 1);
        }
    }

    /// Gives back what was locked through an open file that is gone. A process has given back its locks when it closed
    /// the file; what is left belongs to the open file, and nothing else says that it ended.
    pub(super) fn drop_handle(&self, ino: Ino, id: HandleId) {
        locked(&self.locks).retain(|(of, _), file| *of != ino || !file.through.contains(&id));
    }
}

fn record(lock: &Lock) -> RecordLock {
    let end = lock.end.min(i64::MAX as u64);
    RecordLock {
        kind: match lock.kind {
            LockKind::Read => libc::F_RDLCK,
            LockKind::Write => libc::F_WRLCK,
            LockKind::Unlock => libc::F_UNLCK,
        } as i16,
        whence: libc::SEEK_SET as i16,
        start: lock.start as i64,
        len: match end {
            end if end == i64::MAX as u64 => 0,
            end => (end - lock.start.min(end) + 1) as i64,
        },
        pid: 0,
    }
}
