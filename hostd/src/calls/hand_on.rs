//! Descriptors that get a second holder: another number, another process.
//!
//! inotify instances and scratch files are to have one holder only: what they take of the guest's share is given back when their one
//! descriptor is closed.
#![allow(unsafe_code)]

use super::Caller;
use hostcall::types::{Errno, RemoteFd};

impl Caller {
    /// Does what gives descriptors second holders. `work` is given the question for a descriptor's number, which is answered `EBADF`
    /// if it is not the guest's, and `EINVAL` if it may have one holder only.
    ///
    /// No instance and no scratch file is made meanwhile. Else another lane could close a file behind that question and have its
    /// number stand for one of them by the time it is handed on.
    pub(super) fn hand_on<T>(
        &self,
        work: impl FnOnce(&dyn Fn(RemoteFd) -> Result<i32, Errno>) -> T,
    ) -> T {
        let session = self.session;
        session.instances.with(|instances| {
            session.scratches.with(|scratches| {
                work(&|fd| {
                    // In this order: who closes one takes its number from the table before it is forgotten here.
                    let fd = session.fds.get(fd)?;
                    match instances.contains_key(&fd) || scratches.contains_key(&fd) {
                        true => Err(Errno(libc::EINVAL)),
                        false => Ok(fd),
                    }
                })
            })
        })
    }

    /// Closes what has just been opened anew and answers `EINVAL` if that is a scratch file, which alone cannot grow. (An instance
    /// cannot be opened.) It is looked at behind the open, which may wait and must keep nobody from closing files meanwhile.
    pub(super) fn refuse_scratch(&self, fd: i32) -> Result<(), Errno> {
        // SAFETY: plain system calls; the descriptor is nobody else's yet. A file without seals answers -1.
        unsafe {
            let seals = libc::fcntl(fd, libc::F_GET_SEALS);
            if seals < 0 || seals & libc::F_SEAL_GROW == 0 {
                return Ok(());
            }
            libc::close(fd);
        }
        Err(Errno(libc::EINVAL))
    }
}
