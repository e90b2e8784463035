//! The guest's own kernel and libc beneath the hooks: raw system calls, errno, and libc's own functions.
//!
//! A hook forwards a foreign call by [`sys!`], which enters the kernel and sets errno and does nothing else, so it
//! works before libc is up, in signal handlers and under any lock. Hooks of cancellation points and of functions
//! that are more than a system call forward to the libc function they replace ([`own`](crate::symbols::own)).
#![allow(unsafe_code)]

use crate::libraries;
use hostcall::types::Errno;
use libc::{c_int, c_void};
use once_cell::race::OnceNonZeroUsize;
use std::ffi::CStr;
use std::num::NonZeroUsize;
use syscalls::Sysno;

/// What a libc function returns when it fails.
pub trait Failure {
    /// That value.
    const FAILED: Self;
}

/// Does what needs registers and room on the stack, so that a function which mostly passes its call on need not save and make them
/// first.
#[inline(never)]
pub fn apart<T>(work: impl FnOnce() -> T) -> T {
    work()
}

macro_rules! failure {
    ($($type:ty = $value:expr),*) => { $(impl Failure for $type { const FAILED: Self = $value; })* };
}
failure!(
    i32 = -1,
    i64 = -1,
    isize = -1,
    u32 = u32::MAX,
    usize = usize::MAX,
    () = ()
);
impl<T> Failure for *mut T {
    const FAILED: Self = std::ptr::null_mut();
}

/// Sets the calling thread's errno.
pub fn set_errno(errno: Errno) {
    // SAFETY: libc's own thread-local integer.
    unsafe { *libc::__errno_location() = errno.0 };
}

/// The calling thread's errno.
pub fn errno() -> Errno {
    // SAFETY: as above.
    Errno(unsafe { *libc::__errno_location() })
}

/// The calling thread, among the live ones of its process: a number that no other has, and never 0.
pub fn thread() -> usize {
    // SAFETY: as above.
    unsafe { libc::__errno_location() }.addr()
}

/// Turns a result of the host's or of our own into libc's convention: the value, or a failure with errno set.
pub fn finish<T: Failure>(result: Result<T, Errno>) -> T {
    match result {
        Ok(value) => value,
        Err(errno) => {
            match errno.0 {
                libc::EFBIG => crate::limits::beyond(),
                libc::EINTR => crate::cancel::interrupted(),
                _ => {}
            }
            failed(errno)
        }
    }
}

/// Sends the calling thread the signal that a call of the kernel's would have sent it.
#[cold]
pub fn signal_self(signal: c_int) {
    // SAFETY: plain system calls.
    unsafe {
        let process = try_sys!(Sysno::getpid).unwrap_or(0);
        let thread = try_sys!(Sysno::gettid).unwrap_or(0);
        let _: Result<isize, Errno> = try_sys!(Sysno::tgkill, process, thread, signal);
    }
}

/// What libc answers for a failure, errno set.
pub fn failed<T: Failure>(errno: Errno) -> T {
    set_errno(errno);
    T::FAILED
}

/// [`finish`] for answers that carry nothing: 0 or -1.
pub fn done<T>(result: Result<T, Errno>) -> c_int {
    finish(result.map(|_| 0))
}

/// A kernel return value as a result.
pub fn kernel(value: usize) -> Result<isize, Errno> {
    let value = value as isize;
    match value {
        -4095..=-1 => Err(Errno(-value as i32)),
        value => Ok(value),
    }
}

/// `try_sys!(Sysno::name, arguments…)`: enters the guest kernel, `Result<isize, Errno>`, errno untouched.
macro_rules! try_sys {
    ($($argument:expr),+ $(,)?) => { $crate::real::kernel(syscalls::raw_syscall!($($argument),+)) };
}

/// `sys!(Sysno::name, arguments…)`: enters the guest kernel and answers as libc does, errno included.
macro_rules! sys {
    ($($argument:expr),+ $(,)?) => { $crate::real::try_sys!($($argument),+).unwrap_or_else($crate::real::failed) as _ };
}

/// `fn name(arguments) -> type { body }`: the functions that serve the hooks of the same names. `brief` ones, which do little but
/// pass a call on, are part of the hook.
macro_rules! shims {
    (brief $( $(#[$attribute:meta])* fn $name:ident($($argument:ident : $type:ty),* $(,)?) -> $result:ty $body:block )*) => { $(
        $crate::real::shims! { @one #[inline(always)] $(#[$attribute])* fn $name($($argument: $type),*) -> $result $body }
    )* };
    (@one $(#[$attribute:meta])* fn $name:ident($($argument:ident : $type:ty),*) -> $result:ty $body:block) => {
        $(#[$attribute])*
        ///
        /// # Safety
        /// The contract of the libc function.
        #[allow(non_snake_case)]
        pub unsafe fn $name($($argument: $type),*) -> $result {
            // SAFETY: the caller's promise.
            #[allow(unused_unsafe)]
            unsafe { $body }
        }
    };
    ($( $(#[$attribute:meta])* fn $name:ident($($argument:ident : $type:ty),* $(,)?) -> $result:ty $body:block )*) => { $(
        // Once: the hook jumps to it, whether or not somebody looks on.
        $crate::real::shims! { @one #[inline(never)] $(#[$attribute])* fn $name($($argument: $type),*) -> $result $body }
    )* };
}

pub(crate) use {shims, sys, try_sys};

/// A function of libc, or a variable, found when it is needed; it may not exist. It does not hold its name, which would have to be
/// relocated at every start of a program. `MAX` if there is none.
pub struct Function(OnceNonZeroUsize);

impl Function {
    /// One that has not been looked for.
    pub const fn new() -> Function {
        Function(OnceNonZeroUsize::new())
    }

    /// The address of what is called `name` in the libraries after this one, as a pointer type.
    ///
    /// # Safety
    /// `F` must be the type of a pointer to it, for a function an `extern "C"` one, and the name always the same.
    pub unsafe fn next<F: Copy>(&self, name: &'static CStr) -> Option<F> {
        // SAFETY: the caller's promise.
        unsafe { self.get(name, libraries::next) }
    }

    /// The same in any library of the process, for what somebody may have loaded for himself.
    ///
    /// # Safety
    /// As for [`next`](Function::next).
    pub unsafe fn anywhere<F: Copy>(&self, name: &'static CStr) -> Option<F> {
        // SAFETY: the caller's promise.
        unsafe { self.get(name, libraries::anywhere) }
    }

    /// The address that is found once, by `seek`. A race finds it twice to the same value; nothing ever waits, so a signal handler may
    /// come in between.
    unsafe fn get<F: Copy>(&self, name: &CStr, seek: impl Fn(&CStr) -> *mut c_void) -> Option<F> {
        const { assert!(size_of::<F>() == size_of::<usize>()) };
        let found = self
            .0
            .get_or_init(|| NonZeroUsize::new(seek(name).addr()).unwrap_or(NonZeroUsize::MAX));
        // SAFETY: `F` is a pointer type by the assertion and of the right kind by the caller's promise.
        (found != NonZeroUsize::MAX).then(|| unsafe { std::mem::transmute_copy(&found.get()) })
    }
}
