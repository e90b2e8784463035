//! The working directory, when it lies on the host.
//!
//! Then the shadow stands in the real directory, and the guest kernel in the same one on the mount of the host's files:
//! so do calls that no hook covers, and programs that are executed without the preload. Without a mount the guest
//! kernel stands in the prefix directory, an empty one, so that a relative path which misses the hooks finds nothing
//! instead of something else.
#![allow(unsafe_code)]

use crate::first::FIRST;
use crate::real::try_sys;
use crate::{covers, fds, session};
use hostcall::ops::Calls;
use hostcall::types::{AtFlags, DirFd, Errno, RemoteFd};
use hostcall::wire::{Filled, Sink};
use libc::c_int;
use std::ffi::CStr;
use std::sync::atomic::{AtomicBool, Ordering};
use syscalls::Sysno;

/// Whether the guest kernel stands in a prefix without a mount, where it can stay while the shadow moves about.
static AT_PREFIX: AtomicBool = AtomicBool::new(false);

/// Whether the working directory lies on the host. One load.
#[inline]
pub fn on_host() -> bool {
    FIRST.on_host.load(Ordering::Relaxed)
}

/// Believes that the resumed session stands in the program's working directory.
pub fn adopt() {
    FIRST.on_host.store(true, Ordering::Relaxed);
}

/// The working directory is the guest kernel's again.
pub fn forget() {
    FIRST.on_host.store(false, Ordering::Relaxed);
    AT_PREFIX.store(false, Ordering::Relaxed);
}

/// After the shadow has moved.
fn entered() -> Result<(), Errno> {
    FIRST.on_host.store(true, Ordering::Relaxed);
    if !AT_PREFIX.load(Ordering::Relaxed) {
        follow();
    }
    Ok(())
}

/// Moves the guest kernel to where the shadow stands. Where there is no mount, or it does not reach so far, an empty
/// directory must do: the mount's own hidden one, or the prefix; in a guest without that it stays where it is.
fn follow() {
    let mut room = [0u8; libc::PATH_MAX as usize];
    let last = room.len() - 1;
    let covered = session::attached().is_some_and(covers::any);
    let moved = match host_path(&mut room[..last]) {
        // By that name the guest kernel would find what is mounted over it.
        Ok(path) if covered && covers::lies_on_one(path) => false,
        Ok(path) => {
            let len = path.len();
            room[len] = 0;
            change(&room[..=len])
        }
        Err(_) => false,
    };
    if moved {
        return;
    }
    let prefix = session::prefix().as_bytes();
    for (name, unmounted) in [(b"/.hostcall\0".as_slice(), false), (b"\0", true)] {
        let mut path = [0u8; crate::route::PREFIX_MAX + 16];
        path[..prefix.len()].copy_from_slice(prefix);
        path[prefix.len()..prefix.len() + name.len()].copy_from_slice(name);
        if change(&path) {
            AT_PREFIX.store(unmounted, Ordering::Relaxed);
            return;
        }
    }
}

/// chdir(2) of the guest kernel; `path` holds a NUL.
fn change(path: &[u8]) -> bool {
    debug_assert!(path.contains(&0));
    // SAFETY: NUL-terminated.
    unsafe { try_sys!(Sysno::chdir, path.as_ptr()) }.is_ok()
}

/// The absolute path, in the guest's terms, of the host working directory: prefix and host path.
pub fn host_path(room: &mut [u8]) -> Result<&[u8], Errno> {
    in_guest_terms(room, |sink| Ok(session::client()?.getcwd(sink)?.filled))
}

/// The prefix, and after it the absolute path that `ask` has the host write.
fn in_guest_terms(
    room: &mut [u8],
    ask: impl FnOnce(Sink<'_>) -> Result<Filled, Errno>,
) -> Result<&[u8], Errno> {
    let prefix = session::prefix().as_bytes();
    if room.len() <= prefix.len() {
        return Err(Errno(libc::ERANGE));
    }
    room[..prefix.len()].copy_from_slice(prefix);
    let filled = ask(Sink::new(&mut room[prefix.len()..]))?.0;
    let tail = &room[prefix.len()..prefix.len() + filled];
    let tail = match tail.iter().position(|&byte| byte == 0) {
        Some(nul) => &tail[..nul],
        None => tail,
    };
    let len = match tail {
        b"/" => prefix.len(),
        tail => prefix.len() + tail.len(),
    };
    Ok(&room[..len])
}

/// Whether the guest kernel stands where the shadow stands, on the mount.
pub fn kernel_is_there() -> bool {
    let (mut own, mut host) = (
        [0u8; libc::PATH_MAX as usize],
        [0u8; libc::PATH_MAX as usize],
    );
    match (
        guest_directory(libc::AT_FDCWD, &mut own),
        host_path(&mut host),
    ) {
        (Some(own), Ok(host)) => own == host,
        _ => false,
    }
}

/// The absolute path, in the guest's terms, by which an open host file can be reached.
pub fn path_of(file: RemoteFd, room: &mut [u8]) -> Result<&[u8], Errno> {
    in_guest_terms(room, |sink| {
        Ok(session::client()?.path_of(file, sink)?.filled)
    })
}

/// How deep `dir` lies below the host's root, looked at no further than `most` levels.
pub fn depth(dir: DirFd, most: u32) -> Result<u32, Errno> {
    /// Sixty levels.
    const UP: &CStr = c"../../../../../../../../../../../../../../../../../../../../../../../../../../../../../../../../../../../../../../../../../../../../../../../../../../../../../../../../../../..";
    let root = identity(DirFd::CWD, c"/")?;
    let most = most.min((UP.to_bytes().len() as u32 + 1) / 3);
    for level in 0..most {
        let skipped = UP.to_bytes().len() + 1 - 3 * level as usize;
        let path = match level {
            0 => c"",
            // SAFETY: `skipped` is within the string, whose end is its NUL.
            _ => unsafe { CStr::from_ptr(UP.as_ptr().add(skipped)) },
        };
        if identity(dir, path)? == root {
            return Ok(level);
        }
    }
    Ok(most)
}

/// What tells one directory from another: device, inode, mount.
fn identity(dir: DirFd, path: &CStr) -> Result<(u32, u32, u64, u64), Errno> {
    let mut stats = [0u8; size_of::<libc::statx>()];
    let flags = AtFlags(libc::AT_EMPTY_PATH | libc::AT_SYMLINK_NOFOLLOW);
    let mask = libc::STATX_INO | libc::STATX_MNT_ID;
    session::client()?.statx(dir, path, flags, mask, Sink::new(&mut stats))?;
    // SAFETY: any bytes are a statx, and the copy does not ask for alignment.
    let stats: libc::statx = unsafe { std::ptr::read_unaligned(stats.as_ptr().cast()) };
    Ok((
        stats.stx_dev_major,
        stats.stx_dev_minor,
        stats.stx_ino,
        stats.stx_mnt_id,
    ))
}

/// The guest kernel's path of `dirfd` (`AT_FDCWD` for the working directory); `None` if it has none.
pub fn guest_directory(dirfd: c_int, room: &mut [u8]) -> Option<&[u8]> {
    let len = match dirfd {
        // SAFETY: a live buffer and its length.
        libc::AT_FDCWD => unsafe { try_sys!(Sysno::getcwd, room.as_mut_ptr(), room.len()) }
            .ok()
            .map(|len| len as usize - 1),
        fd => {
            use std::fmt::Write;
            let mut link = crate::report::Line::<32>::new();
            write!(link, "/proc/self/fd/{fd}\0").ok()?;
            let link = link.bytes().as_ptr();
            // SAFETY: a NUL-terminated path, a live buffer and its length.
            unsafe {
                try_sys!(
                    Sysno::readlinkat,
                    libc::AT_FDCWD,
                    link,
                    room.as_mut_ptr(),
                    room.len()
                )
            }
            .ok()
            .map(|len| len as usize)
        }
    }?;
    let path = &room[..len];
    path.starts_with(b"/").then_some(path)
}

/// chdir(2) to a path on the host, relative ones from the shadow's working directory.
pub fn enter_path(path: &CStr) -> Result<(), Errno> {
    session::client()?.chdir(path)?;
    entered()
}

/// fchdir(2) on the host.
pub fn enter_open(directory: RemoteFd) -> Result<(), Errno> {
    session::client()?.fchdir(directory)?;
    entered()
}

/// fchdir(2) for any descriptor.
pub fn enter_fd(fd: c_int) -> Result<(), Errno> {
    match fds::host(fd) {
        Some(remote) => enter_open(remote),
        None => {
            // SAFETY: plain system call.
            unsafe { try_sys!(Sysno::fchdir, fd) }?;
            forget();
            Ok(())
        }
    }
}
