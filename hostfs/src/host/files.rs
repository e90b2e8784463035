//! Open files: opening, making, reading, writing, space, copies.

use super::session::{Acting, Whom};
use super::stat::{file_system, Stat, STATFS};
use super::{locked, statx, Host, HostFs};
use crate::cache::Cache;
use crate::fs::{Caller, Data, Entry, HandleId, Ino, Opened, Place, Time};
use crate::handle::{Handle, What};
use crate::hidden;
use crate::inode::Held;
use hostcall::ops::Calls;
use hostcall::transfer::Known;
use hostcall::types::{AtFlags, Errno, Mode, Offset, OpenFlags, RemoteFd, RwFlags, Token};
use hostcall::wire::Sink;
use std::ffi::CStr;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The longest copy of one request: the reply has 32 bits for its length.
const COPY: u64 = 1 << 30;

/// The mark of an open for execve(2) in a request's flags, `__FMODE_EXEC` in the kernel's `include/linux/fs.h`.
const EXECUTE: i32 = 0x20;

/// File systems whose files have no length until they are read, statfs(2).
const MADE_UP: [libc::c_long; 7] = [
    libc::PROC_SUPER_MAGIC,
    libc::CGROUP_SUPER_MAGIC,
    libc::CGROUP2_SUPER_MAGIC,
    libc::DEBUGFS_MAGIC,
    libc::SECURITYFS_MAGIC,
    libc::SELINUX_MAGIC,
    libc::TRACEFS_MAGIC,
];

/// Changes closer together than this may bear one time: the coarsest clock of a kernel ticks a hundred times a second.
const TICK: Duration = Duration::from_millis(20);

impl<H: Host> HostFs<H> {
    pub(super) fn open_file(&self, caller: &Caller, ino: Ino, flags: i32) -> Result<Opened, Errno> {
        if let Some((file, token)) = locked(&self.waiting).take(caller.pid, ino) {
            return Ok(self.adopt(caller, ino, file, token));
        }
        if hidden::is_own(ino) {
            return self.open_own(ino, flags);
        }
        let held = self.fd(caller, ino)?;
        let wanted = self.settings.cache.host_flags(flags);
        let host = self.at(caller, &held);
        let anew = |flags| {
            self.opening(caller, || host.reopen(held.fd(), OpenFlags(flags)))
                .map(|reply| (reply.fd, flags))
        };
        let opened = match anew(wanted) {
            // Only what a file may be read by as well is written to in parts by a kernel that writes back.
            Err(Errno(libc::EACCES)) if wanted & libc::O_ACCMODE != flags & libc::O_ACCMODE => {
                anew(wanted & !libc::O_ACCMODE | flags & libc::O_ACCMODE)
            }
            // A file that can only be appended to is opened for nothing else, ioctl_iflags(2).
            Err(Errno(libc::EPERM)) if flags & libc::O_APPEND != 0 => anew(wanted | libc::O_APPEND),
            // A program may be executed by those who may not read it; the guest kernel reads it for them.
            Err(Errno(libc::EACCES)) if flags & EXECUTE != 0 => {
                self.check(caller, ino, libc::X_OK)?;
                let host = self.at_for(Whom::Session, &held);
                self.opening(caller, || host.reopen(held.fd(), OpenFlags(wanted)))
                    .map(|reply| (reply.fd, wanted))
            }
            opened => opened,
        };
        let (fd, wanted) = opened?;
        let file = host.hold(fd);
        let data = self.data_of(&host, ino, fd, flags)?;
        self.inodes().opened(ino, &file);
        Ok(Opened {
            handle: self.handles.insert(Handle::new(
                ino,
                wanted,
                What::File(file),
                self.whom(caller).who(),
            )),
            data,
            token: None,
        })
    }

    /// What the kernel is to do with the data of a file that has just been opened.
    fn data_of(&self, host: &Acting<H>, ino: Ino, fd: RemoteFd, flags: i32) -> Result<Data, Errno> {
        let cache = self.settings.cache;
        if cache == Cache::None {
            return Ok(cache.data(flags, false));
        }
        let stat = statx(host, fd)?;
        // Of a file that is empty the kernel reads nothing by way of its cache.
        if stat.attr.size == 0 && self.is_made_up(host, fd)? {
            return Ok(Data::Direct);
        }
        let unchanged = cache == Cache::Auto && self.unchanged(ino, &stat);
        Ok(cache.data(flags, unchanged))
    }

    /// Whether a file's contents are made as they are read, so that its length says nothing.
    fn is_made_up(&self, host: &Acting<H>, fd: RemoteFd) -> Result<bool, Errno> {
        let mut bytes = [0; STATFS];
        host.statfs(fd.into(), c"", Sink::new(&mut bytes))?;
        Ok(MADE_UP.contains(&file_system(&bytes)))
    }

    /// Makes a handle of a file that another process of the guest has opened.
    fn adopt(&self, caller: &Caller, ino: Ino, file: Arc<Held>, token: Token) -> Opened {
        let host = self.at(caller, &file);
        let flags = host.fcntl(file.fd(), libc::F_GETFL, 0);
        let flags = flags.map_or(libc::O_RDWR, |reply| reply.value);
        let (what, data) = if hidden::is_own(ino) {
            (What::Stream(file), Data::Stream)
        } else {
            self.inodes().opened(ino, &file);
            (What::Shared(self.share(caller, file)), Data::Direct)
        };
        Opened {
            handle: self
                .handles
                .insert(Handle::new(ino, flags, what, self.whom(caller).who())),
            data,
            token: Some(token),
        }
    }

    /// Whether a file is as it was when the guest opened it last, so that what the guest kernel has cached since is
    /// right. Remembers how it is now.
    fn unchanged(&self, ino: Ino, stat: &Stat) -> bool {
        let now = state(stat);
        let mut inodes = self.inodes();
        let same = now.is_some() && inodes.remembered(ino) == now;
        inodes.remember(ino, now);
        same
    }

    pub(super) fn create_file(
        &self,
        caller: &Caller,
        parent: Ino,
        name: &CStr,
        mode: u32,
        flags: i32,
    ) -> Result<(Entry, Opened), Errno> {
        self.not_hidden(parent, name)?;
        let directory = self.fd(caller, parent)?;
        // The guest kernel found no such name. If there is one by now, it may be a link or something that opening acts
        // on; then it must look again.
        let wanted = self.settings.cache.host_flags(flags) | libc::O_CREAT;
        let safe = OpenFlags(wanted | libc::O_NOFOLLOW | libc::O_NONBLOCK);
        let host = self.at(caller, &directory);
        let made = self.opening(caller, || {
            host.openat(directory.fd().into(), name, safe, Mode(mode))
        });
        let fd = made.map_err(|errno| match errno {
            Errno(libc::ELOOP | libc::ENXIO) => Errno(libc::ESTALE),
            errno => errno,
        })?;
        let file = host.hold(fd.fd);
        let stat = statx(&host, file.fd())?;
        if stat.kind() != libc::S_IFREG {
            return Err(Errno(libc::ESTALE));
        }
        let entry = self.entry(caller, &stat, None, Some((parent, name)));
        self.inodes().opened(entry.attr.ino, &file);
        let opener = self.whom(caller).who();
        let handle = Handle::new(entry.attr.ino, wanted, What::File(file), opener);
        let opened = Opened {
            handle: self.handles.insert(handle),
            data: self.settings.cache.data(flags, false),
            token: None,
        };
        Ok((entry, opened))
    }

    pub(super) fn read_file(
        &self,
        caller: &Caller,
        handle: HandleId,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<usize, Errno> {
        let handle = self.handles.get(handle)?;
        match &handle.what {
            What::Text(text) => {
                let start = usize::try_from(offset).map_or(text.len(), |at| at.min(text.len()));
                let len = buffer.len().min(text.len() - start);
                buffer[..len].copy_from_slice(&text[start..start + len]);
                Ok(len)
            }
            What::Stream(file) => {
                let host = self.through(caller, &handle, file);
                host.read_at(file.fd(), Known::Nothing, Offset::CURRENT, buffer)
            }
            What::Shared(shared) => {
                let host = self.through(caller, &handle, &shared.file);
                host.read_shared(shared, offset, buffer)
            }
            _ => {
                let held = handle.held()?;
                let host = self.through(caller, &handle, held);
                host.read_at(held.fd(), handle.known(), position(offset)?, buffer)
            }
        }
    }

    pub(super) fn write_file(
        &self,
        caller: &Caller,
        handle: HandleId,
        place: Place,
        data: &[u8],
        drop_privileges: bool,
    ) -> Result<usize, Errno> {
        let handle = self.handles.get(handle)?;
        let held = handle.held()?;
        let fd = held.fd();
        let (at, flags) = match (&handle.what, place) {
            (What::Stream(_), _) => (Offset::CURRENT, 0),
            (_, Place::At(offset) | Place::Back(offset)) => (position(offset)?, 0),
            (_, Place::End(_)) => (Offset::CURRENT, libc::RWF_APPEND),
        };
        let host = self.through(caller, &handle, held);
        let written = match (&handle.what, place) {
            (What::Shared(shared), Place::At(offset) | Place::Back(offset)) => {
                host.write_shared(shared, offset, data)?
            }
            (What::Shared(shared), Place::End(offset)) => {
                host.append_shared(shared, offset, data)?
            }
            (_, place) => match host.write_at(fd, handle.known(), at, RwFlags(flags), data) {
                Err(Errno(libc::EINVAL)) if matches!(place, Place::Back(_)) => {
                    self.write_cached(caller, &handle, at, data)?
                }
                written => written?,
            },
        };
        handle.written.store(true, Ordering::Relaxed);
        if drop_privileges {
            take_privileges(&host, fd)?;
        }
        Ok(written)
    }

    /// Writes what the guest kernel had in its cache and the host does not take by an open file with `O_DIRECT`, because of
    /// its length, by a description without.
    fn write_cached(
        &self,
        caller: &Caller,
        handle: &Handle,
        at: Offset,
        data: &[u8],
    ) -> Result<usize, Errno> {
        if handle.flags & libc::O_DIRECT == 0 {
            return Err(Errno(libc::EINVAL));
        }
        let direct = handle.held()?;
        let host = self.for_opener(handle, direct);
        let flags = OpenFlags(libc::O_WRONLY | libc::O_CLOEXEC);
        let cached = self
            .opening(caller, || host.reopen(direct.fd(), flags))
            .map(|reply| host.hold(reply.fd))?;
        host.write_at(cached.fd(), Known::Nothing, at, RwFlags(0), data)
    }

    pub(super) fn flush_file(
        &self,
        caller: &Caller,
        id: HandleId,
        owner: u64,
    ) -> Result<(), Errno> {
        let handle = self.handles.get(id)?;
        handle.closing.now();
        self.drop_owner(caller, handle.ino, owner);
        if !handle.written.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        // A file system of the host that has errors to tell tells them when a descriptor is closed.
        let held = handle.held()?;
        let host = self.through(caller, &handle, held);
        let copy = self.opening(caller, || host.dup(held.fd(), OpenFlags(libc::O_CLOEXEC)))?;
        host.close(copy.fd).map(drop)
    }

    pub(super) fn release_file(&self, caller: &Caller, id: HandleId) {
        let _ending = self.endings.begin();
        let Some(handle) = self.handles.remove(id) else {
            return;
        };
        self.drop_handle(handle.ino, id);
        if let Ok(held) = handle.held() {
            self.inodes().closed(handle.ino, held);
        }
        // The guest kernel says later, and of nobody, that a file is closed.
        let opener = handle.opener.clone();
        drop(handle);
        let whom = || {
            opener
                .clone()
                .map_or_else(|| self.whom(caller), Whom::Caller)
        };
        self.close_unused_for(whom, 1, false);
    }

    pub(super) fn sync_file(
        &self,
        caller: &Caller,
        handle: HandleId,
        data_only: bool,
    ) -> Result<(), Errno> {
        let handle = self.handles.get(handle)?;
        let held = handle.held()?;
        let (host, fd) = (self.through(caller, &handle, held), held.fd());
        match data_only {
            true => host.fdatasync(fd).map(drop),
            false => host.fsync(fd).map(drop),
        }
    }

    pub(super) fn copy_range(
        &self,
        caller: &Caller,
        from: (HandleId, u64),
        to: (HandleId, u64),
        len: u64,
        flags: u64,
    ) -> Result<u32, Errno> {
        let (source, target) = (self.handles.get(from.0)?, self.handles.get(to.0)?);
        let flags = u32::try_from(flags).map_err(|_| Errno(libc::EINVAL))?;
        let (old, new) = (source.held()?, target.held()?);
        if old.session() != new.session() {
            // Opened before and after a change of the exports; the guest kernel copies by reading and writing.
            return Err(Errno(libc::EXDEV));
        }
        let copied = self.through(caller, &target, new).copy_file_range(
            old.fd(),
            position(from.1)?,
            new.fd(),
            position(to.1)?,
            len.min(COPY),
            flags,
        )?;
        target.written.store(true, Ordering::Relaxed);
        Ok(copied.copied as u32)
    }
}

/// Takes the set-user-id bit away, and the set-group-id bit where it is one (and not a mark for locking). A shadow of root
/// keeps them on its own writes; one that acts for an ordinary user has lost them already.
fn take_privileges(host: &impl Calls, fd: RemoteFd) -> Result<(), Errno> {
    let mode = statx(host, fd)?.attr.mode;
    let mut kept = mode & !libc::S_ISUID;
    if mode & libc::S_IXGRP != 0 {
        kept &= !libc::S_ISGID;
    }
    if kept != mode {
        let flags = AtFlags(libc::AT_EMPTY_PATH);
        host.fchmodat2(fd.into(), c"", Mode(kept & 0o7777), flags)?;
    }
    Ok(())
}

/// An offset of the guest's for the host, whose offsets have a sign.
pub(super) fn position(offset: u64) -> Result<Offset, Errno> {
    i64::try_from(offset)
        .map(Offset)
        .map_err(|_| Errno(libc::EINVAL))
}

/// What tells whether a file has changed; `None` if it was changed so lately that another change might not show.
fn state(stat: &Stat) -> Option<(Time, u64)> {
    let changed = stat.attr.mtime;
    let since_epoch = Duration::new(changed.seconds.try_into().ok()?, changed.nanoseconds);
    let age = SystemTime::now().duration_since(UNIX_EPOCH + since_epoch);
    age.is_ok_and(|age| age > TICK)
        .then_some((changed, stat.attr.size))
}
