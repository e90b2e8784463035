//! Applies the [`route`](crate::route) to a call's arguments: what the program passed, and where it stands.
#![allow(unsafe_code)]

use crate::first::FIRST;
use crate::route::{climb, may_enter, route, Prefix, Route, Start, PREFIX_MAX};
use crate::{covers, cwd, fds, numbered, session};
use hostcall::access::{first, string};
use hostcall::types::{DirFd, Errno, RemoteFd};
use libc::{c_char, c_int};
use std::ffi::CStr;
use std::mem::MaybeUninit;

/// Room on the stack for a path that has to be rewritten. Costs nothing unless it is used.
pub struct PathBuffer(MaybeUninit<[u8; PathBuffer::LONGEST + 1]>);

impl PathBuffer {
    /// Bytes of the longest text, one more than any path has: `PATH_MAX` counts the NUL.
    const LONGEST: usize = libc::PATH_MAX as usize;

    /// An unused buffer.
    pub const fn new() -> PathBuffer {
        PathBuffer(MaybeUninit::uninit())
    }

    /// `directory`, a slash and `rest`. What is too long for a path is cut, to a text that is still too long: either kernel says
    /// `ENAMETOOLONG`.
    fn join(&mut self, directory: &[u8], rest: &[u8]) -> *const c_char {
        let base: *mut u8 = self.0.as_mut_ptr().cast();
        let mut at = 0;
        for part in [directory, b"/".as_slice(), rest] {
            let take = part.len().min(PathBuffer::LONGEST - at);
            // SAFETY: `at + take` is at most `LONGEST`, inside the buffer.
            unsafe { std::ptr::copy_nonoverlapping(part.as_ptr(), base.add(at), take) };
            at += take;
        }
        // SAFETY: `at` is at most `LONGEST`, one below the buffer's length.
        unsafe { *base.add(at) = 0 };
        base.cast_const().cast()
    }
}

/// Where a call goes.
#[derive(Clone, Copy, Debug)]
pub enum Place<'p> {
    /// To the guest kernel, with these arguments.
    Guest {
        /// Directory descriptor.
        dirfd: c_int,
        /// Path; as the program gave it unless it had gone through the host and out again.
        path: *const c_char,
    },
    /// To the host.
    Host {
        /// Where a relative path starts.
        dir: DirFd,
        /// Absolute, relative to `dir`, or empty for `dir` itself.
        path: &'p CStr,
    },
}

/// Whether a pointer, other than null, is one that no program of any system can read from: into the kernel's half of the
/// addresses, or into the first page.
#[inline]
pub fn nowhere(path: *const c_char) -> bool {
    // The topmost byte of an address of AArch64 may be a program's own tag.
    const TAG: u32 = if cfg!(target_arch = "aarch64") { 8 } else { 0 };
    ((path as isize) << TAG >> TAG) < 4096 && !path.is_null()
}

/// Decides a path relative to the working directory.
///
/// # Safety
/// `path` is null, [`nowhere`], or a C string, if one is there, that lives for `'p`.
#[inline]
pub unsafe fn of<'p>(path: *const c_char, buffer: &'p mut PathBuffer) -> Result<Place<'p>, Errno> {
    // SAFETY: the caller's promise.
    unsafe { at(libc::AT_FDCWD, path, buffer) }
}

/// Whether a path is the guest's at the first look, as nearly all paths of most programs are. It calls nothing and needs no room on the
/// stack.
///
/// # Safety
/// As for [`at`].
#[inline(always)]
pub unsafe fn stays(dirfd: c_int, path: *const c_char) -> bool {
    if nowhere(path) || path.is_null() {
        return false;
    }
    // SAFETY: a C string, by the caller's promise; behind its first byte, which is not its end, there is another.
    unsafe {
        let starts_outside = match dirfd {
            // `/dev` and `/proc` have names for open files.
            _ if first(path) == b'/' => {
                !fds::touched() || !matches!(first(path.add(1)), b'd' | b'p')
            }
            libc::AT_FDCWD => !cwd::on_host(),
            _ => !fds::touched(),
        };
        starts_outside && !FIRST.marks.are_in(path)
    }
}

/// Decides a path relative to `dirfd`.
///
/// A null path is the guest's business unless `dirfd` is a host file; then it is the empty path. A pointer from where nothing can be
/// read is the guest kernel's, which answers `EFAULT`.
///
/// # Errors
/// What finding out the depth of a host directory answers; only for paths that climb by `..`.
///
/// # Safety
/// `path` is null, [`nowhere`], or a C string, if one is there, that lives for `'p`.
#[inline]
pub unsafe fn at<'p>(
    dirfd: c_int,
    path: *const c_char,
    buffer: &'p mut PathBuffer,
) -> Result<Place<'p>, Errno> {
    let guest = Place::Guest { dirfd, path };
    if nowhere(path) {
        return Ok(guest);
    }
    // SAFETY: a C string, or none, by the caller's promise.
    let text = (!path.is_null()).then(|| unsafe { string(path) });
    match text.transpose() {
        Ok(text) => decide(dirfd, text, guest, buffer),
        Err(_) => Ok(guest),
    }
}

/// [`at`] for a call with flags (`AT_`) that follows the path's last link unless they say otherwise: what that leads to may be an
/// open host file. Its place is the empty path, with the flags that make it the inode of the descriptor.
///
/// # Errors
/// As for [`at`].
///
/// # Safety
/// As for [`at`].
#[inline]
pub unsafe fn file_at<'p>(
    dirfd: c_int,
    path: *const c_char,
    flags: c_int,
    buffer: &'p mut PathBuffer,
) -> Result<(Place<'p>, c_int), Errno> {
    const INODE: c_int = libc::AT_EMPTY_PATH | libc::AT_SYMLINK_NOFOLLOW;
    // SAFETY: the caller's promise; what is left to the guest can still be read if it could before.
    let (place, open) = unsafe {
        let place = at(dirfd, path, buffer)?;
        let open = match place {
            Place::Guest { path, .. } if !nowhere(path) && !path.is_null() => {
                string(path).ok().and_then(self::numbered)
            }
            _ => None,
        };
        (place, open)
    };
    Ok(match open {
        Some(remote) if flags & libc::AT_SYMLINK_NOFOLLOW == 0 => {
            let (dir, path) = (remote.into(), c"");
            (Place::Host { dir, path }, flags | INODE)
        }
        _ => (place, flags),
    })
}

/// The open host file that a path of the guest's names by its number.
pub fn numbered(path: &CStr) -> Option<RemoteFd> {
    match fds::any().then(|| numbered::split(path.to_bytes()))? {
        Some((fd, b"")) => fds::host(fd),
        _ => None,
    }
}

/// What lies below an open directory of the host that a path of the guest's names by its number.
#[cold]
#[inline(never)]
fn below_numbered<'p>(
    text: &'p CStr,
    guest: Place<'p>,
    buffer: &'p mut PathBuffer,
) -> Result<Place<'p>, Errno> {
    let (remote, rest) = match numbered::split(text.to_bytes()) {
        Some((fd, rest @ [_, ..])) => (fds::host(fd), rest),
        _ => return Ok(guest),
    };
    let Some(remote) = remote else {
        return Ok(guest);
    };
    let mut room = [0u8; PREFIX_MAX + libc::PATH_MAX as usize];
    let path = cwd::path_of(remote, &mut room)?;
    if session::attached().is_some_and(covers::any) {
        return Ok(Place::Guest {
            dirfd: libc::AT_FDCWD,
            path: buffer.join(path, rest),
        });
    }
    let path = &path[session::prefix().as_bytes().len()..];
    let (dir, path) = (DirFd::CWD, buffer.join(path, rest));
    // SAFETY: the buffer's text ends with a NUL, and the buffer lives as long as the place.
    let path = unsafe { CStr::from_ptr(path) };
    Ok(Place::Host { dir, path })
}

/// [`at`] for a path that can be read.
#[inline]
fn decide<'p>(
    dirfd: c_int,
    text: Option<&'p CStr>,
    guest: Place<'p>,
    buffer: &'p mut PathBuffer,
) -> Result<Place<'p>, Errno> {
    let prefix = session::prefix();
    let bytes = text.map(CStr::to_bytes);
    // The second look, at the whole of each component.
    let stays = || bytes.is_none_or(|bytes| !may_enter(prefix, bytes));
    if let (Some(text), Some([b'/', ..])) = (text, bytes) {
        return match stays() {
            false => Ok(settle(
                prefix,
                Start::Guest(b"/"),
                DirFd::CWD,
                text,
                guest,
                buffer,
            )),
            true if fds::any() => below_numbered(text, guest, buffer),
            true => Ok(guest),
        };
    }
    let dir = match dirfd {
        libc::AT_FDCWD if cwd::on_host() => Some(DirFd::CWD),
        libc::AT_FDCWD => None,
        fd => fds::host(fd).map(DirFd::from),
    };
    match (dir, text) {
        (Some(DirFd::CWD), None) => Ok(guest),
        (Some(dir), text) => {
            let text = text.unwrap_or_default();
            match session::attached().is_some_and(covers::any) {
                false => along(prefix, dir, text, guest, buffer),
                true => beside_covers(prefix, dir, text, guest, buffer),
            }
        }
        // To the program this number is closed.
        (None, _) if fds::is_reserved(dirfd) => Err(Errno(libc::EBADF)),
        (None, Some(text)) if !stays() => Ok(entering(prefix, dirfd, text, guest, buffer)),
        (None, _) => Ok(guest),
    }
}

/// A relative path from a host directory.
#[inline]
fn along<'p>(
    prefix: &Prefix,
    dir: DirFd,
    text: &'p CStr,
    guest: Place<'p>,
    buffer: &'p mut PathBuffer,
) -> Result<Place<'p>, Errno> {
    match climb(text.to_bytes()) {
        0 => Ok(Place::Host { dir, path: text }),
        levels => {
            let depth = cwd::depth(dir, levels)?;
            Ok(settle(prefix, Start::Host(depth), dir, text, guest, buffer))
        }
    }
}

/// A relative path from a host directory while something is mounted over host files: the guest kernel's, which walks from
/// the same directory on the mount. By its name the guest kernel may find another one, that was mounted over it: then the
/// path is the host's, unless it begins by climbing to where that is not so.
#[cold]
#[inline(never)]
fn beside_covers<'p>(
    prefix: &Prefix,
    dir: DirFd,
    text: &'p CStr,
    guest: Place<'p>,
    buffer: &'p mut PathBuffer,
) -> Result<Place<'p>, Errno> {
    let mut room = [0u8; PREFIX_MAX + libc::PATH_MAX as usize];
    match dir {
        _ if text.is_empty() => {}
        DirFd::CWD if cwd::kernel_is_there() => return Ok(guest),
        dir => {
            let path = match dir {
                DirFd::CWD => cwd::host_path(&mut room),
                dir => cwd::path_of(RemoteFd(dir.0), &mut room),
            };
            if let Ok(path) = path {
                let (path, rest) = climbed(path, text.to_bytes());
                if !covers::lies_on_one(path) {
                    return Ok(Place::Guest {
                        dirfd: libc::AT_FDCWD,
                        path: buffer.join(path, rest),
                    });
                }
            }
        }
    }
    along(prefix, dir, text, guest, buffer)
}

/// A directory after the steps upwards with which a path from there begins, and the rest of that.
fn climbed<'d, 'p>(mut directory: &'d [u8], mut path: &'p [u8]) -> (&'d [u8], &'p [u8]) {
    loop {
        let end = path.iter().position(|&byte| byte == b'/');
        match &path[..end.unwrap_or(path.len())] {
            b"" if path.is_empty() => break,
            b"" | b"." => {}
            b".." => {
                let parent = directory.iter().rposition(|&byte| byte == b'/');
                directory = &directory[..parent.unwrap_or(0)];
            }
            _ => break,
        }
        path = end.map_or(b"", |end| &path[end + 1..]);
    }
    (directory, path)
}

/// A relative path that may lead from a guest directory into the prefix: depends on where the directory is.
#[cold]
#[inline(never)]
fn entering<'p>(
    prefix: &Prefix,
    dirfd: c_int,
    text: &'p CStr,
    guest: Place<'p>,
    buffer: &'p mut PathBuffer,
) -> Place<'p> {
    let mut room = [0u8; libc::PATH_MAX as usize];
    match cwd::guest_directory(dirfd, &mut room) {
        Some(directory) => {
            let start = Start::Guest(directory);
            settle(prefix, start, DirFd::CWD, text, guest, buffer)
        }
        None => guest,
    }
}

fn settle<'p>(
    prefix: &Prefix,
    start: Start<'_>,
    dir: DirFd,
    text: &'p CStr,
    guest: Place<'p>,
    buffer: &'p mut PathBuffer,
) -> Place<'p> {
    let bytes = text.to_bytes();
    match route(prefix, start, bytes) {
        Route::Guest => guest,
        // The length of a path is limited with the prefix in it.
        Route::Host(_) if bytes.len() >= libc::PATH_MAX as usize => guest,
        Route::Host(_) if session::barred() => guest,
        Route::Left(rest) => Place::Guest {
            dirfd: libc::AT_FDCWD,
            path: buffer.join(prefix.parent(), rest),
        },
        Route::Along => match start {
            Start::Host(_) => Place::Host { dir, path: text },
            Start::Guest(_) => guest,
        },
        Route::Host(b"") => Place::Host {
            dir: DirFd::CWD,
            path: c"/",
        },
        Route::Host(tail) => {
            let skipped = bytes.len() - tail.len();
            // SAFETY: the tail ends where the text ends, at its NUL.
            let path = unsafe {
                CStr::from_bytes_with_nul_unchecked(&text.to_bytes_with_nul()[skipped..])
            };
            Place::Host {
                dir: DirFd::CWD,
                path,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{climbed, PathBuffer};
    use std::ffi::CStr;

    #[test]
    fn what_is_too_long_stays_too_long() {
        let mut buffer = PathBuffer::new();
        for (rest, expected) in [(1, 5), (4092, 4096), (4093, 4096), (9000, 4096)] {
            let joined = buffer.join(b"/ab", &vec![b'x'; rest]);
            // SAFETY: the buffer's text, which lives.
            let joined = unsafe { CStr::from_ptr(joined) }.to_bytes();
            assert_eq!(joined.len(), expected);
            assert!(joined.starts_with(b"/ab/x"));
        }
    }

    #[test]
    fn leading_steps_upwards_are_taken() {
        for (directory, path, expected) in [
            ("/host/a/b", "../c", ("/host/a", "c")),
            ("/host/a/b", ".././/../c/..", ("/host", "c/..")),
            ("/host/a/b", "..", ("/host/a", "")),
            ("/host/a/b", "c/..", ("/host/a/b", "c/..")),
            ("/host", "../../..", ("", "")),
            ("/host/a", "...", ("/host/a", "...")),
            ("/host/a", "", ("/host/a", "")),
        ] {
            let (directory, rest) = climbed(directory.as_bytes(), path.as_bytes());
            let found = (directory.escape_ascii(), rest.escape_ascii());
            assert_eq!(
                (found.0.to_string(), found.1.to_string()),
                (expected.0.into(), expected.1.into())
            );
        }
    }
}
