//! `case_runner CASE WAY BASE [STAGE [TOKEN]]`: runs one conformance case in this process; see `run.rs`.
#![deny(unsafe_code)]

use hostcall::types::Token;
use hostcall_tests::{cases, confined, run::Run, way::Way};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |at: usize| arguments.get(at).map(String::as_str).unwrap_or_default();
    let case = cases::all()
        .chain(cases::direct())
        .find(|case| case.name == argument(0));
    let (Some(case), Some(way)) = (case, Way::named(argument(1))) else {
        eprintln!("usage: case_runner CASE native|client|preload|hostfs BASE [STAGE [TOKEN]]");
        return ExitCode::FAILURE;
    };
    let stage = argument(3).parse().unwrap_or(0);
    if stage == 0 {
        // What whoever runs the tests has left open would move the numbers of the case's own files.
        confined::close_all_but(2);
    }
    let resume = Token::parse(argument(4).as_bytes());
    let mut run = Run::start(case.name, way, argument(2), stage, resume);
    (case.run)(&mut run);
    ExitCode::SUCCESS
}
