//! Measures host calls against the host and rivals, all in one run and in turn, and tells ratios.
#![deny(unsafe_code)]

mod bench;
mod contest;
mod echo;
mod first_byte;
mod load;
mod machine;
mod mounts;
mod place;
mod plot;
mod report;
mod rows;
mod script;
mod ssh;
mod task;
mod tree;
mod worker;
mod workload;

use clap::Parser;
use std::path::PathBuf;
use std::process::ExitCode;

/// Ours, the host's own calls and rivals, measured in turn; prints ratios and writes results.json and results.svg.
///
/// A target that is missed is told, not failed.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100)]
struct Arguments {
    /// Measure only rows whose name begins like this; may be repeated.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Where the results are written.
    #[arg(long, value_name = "DIR", default_value = "bench")]
    out: PathBuf,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        [worker::WORKER] => worker::serve(),
        [worker::FIRST_CALL] => worker::first_call(None),
        [worker::FIRST_CALL, path] => worker::first_call(Some(path)),
        [worker::HOLDER] => worker::holder(),
        [echo::ECHO, path] => echo::answer(path),
        [load::JOB] => load::work(),
        _ => run(&Arguments::parse()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hostcall-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    print!("{}", machine::describe());
    let mut bench = bench::Bench::new()?;
    let wanted = |id: &str| {
        arguments.only.is_empty()
            || arguments
                .only
                .iter()
                .any(|name| id.starts_with(name.as_str()))
    };
    println!("{}", report::head());
    let mut figures = Vec::new();
    for contest in rows::all(&bench.data)
        .into_iter()
        .filter(|contest| wanted(contest.id))
    {
        match contest.run(&mut bench) {
            Ok(new) => {
                new.iter()
                    .for_each(|figure| println!("{}", report::line(figure)));
                figures.extend(new);
            }
            Err(error) => eprintln!("hostcall-bench: {} is left out: {error}", contest.id),
        }
    }
    report::save(&figures, &arguments.out.join("results.json"))?;
    plot::draw(&figures, &arguments.out.join("results.svg"))
}
