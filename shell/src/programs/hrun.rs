//! `hrun`: runs a program on the host.

use super::answer;
use crate::failure::{Failure, OWN};
use crate::run::{self, End, Stage};
use crate::streams::join::Side;
use crate::{command, completion, host, link, status};
use std::ffi::{OsStr, OsString};
use std::path::Path;

/// The whole program; answers its status, unless it is to die of a signal.
pub fn main() -> i32 {
    with(std::env::args_os(), &[])
}

/// What a command line says.
///
/// # Errors
/// The status, after the rest was told.
pub fn read(words: impl IntoIterator<Item = OsString>) -> Result<command::Hrun, i32> {
    command::hrun(words).map_err(|error| match super::explain("hrun", &error) {
        0 => 0,
        _ => OWN.into(),
    })
}

/// The program, with these words in place of the process's. The variables `assigned` cross as those of `--env` do.
pub fn with(words: impl IntoIterator<Item = OsString>, assigned: &[Vec<u8>]) -> i32 {
    let options = match read(words) {
        Ok(options) => options,
        Err(status) => return status,
    };
    let outcome = match (&options.install_link, options.completion, options.complete) {
        (Some(name), ..) => install(name, &options.words),
        (_, Some(shell), _) => answer(completion::script(shell)),
        (.., Some(kind)) => complete(kind, &options.words),
        _ => run(options, assigned),
    };
    match outcome {
        Ok(()) => 0,
        Err(failure) => {
            failure.tell("hrun");
            failure.status.into()
        }
    }
}

fn run(options: command::Hrun, assigned: &[Vec<u8>]) -> Result<(), Failure> {
    let stage = Stage::here(options, assigned, Side::STANDARD)?;
    match run::run(host::attach()?, &[stage])?.first() {
        Some(End::Ran(state)) => status::end(*state),
        Some(End::Failed(status)) => std::process::exit((*status).into()),
        None => Ok(()),
    }
}

fn complete(kind: command::Complete, words: &[OsString]) -> Result<(), Failure> {
    let text = words.first().map(OsString::as_os_str);
    answer(completion::candidates(kind, text.unwrap_or_default())?)
}

fn install(name: &OsStr, words: &[OsString]) -> Result<(), Failure> {
    let directory = match words {
        [] => None,
        [directory] => Some(Path::new(directory)),
        _ => return Err(Failure::own("the link can lie in one directory")),
    };
    let path = link::install(name, directory)?;
    answer(format!("{}\n", path.display()))
}
