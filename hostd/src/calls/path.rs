//! Names: finding, making and removing files. The kernel walks the path inside the view.
#![allow(unsafe_code)]

use super::kernel::kernel;
use super::{done, Caller};
use hostcall::ops::{reply, request, PathCalls};
use hostcall::types::{AtFlags, Errno};
use hostcall::wire::Filled;
use syscalls::Sysno;

impl PathCalls for Caller {
    #[inline]
    fn openat(&mut self, request: request::Openat) -> Result<reply::Openat, Errno> {
        let request::Openat {
            dirfd,
            path,
            flags,
            mode,
        } = request;
        let dirfd = self.dir(dirfd, path)?;
        // A terminal that the guest opens must never become the shadow's controlling terminal, nor send it SIGIO.
        let flags = flags.0 & !libc::O_ASYNC | libc::O_NOCTTY;
        self.not_running(dirfd, path, flags)?;
        let changes = flags & (libc::O_CREAT | libc::O_TRUNC) != 0;
        let _change = changes.then(|| self.session.change());
        // SAFETY: a NUL-terminated private path.
        let fd = unsafe { kernel!(Sysno::openat, dirfd, path.as_ptr(), flags, mode.0) }?;
        Ok(reply::Openat {
            fd: self.session.fds.insert(fd as i32),
        })
    }

    fn mkdirat(&mut self, request: request::Mkdirat) -> Result<reply::Mkdirat, Errno> {
        let dirfd = self.dir(request.dirfd, request.path)?;
        // SAFETY: a NUL-terminated private path.
        done(unsafe { libc::mkdirat(dirfd, request.path.as_ptr(), request.mode.0) })?;
        Ok(reply::Mkdirat {})
    }

    fn mknodat(&mut self, request: request::Mknodat) -> Result<reply::Mknodat, Errno> {
        let request::Mknodat {
            dirfd,
            path,
            mode,
            device,
        } = request;
        let dirfd = self.dir(dirfd, path)?;
        // SAFETY: a NUL-terminated private path.
        done(unsafe { libc::mknodat(dirfd, path.as_ptr(), mode.0, device) })?;
        Ok(reply::Mknodat {})
    }

    fn unlinkat(&mut self, request: request::Unlinkat) -> Result<reply::Unlinkat, Errno> {
        let dirfd = self.dir(request.dirfd, request.path)?;
        // SAFETY: a NUL-terminated private path.
        done(unsafe { libc::unlinkat(dirfd, request.path.as_ptr(), request.flags.0) })?;
        Ok(reply::Unlinkat {})
    }

    fn renameat2(&mut self, request: request::Renameat2) -> Result<reply::Renameat2, Errno> {
        let request::Renameat2 {
            from,
            from_path,
            to,
            to_path,
            flags,
        } = request;
        let (from, to) = (self.dir(from, from_path)?, self.dir(to, to_path)?);
        // SAFETY: NUL-terminated private paths. The raw call: libc's takes another one if there are no flags.
        done(unsafe {
            libc::syscall(
                libc::SYS_renameat2,
                from,
                from_path.as_ptr(),
                to,
                to_path.as_ptr(),
                flags,
            )
        })?;
        Ok(reply::Renameat2 {})
    }

    fn linkat(&mut self, request: request::Linkat) -> Result<reply::Linkat, Errno> {
        let request::Linkat {
            from,
            from_path,
            to,
            to_path,
            flags,
        } = request;
        let (from, to) = (self.dir(from, from_path)?, self.dir(to, to_path)?);
        // SAFETY: NUL-terminated private paths.
        let linked =
            done(unsafe { libc::linkat(from, from_path.as_ptr(), to, to_path.as_ptr(), flags.0) });
        match linked {
            // An open file without a name on the way takes CAP_DAC_READ_SEARCH; its link does not.
            Err(Errno(libc::ENOENT))
                if from_path.is_empty() && from >= 0 && flags.0 & libc::AT_EMPTY_PATH != 0 =>
            {
                let link = self.link(from)?;
                let follow = libc::AT_SYMLINK_FOLLOW;
                // SAFETY: as before.
                done(unsafe {
                    libc::linkat(link.dir, link.name.as_ptr(), to, to_path.as_ptr(), follow)
                })?;
            }
            linked => linked?,
        }
        Ok(reply::Linkat {})
    }

    fn symlinkat(&mut self, request: request::Symlinkat) -> Result<reply::Symlinkat, Errno> {
        let dirfd = self.dir(request.dirfd, request.path)?;
        // SAFETY: NUL-terminated private paths.
        done(unsafe { libc::symlinkat(request.target.as_ptr(), dirfd, request.path.as_ptr()) })?;
        Ok(reply::Symlinkat {})
    }

    fn readlinkat(&mut self, request: request::Readlinkat) -> Result<reply::Readlinkat, Errno> {
        let request::Readlinkat { dirfd, path, sink } = request;
        let dirfd = self.dir(dirfd, path)?;
        // SAFETY: a NUL-terminated private path; the sink is a window inside the lane's mapped arena.
        let filled =
            unsafe { libc::readlinkat(dirfd, path.as_ptr(), sink.as_ptr().cast(), sink.len()) };
        Ok(reply::Readlinkat {
            filled: Filled(Errno::result(filled as i64)? as usize),
        })
    }

    fn path_of(&mut self, request: request::PathOf) -> Result<reply::PathOf, Errno> {
        let path = self.reached_by(self.session.fds.get(request.fd)?)?;
        if path.count_bytes() > request.sink.len() {
            return Err(Errno(libc::ERANGE));
        }
        Ok(reply::PathOf {
            filled: Filled(request.sink.fill(path.to_bytes()).0),
        })
    }

    fn walk(&mut self, request: request::Walk) -> Result<reply::Walk, Errno> {
        let request::Walk { dirfd, name, sink } = request;
        let bytes = name.to_bytes();
        let one = !bytes.is_empty() && bytes != b".." && !bytes.contains(&b'/');
        if !one || sink.len() < size_of::<libc::statx>() {
            return Err(Errno(libc::EINVAL));
        }
        let dirfd = self.session.fds.dir(dirfd)?;
        let flags = libc::O_PATH | libc::O_NOFOLLOW | libc::O_CLOEXEC;
        let mask = libc::STATX_BASIC_STATS | libc::STATX_BTIME | libc::STATX_MNT_ID;
        // SAFETY: a NUL-terminated private name.
        let fd = unsafe { libc::openat(dirfd, name.as_ptr(), flags) };
        let fd = Errno::result(fd.into())? as i32;
        let empty = AtFlags(libc::AT_EMPTY_PATH);
        match self.metadata(fd, c"", empty, mask, sink) {
            Ok(filled) => Ok(reply::Walk {
                fd: self.session.fds.insert(fd),
                filled,
            }),
            Err(errno) => {
                // SAFETY: opened just now; nobody else knows it.
                unsafe { libc::close(fd) };
                Err(errno)
            }
        }
    }
}
