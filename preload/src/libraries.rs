//! The libraries of the process, and where in them a function is that this library has a hook of the same name for.
#![allow(unsafe_code)]

use libc::{c_int, c_void};
use std::ffi::{CStr, CString};

/// In the libraries after this one. Null if it is in none.
pub fn next(name: &CStr) -> *mut c_void {
    // SAFETY: a NUL-terminated name.
    unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) }
}

/// There, or else in one that somebody has loaded for himself, as a module of Python's does: that is not among them.
pub fn anywhere(name: &CStr) -> *mut c_void {
    let found = next(name);
    if !found.is_null() {
        return found;
    }
    let found = others().into_iter().map(|library| {
        // SAFETY: NUL-terminated names. The handle is kept: the library must not go while its function is known.
        unsafe {
            let library = libc::dlopen(library.as_ptr(), libc::RTLD_LAZY | libc::RTLD_NOLOAD);
            match library.is_null() {
                true => library,
                false => libc::dlsym(library, name.as_ptr()),
            }
        }
    });
    let mut found = found.filter(|found| !found.is_null());
    found.next().unwrap_or_default()
}

/// The names of all libraries but this one.
fn others() -> Vec<CString> {
    static OWN: u8 = 0;
    let mut libraries: Vec<CString> = Vec::new();
    // SAFETY: the vector lives through the call; `Dl_info` is valid when zeroed.
    unsafe {
        libc::dl_iterate_phdr(Some(note), (&raw mut libraries).cast());
        let mut own: libc::Dl_info = std::mem::zeroed();
        if libc::dladdr((&raw const OWN).cast(), &raw mut own) != 0 {
            let own = CStr::from_ptr(own.dli_fname);
            libraries.retain(|library| !library.is_empty() && **library != *own);
        }
    }
    libraries
}

/// Adds a library's name to those that are at `libraries`.
unsafe extern "C" fn note(
    library: *mut libc::dl_phdr_info,
    _: usize,
    libraries: *mut c_void,
) -> c_int {
    // SAFETY: what `dl_iterate_phdr` is given by `others`, and gives.
    unsafe {
        let name = CStr::from_ptr((*library).dlpi_name);
        (*libraries.cast::<Vec<CString>>()).push(name.to_owned());
    }
    0
}
