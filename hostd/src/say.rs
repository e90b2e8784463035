//! What the commands answer on standard output, and what they complain of.

use std::fmt::Display;
use std::io::{ErrorKind, Write};

/// Writes `text`, and answers whether somebody reads on. Who does not (`hostd status | head -1`) wants to know no more: that is
/// no failure.
///
/// # Errors
/// It cannot be written: a line for people.
pub fn say(text: &str) -> Result<bool, String> {
    let mut output = std::io::stdout().lock();
    let written = output.write_all(text.as_bytes());
    match written.and_then(|()| output.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(format!("cannot write the answer: {error}")),
    }
}

/// Writes a line for people to standard error, if that takes it: it may be what cannot be written.
pub fn complain(error: &dyn Display) {
    let _ = writeln!(std::io::stderr(), "hostd: {error}");
}
