//! Names: unlink(2), rename(2), link(2), symlink(2), readlink(2), remove(3).
#![allow(unsafe_code)]

use super::by_place;
use crate::place::{self, PathBuffer, Place};
use crate::real::{done, errno, finish, shims, sys, try_sys};
use crate::{cwd, session};
use hostcall::access::{copy, string};
use hostcall::ops::Calls;
use hostcall::types::{AtFlags, DirFd, Errno};
use hostcall::wire::Sink;
use libc::{c_char, c_int, c_uint, size_t, ssize_t};
use std::ffi::CStr;
use syscalls::Sysno;

unsafe fn unlink_any(dirfd: c_int, path: *const c_char, flags: c_int) -> c_int {
    // SAFETY: the calling program's path.
    unsafe {
        by_place!(
            dirfd,
            path,
            |dirfd, path| sys!(Sysno::unlinkat, dirfd, path, flags),
            |dir, path| done(session::client().and_then(|client| client.unlinkat(
                dir,
                path,
                AtFlags(flags)
            )))
        )
    }
}

/// A name on one side and one on the other: two file systems.
type Ends<'p> = (Place<'p>, Place<'p>);

unsafe fn both(
    from: (c_int, *const c_char),
    to: (c_int, *const c_char),
    act: impl FnOnce(Ends<'_>) -> Result<(), Errno>,
) -> c_int {
    let (mut from_buffer, mut to_buffer) = (PathBuffer::new(), PathBuffer::new());
    // SAFETY: the calling program's paths.
    done((|| unsafe {
        let from = place::at(from.0, from.1, &mut from_buffer)?;
        let to = place::at(to.0, to.1, &mut to_buffer)?;
        act((from, to))
    })())
}

/// What a call asks of an end before it finds that the two are of two file systems.
#[derive(Clone, Copy)]
enum Asks {
    /// That there is such a file, by flags of fstatat(2).
    File(c_int),
    /// That there is a directory for the name.
    Directory,
    /// That, and that the name is free.
    Free,
}

/// What a kernel says of two ends that are not on one side.
///
/// # Safety
/// The paths are the calling program's.
unsafe fn apart(ends: [((c_int, *const c_char), Asks); 2]) -> Errno {
    for ((dirfd, path), asks) in ends {
        // SAFETY: the caller's promise.
        if let Err(errno) = unsafe { look(dirfd, path, asks) } {
            return errno;
        }
    }
    Errno(libc::EXDEV)
}

/// Looks for an end.
///
/// # Safety
/// As for [`apart`].
unsafe fn look(dirfd: c_int, path: *const c_char, asks: Asks) -> Result<(), Errno> {
    let exists = |path: *const c_char, flags: c_int| {
        // SAFETY: a path, and a structure that is written to.
        match unsafe { libc::fstatat(dirfd, path, &mut std::mem::zeroed(), flags) } {
            0 => Ok(()),
            _ => Err(errno()),
        }
    };
    if let Asks::File(flags) = asks {
        return exists(path, flags);
    }
    // SAFETY: the caller's promise.
    let text = unsafe { string(path) }?.to_bytes();
    if text.is_empty() {
        return Err(Errno(libc::ENOENT));
    }
    if text.len() >= libc::PATH_MAX as usize {
        return Err(Errno(libc::ENAMETOOLONG));
    }
    let name = text.iter().rposition(|byte| *byte != b'/').unwrap_or(0);
    let directory = text[..name].iter().rposition(|byte| *byte == b'/');
    let directory = directory.map_or(b".".as_slice(), |slash| &text[..=slash]);
    let mut room = [0; libc::PATH_MAX as usize];
    room[..directory.len()].copy_from_slice(directory);
    exists(room.as_ptr().cast(), 0)?;
    match asks {
        Asks::Free if exists(path, libc::AT_SYMLINK_NOFOLLOW).is_ok() => Err(Errno(libc::EEXIST)),
        _ => Ok(()),
    }
}

unsafe fn rename_any(
    from: (c_int, *const c_char),
    to: (c_int, *const c_char),
    flags: c_uint,
) -> c_int {
    // SAFETY: the calling program's paths.
    unsafe {
        both(from, to, |ends| match ends {
            (Place::Guest { dirfd: a, path: p }, Place::Guest { dirfd: b, path: q }) => {
                try_sys!(Sysno::renameat2, a, p, b, q, flags).map(|_| ())
            }
            (Place::Host { dir: a, path: p }, Place::Host { dir: b, path: q }) => {
                session::client()?.renameat2(a, p, b, q, flags).map(|_| ())
            }
            _ => Err(apart([(from, Asks::Directory), (to, Asks::Directory)])),
        })
    }
}

unsafe fn link_any(
    from: (c_int, *const c_char),
    to: (c_int, *const c_char),
    flags: c_int,
) -> c_int {
    // SAFETY: the calling program's paths.
    unsafe {
        both(from, to, |ends| match ends {
            (Place::Guest { path: p, .. }, Place::Host { dir: b, path: q })
                if super::open::named_descriptor(p).is_some() =>
            {
                // The way to give a name to an O_TMPFILE file.
                let remote = super::open::named_descriptor(p).ok_or(Errno(libc::ENOENT))?;
                let flags = AtFlags(libc::AT_EMPTY_PATH);
                session::client()?
                    .linkat(remote.into(), c"", b, q, flags)
                    .map(|_| ())
            }
            (Place::Guest { dirfd: a, path: p }, Place::Guest { dirfd: b, path: q }) => {
                try_sys!(Sysno::linkat, a, p, b, q, flags).map(|_| ())
            }
            (Place::Host { dir: a, path: p }, Place::Host { dir: b, path: q }) => {
                session::client()?
                    .linkat(a, p, b, q, AtFlags(flags))
                    .map(|_| ())
            }
            _ => {
                let follow = match flags & libc::AT_SYMLINK_FOLLOW {
                    0 => libc::AT_SYMLINK_NOFOLLOW,
                    _ => 0,
                };
                let file = Asks::File(follow | flags & libc::AT_EMPTY_PATH);
                Err(apart([(from, file), (to, Asks::Free)]))
            }
        })
    }
}

/// What a symbolic link on the host holds for a target below the prefix: the host's own path, for it is the host that
/// follows the link. The mount stores the same.
fn stored(target: &CStr) -> &CStr {
    let prefix = session::prefix().as_bytes();
    match target.to_bytes_with_nul().strip_prefix(prefix) {
        Some(b"\0") => c"/",
        Some(rest) if rest.starts_with(b"/") => CStr::from_bytes_with_nul(rest).unwrap_or(target),
        _ => target,
    }
}

unsafe fn symlink_any(target: *const c_char, dirfd: c_int, path: *const c_char) -> c_int {
    // SAFETY: the calling program's strings.
    unsafe {
        by_place!(
            dirfd,
            path,
            |dirfd, path| sys!(Sysno::symlinkat, target, dirfd, path),
            |dir, path| {
                let target = match string(target) {
                    Ok(target) => target,
                    Err(errno) => return done::<()>(Err(errno)),
                };
                if target.count_bytes() >= libc::PATH_MAX as usize {
                    return done::<()>(Err(Errno(libc::ENAMETOOLONG)));
                }
                let target = stored(target);
                done(session::client().and_then(|client| client.symlinkat(target, dir, path)))
            }
        )
    }
}

/// readlinkat(2) on the host, in the guest's terms, as the mount shows it: an absolute target has the prefix before it, for
/// that is where following the link leads.
///
/// # Safety
/// What there is of `len` bytes at `buffer` must be writable.
unsafe fn read_link(
    dir: DirFd,
    path: &CStr,
    buffer: *mut c_char,
    len: size_t,
) -> Result<ssize_t, Errno> {
    if len as isize <= 0 {
        return Err(Errno(libc::EINVAL));
    }
    let mut room = [0u8; libc::PATH_MAX as usize];
    let reply = session::client()?.readlinkat(dir, path, Sink::new(&mut room))?;
    let target = &room[..reply.filled.0.min(room.len())];
    let prefix = match target.first() {
        Some(b'/') => session::prefix().as_bytes(),
        _ => b"",
    };
    if prefix.len() + target.len() >= libc::PATH_MAX as usize {
        return Err(Errno(libc::ENAMETOOLONG));
    }
    let mut filled = 0;
    for part in [prefix, target] {
        let taken = part.len().min(len - filled);
        // SAFETY: inside the buffer, by the caller's promise.
        let left = unsafe { copy(part.as_ptr(), buffer.cast::<u8>().add(filled), taken) };
        if left > 0 {
            return Err(Errno(libc::EFAULT));
        }
        filled += taken;
    }
    Ok(filled as ssize_t)
}

/// What the link of an open host file, such as `/proc/self/fd/N`, would hold if it were the guest kernel's file; `None` if it
/// is no such link, or no path leads to the file any more.
///
/// # Safety
/// `path` is a C string, or none; `buffer` must be writable for `len` bytes.
unsafe fn name_of_open(path: *const c_char, buffer: *mut c_char, len: size_t) -> Option<ssize_t> {
    // SAFETY: the caller's promise.
    unsafe {
        let remote = super::open::named_descriptor(path)?;
        // `/dev/stdin` and its like are links to such links.
        if string(path).ok()?.to_bytes().starts_with(b"/dev/std") || len as isize <= 0 {
            return None;
        }
        let mut room = [0u8; crate::route::PREFIX_MAX + libc::PATH_MAX as usize];
        let found = cwd::path_of(remote, &mut room).ok()?;
        let filled = found.len().min(len);
        // The guest kernel's to refuse, then.
        let left = copy(found.as_ptr(), buffer.cast(), filled);
        (left == 0).then_some(filled as ssize_t)
    }
}

unsafe fn readlink_any(
    dirfd: c_int,
    path: *const c_char,
    buffer: *mut c_char,
    len: size_t,
) -> ssize_t {
    // SAFETY: the calling program's path and buffer.
    unsafe {
        by_place!(
            dirfd,
            path,
            |dirfd, path| match name_of_open(path, buffer, len) {
                Some(filled) => filled,
                None => sys!(Sysno::readlinkat, dirfd, path, buffer, len),
            },
            |dir, path| finish(read_link(dir, path, buffer, len))
        )
    }
}

shims! {
    fn unlink(path: *const c_char) -> c_int {
        unlink_any(libc::AT_FDCWD, path, 0)
    }

    fn unlinkat(dirfd: c_int, path: *const c_char, flags: c_int) -> c_int {
        unlink_any(dirfd, path, flags)
    }

    fn rmdir(path: *const c_char) -> c_int {
        unlink_any(libc::AT_FDCWD, path, libc::AT_REMOVEDIR)
    }

    fn remove(path: *const c_char) -> c_int {
        match unlink_any(libc::AT_FDCWD, path, 0) {
            -1 if matches!(errno().0, libc::EISDIR | libc::EPERM) => unlink_any(libc::AT_FDCWD, path, libc::AT_REMOVEDIR),
            done => done,
        }
    }

    fn rename(from: *const c_char, to: *const c_char) -> c_int {
        rename_any((libc::AT_FDCWD, from), (libc::AT_FDCWD, to), 0)
    }

    fn renameat(from_dirfd: c_int, from: *const c_char, to_dirfd: c_int, to: *const c_char) -> c_int {
        rename_any((from_dirfd, from), (to_dirfd, to), 0)
    }

    fn renameat2(from_dirfd: c_int, from: *const c_char, to_dirfd: c_int, to: *const c_char, flags: c_uint) -> c_int {
        rename_any((from_dirfd, from), (to_dirfd, to), flags)
    }

    fn link(from: *const c_char, to: *const c_char) -> c_int {
        link_any((libc::AT_FDCWD, from), (libc::AT_FDCWD, to), 0)
    }

    fn linkat(from_dirfd: c_int, from: *const c_char, to_dirfd: c_int, to: *const c_char, flags: c_int) -> c_int {
        link_any((from_dirfd, from), (to_dirfd, to), flags)
    }

    fn symlink(target: *const c_char, path: *const c_char) -> c_int {
        symlink_any(target, libc::AT_FDCWD, path)
    }

    fn symlinkat(target: *const c_char, dirfd: c_int, path: *const c_char) -> c_int {
        symlink_any(target, dirfd, path)
    }

    fn readlink(path: *const c_char, buffer: *mut c_char, len: size_t) -> ssize_t {
        readlink_any(libc::AT_FDCWD, path, buffer, len)
    }

    fn readlinkat(dirfd: c_int, path: *const c_char, buffer: *mut c_char, len: size_t) -> ssize_t {
        readlink_any(dirfd, path, buffer, len)
    }

    fn __readlink_chk(path: *const c_char, buffer: *mut c_char, len: size_t, room: size_t) -> ssize_t {
        super::io::fortify(len, room);
        readlink_any(libc::AT_FDCWD, path, buffer, len)
    }

    fn __readlinkat_chk(dirfd: c_int, path: *const c_char, buffer: *mut c_char, len: size_t, room: size_t) -> ssize_t {
        super::io::fortify(len, room);
        readlink_any(dirfd, path, buffer, len)
    }
}
