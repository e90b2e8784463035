//! What a host offers to its guests: exports, users, attachments and limits, read from JSON.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The whole configuration of one `hostd`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Guests by name.
    pub guests: BTreeMap<String, GuestConfig>,
}

/// One guest: how it attaches, as whom it acts, what it sees, what it may use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GuestConfig {
    /// How the guest's processes reach hostd.
    pub attach: Attach,
    /// Host user that the guest's shadows run as; the calling user when absent.
    pub user: Option<String>,
    /// Host subtrees that the guest sees.
    pub exports: Vec<Export>,
    /// Bounds on what the guest can make the host spend.
    pub limits: Limits,
}

impl Default for GuestConfig {
    fn default() -> Self {
        GuestConfig { attach: Attach::default(), user: None, exports: vec![Export::default()], limits: Limits::default() }
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

/// A host subtree that the guest sees at the same path.
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
        Export { path: PathBuf::from("/"), mode: Access::Rw }
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

/// Bounds on what one guest can make the host spend.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Lanes of one process (local) or of the whole guest (device).
    pub lanes: Option<u32>,
    /// Open host files of one guest process (`RLIMIT_NOFILE` of its shadow).
    pub open_files: u64,
    /// Guest processes attached at once, one shadow each.
    pub processes: u32,
    /// Address space of one shadow, MiB (`RLIMIT_AS`).
    pub memory_mib: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { lanes: None, open_files: 1024, processes: 1024, memory_mib: 1024 }
    }
}
