//! Scripts that a shell and its rivals must run alike: tables of cases, and how one is run.
//!
//! A table is a file of `tests/dosh`. A case begins with `--- what it is about`, the script follows. In brackets behind that
//! stands whom dosh follows where bash and dash differ: `bash`, `dash`, or `posix` for `bash --posix` with dash.

use crate::daemon::Scratch;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// One script.
pub struct Case {
    /// What it is about.
    pub title: String,
    /// Whom dosh follows.
    pub rivals: &'static [&'static [&'static str]],
    /// What is run.
    pub script: String,
}

/// The shells that a mark in brackets names.
fn rivals(mark: Option<&str>) -> &'static [&'static [&'static str]] {
    match mark {
        None => &[&["bash"], &["dash"]],
        Some("bash") => &[&["bash"]],
        Some("dash") => &[&["dash"]],
        Some("posix") => &[&["bash", "--posix"], &["dash"]],
        Some(other) => panic!("{other} is no shell that cases are compared with"),
    }
}

/// Where the tables are.
pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("dosh")
}

/// The cases of a table.
pub fn table(name: &str) -> Vec<Case> {
    let text = fs::read_to_string(directory().join(name)).expect("a table of cases");
    let mut cases: Vec<Case> = Vec::new();
    for line in text.lines() {
        if let Some(head) = line.strip_prefix("--- ") {
            let marked = head
                .strip_suffix(']')
                .and_then(|head| head.rsplit_once(" ["));
            let (title, mark) = marked.map_or((head, None), |(title, mark)| (title, Some(mark)));
            cases.push(Case {
                title: title.to_owned(),
                rivals: rivals(mark),
                script: String::new(),
            });
        } else if let Some(case) = cases.last_mut() {
            case.script.push_str(line);
            case.script.push('\n');
        }
    }
    cases
}

/// What a script has written to standard output, and how it has ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The bytes, in which the place of the run has no name.
    pub output: Vec<u8>,
    /// The status.
    pub status: Option<i32>,
}

/// Runs a script in a directory of its own. The command finds itself as `$SELF`.
pub fn run(shell: &[&str], script: &str) -> Outcome {
    let scratch = Scratch::new();
    let work = scratch.join("work");
    fs::create_dir(&work).unwrap();
    let file = scratch.join("script");
    fs::write(&file, script).unwrap();
    let done = Command::new("timeout")
        .args(["60", shell[0]])
        .args(&shell[1..])
        .arg(&file)
        .current_dir(&work)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", &work)
        .env("LC_ALL", "C")
        .env("SELF", shell[0])
        .stdin(Stdio::null())
        .output()
        .expect("timeout runs the shell");
    let place = scratch.to_str().unwrap();
    let output = String::from_utf8_lossy(&done.stdout).replace(place, "@");
    Outcome {
        output: output.into_bytes(),
        status: done.status.code(),
    }
}

/// Where a shell and its rivals differ over the cases, in words; empty if nowhere.
pub fn differences(shell: &str, cases: &[Case]) -> String {
    let mut told = String::new();
    for case in cases {
        let ours = run(&[shell], &case.script);
        for rival in case.rivals {
            let theirs = run(rival, &case.script);
            if ours != theirs {
                let show = |outcome: &Outcome| {
                    let text = String::from_utf8_lossy(&outcome.output).into_owned();
                    let text: String = text.chars().take(200).collect();
                    format!("{:?} {text:?}", outcome.status)
                };
                let (ours, theirs, name) = (show(&ours), show(&theirs), rival.join(" "));
                writeln!(told, "{}: dosh {ours}, {name} {theirs}", case.title).unwrap();
            }
        }
    }
    told
}
