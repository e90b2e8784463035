//! The calls, family by family: each executes one host system call for the guest.
//!
//! Nothing here knows the ring. A call sees private copies of its fields, descriptors that were checked against the
//! session's table, and windows that it hands to the kernel without looking into them. What the guest may reach is
//! the kernel's decision (view, Landlock, user), never a comparison of strings.

mod attribute;
pub mod exec;
pub(crate) mod file;
mod hand_on;
mod identity;
mod kernel;
pub(crate) mod link;
mod meta;
mod path;
mod ready;
mod running;
pub mod scratch;
mod session;
mod translate;
pub mod watch;

use crate::shadow::session::Session;
use hostcall::ops::Op;
use hostcall::types::{DirFd, Errno};
use identity::Identity;
use std::ffi::CStr;

/// The calling lane: its session, and how its last transfer went.
#[derive(Debug)]
pub struct Caller {
    /// The guest process's context.
    pub session: &'static Session,
    /// Whether the last call did all that it was asked to; linked calls are cancelled if not.
    pub complete: bool,
    /// Whose rights its calls have, if they have their callers'.
    identity: Option<Identity>,
}

impl Caller {
    /// A lane's, on the thread that is to execute its calls.
    pub fn new(session: &'static Session) -> Caller {
        Caller {
            session,
            complete: true,
            identity: session.callers.as_ref().map(Identity::nobody),
        }
    }

    /// Whether a call can be executed: it is known whose rights it has, or it says so itself.
    pub fn may_execute(&self, code: u32) -> bool {
        match &self.identity {
            None => true,
            Some(identity) => identity.is_known() || code == Op::Impersonate as u32,
        }
    }

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
