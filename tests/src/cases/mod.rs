//! The case table: short sequences of calls whose answers must be the same by every way.
//!
//! A case is a function on a [`Run`] whose working directory is its own, empty. It asserts nothing: each call, its
//! answer and what is seen go to the transcript, and the transcripts of all ways are compared, native libc being the
//! oracle. Where later calls need a descriptor that an earlier one failed to give, they get -1 and fail alike.

mod attributes;
mod descriptors;
mod directories;
mod files;
mod locks;
mod metadata;
mod names;
mod opening;
mod paths;
mod processes;
mod programs;
mod readiness;
mod signals;
mod space;
mod transfers;
mod watches;

use crate::run::Run;

/// One case.
#[derive(Clone, Copy)]
pub struct Case {
    /// Name, unique in the table.
    pub name: &'static str,
    /// Makes the calls.
    pub run: fn(&mut Run),
}

/// Names functions as cases.
macro_rules! table {
    ($($name:ident),* $(,)?) => {
        /// This file's cases.
        pub const CASES: &[super::Case] = &[$(super::Case { name: stringify!($name), run: $name }),*];
    };
}
use table;

/// Cases of ops that programs have no function for.
pub fn direct() -> impl Iterator<Item = Case> {
    [descriptors::CASES, watches::CASES, programs::CASES]
        .into_iter()
        .flatten()
        .copied()
}

/// Cases that every way can make.
pub fn all() -> impl Iterator<Item = Case> {
    let files = [
        opening::CASES,
        files::CASES,
        transfers::CASES,
        space::CASES,
        directories::CASES,
        names::CASES,
        paths::CASES,
        metadata::CASES,
        attributes::CASES,
        locks::CASES,
        readiness::CASES,
        signals::CASES,
        processes::CASES,
    ];
    files.into_iter().flatten().copied()
}
