//! Watches: inotify_add_watch(2).
//!
//! The guest kernel would watch a host file on the mount, and see only what is done there. Whoever is refused, with the
//! errno of a system that has no watches left, looks at the file from time to time instead.
#![allow(unsafe_code)]

use super::by_place;
use crate::real::{finish, hooks_over};
use hostcall::types::Errno;
use libc::{c_char, c_int};

hooks_over! {
    fn inotify_add_watch(fd: c_int, path: *const c_char, mask: u32) -> c_int => hooked_add_watch {
        by_place!(
            libc::AT_FDCWD,
            path,
            |_, path| redhook::real!(inotify_add_watch)(fd, path, mask),
            |_, _| finish(Err(Errno(libc::ENOSPC)))
        )
    }
}
