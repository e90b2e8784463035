//! `hpwd`: prints the session's working directory on the host.

use crate::command::Hpwd;
use crate::directory;
use crate::failure::Failure;
use crate::host;
use crate::paths::Prefix;
use crate::session::Session;
use clap::Parser;
use std::io::Write;

/// The whole program; answers its status.
pub fn main() -> i32 {
    let Hpwd {} = Hpwd::parse();
    match print() {
        Ok(()) => 0,
        Err(failure) => {
            failure.tell("hpwd");
            1
        }
    }
}

fn print() -> Result<(), Failure> {
    let session = Session::find().map_err(Failure::own)?;
    let host = host::attach()?;
    directory::enter(host, &session, &Prefix::of_environment())?;
    let mut line = directory::path(host)?;
    line.push(b'\n');
    std::io::stdout().write_all(&line).map_err(Failure::own)
}
