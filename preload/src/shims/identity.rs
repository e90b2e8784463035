//! The process's ids, which its host calls have where each call has the rights of its caller: setuid(2) and its kin.
//!
//! The kernel is asked what came of a change when the next host call is made; here it is only noted that there was one.
//! libc changes the ids of all threads together, but those of setfsuid(2) and setfsgid(2) are one thread's own.
#![allow(unsafe_code)]

use crate::real::shims;
use crate::session;
use crate::symbols::own;
use hostcall::acting::Credentials;
use hostcall::client::Client;
use hostcall::ids::{GuestGid, GuestUid, MOST_GROUPS};
use hostcall::ops::Calls;
use hostcall::types::{AtFlags, DirFd, Errno};
use libc::{c_char, c_int, gid_t, size_t, uid_t};
use std::ffi::CStr;

/// Notes a change, whether or not it has succeeded.
fn changed(result: c_int) -> c_int {
    session::ids_changed(false);
    result
}

fn changed_here(result: c_int) -> c_int {
    session::ids_changed(true);
    result
}

/// access(2), which asks for the real ids where host calls have the effective ones.
pub fn may_access(
    client: &Client,
    dir: DirFd,
    path: &CStr,
    mode: c_int,
    flags: c_int,
) -> Result<(), Errno> {
    // SAFETY: plain calls.
    let (uid, gid, effective) = unsafe {
        (
            libc::getuid(),
            libc::getgid(),
            (libc::geteuid(), libc::getegid()),
        )
    };
    let as_itself = flags & libc::AT_EACCESS != 0 || (uid, gid) == effective;
    if as_itself || !client.has_callers() {
        return client.faccessat2(dir, path, mode, AtFlags(flags)).map(drop);
    }
    let mut groups = [GuestGid::NONE; MOST_GROUPS];
    // SAFETY: a live list of transparent integers of the length given with it.
    let count = unsafe { libc::getgroups(groups.len() as c_int, groups.as_mut_ptr().cast()) };
    let count = Errno::result(count.into())? as usize;
    let who = Credentials {
        uid: GuestUid(uid),
        gid: GuestGid(gid),
        groups: groups.get(..count).unwrap_or_default(),
        umask: None,
    };
    let calls = client.acting_as(&who);
    calls.faccessat2(dir, path, mode, AtFlags(flags)).map(drop)
}

shims! {
    fn setuid(uid: uid_t) -> c_int {
        changed(own::setuid(uid))
    }

    fn seteuid(uid: uid_t) -> c_int {
        changed(own::seteuid(uid))
    }

    fn setreuid(real: uid_t, effective: uid_t) -> c_int {
        changed(own::setreuid(real, effective))
    }

    fn setresuid(real: uid_t, effective: uid_t, saved: uid_t) -> c_int {
        changed(own::setresuid(real, effective, saved))
    }

    fn setgid(gid: gid_t) -> c_int {
        changed(own::setgid(gid))
    }

    fn setegid(gid: gid_t) -> c_int {
        changed(own::setegid(gid))
    }

    fn setregid(real: gid_t, effective: gid_t) -> c_int {
        changed(own::setregid(real, effective))
    }

    fn setresgid(real: gid_t, effective: gid_t, saved: gid_t) -> c_int {
        changed(own::setresgid(real, effective, saved))
    }

    fn setgroups(count: size_t, groups: *const gid_t) -> c_int {
        changed(own::setgroups(count, groups))
    }

    fn initgroups(user: *const c_char, group: gid_t) -> c_int {
        changed(own::initgroups(user, group))
    }

    fn setfsuid(uid: uid_t) -> c_int {
        changed_here(own::setfsuid(uid))
    }

    fn setfsgid(gid: gid_t) -> c_int {
        changed_here(own::setfsgid(gid))
    }
}
