//! Metadata: attributes, permissions, owners, times, extended attributes.
#![allow(unsafe_code)]

use super::attribute::Target;
use super::kernel::{kernel, STAT_AT};
use super::translate::{self, is_acl};
use super::{done, Caller};
use hostcall::metadata::Metadata;
use hostcall::ops::{reply, request, MetaCalls};
use hostcall::types::{AtFlags, Errno};
use hostcall::wire::{Filled, Sink};
use std::ffi::CStr;
use std::mem::MaybeUninit;
use syscalls::Sysno;

/// Whether a call means the inode of a descriptor, whatever that was opened for. What functions of libc take (fchmod,
/// futimens, fgetxattr) is an open file, which an `O_PATH` descriptor is not.
pub(super) fn inode(path: &CStr, flags: AtFlags) -> bool {
    let both = libc::AT_EMPTY_PATH | libc::AT_SYMLINK_NOFOLLOW;
    path.is_empty() && flags.0 & both == both
}

/// Bytes of an attribute's value at most, `XATTR_SIZE_MAX`.
const LONGEST_VALUE: usize = 65536;

/// The size that an attribute call reports, and how much of it lies in the sink: nothing if only the size was asked for.
fn sized(size: usize, room: usize) -> (u64, Filled) {
    (size as u64, Filled(size.min(room)))
}

impl Caller {
    /// statx(2) into a sink, as the guest is to see it.
    pub(super) fn metadata(
        &self,
        dirfd: i32,
        path: &CStr,
        flags: AtFlags,
        mask: u32,
        sink: Sink<'_>,
    ) -> Result<Filled, Errno> {
        if sink.len() < size_of::<libc::statx>() {
            return Err(Errno(libc::EINVAL));
        }
        if let Some(maps) = &self.session.translated {
            // SAFETY: statx is valid when zeroed; a NUL-terminated private path and a live structure.
            let data = unsafe {
                let mut data: libc::statx = std::mem::zeroed();
                done(libc::statx(dirfd, path.as_ptr(), flags.0, mask, &mut data))?;
                translate::show_statx(&mut data, maps);
                data
            };
            // SAFETY: the bytes of a live structure that was zeroed whole, padding included.
            let bytes = unsafe {
                std::slice::from_raw_parts((&raw const data).cast(), size_of::<libc::statx>())
            };
            return Ok(sink.fill(bytes));
        }
        // SAFETY: a NUL-terminated private path; the sink is a window of the size just checked inside the lane's mapped
        // arena. The kernel writes there itself; nothing of it is read back.
        done(unsafe { libc::statx(dirfd, path.as_ptr(), flags.0, mask, sink.as_ptr().cast()) })?;
        Ok(Filled(size_of::<libc::statx>()))
    }
}

impl MetaCalls for Caller {
    #[inline]
    fn statx(&mut self, request: request::Statx) -> Result<reply::Statx, Errno> {
        let request::Statx {
            dirfd,
            path,
            flags,
            mask,
            sink,
        } = request;
        let dirfd = self.dir(dirfd, path)?;
        Ok(reply::Statx {
            filled: self.metadata(dirfd, path, flags, mask, sink)?,
        })
    }

    #[inline]
    fn stat(&mut self, request: request::Stat) -> Result<reply::Stat, Errno> {
        let request::Stat { dirfd, path, flags } = request;
        let dirfd = self.dir(dirfd, path)?;
        let mut data = MaybeUninit::<libc::stat>::uninit();
        // SAFETY: a NUL-terminated private path; the structure is ours, and filled where the call succeeds.
        let data = unsafe {
            // The path that is not there costs the kernel a look at it all the same.
            match path.is_empty() && flags.0 == libc::AT_EMPTY_PATH && dirfd >= 0 {
                true => kernel!(Sysno::fstat, dirfd, data.as_mut_ptr()),
                false => kernel!(STAT_AT, dirfd, path.as_ptr(), data.as_mut_ptr(), flags.0),
            }?;
            data.assume_init()
        };
        let mut stat = Metadata::from(&data);
        if let Some(maps) = &self.session.translated {
            translate::show_metadata(&mut stat, maps);
        }
        Ok(reply::Stat { stat })
    }

    fn statfs(&mut self, request: request::Statfs) -> Result<reply::Statfs, Errno> {
        let request::Statfs { dirfd, path, sink } = request;
        if sink.len() < size_of::<libc::statfs>() {
            return Err(Errno(libc::EINVAL));
        }
        let target = self.target(dirfd, path, AtFlags(libc::AT_EMPTY_PATH))?;
        // SAFETY: as in `statx`.
        done(unsafe {
            match target {
                Target::Path(path) | Target::Link(path) => {
                    libc::statfs(path.as_ptr(), sink.as_ptr().cast())
                }
                Target::Open(fd) | Target::Inode(fd) => libc::fstatfs(fd, sink.as_ptr().cast()),
            }
        })?;
        Ok(reply::Statfs {
            filled: Filled(size_of::<libc::statfs>()),
        })
    }

    fn faccessat2(&mut self, request: request::Faccessat2) -> Result<reply::Faccessat2, Errno> {
        let request::Faccessat2 {
            dirfd,
            path,
            mode,
            flags,
        } = request;
        let dirfd = self.dir(dirfd, path)?;
        // A lane that acts for its caller has the caller's ids as effective ones only.
        let flags = match self.identity {
            Some(_) => flags.0 | libc::AT_EACCESS,
            None => flags.0,
        };
        // SAFETY: a NUL-terminated private path. The raw call: libc's emulates flags by the wrong ids.
        done(unsafe { libc::syscall(libc::SYS_faccessat2, dirfd, path.as_ptr(), mode, flags) })?;
        Ok(reply::Faccessat2 {})
    }

    fn fchmodat2(&mut self, request: request::Fchmodat2) -> Result<reply::Fchmodat2, Errno> {
        let request::Fchmodat2 {
            dirfd,
            path,
            mode,
            flags,
        } = request;
        let dirfd = self.dir(dirfd, path)?;
        // SAFETY: a NUL-terminated private path.
        let changed = unsafe {
            match flags.0 {
                0 => libc::syscall(libc::SYS_fchmodat, dirfd, path.as_ptr(), mode.0),
                libc::AT_EMPTY_PATH if path.is_empty() && dirfd >= 0 => {
                    libc::fchmod(dirfd, mode.0).into()
                }
                flags => libc::syscall(libc::SYS_fchmodat2, dirfd, path.as_ptr(), mode.0, flags),
            }
        };
        // A host kernel before 6.6 has no fchmodat2; glibc answers the same for flags that it cannot honour.
        match done(changed) {
            Err(Errno(libc::ENOSYS)) if inode(path, flags) && dirfd >= 0 => {
                let link = self.link(dirfd)?;
                // SAFETY: a NUL-terminated name.
                let changed = unsafe {
                    libc::syscall(libc::SYS_fchmodat, link.dir, link.name.as_ptr(), mode.0)
                };
                done(changed).map(|()| reply::Fchmodat2 {})
            }
            Err(Errno(libc::ENOSYS)) => Err(Errno(libc::EOPNOTSUPP)),
            changed => changed.map(|()| reply::Fchmodat2 {}),
        }
    }

    fn fchownat(&mut self, request: request::Fchownat) -> Result<reply::Fchownat, Errno> {
        let request::Fchownat {
            dirfd,
            path,
            uid,
            gid,
            flags,
        } = request;
        let dirfd = self.dir(dirfd, path)?;
        let (uid, gid) = translate::owner(uid, gid, self.session.translated.as_ref())?;
        // SAFETY: a NUL-terminated private path.
        done(unsafe {
            match flags.0 {
                libc::AT_EMPTY_PATH if path.is_empty() && dirfd >= 0 => {
                    libc::fchown(dirfd, uid.0, gid.0)
                }
                flags => libc::fchownat(dirfd, path.as_ptr(), uid.0, gid.0, flags),
            }
        })?;
        Ok(reply::Fchownat {})
    }

    fn utimensat(&mut self, request: request::Utimensat) -> Result<reply::Utimensat, Errno> {
        let request::Utimensat {
            dirfd,
            path,
            times,
            flags,
        } = request;
        let dirfd = self.dir(dirfd, path)?;
        let time = |sec, nsec: u32| libc::timespec {
            tv_sec: sec,
            tv_nsec: nsec.into(),
        };
        let times = [
            time(times.atime, times.atime_nsec),
            time(times.mtime, times.mtime_nsec),
        ];
        let set = |dirfd: i32, path: *const std::ffi::c_char, flags: i32| {
            let times = times.as_ptr();
            // SAFETY: a null or NUL-terminated private path, two live timespecs. The raw call: libc refuses a null path.
            done(unsafe { libc::syscall(libc::SYS_utimensat, dirfd, path, times, flags) })
        };
        if path.is_empty() && dirfd >= 0 {
            // An open file is named by a null path, which works on every kernel.
            match inode(path, flags) {
                true => set(dirfd, path.as_ptr(), libc::AT_EMPTY_PATH)?,
                false => set(dirfd, std::ptr::null(), 0)?,
            }
        } else {
            set(dirfd, path.as_ptr(), flags.0)?;
        }
        Ok(reply::Utimensat {})
    }

    fn truncate(&mut self, request: request::Truncate) -> Result<reply::Truncate, Errno> {
        self.not_running(libc::AT_FDCWD, request.path, libc::O_WRONLY)?;
        // SAFETY: a NUL-terminated private path.
        done(unsafe { libc::truncate(request.path.as_ptr(), request.len) })?;
        Ok(reply::Truncate {})
    }

    fn getxattr(&mut self, request: request::Getxattr) -> Result<reply::Getxattr, Errno> {
        let request::Getxattr {
            dirfd,
            path,
            flags,
            name,
            sink,
        } = request;
        let target = self.target(dirfd, path, flags)?;
        if let Some(maps) = self.session.translated.as_ref().filter(|_| is_acl(name)) {
            let mut value = vec![0u8; sink.len().min(LONGEST_VALUE)];
            // SAFETY: a live buffer of that length.
            let size = unsafe { target.get(self, name, value.as_mut_ptr().cast(), value.len()) }?;
            let (size, filled) = sized(size, value.len());
            let value = &mut value[..filled.0];
            translate::show_acl(value, maps);
            let filled = sink.fill(value);
            return Ok(reply::Getxattr { size, filled });
        }
        // SAFETY: the sink is a window inside the lane's mapped arena.
        let size = unsafe { target.get(self, name, sink.as_ptr().cast(), sink.len()) }?;
        let (size, filled) = sized(size, sink.len());
        Ok(reply::Getxattr { size, filled })
    }

    fn setxattr(&mut self, request: request::Setxattr) -> Result<reply::Setxattr, Errno> {
        let request::Setxattr {
            dirfd,
            path,
            flags,
            name,
            value,
            create,
        } = request;
        let target = self.target(dirfd, path, flags)?;
        // Of a memory file's attributes the kernel keeps as many as it is given, and nobody would count them.
        if let Target::Open(fd) | Target::Inode(fd) = target {
            if self.session.scratches.holds(fd) {
                return Err(Errno(libc::EOPNOTSUPP));
            }
        }
        if let Some(maps) = self.session.translated.as_ref().filter(|_| is_acl(name)) {
            let mut copy = vec![0u8; value.len().min(LONGEST_VALUE)];
            value.copy_out(&mut copy);
            translate::read_acl(&mut copy, maps)?;
            // SAFETY: a live buffer of that length.
            unsafe { target.set(self, name, copy.as_ptr().cast(), copy.len(), create) }?;
            return Ok(reply::Setxattr {});
        }
        // SAFETY: the source is a window inside the lane's mapped arena, which the kernel copies once.
        unsafe { target.set(self, name, value.as_ptr().cast(), value.len(), create) }?;
        Ok(reply::Setxattr {})
    }

    fn listxattr(&mut self, request: request::Listxattr) -> Result<reply::Listxattr, Errno> {
        let request::Listxattr {
            dirfd,
            path,
            flags,
            sink,
        } = request;
        let target = self.target(dirfd, path, flags)?;
        let len = sink.len();
        // SAFETY: the sink is a window inside the lane's mapped arena.
        let size = unsafe { target.list(self, sink.as_ptr().cast(), len) }?;
        let (size, filled) = sized(size, len);
        Ok(reply::Listxattr { size, filled })
    }

    fn removexattr(&mut self, request: request::Removexattr) -> Result<reply::Removexattr, Errno> {
        let request::Removexattr {
            dirfd,
            path,
            flags,
            name,
        } = request;
        self.target(dirfd, path, flags)?.remove(self, name)?;
        Ok(reply::Removexattr {})
    }
}
