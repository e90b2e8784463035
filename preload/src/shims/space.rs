//! Space and caches of open files: ftruncate(2), fallocate(2), posix_fadvise(2), syncfs(2).
#![allow(unsafe_code)]

use crate::real::{done, finish, shims, sys, try_sys};
use crate::symbols::own;
use crate::{fds, session};
use hostcall::ops::Calls;
use hostcall::types::{Errno, RemoteFd};
use libc::{c_int, c_uint, off_t, size_t, ssize_t};
use syscalls::Sysno;

/// The functions of POSIX that answer an error number instead of setting errno.
fn number<T>(result: Result<T, Errno>) -> c_int {
    result.map_or_else(|errno| errno.0, |_| 0)
}

shims! {
    fn ftruncate(fd: c_int, len: off_t) -> c_int {
        match fds::host(fd) {
            Some(remote) => done(session::client().and_then(|client| client.ftruncate(remote, len))),
            None => sys!(Sysno::ftruncate, fd, len),
        }
    }

    fn fallocate(fd: c_int, mode: c_int, offset: off_t, len: off_t) -> c_int {
        match fds::host(fd) {
            Some(remote) => done(session::client().and_then(|client| client.fallocate(remote, mode, offset, len))),
            None => sys!(Sysno::fallocate, fd, mode, offset, len),
        }
    }

    fn syncfs(fd: c_int) -> c_int {
        match fds::host(fd) {
            Some(remote) => done(session::client().and_then(|client| client.syncfs(remote))),
            None => sys!(Sysno::syncfs, fd),
        }
    }

    fn sync_file_range(fd: c_int, offset: off_t, len: off_t, flags: c_int) -> c_int {
        match fds::host(fd) {
            Some(remote) => done(synchronise(remote, offset, len, flags)),
            None => sys!(Sysno::sync_file_range, fd, offset, len, flags),
        }
    }

    fn readahead(fd: c_int, offset: off_t, count: size_t) -> ssize_t {
        match fds::host(fd) {
            Some(remote) => finish(read_ahead(remote, offset, count).map(|()| 0)),
            None => sys!(Sysno::readahead, fd, offset, count),
        }
    }

    fn posix_fadvise(fd: c_int, offset: off_t, len: off_t, advice: c_int) -> c_int {
        match fds::host(fd) {
            Some(remote) => number(session::client().and_then(|client| client.fadvise(remote, offset, len, advice))),
            None => number(try_sys!(Sysno::fadvise64, fd, offset, len, advice)),
        }
    }

    fn posix_fallocate(fd: c_int, offset: off_t, len: off_t) -> c_int {
        match fds::host(fd) {
            Some(remote) => {
                let allocated = allocate(remote, offset, len);
                if allocated == Err(Errno(libc::EFBIG)) {
                    crate::limits::beyond();
                }
                number(allocated)
            }
            None => {
                match try_sys!(Sysno::fallocate, fd, 0, offset, len) {
                    // libc writes to each block of a file system that cannot allocate.
                    Err(Errno(libc::EOPNOTSUPP)) => own::posix_fallocate(fd, offset, len),
                    result => number(result),
                }
            }
        }
    }
}

/// sync_file_range(2): the whole file's data, which no host refuses.
fn synchronise(fd: RemoteFd, offset: off_t, len: off_t, flags: c_int) -> Result<(), Errno> {
    let known = libc::SYNC_FILE_RANGE_WAIT_BEFORE
        | libc::SYNC_FILE_RANGE_WRITE
        | libc::SYNC_FILE_RANGE_WAIT_AFTER;
    let end = offset.checked_add(len);
    if offset < 0 || len < 0 || end.is_none() || flags as c_uint & !known != 0 {
        return Err(Errno(libc::EINVAL));
    }
    session::client()?.fdatasync(fd).map(|_| ())
}

/// readahead(2), which the kernel refuses where posix_fadvise(2) has nothing to say: for directories and for files that are
/// open for writing only.
fn read_ahead(fd: RemoteFd, offset: off_t, count: size_t) -> Result<(), Errno> {
    let client = session::client()?;
    let mode = client.fcntl(fd, libc::F_GETFL, 0)?.value & (libc::O_ACCMODE | libc::O_PATH);
    if ![libc::O_RDONLY, libc::O_RDWR].contains(&mode) {
        return Err(Errno(libc::EBADF));
    }
    let kind = super::stat::metadata_of(fd)?.mode & libc::S_IFMT;
    if kind != libc::S_IFREG && kind != libc::S_IFBLK {
        return Err(Errno(libc::EINVAL));
    }
    client.fadvise(fd, offset, count as i64, libc::POSIX_FADV_WILLNEED)?;
    Ok(())
}

/// posix_fallocate(3): at least the length is granted where the host's file system cannot allocate.
fn allocate(fd: RemoteFd, offset: off_t, len: off_t) -> Result<(), Errno> {
    let client = session::client()?;
    let end = offset.checked_add(len).ok_or(Errno(libc::EFBIG))?;
    if offset < 0 || len <= 0 {
        return Err(Errno(libc::EINVAL));
    }
    match client.fallocate(fd, 0, offset, len) {
        Err(Errno(libc::EOPNOTSUPP)) => {
            let place = super::stat::metadata_of(fd)?;
            if end > place.size as i64 {
                client.ftruncate(fd, end)?;
            }
            Ok(())
        }
        result => result.map(|_| ()),
    }
}
