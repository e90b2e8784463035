//! The matrix of real programs: the scripts of `programs/`, what they say of themselves, one run of all of them on a side.

use crate::daemon::Scratch;
use crate::differential::{seen, Outcome, Side};
use crate::outside::{told, tool};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// Longest run of a script, seconds; only a hang reaches it.
const PATIENCE: u32 = 600;

/// The kinds of guest, in the order of the document's columns.
pub const KINDS: [&str; 2] = ["local", "uml"];

/// A script, and what its head says of it.
#[derive(Clone, Debug)]
pub struct Script {
    /// Name of its file, without the ending.
    pub name: String,
    head: BTreeMap<String, String>,
}

impl Script {
    /// A word of the head: `Program`, `Package`, `Commands`, `Does`; empty if it is not there.
    pub fn says(&self, word: &str) -> &str {
        self.head.get(word).map_or("", String::as_str)
    }

    /// Whether it is left to the long tests in a kind of guest.
    pub fn is_long(&self, kind: &str) -> bool {
        self.head.contains_key(&format!("Long in {kind}"))
    }

    /// Why its outcome in a kind of guest differs from the native one; `None` if it must not.
    pub fn differs(&self, kind: &str) -> Option<&str> {
        self.head
            .get(&format!("Differs in {kind}"))
            .map(String::as_str)
    }
}

fn directory() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tests = tests.canonicalize().expect("the sources of the tests");
    tests.join("programs")
}

/// All scripts, in the order of their names; those whose names contain what `HOSTCALL_TEST_PROGRAMS` says, if it is set.
///
/// # Panics
/// A script does not say what program it is about.
pub fn scripts() -> Vec<Script> {
    let only = std::env::var("HOSTCALL_TEST_PROGRAMS").unwrap_or_default();
    let files = std::fs::read_dir(directory())
        .expect("the scripts")
        .flatten();
    let mut scripts: Vec<Script> = files
        .filter_map(|file| {
            let name = file.file_name().into_string().ok()?;
            let name = name.strip_suffix(".sh")?.to_owned();
            let text = std::fs::read_to_string(file.path()).expect("a script");
            let head = text.lines().map_while(|line| line.strip_prefix("# "));
            let head = head
                .filter_map(|line| line.split_once(':'))
                .map(|(word, rest)| (word.to_owned(), rest.trim().to_owned()))
                .collect();
            Some(Script { name, head })
        })
        .filter(|script| script.name.contains(&only))
        .collect();
    scripts.sort_by(|a, b| a.name.cmp(&b.name));
    for script in &scripts {
        assert!(!script.says("Program").is_empty(), "{}", script.name);
    }
    scripts
}

/// Sees that every program is there.
///
/// # Panics
/// One is not: the text names its package.
pub fn installed(scripts: &[Script]) {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there =
        |command: &str| std::env::split_paths(&path).any(|place| place.join(command).is_file());
    let missing: Vec<String> = scripts
        .iter()
        .flat_map(|script| {
            let absent = script
                .says("Commands")
                .split_whitespace()
                .filter(|command| !is_there(command));
            absent.map(|command| format!("{command} (Debian package {})", script.says("Package")))
        })
        .collect();
    assert!(
        missing.is_empty(),
        "not installed: {}; run .ci/setup --tests",
        missing.join(", ")
    );
}

/// Runs the scripts on a side, all in one guest, in the same directory of the host for each side: `scratch/work`, which is
/// moved away afterwards. Loops are run `1 / scale` times as often. The outcomes in the order of the scripts.
///
/// # Panics
/// The side cannot be had, or a script was not run.
pub fn run(side: &Side, scratch: &Scratch, scripts: &[Script], scale: u32) -> Vec<Outcome> {
    let work = scratch.join("work");
    std::fs::create_dir(&work).expect("a directory to work in");
    let cargo = tool(env!("CARGO"));
    let toolchain = cargo.parent().expect("a directory");
    let from = directory();
    let output = side
        .command()
        .arg("env")
        .arg(format!("TOOLCHAIN={}", seen(toolchain).display()))
        .arg(format!("SCALE={scale}"))
        .arg("bash")
        .arg(seen(&from.join("run")))
        .arg(seen(&from))
        .arg(seen(&work))
        .arg(PATIENCE.to_string())
        .args(scripts.iter().map(|script| &script.name))
        .stdin(Stdio::null())
        .output()
        .expect("the side runs");
    assert!(output.status.success(), "{side:?}: {}", told(&output));
    // Names and seconds; shown if the test fails.
    eprintln!("{side:?}: {}", told(&output));
    let kept = scratch.join(match side {
        Side::Native => "native",
        Side::Guest(kind) => kind,
    });
    std::fs::rename(&work, &kept).expect("the same file system");
    let outcome = |script: &Script| {
        let directory = kept.join(&script.name);
        let read = |name: &str| {
            let text = std::fs::read(directory.join(name)).expect("what a script said");
            String::from_utf8_lossy(&text).into_owned()
        };
        Outcome::new(
            read("said") + "status " + &read("status"),
            &directory.join("tree"),
        )
    };
    scripts.iter().map(outcome).collect()
}

/// What a run saw of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The native outcome.
    Equal,
    /// Another one; what is different, for people.
    Different(String),
}

/// The head of the document.
const HEAD: &str = "\
# Compatibility

Written by `make compatibility`; the test `compatibility` fails when a run sees something else.

Each program runs a script of `tests/programs` twice: natively, and in a guest under the preload, with the working directory,
the script and its standard output and error on the host below the prefix. Both sides see the same paths. Equal must be: what
is said, the exit status, and the tree that is left: names, types, permissions, owners, links, sizes, contents, times that were
set, extended attributes. Versions are those of Debian 12. Static programs, and what runs under a filter of system calls, go
by the mount. In UML loops are shorter.

| program | Debian package | what its script does | local | UML |
|---|---|---|---|---|
";

/// The document that says what was seen of each script, `(name, kind)` being the key. What was not run is taken from the
/// script's head, which the run that sees it is held to.
pub fn document(scripts: &[Script], seen: &BTreeMap<(String, &str), Seen>) -> String {
    let mut text = HEAD.to_owned();
    let mut reasons: Vec<&str> = Vec::new();
    for script in scripts {
        let says = |word| script.says(word);
        text += &format!(
            "| {} | {} | {} |",
            says("Program"),
            says("Package"),
            says("Does")
        );
        for kind in KINDS {
            let reason = script.differs(kind);
            let equal = match seen.get(&(script.name.clone(), kind)) {
                Some(seen) => *seen == Seen::Equal,
                None => reason.is_none(),
            };
            let cell = match (equal, reason) {
                (true, _) => "as natively".to_owned(),
                (false, None) => "differs".to_owned(),
                (false, Some(reason)) => {
                    let known = reasons.iter().position(|known| *known == reason);
                    let number = known.unwrap_or(reasons.len());
                    if known.is_none() {
                        reasons.push(reason);
                    }
                    format!("differs ({})", number + 1)
                }
            };
            text += &format!(" {cell} |");
        }
        text += "\n";
    }
    text += "\n## Known differences\n\n";
    for (number, reason) in reasons.iter().enumerate() {
        text += &format!("{}. {reason}.\n", number + 1);
    }
    text
}
