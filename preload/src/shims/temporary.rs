//! Temporary files: mkstemp(3), mkdtemp(3) and their relatives, whose libc functions open past any hook.
#![allow(unsafe_code)]

use super::by_place;
use super::open::open_host;
use crate::fds;
use crate::real::{finish, shims, try_sys};
use crate::session;
use crate::symbols::own;
use hostcall::ops::Calls;
use hostcall::types::{Errno, Mode};
use libc::{c_char, c_int};
use std::ffi::CStr;
use syscalls::Sysno;

/// Names that are tried before `EEXIST`, as in glibc.
const TRIES: u32 = 62 * 62 * 62;

/// Replaces the six X before `suffix` bytes until `make` finds the name free.
///
/// # Safety
/// `template` is the program's writable C string.
unsafe fn invent<T>(
    template: *mut c_char,
    suffix: c_int,
    mut make: impl FnMut() -> Result<T, Errno>,
) -> Result<T, Errno> {
    const LETTERS: &[u8; 62] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    // SAFETY: the caller's promise.
    let text = unsafe { CStr::from_ptr(template) }.to_bytes();
    let start = usize::try_from(suffix)
        .ok()
        .and_then(|suffix| text.len().checked_sub(suffix + 6))
        .filter(|&start| text[start..].starts_with(b"XXXXXX"))
        .ok_or(Errno(libc::EINVAL))?;
    for _ in 0..TRIES {
        let mut random = [0u8; 8];
        // SAFETY: a live buffer and its length.
        unsafe { try_sys!(Sysno::getrandom, random.as_mut_ptr(), random.len(), 0) }?;
        let mut random = u64::from_ne_bytes(random);
        for place in 0..6 {
            let letter = LETTERS[(random % 62) as usize];
            random /= 62;
            // SAFETY: the six bytes lie within the template.
            unsafe { *template.add(start + place) = letter as c_char };
        }
        match make() {
            Err(Errno(libc::EEXIST)) => {}
            made => return made,
        }
    }
    Err(Errno(libc::EEXIST))
}

unsafe fn make_file(
    template: *mut c_char,
    suffix: c_int,
    flags: c_int,
    real: impl FnOnce() -> c_int,
) -> c_int {
    let flags = flags & !libc::O_ACCMODE | libc::O_RDWR | libc::O_CREAT | libc::O_EXCL;
    // SAFETY: the calling program's template, whose tail on the host is looked at anew after each change.
    unsafe {
        by_place!(
            libc::AT_FDCWD,
            template,
            |_, _| {
                fds::release_reserved();
                real()
            },
            |dir, path| {
                let path = path.as_ptr();
                finish(invent(template, suffix, || {
                    open_host(dir, CStr::from_ptr(path), flags, 0o600)
                }))
            }
        )
    }
}

shims! {
    fn mkstemp(template: *mut c_char) -> c_int {
        make_file(template, 0, 0, || own::mkstemp(template))
    }

    fn mkostemp(template: *mut c_char, flags: c_int) -> c_int {
        make_file(template, 0, flags, || own::mkostemp(template, flags))
    }

    fn mkstemps(template: *mut c_char, suffix: c_int) -> c_int {
        make_file(template, suffix, 0, || own::mkstemps(template, suffix))
    }

    fn mkostemps(template: *mut c_char, suffix: c_int, flags: c_int) -> c_int {
        make_file(template, suffix, flags, || own::mkostemps(template, suffix, flags))
    }

    fn mkdtemp(template: *mut c_char) -> *mut c_char {
        by_place!(
            libc::AT_FDCWD,
            template,
            |_, _| own::mkdtemp(template),
            |dir, path| {
                let path = path.as_ptr();
                let made = invent(template, 0, || {
                    session::client()?.mkdirat(dir, CStr::from_ptr(path), Mode(0o700))
                });
                finish(made.map(|_| template))
            }
        )
    }
}
