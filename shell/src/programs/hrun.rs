//! `hrun`: runs a program on the host.

use crate::failure::{Failure, OWN};
use crate::{command, completion, link, run, status};
use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::Path;

/// The whole program; answers its status, unless it is to die of a signal.
pub fn main() -> i32 {
    let options = match command::hrun(std::env::args_os()) {
        Ok(options) => options,
        Err(error) => {
            let _ = error.print();
            return match error.exit_code() {
                0 => 0,
                _ => OWN.into(),
            };
        }
    };
    let outcome = match (&options.install_link, options.completion, options.complete) {
        (Some(name), ..) => install(name, &options.words),
        (_, Some(shell), _) => print(completion::script(shell).as_bytes()),
        (.., Some(kind)) => complete(kind, &options.words),
        _ => run::run(&options).map(|state| status::end(state)),
    };
    match outcome {
        Ok(()) => 0,
        Err(failure) => {
            eprintln!("hrun: {}", failure.line);
            failure.status.into()
        }
    }
}

fn print(text: &[u8]) -> Result<(), Failure> {
    std::io::stdout().write_all(text).map_err(Failure::own)
}

fn complete(kind: command::Complete, words: &[OsString]) -> Result<(), Failure> {
    let text = words.first().map(OsString::as_os_str);
    print(&completion::candidates(kind, text.unwrap_or_default())?)
}

fn install(name: &OsStr, words: &[OsString]) -> Result<(), Failure> {
    let directory = match words {
        [] => None,
        [directory] => Some(Path::new(directory)),
        _ => return Err(Failure::own("the link can lie in one directory")),
    };
    let path = link::install(name, directory)?;
    println!("{}", path.display());
    Ok(())
}
