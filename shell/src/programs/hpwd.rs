//! `hpwd`: prints the session's working directory on the host.

use crate::command::Hpwd;
use crate::directory;
use crate::failure::Failure;
use crate::host;
use crate::paths::Prefix;
use crate::session::Session;
use clap::Parser;

/// The whole program; answers its status.
pub fn main() -> i32 {
    match Hpwd::try_parse() {
        Ok(Hpwd {}) => super::conclude("hpwd", print()),
        Err(error) => super::explain("hpwd", &error),
    }
}

fn print() -> Result<(), Failure> {
    let session = Session::find().map_err(Failure::own)?;
    let host = host::attach()?;
    directory::enter(host, &session, &Prefix::of_environment())?;
    let mut line = directory::path(host)?;
    line.push(b'\n');
    super::answer(line)
}
