//! What hostd and a guest's launcher say to each other, as [`crate::message`] carries it.

use super::Policy;
use hostcall::types::JobState;
use serde::{Deserialize, Serialize};

/// A job's name between hostd and the launcher; never reused.
pub type JobId = u64;

/// hostd to a launcher. When the line ends, so does every program.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToLauncher {
    /// Become the user of programs.
    Begin {
        /// What may be started.
        policy: Box<Policy>,
    },
    /// Start a program. Descriptors: the sealed words, the working directory, then the streams that are files.
    Start {
        /// Its name from now on.
        id: JobId,
        /// File mode creation mask.
        umask: u32,
        /// Whether each of the three streams is a file; `/dev/null` otherwise.
        files: [bool; 3],
        /// Whether a terminal among the streams controls the program's session.
        controls: bool,
    },
    /// The guest process that started it is gone: hang up on it, then kill it.
    End {
        /// Which.
        id: JobId,
    },
    /// Its end has been seen.
    Forget {
        /// Which.
        id: JobId,
    },
    /// Make a terminal.
    Terminal {
        /// Comes back with the answer.
        question: u64,
        /// Rows, columns, and both in pixels.
        size: [u16; 4],
    },
    /// List the programs whose names begin so.
    Complete {
        /// Comes back with the answer.
        question: u64,
        /// The beginning.
        text: Vec<u8>,
    },
}

/// What a program was to be, for people: bounded, and not UTF-8 bytes are replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Its file, if that was found.
    pub program: Option<String>,
    /// Its arguments, as many as fit.
    pub arguments: Vec<String>,
    /// Its working directory.
    pub directory: Option<String>,
}

/// A launcher to hostd.
#[derive(Debug, Serialize, Deserialize)]
pub enum FromLauncher {
    /// It cannot serve.
    Failed {
        /// One line that names the cure.
        error: String,
    },
    /// A supervisor was forked for a program.
    Forked {
        /// Which.
        id: JobId,
        /// Its process id and session.
        session: i32,
    },
    /// The program runs.
    Running {
        /// Which.
        id: JobId,
        /// Its process id and process group.
        pid: i32,
        /// What it is.
        about: About,
    },
    /// It could not.
    Refused {
        /// Which.
        id: JobId,
        /// What the guest is told.
        errno: i32,
        /// Why the policy denies it, if that is the reason.
        denial: Option<String>,
        /// What it was to be.
        about: About,
    },
    /// Its state has changed.
    Changed {
        /// Which.
        id: JobId,
        /// To what.
        change: Change,
    },
    /// Nothing is left of it.
    Gone {
        /// Which.
        id: JobId,
    },
    /// An answer. Descriptor: a terminal's master, or a file with a list.
    Answer {
        /// Whose.
        question: u64,
        /// 0 or why not.
        errno: i32,
    },
}

/// A change of a job's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// It has ended with this code.
    Exited(u8),
    /// A signal has ended it, perhaps with a core file.
    Signalled(u8, bool),
    /// A signal has stopped it.
    Stopped(u8),
    /// It goes on.
    Continued,
}

impl Change {
    /// Whether it is the last one.
    pub fn is_end(self) -> bool {
        matches!(self, Change::Exited(_) | Change::Signalled(..))
    }
}

impl From<Change> for JobState {
    fn from(change: Change) -> JobState {
        match change {
            Change::Exited(code) => JobState::Exited(code),
            Change::Signalled(signal, core) => JobState::Signalled { signal, core },
            Change::Stopped(signal) => JobState::Stopped(signal),
            Change::Continued => JobState::Continued,
        }
    }
}
