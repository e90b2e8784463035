//! `hostd export`: the exports of running guests, and changes to them.

use crate::config::{Change, Export};
use crate::server::admin::{self, Question, Status};
use crate::server::exports::{Outcome, Request};
use std::fmt::Write;
use std::io::BufRead;

/// One line that names the cure.
pub type Failure = String;

/// Which guest, as far as the user has said.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Its name.
    pub guest: Option<String>,
    /// Process id of its hostd.
    pub hostd: Option<u32>,
}

fn line(stream: std::os::unix::net::UnixStream, question: &Question) -> Result<String, Failure> {
    let mut line = String::new();
    let mut lines = admin::ask(stream, question).map_err(|error| error.to_string())?;
    match lines.read_line(&mut line) {
        Ok(0) => Err("hostd has ended".to_owned()),
        Ok(_) => Ok(line),
        Err(error) => Err(error.to_string()),
    }
}

/// The hostds of the calling user and what they serve.
fn running() -> Result<Vec<Status>, Failure> {
    let all = admin::states();
    match all.is_empty() {
        true => Err(
            "no hostd runs for this user; start one with `hostd run` or `hostd serve`".to_owned(),
        ),
        false => Ok(all),
    }
}

/// The guests that are meant: process id of the hostd, name, exports.
fn selected(
    all: Vec<Status>,
    selection: &Selection,
) -> Result<Vec<(u32, String, Vec<Export>)>, Failure> {
    let mut found = Vec::new();
    let mut names = Vec::new();
    for status in all {
        let meant = selection.hostd.is_none_or(|pid| pid == status.pid);
        for guest in status.guests {
            names.push(format!("{} of hostd {}", guest.name, status.pid));
            let named = selection.guest.as_ref();
            if meant && named.is_none_or(|name| *name == guest.name) {
                found.push((status.pid, guest.name, guest.exports));
            }
        }
    }
    match found.is_empty() {
        true => Err(format!("no such guest; running: {}", names.join(", "))),
        false => Ok(found),
    }
}

/// The one guest that is meant.
fn only(found: Vec<(u32, String, Vec<Export>)>) -> Result<(u32, String), Failure> {
    match found.as_slice() {
        [(pid, name, _)] => Ok((*pid, name.clone())),
        several => {
            let all: Vec<String> = several
                .iter()
                .map(|(pid, name, _)| format!("{name} of hostd {pid}"))
                .collect();
            Err(format!(
                "several guests run ({}); say which with --guest NAME, or --hostd PID where names are alike",
                all.join(", ")
            ))
        }
    }
}

/// The exports of the guests that are meant, as text.
///
/// # Errors
/// No hostd runs, or none serves such a guest.
pub fn list(selection: &Selection) -> Result<String, Failure> {
    let mut text = String::new();
    for (pid, name, exports) in selected(running()?, selection)? {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "guest {name} (hostd {pid})");
        for export in exports {
            let _ = writeln!(text, "  {} {}", export.path.display(), export.mode);
        }
    }
    Ok(text)
}

/// Changes the exports of a guest; returns when new processes of it see the change.
///
/// # Errors
/// No such guest, or why the exports stay as they are.
pub fn change(selection: &Selection, change: Change, now: bool) -> Result<(), Failure> {
    let (pid, guest) = only(selected(running()?, selection)?)?;
    let stream = admin::connect(pid).map_err(|error| format!("hostd {pid}: {error}"))?;
    let request = Request { guest, change, now };
    let line = line(stream, &Question::Export(request))?;
    let outcome: Outcome = serde_json::from_str(&line).map_err(|error| error.to_string())?;
    outcome.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_guest_must_be_meant() {
        let guest = |pid, name: &str| (pid, name.to_owned(), Vec::new());
        assert_eq!(only(vec![guest(7, "a")]), Ok((7, "a".to_owned())));
        let fault = only(vec![guest(7, "run"), guest(8, "run")]).unwrap_err();
        assert!(fault.contains("run of hostd 7, run of hostd 8"), "{fault}");
        let status = Status {
            pid: 7,
            guests: Vec::new(),
        };
        let fault = selected(vec![status], &Selection::default()).unwrap_err();
        assert!(fault.starts_with("no such guest"), "{fault}");
    }
}
