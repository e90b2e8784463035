//! The file actions of posix_spawn(3), as glibc records them.
#![allow(unsafe_code)]

use crate::real::errno;
use hostcall::types::Errno;
use libc::{c_char, c_int, mode_t, posix_spawn_file_actions_t};

/// glibc's record of one file action (`sysdeps/unix/…/spawn_int.h`, unchanged since 2.29 but for new tags at the end).
#[repr(C)]
pub struct Action {
    tag: c_int,
    detail: Detail,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub union Detail {
    /// close, closefrom, fchdir, tcsetpgrp.
    fd: c_int,
    /// dup2.
    pair: [c_int; 2],
    open: Open,
    /// chdir.
    path: *const c_char,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Open {
    fd: c_int,
    path: *const c_char,
    flags: c_int,
    mode: mode_t,
}

impl Action {
    /// dup2 of one number onto another.
    pub fn duplicate(from: c_int, to: c_int) -> Action {
        let detail = Detail { pair: [from, to] };
        Action { tag: DUP2, detail }
    }

    /// close of a number, which need not be open.
    pub const fn close(fd: c_int) -> Action {
        let detail = Detail { fd };
        Action { tag: CLOSE, detail }
    }

    /// The path that it names, if it names one.
    pub fn path(&self) -> Option<*const c_char> {
        // SAFETY: the tag says which detail is there.
        unsafe {
            match self.tag {
                OPEN => Some(self.detail.open.path),
                CHDIR => Some(self.detail.path),
                _ => None,
            }
        }
    }

    /// Whether it changes the working directory.
    pub fn moves(&self) -> bool {
        matches!(self.tag, CHDIR | FCHDIR)
    }

    /// Does it by the hooked calls, in the child.
    ///
    /// # Safety
    /// It is one of a list of libc's, and its path a C string.
    pub unsafe fn perform(&self) -> Result<(), Errno> {
        let detail = &self.detail;
        // SAFETY: the caller's promise.
        unsafe {
            match self.tag {
                CLOSE => {
                    // Closing what is closed is no error here.
                    libc::close(detail.fd);
                }
                DUP2 if detail.pair[0] == detail.pair[1] => {
                    // Then close-on-exec is cleared, unlike in dup2(2).
                    check(libc::fcntl(detail.pair[0], libc::F_SETFD, 0))?;
                }
                DUP2 => {
                    check(libc::dup2(detail.pair[0], detail.pair[1]))?;
                }
                OPEN => {
                    let open = detail.open;
                    libc::close(open.fd);
                    let fd = check(libc::open(open.path, open.flags, open.mode))?;
                    if fd != open.fd {
                        check(libc::dup2(fd, open.fd))?;
                        libc::close(fd);
                    }
                }
                CHDIR => {
                    check(libc::chdir(detail.path))?;
                }
                FCHDIR => {
                    check(libc::fchdir(detail.fd))?;
                }
                CLOSEFROM => crate::shims::open::closefrom(detail.fd),
                TCSETPGRP => {
                    check(libc::tcsetpgrp(detail.fd, libc::getpgrp()))?;
                }
                _ => return Err(Errno(libc::EINVAL)),
            }
        }
        Ok(())
    }
}

/// glibc's `posix_spawn_file_actions_t`.
#[repr(C)]
struct Actions {
    allocated: c_int,
    used: c_int,
    list: *const Action,
}

const CLOSE: c_int = 0;
const DUP2: c_int = 1;
const OPEN: c_int = 2;
const CHDIR: c_int = 3;
const FCHDIR: c_int = 4;
const CLOSEFROM: c_int = 5;
const TCSETPGRP: c_int = 6;

/// A program's list.
///
/// # Safety
/// `actions` is null or was made by posix_spawn_file_actions_init(3).
pub unsafe fn list<'a>(actions: *const posix_spawn_file_actions_t) -> &'a [Action] {
    // SAFETY: the caller's promise.
    unsafe {
        match actions.cast::<Actions>().as_ref() {
            Some(actions) if actions.used > 0 && !actions.list.is_null() => {
                std::slice::from_raw_parts(actions.list, actions.used as usize)
            }
            _ => &[],
        }
    }
}

/// An answer of libc's as a result.
pub fn check(result: c_int) -> Result<c_int, Errno> {
    match result {
        -1 => Err(errno()),
        result => Ok(result),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn glibc_records_actions_as_they_are_read_here() {
        // SAFETY: structures of libc, made and ended by its functions.
        unsafe {
            let mut actions = std::mem::zeroed();
            libc::posix_spawn_file_actions_init(&mut actions);
            libc::posix_spawn_file_actions_addclose(&mut actions, 7);
            libc::posix_spawn_file_actions_adddup2(&mut actions, 3, 9);
            libc::posix_spawn_file_actions_addopen(
                &mut actions,
                5,
                c"/x".as_ptr(),
                libc::O_APPEND,
                0o640,
            );
            let list = list(&actions);
            assert_eq!(
                list.iter().map(|action| action.tag).collect::<Vec<_>>(),
                [CLOSE, DUP2, OPEN]
            );
            assert_eq!(list[0].detail.fd, 7);
            assert_eq!(list[1].detail.pair, [3, 9]);
            let open = list[2].detail.open;
            assert_eq!((open.fd, open.flags, open.mode), (5, libc::O_APPEND, 0o640));
            assert_eq!(std::ffi::CStr::from_ptr(open.path), c"/x");
            libc::posix_spawn_file_actions_destroy(&mut actions);
        }
    }
}
