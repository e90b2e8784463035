//! The architecture's rules, held by tests: who may use whom, where `unsafe` stands, how long a file may be.

use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Which crates of the workspace a crate may use. `tests` and `bench` may use any.
const EDGES: &[(&str, &[&str])] = &[
    ("hostcall", &[]),
    ("hostcall-preload", &["hostcall"]),
    ("hostcall-hostfs", &["hostcall"]),
    ("hostcall-shell", &["hostcall"]),
    ("hostd", &["hostcall"]),
];
const FREE: &[&str] = &["hostcall-tests", "hostcall-bench"];

/// Longer code is more than one idea.
const MAX_LINES: usize = 500;

/// Longer files, each with the reason.
const LONG: &[(&str, &str)] = &[
    (
        "hostcall/src/symbols/table.rs",
        "the one table of all hooks: a row for each function",
    ),
    (
        "hostd/tests/guest_boot.rs",
        "one life of a guest after another, one harness",
    ),
    (
        "tests/src/native.rs",
        "the oracle: a system call for each op, and nothing else",
    ),
];

/// The only files with `unsafe`, one a line, sorted.
const UNSAFE: &str = include_str!("layering/unsafe-files");

fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    root.canonicalize().unwrap()
}

/// The files of the tree: those under version control, or all but build products where there is no git.
fn tree() -> Vec<String> {
    let root = root();
    let listed = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(&root)
        .output();
    let mut files: Vec<String> = match listed {
        Ok(output) if output.status.success() => String::from_utf8(output.stdout)
            .unwrap()
            .split_terminator('\0')
            .map(str::to_owned)
            .collect(),
        _ => {
            let mut found = Vec::new();
            walk(&root, &root, &mut found);
            found
        }
    };
    files.retain(|file| root.join(file).is_file());
    files.sort();
    assert!(files.len() > 50, "only {} files were seen", files.len());
    files
}

fn walk(root: &Path, dir: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() && !path.is_symlink() {
            if name != "target" && name != ".git" {
                walk(root, &path, found);
            }
        } else {
            let relative = path.strip_prefix(root).unwrap();
            found.push(relative.to_str().unwrap().to_owned());
        }
    }
}

fn is_code(file: &str) -> bool {
    [".rs", ".c", ".h", ".sh"]
        .iter()
        .any(|end| file.ends_with(end))
}

#[test]
fn crates_use_only_what_lies_below_them() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps"])
        .current_dir(root())
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let names: BTreeSet<&str> = packages
        .iter()
        .map(|package| package["name"].as_str().unwrap())
        .collect();
    for package in packages {
        let name = package["name"].as_str().unwrap();
        if FREE.contains(&name) {
            continue;
        }
        let may = EDGES
            .iter()
            .find(|(known, _)| *known == name)
            .unwrap_or_else(|| panic!("{name} is new: say in EDGES what it may use"))
            .1;
        for dependency in package["dependencies"].as_array().unwrap() {
            let uses = dependency["name"].as_str().unwrap();
            assert!(
                !names.contains(uses) || may.contains(&uses),
                "{name} may not use {uses}"
            );
        }
    }
}

/// Whether a line of Rust opens the door: comments and the attribute that permits it do not count.
fn is_unsafe(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    [
        "unsafe {",
        "unsafe fn",
        "unsafe impl",
        "unsafe extern",
        "unsafe trait",
        "unsafe(",
    ]
    .iter()
    .any(|form| code.contains(form))
}

#[test]
fn unsafe_code_stands_in_listed_files_only() {
    let root = root();
    let listed: BTreeSet<&str> = UNSAFE.lines().collect();
    let own = "tests/tests/layering.rs";
    let found: BTreeSet<String> = tree()
        .into_iter()
        .filter(|file| file.ends_with(".rs") && file != own)
        .filter(|file| {
            let text = fs::read_to_string(root.join(file)).unwrap();
            text.lines().any(is_unsafe)
        })
        .collect();
    let found: BTreeSet<&str> = found.iter().map(String::as_str).collect();
    let new: Vec<_> = found.difference(&listed).collect();
    assert!(new.is_empty(), "unsafe in {new:?}: can it be done without? If not, add to tests/tests/layering/unsafe-files");
    let gone: Vec<_> = listed.difference(&found).collect();
    assert!(
        gone.is_empty(),
        "no unsafe left in {gone:?}: strike out of tests/tests/layering/unsafe-files"
    );
}

/// Whether a line of Rust writes in a way that panics where a standard stream cannot be written.
fn is_print(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    let names = ["print", "println", "eprint", "eprintln", "dbg"];
    names.iter().any(|name| {
        let form = format!("{name}!");
        let before = code
            .split(form.as_str())
            .next()
            .filter(|text| *text != code);
        before
            .is_some_and(|text| !text.ends_with(|last: char| last.is_alphanumeric() || last == '_'))
    })
}

/// The code of a file of Rust without its tests, which stand last.
fn without_tests(text: &str) -> &str {
    text.split("\n#[cfg(test)]\nmod ")
        .next()
        .unwrap_or_default()
}

#[test]
fn programs_write_by_one_module_that_does_not_panic() {
    let root = root();
    for file in tree() {
        let of_program = EDGES.iter().any(|(name, _)| {
            let directory = name.strip_prefix("hostcall-").unwrap_or(name);
            file.starts_with(&format!("{directory}/src/"))
        });
        if !of_program || !file.ends_with(".rs") || file.ends_with("_tests.rs") {
            continue;
        }
        let text = fs::read_to_string(root.join(&file)).unwrap();
        let line = without_tests(&text).lines().find(|line| is_print(line));
        assert_eq!(line, None, "{file}: hostcall::say writes without panic");
    }
    let found = |line: &str| is_print(line) && is_print(without_tests(line));
    assert!(found("    eprintln!(\"x\");") && found("print!()") && !found("// println!()"));
    assert!(!is_print(without_tests(
        "fn a() {}\n#[cfg(test)]\nmod tests { println!(); }"
    )));
}

#[test]
fn every_crate_root_denies_unsafe_code() {
    let root = root();
    for file in tree() {
        let is_root = file.ends_with("/src/lib.rs") || file.ends_with("/src/main.rs");
        if is_root && !file.starts_with("tests/") && !file.starts_with("bench/") {
            let text = fs::read_to_string(root.join(&file)).unwrap();
            let denied =
                text.contains("#![deny(unsafe_code)]") || text.contains("#![forbid(unsafe_code)]");
            assert!(denied, "{file} lacks #![deny(unsafe_code)]");
        }
    }
}

#[test]
fn files_hold_one_idea() {
    let root = root();
    let mut long = BTreeSet::new();
    for file in tree().into_iter().filter(|file| is_code(file)) {
        let lines = fs::read_to_string(root.join(&file))
            .unwrap()
            .lines()
            .count();
        if lines > MAX_LINES {
            let excused = LONG.iter().any(|(name, _)| *name == file);
            assert!(
                excused,
                "{file} has {lines} lines: split it, or give the reason in LONG"
            );
            long.insert(file);
        }
    }
    for (file, _) in LONG {
        assert!(
            long.contains(*file),
            "{file} is short enough now: strike it out of LONG"
        );
    }
}

#[test]
fn nothing_names_the_place_of_the_checkout() {
    let root = root();
    let place = root.to_str().unwrap();
    if place.matches('/').count() < 2 {
        // A checkout in `/src` or the like: its name is no sign.
        return;
    }
    for file in tree() {
        let bytes = fs::read(root.join(&file)).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(
            !text.contains(place),
            "{file} names {place}; make it relative"
        );
    }
}
