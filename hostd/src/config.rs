//! What a host offers to its guests: exports, users, attachments and limits, read from JSON.
//!
//! Every key, its default and an example stand in `docs/CONFIG.md`. [`Config::load`] refuses what cannot be meant:
//! a mistyped key that is ignored would widen what a guest sees or may use.

mod change;
mod check;
mod exec;
mod parse;
mod programs;
mod rights;
mod user;

pub use change::Change;
pub use check::{check, exports_of, Finding, Severity};
pub use exec::{ExecConfig, ProgramLimits, Rule};
pub use parse::ConfigError;
pub use rights::{Rights, RightsError};
pub(crate) use user::{check_runtime_dir, runtime_dir};
pub use user::{HostUser, UserError};

use crate::idmap::Range;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The whole configuration of one `hostd`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Guests by name.
    #[serde(deserialize_with = "parse::unique_guests")]
    pub guests: BTreeMap<String, GuestConfig>,
}

impl Config {
    /// Reads and validates a file.
    ///
    /// # Errors
    /// Every fault that makes the configuration unusable, with the line or the key it stands at. Faults that depend on
    /// the state of the host (an export that does not exist yet) are left to [`check`] and to the start of the guest.
    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        let config = parse::read(path)?;
        let faults = check::validate(&config);
        if faults.is_empty() {
            Ok(config)
        } else {
            Err(ConfigError::Invalid {
                path: path.to_owned(),
                faults,
            })
        }
    }

    /// What holds without a file: one guest named `default` for the calling user, who offers it all they can reach.
    pub fn default_for_user() -> Config {
        let guest = GuestConfig {
            attach: Attach::Local(user::runtime_dir().join("guest.sock")),
            exec: Some(ExecConfig::of_calling_user()),
            ..GuestConfig::default()
        };
        Config {
            guests: BTreeMap::from([("default".to_owned(), guest)]),
        }
    }
}

/// One guest: how it attaches, as whom it acts, what it sees, what it may use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GuestConfig {
    /// How the guest's processes reach hostd.
    pub attach: Attach,
    /// Whose rights its calls have; the calling user's when absent.
    #[serde(rename = "as", skip_serializing_if = "Rights::is_own")]
    pub rights: Rights,
    /// With `as: caller`, which host users the guest's users stand for; each for itself when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid_map: Option<Vec<Range>>,
    /// The same of groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gid_map: Option<Vec<Range>>,
    /// Host subtrees that the guest sees.
    pub exports: Vec<Export>,
    /// Bounds on what the guest can make the host spend.
    pub limits: Limits,
    /// Host programs that the guest may start; none when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exec: Option<ExecConfig>,
}

impl Default for GuestConfig {
    fn default() -> Self {
        GuestConfig {
            attach: Attach::default(),
            rights: Rights::Own,
            uid_map: None,
            gid_map: None,
            exports: vec![Export::default()],
            limits: Limits::default(),
            exec: None,
        }
    }
}

/// The way a guest attaches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Attach {
    /// A Unix socket at this path, on the same kernel.
    Local(PathBuf),
    /// A region shared with a guest kernel.
    Device(DeviceAttach),
}

impl Default for Attach {
    fn default() -> Self {
        Attach::Local(PathBuf::from("/run/hostcall/guest.sock"))
    }
}

/// A region that a guest kernel maps, and the line that it rings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceAttach {
    /// Where a link to the region (a sealed memfd) is made for the guest's command line.
    pub region: PathBuf,
    /// Unix socket that the guest's doorbell line is connected to.
    pub doorbell: PathBuf,
}

/// A host subtree (or a single file) that the guest sees at the same path.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Export {
    /// Absolute host path.
    pub path: PathBuf,
    /// Whether the guest may change what is below it.
    pub mode: Access,
}

impl Default for Export {
    fn default() -> Self {
        Export {
            path: PathBuf::from("/"),
            mode: Access::Rw,
        }
    }
}

/// Read-write or read-only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Read and write.
    Rw,
    /// Read only, by a read-only mount.
    Ro,
}

impl std::fmt::Display for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Access::Rw => "rw",
            Access::Ro => "ro",
        })
    }
}

/// Bounds on what one guest can make the host spend.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Lanes of one process (local) or of the whole guest (device); as many as the region holds when absent.
    pub lanes: Option<u32>,
    /// Open host files of one guest process (`RLIMIT_NOFILE` of its shadow): 4096. The process may be the mount, whose
    /// files are those of all programs of the guest.
    pub open_files: u64,
    /// Guest processes attached at once, one shadow each: 1024.
    pub processes: u32,
    /// Address space of one shadow, MiB (`RLIMIT_AS`): 1024.
    pub memory_mib: u64,
    /// Seconds for which the session that a fork prepares waits for the child: 10.
    pub child_seconds: u32,
}

impl Limits {
    /// Fewer open files leave a shadow none for its guest beside its own socket, region and doorbells.
    pub const MIN_OPEN_FILES: u64 = 32;
    /// Less address space does not hold the program, a region and the stacks of a few threads.
    pub const MIN_MEMORY_MIB: u64 = 64;
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            lanes: None,
            open_files: 4096,
            processes: 1024,
            memory_mib: 1024,
            child_seconds: 10,
        }
    }
}
