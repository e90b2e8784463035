//! The hooks: what this library exports, made of the [symbol table](hostcall::symbols).
//!
//! A row becomes an exported function for each of its names, which calls the function of that name in the module that its
//! family is called after, and a function in [`own`], libc's own beneath the hook. If somebody looks on
//! ([`observe`]), the call goes by there. A row whose function is missing, or has another signature, does not compile.
#![allow(unsafe_code)]

use crate::exec::Strings;
use crate::fork::Act;
use crate::observe;
use crate::real::{finish, Function};
use crate::shims::libio::File;
use crate::shims::scan::{Compare, Glob, GlobError, Select};
use crate::shims::walk::{PlainVisit, Visit};
use hostcall::types::Errno;
use libc::{
    aiocb, c_char, c_int, c_long, c_uint, c_ulong, c_void, dev_t, dirent, dirent64, epoll_event,
    fd_set, gid_t, iovec, mmsghdr, mode_t, msghdr, nfds_t, off64_t, off_t, pid_t, pollfd,
    posix_spawn_file_actions_t as Spawn, posix_spawnattr_t as Attributes, pthread_t, rlimit,
    sigaction as Action, sighandler_t, sigset_t, size_t, sockaddr, socklen_t, ssize_t, termios,
    timespec, timeval, uid_t, utimbuf, winsize, DIR,
};
use std::ffi::CStr;

/// The modules with the hooks' functions, by the names of their families.
mod families {
    pub use crate::shims::{
        administration, asynchronous, attributes, confine, copy, create, descriptor, dir, identity,
        io, limit, lock, makers, map, name, open, pass, raw, ready, resolve, scan, signal, space,
        stat, stdio, temporary, terminal, times, volume, walk, watch, working, xattr,
    };
    pub(super) use crate::{cancel, exec, fork, popen, spawn};
}

macro_rules! hooks {
    ($(
        #[doc = $title:literal]
        family $family:ident {
            $( $road:ident $name:ident $(| $alias:ident)* $(($($argument:ident : $type:ty),*) -> $result:ty)? $(, $mark:ident)? $(: $reason:literal)?; )*
        }
    )*) => {
        /// The rows of the table, by the first name of each.
        #[derive(Clone, Copy, PartialEq, Eq)]
        #[allow(non_camel_case_types)]
        #[repr(u16)]
        pub enum Row { $($( $name, )*)* }

        /// How many rows there are.
        pub const ROWS: usize = [$($( stringify!($name) ),*),*].len();

        impl Row {
            /// All rows, in the order of the table.
            pub const ALL: [Row; ROWS] = [$($( Row::$name ),*),*];

            /// Whether it is a cancellation point.
            pub fn is_point(self) -> bool {
                const POINTS: [bool; ROWS] = [$($( !concat!($( stringify!($mark), )?).is_empty() ),*),*];
                POINTS[self as usize]
            }

            /// The first name.
            pub fn name(self) -> &'static str {
                // One string, for a list of them would have to be relocated at every start of a program.
                const NAMES: &str = concat!($($( stringify!($name), " ", )*)*);
                NAMES.split(' ').nth(self as usize).unwrap_or_default()
            }
        }

        $($( export! { $road $family $name [$($alias)*] $(($($argument: $type),*) -> $result)? } )*)*

        /// The functions beneath the hooks of the same names, libc's own if not another library's.
        pub mod own {
            use super::*;
            $($( own! { $road $family $name $(($($argument: $type),*) -> $result)? } )*)*
        }

        /// Looks up the functions beneath the hooks that may run in a signal handler, so that none is looked up there for
        /// the first time.
        pub fn resolve() {
            $($( resolve! { $road $name } )*)*
        }
    };
}

/// A row's exported functions.
macro_rules! export {
    (call $family:ident $name:ident [$($alias:ident)*] $arguments:tt -> $result:ty) => {
        export! { @function $name $family $name $arguments -> $result }
        $( export! { @function $alias $family $name $arguments -> $result } )*
    };
    (beside $family:ident $name:ident [$($alias:ident)*] $arguments:tt -> $result:ty) => {
        export! { call $family $name [$($alias)*] $arguments -> $result }
    };
    // The first name is exported with libc's own function.
    (over $family:ident $name:ident [$($alias:ident)*] $arguments:tt -> $result:ty) => {
        $( export! { @function $alias $family $name $arguments -> $result } )*
    };
    // Exported where it is written: the mention is there to have it written at all.
    (asm $family:ident $name:ident [$($alias:ident)*]) => {
        const _: *const () = families::$family::$name as *const ();
        $( const _: *const () = families::$family::$alias as *const (); )*
    };
    ($road:ident $family:ident $name:ident [$($alias:ident)*]) => {};
    (@function $export:ident $family:ident $name:ident ($($argument:ident : $type:ty),*) -> $result:ty) => {
        #[no_mangle]
        pub unsafe extern "C" fn $export($($argument: $type),*) -> $result {
            export! { @body $family $name ($($argument),*) }
        }
    };
    (@body $family:ident $name:ident ($($argument:ident),*)) => {{
        // SAFETY: the calling program keeps the contract of the libc function that this replaces.
        unsafe {
            match observe::armed() {
                false => families::$family::$name($($argument),*),
                true => observe::around(
                    Row::$name,
                    move || families::$family::$name($($argument),*),
                    move || own::$name($($argument),*),
                ),
            }
        }
    }};
}

/// The function beneath the hook.
macro_rules! own {
    (call $family:ident $name:ident $arguments:tt -> $result:ty) => {
        own! { @found next $name $arguments -> $result, finish(Err(Errno(libc::ENOSYS))) }
    };
    // These answer error numbers.
    (beside $family:ident $name:ident $arguments:tt -> $result:ty) => {
        own! { @found anywhere $name $arguments -> $result, -libc::ENOSYS }
    };
    (@found $sought:ident $name:ident ($($argument:ident : $type:ty),*) -> $result:ty, $missing:expr) => {
        pub unsafe fn $name($($argument: $type),*) -> $result {
            static FOUND: Function = Function::new();
            const NAME: &CStr = match CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                Ok(name) => name,
                Err(_) => panic!(),
            };
            // SAFETY: the type is the function's; the caller keeps its contract.
            unsafe {
                match FOUND.$sought::<unsafe extern "C" fn($($type),*) -> $result>(NAME) {
                    Some(function) => function($($argument),*),
                    None => $missing,
                }
            }
        }
    };
    (over $family:ident $name:ident ($($argument:ident : $type:ty),*) -> $result:ty) => {
        pub unsafe fn $name($($argument: $type),*) -> $result {
            // SAFETY: the caller keeps the function's contract.
            unsafe { $name::own($($argument),*) }
        }

        pub mod $name {
            use super::super::*;

            redhook::hook! {
                unsafe fn $name($($argument: $type),*) -> $result => served {
                    export! { @body $family $name ($($argument),*) }
                }
            }

            pub(super) unsafe fn own($($argument: $type),*) -> $result {
                // SAFETY: the caller keeps the function's contract.
                unsafe { redhook::real!($name)($($argument),*) }
            }

            pub fn resolve() {
                let _ = redhook::real!($name);
            }
        }
    };
    ($road:ident $family:ident $name:ident) => {};
}

macro_rules! resolve {
    (over $name:ident) => {
        own::$name::resolve()
    };
    ($road:ident $name:ident) => {};
}

hostcall::symbols!(hooks);
