//! The guest's programs: names along `PATH`, read again when a directory has changed.

use crate::dosh::syntax::tree::Bytes;
use crate::dosh::sys;
use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::time::SystemTime;

/// One directory's names.
#[derive(Debug)]
struct Listed {
    changed: Option<SystemTime>,
    names: BTreeSet<Bytes>,
}

/// What has been read so far.
#[derive(Debug, Default)]
pub struct Programs {
    directories: HashMap<Bytes, Listed>,
}

impl Programs {
    /// Whether a command of this name can be run: along the path, or by its own path.
    pub fn runs(&mut self, path: &[u8], name: &[u8]) -> bool {
        if name.contains(&b'/') {
            return is_program(name);
        }
        let mut directories = directories(path);
        directories.any(|directory| {
            self.names(directory).contains(name) && is_program(&within(directory, name))
        })
    }

    /// Names of programs that begin so.
    pub fn beginning(&mut self, path: &[u8], begin: &[u8]) -> BTreeSet<Bytes> {
        let mut found = BTreeSet::new();
        for directory in directories(path) {
            let names = self.names(directory).range(begin.to_vec()..);
            let names = names.take_while(|name| name.starts_with(begin));
            found.extend(
                names
                    .filter(|name| is_program(&within(directory, name)))
                    .cloned(),
            );
        }
        found
    }

    fn names(&mut self, directory: &[u8]) -> &BTreeSet<Bytes> {
        let path = Path::new(OsStr::from_bytes(directory));
        let changed = path.metadata().and_then(|meta| meta.modified()).ok();
        let listed = self.directories.entry(directory.to_vec());
        let listed = listed.or_insert_with(|| Listed {
            changed: None,
            names: BTreeSet::new(),
        });
        if listed.changed != changed {
            let entries = path.read_dir().into_iter().flatten().flatten();
            listed.names = entries.map(|entry| entry.file_name().into_vec()).collect();
            listed.changed = changed;
        }
        &listed.names
    }
}

/// The directories of a path.
fn directories(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b':')
        .map(|directory| match directory {
            b"" => &b"."[..],
            directory => directory,
        })
}

fn within(directory: &[u8], name: &[u8]) -> Bytes {
    [directory, b"/", name].concat()
}

/// Whether this file can be executed.
pub fn is_program(path: &[u8]) -> bool {
    let is_file = || Path::new(OsStr::from_bytes(path)).is_file();
    sys::may(path, libc::X_OK) && is_file()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn programs_are_what_can_be_run() {
        let directory = tempfile::tempdir().expect("a directory");
        let at = |name: &str| directory.path().join(name);
        for (name, mode) in [("tool", 0o755), ("text", 0o644), ("tooth", 0o755)] {
            std::fs::write(at(name), "#!/bin/sh\n").expect("a file");
            std::fs::set_permissions(at(name), PermissionsExt::from_mode(mode)).expect("a mode");
        }
        std::fs::create_dir(at("toolbox")).expect("a directory");
        let path = [directory.path().as_os_str().as_bytes(), b":/nowhere"].concat();
        let mut programs = Programs::default();
        let names: Vec<Bytes> = programs.beginning(&path, b"t").into_iter().collect();
        assert_eq!(names, [b"tool".to_vec(), b"tooth".to_vec()]);
        assert!(programs.runs(&path, b"tool") && !programs.runs(&path, b"text"));
        let own = at("tool").into_os_string().into_vec();
        assert!(programs.runs(b"", &own) && !programs.runs(&path, b"/nowhere/tool"));
    }

    #[test]
    fn a_directory_that_changes_is_read_again() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().as_os_str().as_bytes();
        let mut programs = Programs::default();
        assert!(!programs.runs(path, b"new"));
        let file = directory.path().join("new");
        std::fs::write(&file, "").expect("a file");
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).expect("a mode");
        let later = SystemTime::now() + std::time::Duration::from_secs(5);
        let directory = std::fs::File::open(directory.path()).expect("the directory");
        directory.set_modified(later).expect("a time");
        assert!(programs.runs(path, b"new"));
    }
}
