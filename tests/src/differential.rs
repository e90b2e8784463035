//! The same work done natively and in a guest: two sides that see the same paths, and what is different afterwards.
//!
//! On both sides the host's files stand below [`PREFIX`]: in the guest that is what is tested, natively the root is
//! mounted there once more. So whatever a program writes of paths, into its output or into files, is equal too.

use crate::daemon::{program, Scratch};
use crate::outside::told;
use crate::tree::listing;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where both sides see the host's files: a directory that each Debian system has, and that is empty.
pub const PREFIX: &str = "/srv";

/// Bytes of both texts that are told of a difference, from its first line.
const TOLD: usize = 600;

/// Mounts the root below [`PREFIX`] in a namespace of its own, and closes what whoever runs the tests has left open: a
/// guest's commands have no such descriptors.
const NATIVELY: &str = r#"
mount --rbind / "$0" || exit 125
for fd in /proc/$$/fd/*; do fd=${fd##*/}; [ $fd -gt 2 ] && eval "exec $fd<&-"; done
cd /
exec "$@"
"#;

/// Where a program runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Side {
    /// On the host.
    Native,
    /// In a guest of this kind, under the preload.
    Guest(String),
}

impl Side {
    /// The guest to test in where a test has no need of a certain one: `local`, or what `HOSTCALL_TEST_GUEST` says.
    pub fn guest() -> Side {
        Side::Guest(std::env::var("HOSTCALL_TEST_GUEST").unwrap_or_else(|_| "local".to_owned()))
    }

    /// A command without arguments, which become a command line of this side.
    ///
    /// # Panics
    /// A program of the workspace has not been built.
    pub fn command(&self) -> Command {
        self.command_with(&[])
    }

    /// The same with options of `hostd run` where there is a guest.
    ///
    /// # Panics
    /// A program of the workspace has not been built.
    pub fn command_with(&self, options: &[&str]) -> Command {
        let mut command;
        match self {
            Side::Native => {
                command = Command::new("unshare");
                command.args(["--mount", "--", "bash", "-c", NATIVELY, PREFIX]);
            }
            Side::Guest(kind) => {
                program("libhostcall_preload.so");
                command = Command::new(program("hostd"));
                command.args(["run", "--guest", kind, "--mount", PREFIX]);
                if kind == "uml" {
                    command.args(["--mem", "1G"]);
                }
                command.args(options).arg("--");
            }
        }
        command
    }
}

/// Runs a command on a side, with a directory of the host as its last argument: the same for each side, and empty.
///
/// # Panics
/// The side cannot be had.
pub fn outcome<A: AsRef<OsStr>>(side: &Side, scratch: &Scratch, arguments: &[A]) -> Outcome {
    let work = scratch.join("work");
    std::fs::create_dir(&work).expect("a directory to work in");
    let run = side
        .command()
        .args(arguments)
        .arg(seen(&work))
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .stdin(Stdio::null())
        .output()
        .expect("the side runs");
    let outcome = Outcome::new(told(&run), &work);
    std::fs::remove_dir_all(&work).expect("the run's own directory");
    outcome
}

/// A file of the host as both sides name it.
pub fn seen(path: &Path) -> PathBuf {
    Path::new(PREFIX).join(path.strip_prefix("/").unwrap_or(path))
}

/// What a run said, and what it left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Output and end.
    pub said: String,
    /// One line for each file.
    pub left: Vec<String>,
}

impl Outcome {
    /// What was said, with the files below a directory of the host.
    pub fn new(said: String, directory: &Path) -> Outcome {
        let left = listing(directory);
        Outcome { said, left }
    }

    /// What differs, for people; `None` if nothing does.
    pub fn difference(&self, found: &Outcome) -> Option<String> {
        if self == found {
            return None;
        }
        let expected: Vec<&str> = self.said.lines().collect();
        let lines: Vec<&str> = found.said.lines().collect();
        let mut told = String::new();
        if self.said != found.said {
            let first = std::iter::zip(&expected, &lines).take_while(|(a, b)| a == b);
            let first = first.count();
            let from = |lines: &[&str]| -> String {
                let text = lines[first..].join("\n    ");
                text.chars().take(TOLD).collect()
            };
            told += &format!(
                "  from line {} of what is said\n  expected\n    {}\n  found\n    {}\n",
                first + 1,
                from(&expected),
                from(&lines)
            );
        }
        let only = |one: &Outcome, other: &Outcome, sign: &str| -> String {
            let lines = one.left.iter().filter(|line| !other.left.contains(line));
            lines
                .take(6)
                .map(|line| format!("  {sign} {line}\n"))
                .collect()
        };
        told += &only(self, found, "left natively:");
        told += &only(found, self, "left:");
        Some(told)
    }
}
