//! The programs that a guest could start, for completion.

use super::policy::{could, Request};
use super::{environment, program, Policy};
use hostcall::types::Errno;
use nix::sys::memfd::{memfd_create, MFdFlags};
use std::collections::BTreeSet;
use std::ffi::CString;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// Bytes of names that are listed at most: more than fit one answer to a guest.
const MOST_BYTES: usize = 1 << 20;

/// A memory file of the names that begin with `text` and that the policy does not refuse whatever the arguments: sorted, each
/// ended by a NUL.
pub(super) fn programs(policy: &Policy, text: &[u8]) -> Result<OwnedFd, Errno> {
    let base = environment::base(&policy.user, &policy.config.environment);
    let path = base.get("PATH").map_or("", String::as_str);
    let rules = program::rules(&policy.config, path);
    let mut names = BTreeSet::new();
    for directory in program::directories(path) {
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        names.extend(
            entries
                .map(|entry| entry.file_name())
                .filter(|name| name.as_bytes().starts_with(text)),
        );
    }
    let mut list = Vec::new();
    for name in names {
        let Ok(name) = CString::new(name.into_vec()) else {
            continue;
        };
        let Ok(file) = program::look_up(&name, path) else {
            continue;
        };
        let arguments = [name];
        let request = Request {
            program: &file,
            arguments: &arguments,
            directory: Path::new("/"),
        };
        let bytes = arguments[0].as_bytes_with_nul();
        if could(&rules, &request) && list.len() + bytes.len() <= MOST_BYTES {
            list.extend_from_slice(bytes);
        }
    }
    let errno = |error: nix::Error| Errno(error as i32);
    let mut file =
        std::fs::File::from(memfd_create(c"hostcall-list", MFdFlags::MFD_CLOEXEC).map_err(errno)?);
    file.write_all(&list)
        .map_err(|error| Errno(error.raw_os_error().unwrap_or(libc::EIO)))?;
    Ok(file.into())
}
