//! Names that the shell itself can tell: its commands, variables, jobs, signals, and the users of the guest.

use super::offer::{Candidate, Then};
use super::scan_compound::reserved;
use super::scene::Scene;
use crate::dosh::builtins;
use crate::dosh::options::Options;
use crate::dosh::signals;
use crate::dosh::syntax::tree::Bytes;
use crate::failure::plain;
use std::collections::BTreeSet;

/// Commands of the shell that begin so: built-ins, functions, aliases and reserved words.
pub fn commands(scene: &Scene, begin: &[u8]) -> BTreeSet<Bytes> {
    let own = builtins::NAMES.iter().copied().chain(reserved());
    let named = scene.functions.iter().chain(scene.aliases.keys());
    own.map(<[u8]>::to_vec)
        .chain(named.cloned())
        .filter(|name| name.starts_with(begin))
        .collect()
}

/// Variables that begin so.
pub fn variables(scene: &Scene, begin: &[u8], then: Then) -> Vec<Candidate> {
    let names = scene
        .variables
        .keys()
        .filter(|name| name.starts_with(begin));
    names
        .map(|name| Candidate::new(name.clone(), then))
        .collect()
}

/// Jobs by their numbers, `%` in front. A word that does not begin with it has none.
pub fn jobs(scene: &Scene, begin: &[u8]) -> Vec<Candidate> {
    let jobs = scene.jobs.iter().map(|(number, text)| Candidate {
        about: Some(plain(text)),
        ..Candidate::new(format!("%{number}"), Then::Blank)
    });
    jobs.filter(|job| job.name.starts_with(begin)).collect()
}

/// Signals as options of `kill`.
pub fn signals(begin: &[u8]) -> Vec<Candidate> {
    let names = signals::all().map(|(_, name)| format!("-{name}"));
    let names = names.filter(|name| name.as_bytes().starts_with(begin));
    names
        .map(|name| Candidate::new(name, Then::Blank))
        .collect()
}

/// Options of the shell, by the names that `set -o` takes.
pub fn options(begin: &[u8]) -> Vec<Candidate> {
    let names = Options::default().all().into_iter().map(|(name, _)| name);
    names
        .filter(|name| name.as_bytes().starts_with(begin))
        .map(|name| Candidate::new(name, Then::Blank))
        .collect()
}

/// Users that begin so, with a tilde in front and a slash behind.
pub fn users(begin: &[u8]) -> Vec<Candidate> {
    let begin = begin.strip_prefix(b"~").unwrap_or(begin);
    let table = std::fs::read("/etc/passwd").unwrap_or_default();
    let lines = table.split(|byte| *byte == b'\n');
    let names: BTreeSet<&[u8]> = lines
        .filter_map(|line| line.split(|byte| *byte == b':').next())
        .filter(|name| !name.is_empty() && name.starts_with(begin))
        .collect();
    let candidate = |name: &[u8]| Candidate::new([b"~", name, b"/"].concat(), Then::More);
    names.into_iter().map(candidate).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shells_own_commands_are_all_there() {
        let found = commands(&Scene::default(), b"");
        for name in [&b"cd"[..], b"while", b"[[", b"export"] {
            assert!(found.contains(name));
        }
        for name in builtins::NAMES {
            assert!(builtins::find(name).is_some());
        }
        // None is missing: the names stand in `find` as `b"name" =>` or joined by `|`.
        let source = include_str!("../builtins/mod.rs");
        let table = source.split_once("match name {").expect("the table").1;
        let table = table.split_once("_ => None").expect("its end").0;
        assert_eq!(table.matches("b\"").count(), builtins::NAMES.len());
    }

    #[test]
    fn jobs_have_numbers_and_say_what_they_run() {
        let scene = Scene {
            jobs: vec![(1, b"sleep 9".to_vec()), (12, b"make".to_vec())],
            ..Scene::default()
        };
        let found = jobs(&scene, b"%1");
        assert_eq!(found.len(), 2);
        assert_eq!(found[1].about.as_deref(), Some("make"));
        assert_eq!(jobs(&scene, b"%12").len(), 1);
    }

    #[test]
    fn users_and_signals_begin_as_they_are_typed() {
        assert!(users(b"~roo").contains(&Candidate::new("~root/", Then::More)));
        assert!(users(b"~no such user").is_empty());
        assert_eq!(signals(b"-KIL"), [Candidate::new("-KILL", Then::Blank)]);
    }
}
