//! The shadow's line from a guest process on the same kernel: bytes that name lanes, and pipes that the process offers, so that a
//! host program uses them as they are.
//!
//! Nothing but a pipe is taken. Whatever else a process may hold, a file of its own file system or a directory of its own root,
//! is not to be reached by calls that are made on the host.
#![allow(unsafe_code)]

use hostcall::attach::local::OFFER;
use hostcall::types::Errno;
use nix::errno::Errno as Failure;
use nix::sys::socket::{recvmsg, ControlMessageOwned, MsgFlags};
use std::collections::VecDeque;
use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Offers that wait to be taken at most: a program's standard streams.
const MOST: usize = 3;
/// How long a call waits for the offer that was sent ahead of it.
const PATIENCE: Duration = Duration::from_secs(1);
/// The file system of pipes that have no name, `PIPEFS_MAGIC` of linux/magic.h.
const PIPEFS: i64 = 0x5049_5045;

/// What a process says on its line.
#[derive(Debug)]
pub enum Heard {
    /// Look at this lane.
    Lane(u32),
    /// A descriptor comes, or was to come and could not.
    Offer(Option<OwnedFd>),
    /// Nothing just now.
    Nothing,
    /// It is gone.
    Gone,
}

/// Hears the next byte, if there is one.
pub fn hear(line: RawFd) -> Heard {
    let mut byte = [0];
    let mut room = nix::cmsg_space!(RawFd);
    let mut parts = [IoSliceMut::new(&mut byte)];
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
    let mut file = None;
    match recvmsg::<()>(line, &mut parts, Some(&mut room), flags) {
        Err(Failure::EAGAIN | Failure::EINTR) => return Heard::Nothing,
        Err(_) => return Heard::Gone,
        Ok(received) if received.bytes == 0 => return Heard::Gone,
        Ok(received) => {
            for message in received.cmsgs().into_iter().flatten() {
                if let ControlMessageOwned::ScmRights(fds) = message {
                    // SAFETY: the kernel has just given us these descriptors. What is more than one is closed.
                    let own = fds
                        .into_iter()
                        .map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
                    file = own.collect::<Vec<_>>().pop();
                }
            }
        }
    }
    match byte[0] {
        OFFER => Heard::Offer(file),
        lane => Heard::Lane(lane.into()),
    }
}

/// What was offered and not taken yet.
#[derive(Debug, Default)]
pub struct Offered {
    files: Mutex<VecDeque<Result<OwnedFd, Errno>>>,
    came: Condvar,
}

impl Offered {
    /// Main thread: a descriptor has come, or could not.
    pub fn put(&self, file: Option<OwnedFd>) {
        let file = file.ok_or(Errno(libc::EMFILE)).and_then(pipe);
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if files.len() < MOST {
            files.push_back(file);
            self.came.notify_one();
        }
    }

    /// Closes what nobody has taken.
    pub fn clear(&self) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.clear();
    }

    /// Takes the oldest, which may still be on its way.
    ///
    /// # Errors
    /// `EAGAIN` if there is none, `EINVAL` if it is no pipe, `EMFILE` if there was no room for it.
    pub fn take(&self) -> Result<OwnedFd, Errno> {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let none = |files: &mut VecDeque<_>| files.is_empty();
        let waited = self.came.wait_timeout_while(files, PATIENCE, none);
        let (mut files, _) = waited.unwrap_or_else(PoisonError::into_inner);
        files.pop_front().unwrap_or(Err(Errno(libc::EAGAIN)))
    }
}

/// Lets through what is a pipe without a name.
fn pipe(file: OwnedFd) -> Result<OwnedFd, Errno> {
    // The first question goes to no file system, which might be a server of the guest's that never answers.
    // SAFETY: plain system calls; a statfs is valid when zeroed, and lives through the call.
    let is_pipe = unsafe {
        let mut data: libc::statfs = std::mem::zeroed();
        libc::fcntl(file.as_raw_fd(), libc::F_GETPIPE_SZ) > 0
            && libc::fstatfs(file.as_raw_fd(), &mut data) == 0
            && data.f_type == PIPEFS
    };
    match is_pipe {
        true => Ok(file),
        false => Err(Errno(libc::EINVAL)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_a_pipe_is_taken() {
        let offered = Offered::default();
        let (reader, writer) = nix::unistd::pipe().unwrap();
        let directory = std::fs::File::open("/").unwrap();
        let (socket, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        for file in [reader, directory.into(), socket.into(), writer] {
            offered.put(Some(file));
        }
        assert!(offered.take().is_ok());
        assert_eq!(offered.take().unwrap_err(), Errno(libc::EINVAL));
        assert_eq!(offered.take().unwrap_err(), Errno(libc::EINVAL));
        // The fourth was one too many.
        assert_eq!(offered.take().unwrap_err(), Errno(libc::EAGAIN));
        offered.put(None);
        assert_eq!(offered.take().unwrap_err(), Errno(libc::EMFILE));
    }
}
