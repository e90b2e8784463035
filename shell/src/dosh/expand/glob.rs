//! Pathname expansion (XCU 2.13.3).

use super::pattern;
use crate::dosh::syntax::tree::Bytes;
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// The paths that the pattern matches, sorted by their bytes; none of what is no pattern.
pub fn expand(pattern: &[u8]) -> Vec<Bytes> {
    // Escaped characters alone are no pattern.
    if pattern::literal(pattern).is_some() {
        return Vec::new();
    }
    let components = components(pattern);
    let mut found = Vec::new();
    descend(Bytes::new(), &components, &mut found);
    found.sort();
    found
}

/// A component, and the slashes behind it.
fn components(pattern: &[u8]) -> Vec<(&[u8], usize)> {
    let mut components = Vec::new();
    let mut rest = pattern;
    while !rest.is_empty() {
        let end = rest
            .iter()
            .position(|byte| *byte == b'/')
            .unwrap_or(rest.len());
        let slashes = rest[end..].iter().take_while(|byte| **byte == b'/').count();
        components.push((&rest[..end], slashes));
        rest = &rest[end + slashes..];
    }
    components
}

fn descend(base: Bytes, components: &[(&[u8], usize)], found: &mut Vec<Bytes>) {
    let Some(((component, slashes), rest)) = components.split_first() else {
        if exists(&base) {
            found.push(base);
        }
        return;
    };
    let mut go = |name: &[u8]| {
        let mut path = base.clone();
        path.extend_from_slice(name);
        path.extend(std::iter::repeat_n(b'/', *slashes));
        match rest.is_empty() {
            // A name that a directory has listed exists; with a slash behind it, it must be a directory.
            true if *slashes == 0 && pattern::literal(component).is_none() => found.push(path),
            _ => descend(path, rest, found),
        }
    };
    if let Some(name) = pattern::literal(component) {
        return go(&name);
    }
    let directory = match base.is_empty() {
        true => Path::new("."),
        false => Path::new(OsStr::from_bytes(&base)),
    };
    let hidden = component.starts_with(b".") || component.starts_with(b"\\.");
    let listed = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let names = listed.map(|entry| entry.file_name().into_vec());
    let dots = [b".".to_vec(), b"..".to_vec()]
        .into_iter()
        .filter(|_| hidden);
    for name in names.chain(dots) {
        if (hidden || !name.starts_with(b".")) && pattern::matches(component, &name) {
            go(&name);
        }
    }
}

/// Whether something has this name, be it a link to nothing.
fn exists(path: &[u8]) -> bool {
    std::fs::symlink_metadata(OsStr::from_bytes(path)).is_ok()
}
