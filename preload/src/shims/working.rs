//! What belongs to the process: working directory, root and umask. chdir(2), getcwd(3), chroot(2), umask(2).
#![allow(unsafe_code)]

use super::by_file;
use super::open::refuse_reserved;
use crate::real::{done, finish, shims, sys, try_sys};
use crate::symbols::own;
use crate::{cwd, materialise, session};
use hostcall::access::copy;
use hostcall::types::{DirFd, Errno, RemoteFd};
use libc::{c_char, c_int, mode_t, size_t};
use syscalls::Sysno;

const MOST: usize = libc::PATH_MAX as usize;

pub unsafe fn change(path: *const c_char) -> c_int {
    // SAFETY: the calling program's path.
    unsafe {
        by_file!(
            libc::AT_FDCWD,
            path,
            0,
            |_, path| done(try_sys!(Sysno::chdir, path).inspect(|_| cwd::forget())),
            |dir, path, _| done(match dir {
                DirFd::CWD => cwd::enter_path(path),
                open => cwd::enter_open(RemoteFd(open.0)),
            })
        )
    }
}

/// getcwd(3) on the host: into `buffer`, or a fresh one of `len` bytes (0: as many as needed) if that is null.
unsafe fn current(buffer: *mut c_char, len: size_t) -> Result<*mut c_char, Errno> {
    if !buffer.is_null() && len == 0 {
        return Err(Errno(libc::EINVAL));
    }
    let mut room = [0u8; MOST + crate::route::PREFIX_MAX + 1];
    let needed = cwd::host_path(&mut room[..MOST + crate::route::PREFIX_MAX])?.len() + 1;
    if len != 0 && len < needed {
        return Err(Errno(libc::ERANGE));
    }
    room[needed - 1] = 0;
    // SAFETY: malloc has no precondition; the text fits the buffer by the check above.
    unsafe {
        let to = match buffer.is_null() {
            true => libc::malloc(len.max(needed)).cast(),
            false => buffer,
        };
        if to.is_null() {
            return Err(Errno(libc::ENOMEM));
        }
        match copy(room.as_ptr(), to.cast(), needed) {
            0 => Ok(to),
            _ => Err(Errno(libc::EFAULT)),
        }
    }
}

shims! {
    fn chdir(path: *const c_char) -> c_int {
        change(path)
    }

    fn fchdir(fd: c_int) -> c_int {
        match refuse_reserved(fd) {
            true => -1,
            false => done(cwd::enter_fd(fd)),
        }
    }

    fn chroot(path: *const c_char) -> c_int {
        // From the new root there is no way to the mount.
        materialise::all();
        let stands_there = cwd::on_host() && cwd::kernel_is_there();
        let done: c_int = sys!(Sysno::chroot, path);
        if done == 0 {
            session::leave_prefix();
            // What its path is in that root only the guest kernel can tell.
            if stands_there {
                cwd::forget();
            }
        }
        done
    }

    fn umask(mask: mode_t) -> mode_t {
        session::set_umask(mask)
    }

    fn __getcwd_chk(buffer: *mut c_char, len: size_t, room: size_t) -> *mut c_char {
        super::io::fortify(len, room);
        getcwd(buffer, len)
    }

    fn getwd(buffer: *mut c_char) -> *mut c_char {
        getcwd(buffer, MOST)
    }

    fn __getwd_chk(buffer: *mut c_char, room: size_t) -> *mut c_char {
        getcwd(buffer, MOST.min(room))
    }
}

shims! {
    fn getcwd(buffer: *mut c_char, len: size_t) -> *mut c_char {
        match cwd::on_host() {
            true => finish(current(buffer, len)),
            false => own::getcwd(buffer, len),
        }
    }

    fn get_current_dir_name() -> *mut c_char {
        match cwd::on_host() {
            true => finish(current(std::ptr::null_mut(), 0)),
            false => own::get_current_dir_name(),
        }
    }
}
