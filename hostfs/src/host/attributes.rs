//! Extended attributes, access control lists among them.

use super::session::Acting;
use super::{Host, HostFs, INODE};
use crate::fs::{Caller, Ino, Sized};
use crate::hidden;
use crate::inode::Held;
use hostcall::ops::Calls;
use hostcall::types::{Errno, OpenFlags};
use hostcall::wire::{Filled, Sink, Source};
use std::ffi::CStr;

impl<H: Host> HostFs<H> {
    pub(super) fn get_attribute(
        &self,
        caller: &Caller,
        ino: Ino,
        name: &CStr,
        room: u32,
    ) -> Result<Sized, Errno> {
        if hidden::is_own(ino) {
            return Err(Errno(libc::ENODATA));
        }
        let held = self.fd(caller, ino)?;
        sized(room, |sink| {
            let host = self.at(caller, &held);
            let got = host
                .getxattr(held.fd().into(), c"", INODE, name, sink)
                .map_err(|errno| self.none_of_a_list(name, errno))?;
            Ok((got.size, got.filled))
        })
    }

    /// A guest kernel that judges takes a file system without access control lists for one whose files cannot be judged.
    fn none_of_a_list(&self, name: &CStr, errno: Errno) -> Errno {
        let of_a_list = name.to_bytes().starts_with(b"system.posix_acl_");
        match errno {
            Errno(libc::EOPNOTSUPP) if of_a_list && self.has_callers() => Errno(libc::ENODATA),
            errno => errno,
        }
    }

    pub(super) fn set_attribute(
        &self,
        caller: &Caller,
        ino: Ino,
        name: &CStr,
        value: &[u8],
        flags: i32,
    ) -> Result<(), Errno> {
        let held = self.fd(caller, ino)?;
        let host = self.at(caller, &held);
        let value = Source::new(value);
        host.setxattr(held.fd().into(), c"", INODE, name, value, flags)
            .map(drop)
    }

    pub(super) fn list_attributes(
        &self,
        caller: &Caller,
        ino: Ino,
        room: u32,
    ) -> Result<Sized, Errno> {
        if hidden::is_own(ino) {
            return Ok(match room {
                0 => Sized::Length(0),
                _ => Sized::Bytes(Vec::new()),
            });
        }
        let held = self.fd(caller, ino)?;
        sized(room, |sink| {
            let host = self.at(caller, &held);
            let got = host.listxattr(held.fd().into(), c"", INODE, sink)?;
            Ok((got.size, got.filled))
        })
    }

    pub(super) fn remove_attribute(
        &self,
        caller: &Caller,
        ino: Ino,
        name: &CStr,
    ) -> Result<(), Errno> {
        let held = self.fd(caller, ino)?;
        let host = self.at(caller, &held);
        match host.removexattr(held.fd().into(), c"", INODE, name) {
            Err(Errno(libc::EPERM)) if name == c"security.capability" => self
                .drop_capabilities(caller, &host, &held)
                .map_err(|_| Errno(libc::EPERM)),
            removed => removed.map(drop),
        }
    }

    /// Has the host take a file's capabilities away as it does ahead of a change of the data, for whoever may change that:
    /// the guest kernel, which asks for it at that time, has refused those who ask of themselves and may not. Of all
    /// changes, to allocate the first byte within the file leaves the most as it was.
    fn drop_capabilities(
        &self,
        caller: &Caller,
        host: &Acting<H>,
        held: &Held,
    ) -> Result<(), Errno> {
        let flags = OpenFlags(libc::O_WRONLY | libc::O_CLOEXEC);
        let file = self
            .opening(caller, || host.reopen(held.fd(), flags))
            .map(|reply| host.hold(reply.fd))?;
        host.fallocate(file.fd(), libc::FALLOC_FL_KEEP_SIZE, 0, 1)
            .map(drop)
    }
}

/// Asks for the length where there is no room, else for the bytes.
fn sized(
    room: u32,
    ask: impl Fn(Sink<'_>) -> Result<(u64, Filled), Errno>,
) -> Result<Sized, Errno> {
    // The system's own limit on values and lists.
    let mut bytes = vec![0; (room as usize).min(64 << 10)];
    let (size, filled) = ask(Sink::new(&mut bytes))?;
    if room == 0 {
        return Ok(Sized::Length(size as u32));
    }
    bytes.truncate(filled.0);
    Ok(Sized::Bytes(bytes))
}
