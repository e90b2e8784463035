//! Programs in which every hook is passed by, so that host files are the mount's alone: those that `HOSTCALL_BYPASS` names, and those
//! that Go's compiler made ([`runtime`](crate::runtime)).
//!
//! The program itself says so as it starts, and makes files of the mount of what it was handed over. Whatever it executes
//! loads the library as ever.
#![allow(unsafe_code)]

use crate::real::try_sys;
use crate::report::say;
use crate::{cwd, fds, materialise, observe, session};
use std::ffi::CStr;
use syscalls::Sysno;

/// Whether this program is one of a list of file names, separated by colons: by the name of its image, or of the script or
/// link that was executed.
pub fn names_this(list: &[u8]) -> bool {
    let mut room = [0u8; libc::PATH_MAX as usize];
    let link = c"/proc/self/exe".as_ptr();
    // SAFETY: a NUL-terminated path, a live buffer and its length.
    let image = unsafe {
        try_sys!(
            Sysno::readlinkat,
            libc::AT_FDCWD,
            link,
            room.as_mut_ptr(),
            room.len()
        )
    };
    let image = &room[..image.unwrap_or(0) as usize];
    // SAFETY: the kernel's own copy of the path that was executed, or null.
    let executed = unsafe {
        let path = libc::getauxval(libc::AT_EXECFN) as *const libc::c_char;
        if path.is_null() {
            c""
        } else {
            CStr::from_ptr(path)
        }
    };
    contains(list, [image, executed.to_bytes()].map(base))
}

/// The last component of a path.
fn base(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or_default()
}

fn contains(list: &[u8], wanted: [&[u8]; 2]) -> bool {
    names(list).any(|name| wanted.contains(&name))
}

fn names(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|&byte| byte == b':')
        .filter(|name| !name.is_empty())
}

/// Tells of what the list holds and cannot be meant.
pub fn judge(list: &[u8]) {
    for name in names(list).filter(|name| name.contains(&b'/')) {
        say(&format_args!(
            "HOSTCALL_BYPASS names `{}`, which is no program; set it to file names without directory, separated by colons",
            name.escape_ascii()
        ));
    }
}

/// Has the hooks passed by from now on, and what the session brought along become the guest kernel's.
pub fn begin() {
    let left = materialise::inheritance(|_| true);
    if left > 0 {
        say(&format_args!(
            "{left} inherited host files cannot be used by a program of Go, or in HOSTCALL_BYPASS, without the mount of the host's files; mount it with hostfs"
        ));
    }
    fds::forget_all();
    cwd::forget();
    session::leave();
    observe::bypass();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_whole() {
        let named = |list: &str| contains(list.as_bytes(), [b"python3.11", b"tool"]);
        assert!(named("tool") && named("python3.11") && named("a:tool:b"));
        assert!(!named("") && !named("python3") && !named("/usr/bin/tool") && !named("a::b"));
        assert_eq!(base(b"/usr/bin/x"), b"x");
        assert_eq!(base(b"x"), b"x");
    }
}
