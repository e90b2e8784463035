//! `hcd`: moves the session's working directory on the host.

use crate::command::Hcd;
use crate::directory::{self, Goal};
use crate::failure::{plain, Failure};
use crate::host;
use crate::paths::Prefix;
use crate::session::Session;
use clap::Parser;

/// The whole program; answers its status.
pub fn main() -> i32 {
    match Hcd::try_parse() {
        Ok(options) => super::conclude("hcd", go(&options)),
        Err(error) => super::explain("hcd", &error),
    }
}

fn go(options: &Hcd) -> Result<(), Failure> {
    let session = Session::find().map_err(Failure::own)?;
    let (host, prefix) = (host::attach()?, Prefix::of_environment());
    let goal = Goal::of(options.directory.as_deref());
    directory::go(host, &session, &prefix, goal)?;
    if goal == Goal::Before {
        super::answer(format!("{}\n", plain(&directory::path(host)?)))?;
    }
    Ok(())
}
