//! Host files for a program image that does not load this library: opened anew on the mount of the host's files, by a
//! token, for the same open file description under the same number.
//!
//! Static programs and those that run with more rights than their caller do not load it. Any other program gets its
//! files with the session (see `inherit`), which needs no mount and stays on the fast road.
#![allow(unsafe_code)]

use crate::real::try_sys;
use crate::report::Line;
use crate::{fds, session};
use hostcall::ops::Calls;
use hostcall::types::{Errno, RemoteFd};
use libc::{c_char, c_int};
use std::fmt::Write;
use syscalls::Sysno;

/// What of a program file is looked at: its header and the table that follows it in every linker's output.
const HEAD: usize = 2048;
/// ELF's program header types, elf(5).
const PT_INTERP: u32 = 3;

/// Gives the program at `dirfd`, `path` what it is to inherit, if it will not load this library. A file that cannot be
/// opened on the mount stays a placeholder, on which every call fails.
///
/// # Safety
/// `path` is a C string.
pub unsafe fn prepare(dirfd: c_int, path: *const c_char, flags: c_int, privileged: bool) {
    let inherited = || fds::all().filter(|(_, entry)| !entry.cloexec);
    // SAFETY: the caller's promise.
    if inherited().next().is_none() || !(privileged || unsafe { is_static(dirfd, path, flags, 1) })
    {
        return;
    }
    for (fd, entry) in inherited() {
        if materialise(fd, entry.remote).is_ok() {
            fds::forget(fd);
        }
    }
}

fn materialise(fd: c_int, remote: RemoteFd) -> Result<(), Errno> {
    let client = session::client()?;
    let flags = client.fcntl(remote, libc::F_GETFL, 0)?.value;
    if flags & libc::O_PATH != 0 {
        return Err(Errno(libc::EBADF));
    }
    let token = client.share(remote)?.token;
    let mut path = Line::<{ crate::route::PREFIX_MAX + 64 }>::new();
    let prefix = session::prefix().as_bytes();
    let written = std::str::from_utf8(prefix)
        .map_err(|_| std::fmt::Error)
        .and_then(|prefix| write!(path, "{prefix}/.hostcall/fd/{token}\0"));
    written.map_err(|_| Errno(libc::ENAMETOOLONG))?;
    let flags = flags & (libc::O_ACCMODE | libc::O_APPEND | libc::O_NONBLOCK) | libc::O_CLOEXEC;
    let path = path.bytes().as_ptr();
    // SAFETY: a NUL-terminated path; the number that is replaced is a placeholder of ours.
    unsafe {
        let opened = try_sys!(Sysno::openat, libc::AT_FDCWD, path, flags, 0)?;
        // The mount takes transfers from the position that the file has for the guest kernel: at first the host's.
        if let Ok(place) = client.lseek(remote, 0, libc::SEEK_CUR) {
            let _ = try_sys!(Sysno::lseek, opened, place.offset, libc::SEEK_SET);
        }
        let placed = try_sys!(Sysno::dup3, opened, fd, 0);
        let _ = try_sys!(Sysno::close, opened);
        placed.map(drop)
    }
}

/// Whether a program has no dynamic linker that would load this library; for a script, whether its interpreter has none.
/// What cannot be read is taken for an ordinary program.
unsafe fn is_static(dirfd: c_int, path: *const c_char, flags: c_int, scripts: u32) -> bool {
    let mut head = [0u8; HEAD];
    let flags = flags & libc::AT_EMPTY_PATH;
    // SAFETY: the caller's path; a live buffer and its length.
    let read = unsafe {
        let opened = match flags != 0 && *path == 0 {
            true => try_sys!(Sysno::fcntl, dirfd, libc::F_DUPFD_CLOEXEC, 3),
            false => try_sys!(
                Sysno::openat,
                dirfd,
                path,
                libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NOCTTY | libc::O_NONBLOCK,
                0
            ),
        };
        let Ok(opened) = opened else {
            return false;
        };
        let read = try_sys!(Sysno::pread64, opened, head.as_mut_ptr(), HEAD - 1, 0);
        let _ = try_sys!(Sysno::close, opened);
        read.unwrap_or(0) as usize
    };
    let head = &head[..read + 1];
    match interpreter(head) {
        Some(path) if scripts > 0 => {
            let mut text = [0u8; 256];
            let fits = path.len() < text.len();
            if fits {
                text[..path.len()].copy_from_slice(path);
            }
            // SAFETY: NUL-terminated, for the path is shorter than its zeroed room.
            fits && unsafe { is_static(libc::AT_FDCWD, text.as_ptr().cast(), 0, scripts - 1) }
        }
        _ => is_static_elf(head),
    }
}

/// The interpreter that a script names in its first line.
fn interpreter(head: &[u8]) -> Option<&[u8]> {
    let line = head.strip_prefix(b"#!")?;
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = line.iter().position(|byte| !blank(byte))?;
    let rest = &line[start..];
    let end = rest
        .iter()
        .position(|byte| blank(byte) || matches!(byte, b'\n' | 0))?;
    Some(&rest[..end])
}

/// Whether these are the first bytes of a 64-bit ELF program without `PT_INTERP`.
fn is_static_elf(head: &[u8]) -> bool {
    let half = |at: usize| {
        let bytes = head.get(at..at + 2)?;
        Some(u16::from_le_bytes([bytes[0], bytes[1]]).into())
    };
    let word = |at: usize| {
        let bytes = head.get(at..at + 4)?;
        Some(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    };
    if !head.starts_with(b"\x7fELF\x02\x01") {
        return false;
    }
    let (Some(table), Some(size), Some(count)) = (word(32), half(54), half(56)) else {
        return false;
    };
    let (table, size, count): (usize, usize, usize) = (table as usize, size, count);
    let kinds = (0..count).map(|number| word(table.saturating_add(number * size)));
    let mut whole = true;
    let interpreted = kinds
        .inspect(|kind| whole &= kind.is_some())
        .any(|kind| kind == Some(PT_INTERP));
    whole && count > 0 && !interpreted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(path: &str) -> Vec<u8> {
        let mut bytes = std::fs::read(path).expect("a program");
        bytes.truncate(HEAD);
        bytes
    }

    #[test]
    fn dynamic_programs_have_an_interpreter() {
        assert!(!is_static_elf(&head("/proc/self/exe")));
        let mut one = head("/proc/self/exe");
        let count = one[56];
        for number in 0..usize::from(count) {
            let at = 64 + 56 * number;
            if one[at] == PT_INTERP as u8 {
                one[at] = 0;
            }
        }
        assert!(is_static_elf(&one), "none is left");
        assert!(!is_static_elf(&one[..100]), "the table is cut off");
        assert!(!is_static_elf(b"#!/bin/sh\n"));
        assert!(!is_static_elf(b""));
    }

    #[test]
    fn scripts_name_their_interpreter() {
        assert_eq!(interpreter(b"#!/bin/sh\n"), Some(b"/bin/sh".as_slice()));
        assert_eq!(
            interpreter(b"#! /usr/bin/env  -S x\n"),
            Some(b"/usr/bin/env".as_slice())
        );
        assert_eq!(interpreter(b"#!/bin/cut-off"), None);
        assert_eq!(interpreter(b"\x7fELF"), None);
    }
}
