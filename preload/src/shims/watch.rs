//! Watches: inotify(7).
//!
//! The guest kernel would watch a host file on the mount, and see only what is done there. Whoever is refused, with the
//! errno of a system that has no watches left, looks at the file from time to time instead.
#![allow(unsafe_code)]

use super::by_place;
use crate::fds;
use crate::real::{finish, shims};
use crate::symbols::own;
use hostcall::types::Errno;
use libc::{c_char, c_int};

shims! {
    fn inotify_init() -> c_int {
        fds::release_reserved();
        own::inotify_init()
    }

    fn inotify_init1(flags: c_int) -> c_int {
        fds::release_reserved();
        own::inotify_init1(flags)
    }

    fn inotify_add_watch(fd: c_int, path: *const c_char, mask: u32) -> c_int {
        by_place!(
            libc::AT_FDCWD,
            path,
            |_, path| own::inotify_add_watch(fd, path, mask),
            |_, _| finish(Err(Errno(libc::ENOSPC)))
        )
    }
}
