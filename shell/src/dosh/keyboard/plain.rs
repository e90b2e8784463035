//! Reading lines as the terminal gives them: where it can do no more, and what was typed before the prompt.

use crate::dosh::shell::{Run, Shell};
use crate::dosh::syntax::tree::Bytes;
use crate::dosh::sys;
use std::io::ErrorKind;

/// Reads a line, without its newline. Nothing at the end of input.
///
/// # Errors
/// A signal ends the reading.
pub fn line(shell: &mut Shell) -> Run<Option<Bytes>> {
    let mut line = Bytes::new();
    loop {
        let mut byte = [0];
        match sys::read(0, &mut byte) {
            Ok(1) if byte[0] == b'\n' => return Ok(Some(line)),
            Ok(1) => line.push(byte[0]),
            Err(error) if error.kind() == ErrorKind::Interrupted => shell.run_pending_traps()?,
            Ok(_) | Err(_) => return Ok((!line.is_empty()).then_some(line)),
        }
    }
}

/// Whether a whole line has been typed already, for which no editor is needed. What was typed without an Enter is the editor's.
pub fn is_typed() -> bool {
    sys::is_terminal(0) && sys::readable(0, 0)
}
