//! POSIX asynchronous transfers, aio(7): libc makes them by threads of its own, past any hook, so a host file becomes one of
//! the mount first.
#![allow(unsafe_code)]

use crate::materialise;
use crate::observe::summary::Reason;
use crate::real::shims;
use crate::symbols::own;
use libc::{aiocb, c_int, c_void};

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

shims! {
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

    fn lio_listio(mode: c_int, list: *const *mut aiocb, count: c_int, event: *mut c_void) -> c_int {
        (0..count.max(0) as usize).for_each(|at| prepare(*list.add(at)));
        own::lio_listio(mode, list, count, event)
    }
}
