//! A file of the host among the standard streams: the host program gets the host's own file, and no byte crosses.
#![allow(unsafe_code)]

use super::guest;
use hostcall::handout::{Handout, REQUEST};
use hostcall::ops::Calls;
use hostcall::types::{OpenFlags, RemoteFd};
use nix::fcntl::{fcntl, FcntlArg, OFlag};
use nix::unistd::{lseek, Whence};
use std::os::fd::AsRawFd;

/// A stream that is the host's.
#[derive(Clone, Copy, Debug)]
pub struct HostFile {
    /// In this process's session.
    pub remote: RemoteFd,
    /// Whether the guest kernel has a position of its own, which must follow.
    pub follows: bool,
}

/// Takes a standard stream over, if it is a file of the host.
pub fn take(host: &impl Calls, number: usize) -> Option<HostFile> {
    let fd = guest(number);
    let mut answer = [0; Handout::SIZE];
    // SAFETY: the request writes its answer, which has room. What another driver may write to the same request is no
    // token.
    let asked = unsafe { libc::ioctl(fd.as_raw_fd(), REQUEST.into(), &mut answer) };
    if asked != 0 {
        return None;
    }
    let handout = Handout::from_bytes(&answer);
    let redeemed = host.redeem(handout.token, OpenFlags(libc::O_CLOEXEC));
    let shared = redeemed.ok()?.fd;
    if handout.shared {
        return Some(HostFile {
            remote: shared,
            follows: false,
        });
    }
    // hostfs goes on using the open file, and takes every position from the guest kernel: the program gets one of its own.
    let flags = fcntl(fd, FcntlArg::F_GETFL).map_or(0, |flags| {
        let kept = OFlag::O_ACCMODE | OFlag::O_APPEND | OFlag::O_NONBLOCK;
        (OFlag::from_bits_truncate(flags) & kept).bits()
    });
    settle(number);
    // Where that is not permitted a second time, the open file itself is the best there is.
    let remote = match host.reopen(shared, OpenFlags(flags | libc::O_CLOEXEC)) {
        Ok(reopened) => {
            let _ = host.close(shared);
            reopened.fd
        }
        Err(_) => shared,
    };
    if let Ok(place) = lseek(fd, 0, Whence::SeekCur) {
        let _ = host.lseek(remote, place, libc::SEEK_SET);
    }
    Some(HostFile {
        remote,
        follows: true,
    })
}

/// Has the guest kernel write what it holds of the file to the host.
fn settle(number: usize) {
    let flags = libc::SYNC_FILE_RANGE_WAIT_BEFORE
        | libc::SYNC_FILE_RANGE_WRITE
        | libc::SYNC_FILE_RANGE_WAIT_AFTER;
    // SAFETY: plain system call. What cannot be written is told to whoever wrote it.
    let _ = unsafe { libc::sync_file_range(guest(number).as_raw_fd(), 0, 0, flags) };
}

/// Has the guest kernel ask the host for the file's length and times, by which it also knows whether its data are old.
fn look_anew(number: usize) {
    let flags = libc::AT_EMPTY_PATH | libc::AT_STATX_FORCE_SYNC;
    let fd = guest(number).as_raw_fd();
    // SAFETY: an empty C string and a live statx, valid when zeroed.
    unsafe {
        let mut data: libc::statx = std::mem::zeroed();
        let wanted = libc::STATX_SIZE | libc::STATX_MTIME;
        libc::statx(fd, c"".as_ptr(), flags, wanted, &mut data);
    }
}

impl HostFile {
    /// After the program's end: the guest's position is where the program has left it, and what the program has written is
    /// seen in the guest.
    pub fn follow(&self, host: &impl Calls, number: usize) {
        if !self.follows {
            return;
        }
        if let Ok(place) = host.lseek(self.remote, 0, libc::SEEK_CUR) {
            let _ = lseek(guest(number), place.offset, Whence::SeekSet);
        }
        look_anew(number);
    }
}
