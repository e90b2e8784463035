//! The audit log of host programs: a JSON line for each start, refusal and end.

use crate::exec::message::{About, Change};
use serde::Serialize;
use std::fs::File;
use std::io::{Result, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Where the lines go.
#[derive(Debug)]
pub enum Audit {
    /// To a file of their own.
    File(File),
    /// To hostd's log.
    Log,
}

/// Who wants a program.
#[derive(Clone, Debug, Serialize)]
pub struct Who {
    /// Name of the guest.
    pub guest: String,
    /// The session's place on the board.
    pub session: u32,
    /// The guest process, where its kernel is the host's.
    pub process: Option<i32>,
    /// The user of programs.
    pub user: String,
}

/// What has happened.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event {
    /// A program runs.
    Start {
        /// Its process.
        pid: i32,
    },
    /// The policy forbids it.
    Deny {
        /// Why.
        reason: String,
    },
    /// It could not be started.
    Fail {
        /// errno(3).
        errno: i32,
    },
    /// It has ended.
    End {
        /// Its process.
        pid: i32,
        /// Its exit code, if it had one.
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<u8>,
        /// The signal that ended it.
        #[serde(skip_serializing_if = "Option::is_none")]
        signal: Option<u8>,
        /// How long it took.
        seconds: f64,
    },
}

impl Event {
    /// The end of a job; `None` if nobody can tell how it ended.
    pub fn end(pid: i32, how: Option<Change>, took: Duration) -> Event {
        let (code, signal) = match how {
            Some(Change::Exited(code)) => (Some(code), None),
            Some(Change::Signalled(signal, _)) => (None, Some(signal)),
            _ => (None, None),
        };
        let seconds = (took.as_secs_f64() * 1e6).round() / 1e6;
        Event::End {
            pid,
            code,
            signal,
            seconds,
        }
    }
}

#[derive(Serialize)]
struct Line<'l> {
    time: f64,
    #[serde(flatten)]
    event: &'l Event,
    #[serde(flatten)]
    who: &'l Who,
    #[serde(flatten)]
    about: &'l About,
}

impl Audit {
    /// Opens the file for appending. It is its owner's alone, and what stands in its place by a link is not followed.
    ///
    /// # Errors
    /// open(2).
    pub fn open(path: Option<&Path>) -> Result<Audit> {
        let Some(path) = path else {
            return Ok(Audit::Log);
        };
        let mut options = File::options();
        options
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW);
        Ok(Audit::File(options.open(path)?))
    }

    /// Writes a line. JSON escapes whatever a guest puts into its words (CVE-2023-28101).
    ///
    /// # Errors
    /// write(2).
    pub fn write(&mut self, who: &Who, about: &About, event: &Event) -> Result<()> {
        let time = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let time = (time.as_secs_f64() * 1e3).round() / 1e3;
        let mut line = serde_json::to_string(&Line {
            time,
            event,
            who,
            about,
        })?;
        match self {
            // DEL and the C1 controls are characters that JSON does not escape and some terminals obey.
            Audit::Log => log::info!("exec {}", super::complaints::printable(&line)),
            Audit::File(file) => {
                line.push('\n');
                file.write_all(line.as_bytes())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line_of_json_whatever_the_words() {
        let who = Who {
            guest: "g".to_owned(),
            session: 3,
            process: None,
            user: "u".to_owned(),
        };
        let about = About {
            program: Some("/bin/\u{1b}]0;x\u{7}".to_owned()),
            arguments: vec!["a\nb".to_owned(), "\"".to_owned(), String::new()],
            directory: None,
        };
        let path = std::env::temp_dir().join(format!("hostcall-audit-{}", std::process::id()));
        let mut audit = Audit::open(Some(&path)).unwrap();
        let end = Event::end(7, Some(Change::Exited(3)), Duration::from_millis(1500));
        audit.write(&who, &about, &end).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(text.matches('\n').count(), 1);
        assert!(!text.contains('\u{1b}') && !text.contains('\u{7}'));
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (&line["event"], &line["code"], &line["seconds"]),
            (&"end".into(), &3.into(), &1.5.into())
        );
        assert_eq!(line["arguments"], serde_json::json!(["a\nb", "\"", ""]));
    }
}
