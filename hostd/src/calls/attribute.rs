//! Extended attributes: one call for a name, a link, an open file or the inode of an `O_PATH` descriptor.
#![allow(unsafe_code)]

use super::meta::inode;
use super::Caller;
use hostcall::ops::numbers;
use hostcall::types::{AtFlags, DirFd, Errno};
use std::ffi::{c_char, c_void, CStr};

/// What an extended-attribute call is about: the system has no `*at` forms of them before Linux 6.13.
pub(super) enum Target<'p> {
    Path(&'p CStr),
    Link(&'p CStr),
    Open(i32),
    Inode(i32),
}

/// `struct xattr_args` of linux/xattr.h.
#[repr(C, align(8))]
struct Args {
    /// Address of the value.
    value: u64,
    /// Its length.
    size: u32,
    /// `XATTR_CREATE` or `XATTR_REPLACE`.
    flags: u32,
}

impl Target<'_> {
    /// getxattr(2) or its kin: the size of the value.
    ///
    /// # Safety
    /// `len` writable bytes at `value`.
    pub(super) unsafe fn get(
        &self,
        caller: &Caller,
        name: &CStr,
        value: *mut c_void,
        len: usize,
    ) -> Result<usize, Errno> {
        let name = name.as_ptr();
        // SAFETY: NUL-terminated private strings, and the caller's promise.
        let size = unsafe {
            match *self {
                Target::Path(path) => libc::getxattr(path.as_ptr(), name, value, len) as i64,
                Target::Link(path) => libc::lgetxattr(path.as_ptr(), name, value, len) as i64,
                Target::Open(fd) => libc::fgetxattr(fd, name, value, len) as i64,
                Target::Inode(fd) => caller.by_descriptor(
                    fd,
                    |fd| libc::fgetxattr(fd, name, value, len) as i64,
                    |link| {
                        let (dir, path) = (link.dir, link.name.as_ptr());
                        let args = Args {
                            value: value as u64,
                            size: len as u32,
                            flags: 0,
                        };
                        let (call, size) = (numbers::SYS_getxattrat, size_of::<Args>());
                        libc::syscall(call, dir, path, 0, name, &raw const args, size)
                    },
                )?,
            }
        };
        Ok(Errno::result(size)? as usize)
    }

    /// setxattr(2) or its kin.
    ///
    /// # Safety
    /// `len` readable bytes at `value`.
    pub(super) unsafe fn set(
        &self,
        caller: &Caller,
        name: &CStr,
        value: *const c_void,
        len: usize,
        create: i32,
    ) -> Result<(), Errno> {
        let name = name.as_ptr();
        // SAFETY: NUL-terminated private strings, and the caller's promise.
        let done = unsafe {
            match *self {
                Target::Path(path) => {
                    libc::setxattr(path.as_ptr(), name, value, len, create).into()
                }
                Target::Link(path) => {
                    libc::lsetxattr(path.as_ptr(), name, value, len, create).into()
                }
                Target::Open(fd) => libc::fsetxattr(fd, name, value, len, create).into(),
                Target::Inode(fd) => caller.by_descriptor(
                    fd,
                    |fd| libc::fsetxattr(fd, name, value, len, create).into(),
                    |link| {
                        let (dir, path) = (link.dir, link.name.as_ptr());
                        let args = Args {
                            value: value as u64,
                            size: len as u32,
                            flags: create as u32,
                        };
                        let (call, size) = (numbers::SYS_setxattrat, size_of::<Args>());
                        libc::syscall(call, dir, path, 0, name, &raw const args, size)
                    },
                )?,
            }
        };
        Errno::result(done).map(drop)
    }

    /// listxattr(2) or its kin: the size of the list.
    ///
    /// # Safety
    /// `len` writable bytes at `list`.
    pub(super) unsafe fn list(
        &self,
        caller: &Caller,
        list: *mut c_char,
        len: usize,
    ) -> Result<usize, Errno> {
        // SAFETY: a NUL-terminated private path, and the caller's promise.
        let size = unsafe {
            match *self {
                Target::Path(path) => libc::listxattr(path.as_ptr(), list, len) as i64,
                Target::Link(path) => libc::llistxattr(path.as_ptr(), list, len) as i64,
                Target::Open(fd) => libc::flistxattr(fd, list, len) as i64,
                Target::Inode(fd) => caller.by_descriptor(
                    fd,
                    |fd| libc::flistxattr(fd, list, len) as i64,
                    |link| {
                        let (dir, path) = (link.dir, link.name.as_ptr());
                        libc::syscall(numbers::SYS_listxattrat, dir, path, 0, list, len)
                    },
                )?,
            }
        };
        Ok(Errno::result(size)? as usize)
    }

    /// removexattr(2) or its kin.
    pub(super) fn remove(&self, caller: &Caller, name: &CStr) -> Result<(), Errno> {
        let name = name.as_ptr();
        // SAFETY: NUL-terminated private strings.
        let done = unsafe {
            match *self {
                Target::Path(path) => libc::removexattr(path.as_ptr(), name).into(),
                Target::Link(path) => libc::lremovexattr(path.as_ptr(), name).into(),
                Target::Open(fd) => libc::fremovexattr(fd, name).into(),
                Target::Inode(fd) => caller.by_descriptor(
                    fd,
                    |fd| libc::fremovexattr(fd, name).into(),
                    |link| {
                        let (dir, path) = (link.dir, link.name.as_ptr());
                        libc::syscall(numbers::SYS_removexattrat, dir, path, 0, name)
                    },
                )?,
            }
        };
        Errno::result(done).map(drop)
    }
}

impl Caller {
    /// A path counts from the working directory; a descriptor comes with an empty path.
    pub(super) fn target<'p>(
        &self,
        dirfd: DirFd,
        path: &'p CStr,
        flags: AtFlags,
    ) -> Result<Target<'p>, Errno> {
        if path.is_empty() && flags.0 & libc::AT_EMPTY_PATH != 0 {
            return match self.session.fds.dir(dirfd)? {
                libc::AT_FDCWD => Ok(Target::Path(c".")),
                fd if inode(path, flags) => Ok(Target::Inode(fd)),
                fd => Ok(Target::Open(fd)),
            };
        }
        if dirfd != DirFd::CWD && !path.to_bytes().starts_with(b"/") {
            return Err(Errno(libc::EOPNOTSUPP));
        }
        Ok(match flags.0 & libc::AT_SYMLINK_NOFOLLOW {
            0 => Target::Path(path),
            _ => Target::Link(path),
        })
    }
}
