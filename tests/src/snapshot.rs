//! A directory tree as it is, to be compared with what it is later.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What is known of one file: identity, mode, owner, times and contents (or a link's target).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    identity: (u64, u32, u32, u32, u64),
    times: (i64, i64, i64, i64),
    contents: Vec<u8>,
}

/// All files below a directory, and the directory itself.
///
/// # Panics
/// It cannot be read.
pub fn snapshot(root: &Path) -> BTreeMap<PathBuf, Entry> {
    let mut all = BTreeMap::new();
    visit(root, &mut all);
    all
}

fn visit(path: &Path, all: &mut BTreeMap<PathBuf, Entry>) {
    let data = path.symlink_metadata().expect("a file of the tree");
    let contents = if data.is_file() {
        std::fs::read(path).expect("its contents")
    } else if data.is_symlink() {
        std::fs::read_link(path)
            .expect("its target")
            .into_os_string()
            .into_encoded_bytes()
    } else {
        Vec::new()
    };
    let entry = Entry {
        identity: (
            data.ino(),
            data.mode(),
            data.uid(),
            data.gid(),
            data.nlink(),
        ),
        times: (
            data.mtime(),
            data.mtime_nsec(),
            data.ctime(),
            data.ctime_nsec(),
        ),
        contents,
    };
    all.insert(path.to_owned(), entry);
    if data.is_dir() {
        for child in std::fs::read_dir(path).expect("its entries") {
            visit(&child.expect("an entry").path(), all);
        }
    }
}
