//! Lines to the user, without allocation or buffered I/O.
#![allow(unsafe_code)]

use crate::real::try_sys;
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
    let bytes = line.bytes();
    // SAFETY: a live buffer and its length.
    let _ = unsafe { try_sys!(Sysno::write, 2, bytes.as_ptr(), bytes.len()) };
}
