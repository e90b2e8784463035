//! Trees that no guest may read or change, and how a test knows that none has.

use crate::daemon::{exports, Daemon};
use crate::snapshot::{snapshot, Entry};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What lies outside every export; it begins with "secret".
pub const SECRET: &[u8] = b"secret outside of every export";

/// A hostd whose guest has `export/` and `good/` read-write, `readonly/` read-only, `outside/` not at all.
pub fn daemon() -> Daemon {
    Daemon::configured(|directory| {
        for name in ["outside/deep", "readonly/deep", "export/deep"] {
            std::fs::create_dir_all(directory.join(name)).unwrap();
        }
        for name in ["outside/file", "outside/deep/file"] {
            std::fs::write(directory.join(name), SECRET).unwrap();
        }
        for name in ["readonly/file", "readonly/deep/file"] {
            std::fs::write(directory.join(name), "to be read only").unwrap();
        }
        for name in ["export/file", "export/deep/file"] {
            std::fs::write(directory.join(name), "inside").unwrap();
        }
        let mut exports = exports(directory);
        exports
            .as_array_mut()
            .unwrap()
            .push(json!({"path": directory.join("readonly"), "mode": "ro"}));
        json!({"exports": exports})
    })
}

/// Trees that nothing may change, and how they were.
#[derive(Debug)]
pub struct Canaries(Vec<(PathBuf, BTreeMap<PathBuf, Entry>)>);

impl Canaries {
    /// The trees of [`daemon`] as they are.
    pub fn of(daemon: &Daemon) -> Canaries {
        Canaries(
            ["outside", "readonly"]
                .map(|name| daemon.directory.join(name))
                .map(|path| (path.clone(), snapshot(&path)))
                .into(),
        )
    }

    /// Holds that they are still so.
    ///
    /// # Panics
    /// One was changed.
    pub fn check(&self) {
        for (path, before) in &self.0 {
            assert_eq!(&snapshot(path), before, "{} was changed", path.display());
        }
    }
}
