//! `hostfs MOUNTPOINT` and `hostfs check-preload PROGRAM`: see `hostfs --help` and docs/HOSTFS.md.
#![deny(unsafe_code)]

use clap::Parser;
use hostcall::say::{complain, say};
use hostfs::background::{split, Ready};
use hostfs::options::{Arguments, Command, Options};
use hostfs::{check, mount};
use std::io::IsTerminal;
use std::process::ExitCode;

#[used]
#[allow(unsafe_code)]
#[link_section = ".init_array"]
static LOOK: extern "C" fn() = hostcall::missing::look;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return explain(&error),
    };
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
        complain("hostfs", error);
        ExitCode::FAILURE
    })
}

/// Tells what the command line asks for, or why it cannot be.
fn explain(error: &clap::Error) -> ExitCode {
    // A terminal shows styles, and takes all that there is.
    if error.use_stderr() || std::io::stdout().is_terminal() {
        error.exit()
    }
    match say(error.render().to_string()) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            complain("hostfs", error);
            ExitCode::FAILURE
        }
    }
}
