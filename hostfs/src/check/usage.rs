//! What imports mean, by the symbol table.

use super::elf::Image;
use super::libraries::is_glibc;
use hostcall::symbols::{self, Road};
use serde::Serialize;
use std::collections::BTreeMap;

/// How a function reaches the host's files, as the answer tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// By host calls.
    HostCalls,
    /// Through the mount.
    Mount,
    /// Not at all.
    Lost,
    /// The symbol table does not know the function.
    Unknown,
}

/// A function that is used.
#[derive(Clone, Debug, Serialize)]
pub struct Use {
    /// Its name.
    pub name: String,
    /// Its family in the symbol table.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub family: &'static str,
    /// How it reaches the host's files.
    pub way: Way,
    /// Why not by host calls.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub reason: &'static str,
    /// The files that import it.
    pub used_by: Vec<String>,
}

/// All functions that were found, by name.
#[derive(Debug, Default)]
pub struct Uses(BTreeMap<String, Use>);

impl Uses {
    /// Adds what an image imports; functions that have nothing to do with files are left out.
    pub fn add(&mut self, image: &Image, file: &str) {
        for import in &image.imports {
            let Some((family, way, reason)) = judge(&import.name, import.library.as_deref()) else {
                continue;
            };
            let entry = self.0.entry(import.name.clone()).or_insert_with(|| Use {
                name: import.name.clone(),
                family,
                way,
                reason,
                used_by: Vec::new(),
            });
            entry.used_by.push(file.to_owned());
        }
    }

    /// All of them: those of one way together, of one family together.
    pub fn sorted(self) -> Vec<Use> {
        let order = |family: &str| symbols::FAMILIES.iter().position(|one| one.name == family);
        let mut all: Vec<Use> = self.0.into_values().collect();
        all.sort_by_key(|one| (one.way, order(one.family)));
        all
    }
}

/// What an import means: family, way and reason; `None` if it has nothing to do with files.
fn judge(name: &str, library: Option<&str>) -> Option<(&'static str, Way, &'static str)> {
    match symbols::find(name) {
        Some(symbol) => {
            let way = match symbol.road {
                Road::Call | Road::Over | Road::Beside | Road::Asm => {
                    return Some((symbol.family, Way::HostCalls, ""))
                }
                Road::Stream => Way::HostCalls,
                Road::Mount => Way::Mount,
                Road::Lost => Way::Lost,
                Road::Kernel => return None,
            };
            Some((symbol.family, way, symbol.reason))
        }
        // What other libraries provide may be called anything.
        None if library.is_some_and(is_glibc) && symbols::sounds_like_files(name) => {
            Some(("", Way::Unknown, "not in the symbol table"))
        }
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_are_judged_by_the_table() {
        let libc = Some("libc.so.6");
        let way = |name, library| judge(name, library).map(|(_, way, _)| way);
        assert_eq!(way("open64", libc), Some(Way::HostCalls));
        assert_eq!(way("fread", libc), Some(Way::HostCalls));
        assert_eq!(way("fts_open", libc), Some(Way::Mount));
        assert_eq!(way("pidfd_spawn", libc), Some(Way::Lost));
        assert_eq!(way("munmap", libc), None);
        assert_eq!(way("strlen", libc), None);
        assert_eq!(way("openat3", libc), Some(Way::Unknown));
        assert_eq!(way("gzopen", None), None);
        assert_eq!(way("gzopen", Some("libz.so.1")), None);
    }
}
