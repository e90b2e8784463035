//! Open files: reading, writing, positions, space, locks.
#![allow(unsafe_code)]

use super::kernel::kernel;
use super::{done, ready, Caller};
use hostcall::ops::{reply, request, FileCalls};
use hostcall::types::{write_hint, Errno, Offset, RecordLock, RemoteFd, RwFlags};
use hostcall::wire::Filled;
use std::time::Duration;
use syscalls::Sysno;

impl Caller {
    fn transferred(&mut self, moved: Result<i64, Errno>, asked: usize) -> Result<usize, Errno> {
        let moved = moved? as usize;
        self.complete = moved == asked;
        Ok(moved)
    }

    /// Closes a descriptor of the guest's; whether it was one.
    fn close_if_open(&self, fd: RemoteFd) -> bool {
        let removed = self.session.fds.remove(fd);
        removed.is_ok_and(|fd| {
            self.session.before_close(fd);
            // SAFETY: the descriptor is the guest's and no longer in its table.
            unsafe { libc::close(fd) == 0 }
        })
    }
}

impl FileCalls for Caller {
    #[inline]
    fn close(&mut self, request: request::Close) -> Result<reply::Close, Errno> {
        let fd = self.session.fds.remove(request.fd)?;
        self.session.before_close(fd);
        // SAFETY: the descriptor is the guest's and no longer in its table.
        unsafe { kernel!(Sysno::close, fd) }?;
        Ok(reply::Close {})
    }

    #[inline]
    fn read(&mut self, request: request::Read) -> Result<reply::Read, Errno> {
        let request::Read {
            fd,
            offset,
            flags,
            sink,
        } = request;
        let fd = self.session.fds.get(fd)?;
        if self.session.instances.holds(fd) {
            return self.read_events(fd, &sink);
        }
        let iov = libc::iovec {
            iov_base: sink.as_ptr().cast(),
            iov_len: sink.len(),
        };
        // SAFETY: the sink is a window inside the lane's arena, which stays mapped while the lane is served.
        let moved = unsafe {
            match (offset, flags) {
                (Offset::CURRENT, RwFlags(0)) => {
                    kernel!(Sysno::read, fd, iov.iov_base, iov.iov_len)
                }
                (Offset(offset), RwFlags(0)) => {
                    kernel!(Sysno::pread64, fd, iov.iov_base, iov.iov_len, offset)
                }
                (Offset(offset), RwFlags(flags)) => {
                    Errno::result(libc::preadv2(fd, &iov, 1, offset, flags) as i64)
                }
            }
        };
        let read = self.transferred(moved, sink.len())?;
        let session = self.session;
        session.streams.read(&session.board, fd, read as u64);
        Ok(reply::Read {
            filled: Filled(read),
        })
    }

    #[inline]
    fn write(&mut self, request: request::Write) -> Result<reply::Write, Errno> {
        let request::Write {
            fd,
            offset,
            flags,
            source,
        } = request;
        let fd = self.session.fds.get(fd)?;
        let iov = libc::iovec {
            iov_base: source.as_ptr().cast(),
            iov_len: source.len(),
        };
        // SAFETY: as in `read`.
        let moved = unsafe {
            match (offset, flags) {
                (Offset::CURRENT, RwFlags(0)) => {
                    kernel!(Sysno::write, fd, iov.iov_base, iov.iov_len)
                }
                (Offset(offset), RwFlags(0)) => {
                    kernel!(Sysno::pwrite64, fd, iov.iov_base, iov.iov_len, offset)
                }
                (Offset(offset), RwFlags(flags)) => {
                    Errno::result(libc::pwritev2(fd, &iov, 1, offset, flags) as i64)
                }
            }
        };
        let written = self.transferred(moved, source.len())? as u64;
        let session = self.session;
        session.streams.wrote(&session.board, fd, written);
        Ok(reply::Write { written })
    }

    #[inline]
    fn lseek(&mut self, request: request::Lseek) -> Result<reply::Lseek, Errno> {
        let fd = self.session.fds.get(request.fd)?;
        // SAFETY: plain system call.
        let offset = unsafe { kernel!(Sysno::lseek, fd, request.offset, request.whence) }?;
        Ok(reply::Lseek { offset })
    }

    fn ftruncate(&mut self, request: request::Ftruncate) -> Result<reply::Ftruncate, Errno> {
        let fd = self.session.fds.get(request.fd)?;
        // SAFETY: plain system call.
        done(unsafe { libc::ftruncate(fd, request.len) })?;
        Ok(reply::Ftruncate {})
    }

    fn fallocate(&mut self, request: request::Fallocate) -> Result<reply::Fallocate, Errno> {
        let fd = self.session.fds.get(request.fd)?;
        // SAFETY: plain system call.
        done(unsafe { libc::fallocate(fd, request.mode, request.offset, request.len) })?;
        Ok(reply::Fallocate {})
    }

    fn fadvise(&mut self, request: request::Fadvise) -> Result<reply::Fadvise, Errno> {
        let fd = self.session.fds.get(request.fd)?;
        // SAFETY: plain system call; it returns the error instead of setting errno.
        match unsafe { libc::posix_fadvise(fd, request.offset, request.len, request.advice) } {
            0 => Ok(reply::Fadvise {}),
            errno => Err(Errno(errno)),
        }
    }

    fn fsync(&mut self, request: request::Fsync) -> Result<reply::Fsync, Errno> {
        let fd = self.session.fds.get(request.fd)?;
        // SAFETY: plain system call.
        done(unsafe { libc::fsync(fd) })?;
        Ok(reply::Fsync {})
    }

    fn fdatasync(&mut self, request: request::Fdatasync) -> Result<reply::Fdatasync, Errno> {
        let fd = self.session.fds.get(request.fd)?;
        // SAFETY: plain system call.
        done(unsafe { libc::fdatasync(fd) })?;
        Ok(reply::Fdatasync {})
    }

    fn syncfs(&mut self, request: request::Syncfs) -> Result<reply::Syncfs, Errno> {
        let fd = self.session.fds.get(request.fd)?;
        // SAFETY: plain system call.
        done(unsafe { libc::syncfs(fd) })?;
        Ok(reply::Syncfs {})
    }

    fn copy_file_range(
        &mut self,
        request: request::CopyFileRange,
    ) -> Result<reply::CopyFileRange, Errno> {
        let request::CopyFileRange {
            from,
            from_offset,
            to,
            to_offset,
            len,
            flags,
        } = request;
        let (from, to) = (self.session.fds.get(from)?, self.session.fds.get(to)?);
        let (mut from_at, mut to_at) = (from_offset.0, to_offset.0);
        let pointer = |offset: Offset, at: &mut i64| match offset {
            Offset::CURRENT => std::ptr::null_mut(),
            _ => std::ptr::from_mut(at),
        };
        let (from_at, to_at) = (
            pointer(from_offset, &mut from_at),
            pointer(to_offset, &mut to_at),
        );
        // SAFETY: the offsets are null or point to live locals.
        let copied =
            unsafe { libc::copy_file_range(from, from_at, to, to_at, len as usize, flags) };
        Ok(reply::CopyFileRange {
            copied: Errno::result(copied as i64)? as u64,
        })
    }

    fn getdents(&mut self, request: request::Getdents) -> Result<reply::Getdents, Errno> {
        let fd = self.session.fds.get(request.fd)?;
        let sink = request.sink;
        // SAFETY: the sink is a window inside the lane's arena, which stays mapped while the lane is served.
        let filled = unsafe { kernel!(Sysno::getdents64, fd, sink.as_ptr(), sink.len()) }?;
        Ok(reply::Getdents {
            filled: Filled(filled as usize),
        })
    }

    fn dup(&mut self, request: request::Dup) -> Result<reply::Dup, Errno> {
        let command = match request.flags.0 & libc::O_CLOEXEC {
            0 => libc::F_DUPFD,
            _ => libc::F_DUPFD_CLOEXEC,
        };
        let new = self.hand_on(|number| {
            let fd = number(request.fd)?;
            // SAFETY: plain system call. 3: the numbers below are the shadow's own.
            let new = Errno::result(unsafe { libc::fcntl(fd, command, 3) }.into())? as i32;
            self.session.streams.duplicate(fd, new);
            Ok(new)
        })?;
        Ok(reply::Dup {
            fd: self.session.fds.insert(new),
        })
    }

    fn fcntl(&mut self, request: request::Fcntl) -> Result<reply::Fcntl, Errno> {
        let fd = self.session.fds.get(request.fd)?;
        let argument = match request.command {
            libc::F_GETFD | libc::F_GETFL | libc::F_GETPIPE_SZ => 0,
            libc::F_SETFD | libc::F_SETPIPE_SZ => request.argument,
            // O_ASYNC would have the kernel send signals that nobody asked this process to take.
            libc::F_SETFL => request.argument & !(libc::O_ASYNC as u64),
            write_hint::GET | write_hint::SET => return hint(fd, request),
            // Leases, notification and signal ownership reach other processes; duplication is a call of its own.
            _ => return Err(Errno(libc::EINVAL)),
        };
        // SAFETY: these commands take an integer, which is only as wide as it is here.
        let value = Errno::result(unsafe { libc::fcntl(fd, request.command, argument) }.into())?;
        Ok(reply::Fcntl {
            value: value as i32,
        })
    }

    fn flock(&mut self, request: request::Flock) -> Result<reply::Flock, Errno> {
        let fd = self.session.fds.get(request.fd)?;
        // SAFETY: plain system call.
        done(unsafe { libc::flock(fd, request.operation) })?;
        Ok(reply::Flock {})
    }

    fn lock(&mut self, request: request::Lock) -> Result<reply::Lock, Errno> {
        let request::Lock { fd, command, lock } = request;
        let fd = self.session.fds.get(fd)?;
        let known = [
            libc::F_GETLK,
            libc::F_SETLK,
            libc::F_SETLKW,
            libc::F_OFD_GETLK,
            libc::F_OFD_SETLK,
            libc::F_OFD_SETLKW,
        ];
        if !known.contains(&command) {
            return Err(Errno(libc::EINVAL));
        }
        // SAFETY: flock is valid when zeroed.
        let mut flock: libc::flock = unsafe { std::mem::zeroed() };
        (flock.l_type, flock.l_whence, flock.l_start, flock.l_len) =
            (lock.kind, lock.whence, lock.start, lock.len);
        // An OFD command with a pid is EINVAL; the guest's program has the say, so its value goes through.
        flock.l_pid = lock.pid;
        // SAFETY: `flock` is live; the commands above read or write exactly that.
        done(unsafe { libc::fcntl(fd, command, &mut flock) })?;
        let lock = RecordLock {
            kind: flock.l_type,
            whence: flock.l_whence,
            start: flock.l_start,
            len: flock.l_len,
            pid: flock.l_pid,
        };
        Ok(reply::Lock { lock })
    }

    fn reopen(&mut self, request: request::Reopen) -> Result<reply::Reopen, Errno> {
        let fd = self.open_anew(self.session.fds.get(request.fd)?, request.flags.0)?;
        self.refuse_scratch(fd)?;
        self.note_execution(fd, request.flags.0);
        Ok(reply::Reopen {
            fd: self.session.fds.insert(fd),
        })
    }

    fn close_many(&mut self, request: request::CloseMany) -> Result<reply::CloseMany, Errno> {
        let mut numbers = vec![0; request.numbers.len()];
        request.numbers.copy_out(&mut numbers);
        let mut closed = 0;
        for number in numbers.chunks_exact(4) {
            let fd = RemoteFd(i32::from_le_bytes([
                number[0], number[1], number[2], number[3],
            ]));
            closed += u32::from(self.close_if_open(fd));
        }
        Ok(reply::CloseMany { closed })
    }

    fn close_others(&mut self, request: request::CloseOthers) -> Result<reply::CloseOthers, Errno> {
        let mut kept = vec![0; request.kept.len()];
        request.kept.copy_out(&mut kept);
        let is_kept = |fd: i32| {
            kept.get(fd as usize / 8)
                .is_some_and(|bits| bits >> (fd % 8) & 1 == 1)
        };
        let others = self
            .session
            .fds
            .all()
            .into_iter()
            .filter(|fd| !is_kept(*fd));
        let closed = others.filter(|fd| self.close_if_open(RemoteFd(*fd)));
        Ok(reply::CloseOthers {
            closed: closed.count() as u32,
        })
    }

    fn poll(&mut self, request: request::Poll) -> Result<reply::Poll, Errno> {
        let request::Poll {
            fd,
            events,
            timeout,
        } = request;
        let fd = self.session.fds.get(fd)?;
        let timeout = u64::try_from(timeout).ok().map(Duration::from_nanos);
        ready::poll(fd, events as i16, timeout)
    }
}

/// The write hint of a file, which the kernel takes and gives by a pointer. It belongs to the inode, and the kernel does not ask the
/// mount whether that may be changed.
fn hint(fd: i32, request: request::Fcntl) -> Result<reply::Fcntl, Errno> {
    let mut hint = request.argument;
    if request.command == write_hint::SET {
        // SAFETY: statvfs is valid when zeroed, and lives through the call.
        let place = unsafe {
            let mut place: libc::statvfs = std::mem::zeroed();
            done(libc::fstatvfs(fd, &mut place))?;
            place
        };
        if place.f_flag & libc::ST_RDONLY != 0 {
            return Err(Errno(libc::EROFS));
        }
    }
    // SAFETY: these commands take a pointer to a u64, which lives through the call.
    done(unsafe { libc::fcntl(fd, request.command, &raw mut hint) })?;
    Ok(reply::Fcntl { value: hint as i32 })
}

/// Closes what a program image was not meant to inherit.
pub(crate) fn close_on_exec(session: &crate::shadow::session::Session) {
    for fd in session.fds.all() {
        // SAFETY: plain system calls on the guest's descriptor; no lane is served while the image changes.
        unsafe {
            if libc::fcntl(fd, libc::F_GETFD) & libc::FD_CLOEXEC != 0
                && session.fds.remove(RemoteFd(fd)).is_ok()
            {
                session.before_close(fd);
                libc::close(fd);
            }
        }
    }
}
