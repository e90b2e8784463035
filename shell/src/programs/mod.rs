//! The programs: one image under several names. Under any other name than these it runs the host's program of that name.

pub mod hcd;
pub mod hpath;
pub mod hpwd;
pub mod hrun;

use crate::failure::Failure;
use crate::signals;
use crate::streams::kind;
use hostcall::say::say;
use std::io::IsTerminal;

/// What the standard library's runtime would have done for a program that begins without it.
pub fn begin() {
    kind::fill_missing();
    signals::ignore_broken_pipes();
}

/// Writes what a program answers.
///
/// # Errors
/// It cannot be written.
fn answer(text: impl AsRef<[u8]>) -> Result<(), Failure> {
    say(text).map(drop).map_err(Failure::own)
}

/// Tells what a command line asks for, or why it cannot be, as the program of this name; answers the status.
fn explain(name: &str, error: &clap::Error) -> i32 {
    // A terminal shows styles, and takes all that there is.
    if error.use_stderr() || std::io::stdout().is_terminal() {
        let _ = error.print();
        return error.exit_code();
    }
    conclude(name, answer(error.render().to_string()))
}

/// Ends a program; answers its status.
fn conclude(name: &str, outcome: Result<(), Failure>) -> i32 {
    match outcome {
        Ok(()) => 0,
        Err(failure) => {
            failure.tell(name);
            1
        }
    }
}
