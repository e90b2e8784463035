//! What the guest kernel is to forget, in its own protocol.

use crate::fs::{Ino, Notify};
use fuser::{INodeNo, Notifier};
use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;

impl Notify for Notifier {
    // A kernel that does not know the name or the inode has nothing to forget.
    fn entry(&self, parent: Ino, name: &CStr) {
        let _ = self.inval_entry(INodeNo(parent), OsStr::from_bytes(name.to_bytes()));
    }

    fn inode(&self, ino: Ino, data: bool) {
        // A negative offset leaves the data alone.
        let _ = self.inval_inode(INodeNo(ino), if data { 0 } else { -1 }, 0);
    }
}
