//! Real programs do the same work natively and in guests, on host files under the preload: what they say, how they end and
//! the tree that they leave are equal. What the runs saw stands in `docs/COMPATIBILITY.md`; with
//! `HOSTCALL_WRITE_COMPATIBILITY=1` it is written there. `HOSTCALL_TEST_PROGRAMS` names a part of the scripts.

use hostcall_tests::daemon::Scratch;
use hostcall_tests::differential::Side;
use hostcall_tests::outside::may_mount;
use hostcall_tests::programs::{document, installed, run, scripts, Script, Seen, KINDS};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

/// By how much less is done in a UML guest, where to start a process takes a hundredth of a second and more.
const LESS: u32 = 10;

/// What a run in a kind of guest sees of the scripts that are long there, or of the others. Runs once.
fn seen(kind: &'static str, long: bool) -> &'static [(Script, Seen)] {
    static SEEN: [OnceLock<Vec<(Script, Seen)>>; 2 * KINDS.len()] =
        [const { OnceLock::new() }; 2 * KINDS.len()];
    let number = KINDS.iter().position(|known| *known == kind);
    SEEN[2 * number.expect("a kind of guest") + usize::from(long)].get_or_init(|| {
        let mut scripts = scripts();
        scripts.retain(|script| script.is_long(kind) == long);
        if scripts.is_empty() {
            return Vec::new();
        }
        installed(&scripts);
        let scratch = Scratch::new();
        let scale = if kind == "uml" { LESS } else { 1 };
        let native = run(&Side::Native, &scratch, &scripts, scale);
        let guest = run(&Side::Guest(kind.to_owned()), &scratch, &scripts, scale);
        let seen = std::iter::zip(&native, &guest).map(|(native, guest)| {
            let difference = native.difference(guest);
            difference.map_or(Seen::Equal, Seen::Different)
        });
        std::iter::zip(scripts.clone(), seen).collect()
    })
}

/// Each script differs where its head says so, and nowhere else.
fn agree(kind: &'static str, long: bool) {
    if !may_mount() {
        return;
    }
    let mut wrong = String::new();
    for (script, seen) in seen(kind, long) {
        wrong += &match (seen, script.differs(kind)) {
            (Seen::Different(text), None) => format!("{} in {kind}:\n{text}", script.name),
            (Seen::Equal, Some(reason)) => {
                format!(
                    "{} in {kind} does not differ, as its head says: {reason}\n",
                    script.name
                )
            }
            _ => continue,
        };
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn programs_in_local_as_natively() {
    agree("local", false);
}

#[test]
fn programs_in_uml_as_natively() {
    agree("uml", false);
}

#[test]
#[ignore = "minutes"]
fn long_programs_in_uml_as_natively() {
    agree("uml", true);
}

#[test]
fn the_table_says_what_the_runs_saw() {
    // A part of the programs makes no table.
    if !may_mount() || std::env::var_os("HOSTCALL_TEST_PROGRAMS").is_some() {
        return;
    }
    let all: BTreeMap<(String, &str), Seen> = KINDS
        .iter()
        .flat_map(|kind| seen(kind, false).iter().map(move |seen| (*kind, seen)))
        .map(|(kind, (script, seen))| ((script.name.clone(), kind), seen.clone()))
        .collect();
    let document = document(&scripts(), &all);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/COMPATIBILITY.md");
    if std::env::var_os("HOSTCALL_WRITE_COMPATIBILITY").is_some() {
        std::fs::write(&file, &document).expect("the document");
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written == document,
        "docs/COMPATIBILITY.md says something else; `make compatibility` writes it anew"
    );
}
