//! The mount calls that a view is made of, on descriptors and never on names that could be swapped in between.
#![allow(unsafe_code)]

use rustix::fs::{Mode, OFlags, ResolveFlags, CWD, PROC_SUPER_MAGIC};
use rustix::io::{Errno, Result};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags};
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// Opens a place by its absolute path below a root (`CWD` stands for the process's root), crossing mounts but no
/// symbolic link.
///
/// # Errors
/// `ELOOP` where a link is met, and those of openat2(2).
pub(super) fn open_at(root: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd> {
    let relative = path.strip_prefix("/").unwrap_or(path);
    let (base, name) = match root.as_raw_fd() == CWD.as_raw_fd() {
        true => (CWD, path),
        false if relative.as_os_str().is_empty() => (root, Path::new(".")),
        false => (root, relative),
    };
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    rustix::fs::openat2(base, name, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS)
}

/// Copies what is mounted at and below a place, open_tree(2).
pub(super) fn clone_tree(place: &OwnedFd) -> Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH
        | OpenTreeFlags::AT_RECURSIVE;
    rustix::mount::open_tree(place, "", flags)
}

/// Mounts a tree that is not yet anywhere, move_mount(2). An empty name means the place itself.
pub(super) fn attach(tree: &OwnedFd, place: BorrowedFd<'_>, name: &str) -> Result<()> {
    let mut flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    if name.is_empty() {
        flags |= MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    }
    rustix::mount::move_mount(tree, "", place, name, flags)
}

/// Sets flags of a mount, and of all mounts below it, mount_setattr(2). None is taken away.
///
/// # Errors
/// `EBUSY` where a file is open for writing on a mount that is to become read-only, `ENOSYS` before Linux 5.12.
pub(super) fn set_flags(mount: &OwnedFd, flags: MountAttrFlags, recursive: bool) -> Result<()> {
    let attr = libc::mount_attr {
        attr_set: u64::from(flags.bits()),
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    let at = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is a C string, and the structure is read only, for the length given with it.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            at,
            &raw const attr,
            size_of_val(&attr),
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::INVAL)),
    }
}

/// An empty file system in memory, not yet mounted anywhere. It holds names only; 64 KiB are more than enough.
pub(super) fn new_tmpfs() -> Result<OwnedFd> {
    let context = rustix::mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_set_string(&context, "mode", "0755")?;
    rustix::mount::fsconfig_set_string(&context, "size", "64k")?;
    rustix::mount::fsconfig_set_string(&context, "source", "hostcall-view")?;
    rustix::mount::fsconfig_create(&context)?;
    let flags = MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, flags)
}

/// Makes an empty directory or file to mount an export on, and the directories on the way.
pub(super) fn make_mount_point(root: &OwnedFd, path: &Path, is_dir: bool) -> Result<()> {
    let path = path.strip_prefix("/").unwrap_or(path);
    if is_dir {
        return make_dirs(root, path);
    }
    if let Some(parent) = path.parent() {
        make_dirs(root, parent)?;
    }
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    rustix::fs::openat(root, path, flags, Mode::from_raw_mode(0o444)).map(drop)
}

/// Makes a symbolic link and the directories on the way; one that is there already stays.
pub(super) fn make_link(root: &OwnedFd, path: &Path, target: &Path) -> Result<()> {
    let path = path.strip_prefix("/").unwrap_or(path);
    if let Some(parent) = path.parent() {
        make_dirs(root, parent)?;
    }
    existing_ok(rustix::fs::symlinkat(target, root, path))
}

fn make_dirs(root: &OwnedFd, path: &Path) -> Result<()> {
    let mut at = PathBuf::new();
    for name in path {
        at.push(name);
        // The umask of hostd has no say here: the user of the shadows must get through.
        let made = rustix::fs::mkdirat(root, &at, Mode::from_raw_mode(0o755));
        if made.is_ok() {
            rustix::fs::chmodat(
                root,
                &at,
                Mode::from_raw_mode(0o755),
                rustix::fs::AtFlags::empty(),
            )?;
        }
        existing_ok(made)?;
    }
    Ok(())
}

fn existing_ok(result: Result<()>) -> Result<()> {
    match result {
        Err(Errno::EXIST) => Ok(()),
        other => other,
    }
}

/// Whether a path lies on a proc file system.
pub(super) fn is_proc(path: &Path) -> io::Result<bool> {
    Ok(rustix::fs::statfs(path)?.f_type == PROC_SUPER_MAGIC)
}

/// Whether an open file lies on a proc file system.
pub(super) fn is_proc_fd(fd: &OwnedFd) -> Result<bool> {
    Ok(rustix::fs::fstatfs(fd)?.f_type == PROC_SUPER_MAGIC)
}

/// Where proc file systems are mounted, proc_pid_mountinfo(5).
pub(super) fn proc_mounts() -> io::Result<Vec<PathBuf>> {
    let table = std::fs::read("/proc/self/mountinfo")?;
    Ok(table
        .split(|&byte| byte == b'\n')
        .filter_map(proc_mount_point)
        .collect())
}

/// The mount point in a line of mountinfo, if it is of a proc file system. Fields 1–6 are fixed, then come optional
/// ones up to a lone `-`, then the type.
fn proc_mount_point(line: &[u8]) -> Option<PathBuf> {
    let fields: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
    let dash = fields.iter().skip(6).position(|&field| field == b"-")? + 6;
    if fields.get(dash + 1) != Some(&b"proc".as_slice()) {
        return None;
    }
    let point = unescape(fields.get(4)?);
    Some(PathBuf::from(OsString::from_vec(point)))
}

/// Undoes the octal escapes of space, tab, newline and backslash.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, tail)) = rest.split_first() {
        let digits = tail.get(..3).filter(|_| first == b'\\');
        let octal = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                plain.push(byte);
                rest = &tail[3..];
            }
            None => {
                plain.push(first);
                rest = tail;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_mounts_are_found_by_type() {
        let line = b"23 28 0:21 / /srv/a\\040b/proc rw,relatime shared:7 master:1 - proc proc rw";
        assert_eq!(proc_mount_point(line), Some(PathBuf::from("/srv/a b/proc")));
        let plain = b"24 28 0:21 / /proc rw - proc none rw";
        assert_eq!(proc_mount_point(plain), Some(PathBuf::from("/proc")));
        let other = b"25 28 0:22 / /proc/x rw - tmpfs proc rw";
        assert_eq!(proc_mount_point(other), None);
        assert_eq!(proc_mount_point(b""), None);
    }
}
