//! The guest's own kernel and libc beneath the hooks: raw system calls, errno, and libc's own functions.
//!
//! A hook forwards a foreign call by [`sys!`], which enters the kernel and sets errno and does nothing else, so it
//! works before libc is up, in signal handlers and under any lock. Hooks of cancellation points and of functions
//! that are more than a system call are made with [`hooks_over!`] and forward to the libc function they replace.
#![allow(unsafe_code)]

use hostcall::types::Errno;
use libc::c_int;
use once_cell::race::OnceNonZeroUsize;
use std::ffi::CStr;
use std::num::NonZeroUsize;

/// What a libc function returns when it fails.
pub trait Failure {
    /// That value.
    const FAILED: Self;
}

macro_rules! failure {
    ($($type:ty = $value:expr),*) => { $(impl Failure for $type { const FAILED: Self = $value; })* };
}
failure!(i32 = -1, i64 = -1, isize = -1, u32 = u32::MAX);
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

/// Turns a result into libc's convention: the value, or a failure with errno set.
pub fn finish<T: Failure>(result: Result<T, Errno>) -> T {
    match result {
        Ok(value) => value,
        Err(errno) => {
            set_errno(errno);
            T::FAILED
        }
    }
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
    ($($argument:expr),+ $(,)?) => { $crate::real::finish($crate::real::try_sys!($($argument),+)) as _ };
}

/// Hooks that forward by system call: `fn name | alias | … (arguments) -> type { body }`. Aliases share the body.
macro_rules! hooks {
    () => {};
    ($(#[$attribute:meta])* fn $name:ident $(| $alias:ident)* ($($arguments:tt)*) -> $result:ty $body:block $($rest:tt)*) => {
        $crate::real::hooks!(@body [$(#[$attribute])*] $name ($($arguments)*) ($result) $body);
        $crate::real::hooks!(@aliases [$($alias)*] $name ($($arguments)*) ($result));
        $crate::real::hooks!($($rest)*);
    };
    (@body [$($attribute:tt)*] $name:ident ($($argument:ident : $type:ty),* $(,)?) ($result:ty) $body:block) => {
        $($attribute)*
        #[no_mangle]
        pub unsafe extern "C" fn $name($($argument: $type),*) -> $result {
            // SAFETY: the calling program keeps the contract of the libc function that this replaces.
            #[allow(unused_unsafe)]
            unsafe { $body }
        }
    };
    (@aliases [] $($rest:tt)*) => {};
    (@aliases [$alias:ident $($more:ident)*] $name:ident ($($argument:ident : $type:ty),* $(,)?) ($result:ty)) => {
        #[no_mangle]
        pub unsafe extern "C" fn $alias($($argument: $type),*) -> $result {
            // SAFETY: the alias has the contract of the function.
            unsafe { $name($($argument),*) }
        }
        $crate::real::hooks!(@aliases [$($more)*] $name ($($argument: $type),*) ($result));
    };
}

/// Hooks over a libc function, which the body calls as `redhook::real!(name)(…)`; `resolve` finds them all early, so
/// that none is looked up for the first time inside a signal handler.
macro_rules! hooks_over {
    ($( fn $name:ident ($($argument:ident : $type:ty),* $(,)?) -> $result:ty => $hook:ident $body:block )*) => {
        $(
            redhook::hook! {
                unsafe fn $name($($argument: $type),*) -> $result => $hook {
                    // SAFETY: the calling program keeps the contract of the libc function that this replaces.
                    #[allow(unused_unsafe)]
                    unsafe { $body }
                }
            }
        )*
        /// Looks up the functions beneath this file's hooks.
        pub fn resolve() {
            $( let _ = redhook::real!($name); )*
        }
    };
}

pub(crate) use {hooks, hooks_over, sys, try_sys};

/// A libc function that may not exist, or that has several generations.
pub struct Symbol {
    name: &'static CStr,
    found: OnceNonZeroUsize,
}

impl Symbol {
    /// The function called `name`.
    pub const fn new(name: &'static CStr) -> Symbol {
        Symbol {
            name,
            found: OnceNonZeroUsize::new(),
        }
    }

    /// Its address in the libraries after this one, as a function pointer type.
    ///
    /// # Safety
    /// `F` must be the function's type, an `extern "C"` function pointer.
    pub unsafe fn get<F: Copy>(&self) -> Option<F> {
        const { assert!(size_of::<F>() == size_of::<usize>()) };
        // A race resolves it twice to the same value; nothing ever waits, so a signal handler may come in between.
        let address = self.found.get_or_init(|| {
            // SAFETY: a NUL-terminated name.
            let address = unsafe { libc::dlsym(libc::RTLD_NEXT, self.name.as_ptr()) } as usize;
            NonZeroUsize::new(address).unwrap_or(NonZeroUsize::MAX)
        });
        // SAFETY: `F` is a pointer type by the assertion and of the right kind by the caller's promise.
        (address != NonZeroUsize::MAX).then(|| unsafe { std::mem::transmute_copy(&address.get()) })
    }
}
