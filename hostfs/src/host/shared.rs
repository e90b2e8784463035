//! Open files that another process of the guest shares: one position for all, which is the host's.
//!
//! The guest kernel keeps a position of its own for every open file, and passes it as an offset. While it is where the
//! kernel's last transfer ended, the transfer goes on at the host's position, wherever the others have moved that; any
//! other offset is a seek, and moves the host's.

use super::session::Acting;
use super::{locked, Host, HostFs};
use crate::fs::Caller;
use crate::inode::Held;
use hostcall::ops::Calls;
use hostcall::transfer::Known;
use hostcall::types::{Errno, Offset, RwFlags};
use std::sync::{Arc, Mutex};

/// An open file with the host's position.
#[derive(Debug)]
pub struct Shared {
    /// The file.
    pub file: Arc<Held>,
    /// Where the guest kernel believes the position to be.
    expected: Mutex<u64>,
}

impl<H: Host> HostFs<H> {
    /// Takes one over. The process that shared it has set the guest kernel's position to the host's.
    pub(super) fn share(&self, caller: &Caller, file: Arc<Held>) -> Shared {
        let place = self.at(caller, &file).lseek(file.fd(), 0, libc::SEEK_CUR);
        let expected = place.map_or(0, |reply| reply.offset as u64);
        Shared {
            file,
            expected: Mutex::new(expected),
        }
    }
}

impl<H: Host> Acting<H> {
    pub(super) fn read_shared(
        &self,
        shared: &Shared,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<usize, Errno> {
        self.transfer(shared, offset, |host, fd| {
            host.read_at(fd, Known::Nothing, Offset::CURRENT, buffer)
        })
    }

    pub(super) fn write_shared(
        &self,
        shared: &Shared,
        offset: u64,
        data: &[u8],
    ) -> Result<usize, Errno> {
        self.transfer(shared, offset, |host, fd| {
            host.write_at(fd, Known::Nothing, Offset::CURRENT, RwFlags(0), data)
        })
    }

    /// Writes to the file's end, for which the kernel needs no seek: it takes the end to be at `offset`.
    pub(super) fn append_shared(
        &self,
        shared: &Shared,
        offset: u64,
        data: &[u8],
    ) -> Result<usize, Errno> {
        let mut expected = locked(&shared.expected);
        let (fd, flags) = (shared.file.fd(), RwFlags(libc::RWF_APPEND));
        let written = self.write_at(fd, Known::Nothing, Offset::CURRENT, flags, data)?;
        *expected = offset + written as u64;
        Ok(written)
    }

    /// One transfer at a time, as for every open file with a position.
    fn transfer(
        &self,
        shared: &Shared,
        offset: u64,
        call: impl FnOnce(&Self, hostcall::types::RemoteFd) -> Result<usize, Errno>,
    ) -> Result<usize, Errno> {
        let mut expected = locked(&shared.expected);
        let fd = shared.file.fd();
        if offset != *expected {
            let Offset(place) = super::files::position(offset)?;
            self.lseek(fd, place, libc::SEEK_SET)?;
        }
        let moved = call(self, fd)?;
        *expected = offset + moved as u64;
        Ok(moved)
    }
}
