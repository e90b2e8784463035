//! A root directory for a guest out of another one: the same files, with private writable layers over them.
//!
//! One overlay over the whole root would be simpler, but the kernel refuses an overlay over a tree with
//! mounts inside that a user namespace may not take off, and an overlay shows nothing of such mounts.
//! So the root is a tmpfs, and each largest subtree without a mount below it gets an overlay of its own.

use super::mounts::{bind_read_only, descriptor_path, make_dir, make_file, put_file, tmpfs, Mount};
use super::plan::Context;
use nix::dir::Dir;
use nix::fcntl::{open, openat, readlinkat, AtFlags, OFlag};
use nix::mount::{mount, MsFlags};
use nix::sys::stat::{fstatat, FileStat, Mode};
use nix::unistd::symlinkat;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{lchown, PermissionsExt};
use std::path::{Path, PathBuf};

/// Largest file that is copied, bytes.
const COPIED: i64 = 1 << 20;

/// Builds roots.
pub struct Layers<'a> {
    /// The mounts of this namespace.
    pub mounts: &'a [Mount],
    /// Top-level names to leave out.
    pub without: &'a [&'a str],
    upper: PathBuf,
    count: usize,
}

impl<'a> Layers<'a> {
    /// `upper` becomes the tmpfs that takes what the guest writes.
    ///
    /// # Errors
    /// mount(2).
    pub fn new(
        mounts: &'a [Mount],
        without: &'a [&'a str],
        upper: PathBuf,
    ) -> Result<Layers<'a>, String> {
        tmpfs(&upper, 0o700, MsFlags::empty())?;
        Ok(Layers {
            mounts,
            without,
            upper,
            count: 0,
        })
    }

    /// Shows the tree of directory `base`, whose path is `path`, at `target`.
    ///
    /// # Errors
    /// One line. A single entry that cannot be shown is left out instead.
    pub fn show(&mut self, base: BorrowedFd<'_>, path: &Path, target: &Path) -> Result<(), String> {
        self.show_dir(base, path, target, true)
    }

    fn show_dir(
        &mut self,
        dir: BorrowedFd<'_>,
        path: &Path,
        target: &Path,
        top: bool,
    ) -> Result<(), String> {
        for name in names(dir).context(format_args!("read the directory {}", path.display()))? {
            if top
                && self
                    .without
                    .iter()
                    .any(|without| *without == name.as_os_str())
            {
                continue;
            }
            let Ok(stat) = fstatat(dir, name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW) else {
                continue;
            };
            let (path, target) = (path.join(&name), target.join(&name));
            match stat.st_mode & libc::S_IFMT {
                libc::S_IFLNK => {
                    if let Ok(link) = readlinkat(dir, name.as_os_str()) {
                        let _ = symlinkat(link.as_os_str(), nix::fcntl::AT_FDCWD, &target);
                    }
                }
                libc::S_IFDIR => {
                    let Ok(inner) = open_dir(dir, &name) else {
                        continue;
                    };
                    self.show_subtree(inner, &path, &target, &stat)?;
                }
                libc::S_IFREG => self.show_file(dir, &name, &target, &stat)?,
                // Sockets, FIFOs and devices of the host are ways out of the guest.
                _ => {}
            }
        }
        Ok(())
    }

    /// A file beside the mounts is copied, since no overlay covers it; a big one is shown read-only.
    fn show_file(
        &self,
        dir: BorrowedFd<'_>,
        name: &OsStr,
        target: &Path,
        stat: &FileStat,
    ) -> Result<(), String> {
        let flags = OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        if stat.st_size <= COPIED {
            // Not blocking: the entry may have become a FIFO since it was looked at.
            if let Ok(file) = openat(
                dir,
                name,
                flags | OFlag::O_RDONLY | OFlag::O_NONBLOCK,
                Mode::empty(),
            ) {
                put_file(
                    target,
                    File::from(file).take(COPIED as u64),
                    stat.st_mode & 0o777,
                )?;
                copy_owner(target, stat);
                return Ok(());
            }
        }
        if let Ok(file) = openat(dir, name, flags | OFlag::O_PATH, Mode::empty()) {
            make_file(target)?;
            bind_read_only(&descriptor_path(&file), target)?;
        }
        Ok(())
    }

    fn show_subtree(
        &mut self,
        dir: OwnedFd,
        path: &Path,
        target: &Path,
        stat: &FileStat,
    ) -> Result<(), String> {
        make_dir(target, 0o755)?;
        let here = self.mounts.iter().rev().find(|mount| mount.at == path);
        if here.is_some_and(Mount::is_pseudo) {
            return Ok(());
        }
        if self
            .mounts
            .iter()
            .any(|mount| mount.at != path && mount.at.starts_with(path))
        {
            copy_owner(target, stat);
            return self.show_dir(dir.as_fd(), path, target, false);
        }
        if self.overlay(&dir, target, stat).is_err() {
            // Without overlays the guest reads the directory and cannot write there.
            let _ = bind_read_only(&descriptor_path(&dir), target);
        }
        Ok(())
    }

    fn overlay(&mut self, lower: &OwnedFd, target: &Path, stat: &FileStat) -> Result<(), String> {
        let layer = self.upper.join(self.count.to_string());
        self.count += 1;
        let (upper, work) = (layer.join("u"), layer.join("w"));
        make_dir(&upper, 0o755)?;
        make_dir(&work, 0o700)?;
        // The merged directory shows the upper one's owner and mode.
        copy_owner(&upper, stat);
        let lower = descriptor_path(lower);
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            lower.display(),
            upper.display(),
            work.display()
        );
        // In a user namespace an overlay keeps its marks in user.* attributes; older kernels know no such option.
        let with_marks = format!("{options},userxattr");
        let attempt = |options: &str| {
            mount(
                Some("overlay"),
                target,
                Some("overlay"),
                MsFlags::empty(),
                Some(options),
            )
        };
        attempt(&with_marks)
            .or_else(|_| attempt(&options))
            .context("mount an overlay")
    }
}

/// Best effort: ids that the namespace does not map cannot be given.
fn copy_owner(at: &Path, stat: &FileStat) {
    let _ = lchown(at, Some(stat.st_uid), Some(stat.st_gid));
    let _ = fs::set_permissions(at, fs::Permissions::from_mode(stat.st_mode & 0o7777));
}

/// Opens the directory that a guest's root is made of.
///
/// # Errors
/// open(2).
pub fn open_root(path: &Path) -> Result<OwnedFd, String> {
    open(
        path,
        OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC,
        Mode::empty(),
    )
    .context(format_args!("open the guest's root {}", path.display()))
}

fn open_dir(dir: BorrowedFd<'_>, name: &OsStr) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    openat(dir, name, flags, Mode::empty())
}

fn names(dir: BorrowedFd<'_>) -> nix::Result<Vec<OsString>> {
    let mut dir = Dir::openat(
        dir,
        ".",
        OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC,
        Mode::empty(),
    )?;
    let mut names = Vec::new();
    for entry in dir.iter() {
        let name = OsStr::from_bytes(entry?.file_name().to_bytes()).to_owned();
        if name != "." && name != ".." {
            names.push(name);
        }
    }
    Ok(names)
}
