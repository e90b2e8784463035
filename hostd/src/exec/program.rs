//! The files that requests and rules speak of, as the user of programs finds them.

use super::policy::{is_pattern, Known, Rules};
use crate::config::{ExecConfig, Rule};
use hostcall::types::Errno;
use nix::unistd::AccessFlags;
use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

fn errno(error: &std::io::Error) -> Errno {
    Errno(error.raw_os_error().unwrap_or(libc::EIO))
}

/// A regular file that may be executed, without symbolic links.
fn executable(path: &Path) -> Result<PathBuf, Errno> {
    // Most places of a PATH hold no such name: one call tells, where following links takes one for each component.
    path.metadata().map_err(|error| errno(&error))?;
    let real = path.canonicalize().map_err(|error| errno(&error))?;
    let metadata = real.metadata().map_err(|error| errno(&error))?;
    if !metadata.is_file() {
        return Err(Errno(libc::EACCES));
    }
    nix::unistd::eaccess(&real, AccessFlags::X_OK).map_err(|error| Errno(error as i32))?;
    Ok(real)
}

/// The directories of a `PATH`. Relative ones would mean whatever the guest's working directory holds.
pub(super) fn directories(path: &str) -> impl Iterator<Item = &Path> {
    path.split(':')
        .map(Path::new)
        .filter(|directory| directory.is_absolute())
}

/// The program's file: by `path` if the name holds no slash.
///
/// # Errors
/// `ENOENT`, `EACCES` and the like, as for execvp(3).
pub(super) fn look_up(name: &CStr, path: &str) -> Result<PathBuf, Errno> {
    let name = name.to_bytes();
    if name.is_empty() {
        return Err(Errno(libc::ENOENT));
    }
    let own = Path::new(OsStr::from_bytes(name));
    if name.contains(&b'/') {
        return executable(own);
    }
    let mut failure = Errno(libc::ENOENT);
    for directory in directories(path) {
        match executable(&directory.join(own)) {
            Ok(found) => return Ok(found),
            // A later one may be executed; if none can, that one is there says more.
            Err(Errno(libc::EACCES)) => failure = Errno(libc::EACCES),
            Err(_) => {}
        }
    }
    Err(failure)
}

/// The files that the rules mean now.
pub(super) fn rules<'c>(config: &'c ExecConfig, path: &str) -> Rules<'c> {
    let known = |rule: &'c Rule| Known {
        rule,
        target: target(&rule.program, path),
    };
    let directories = config.directories.as_ref().map(|all| {
        let real = |directory: &PathBuf| directory.canonicalize().ok();
        all.iter().filter_map(real).collect()
    });
    Rules {
        allow: config.allow.iter().map(known).collect(),
        deny: config.deny.iter().map(known).collect(),
        directories,
    }
}

fn target(program: &str, path: &str) -> Option<PathBuf> {
    if is_pattern(program) {
        return None;
    }
    let name = std::ffi::CString::new(program).ok()?;
    look_up(&name, path).ok()
}
