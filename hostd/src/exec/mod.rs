//! Host programs for guests: who may start what, and the process that starts it.
//!
//! A shadow is sealed and makes no process. hostd starts, at a guest's first program, its *launcher* ([`launcher`]): a fresh
//! image of hostd's program, with one thread, that has the rights of the guest's user of programs and nothing open but its
//! line to hostd. It forks a child for each program or pipeline ([`supervisor`]), which looks the program up and judges it while it still is
//! hostd's code: whatever hangs there, a network file system above all, hangs in that child alone. The launcher's own parent
//! ([`guard`]) ends what a launcher that is killed leaves behind.
//!
//! What decides is pure: [`words`] takes a guest's words apart, [`policy`] judges, [`environment`] filters. [`program`] finds
//! the files that they speak of, [`jobs`] knows what has become of whom, [`message`] is what hostd and the launcher say.

mod become_program;
pub(crate) mod child;
mod entry;
pub mod environment;
mod glob;
mod guard;
mod jobs;
pub mod launcher;
mod list;
pub mod message;
mod null;
pub mod policy;
mod processes;
mod program;
pub(crate) mod supervisor;
pub(crate) mod terminal;
mod terminals;
pub mod words;

use crate::config::{ExecConfig, HostUser};

/// What one guest may start, ready for its launcher.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Policy {
    /// As whom.
    pub user: HostUser,
    /// What.
    pub config: ExecConfig,
}
