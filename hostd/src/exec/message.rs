//! What hostd and a guest's launcher say to each other, as [`crate::message`] carries it.

use super::Policy;
use hostcall::types::JobState;
use serde::{Deserialize, Serialize};
use std::ffi::CString;
use std::path::Path;

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
        /// Its session's.
        terminal: Terminal,
        /// Whether the directory is one that the view has itself, on the way to an export; its like on the host is meant.
        bare: bool,
        /// The job whose process group it joins.
        beside: Option<JobId>,
    },
    /// Its start has been written down: execute it.
    Permit {
        /// Which.
        id: JobId,
    },
    /// Signal its process group. Nobody but the launcher knows that its number is not another's.
    Signal {
        /// Comes back with the answer.
        question: u64,
        /// Which.
        id: JobId,
        /// Which signal.
        signal: i32,
    },
    /// Move it to the foreground of the terminal that controls its session, or to the background.
    Move {
        /// Comes back with the answer.
        question: u64,
        /// Which.
        id: JobId,
        /// Whether the foreground is to be its own.
        own: bool,
    },
    /// The guest process that started it is gone, or it may not be started: hang up on it, then kill it.
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

/// What a terminal among a program's streams is to it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Terminal {
    /// It controls the program's session.
    pub controls: bool,
    /// The program begins in its background.
    pub behind: bool,
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

/// Bytes of arguments that people are shown, and of each path, as JSON writes them.
const SHOWN: usize = 4096;

/// Bytes of a reason that people are told.
const REASON: usize = 1024;

/// Text as long as people are shown it.
fn cut(text: &str, room: usize) -> Option<String> {
    let mut left = room;
    for (at, letter) in text.char_indices() {
        // An escape takes six bytes.
        let takes = match letter {
            '"' | '\\' => 2,
            letter if letter.is_control() => 6,
            letter => letter.len_utf8(),
        };
        if takes > left {
            return (at > 0).then(|| format!("{}…", &text[..at]));
        }
        left -= takes;
    }
    Some(text.to_owned())
}

impl About {
    /// A path for people.
    pub fn of_path(path: &Path) -> String {
        cut(&path.to_string_lossy(), SHOWN).unwrap_or_default()
    }

    /// A reason for people.
    pub fn of_reason(reason: &impl ToString) -> String {
        cut(&reason.to_string(), REASON).unwrap_or_default()
    }

    /// Arguments for people, as many as fit.
    pub fn of_arguments(arguments: &[CString]) -> Vec<String> {
        let mut room = SHOWN;
        let mut shown = Vec::new();
        for argument in arguments {
            let text = argument.to_string_lossy();
            let Some(text) = cut(&text, room).filter(|_| room > 0) else {
                break;
            };
            let takes = serde_json::to_string(&text).map_or(SHOWN, |text| text.len() + 1);
            room = room.saturating_sub(takes);
            shown.push(text);
        }
        if shown.len() < arguments.len() {
            shown.push("…".to_owned());
        }
        shown
    }
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
    /// The policy allows a program; it waits to be permitted.
    Wants {
        /// Which.
        id: JobId,
        /// What it is.
        about: About,
    },
    /// The program runs.
    Running {
        /// Which.
        id: JobId,
        /// Its process id and process group.
        pid: i32,
    },
    /// It could not.
    Refused {
        /// Which.
        id: JobId,
        /// What the guest is told.
        errno: i32,
        /// Why the policy denies it, if that is the reason.
        denial: Option<String>,
        /// What it was to be, unless it was told before.
        about: Option<About>,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_shown_a_bounded_part() {
        let shown = |words: &[&str]| {
            let words: Vec<CString> = words
                .iter()
                .map(|word| CString::new(*word).unwrap())
                .collect();
            About::of_arguments(&words)
        };
        assert_eq!(shown(&["ls", "", "a\nb"]), ["ls", "", "a\nb"]);
        let (long, escapes) = ("x".repeat(1 << 20), "\u{1b}".repeat(1 << 20));
        for words in [&[&*long][..], &["ls", &escapes, "a"], &["a"; 100_000]] {
            let shown = shown(words);
            let text = serde_json::to_string(&shown).unwrap();
            assert!(text.len() < SHOWN + 64, "{}", text.len());
            assert!(shown.last().unwrap().ends_with('…'));
        }
        let path = About::of_path(Path::new(&format!("/{escapes}")));
        assert!(serde_json::to_string(&path).unwrap().len() < SHOWN + 16 && path.ends_with('…'));
    }
}
