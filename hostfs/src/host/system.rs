//! The trait's methods, each at home in the file of its family.

use super::files::position;
use super::{Host, HostFs};
use crate::fs::*;
use crate::handle::What;
use hostcall::handout::Handout;
use hostcall::ops::Calls;
use hostcall::types::{Errno, Offset};
use std::ffi::CStr;
use std::sync::atomic::Ordering;

impl<H: Host> FileSystem for HostFs<H> {
    fn lookup(&self, caller: &Caller, parent: Ino, name: &CStr) -> Result<Entry, Errno> {
        self.look_up(caller, parent, name)
    }

    fn forget(&self, caller: &Caller, inodes: &[(Ino, u64)]) {
        let mut known = self.inodes();
        for (ino, count) in inodes {
            known.forget(*ino, *count);
        }
        let forgotten: Vec<(Ino, u64, bool)> = inodes
            .iter()
            .map(|(ino, count)| (*ino, *count, !known.knows(*ino)))
            .collect();
        drop(known);
        self.untell(&forgotten);
        // At once: a descriptor of a file without a name keeps its space on the host.
        self.close_unused(caller, 1);
        self.drop_waiting(caller);
    }

    fn getattr(&self, caller: &Caller, ino: Ino, handle: Option<HandleId>) -> Result<Attr, Errno> {
        self.get_attr(caller, ino, handle)
    }

    fn setattr(&self, caller: &Caller, ino: Ino, change: &Change) -> Result<Attr, Errno> {
        let _own = self.own(ino);
        self.set_attr(caller, ino, change)
    }

    fn readlink(&self, caller: &Caller, ino: Ino) -> Result<Vec<u8>, Errno> {
        self.link_target(caller, ino)
    }

    fn access(&self, caller: &Caller, ino: Ino, mask: i32) -> Result<(), Errno> {
        self.check(caller, ino, mask)
    }

    fn statfs(&self, caller: &Caller, ino: Ino) -> Result<Space, Errno> {
        self.fullness(caller, ino)
    }

    fn make(
        &self,
        caller: &Caller,
        parent: Ino,
        name: &CStr,
        what: Make<'_>,
    ) -> Result<Entry, Errno> {
        let _own = self.own(parent);
        self.make_name(caller, parent, name, what)
    }

    fn unlink(
        &self,
        caller: &Caller,
        parent: Ino,
        name: &CStr,
        directory: bool,
    ) -> Result<(), Errno> {
        let _own = self.own(parent);
        self.remove_name(caller, parent, name, directory)
    }

    fn rename(
        &self,
        caller: &Caller,
        from: (Ino, &CStr),
        to: (Ino, &CStr),
        flags: u32,
    ) -> Result<(), Errno> {
        let _own = (self.own(from.0), self.own(to.0));
        self.move_name(caller, from, to, flags)
    }

    fn open(&self, caller: &Caller, ino: Ino, flags: i32) -> Result<Opened, Errno> {
        self.open_file(caller, ino, flags)
    }

    fn create(
        &self,
        caller: &Caller,
        parent: Ino,
        name: &CStr,
        mode: u32,
        flags: i32,
    ) -> Result<(Entry, Opened), Errno> {
        let _own = self.own(parent);
        self.create_file(caller, parent, name, mode, flags)
    }

    fn read(
        &self,
        caller: &Caller,
        handle: HandleId,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<usize, Errno> {
        self.read_file(caller, handle, offset, buffer)
    }

    fn write(
        &self,
        caller: &Caller,
        handle: HandleId,
        place: Place,
        data: &[u8],
        drop_privileges: bool,
    ) -> Result<usize, Errno> {
        let _own = self.own(self.handles.get(handle)?.ino);
        self.write_file(caller, handle, place, data, drop_privileges)
    }

    fn flush(&self, caller: &Caller, handle: HandleId, owner: u64) -> Result<(), Errno> {
        self.flush_file(caller, handle, owner)
    }

    fn release(&self, caller: &Caller, handle: HandleId) {
        self.release_file(caller, handle);
    }

    fn fsync(&self, caller: &Caller, handle: HandleId, data_only: bool) -> Result<(), Errno> {
        self.sync_file(caller, handle, data_only)
    }

    fn fallocate(
        &self,
        caller: &Caller,
        handle: HandleId,
        offset: u64,
        len: u64,
        mode: i32,
    ) -> Result<(), Errno> {
        let handle = self.handles.get(handle)?;
        let (Offset(offset), Offset(len)) = (position(offset)?, position(len)?);
        let _own = self.own(handle.ino);
        let held = handle.held()?;
        let host = self.through(caller, &handle, held);
        host.fallocate(held.fd(), mode, offset, len)?;
        handle.written.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn lseek(
        &self,
        caller: &Caller,
        handle: HandleId,
        offset: i64,
        whence: i32,
    ) -> Result<i64, Errno> {
        let handle = self.handles.get(handle)?;
        let held = handle.held()?;
        let host = self.through(caller, &handle, held);
        Ok(host.lseek(held.fd(), offset, whence)?.offset)
    }

    fn hand_out(&self, caller: &Caller, handle: HandleId) -> Result<Handout, Errno> {
        let handle = self.handles.get(handle)?;
        let held = handle.held()?;
        let host = self.through(caller, &handle, held);
        Ok(Handout {
            token: host.share(held.fd())?.token,
            shared: matches!(handle.what, What::Shared(_) | What::Stream(_)),
        })
    }

    fn copy(
        &self,
        caller: &Caller,
        from: (HandleId, u64),
        to: (HandleId, u64),
        len: u64,
        flags: u64,
    ) -> Result<u32, Errno> {
        let _own = self.own(self.handles.get(to.0)?.ino);
        self.copy_range(caller, from, to, len, flags)
    }

    fn opendir(&self, caller: &Caller, ino: Ino, flags: i32) -> Result<Opened, Errno> {
        self.open_directory(caller, ino, flags)
    }

    fn readdir(
        &self,
        caller: &Caller,
        handle: HandleId,
        offset: u64,
        plus: bool,
        take: &mut dyn FnMut(&Name) -> bool,
    ) -> Result<(), Errno> {
        self.read_directory(caller, handle, offset, plus, take)
    }

    fn getxattr(&self, caller: &Caller, ino: Ino, name: &CStr, room: u32) -> Result<Sized, Errno> {
        self.get_attribute(caller, ino, name, room)
    }

    fn setxattr(
        &self,
        caller: &Caller,
        ino: Ino,
        name: &CStr,
        value: &[u8],
        flags: i32,
    ) -> Result<(), Errno> {
        let _own = self.own(ino);
        self.set_attribute(caller, ino, name, value, flags)
    }

    fn listxattr(&self, caller: &Caller, ino: Ino, room: u32) -> Result<Sized, Errno> {
        self.list_attributes(caller, ino, room)
    }

    fn removexattr(&self, caller: &Caller, ino: Ino, name: &CStr) -> Result<(), Errno> {
        let _own = self.own(ino);
        self.remove_attribute(caller, ino, name)
    }

    fn getlk(&self, caller: &Caller, handle: HandleId, lock: &Lock) -> Result<Option<Lock>, Errno> {
        self.find_lock(caller, handle, lock)
    }

    fn setlk(
        &self,
        caller: &Caller,
        handle: HandleId,
        lock: &Lock,
        patient: bool,
    ) -> Result<(), Errno> {
        self.set_lock(caller, handle, lock, patient)
    }

    fn forget_stale(&self, ino: Ino, notify: &dyn Notify) {
        HostFs::forget_stale(self, ino, notify);
    }
}
