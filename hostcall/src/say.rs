//! What the programs answer on standard output, and what they complain of on standard error.
//!
//! `println!` and `eprintln!` panic where a stream cannot be written, and the standard library's handles take a closed one for one
//! that swallows everything.

use crate::missing;
use std::fmt::Display;
use std::fs::File;
use std::io::{Error, ErrorKind, Result as Written, Write};
use std::os::fd::AsFd;

/// Writes `text`, and answers whether somebody reads on. Who does not (`hostd status | head -1`) wants to know no more: that is
/// no failure.
///
/// # Errors
/// It cannot be written: a line for people.
pub fn say(text: impl AsRef<[u8]>) -> Result<bool, String> {
    match write(text.as_ref()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(format!("cannot write the answer: {error}")),
    }
}

fn write(text: &[u8]) -> Written<()> {
    if missing::is_missing(1) {
        return Err(Error::from_raw_os_error(libc::EBADF));
    }
    // Of several threads one writes at a time.
    let output = std::io::stdout().lock();
    File::from(output.as_fd().try_clone_to_owned()?).write_all(text)
}

/// Writes a line for people to standard error in the name of a program, if that takes it: it may be what cannot be written.
pub fn complain(program: &str, what: impl Display) {
    let line = format!("{program}: {what}\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
}
