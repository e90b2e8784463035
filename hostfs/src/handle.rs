//! Open files and directories, by the numbers that the guest kernel was given.

use crate::ending;
use crate::fs::{HandleId, Ino};
use crate::host::shared::Shared;
use crate::inode::Held;
use crate::people::Who;
use hostcall::transfer::Known;
use hostcall::types::Errno;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

/// A directory's stream: names read from the host and not yet handed on.
#[derive(Debug, Default)]
pub struct Stream {
    /// Packed `struct linux_dirent64`.
    pub packed: Vec<u8>,
    /// Where the next name begins in it.
    pub at: usize,
    /// Whether the host has been asked since the stream began.
    pub begun: bool,
    /// The position that the next name belongs to; any other one means a seek.
    pub position: u64,
}

/// What a handle stands for.
#[derive(Debug)]
pub enum What {
    /// An open file of the host.
    File(Arc<Held>),
    /// An open file of the host that has no offsets: a FIFO, a terminal.
    Stream(Arc<Held>),
    /// An open file of the host that another process of the guest shares.
    Shared(Shared),
    /// An open directory of the host.
    Directory(Arc<Held>, Mutex<Stream>),
    /// Text of our own, as it was when it was opened.
    Text(Vec<u8>),
    /// Names of our own, with their inodes and types.
    Names(Vec<(Ino, u8, &'static std::ffi::CStr)>),
}

/// An open file or directory.
#[derive(Debug)]
pub struct Handle {
    /// Its inode.
    pub ino: Ino,
    /// The flags that it was opened with on the host.
    pub flags: i32,
    /// What it stands for.
    pub what: What,
    /// Who opened it, if calls are made for each caller.
    pub opener: Option<Arc<Who>>,
    /// Whether something was written since the guest closed a descriptor of it.
    pub written: AtomicBool,
    /// When the guest closed a descriptor of it. If that was the last one, its end is on the way.
    pub closing: Closing,
}

impl Handle {
    /// A handle that nothing was written to.
    pub fn new(ino: Ino, flags: i32, what: What, opener: Option<Arc<Who>>) -> Handle {
        Handle {
            ino,
            flags,
            what,
            opener,
            written: AtomicBool::new(false),
            closing: Closing::default(),
        }
    }

    /// What a transfer need not ask the host for: of files that are not regular, the guest kernel asks to open none.
    pub fn known(&self) -> Known {
        match self.what {
            What::File(_) if self.flags & libc::O_APPEND == 0 => Known::Plain,
            _ => Known::Nothing,
        }
    }

    /// The host's descriptor; `EBADF` if there is none.
    pub fn held(&self) -> Result<&Arc<Held>, Errno> {
        match &self.what {
            What::File(held) | What::Stream(held) | What::Directory(held, _) => Ok(held),
            What::Shared(shared) => Ok(&shared.file),
            What::Text(_) | What::Names(_) => Err(Errno(libc::EBADF)),
        }
    }
}

/// When the guest closed a descriptor, if it did.
#[derive(Debug, Default)]
pub struct Closing(Mutex<Option<Instant>>);

impl Closing {
    /// It does.
    pub fn now(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether what it leads to may still be on the way.
    fn lately(&self) -> bool {
        let at = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        at.is_some_and(|at| at.elapsed() < ending::LONGEST)
    }
}

/// All of them.
#[derive(Debug, Default)]
pub struct Handles {
    open: RwLock<HashMap<HandleId, Arc<Handle>>>,
    last: AtomicU64,
}

impl Handles {
    /// Enters one; says its number.
    pub fn insert(&self, handle: Handle) -> HandleId {
        let id = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        open.insert(id, Arc::new(handle));
        id
    }

    /// The handle of a number; `EBADF` if there is none.
    pub fn get(&self, id: HandleId) -> Result<Arc<Handle>, Errno> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        open.get(&id).cloned().ok_or(Errno(libc::EBADF))
    }

    /// Takes one out.
    pub fn remove(&self, id: HandleId) -> Option<Arc<Handle>> {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        open.remove(&id)
    }

    /// Whether one of an inode's may be about to end.
    pub fn closing(&self, ino: Ino) -> bool {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        open.values()
            .any(|handle| handle.ino == ino && handle.closing.lately())
    }

    /// Each of them.
    pub fn all(&self) -> Vec<Arc<Handle>> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        open.values().cloned().collect()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        open.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_never_used_twice() {
        let handles = Handles::default();
        let text = || Handle::new(1, 0, What::Text(Vec::new()), None);
        let one = handles.insert(text());
        assert_eq!(
            handles.get(one).unwrap().held().err(),
            Some(Errno(libc::EBADF))
        );
        assert!(handles.remove(one).is_some());
        assert_ne!(handles.insert(text()), one);
        assert_eq!(handles.get(one).err(), Some(Errno(libc::EBADF)));
        assert_eq!(handles.count(), 1);
    }
}
