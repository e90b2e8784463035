//! The shared objects that this program runs with: what programs built beside it need where there are others, or none.

use std::path::{Path, PathBuf};

/// All of them, the dynamic linker among them.
pub fn mapped() -> Vec<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let mut found: Vec<PathBuf> = maps
        .lines()
        .filter_map(|line| Some(PathBuf::from(&line[line.find('/')?..])))
        .filter(|path| name(path).contains(".so"))
        .collect();
    found.sort();
    found.dedup();
    found
}

/// Whether it is the dynamic linker.
pub fn is_linker(path: &Path) -> bool {
    name(path).starts_with("ld-")
}

fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}
