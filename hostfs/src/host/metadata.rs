//! Metadata: what a file is, and changes to that.

use super::session::Acting;
use super::stat::{space, Stat, STATFS};
use super::{Host, HostFs, INODE};
use crate::fs::{Attr, Caller, Change, HandleId, Ino, SetTime, Space, ROOT};
use crate::handle::Handle;
use crate::hidden;
use hostcall::ids::{GuestGid, GuestUid};
use hostcall::ops::Calls;
use hostcall::types::{AtFlags, Errno, Mode, OpenFlags, RemoteFd, Times};
use hostcall::wire::Sink;
use std::sync::Arc;

impl<H: Host> HostFs<H> {
    pub(super) fn get_attr(
        &self,
        caller: &Caller,
        ino: Ino,
        handle: Option<HandleId>,
    ) -> Result<Attr, Errno> {
        if hidden::is_own(ino) {
            return Ok(hidden::attr(ino));
        }
        self.with(caller, ino, handle, |host, fd| self.attr(host, ino, fd))
    }

    pub(super) fn set_attr(
        &self,
        caller: &Caller,
        ino: Ino,
        change: &Change,
    ) -> Result<Attr, Errno> {
        self.with(caller, ino, change.handle, |host, fd| {
            if let Some(size) = change.size {
                self.set_size(caller, host, fd, change.handle.is_some(), size)?;
            }
            // A change of nothing is a chown(2) that keeps both: it takes the set-user-id bit away all the same.
            let nothing = Change {
                handle: change.handle,
                ..Change::default()
            };
            if change.uid.is_some() || change.gid.is_some() || *change == nothing {
                let uid = change.uid.map_or(GuestUid::NONE, GuestUid);
                let gid = change.gid.map_or(GuestGid::NONE, GuestGid);
                let set = host.fchownat(fd.into(), c"", uid, gid, INODE);
                // The guest kernel also asks for it ahead of a write, and then takes no refusal: a writer who is not the
                // owner loses the bit by the write itself.
                if !(*change == nothing && matches!(set, Err(Errno(libc::EPERM)))) {
                    set?;
                }
            }
            if let Some(mode) = change.mode {
                // After the owner, whose change takes the set-user-id bit away.
                host.fchmodat2(fd.into(), c"", Mode(mode & 0o7777), INODE)?;
            }
            if change.atime.is_some() || change.mtime.is_some() {
                let set = host.utimensat(fd.into(), c"", times(change), INODE);
                // The guest kernel itself, after it has written back or with a new length. Only an owner may choose times;
                // for another writer they are what the host has made them.
                let late = change.handle.is_some() || change.size.is_some();
                if !(late && matches!(set, Err(Errno(libc::EPERM)))) {
                    set?;
                }
            }
            self.attr(host, ino, fd)
        })
    }

    fn set_size(
        &self,
        caller: &Caller,
        host: &Acting<H>,
        fd: RemoteFd,
        open: bool,
        size: u64,
    ) -> Result<(), Errno> {
        let size = i64::try_from(size).map_err(|_| Errno(libc::EFBIG))?;
        if open {
            return host.ftruncate(fd, size).map(drop);
        }
        let flags = OpenFlags(libc::O_WRONLY | libc::O_CLOEXEC);
        let anew = self.opening(caller, || host.reopen(fd, flags))?.fd;
        let set = host.ftruncate(anew, size);
        host.close(anew)?;
        set.map(drop)
    }

    /// Calls with the descriptor of an open file, or with one of the inode.
    fn with<T>(
        &self,
        caller: &Caller,
        ino: Ino,
        handle: Option<HandleId>,
        call: impl Fn(&Acting<H>, RemoteFd) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let open: Option<Arc<Handle>> = handle.and_then(|id| self.handles.get(id).ok());
        if let Some((handle, Ok(held))) = open.as_ref().map(|handle| (handle, handle.held())) {
            return call(&self.through(caller, handle, held), held.fd());
        }
        let held = self.fd(caller, ino)?;
        call(&self.at(caller, &held), held.fd())
    }

    pub(super) fn link_target(&self, caller: &Caller, ino: Ino) -> Result<Vec<u8>, Errno> {
        let held = self.fd(caller, ino)?;
        let mut target = vec![0; libc::PATH_MAX as usize];
        let host = self.at(caller, &held);
        let read = host.readlinkat(held.fd().into(), c"", Sink::new(&mut target))?;
        target.truncate(read.filled.0);
        match &self.settings.prefix {
            Some(prefix) if target.starts_with(b"/") => {
                let whole = [prefix.as_slice(), &target].concat();
                // What the guest kernel cannot take it would not follow either.
                match whole.len() < libc::PATH_MAX as usize {
                    true => Ok(whole),
                    false => Err(Errno(libc::ENAMETOOLONG)),
                }
            }
            _ => Ok(target),
        }
    }

    /// By how much a link's text is longer in the guest: its size is its text's length (POSIX `lstat`), and programs that read
    /// no more of it than that, as cpio does, would shorten it.
    pub(super) fn lengthening(&self, host: &Acting<H>, stat: &Stat, fd: RemoteFd) -> u64 {
        let Some(prefix) = &self.settings.prefix else {
            return 0;
        };
        let mut first = [0];
        let is_absolute = stat.kind() == libc::S_IFLNK
            && host
                .readlinkat(fd.into(), c"", Sink::new(&mut first))
                .is_ok_and(|read| first[..read.filled.0] == *b"/");
        match is_absolute {
            true => prefix.len() as u64,
            false => 0,
        }
    }

    pub(super) fn check(&self, caller: &Caller, ino: Ino, mask: i32) -> Result<(), Errno> {
        if hidden::is_own(ino) {
            return match mask & libc::W_OK {
                0 => Ok(()),
                _ => Err(Errno(libc::EACCES)),
            };
        }
        let held = self.fd(caller, ino)?;
        let flags = AtFlags(libc::AT_EMPTY_PATH | libc::AT_EACCESS);
        let host = self.at(caller, &held);
        host.faccessat2(held.fd().into(), c"", mask, flags)
            .map(drop)
    }

    pub(super) fn fullness(&self, caller: &Caller, ino: Ino) -> Result<Space, Errno> {
        let ino = if hidden::is_own(ino) { ROOT } else { ino };
        let held = self.fd(caller, ino)?;
        let mut bytes = [0; STATFS];
        let host = self.at(caller, &held);
        host.statfs(held.fd().into(), c"", Sink::new(&mut bytes))?;
        Ok(space(&bytes))
    }
}

fn times(change: &Change) -> Times {
    let time = |time: Option<SetTime>| match time {
        None => (0, libc::UTIME_OMIT as u32),
        Some(SetTime::Now) => (0, libc::UTIME_NOW as u32),
        Some(SetTime::At(time)) => (time.seconds, time.nanoseconds),
    };
    let (atime, atime_nsec) = time(change.atime);
    let (mtime, mtime_nsec) = time(change.mtime);
    Times {
        atime,
        mtime,
        atime_nsec,
        mtime_nsec,
    }
}
