//! Standard error that never waits: a reader that does not read loses lines, and holds up nobody.

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::sys::socket::{sendmsg, MsgFlags};
use nix::sys::stat::{fstat, Mode, SFlag};
use std::io::{IoSlice, Result, Write};
use std::os::fd::AsFd;

/// Bytes of a line at most: as many as a pipe that has room takes in one piece (pipe(7)).
const MOST_BYTES: usize = libc::PIPE_BUF;

/// Makes descriptor 2 one that answers instead of waiting, for this process and its children.
///
/// It is opened anew, for the flag belongs to the open file, which others share. A file is always ready, a socket is
/// asked not to wait at each line, and what may not be opened anew stays as it is: then only a line that another
/// process writes at the same instant could still be waited for.
pub fn never_wait() {
    let pipe_or_terminal = fstat(std::io::stderr()).is_ok_and(|stat| {
        let kind = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT;
        kind == SFlag::S_IFIFO || kind == SFlag::S_IFCHR
    });
    if !pipe_or_terminal {
        return;
    }
    let flags = OFlag::O_WRONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    if let Ok(own) = nix::fcntl::open("/proc/self/fd/2", flags, Mode::empty()) {
        // A failure leaves the old one, which serves as well.
        let _ = nix::unistd::dup2_stderr(own);
    }
}

/// Writes whole lines, or none of a line.
#[derive(Debug, Default)]
pub struct Lines {
    lost: u64,
}

impl Lines {
    fn put(line: &[u8]) -> nix::Result<usize> {
        let stderr = std::io::stderr();
        match sendmsg::<()>(
            2,
            &[IoSlice::new(line)],
            &[],
            MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL,
            None,
        ) {
            Err(Errno::ENOTSOCK) => {}
            sent => return sent,
        }
        let mut ready = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
        match poll(&mut ready, PollTimeout::ZERO)? {
            0 => Err(Errno::EAGAIN),
            _ => nix::unistd::write(&stderr, line),
        }
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> Result<usize> {
        let mut text = Vec::new();
        if self.lost > 0 {
            text = format!("hostd: {} lines found no reader\n", self.lost).into_bytes();
        }
        text.extend_from_slice(line);
        if text.len() > MOST_BYTES {
            text.truncate(MOST_BYTES - 1);
            text.push(b'\n');
        }
        match Lines::put(&text) {
            Ok(_) => self.lost = 0,
            Err(_) => self.lost += 1,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}
