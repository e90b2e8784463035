//! Which layers confine a guest's shadows, for `hostd status` and a line at start.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The layers of confinement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LayerName {
    /// A mount namespace that holds just the exports.
    View,
    /// Device nodes cannot be opened.
    Devices,
    /// Landlock rules that repeat the exports.
    LandlockFiles,
    /// Landlock scopes: no signal to, and no abstract socket of, a process outside.
    LandlockScope,
    /// Resource limits.
    Limits,
    /// The configured user and the capabilities left.
    User,
    /// No gain of rights by exec.
    NoNewPrivs,
    /// The system call list that [`seal`](super::seal) installs.
    Seccomp,
}

impl LayerName {
    fn words(self) -> &'static str {
        match self {
            LayerName::View => "view",
            LayerName::Devices => "devices",
            LayerName::LandlockFiles => "Landlock files",
            LayerName::LandlockScope => "Landlock scope",
            LayerName::Limits => "limits",
            LayerName::User => "user",
            LayerName::NoNewPrivs => "no_new_privs",
            LayerName::Seccomp => "seccomp",
        }
    }
}

/// One layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// Which.
    pub layer: LayerName,
    /// Whether it confines the shadows.
    pub active: bool,
    /// What it allows or, of an inactive one, why it is not there.
    pub detail: String,
}

/// All layers, outermost first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The layers.
    pub layers: Vec<Layer>,
}

impl Report {
    /// The layer of that name; every report of a confined process holds each once.
    pub fn layer(&self, name: LayerName) -> Option<&Layer> {
        self.layers.iter().find(|layer| layer.layer == name)
    }

    pub(super) fn active(&mut self, layer: LayerName, detail: impl Into<String>) {
        self.layers.push(Layer {
            layer,
            active: true,
            detail: detail.into(),
        });
    }

    pub(super) fn inactive(&mut self, layer: LayerName, reason: impl Into<String>) {
        self.layers.push(Layer {
            layer,
            active: false,
            detail: reason.into(),
        });
    }
}

/// One line: the layers that hold, then those that do not, each with its reason.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, layer) in self.layers.iter().filter(|layer| layer.active).enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{}: {}", layer.layer.words(), layer.detail)?;
        }
        for layer in self.layers.iter().filter(|layer| !layer.active) {
            write!(f, "; NO {} ({})", layer.layer.words(), layer.detail)?;
        }
        Ok(())
    }
}
