//! Canonical paths: realpath(3), canonicalize_file_name(3), whose libc functions look past any hook.
#![allow(unsafe_code)]

use super::by_file;
use crate::real::{finish, shims};
use crate::symbols::own;
use crate::{cwd, session};
use hostcall::client::Client;
use hostcall::ops::Calls;
use hostcall::types::{AtFlags, DirFd, Errno, RemoteFd};
use hostcall::wire::Sink;
use libc::{c_char, size_t};
use std::ffi::CStr;

const MOST: usize = libc::PATH_MAX as usize;

/// Symbolic links that one path may go through, as in the kernel.
const LINKS: u32 = 40;

/// A path under construction, kept NUL-terminated.
struct Path {
    bytes: [u8; MOST],
    len: usize,
}

impl Path {
    fn new() -> Path {
        Path {
            bytes: [0; MOST],
            len: 0,
        }
    }

    fn push(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        if self.len + bytes.len() >= MOST {
            return Err(Errno(libc::ENAMETOOLONG));
        }
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.cut(self.len + bytes.len());
        Ok(())
    }

    fn cut(&mut self, len: usize) {
        self.len = len;
        self.bytes[len] = 0;
    }

    fn text(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn as_c(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or(c"/")
    }

    /// Drops the last component; the root stays.
    fn pop(&mut self) {
        let slash = self.text().iter().rposition(|&byte| byte == b'/');
        self.cut(slash.unwrap_or(0));
    }
}

/// Sees to it that a path, which has no links, is a directory's.
fn directory(client: &Client, path: &mut Path) -> Result<(), Errno> {
    let len = path.len;
    if len > 0 {
        path.push(b"/")?;
        let mut stats = [0u8; size_of::<libc::statx>()];
        let sink = Sink::new(&mut stats);
        let found = client.statx(DirFd::CWD, path.as_c(), AtFlags(0), 0, sink);
        path.cut(len);
        found?;
    }
    Ok(())
}

/// Follows every link of a host path; what comes out is absolute on the host, the root being empty. If it fails, `done` says how far it
/// has come.
fn canonical(path: &CStr, done: &mut Path) -> Result<(), Errno> {
    let client = session::client()?;
    let mut rest = Path::new();
    rest.push(path.to_bytes())?;
    if rest.len == 0 {
        return Err(Errno(libc::ENOENT));
    }
    if rest.text()[0] != b'/' {
        let mut room = [0u8; MOST + crate::route::PREFIX_MAX];
        let prefix = session::prefix().as_bytes().len();
        done.push(&cwd::host_path(&mut room)?[prefix..])?;
    }
    let (mut at, mut links) = (0, 0);
    while at < rest.len {
        let end = rest.text()[at..]
            .iter()
            .position(|&byte| byte == b'/')
            .map_or(rest.len, |slash| at + slash);
        let last = end == rest.len;
        match &rest.text()[at..end] {
            b"" | b"." => {}
            b".." => {
                directory(client, done)?;
                done.pop();
            }
            component => {
                let parent = done.len;
                done.push(b"/")?;
                done.push(component)?;
                let mut target = Path::new();
                let sink = Sink::new(&mut target.bytes[..MOST - 1]);
                match client.readlinkat(DirFd::CWD, done.as_c(), sink) {
                    // Not a link.
                    Err(Errno(libc::EINVAL)) => {}
                    Err(errno) => return Err(errno),
                    Ok(reply) => {
                        links += 1;
                        if links > LINKS {
                            return Err(Errno(libc::ELOOP));
                        }
                        target.cut(reply.filled.0.min(MOST - 1));
                        let absolute = target.text().first() == Some(&b'/');
                        done.cut(if absolute { 0 } else { parent });
                        if !last {
                            target.push(&rest.text()[end..])?;
                        }
                        rest = target;
                        at = 0;
                        continue;
                    }
                }
            }
        }
        at = end + 1;
    }
    // `file/` and `file/.` are no directories, which reading links has not shown.
    let slash = path.to_bytes().ends_with(b"/") || path.to_bytes().ends_with(b"/.");
    if slash {
        directory(client, done)?;
    }
    Ok(())
}

/// realpath(3) on the host, in the guest's terms.
unsafe fn resolve_host(path: &CStr, to: *mut c_char) -> Result<*mut c_char, Errno> {
    let mut found = Path::new();
    let resolved = canonical(path, &mut found);
    let tells = match resolved {
        Ok(()) => true,
        // The buffer then tells what is missing or shut, as glibc has it.
        Err(Errno(libc::ENOENT | libc::EACCES)) => !to.is_null() && found.len > 0,
        Err(_) => false,
    };
    let given = match tells {
        // SAFETY: the calling program's buffer.
        true => unsafe { give([session::prefix().as_bytes(), found.text()], to) },
        false => Ok(to),
    };
    resolved.and(given)
}

/// The same of an open file.
unsafe fn resolve_open(file: RemoteFd, to: *mut c_char) -> Result<*mut c_char, Errno> {
    let mut room = [0u8; MOST + crate::route::PREFIX_MAX];
    let found = cwd::path_of(file, &mut room)?;
    // SAFETY: the calling program's buffer.
    unsafe { give([found, b""], to) }
}

/// Answers a path in two parts, in `to` or, if that is null, in memory of libc's.
///
/// # Safety
/// `to` is null or has room for the longest path.
unsafe fn give(parts: [&[u8]; 2], to: *mut c_char) -> Result<*mut c_char, Errno> {
    let len = parts[0].len() + parts[1].len();
    if len >= MOST {
        return Err(Errno(libc::ENAMETOOLONG));
    }
    // SAFETY: the calling program's buffer has PATH_MAX bytes, a fresh one as many as needed.
    unsafe {
        let to: *mut c_char = match to.is_null() {
            true => libc::malloc(len + 1).cast(),
            false => to,
        };
        if to.is_null() {
            return Err(Errno(libc::ENOMEM));
        }
        let behind = to.add(parts[0].len());
        std::ptr::copy_nonoverlapping(parts[0].as_ptr().cast(), to, parts[0].len());
        std::ptr::copy_nonoverlapping(parts[1].as_ptr().cast(), behind, parts[1].len());
        *to.add(len) = 0;
        Ok(to)
    }
}

shims! {
    fn realpath(path: *const c_char, to: *mut c_char) -> *mut c_char {
        by_file!(
            libc::AT_FDCWD,
            path,
            0,
            |_, path| own::realpath(path, to),
            |dir, path, _| finish(match dir {
                DirFd::CWD => resolve_host(path, to),
                open => resolve_open(RemoteFd(open.0), to),
            })
        )
    }
}

shims! {
    fn canonicalize_file_name(path: *const c_char) -> *mut c_char {
        realpath(path, std::ptr::null_mut())
    }

    fn __realpath_chk(path: *const c_char, to: *mut c_char, room: size_t) -> *mut c_char {
        super::io::fortify(MOST, room);
        realpath(path, to)
    }
}
