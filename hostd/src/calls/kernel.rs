//! System calls made in place, for the calls that programs make most.
//!
//! Behind a system call each return is predicted wrongly, for the kernel's own have come between (return stack buffer);
//! and libc's functions for files are cancellation points of pthreads(7), two atomic operations each.

use hostcall::types::Errno;
use syscalls::Sysno;

/// A return value of the kernel as a result.
#[inline(always)]
pub(super) fn result(value: usize) -> Result<i64, Errno> {
    match value as i64 {
        errno @ -4095..=-1 => Err(Errno(-errno as i32)),
        value => Ok(value),
    }
}

/// fstatat(2), which has a name of its own on each architecture.
#[cfg(target_arch = "x86_64")]
pub(super) const STAT_AT: Sysno = Sysno::newfstatat;
#[cfg(not(target_arch = "x86_64"))]
pub(super) const STAT_AT: Sysno = Sysno::fstatat;

/// `kernel!(Sysno::name, arguments…)`: one system call, `Result<i64, Errno>`, errno untouched.
macro_rules! kernel {
    ($number:expr $(, $argument:expr)* $(,)?) => {
        $crate::calls::kernel::result(syscalls::raw_syscall!($number $(, $argument)*))
    };
}

pub(super) use kernel;
