//! The calls, family by family: each executes one host system call for the guest.
//!
//! Nothing here knows the ring. A call sees private copies of its fields, descriptors that were checked against the
//! session's table, and windows that it hands to the kernel without looking into them. What the guest may reach is
//! the kernel's decision (view, Landlock, user), never a comparison of strings.

pub(crate) mod file;
pub(crate) mod link;
mod meta;
mod path;
mod session;

use crate::shadow::session::Session;
use hostcall::types::{DirFd, Errno};
use std::ffi::CStr;

/// The calling lane: its session, and how its last transfer went.
#[derive(Debug)]
pub struct Caller {
    /// The guest process's context.
    pub session: &'static Session,
    /// Whether the last call did all that it was asked to; linked calls are cancelled if not.
    pub complete: bool,
}

impl Caller {
    /// Where a path starts, for a system call. An absolute path starts at the root, whatever the descriptor is.
    fn dir(&self, dirfd: DirFd, path: &CStr) -> Result<i32, Errno> {
        match path.to_bytes().first() {
            Some(b'/') => Ok(libc::AT_FDCWD),
            _ => self.session.fds.dir(dirfd),
        }
    }
}

/// The `-1` convention as a result without a value.
fn done(value: impl Into<i64>) -> Result<(), Errno> {
    Errno::result(value.into()).map(drop)
}
