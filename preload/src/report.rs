//! Lines to the user, without allocation or buffered I/O.
#![allow(unsafe_code)]

use crate::real::try_sys;
use crate::{fds, session, signals};
use hostcall::ops::Calls;
use hostcall::types::{Errno, Offset, RemoteFd, RwFlags};
use hostcall::wire::Source;
use libc::c_int;
use std::fmt::{self, Write};
use syscalls::Sysno;

/// A line on the stack; what does not fit is cut.
pub struct Line<const N: usize = 512> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Line<N> {
    /// An empty line.
    pub const fn new() -> Line<N> {
        Line {
            bytes: [0; N],
            len: 0,
        }
    }

    /// Forgets what has been written.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// What has been written.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl<const N: usize> Write for Line<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let take = text.len().min(N - self.len);
        self.bytes[self.len..self.len + take].copy_from_slice(&text.as_bytes()[..take]);
        self.len += take;
        Ok(())
    }
}

/// Writes `hostcall: …` to standard error in one piece. A closed standard error swallows it.
pub fn say(message: &dyn fmt::Display) {
    let mut line = Line::<512>::new();
    let _ = write!(line, "hostcall: {message}");
    line.len = line.len.min(511);
    let _ = line.write_str("\n");
    match fds::host(2) {
        Some(remote) => put_on_host(remote, line.bytes()),
        None => put(2, line.bytes()),
    }
}

/// Writes to a file of the guest kernel's, in one piece. If its reader has gone, or it may not grow, the bytes are lost and the
/// program, which has asked for nothing, lives on.
pub fn put(fd: c_int, bytes: &[u8]) {
    let mask = signals::block();
    // SAFETY: a live buffer and its length.
    let written = unsafe { try_sys!(Sysno::write, fd, bytes.as_ptr(), bytes.len()) };
    if let Err(Errno(libc::EPIPE | libc::EFBIG)) = written {
        // Whatever the program itself blocks may wait for it.
        let unheard = [libc::SIGPIPE, libc::SIGXFSZ].map(|signal| 1u64 << (signal - 1));
        let unheard = (unheard[0] | unheard[1]) & !mask;
        let at_once = [0u64; 2];
        // SAFETY: a live mask of the size that is passed, and a live timespec.
        let _ = unsafe {
            try_sys!(
                Sysno::rt_sigtimedwait,
                &raw const unheard,
                0,
                &raw const at_once,
                8
            )
        };
    }
    signals::restore(mask);
}

/// The same to a file of the host's.
pub fn put_on_host(remote: RemoteFd, bytes: &[u8]) {
    let written = session::client()
        .and_then(|client| client.write(remote, Offset::CURRENT, RwFlags(0), Source::new(bytes)));
    // Nobody is left to be told.
    let _ = written;
}
