//! Asynchronous transfers, past any hook: libc's, aio(7), by threads of its own, and the kernel's, io_submit(2) and io_uring(7). So a
//! host file becomes one of the mount first. libaio and liburing enter the kernel by themselves: there it is their functions that are
//! hooked.
#![allow(unsafe_code)]

use crate::observe::summary::Reason;
use crate::real::{failed, shims, sys, try_sys};
use crate::symbols::own;
use crate::{fds, materialise};
use hostcall::access::get;
use hostcall::types::Errno;
use libc::{aiocb, c_int, c_long, c_uint, c_void, sigset_t, size_t};
use syscalls::Sysno;

/// Where a transfer of the kernel's, `struct iocb` of `linux/aio_abi.h`, has its descriptor: behind the program's word, a key,
/// flags, operation and priority.
const SUBMITTED_FILE: usize = 20;

/// Makes the file of a transfer one of the mount. Where there is none it stays a placeholder, and the transfer fails.
///
/// # Safety
/// `control` is null or describes a transfer.
unsafe fn prepare(control: *const aiocb) {
    // SAFETY: the caller's promise.
    if let Some(control) = unsafe { control.as_ref() } {
        let _ = materialise::in_place(control.aio_fildes, Reason::Asynchronous);
    }
}

/// io_submit(2), with the files of the transfers made the mount's.
///
/// # Safety
/// As io_submit(2).
unsafe fn submitted(
    context: *mut c_void,
    count: c_long,
    list: *const *mut c_void,
) -> Result<isize, Errno> {
    // SAFETY: the caller's promise.
    unsafe {
        if fds::any() {
            for at in 0..count.max(0) as usize {
                // What cannot be read the kernel refuses, after the transfers before it.
                let Ok(control) = get(list.wrapping_add(at)) else {
                    break;
                };
                let Ok(file) = get(control.wrapping_byte_add(SUBMITTED_FILE).cast::<c_int>())
                else {
                    break;
                };
                let _ = materialise::in_place(file, Reason::Asynchronous);
            }
        }
        try_sys!(Sysno::io_submit, context, count, list)
    }
}

/// The system call itself.
///
/// # Safety
/// As io_submit(2).
pub unsafe fn submit(context: *mut c_void, count: c_long, list: *const *mut c_void) -> c_long {
    // SAFETY: the caller's promise.
    unsafe { submitted(context, count, list) }.map_or_else(failed, |count| count as c_long)
}

/// Before a ring's transfers, or files for them, are handed over. Which files are meant stands in memory that the kernel may be
/// reading already, so all of them are made the mount's: a program that has rings has few others.
fn prepare_rings() {
    if fds::any() {
        materialise::for_rings();
    }
}

/// io_uring_enter(2).
///
/// # Safety
/// As the system call.
pub unsafe fn enter(
    ring: c_uint,
    submitted: c_uint,
    wanted: c_uint,
    flags: c_uint,
    argument: *const c_void,
    size: usize,
) -> c_int {
    if submitted > 0 {
        prepare_rings();
    }
    // SAFETY: the caller's arguments.
    unsafe {
        sys!(
            Sysno::io_uring_enter,
            ring,
            submitted,
            wanted,
            flags,
            argument,
            size
        )
    }
}

/// io_uring_register(2), which may be told files by a list, in one of several forms.
///
/// # Safety
/// As the system call.
pub unsafe fn register(
    ring: c_uint,
    operation: c_uint,
    argument: *mut c_void,
    count: c_uint,
) -> c_int {
    prepare_rings();
    // SAFETY: the caller's arguments.
    unsafe { sys!(Sysno::io_uring_register, ring, operation, argument, count) }
}

shims! {
    /// Of libaio, which answers errors as negative numbers.
    fn io_submit(context: *mut c_void, count: c_long, list: *const *mut c_void) -> c_int {
        submitted(context, count, list).map_or_else(|errno| -errno.0, |count| count as c_int)
    }

    fn aio_read(control: *mut aiocb) -> c_int {
        prepare(control);
        own::aio_read(control)
    }

    fn aio_write(control: *mut aiocb) -> c_int {
        prepare(control);
        own::aio_write(control)
    }

    fn aio_fsync(operation: c_int, control: *mut aiocb) -> c_int {
        prepare(control);
        own::aio_fsync(operation, control)
    }

    fn io_uring_enter(ring: c_uint, submitted: c_uint, wanted: c_uint, flags: c_uint, mask: *mut sigset_t) -> c_int {
        prepare_rings();
        own::io_uring_enter(ring, submitted, wanted, flags, mask)
    }

    fn io_uring_enter2(ring: c_uint, submitted: c_uint, wanted: c_uint, flags: c_uint, argument: *mut c_void, size: size_t) -> c_int {
        prepare_rings();
        own::io_uring_enter2(ring, submitted, wanted, flags, argument, size)
    }

    fn io_uring_register(ring: c_uint, operation: c_uint, argument: *const c_void, count: c_uint) -> c_int {
        prepare_rings();
        own::io_uring_register(ring, operation, argument, count)
    }

    fn io_uring_register_files(ring: *mut c_void, files: *const c_int, count: c_uint) -> c_int {
        prepare_rings();
        own::io_uring_register_files(ring, files, count)
    }

    fn io_uring_register_files_tags(ring: *mut c_void, files: *const c_int, tags: *const u64, count: c_uint) -> c_int {
        prepare_rings();
        own::io_uring_register_files_tags(ring, files, tags, count)
    }

    fn io_uring_register_files_update(ring: *mut c_void, at: c_uint, files: *const c_int, count: c_uint) -> c_int {
        prepare_rings();
        own::io_uring_register_files_update(ring, at, files, count)
    }

    fn io_uring_register_files_update_tag(ring: *mut c_void, at: c_uint, files: *const c_int, tags: *const u64, count: c_uint) -> c_int {
        prepare_rings();
        own::io_uring_register_files_update_tag(ring, at, files, tags, count)
    }

    fn io_uring_submit(ring: *mut c_void) -> c_int {
        prepare_rings();
        own::io_uring_submit(ring)
    }

    fn io_uring_submit_and_get_events(ring: *mut c_void) -> c_int {
        prepare_rings();
        own::io_uring_submit_and_get_events(ring)
    }

    fn io_uring_submit_and_wait(ring: *mut c_void, wanted: c_uint) -> c_int {
        prepare_rings();
        own::io_uring_submit_and_wait(ring, wanted)
    }

    fn io_uring_submit_and_wait_min_timeout(ring: *mut c_void, done: *mut *mut c_void, wanted: c_uint, timeout: *mut c_void, least: c_uint, mask: *mut sigset_t) -> c_int {
        prepare_rings();
        own::io_uring_submit_and_wait_min_timeout(ring, done, wanted, timeout, least, mask)
    }

    fn io_uring_submit_and_wait_reg(ring: *mut c_void, done: *mut *mut c_void, wanted: c_uint, region: c_int) -> c_int {
        prepare_rings();
        own::io_uring_submit_and_wait_reg(ring, done, wanted, region)
    }

    fn io_uring_submit_and_wait_timeout(ring: *mut c_void, done: *mut *mut c_void, wanted: c_uint, timeout: *mut c_void, mask: *mut sigset_t) -> c_int {
        prepare_rings();
        own::io_uring_submit_and_wait_timeout(ring, done, wanted, timeout, mask)
    }

    fn lio_listio(mode: c_int, list: *const *mut aiocb, count: c_int, event: *mut c_void) -> c_int {
        (0..count.max(0) as usize).for_each(|at| prepare(*list.add(at)));
        own::lio_listio(mode, list, count, event)
    }
}
