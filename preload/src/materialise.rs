//! Host files as files of the guest kernel: opened anew on the mount of the host's files, by a token, for the same open
//! file description under the same number.
//!
//! A program image that does not take the session over needs it: static programs, those that run with more rights than
//! their caller, and those that may not attach, because a filter of system calls is in force. Any other program gets its
//! files with the session (see `inherit`), which needs no mount and stays on the fast road. A running program needs it for
//! what only the kernel can do with a file: map it for sharing, and pass it on over a socket.
#![allow(unsafe_code)]

use crate::observe::summary::{self, Reason};
use crate::real::try_sys;
use crate::report::Line;
use crate::{covers, cwd, fds, kept, session};
use hostcall::client::Client;
use hostcall::ops::Calls;
use hostcall::types::{AtFlags, Errno, OpenFlags, RemoteFd};
use hostcall::wire::Sink;
use libc::c_int;
use std::fmt::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use syscalls::Sysno;

/// Bytes for a path below the prefix.
const ROOM: usize = crate::route::PREFIX_MAX + libc::PATH_MAX as usize;

/// Whether this process has a filter of system calls, under which no new image may count on sockets.
static FILTERED: AtomicBool = AtomicBool::new(false);

/// To be called when the process has been given such a filter.
pub fn set_filtered() {
    FILTERED.store(true, Ordering::Relaxed);
}

/// Whether this process has confined itself by rules on files, landlock(7): then the guest kernel alone may judge what it reaches, and
/// what it executes, which no session may serve.
static CONFINED: AtomicBool = AtomicBool::new(false);

/// To be called when the process has confined itself.
pub fn set_confined() {
    CONFINED.store(true, Ordering::Relaxed);
}

/// Whether it has.
pub fn confined() -> bool {
    CONFINED.load(Ordering::Relaxed)
}

/// To be called before a fork: a child that may not attach has the files of the mount only.
pub fn before_fork() {
    if FILTERED.load(Ordering::Relaxed) {
        all();
    }
}

/// Makes all host files of this process files of the mount, as far as they can be.
pub fn all() {
    for (fd, _) in fds::all() {
        let _ = in_place(fd, Reason::Inherited);
    }
}

/// The same, with descriptors that only name a file, by which others can be reached.
pub fn all_and_names() {
    all();
    for (fd, entry) in fds::all() {
        let opened = name(entry.remote).and_then(|opened| place(opened, fd, entry.cloexec));
        if opened.is_ok() {
            fds::forget(fd);
            let _ = session::client().and_then(|client| client.close(entry.remote));
        }
    }
}

/// Makes all files that can be read or written those of the mount.
#[cold]
pub fn for_rings() {
    for (fd, _) in fds::all() {
        let _ = in_place(fd, Reason::Asynchronous);
    }
}

/// Whether no new image takes the session over, whatever it is.
pub fn filtered() -> bool {
    FILTERED.load(Ordering::Relaxed) || confined()
}

/// Gives an image that does not take the session over what it is to inherit. A file that cannot be opened on the mount stays
/// a placeholder, on which every call fails.
pub fn prepare() {
    inheritance(|entry| !entry.cloexec);
}

/// Makes some host files those of the mount, their locks and all; answers how many could not be.
pub fn inheritance(wanted: impl Fn(fds::Entry) -> bool) -> u32 {
    let mut left = 0;
    for (fd, entry) in fds::all().filter(|(_, entry)| wanted(*entry)) {
        let opened = open(entry.remote).and_then(|opened| place(opened, fd, entry.cloexec));
        summary::materialised(Reason::Inherited, opened.is_ok());
        match opened {
            Ok(()) => drop(fds::forget(fd)),
            Err(_) => left += 1,
        }
    }
    left
}

/// Makes a host file of this process one of the mount, for good; its locks stay with the shadow.
///
/// # Errors
/// There is no mount, the number is no host file, or it is a path-only one.
pub fn in_place(fd: c_int, why: Reason) -> Result<(), Errno> {
    replace(fd, why, Ok)
}

/// The same with an open file description of its own, which starts at the position of the other: the guest kernel can
/// map it, as it cannot map one whose position is the host's.
///
/// # Errors
/// As above; or the file may not be opened again.
pub fn to_map(fd: c_int) -> Result<(), Errno> {
    replace(fd, Reason::Mapped, |token| {
        let mut path = Line::<64>::new();
        let _ = write!(path, "/proc/self/fd/{token}\0");
        // SAFETY: plain system calls, a NUL-terminated path; the token's number is ours, and nobody else has seen it.
        unsafe {
            let opened = try_sys!(Sysno::fcntl, token, libc::F_GETFL, 0).and_then(|flags| {
                let flags = flags as c_int & KEPT | libc::O_CLOEXEC;
                let opened = try_sys!(
                    Sysno::openat,
                    libc::AT_FDCWD,
                    path.bytes().as_ptr(),
                    flags,
                    0
                )?;
                let place = try_sys!(Sysno::lseek, token, 0, libc::SEEK_CUR).unwrap_or(0);
                let _ = try_sys!(Sysno::lseek, opened, place, libc::SEEK_SET);
                Ok(opened as c_int)
            });
            let _ = try_sys!(Sysno::close, token);
            opened
        }
    })
}

/// A further descriptor of a host file, path-only ones included, for the guest kernel to execute.
///
/// # Errors
/// There is no mount, or the file may not be read.
pub fn to_execute(fd: c_int) -> Result<c_int, Errno> {
    let entry = fds::entry(fd).ok_or(Errno(libc::EBADF))?;
    let client = session::client()?;
    let flags = OpenFlags(libc::O_RDONLY | libc::O_CLOEXEC);
    let remote = client.reopen(entry.remote, flags)?.fd;
    let opened = open(remote);
    let _ = client.close(remote);
    summary::materialised(Reason::Executed, opened.is_ok());
    let opened = opened?;
    if !entry.cloexec {
        // An interpreter opens the script by this number.
        // SAFETY: plain system call.
        let _ = unsafe { try_sys!(Sysno::fcntl, opened, libc::F_SETFD, 0) };
    }
    Ok(opened)
}

fn replace(
    fd: c_int,
    why: Reason,
    of: impl FnOnce(c_int) -> Result<c_int, Errno>,
) -> Result<(), Errno> {
    let entry = fds::entry(fd).ok_or(Errno(libc::EBADF))?;
    let placed = open(entry.remote)
        .and_then(of)
        .and_then(|opened| place(opened, fd, entry.cloexec));
    summary::materialised(why, placed.is_ok());
    placed?;
    fds::forget(fd);
    kept::keep(fd, entry.remote);
    Ok(())
}

/// The flags of an open file that a further open of it takes over.
const KEPT: c_int = libc::O_ACCMODE | libc::O_APPEND | libc::O_NONBLOCK;

/// A host file opened on the mount, for the same open file description.
///
/// # Errors
/// There is no mount, or the file is a path-only one.
pub fn open(remote: RemoteFd) -> Result<c_int, Errno> {
    let client = session::client()?;
    let flags = client.fcntl(remote, libc::F_GETFL, 0)?.value;
    if flags & libc::O_PATH != 0 {
        return Err(Errno(libc::EBADF));
    }
    if let Some(opened) = open_directory(client, remote, flags) {
        return Ok(opened);
    }
    let token = client.share(remote)?.token;
    let mut path = Line::<{ crate::route::PREFIX_MAX + 64 }>::new();
    let prefix = session::prefix().as_bytes();
    let written = std::str::from_utf8(prefix)
        .map_err(|_| std::fmt::Error)
        .and_then(|prefix| write!(path, "{prefix}/.hostcall/fd/{token}\0"));
    written.map_err(|_| Errno(libc::ENAMETOOLONG))?;
    let flags = flags & KEPT | libc::O_CLOEXEC;
    let path = path.bytes().as_ptr();
    // SAFETY: a NUL-terminated path.
    unsafe {
        let opened = try_sys!(Sysno::openat, libc::AT_FDCWD, path, flags, 0)?;
        // The mount takes transfers from the position that the file has for the guest kernel: at first the host's.
        if let Ok(place) = client.lseek(remote, 0, libc::SEEK_CUR) {
            let _ = try_sys!(Sysno::lseek, opened, place.offset, libc::SEEK_SET);
        }
        Ok(opened as c_int)
    }
}

/// Whether the host's files are mounted.
pub fn has_mount() -> bool {
    let mut path = Line::<{ crate::route::PREFIX_MAX + 64 }>::new();
    let prefix = std::str::from_utf8(session::prefix().as_bytes());
    let written = prefix.is_ok_and(|prefix| write!(path, "{prefix}/.hostcall/fd\0").is_ok());
    let path = path.bytes().as_ptr();
    // SAFETY: a NUL-terminated path, if it was written.
    written && unsafe { try_sys!(Sysno::faccessat, libc::AT_FDCWD, path, libc::F_OK).is_ok() }
}

/// A directory opened on the mount by its path, as long as nothing has been read of it: by a token the guest kernel would find the
/// directory under another name, which it then takes for the only one that a directory has.
fn open_directory(client: &Client, remote: RemoteFd, flags: c_int) -> Option<c_int> {
    const KIND: usize = std::mem::offset_of!(libc::statx, stx_mode);
    let mut stats = [0u8; size_of::<libc::statx>()];
    let sink = Sink::new(&mut stats);
    let itself = AtFlags(libc::AT_EMPTY_PATH);
    client
        .statx(remote.into(), c"", itself, libc::STATX_TYPE, sink)
        .ok()?;
    let kind = u32::from(u16::from_ne_bytes([stats[KIND], stats[KIND + 1]])) & libc::S_IFMT;
    let position = client.lseek(remote, 0, libc::SEEK_CUR).ok()?.offset;
    if kind != libc::S_IFDIR || position != 0 {
        return None;
    }
    let (mut before, mut after) = ([0u8; ROOM], [0u8; ROOM]);
    let path = cwd::path_of(remote, &mut before[..ROOM - 1]).ok()?;
    if covers::any(client) && covers::lies_on_one(path) {
        return None;
    }
    let len = path.len();
    let flags = flags & KEPT | libc::O_DIRECTORY | libc::O_CLOEXEC;
    // SAFETY: the path is NUL-terminated, for it was given all of the zeroed room but a byte.
    let opened = unsafe {
        try_sys!(Sysno::openat, libc::AT_FDCWD, before.as_ptr(), flags, 0).ok()? as c_int
    };
    // It may have been renamed, and another have taken its name.
    if cwd::path_of(remote, &mut after) == Ok(&before[..len]) {
        return Some(opened);
    }
    // SAFETY: opened just now; nobody else knows it.
    let _ = unsafe { try_sys!(Sysno::close, opened) };
    None
}

/// A host file opened on the mount, path-only.
///
/// # Errors
/// There is no mount, or the file cannot be reached by a path.
pub fn name(remote: RemoteFd) -> Result<c_int, Errno> {
    let (mut before, mut after) = ([0u8; ROOM], [0u8; ROOM]);
    let len = cwd::path_of(remote, &mut before[..ROOM - 1])?.len();
    let flags = libc::O_PATH | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    // SAFETY: the path is NUL-terminated, for it was given all of the zeroed room but a byte.
    let opened = unsafe { try_sys!(Sysno::openat, libc::AT_FDCWD, before.as_ptr(), flags, 0)? };
    // It may have been renamed, and another have taken its name.
    if cwd::path_of(remote, &mut after) == Ok(&before[..len]) {
        return Ok(opened as c_int);
    }
    // SAFETY: opened just now; nobody else knows it.
    let _ = unsafe { try_sys!(Sysno::close, opened) };
    Err(Errno(libc::ENOENT))
}

/// Moves a fresh descriptor to the number of a placeholder.
fn place(opened: c_int, fd: c_int, cloexec: bool) -> Result<(), Errno> {
    let flags = if cloexec { libc::O_CLOEXEC } else { 0 };
    // SAFETY: plain system calls; the number that is replaced is a placeholder of ours.
    unsafe {
        let placed = try_sys!(Sysno::dup3, opened, fd, flags);
        let _ = try_sys!(Sysno::close, opened);
        placed.map(drop)
    }
}
