//! libc's own stream and directory functions, beneath the hooks of the same names.
//!
//! None of them may be called in a signal handler, so looking one up at its first use is safe.
#![allow(unsafe_code)]

use super::libio::File;
use crate::real::{set_errno, Symbol};
use hostcall::types::Errno;
use libc::{c_char, c_int, c_long, c_void, dirent, dirent64, DIR};
use std::ffi::CStr;
use std::ptr::null_mut;

/// `fn name(arguments) -> type, or value` where the value is for a libc without the function.
macro_rules! beneath {
    ($(fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty, or $missing:expr;)*) => { $(
        #[doc = concat!("libc's own ", stringify!($name), "(3).")]
        ///
        /// # Safety
        /// The contract of the libc function.
        pub unsafe fn $name($($argument: $type),*) -> $result {
            const NAME: &CStr = match CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                Ok(name) => name,
                Err(_) => panic!(),
            };
            static REAL: Symbol = Symbol::new(NAME);
            // SAFETY: the type is the function's; the contract is the caller's.
            unsafe {
                match REAL.get::<unsafe extern "C" fn($($type),*) -> $result>() {
                    Some(real) => real($($argument),*),
                    None => {
                        set_errno(Errno(libc::ENOSYS));
                        $missing
                    }
                }
            }
        }
    )* };
}

/// The filter of scandir(3).
pub type Select = Option<unsafe extern "C" fn(*const dirent) -> c_int>;
/// The order of scandir(3).
pub type Compare = Option<unsafe extern "C" fn(*mut *const dirent, *mut *const dirent) -> c_int>;
/// What glob(3) asks after an error.
pub type GlobError = Option<unsafe extern "C" fn(*const c_char, c_int) -> c_int>;

/// `GLOB_ABORTED` of glob(3).
const ABORTED: c_int = 2;

beneath! {
    fn fopen(path: *const c_char, mode: *const c_char) -> *mut File, or null_mut();
    fn fdopen(fd: c_int, mode: *const c_char) -> *mut File, or null_mut();
    fn freopen(path: *const c_char, mode: *const c_char, stream: *mut File) -> *mut File, or null_mut();
    fn popen(command: *const c_char, mode: *const c_char) -> *mut File, or null_mut();
    fn pclose(stream: *mut File) -> c_int, or -1;
    fn opendir(path: *const c_char) -> *mut DIR, or null_mut();
    fn fdopendir(fd: c_int) -> *mut DIR, or null_mut();
    fn readdir64(dir: *mut DIR) -> *mut dirent64, or null_mut();
    fn readdir64_r(dir: *mut DIR, entry: *mut dirent64, result: *mut *mut dirent64) -> c_int, or libc::ENOSYS;
    fn closedir(dir: *mut DIR) -> c_int, or -1;
    fn rewinddir(dir: *mut DIR) -> (), or ();
    fn seekdir(dir: *mut DIR, position: c_long) -> (), or ();
    fn telldir(dir: *mut DIR) -> c_long, or -1;
    fn dirfd(dir: *mut DIR) -> c_int, or -1;
    fn scandirat(parent: c_int, path: *const c_char, list: *mut *mut *mut dirent, select: Select, compare: Compare) -> c_int, or -1;
    fn glob(pattern: *const c_char, flags: c_int, error: GlobError, found: *mut c_void) -> c_int, or ABORTED;
    fn nftw(path: *const c_char, visit: *const c_void, descriptors: c_int, flags: c_int) -> c_int, or -1;
    fn ftw(path: *const c_char, visit: *const c_void, descriptors: c_int) -> c_int, or -1;
}
