//! A byte line that carries frames, with both directions buffered and never blocking.

use super::frame::{Frame, FrameError};
use nix::errno::Errno;
use nix::fcntl::{fcntl, FcntlArg, OFlag};
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// One end of the line.
#[derive(Debug)]
pub struct FrameLink {
    fd: OwnedFd,
    input: Vec<u8>,
    taken: usize,
    output: Vec<u8>,
    sent: usize,
    /// Bytes that may be written before the peer has read more; unbounded where it cannot matter.
    room: u32,
    /// Bytes read since [`FrameLink::take_received`].
    received: u32,
}

impl FrameLink {
    /// Takes over `fd` and makes it non-blocking.
    ///
    /// # Errors
    /// fcntl(2).
    pub fn new(fd: OwnedFd) -> io::Result<FrameLink> {
        set_nonblocking(fd.as_fd())?;
        Ok(FrameLink {
            fd,
            input: Vec::new(),
            taken: 0,
            output: Vec::new(),
            sent: 0,
            room: u32::MAX,
            received: 0,
        })
    }

    /// Lets at most `window` bytes be on the line unread; [`FrameLink::peer_received`] makes new room.
    pub fn limit(&mut self, window: u32) {
        self.room = window;
    }

    /// The peer read `count` more bytes; `None` when that is more than were sent under a limit of `window`.
    pub fn peer_received(&mut self, count: u32, window: u32) -> Option<()> {
        self.room = self
            .room
            .checked_add(count)
            .filter(|room| *room <= window)?;
        Some(())
    }

    /// Bytes read since the last such call that said a number, once they are at least `least`.
    pub fn take_received(&mut self, least: u32) -> Option<u32> {
        let count = self.received;
        (count >= least).then(|| {
            self.received = 0;
            count
        })
    }

    /// Reads what has arrived; `false` when the peer is gone.
    ///
    /// # Errors
    /// read(2), except the errors that mean "nothing yet" or "hung up".
    pub fn fill(&mut self) -> io::Result<bool> {
        self.input.drain(..self.taken);
        self.taken = 0;
        let mut chunk = [0u8; 16 * 1024];
        match nix::unistd::read(&self.fd, &mut chunk) {
            Ok(0) => Ok(false),
            Ok(count) => {
                self.input.extend_from_slice(&chunk[..count]);
                self.received = self.received.saturating_add(count as u32);
                Ok(true)
            }
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(true),
            // A serial line whose other end was closed, and a socket whose peer was killed.
            Err(Errno::EIO | Errno::ECONNRESET) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes the next whole frame that has arrived.
    ///
    /// # Errors
    /// The peer broke the protocol.
    pub fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        let Some((frame, len)) = Frame::decode(&self.input[self.taken..])? else {
            return Ok(None);
        };
        self.taken += len;
        Ok(Some(frame))
    }

    /// Queues a frame; [`FrameLink::flush`] sends it.
    pub fn push(&mut self, frame: &Frame) {
        frame.encode(&mut self.output);
    }

    /// Sends as much of the queue as the line takes; `false` when the peer is gone.
    ///
    /// # Errors
    /// write(2), except the errors that mean "full" or "hung up".
    pub fn flush(&mut self) -> io::Result<bool> {
        while self.sent < self.output.len() {
            let waiting = &self.output[self.sent..];
            let now = waiting.len().min(self.room as usize);
            if now == 0 {
                return Ok(true);
            }
            match nix::unistd::write(&self.fd, &waiting[..now]) {
                Ok(count) => {
                    self.sent += count;
                    if self.room != u32::MAX {
                        self.room -= count as u32;
                    }
                }
                Err(Errno::EAGAIN) => return Ok(true),
                Err(Errno::EINTR) => {}
                Err(Errno::EPIPE | Errno::EIO | Errno::ECONNRESET) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        self.output.clear();
        self.sent = 0;
        Ok(true)
    }

    /// What to wait for: always input, and room for output while some is queued.
    pub fn events(&self) -> PollFlags {
        if self.sent < self.output.len() && self.room > 0 {
            PollFlags::POLLIN | PollFlags::POLLOUT
        } else {
            PollFlags::POLLIN
        }
    }

    /// The descriptor to wait on.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Sets `O_NONBLOCK` on the open file description of `fd`.
///
/// # Errors
/// fcntl(2).
pub fn set_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
    fcntl(fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(())
}

/// What happened on each of the descriptors; an absent one never reports.
///
/// # Errors
/// poll(2); an interrupting signal is no error and reports nothing.
pub fn ready<const N: usize>(
    want: [Option<(BorrowedFd<'_>, PollFlags)>; N],
    timeout: PollTimeout,
) -> io::Result<[PollFlags; N]> {
    let mut slots: Vec<usize> = Vec::with_capacity(N);
    let mut fds: Vec<PollFd<'_>> = Vec::with_capacity(N);
    for (slot, entry) in want.iter().enumerate() {
        if let Some((fd, events)) = entry {
            slots.push(slot);
            fds.push(PollFd::new(*fd, *events));
        }
    }
    let mut happened = [PollFlags::empty(); N];
    match poll(&mut fds, timeout) {
        Ok(_) => {
            for (slot, fd) in slots.into_iter().zip(&fds) {
                happened[slot] = fd.revents().unwrap_or(PollFlags::empty());
            }
            Ok(happened)
        }
        Err(Errno::EINTR) => Ok(happened),
        Err(error) => Err(error.into()),
    }
}
