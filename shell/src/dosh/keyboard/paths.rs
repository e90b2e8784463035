//! Which words of a line are paths of files that the guest has.

use super::scan::{Mode, Scan};
use super::scene::Scene;
use super::typed::Typed;
use crate::paths::Prefix;
use std::ffi::OsStr;
use std::ops::Range;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// So many words of a line are looked up at most, at each key.
const MOST: usize = 32;

/// Where they stand, in order. Paths under the prefix are the host's: a key does not wait for those.
pub fn existing(found: &Scan, mode: &Mode, text: &[u8], scene: &Scene) -> Vec<Range<usize>> {
    let directory = std::env::current_dir().unwrap_or_default();
    let directory = directory.into_os_string().into_vec();
    let prefix = Prefix::named(
        scene
            .variables
            .get(&b"HOSTCALL_PREFIX"[..])
            .map(|value| &value[..]),
    );
    let is_there = |range: &Range<usize>| {
        let typed = text.get(range.clone()).map(|raw| Typed::undo(raw, scene));
        typed.flatten().is_some_and(|typed| {
            prefix.to_host(&directory, &typed.text).is_none()
                && Path::new(OsStr::from_bytes(&typed.text))
                    .symlink_metadata()
                    .is_ok()
        })
    };
    let arguments = (0..found.calls.len()).flat_map(|call| found.arguments(call, mode));
    let mut ranges: Vec<Range<usize>> = arguments.take(MOST).filter(is_there).collect();
    ranges.sort_by_key(|range| range.start);
    ranges
}
