//! The manual pages are the help texts: written from the same definitions, and not older than they.
//!
//! `UPDATE_DOCS=1 cargo test -p hostcall-shell --test manual` writes them.

use clap::{Command, CommandFactory};
use shell::command::{Hcd, Hpath, Hpwd, Hrun};
use std::path::PathBuf;

fn commands() -> [Command; 5] {
    [
        Hrun::command(),
        Hcd::command(),
        Hpwd::command(),
        Hpath::command(),
        shell::dosh::manual::command(),
    ]
}

fn page(command: &Command) -> String {
    let mut text = Vec::new();
    let page = clap_mangen::Man::new(command.clone())
        .source("hostcall")
        .date("");
    page.render(&mut text).expect("a page");
    String::from_utf8(text).expect("text")
}

fn file(command: &Command) -> PathBuf {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../man");
    PathBuf::from(directory).join(format!("{}.1", command.get_name()))
}

#[test]
fn the_pages_are_as_the_definitions() {
    for command in commands() {
        let (page, file) = (page(&command), file(&command));
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&file, &page).expect("the page is written");
        }
        let kept = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(
            kept == page,
            "{} is stale: run UPDATE_DOCS=1 cargo test -p hostcall-shell --test manual",
            file.display()
        );
        // man(1) has nothing to show other characters by in the locale of a fresh system.
        assert!(page.is_ascii(), "{}", file.display());
    }
}

/// Options as the help text has them: words that begin a line behind blanks.
fn options(help: &str) -> Vec<&str> {
    let lines = help.lines().map(str::trim_start);
    let lines = lines.filter(|line| line.starts_with('-'));
    lines
        .flat_map(|line| line.split([' ', ',']))
        .filter(|word| word.starts_with('-') && word.len() > 1)
        .collect()
}

#[test]
fn every_option_of_the_help_is_in_the_page() {
    for mut command in commands() {
        // In roff a hyphen that is meant is escaped.
        let page = page(&command).replace("\\-", "-");
        let help = command.render_long_help().to_string();
        let options = options(&help);
        assert!(options.contains(&"--help"), "{help}");
        for option in options {
            assert!(page.contains(option), "{option} of {}", command.get_name());
        }
    }
}

#[test]
fn every_page_tells_of_the_variables() {
    let page = page(&Hrun::command());
    for name in ["HOSTCALL_SESSION", "HOSTCALL_ENV", "HOSTCALL_PREFIX"] {
        assert!(page.contains(name), "{name}");
    }
}
