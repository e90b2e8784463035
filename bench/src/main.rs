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
use std::collections::BTreeSet;
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
    let rows = rows::all(&bench.data);
    let ids: Vec<&str> = rows.iter().map(|contest| contest.id).collect();
    are_known(&arguments.only, &ids)?;
    // Before minutes are spent on what cannot be kept.
    std::fs::create_dir_all(&arguments.out)
        .map_err(|error| format!("cannot make {}: {error}", arguments.out.display()))?;
    println!("{}", report::head());
    let mut figures = Vec::new();
    for contest in rows.into_iter().filter(|contest| wanted(contest.id)) {
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

/// Whether each name begins a row's.
fn are_known(names: &[String], ids: &[&str]) -> Result<(), String> {
    let begins_none = |name: &&String| !ids.iter().any(|id| id.starts_with(name.as_str()));
    match names.iter().find(begins_none) {
        None => Ok(()),
        Some(name) => {
            let ids: BTreeSet<&str> = ids.iter().copied().collect();
            let ids: Vec<&str> = ids.into_iter().collect();
            Err(format!(
                "no row begins with `{name}`; there are {}",
                ids.join(", ")
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::are_known;

    #[test]
    fn a_name_without_rows_is_refused_with_those_there_are() {
        let ids = ["stat", "stat", "open"];
        let known = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            are_known(&names, &ids)
        };
        assert_eq!(known(&[]), Ok(()));
        assert_eq!(known(&["st", "open"]), Ok(()));
        let refused = known(&["stat", "sat"]).unwrap_err();
        assert_eq!(refused, "no row begins with `sat`; there are open, stat");
    }
}
