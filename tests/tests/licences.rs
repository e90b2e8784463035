//! Everything that is linked is permissively licensed: no copyleft.

use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// Licences that ask for attribution at most.
const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unicode-DFS-2016",
    "Unlicense",
    "Zlib",
];

/// Whether an SPDX expression can be met by allowed licences alone. `AND` binds closer than `OR`; the `/` of old
/// manifests means `OR`; an exception (`WITH`) only adds rights.
fn allowed(expression: &str) -> bool {
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    let mut words = spaced.split_whitespace().peekable();
    let outcome = either(&mut words);
    outcome && words.next().is_none()
}

type Words<'w, 't> = &'w mut std::iter::Peekable<std::str::SplitWhitespace<'t>>;

fn either(words: Words) -> bool {
    let mut outcome = both(words);
    while words.next_if_eq(&"OR").is_some() {
        outcome |= both(words);
    }
    outcome
}

fn both(words: Words) -> bool {
    let mut outcome = one(words);
    while words.next_if_eq(&"AND").is_some() {
        outcome &= one(words);
    }
    outcome
}

fn one(words: Words) -> bool {
    if words.next_if_eq(&"(").is_some() {
        let outcome = either(words);
        return words.next() == Some(")") && outcome;
    }
    let known = words.next().is_some_and(|name| ALLOWED.contains(&name));
    if words.next_if_eq(&"WITH").is_some() {
        words.next();
    }
    known
}

#[test]
fn expressions_are_read_as_spdx_means_them() {
    for good in [
        "MIT",
        "MIT/Apache-2.0",
        "GPL-2.0 OR MIT",
        "(MIT OR GPL-3.0) AND Unicode-3.0",
        "Apache-2.0 WITH LLVM-exception OR GPL-2.0",
    ] {
        assert!(allowed(good), "{good}");
    }
    for bad in [
        "",
        "GPL-2.0",
        "LGPL-2.1-or-later",
        "MPL-2.0",
        "MIT AND GPL-2.0",
        "(MIT OR ISC) AND AGPL-3.0",
        "MIT ISC",
        "(MIT",
    ] {
        assert!(!allowed(bad), "{bad}");
    }
}

#[test]
fn every_crate_is_permissively_licensed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked"])
        .args(["--filter-platform", &target])
        .current_dir(root)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo metadata: {errors}");
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    // Packages of other platforms are listed, too; what is resolved for this one is what is linked.
    let nodes = metadata["resolve"]["nodes"].as_array().unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let linked = packages
        .iter()
        .filter(|package| nodes.iter().any(|node| node["id"] == package["id"]));
    let mut count = 0;
    for package in linked {
        let licence = package["license"].as_str().unwrap_or_default();
        let name = &package["name"];
        assert!(
            allowed(licence),
            "{name} is licensed {licence:?}; use another crate"
        );
        count += 1;
    }
    assert!(count > 5, "only {count} crates were seen");
}
