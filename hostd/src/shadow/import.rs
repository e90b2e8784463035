//! What a fork's child inherits: the parent's open files, under the same numbers.
#![allow(unsafe_code)]

use super::fdtable::FdTable;
use crate::server::io;
use hostcall::types::Errno;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};

/// Puts a parent's open files under the numbers by which the guest knows them.
///
/// They were sent in the order of those numbers and arrived under the lowest free ones, so no file stands above
/// its place, and from the last to the first none is put over another that still has to move. No number beyond
/// the parent's own is needed: a parent that has used up its limit can still fork.
pub fn import(fds: &FdTable, places: &[(RawFd, bool)], files: Vec<OwnedFd>) -> std::io::Result<()> {
    for (file, (place, cloexec)) in files.into_iter().zip(places).rev() {
        let fd = file.as_raw_fd();
        if *place < fd {
            return Err(std::io::Error::other("open files out of order"));
        }
        // SAFETY: `place` is free or was left by a file that has moved: see above.
        unsafe {
            if *place == fd {
                let fd = file.into_raw_fd();
                Errno::result(
                    libc::fcntl(
                        fd,
                        libc::F_SETFD,
                        if *cloexec { libc::FD_CLOEXEC } else { 0 },
                    )
                    .into(),
                )
                .map_err(io)?;
            } else {
                Errno::result(
                    libc::dup3(fd, *place, if *cloexec { libc::O_CLOEXEC } else { 0 }).into(),
                )
                .map_err(io)?;
            }
        }
        fds.insert(*place);
    }
    Ok(())
}
