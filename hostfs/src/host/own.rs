//! Opening what is not the host's: `.hostcall/status` and the hidden directories.

use super::{Host, HostFs};
use crate::fs::{Data, Ino, Opened};
use crate::handle::{Handle, What};
use crate::hidden;
use hostcall::types::Errno;

impl<H: Host> HostFs<H> {
    pub(super) fn open_own(&self, ino: Ino, flags: i32) -> Result<Opened, Errno> {
        let what = match ino {
            hidden::STATUS if flags & libc::O_ACCMODE == libc::O_RDONLY => {
                What::Text(self.status().into_bytes())
            }
            hidden::DIRECTORY | hidden::SHARED => What::Names(hidden::names(ino)),
            _ => return Err(Errno(libc::EACCES)),
        };
        Ok(Opened {
            handle: self.handles.insert(Handle::new(ino, flags, what, None)),
            // Its length is told by reading alone.
            data: Data::Direct,
            token: None,
        })
    }
}
