//! Directories: streams of names.
//!
//! A stream holds what one getdents64(2) of the host gave. The position behind each name is the host's own, so that a
//! guest which seeks, or goes on after names were removed, gets what it would get on the host.

use super::{is_root, Host, HostFs, UNUSED};
use crate::fs::{Attr, Caller, Data, Entry, HandleId, Ino, Name, Opened, ROOT};
use crate::handle::{Handle, Stream, What};
use crate::hidden;
use crate::inode::Held;
use hostcall::ops::Calls;
use hostcall::types::{Errno, OpenFlags};
use hostcall::wire::Sink;
use std::ffi::{CStr, CString};
use std::sync::{Arc, Mutex};

/// Bytes of names that are asked for at once.
const PIECE: usize = 32 << 10;
/// Where the name begins in a `struct linux_dirent64`.
const HEAD: usize = 19;

impl<H: Host> HostFs<H> {
    pub(super) fn open_directory(
        &self,
        caller: &Caller,
        ino: Ino,
        flags: i32,
    ) -> Result<Opened, Errno> {
        if hidden::is_own(ino) {
            return self.open_own(ino, flags);
        }
        let held = self.fd(caller, ino)?;
        self.watch(caller, ino, &held);
        let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC | flags & libc::O_NOATIME;
        let host = self.at(caller, &held);
        let fd = self
            .opening(caller, || host.reopen(held.fd(), OpenFlags(flags)))?
            .fd;
        let directory = host.hold(fd);
        self.inodes().opened(ino, &directory);
        let what = What::Directory(directory, Mutex::default());
        let opener = self.whom(caller).who();
        Ok(Opened {
            handle: self.handles.insert(Handle::new(ino, flags, what, opener)),
            data: Data::Fresh,
            token: None,
        })
    }

    pub(super) fn read_directory(
        &self,
        caller: &Caller,
        handle: HandleId,
        offset: u64,
        plus: bool,
        take: &mut dyn FnMut(&Name) -> bool,
    ) -> Result<(), Errno> {
        let handle = self.handles.get(handle)?;
        match &handle.what {
            What::Names(names) => own_names(names, offset, plus, take),
            What::Directory(directory, stream) => {
                let mut stream = super::locked(stream);
                self.read_stream(
                    caller,
                    handle.ino,
                    directory,
                    &mut stream,
                    (offset, plus),
                    take,
                )?;
            }
            _ => return Err(Errno(libc::ENOTDIR)),
        }
        self.close_unused(caller, UNUSED);
        Ok(())
    }

    fn read_stream(
        &self,
        caller: &Caller,
        ino: Ino,
        directory: &Arc<Held>,
        stream: &mut Stream,
        (offset, plus): (u64, bool),
        take: &mut dyn FnMut(&Name) -> bool,
    ) -> Result<(), Errno> {
        let host = self.at(caller, directory);
        if offset != stream.position || offset == 0 && stream.begun {
            // From the beginning too: a directory that is read again shows what has changed.
            *stream = Stream::default();
            host.lseek(directory.fd(), offset as i64, libc::SEEK_SET)?;
            stream.position = offset;
        }
        let mut any = false;
        loop {
            if stream.at >= stream.packed.len() {
                stream.packed.resize(PIECE, 0);
                let read = host.getdents(directory.fd(), Sink::new(&mut stream.packed));
                let len = read.as_ref().map_or(0, |reply| reply.filled.0);
                stream.packed.truncate(len);
                stream.at = 0;
                stream.begun = true;
                match read {
                    // What was handed on must reach the guest first.
                    Err(errno) if !any => return Err(errno),
                    _ if len == 0 => return Ok(()),
                    _ => {}
                }
            }
            let Some((mut name, device_ino, len)) = parse(&stream.packed[stream.at..]) else {
                return Err(Errno(libc::EIO));
            };
            let found = self.fill(caller, ino, directory, &mut name, device_ino, plus);
            if found && !take(&name) {
                if let Some(entry) = name.entry {
                    self.inodes().forget(entry.attr.ino, 1);
                }
                return Ok(());
            }
            any |= found;
            stream.at += len;
            stream.position = name.next;
        }
    }

    /// Completes a name: its number, and its metadata if those are wanted. False if it is gone by now.
    fn fill(
        &self,
        caller: &Caller,
        parent: Ino,
        directory: &Arc<Held>,
        name: &mut Name,
        host_ino: u64,
        plus: bool,
    ) -> bool {
        let dots = matches!(name.name.to_bytes(), b"." | b"..");
        if is_root(parent) && (dots || name.name.as_c_str() == hidden::NAME) {
            name.ino = ROOT;
            // One of the host's under this name would be found by nobody.
            return dots;
        }
        if plus && !dots {
            match self.plus(caller, parent, directory, &name.name) {
                Ok(entry) => {
                    name.ino = entry.attr.ino;
                    name.entry = Some(entry);
                    return true;
                }
                Err(Errno(libc::ENOENT)) => return false,
                // A directory that may be listed but not searched still has names.
                Err(_) => {
                    let (ino, generation) = self.inodes().unseen(parent, host_ino);
                    let attr = Attr {
                        ino,
                        mode: u32::from(name.kind) << 12,
                        ..Attr::default()
                    };
                    name.ino = ino;
                    name.entry = Some(Entry {
                        attr,
                        generation,
                        cacheable: false,
                    });
                    return true;
                }
            }
        }
        name.ino = self.inodes().sibling(parent, host_ino);
        true
    }

    fn plus(
        &self,
        caller: &Caller,
        parent: Ino,
        directory: &Arc<Held>,
        name: &CStr,
    ) -> Result<Entry, Errno> {
        if directory.session() != self.session().number() {
            // A directory that was opened in an older view has names, but nothing is looked up in it.
            return Err(Errno(libc::ESTALE));
        }
        let (stat, path) = self.walk(caller, directory, name)?;
        let entry = self.entry(caller, &stat, Some(path), Some((parent, name)));
        self.close_unused(caller, UNUSED);
        Ok(entry)
    }
}

fn own_names(
    names: &[(Ino, u8, &'static CStr)],
    offset: u64,
    plus: bool,
    take: &mut dyn FnMut(&Name) -> bool,
) {
    let start = usize::try_from(offset).unwrap_or(usize::MAX);
    for (at, (ino, kind, name)) in names.iter().enumerate().skip(start) {
        let name = Name {
            ino: *ino,
            kind: *kind,
            name: (*name).to_owned(),
            next: at as u64 + 1,
            entry: plus.then(|| hidden::entry(*ino)),
        };
        if !take(&name) {
            return;
        }
    }
}

/// The first `struct linux_dirent64`, getdents64(2): the name, the host's inode number, and the bytes that it takes.
fn parse(packed: &[u8]) -> Option<(Name, u64, usize)> {
    let ino = u64::from_ne_bytes(packed.get(..8)?.try_into().ok()?);
    let next = u64::from_ne_bytes(packed.get(8..16)?.try_into().ok()?);
    let len = usize::from(u16::from_ne_bytes(packed.get(16..18)?.try_into().ok()?));
    let kind = *packed.get(18)?;
    let name = CStr::from_bytes_until_nul(packed.get(HEAD..len)?).ok()?;
    let name = Name {
        ino: 0,
        kind,
        name: CString::from(name),
        next,
        entry: None,
    };
    Some((name, ino, len))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_by_the_host_kernels_layout() {
        let mut packed = Vec::new();
        packed.extend(7u64.to_ne_bytes());
        packed.extend(99u64.to_ne_bytes());
        packed.extend(24u16.to_ne_bytes());
        packed.extend(*b"\x08abc\0\0");
        let (name, ino, len) = parse(&packed).unwrap();
        assert_eq!((ino, len, name.next, name.kind), (7, 24, 99, 8));
        assert_eq!(name.name.as_c_str(), c"abc");
        assert!(parse(&packed[..20]).is_none());
        assert!(parse(&[]).is_none());
    }
}
