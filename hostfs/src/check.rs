//! `hostfs check-preload`: which of a program's files the preload library serves by host calls, which the mount, and which
//! nobody.
//!
//! [`elf`] reads program files, [`libraries`] finds what they need, [`program`] finds out what is executed at all, [`usage`]
//! judges the imports by the [symbol table](hostcall::symbols), and [`answer`] tells people or programs.

mod answer;
mod elf;
mod libraries;
mod program;
mod usage;

use answer::{Answer, Verdict};
use clap::Args;
use hostcall::say::{complain, say};
use std::ffi::OsString;
use std::process::ExitCode;

/// Tells which files of a program the preload library serves, without running it
#[derive(Clone, Debug, Args)]
#[command(
    override_usage = "hostfs check-preload [--no-libraries] [--json] PROGRAM...",
    after_help = "\
Exit status: 0 if all is covered by host calls or works through the mount, 1 if something is not covered, 2 if that cannot
be told. System calls that a program makes by itself, and libraries that it loads while it runs, are not seen."
)]
pub struct Arguments {
    /// Programs, by path or by name along PATH
    #[arg(required = true, value_name = "PROGRAM")]
    pub programs: Vec<OsString>,
    /// Leave out the libraries that a program needs
    #[arg(long)]
    pub no_libraries: bool,
    /// Answer as JSON, one object a line
    #[arg(long)]
    pub json: bool,
}

/// Checks all programs; the worst verdict is the exit status.
pub fn run(arguments: &Arguments) -> ExitCode {
    let mut worst = Verdict::Covered;
    for name in &arguments.programs {
        let answer = match program::find(name) {
            Ok(path) => Answer::of(&path, !arguments.no_libraries),
            Err(error) => Answer::failed(name, error),
        };
        worst = worst.max(answer.verdict);
        let text = match (arguments.json, answer.failure()) {
            (true, _) => answer.json(),
            (false, None) => answer.to_string(),
            (false, Some(failure)) => {
                complain("hostfs", format_args!("{}: {failure}", answer.program));
                continue;
            }
        };
        match say(text) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                complain("hostfs", error);
                return ExitCode::from(Verdict::Untold.status());
            }
        }
    }
    ExitCode::from(worst.status())
}
