//! Calls as cases write them: by the working directory, the answer left to the transcript.

use crate::run::Run;
use crate::shown::digest;
use hostcall::ops::Calls;
use hostcall::types::{AtFlags, DirFd, Mode, Offset, OpenFlags, RecordLock, RemoteFd, Times};
use hostcall::wire::{Sink, Source};
use std::ffi::CStr;

/// Where paths start.
pub const CWD: DirFd = DirFd::CWD;

impl Run {
    /// mkdir(2).
    pub fn mkdir(&self, path: &CStr, mode: u32) {
        let _ = self.mkdirat(CWD, path, Mode(mode));
    }

    /// mknod(2).
    pub fn mknod(&self, path: &CStr, mode: u32, device: u64) {
        let _ = self.mknodat(CWD, path, Mode(mode), device);
    }

    /// unlink(2).
    pub fn unlink(&self, path: &CStr) {
        let _ = self.unlinkat(CWD, path, AtFlags(0));
    }

    /// rmdir(2).
    pub fn rmdir(&self, path: &CStr) {
        let _ = self.unlinkat(CWD, path, AtFlags(libc::AT_REMOVEDIR));
    }

    /// renameat2(2).
    pub fn rename(&self, from: &CStr, to: &CStr, flags: u32) {
        let _ = self.renameat2(CWD, from, CWD, to, flags);
    }

    /// linkat(2).
    pub fn link(&self, from: &CStr, to: &CStr, flags: i32) {
        let _ = self.linkat(CWD, from, CWD, to, AtFlags(flags));
    }

    /// symlink(2).
    pub fn symlink(&self, target: &CStr, path: &CStr) {
        let _ = self.symlinkat(target, CWD, path);
    }

    /// readlink(2) with room for `room` bytes.
    pub fn readlink(&self, path: &CStr, room: usize) {
        self.readlink_at(CWD, path, room);
    }

    /// The same below a directory.
    pub fn readlink_at(&self, dir: DirFd, path: &CStr, room: usize) {
        let mut target = vec![0; room];
        let read = self.readlinkat(dir, path, Sink::new(&mut target));
        self.see("target", read.map(|reply| &target[..reply.filled.0]));
    }

    /// fchmodat2(2).
    pub fn chmod(&self, path: &CStr, mode: u32, flags: i32) {
        let _ = self.fchmodat2(CWD, path, Mode(mode), AtFlags(flags));
    }

    /// fchmod(2).
    pub fn fchmod(&self, fd: RemoteFd, mode: u32) {
        let _ = self.fchmodat2(fd.into(), c"", Mode(mode), AtFlags(libc::AT_EMPTY_PATH));
    }

    /// fchownat(2).
    pub fn chown(&self, path: &CStr, uid: u32, gid: u32, flags: i32) {
        let _ = self.fchownat(CWD, path, uid.into(), gid.into(), AtFlags(flags));
    }

    /// access(2).
    pub fn access(&self, path: &CStr, mode: i32, flags: i32) {
        let _ = self.faccessat2(CWD, path, mode, AtFlags(flags));
    }

    /// utimensat(2): seconds and nanoseconds of access and modification.
    pub fn times(&self, path: &CStr, access: (i64, u32), modification: (i64, u32), flags: i32) {
        let _ = self.utimensat(CWD, path, times(access, modification), AtFlags(flags));
    }

    /// lseek(2).
    pub fn seek(&self, fd: RemoteFd, offset: i64, whence: i32) {
        let _ = self.lseek(fd, offset, whence);
    }

    /// fcntl(2) with a number.
    pub fn control(&self, fd: RemoteFd, command: i32, argument: i32) {
        let _ = self.fcntl(fd, command, argument as u64);
    }

    /// fcntl(2) with a lock; notes what a question is answered.
    pub fn record_lock(&self, fd: RemoteFd, command: i32, kind: i32, start: i64, len: i64) {
        let lock = RecordLock {
            kind: kind as i16,
            whence: libc::SEEK_SET as i16,
            start,
            len,
            pid: 0,
        };
        let _ = self.lock(fd, command, lock);
    }

    /// setxattr(2) of a path.
    pub fn set_attribute(&self, path: &CStr, name: &CStr, value: &[u8], create: i32) {
        let _ = self.setxattr(CWD, path, AtFlags(0), name, Source::new(value), create);
    }

    /// getxattr(2) with room for `room` bytes; the three ways to name the file are those of the op.
    pub fn get_attribute(&self, dir: DirFd, path: &CStr, flags: i32, name: &CStr, room: usize) {
        let mut value = vec![0; room];
        let read = self.getxattr(dir, path, AtFlags(flags), name, Sink::new(&mut value));
        self.see("value", read.map(|reply| &value[..reply.filled.0]));
    }

    /// listxattr(2), sorted; only those of users, for security modules add their own.
    pub fn list_attributes(&self, dir: DirFd, path: &CStr, flags: i32, room: usize) {
        let mut list = vec![0; room];
        let read = self.listxattr(dir, path, AtFlags(flags), Sink::new(&mut list));
        let Ok(read) = read else { return };
        let list = &list[..read.filled.0];
        let mut names: Vec<&[u8]> = list.split(|byte| *byte == 0).collect();
        names.retain(|name| name.starts_with(b"user."));
        names.sort();
        self.note(digest(&names.join(&b' ')));
    }

    /// copy_file_range(2).
    pub fn copy(&self, from: (RemoteFd, i64), to: (RemoteFd, i64), len: u64, flags: u32) {
        let (from_offset, to_offset) = (Offset(from.1), Offset(to.1));
        let _ = self.copy_file_range(from.0, from_offset, to.0, to_offset, len, flags);
    }

    /// dup(2); -1 if it fails.
    pub fn duplicate(&self, fd: RemoteFd, flags: i32) -> RemoteFd {
        let new = self.dup(fd, OpenFlags(flags));
        new.map_or(RemoteFd(-1), |reply| reply.fd)
    }
}

/// Times for utimensat(2).
pub fn times(access: (i64, u32), modification: (i64, u32)) -> Times {
    Times {
        atime: access.0,
        mtime: modification.0,
        atime_nsec: access.1,
        mtime_nsec: modification.1,
    }
}
