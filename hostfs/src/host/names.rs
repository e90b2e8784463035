//! Names: finding, making, moving and removing them.

use super::{locked, statx, Host, HostFs, EMPTY, UNUSED};
use crate::fs::{Caller, Entry, Ino, Make, ROOT};
use crate::hidden::{self, Found};
use crate::inode::Held;
use hostcall::ops::Calls;
use hostcall::types::{AtFlags, Errno, Mode, OpenFlags, Token};
use std::ffi::CStr;
use std::sync::atomic::Ordering;
use std::sync::Arc;

impl<H: Host> HostFs<H> {
    pub(super) fn look_up(
        &self,
        caller: &Caller,
        parent: Ino,
        name: &CStr,
    ) -> Result<Entry, Errno> {
        match hidden::find(parent, name) {
            Found::Host => self.find(caller, parent, name),
            Found::Own(ino) => Ok(hidden::entry(ino)),
            Found::Token(token) => self.shared(caller, token),
            Found::Nothing => Err(Errno(libc::ENOENT)),
        }
    }

    /// Takes over an open file that another process of the guest shares, and keeps it for the open that follows.
    fn shared(&self, caller: &Caller, token: Token) -> Result<Entry, Errno> {
        self.drop_waiting(caller);
        let host = self.now_for(self.whom(caller));
        let file = host.hold(host.redeem(token, OpenFlags(libc::O_CLOEXEC))?.fd);
        let stat = statx(&host, file.fd())?;
        let plain = matches!(stat.kind(), libc::S_IFREG | libc::S_IFDIR);
        let entry = if plain {
            // A name that will not be found again: what the file is reached by is a descriptor of its own.
            let path = OpenFlags(libc::O_PATH | libc::O_CLOEXEC);
            let path = host.hold_path(host.reopen(file.fd(), path)?.fd);
            let entry = self.entry(caller, &stat, Some(path.clone()), None);
            if stat.kind() == libc::S_IFREG {
                // Nobody need have looked at the directory where it has a name.
                self.watch_file(entry.attr.ino, path.session(), path.fd());
            }
            Entry {
                cacheable: false,
                ..entry
            }
        } else {
            // The guest kernel would open a FIFO or a device of its own; as a regular file it asks us.
            hidden::entry(self.streams.fetch_add(1, Ordering::Relaxed))
        };
        locked(&self.waiting).put(caller.pid, entry.attr.ino, file, token);
        Ok(entry)
    }

    /// Gives back shared files that were looked up and never opened.
    pub(super) fn drop_waiting(&self, caller: &Caller) {
        let late = locked(&self.waiting).expired();
        if !late.is_empty() {
            drop(late);
            self.close_unused(caller, 1);
        }
    }

    pub(super) fn make_name(
        &self,
        caller: &Caller,
        parent: Ino,
        name: &CStr,
        what: Make<'_>,
    ) -> Result<Entry, Errno> {
        self.not_hidden(parent, name)?;
        let directory = self.fd(caller, parent)?;
        let (host, at) = (self.at(caller, &directory), directory.fd().into());
        match what {
            Make::Directory(mode) => {
                host.mkdirat(at, name, Mode(mode))?;
            }
            Make::Node(mode, (major, minor)) => {
                let device = libc::makedev(major, minor);
                host.mknodat(at, name, Mode(mode), device)?;
            }
            Make::Symlink(target) => {
                let stored = self.stored_target(target);
                host.symlinkat(stored, at, name)?;
            }
            Make::Link(ino) => {
                let file = self.fd(caller, ino)?;
                if file.session() != directory.session() {
                    return Err(Errno(libc::EXDEV));
                }
                host.linkat(file.fd().into(), c"", at, name, EMPTY)?;
            }
        }
        let (stat, path) = self.walk(caller, &directory, name)?;
        let entry = self.entry(caller, &stat, Some(path), Some((parent, name)));
        self.close_unused(caller, UNUSED);
        Ok(entry)
    }

    pub(super) fn remove_name(
        &self,
        caller: &Caller,
        parent: Ino,
        name: &CStr,
        directory: bool,
    ) -> Result<(), Errno> {
        self.not_hidden(parent, name)?;
        let at = self.fd(caller, parent)?;
        let kept = self.keep(caller, parent, name);
        let flags = AtFlags(if directory { libc::AT_REMOVEDIR } else { 0 });
        let host = self.at(caller, &at);
        host.unlinkat(at.fd().into(), name, flags)?;
        let mut inodes = self.inodes();
        inodes.unnamed(parent, name);
        if let Some((ino, held)) = kept {
            inodes.give(ino, held);
        }
        Ok(())
    }

    pub(super) fn move_name(
        &self,
        caller: &Caller,
        from: (Ino, &CStr),
        to: (Ino, &CStr),
        flags: u32,
    ) -> Result<(), Errno> {
        self.not_hidden(from.0, from.1)?;
        self.not_hidden(to.0, to.1)?;
        let (old, new) = (self.fd(caller, from.0)?, self.fd(caller, to.0)?);
        let exchange = flags & libc::RENAME_EXCHANGE != 0;
        let kept = match exchange {
            true => None,
            false => self.keep(caller, to.0, to.1),
        };
        if old.session() != new.session() {
            // The exports are changing just now; the guest kernel asks once more.
            return Err(Errno(libc::ESTALE));
        }
        let host = self.at(caller, &old);
        host.renameat2(old.fd().into(), from.1, new.fd().into(), to.1, flags)?;
        let mut inodes = self.inodes();
        inodes.renamed(from, to, exchange);
        if let Some((ino, held)) = kept {
            inodes.give(ino, held);
        }
        Ok(())
    }

    /// A descriptor of what is about to lose its name, if the guest kernel knows it: nothing else will lead to it. Where
    /// there is none to be had, the removal itself will say why, or the file is another one already.
    fn keep(&self, caller: &Caller, parent: Ino, name: &CStr) -> Option<(Ino, Arc<Held>)> {
        let ino = self.inodes().named(parent, name)?;
        let held = self.fd(caller, ino).ok()?;
        if self.inodes().is_open(ino) {
            // No path will lead to it any more, and no directory tell of it.
            self.watch_file(ino, held.session(), held.fd());
        }
        Some((ino, held))
    }

    /// The target of a link as the host is to store it: what the guest names below the mount is the host's own path.
    fn stored_target<'t>(&self, target: &'t CStr) -> &'t CStr {
        let Some(prefix) = &self.settings.prefix else {
            return target;
        };
        let bytes = target.to_bytes_with_nul();
        match bytes.strip_prefix(prefix.as_slice()) {
            Some(rest) if rest.starts_with(b"/") => {
                CStr::from_bytes_with_nul(rest).unwrap_or(target)
            }
            Some(b"\0") => c"/",
            _ => target,
        }
    }

    pub(super) fn not_hidden(&self, parent: Ino, name: &CStr) -> Result<(), Errno> {
        match hidden::is_own(parent) || parent == ROOT && name == hidden::NAME {
            true => Err(Errno(libc::EPERM)),
            false => Ok(()),
        }
    }
}
