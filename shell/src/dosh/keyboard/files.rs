//! The guest's files, as a path that is being typed could go on.

use super::offer::{Candidate, Then};
use super::programs::is_program;
use super::typed::Component;
use std::ffi::OsStr;
use std::fs::{DirEntry, FileType};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// Which files are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    Any,
    Directories,
    /// What can be executed, and directories on the way there.
    Programs,
}

/// The entries of the directory that the path leads into. Hidden ones come if their dot stands there.
pub fn files(component: &Component, wanted: Wanted) -> Vec<Candidate> {
    let parent = match component.parent {
        b"" => b".",
        parent => parent,
    };
    let entries = Path::new(OsStr::from_bytes(parent)).read_dir();
    let mut found: Vec<Candidate> = entries
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| candidate(&entry, component, wanted))
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

fn candidate(entry: &DirEntry, component: &Component, wanted: Wanted) -> Option<Candidate> {
    let mut name = entry.file_name().into_vec();
    let hidden = name.starts_with(b".") && !component.begin.starts_with(b".");
    if hidden || !name.starts_with(component.begin) {
        return None;
    }
    let is_directory = match entry.file_type() {
        Ok(kind) if FileType::is_symlink(&kind) => entry.path().is_dir(),
        kind => kind.is_ok_and(|kind| kind.is_dir()),
    };
    match wanted {
        _ if is_directory => name.push(b'/'),
        Wanted::Any => {}
        Wanted::Directories => return None,
        Wanted::Programs if is_program(entry.path().as_os_str().as_bytes()) => {}
        Wanted::Programs => return None,
    }
    let then = if is_directory {
        Then::More
    } else {
        Then::Blank
    };
    Some(Candidate::new(name, then))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dosh::keyboard::quoted::Quote;
    use std::os::unix::fs::{symlink, PermissionsExt};

    fn names(parent: &Path, begin: &str, wanted: Wanted) -> Vec<String> {
        let parent = [parent.as_os_str().as_bytes(), b"/"].concat();
        let component = Component {
            parent: &parent,
            begin: begin.as_bytes(),
            given: 0,
            start: 0,
            outer: Quote::None,
        };
        let found = files(&component, wanted).into_iter();
        found
            .map(|file| String::from_utf8_lossy(&file.name).into_owned())
            .collect()
    }

    #[test]
    fn files_are_found_by_what_is_wanted() {
        let directory = tempfile::tempdir().expect("a directory");
        let at = |name: &str| directory.path().join(name);
        for name in ["alpha", "Alpha", "beta", ".hidden"] {
            std::fs::write(at(name), "").expect("a file");
        }
        std::fs::create_dir(at("adir")).expect("a directory");
        symlink("adir", at("alink")).expect("a link");
        symlink("nowhere", at("abroken")).expect("a link");
        std::fs::set_permissions(at("alpha"), PermissionsExt::from_mode(0o755)).expect("a mode");
        let found = |begin, wanted| names(directory.path(), begin, wanted);
        assert_eq!(
            found("a", Wanted::Any),
            ["abroken", "adir/", "alink/", "alpha"]
        );
        assert_eq!(found("A", Wanted::Any), ["Alpha"]);
        assert_eq!(found("", Wanted::Directories), ["adir/", "alink/"]);
        assert_eq!(found("a", Wanted::Programs), ["adir/", "alink/", "alpha"]);
        assert_eq!(found(".", Wanted::Any), [".hidden"]);
        assert_eq!(found("x", Wanted::Any), [""; 0]);
        assert!(names(&at("nowhere"), "", Wanted::Any).is_empty());
    }
}
