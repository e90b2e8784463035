//! The oracle: each op as a program makes it, by libc's own functions.
//!
//! It serves the op table's handler traits, which have no default bodies, so an op without an oracle does not compile.
//! Under the preload library the same functions are the library's, and so the same code is another way to run a case.
#![allow(unsafe_code)]

mod exec;

use hostcall::metadata::Metadata;
use hostcall::ops::{
    self, reply, request, Calls, FileCalls, MetaCalls, PathCalls, SessionCalls, WatchCalls,
};
use hostcall::shm::Window;
use hostcall::table::{Reply, Request};
use hostcall::types::{AtFlags, DirFd, Errno, Mode, Offset, RecordLock, RemoteFd, RwFlags, Token};
use hostcall::wire::{Filled, Reader, Writer, SCRATCH};
use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{c_char, c_int, c_void, CStr};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;

/// Bytes of payload of one call: more than any case moves at once.
const ROOM: usize = 4 << 20;

/// Calls executed by libc in this process.
#[derive(Debug, Default)]
pub struct Native {
    /// Files handed out by `share`: the process's own duplicates.
    shared: RefCell<HashMap<Token, c_int>>,
    /// Programs that were started.
    programs: RefCell<exec::Programs>,
}

extern "C" {
    fn getdents64(fd: c_int, buffer: *mut c_void, len: usize) -> isize;
}

impl Calls for Native {
    fn call<R: Request>(&self, request: R) -> Result<R::Reply, Errno> {
        let mut room = vec![0; ROOM];
        let window = Window::of(&mut room);
        let mut writer = Writer::new(R::OP as u32, R::SCALARS, window);
        request.encode(&mut writer)?;
        let mut scratch = vec![0; SCRATCH];
        let mut handler = Libc(self);
        let broken = |_| Errno(libc::EPROTO);
        let answer =
            ops::dispatch(&mut handler, writer.finish(), window, &mut scratch).map_err(broken)?;
        if answer.code != 0 {
            return Err(Errno(answer.code as i32));
        }
        request.fetch(window, answer.payload as usize);
        R::Reply::decode(
            &mut Reader::new(answer, R::Reply::SCALARS, window, &mut []).map_err(broken)?,
        )
        .map_err(broken)
    }
}

/// Executes decoded calls.
struct Libc<'n>(&'n Native);

fn done(value: impl Into<i64>) -> Result<(), Errno> {
    Errno::result(value.into()).map(drop)
}

fn filled(value: impl Into<i64>) -> Result<Filled, Errno> {
    Ok(Filled(Errno::result(value.into())? as usize))
}

fn long(value: isize) -> i64 {
    value as i64
}

impl SessionCalls for Libc<'_> {
    fn nop(&mut self, _: request::Nop) -> Result<reply::Nop, Errno> {
        Ok(reply::Nop {})
    }

    fn share(&mut self, request: request::Share) -> Result<reply::Share, Errno> {
        // SAFETY: plain call. 500: out of the way of the numbers that a case compares.
        let file = unsafe { libc::fcntl(request.fd.0, libc::F_DUPFD_CLOEXEC, 500) };
        let token = Token::random()?;
        let file = Errno::result(file.into())? as c_int;
        self.0.shared.borrow_mut().insert(token, file);
        Ok(reply::Share { token })
    }

    fn redeem(&mut self, request: request::Redeem) -> Result<reply::Redeem, Errno> {
        let file = self.0.shared.borrow_mut().remove(&request.token);
        let file = file.ok_or(Errno(libc::ENOENT))?;
        // SAFETY: plain calls on a descriptor of the table.
        unsafe {
            let fd = libc::fcntl(file, duplicate(request.flags.0), 0);
            libc::close(file);
            Ok(reply::Redeem {
                fd: RemoteFd(Errno::result(fd.into())? as i32),
            })
        }
    }

    fn fork_session(&mut self, _: request::ForkSession) -> Result<reply::ForkSession, Errno> {
        // `Run::child` is what a program does instead.
        Err(Errno(libc::ENOSYS))
    }

    fn hold_session(&mut self, _: request::HoldSession) -> Result<reply::HoldSession, Errno> {
        // `Run::exec` is what a program does instead.
        Err(Errno(libc::ENOSYS))
    }

    fn unhold_session(&mut self, _: request::UnholdSession) -> Result<reply::UnholdSession, Errno> {
        // `Run::fail_exec` is what a program does instead.
        Err(Errno(libc::ENOSYS))
    }

    fn limit_size(&mut self, request: request::LimitSize) -> Result<reply::LimitSize, Errno> {
        // SAFETY: plain calls, and a live rlimit. Without the signal the errno is all there is.
        unsafe {
            libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
            let mut limit: libc::rlimit = std::mem::zeroed();
            done(libc::getrlimit(libc::RLIMIT_FSIZE, &mut limit))?;
            limit.rlim_cur = request.most.min(limit.rlim_max);
            done(libc::setrlimit(libc::RLIMIT_FSIZE, &limit))?;
        }
        Ok(reply::LimitSize {})
    }

    fn settle(&mut self, _: request::Settle) -> Result<reply::Settle, Errno> {
        // A process that has ended leaves nothing behind here.
        Ok(reply::Settle {})
    }

    fn chdir(&mut self, request: request::Chdir<'_>) -> Result<reply::Chdir, Errno> {
        // SAFETY: a NUL-terminated path.
        done(unsafe { libc::chdir(request.path.as_ptr()) })?;
        Ok(reply::Chdir {})
    }

    fn fchdir(&mut self, request: request::Fchdir) -> Result<reply::Fchdir, Errno> {
        // SAFETY: plain call.
        done(unsafe { libc::fchdir(request.fd.0) })?;
        Ok(reply::Fchdir {})
    }

    fn getcwd(&mut self, request: request::Getcwd<'_>) -> Result<reply::Getcwd, Errno> {
        let mut path = [0u8; libc::PATH_MAX as usize + 1];
        // SAFETY: pointer and length are those of a live buffer; what comes back ends in a NUL.
        let path = unsafe {
            if libc::getcwd(path.as_mut_ptr().cast(), path.len()).is_null() {
                return Err(Errno::last());
            }
            CStr::from_ptr(path.as_ptr().cast())
        };
        if path.count_bytes() > request.sink.len() {
            return Err(Errno(libc::ERANGE));
        }
        Ok(reply::Getcwd {
            filled: request.sink.fill(path.to_bytes()),
        })
    }

    fn umask(&mut self, request: request::Umask) -> Result<reply::Umask, Errno> {
        // SAFETY: plain call.
        let old = unsafe { libc::umask(request.mask.0) };
        Ok(reply::Umask { old: Mode(old) })
    }

    fn impersonate(&mut self, _: request::Impersonate<'_>) -> Result<reply::Impersonate, Errno> {
        // What a call by libc answers to is the program's own ids: as where the guest's calls have one user's rights.
        Err(Errno(libc::EPERM))
    }
}

fn duplicate(flags: i32) -> c_int {
    match flags & libc::O_CLOEXEC {
        0 => libc::F_DUPFD,
        _ => libc::F_DUPFD_CLOEXEC,
    }
}

impl FileCalls for Libc<'_> {
    fn close(&mut self, request: request::Close) -> Result<reply::Close, Errno> {
        // SAFETY: a case closes its own descriptors, or numbers that are not open.
        done(unsafe { libc::close(request.fd.0) })?;
        Ok(reply::Close {})
    }

    fn read(&mut self, request: request::Read<'_>) -> Result<reply::Read, Errno> {
        let request::Read {
            fd,
            offset,
            flags,
            sink,
        } = request;
        let (data, len) = (sink.as_ptr().cast(), sink.len());
        let iov = libc::iovec {
            iov_base: data,
            iov_len: len,
        };
        // SAFETY: the sink is memory of its length.
        let read = unsafe {
            match (offset, flags) {
                (Offset::CURRENT, RwFlags(0)) => libc::read(fd.0, data, len),
                (Offset(offset), RwFlags(0)) => libc::pread(fd.0, data, len, offset),
                (Offset(offset), RwFlags(flags)) => libc::preadv2(fd.0, &iov, 1, offset, flags),
            }
        };
        Ok(reply::Read {
            filled: filled(long(read))?,
        })
    }

    fn write(&mut self, request: request::Write<'_>) -> Result<reply::Write, Errno> {
        let request::Write {
            fd,
            offset,
            flags,
            source,
        } = request;
        let (data, len) = (source.as_ptr().cast(), source.len());
        let iov = libc::iovec {
            iov_base: data,
            iov_len: len,
        };
        // SAFETY: the source is memory of its length.
        let written = unsafe {
            match (offset, flags) {
                (Offset::CURRENT, RwFlags(0)) => libc::write(fd.0, data, len),
                (Offset(offset), RwFlags(0)) => libc::pwrite(fd.0, data, len, offset),
                (Offset(offset), RwFlags(flags)) => libc::pwritev2(fd.0, &iov, 1, offset, flags),
            }
        };
        Ok(reply::Write {
            written: Errno::result(long(written))? as u64,
        })
    }

    fn lseek(&mut self, request: request::Lseek) -> Result<reply::Lseek, Errno> {
        // SAFETY: plain call.
        let offset = unsafe { libc::lseek(request.fd.0, request.offset, request.whence) };
        Ok(reply::Lseek {
            offset: Errno::result(offset)?,
        })
    }

    fn ftruncate(&mut self, request: request::Ftruncate) -> Result<reply::Ftruncate, Errno> {
        // SAFETY: plain call.
        done(unsafe { libc::ftruncate(request.fd.0, request.len) })?;
        Ok(reply::Ftruncate {})
    }

    fn fallocate(&mut self, request: request::Fallocate) -> Result<reply::Fallocate, Errno> {
        let request::Fallocate {
            fd,
            mode,
            offset,
            len,
        } = request;
        // SAFETY: plain call.
        done(unsafe { libc::fallocate(fd.0, mode, offset, len) })?;
        Ok(reply::Fallocate {})
    }

    fn fadvise(&mut self, request: request::Fadvise) -> Result<reply::Fadvise, Errno> {
        let request::Fadvise {
            fd,
            offset,
            len,
            advice,
        } = request;
        // SAFETY: plain call; it returns its error.
        match unsafe { libc::posix_fadvise(fd.0, offset, len, advice) } {
            0 => Ok(reply::Fadvise {}),
            errno => Err(Errno(errno)),
        }
    }

    fn fsync(&mut self, request: request::Fsync) -> Result<reply::Fsync, Errno> {
        // SAFETY: plain call.
        done(unsafe { libc::fsync(request.fd.0) })?;
        Ok(reply::Fsync {})
    }

    fn fdatasync(&mut self, request: request::Fdatasync) -> Result<reply::Fdatasync, Errno> {
        // SAFETY: plain call.
        done(unsafe { libc::fdatasync(request.fd.0) })?;
        Ok(reply::Fdatasync {})
    }

    fn syncfs(&mut self, request: request::Syncfs) -> Result<reply::Syncfs, Errno> {
        // SAFETY: plain call.
        done(unsafe { libc::syncfs(request.fd.0) })?;
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
        let (mut from_at, mut to_at) = (from_offset.0, to_offset.0);
        let pointer = |offset, at: &mut i64| match offset {
            Offset::CURRENT => std::ptr::null_mut(),
            _ => std::ptr::from_mut(at),
        };
        let (from_at, to_at) = (
            pointer(from_offset, &mut from_at),
            pointer(to_offset, &mut to_at),
        );
        // SAFETY: the offsets are null or point to live locals.
        let copied =
            unsafe { libc::copy_file_range(from.0, from_at, to.0, to_at, len as usize, flags) };
        Ok(reply::CopyFileRange {
            copied: Errno::result(long(copied))? as u64,
        })
    }

    fn getdents(&mut self, request: request::Getdents<'_>) -> Result<reply::Getdents, Errno> {
        let sink = request.sink;
        // SAFETY: the sink is memory of its length.
        let read = unsafe { getdents64(request.fd.0, sink.as_ptr().cast(), sink.len()) };
        Ok(reply::Getdents {
            filled: filled(long(read))?,
        })
    }

    fn dup(&mut self, request: request::Dup) -> Result<reply::Dup, Errno> {
        // SAFETY: plain call.
        let fd = unsafe { libc::fcntl(request.fd.0, duplicate(request.flags.0), 0) };
        Ok(reply::Dup {
            fd: RemoteFd(Errno::result(fd.into())? as i32),
        })
    }

    fn fcntl(&mut self, request: request::Fcntl) -> Result<reply::Fcntl, Errno> {
        // SAFETY: the commands of this op take an integer.
        let value = unsafe { libc::fcntl(request.fd.0, request.command, request.argument) };
        Ok(reply::Fcntl {
            value: Errno::result(value.into())? as i32,
        })
    }

    fn flock(&mut self, request: request::Flock) -> Result<reply::Flock, Errno> {
        // SAFETY: plain call.
        done(unsafe { libc::flock(request.fd.0, request.operation) })?;
        Ok(reply::Flock {})
    }

    fn lock(&mut self, request: request::Lock) -> Result<reply::Lock, Errno> {
        let lock = request.lock;
        // SAFETY: flock is valid when zeroed.
        let mut flock: libc::flock = unsafe { std::mem::zeroed() };
        (flock.l_type, flock.l_whence) = (lock.kind, lock.whence);
        (flock.l_start, flock.l_len, flock.l_pid) = (lock.start, lock.len, lock.pid);
        // SAFETY: `flock` is live; the commands of this op take exactly that.
        done(unsafe { libc::fcntl(request.fd.0, request.command, &mut flock) })?;
        Ok(reply::Lock {
            lock: RecordLock {
                kind: flock.l_type,
                whence: flock.l_whence,
                start: flock.l_start,
                len: flock.l_len,
                pid: flock.l_pid,
            },
        })
    }

    fn reopen(&mut self, request: request::Reopen) -> Result<reply::Reopen, Errno> {
        let path = format!("/proc/self/fd/{}\0", request.fd.0);
        // SAFETY: a NUL-terminated path; stat is valid when zeroed and lives through the call.
        let fd = unsafe {
            let mut stat: libc::stat = std::mem::zeroed();
            done(libc::fstat(request.fd.0, &mut stat))?;
            let plain = [libc::S_IFREG, libc::S_IFDIR].contains(&(stat.st_mode & libc::S_IFMT));
            if !plain && request.flags.0 & libc::O_PATH == 0 {
                return Err(Errno(libc::ENXIO));
            }
            libc::open(path.as_ptr().cast(), request.flags.0)
        };
        Ok(reply::Reopen {
            fd: RemoteFd(Errno::result(fd.into())? as i32),
        })
    }

    fn close_many(&mut self, request: request::CloseMany<'_>) -> Result<reply::CloseMany, Errno> {
        let mut numbers = vec![0; request.numbers.len()];
        request.numbers.copy_out(&mut numbers);
        let numbers = numbers.chunks_exact(4).map(|number| {
            let number = number.try_into().expect("four bytes");
            i32::from_le_bytes(number)
        });
        // SAFETY: a case closes its own descriptors, or numbers that are not open.
        let closed = numbers.filter(|number| unsafe { libc::close(*number) } == 0);
        Ok(reply::CloseMany {
            closed: closed.count() as u32,
        })
    }

    fn close_others(
        &mut self,
        request: request::CloseOthers<'_>,
    ) -> Result<reply::CloseOthers, Errno> {
        let mut kept = vec![0; request.kept.len()];
        request.kept.copy_out(&mut kept);
        let is_kept = |fd: &c_int| {
            kept.get(*fd as usize / 8)
                .is_some_and(|bits| bits >> (fd % 8) & 1 == 1)
        };
        // The case's own: from the first that it keeps on, below those that are out of its way.
        let own = (0..500).skip_while(|fd| !is_kept(fd));
        // SAFETY: as above.
        let closed = own.filter(|fd| !is_kept(fd) && unsafe { libc::close(*fd) } == 0);
        Ok(reply::CloseOthers {
            closed: closed.count() as u32,
        })
    }

    fn poll(&mut self, request: request::Poll) -> Result<reply::Poll, Errno> {
        let mut one = libc::pollfd {
            fd: request.fd.0,
            events: request.events as i16,
            revents: 0,
        };
        let limit = libc::timespec {
            tv_sec: request.timeout / 1_000_000_000,
            tv_nsec: request.timeout % 1_000_000_000,
        };
        let limit = match request.timeout {
            0.. => &raw const limit,
            _ => std::ptr::null(),
        };
        // SAFETY: one live structure, and a live limit or none; stat is valid when zeroed and lives through the call.
        unsafe {
            let flags = libc::fcntl(one.fd, libc::F_GETFL);
            let flags = Errno::result(flags.into())? as i32;
            let mut stat: libc::stat = std::mem::zeroed();
            done(libc::fstat(one.fd, &mut stat))?;
            done(libc::ppoll(&mut one, 1, limit, std::ptr::null()))?;
            // Not by epoll_ctl(2), which under the preload refuses each host file.
            let plain = [libc::S_IFREG, libc::S_IFDIR].contains(&(stat.st_mode & libc::S_IFMT));
            Ok(reply::Poll {
                ready: u32::from(one.revents as u16),
                always: (plain && flags & libc::O_PATH == 0).into(),
            })
        }
    }
}

impl WatchCalls for Libc<'_> {
    fn watch_open(&mut self, request: request::WatchOpen) -> Result<reply::WatchOpen, Errno> {
        // SAFETY: plain call.
        let fd = Errno::result(unsafe { libc::inotify_init1(request.flags) }.into())?;
        Ok(reply::WatchOpen {
            fd: RemoteFd(fd as i32),
        })
    }

    fn watch_add(&mut self, request: request::WatchAdd) -> Result<reply::WatchAdd, Errno> {
        let request::WatchAdd { fd, target, mask } = request;
        // SAFETY: plain call.
        done(unsafe { libc::fcntl(target.0, libc::F_GETFD) })?;
        let path = format!("/proc/self/fd/{}\0", target.0);
        // SAFETY: a NUL-terminated path.
        let added = unsafe { libc::inotify_add_watch(fd.0, path.as_ptr().cast(), mask) };
        Ok(reply::WatchAdd {
            descriptor: Errno::result(added.into())? as i32,
        })
    }

    fn watch_remove(&mut self, request: request::WatchRemove) -> Result<reply::WatchRemove, Errno> {
        // SAFETY: plain call.
        done(unsafe { libc::inotify_rm_watch(request.fd.0, request.descriptor) })?;
        Ok(reply::WatchRemove {})
    }

    fn watch_follow(&mut self, _: request::WatchFollow) -> Result<reply::WatchFollow, Errno> {
        // SAFETY: plain call.
        let made = unsafe { libc::inotify_init1(libc::IN_NONBLOCK | libc::IN_CLOEXEC) };
        Ok(reply::WatchFollow {
            fd: RemoteFd(Errno::result(made.into())? as i32),
        })
    }

    fn watch_heed(&mut self, request: request::WatchHeed) -> Result<reply::WatchHeed, Errno> {
        let request::WatchHeed { fd, sink } = request;
        let mut ready = libc::pollfd {
            fd: fd.0,
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one live structure; a live buffer and its length.
        unsafe {
            done(libc::poll(&mut ready, 1, -1))?;
            Ok(reply::WatchHeed {
                near: 0,
                filled: filled(libc::read(fd.0, sink.as_ptr().cast(), sink.len()) as i64)?,
            })
        }
    }
}

impl PathCalls for Libc<'_> {
    fn openat(&mut self, request: request::Openat<'_>) -> Result<reply::Openat, Errno> {
        let request::Openat {
            dirfd,
            path,
            flags,
            mode,
        } = request;
        // SAFETY: a NUL-terminated path.
        let fd = unsafe { libc::openat(dirfd.0, path.as_ptr(), flags.0, mode.0) };
        Ok(reply::Openat {
            fd: RemoteFd(Errno::result(fd.into())? as i32),
        })
    }

    fn mkdirat(&mut self, request: request::Mkdirat<'_>) -> Result<reply::Mkdirat, Errno> {
        // SAFETY: a NUL-terminated path.
        done(unsafe { libc::mkdirat(request.dirfd.0, request.path.as_ptr(), request.mode.0) })?;
        Ok(reply::Mkdirat {})
    }

    fn mknodat(&mut self, request: request::Mknodat<'_>) -> Result<reply::Mknodat, Errno> {
        let request::Mknodat {
            dirfd,
            path,
            mode,
            device,
        } = request;
        // SAFETY: a NUL-terminated path.
        done(unsafe { libc::mknodat(dirfd.0, path.as_ptr(), mode.0, device) })?;
        Ok(reply::Mknodat {})
    }

    fn unlinkat(&mut self, request: request::Unlinkat<'_>) -> Result<reply::Unlinkat, Errno> {
        // SAFETY: a NUL-terminated path.
        done(unsafe { libc::unlinkat(request.dirfd.0, request.path.as_ptr(), request.flags.0) })?;
        Ok(reply::Unlinkat {})
    }

    fn renameat2(&mut self, request: request::Renameat2<'_>) -> Result<reply::Renameat2, Errno> {
        let request::Renameat2 {
            from,
            from_path,
            to,
            to_path,
            flags,
        } = request;
        // SAFETY: NUL-terminated paths.
        done(unsafe {
            libc::renameat2(from.0, from_path.as_ptr(), to.0, to_path.as_ptr(), flags)
        })?;
        Ok(reply::Renameat2 {})
    }

    fn linkat(&mut self, request: request::Linkat<'_>) -> Result<reply::Linkat, Errno> {
        let request::Linkat {
            from,
            from_path,
            to,
            to_path,
            flags,
        } = request;
        // SAFETY: NUL-terminated paths.
        done(unsafe { libc::linkat(from.0, from_path.as_ptr(), to.0, to_path.as_ptr(), flags.0) })?;
        Ok(reply::Linkat {})
    }

    fn symlinkat(&mut self, request: request::Symlinkat<'_>) -> Result<reply::Symlinkat, Errno> {
        let request::Symlinkat {
            target,
            dirfd,
            path,
        } = request;
        // SAFETY: NUL-terminated paths.
        done(unsafe { libc::symlinkat(target.as_ptr(), dirfd.0, path.as_ptr()) })?;
        Ok(reply::Symlinkat {})
    }

    fn path_of(&mut self, request: request::PathOf<'_>) -> Result<reply::PathOf, Errno> {
        let link = format!("/proc/self/fd/{}", request.fd.0);
        let path = std::fs::read_link(&link).map_err(|_| Errno(libc::EBADF))?;
        // What is appended to the name of a removed file makes it another one.
        let number = |data: std::io::Result<std::fs::Metadata>| data.map(|data| data.ino());
        let itself = number(std::fs::metadata(&link));
        if !matches!((number(path.symlink_metadata()), itself), (Ok(a), Ok(b)) if a == b) {
            return Err(Errno(libc::ENOENT));
        }
        let path = path.as_os_str().as_bytes();
        if path.len() > request.sink.len() {
            return Err(Errno(libc::ERANGE));
        }
        Ok(reply::PathOf {
            filled: Filled(request.sink.fill(path).0),
        })
    }

    fn walk(&mut self, request: request::Walk<'_>) -> Result<reply::Walk, Errno> {
        let request::Walk { dirfd, name, sink } = request;
        let bytes = name.to_bytes();
        if bytes.is_empty() || bytes == b".." || bytes.contains(&b'/') {
            return Err(Errno(libc::EINVAL));
        }
        let flags = libc::O_PATH | libc::O_NOFOLLOW | libc::O_CLOEXEC;
        // SAFETY: NUL-terminated paths; statx is valid when zeroed and lives through the call.
        let (fd, data) = unsafe {
            let fd = Errno::result(libc::openat(dirfd.0, name.as_ptr(), flags).into())? as i32;
            let mut data: libc::statx = std::mem::zeroed();
            let mask = libc::STATX_BASIC_STATS | libc::STATX_BTIME;
            done(libc::statx(
                fd,
                c"".as_ptr(),
                libc::AT_EMPTY_PATH,
                mask,
                &mut data,
            ))?;
            (fd, data)
        };
        // SAFETY: a live statx, which has no padding that statx(2) leaves unset.
        let bytes = unsafe {
            std::slice::from_raw_parts((&raw const data).cast::<u8>(), size_of::<libc::statx>())
        };
        Ok(reply::Walk {
            fd: RemoteFd(fd),
            filled: sink.fill(bytes),
        })
    }

    fn readlinkat(&mut self, request: request::Readlinkat<'_>) -> Result<reply::Readlinkat, Errno> {
        let request::Readlinkat { dirfd, path, sink } = request;
        let (data, len) = (sink.as_ptr().cast::<c_char>(), sink.len());
        // SAFETY: a NUL-terminated path; the sink is memory of its length.
        let read = unsafe { libc::readlinkat(dirfd.0, path.as_ptr(), data, len) };
        Ok(reply::Readlinkat {
            filled: filled(long(read))?,
        })
    }
}

/// An empty path with `AT_EMPTY_PATH` means the descriptor, for which libc has functions of its own.
fn descriptor(dirfd: DirFd, path: &CStr, flags: AtFlags) -> bool {
    path.is_empty() && flags.0 & libc::AT_EMPTY_PATH != 0 && dirfd != DirFd::CWD
}

/// The same with `AT_SYMLINK_NOFOLLOW` means the inode, for which libc has a path.
fn inode(dirfd: DirFd, path: &CStr, flags: AtFlags) -> Option<std::ffi::CString> {
    let inode = descriptor(dirfd, path, flags) && flags.0 & libc::AT_SYMLINK_NOFOLLOW != 0;
    inode.then(|| std::ffi::CString::new(format!("/proc/self/fd/{}", dirfd.0)).expect("no NUL"))
}

/// Calls one of the three functions that libc has for a path, a link and a descriptor.
macro_rules! three {
    ($request:ident, $path:ident $link:ident $fd:ident ($($argument:expr),*)) => {{
        // SAFETY: NUL-terminated strings; sinks and sources are memory of their lengths.
        unsafe {
            if let Some(path) = inode($request.dirfd, $request.path, $request.flags) {
                libc::$path(path.as_ptr(), $($argument),*)
            } else if descriptor($request.dirfd, $request.path, $request.flags) {
                libc::$fd($request.dirfd.0, $($argument),*)
            } else if $request.flags.0 & libc::AT_SYMLINK_NOFOLLOW != 0 {
                libc::$link($request.path.as_ptr(), $($argument),*)
            } else {
                libc::$path($request.path.as_ptr(), $($argument),*)
            }
        }
    }};
}

impl MetaCalls for Libc<'_> {
    fn statx(&mut self, request: request::Statx<'_>) -> Result<reply::Statx, Errno> {
        let request::Statx {
            dirfd,
            path,
            flags,
            mask,
            sink,
        } = request;
        assert!(sink.len() >= size_of::<libc::statx>(), "a case gives room");
        // SAFETY: a NUL-terminated path; the sink has the room just checked.
        done(unsafe { libc::statx(dirfd.0, path.as_ptr(), flags.0, mask, sink.as_ptr().cast()) })?;
        Ok(reply::Statx {
            filled: Filled(size_of::<libc::statx>()),
        })
    }

    fn stat(&mut self, request: request::Stat<'_>) -> Result<reply::Stat, Errno> {
        let request::Stat { dirfd, path, flags } = request;
        // SAFETY: stat is valid when zeroed; a NUL-terminated path.
        let data = unsafe {
            let mut data: libc::stat = std::mem::zeroed();
            done(libc::fstatat(dirfd.0, path.as_ptr(), &mut data, flags.0))?;
            data
        };
        Ok(reply::Stat {
            stat: Metadata::from(&data),
        })
    }

    fn statfs(&mut self, request: request::Statfs<'_>) -> Result<reply::Statfs, Errno> {
        let request::Statfs { dirfd, path, sink } = request;
        assert!(sink.len() >= size_of::<libc::statfs>(), "a case gives room");
        // SAFETY: a NUL-terminated path; the sink has the room just checked.
        done(unsafe {
            match path.is_empty() {
                true => libc::fstatfs(dirfd.0, sink.as_ptr().cast()),
                false => libc::statfs(path.as_ptr(), sink.as_ptr().cast()),
            }
        })?;
        Ok(reply::Statfs {
            filled: Filled(size_of::<libc::statfs>()),
        })
    }

    fn faccessat2(&mut self, request: request::Faccessat2<'_>) -> Result<reply::Faccessat2, Errno> {
        let request::Faccessat2 {
            dirfd,
            path,
            mode,
            flags,
        } = request;
        // SAFETY: a NUL-terminated path.
        done(unsafe { libc::faccessat(dirfd.0, path.as_ptr(), mode, flags.0) })?;
        Ok(reply::Faccessat2 {})
    }

    fn fchmodat2(&mut self, request: request::Fchmodat2<'_>) -> Result<reply::Fchmodat2, Errno> {
        let request::Fchmodat2 {
            dirfd,
            path,
            mode,
            flags,
        } = request;
        let inode = inode(dirfd, path, flags);
        // SAFETY: a NUL-terminated path.
        done(unsafe {
            match (inode, descriptor(dirfd, path, flags)) {
                (Some(path), _) => libc::chmod(path.as_ptr(), mode.0),
                (None, true) => libc::fchmod(dirfd.0, mode.0),
                (None, false) => libc::fchmodat(dirfd.0, path.as_ptr(), mode.0, flags.0),
            }
        })?;
        Ok(reply::Fchmodat2 {})
    }

    fn fchownat(&mut self, request: request::Fchownat<'_>) -> Result<reply::Fchownat, Errno> {
        let request::Fchownat {
            dirfd,
            path,
            uid,
            gid,
            flags,
        } = request;
        // SAFETY: a NUL-terminated path.
        done(unsafe { libc::fchownat(dirfd.0, path.as_ptr(), uid.0, gid.0, flags.0) })?;
        Ok(reply::Fchownat {})
    }

    fn utimensat(&mut self, request: request::Utimensat<'_>) -> Result<reply::Utimensat, Errno> {
        let request::Utimensat {
            dirfd,
            path,
            times,
            flags,
        } = request;
        let time = |seconds, nanoseconds: u32| libc::timespec {
            tv_sec: seconds,
            tv_nsec: nanoseconds.into(),
        };
        let times = [
            time(times.atime, times.atime_nsec),
            time(times.mtime, times.mtime_nsec),
        ];
        // SAFETY: a NUL-terminated path, two live timespecs.
        done(unsafe {
            match path.is_empty() && dirfd != DirFd::CWD && inode(dirfd, path, flags).is_none() {
                true => libc::futimens(dirfd.0, times.as_ptr()),
                false => libc::utimensat(dirfd.0, path.as_ptr(), times.as_ptr(), flags.0),
            }
        })?;
        Ok(reply::Utimensat {})
    }

    fn truncate(&mut self, request: request::Truncate<'_>) -> Result<reply::Truncate, Errno> {
        // SAFETY: a NUL-terminated path.
        done(unsafe { libc::truncate(request.path.as_ptr(), request.len) })?;
        Ok(reply::Truncate {})
    }

    fn getxattr(&mut self, request: request::Getxattr<'_>) -> Result<reply::Getxattr, Errno> {
        let (name, sink) = (request.name.as_ptr(), request.sink);
        let (value, len) = (sink.as_ptr().cast(), sink.len());
        let size = three!(request, getxattr lgetxattr fgetxattr(name, value, len));
        let size = Errno::result(long(size))? as usize;
        Ok(reply::Getxattr {
            size: size as u64,
            filled: Filled(size.min(len)),
        })
    }

    fn setxattr(&mut self, request: request::Setxattr<'_>) -> Result<reply::Setxattr, Errno> {
        let (name, value) = (request.name.as_ptr(), request.value);
        let (data, len) = (value.as_ptr().cast(), value.len());
        done(three!(request, setxattr lsetxattr fsetxattr(name, data, len, request.create)))?;
        Ok(reply::Setxattr {})
    }

    fn listxattr(&mut self, request: request::Listxattr<'_>) -> Result<reply::Listxattr, Errno> {
        let (list, len) = (request.sink.as_ptr().cast(), request.sink.len());
        let size = three!(request, listxattr llistxattr flistxattr(list, len));
        let size = Errno::result(long(size))? as usize;
        Ok(reply::Listxattr {
            size: size as u64,
            filled: Filled(size.min(len)),
        })
    }

    fn removexattr(
        &mut self,
        request: request::Removexattr<'_>,
    ) -> Result<reply::Removexattr, Errno> {
        let name = request.name.as_ptr();
        done(three!(request, removexattr lremovexattr fremovexattr(name)))?;
        Ok(reply::Removexattr {})
    }
}
