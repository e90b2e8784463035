//! `hostfs MOUNTPOINT` and `hostfs check-preload PROGRAM`: see `hostfs --help` and docs/HOSTFS.md.
#![deny(unsafe_code)]

use clap::Parser;
use hostfs::background::{split, Ready};
use hostfs::options::{Arguments, Command, Options};
use hostfs::{check, mount};
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(Command::CheckPreload(arguments)) = &arguments.command {
        return check::run(arguments);
    }
    // Kept until a failure is told: the command that was started ends with it, and what comes later nobody may read.
    let mut ready = Ready::foreground();
    let outcome = Options::parse(&arguments).and_then(|options| {
        if !arguments.foreground {
            match split() {
                Ok(child) => ready = child,
                Err(code) => return Ok(code),
            }
        }
        mount::run(&options, &mut ready).map(|()| ExitCode::SUCCESS)
    });
    outcome.unwrap_or_else(|error| {
        let _ = writeln!(std::io::stderr(), "hostfs: {error}");
        ExitCode::FAILURE
    })
}
