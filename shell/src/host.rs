//! The session with the host that a program of ours has for as long as it runs.
#![allow(unsafe_code)]

use crate::failure::Failure;
use hostcall::client::{Client, Options};

/// Attaches. The client is for all threads and for good: the session ends with the process.
///
/// # Errors
/// One line that says where the host was looked for.
pub fn attach() -> Result<&'static Client, Failure> {
    // SAFETY: plain calls; no other thread makes files yet.
    let umask = unsafe {
        let mask = libc::umask(0o077);
        libc::umask(mask);
        mask
    };
    let options = Options {
        resume: None,
        umask,
    };
    let client = Client::attach(&options).map_err(Failure::own)?;
    client.be_modest();
    Ok(Box::leak(Box::new(client)))
}
