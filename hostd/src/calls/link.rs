//! Names for open files: `/proc/self/fd/N`, the only road to what has a descriptor and no call that takes it.
//!
//! A view with limits holds no proc, so each shadow keeps a descriptor of its own `/proc/self/fd` above the guest's
//! numbers. The guest cannot name it: it is not in the session's table, and what is looked up in it is always the
//! decimal number of a descriptor that has just been found there. Following such a link goes to the open inode
//! itself, on the mount and along the path that it was opened by, so read-only mounts and Landlock judge the new open
//! as they judge any other.
#![allow(unsafe_code)]

use super::{done, Caller};
use hostcall::types::Errno;
use nix::fcntl::{openat, OFlag};
use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// A descriptor's name relative to the directory of descriptors.
pub(super) struct Link {
    /// The directory.
    pub dir: i32,
    /// The number in decimal.
    pub name: CString,
}

impl Caller {
    /// The name of a checked descriptor; `EOPNOTSUPP` where the host has no proc file system.
    pub(super) fn link(&self, fd: i32) -> Result<Link, Errno> {
        let dir = self.session.links.ok_or(Errno(libc::EOPNOTSUPP))?;
        let name = CString::new(fd.to_string()).map_err(|_| Errno(libc::EINVAL))?;
        Ok(Link { dir, name })
    }

    /// Opens a checked descriptor's inode anew, if it is a regular file or a directory: opening a FIFO, device or
    /// socket acts on whoever is at its other end (CVE-2020-35517, CVE-2023-2861).
    pub(super) fn open_anew(&self, fd: i32, flags: i32) -> Result<i32, Errno> {
        /// The bit by which `O_TMPFILE` differs from `O_DIRECTORY`.
        const TMPFILE: i32 = libc::O_TMPFILE & !libc::O_DIRECTORY;
        if flags & (libc::O_CREAT | TMPFILE) != 0 {
            return Err(Errno(libc::EINVAL));
        }
        // SAFETY: stat is valid when zeroed, and lives through the call.
        let stat = unsafe {
            let mut stat: libc::stat = std::mem::zeroed();
            Errno::result(libc::fstat(fd, &mut stat).into())?;
            stat
        };
        // The link itself would be what O_NOFOLLOW refuses.
        let flags = flags & !(libc::O_NOFOLLOW | libc::O_ASYNC) | libc::O_NOCTTY;
        match stat.st_mode & libc::S_IFMT {
            libc::S_IFDIR => {
                // SAFETY: a NUL-terminated name.
                let opened = unsafe { libc::openat(fd, c".".as_ptr(), flags) };
                match Errno::result(opened.into()) {
                    // Its own name in it takes the right to search it, which opening it does not.
                    Err(Errno(libc::EACCES)) if self.session.links.is_some() => {}
                    opened => return Ok(opened? as i32),
                }
            }
            libc::S_IFREG => {}
            _ if flags & libc::O_PATH != 0 => {}
            _ => return Err(Errno(libc::ENXIO)),
        }
        let link = self.link(fd)?;
        self.not_running(link.dir, &link.name, flags)?;
        let changes = flags & libc::O_TRUNC != 0;
        let _change = changes.then(|| self.session.change());
        // SAFETY: a NUL-terminated name. A number that another lane has closed and reused meanwhile names another of
        // the guest's files, which the guest could have opened by name.
        let opened = unsafe { libc::openat(link.dir, link.name.as_ptr(), flags) };
        Ok(Errno::result(opened.into())? as i32)
    }
}

impl Caller {
    /// Makes a call on a descriptor, or, where that is an `O_PATH` one, on its link by the form of the call that takes a
    /// directory and a name (Linux 6.13), or on the inode opened anew, which takes the right to read it.
    pub(super) fn by_descriptor(
        &self,
        fd: i32,
        plain: impl Fn(i32) -> i64,
        named: impl Fn(&Link) -> i64,
    ) -> Result<i64, Errno> {
        match Errno::result(plain(fd)) {
            Err(Errno(libc::EBADF)) => {}
            called => return called,
        }
        match Errno::result(named(&self.link(fd)?)) {
            Err(Errno(libc::ENOSYS)) => {}
            called => return called,
        }
        let anew = self.open_anew(fd, libc::O_RDONLY | libc::O_CLOEXEC)?;
        let called = Errno::result(plain(anew));
        // SAFETY: opened just now; nobody else knows it.
        unsafe { libc::close(anew) };
        called
    }
}

impl Caller {
    /// The path, in the view, by which an open file can be reached now, or another file that has taken its name.
    pub(super) fn path_of_link(&self, fd: i32) -> Result<CString, Errno> {
        let link = self.link(fd)?;
        let mut path = vec![0u8; libc::PATH_MAX as usize];
        // SAFETY: a NUL-terminated name; pointer and length are those of a live buffer.
        let len = Errno::result(unsafe {
            libc::readlinkat(
                link.dir,
                link.name.as_ptr(),
                path.as_mut_ptr().cast(),
                path.len(),
            )
        } as i64)? as usize;
        // A path that fills the buffer may have been cut; one without a slash is no path ("pipe:[1]").
        if len == path.len() || path[0] != b'/' {
            return Err(Errno(libc::ENOENT));
        }
        path.truncate(len);
        CString::new(path).map_err(|_| Errno(libc::ENOENT))
    }

    /// The path, in the view, by which an open file can be reached now; `ENOENT` if there is none.
    pub(super) fn reached_by(&self, fd: i32) -> Result<CString, Errno> {
        let path = self.path_of_link(fd)?;
        // SAFETY: a live stat.
        let wanted = identity(|data| unsafe { libc::fstat(fd, data) })?;
        match identity_at(&path)? == wanted {
            true => Ok(path),
            false => Err(Errno(libc::ENOENT)),
        }
    }
}

/// What tells one file from another.
pub(super) fn identity(stat: impl FnOnce(*mut libc::stat) -> i32) -> Result<(u64, u64), Errno> {
    // SAFETY: stat is valid when zeroed.
    let mut data: libc::stat = unsafe { std::mem::zeroed() };
    done(stat(&mut data))?;
    Ok((data.st_dev, data.st_ino))
}

pub(super) fn identity_at(path: &CStr) -> Result<(u64, u64), Errno> {
    // SAFETY: a NUL-terminated path and a live stat.
    identity(|data| unsafe { libc::lstat(path.as_ptr(), data) })
}

/// Narrows the proc file system down to this process's descriptors and puts them above the numbers of the guest, whose
/// files keep theirs from parent to child.
pub(crate) fn own(proc: &OwnedFd, above: u64) -> Option<RawFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let fd = openat(proc, "self/fd", flags, nix::sys::stat::Mode::empty()).ok()?;
    // SAFETY: plain system call; the new descriptor is kept for the life of the process.
    let placed = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, above as i32) };
    (placed >= 0).then_some(placed)
}
