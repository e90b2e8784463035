//! `hcd`: moves the session's working directory on the host.

use crate::command::Hcd;
use crate::directory::{self, Goal};
use crate::failure::{plain, Failure};
use crate::host;
use crate::paths::Prefix;
use crate::session::Session;
use clap::Parser;
use std::io::Write;

/// The whole program; answers its status.
pub fn main() -> i32 {
    match go(&Hcd::parse()) {
        Ok(()) => 0,
        Err(failure) => {
            failure.tell("hcd");
            1
        }
    }
}

fn go(options: &Hcd) -> Result<(), Failure> {
    let session = Session::find().map_err(Failure::own)?;
    let (host, prefix) = (host::attach()?, Prefix::of_environment());
    let goal = Goal::of(options.directory.as_deref());
    directory::go(host, &session, &prefix, goal)?;
    if goal == Goal::Before {
        let line = format!("{}\n", plain(&directory::path(host)?));
        let mut output = std::io::stdout();
        output.write_all(line.as_bytes()).map_err(Failure::own)?;
    }
    Ok(())
}
