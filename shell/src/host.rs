//! The session with the host that a program of ours has for as long as it runs.
#![allow(unsafe_code)]

use crate::failure::Failure;
use hostcall::attach::{DEVICES, SOCKET};
use hostcall::client::{Client, Options};
use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Whether there is anything to attach to, as far as that can be seen from here. `named`: the environment says where.
pub fn is_there(named: bool) -> bool {
    let usual = std::iter::once(&SOCKET).chain(DEVICES);
    let exists = |path: &CStr| Path::new(OsStr::from_bytes(path.to_bytes())).exists();
    named || { usual }.any(|path| exists(path))
}

/// In a child that was forked: lets go of the parent's session, which that goes on using.
pub fn leave(client: &'static Client) {
    // SAFETY: a child has one thread, and who asks for its client again attaches anew.
    unsafe { client.abandon() };
}

/// Attaches. The client is for all threads and for good: the session ends with the process.
///
/// # Errors
/// One line that says where the host was looked for.
pub fn attach() -> Result<&'static Client, Failure> {
    // SAFETY: plain calls; no other thread makes files yet, nor uses the allocator, which is to serve all from one arena: each of
    // its own is mapped, cut to size and unmapped while the host's program runs.
    let umask = unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        let mask = libc::umask(0o077);
        libc::umask(mask);
        mask
    };
    let options = Options {
        resume: None,
        umask,
    };
    let place = Box::leak(Box::new_uninit());
    let client = Client::attach_in(place, &options, &mut ()).map_err(Failure::own)?;
    client.be_modest();
    Ok(client)
}
