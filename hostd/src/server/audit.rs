//! The audit log of host programs: a JSON line for each start, refusal and end.

use super::complaints::{steers, Flood};
use super::jobs::End;
use crate::board::Bytes;
use crate::exec::message::{About, Change};
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use serde::Serialize;
use std::fs::File;
use std::io::{Error, ErrorKind, Result, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Refusals that are written down at once after a silence, and how long each takes of it: a guest can cause them at will, and
/// all are alike in that nothing was started. Starts are never left out, nor their ends.
const REFUSALS: Flood = Flood::of(1000, Duration::from_millis(100));

/// Where the lines go.
#[derive(Debug)]
enum To {
    /// To a file of their own.
    File(File),
    /// To hostd's log.
    Log,
}

/// The log.
#[derive(Debug)]
pub struct Audit {
    to: To,
    /// The last line did not fit.
    torn: bool,
    refusals: Flood,
}

/// Who wants a program.
#[derive(Clone, Debug, Serialize)]
pub struct Who {
    /// Name of the guest.
    pub guest: String,
    /// What the lines about one program have in common, for the life of hostd.
    pub job: u64,
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
    /// A program is executed.
    Start {
        /// Session of its processes.
        sid: i32,
    },
    /// The policy forbids it.
    Deny {
        /// Why.
        reason: String,
    },
    /// It could not be executed.
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
        /// Bytes carried to it.
        bytes_in: u64,
        /// Bytes carried from it.
        bytes_out: u64,
    },
}

impl Event {
    /// The end of a job.
    pub(super) fn end(pid: i32, end: &End, bytes: Bytes) -> Event {
        let (code, signal) = match end.change {
            Some(Change::Exited(code)) => (Some(code), None),
            Some(Change::Signalled(signal, _)) => (None, Some(signal)),
            _ => (None, None),
        };
        Event::End {
            pid,
            code,
            signal,
            seconds: (end.took.as_secs_f64() * 1e6).round() / 1e6,
            bytes_in: bytes.to_program,
            bytes_out: bytes.from_program,
        }
    }

    fn is_refusal(&self) -> bool {
        matches!(self, Event::Deny { .. } | Event::Fail { .. })
    }
}

/// A line.
#[derive(Debug, Serialize)]
pub struct Line<'l> {
    time: f64,
    #[serde(flatten)]
    event: &'l Event,
    #[serde(flatten)]
    who: &'l Who,
    #[serde(flatten)]
    about: &'l About,
    /// Refusals before this line that were left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<u64>,
}

impl<'l> Line<'l> {
    /// What happened when, and to whom.
    pub fn new(time: SystemTime, event: &'l Event, who: &'l Who, about: &'l About) -> Line<'l> {
        let time = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Line {
            time: (time.as_secs_f64() * 1e3).round() / 1e3,
            event,
            who,
            about,
            left_out: None,
        }
    }
}

/// JSON escapes whatever a guest puts into its words (CVE-2023-28101) but for what only some terminals obey: DEL, the C1 controls,
/// and the marks that turn the direction of text. All of these can stand in strings alone.
fn escaped(json: &str) -> String {
    let mut line = String::with_capacity(json.len());
    for letter in json.chars() {
        match steers(letter) {
            true => line += &format!("\\u{:04x}", u32::from(letter)),
            false => line.push(letter),
        }
    }
    line
}

impl Audit {
    /// Opens the file for appending. It is its owner's alone, and what stands in its place and is no file, a link for one, is not
    /// opened.
    ///
    /// # Errors
    /// open(2).
    pub fn open(path: Option<&Path>) -> Result<Audit> {
        let to = match path {
            Some(path) => To::File(file(path)?),
            None => To::Log,
        };
        Ok(Audit {
            to,
            torn: false,
            refusals: REFUSALS,
        })
    }

    /// Writes a line, unless it is one of too many refusals.
    ///
    /// # Errors
    /// write(2). What of a line has been written stays; the next one begins anew.
    pub fn write(&mut self, mut line: Line<'_>) -> Result<()> {
        if line.event.is_refusal() && !self.refusals.admits(Instant::now()) {
            return Ok(());
        }
        let left_out = self.refusals.take_left_out();
        line.left_out = (left_out > 0).then_some(left_out);
        let text = escaped(&serde_json::to_string(&line)?);
        match &mut self.to {
            To::Log => log::info!("exec {text}"),
            To::File(file) => {
                let start = if self.torn { "\n" } else { "" };
                self.torn = true;
                append(file, format!("{start}{text}\n").as_bytes())?;
                self.torn = false;
            }
        }
        Ok(())
    }
}

/// Writes without dying of it: a file as long as `RLIMIT_FSIZE` allows is an error like others here.
fn append(file: &mut File, bytes: &[u8]) -> Result<()> {
    let mut signal = SigSet::empty();
    signal.add(Signal::SIGXFSZ);
    let mask = signal.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
    let written = file.write_all(bytes);
    let too_long = |error: &Error| error.raw_os_error() == Some(libc::EFBIG);
    if written.as_ref().is_err_and(too_long) && !mask.contains(Signal::SIGXFSZ) {
        // It is this thread's, and pending.
        signal.wait()?;
    }
    mask.thread_set_mask()?;
    written
}

fn file(path: &Path) -> Result<File> {
    let mut options = File::options();
    options
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY);
    let file = options.open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(Error::new(ErrorKind::InvalidInput, "it is no regular file")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who() -> Who {
        Who {
            guest: "g".to_owned(),
            job: 5,
            session: 3,
            process: None,
            user: "u".to_owned(),
        }
    }

    fn end() -> Event {
        let end = End {
            change: Some(Change::Exited(3)),
            at: UNIX_EPOCH,
            took: Duration::from_millis(1500),
        };
        let bytes = Bytes {
            to_program: 10,
            from_program: 20,
        };
        Event::end(7, &end, bytes)
    }

    fn log_of(name: &str, fill: impl FnOnce(&mut Audit, &Path)) -> String {
        let name = format!("hostcall-audit-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let mut audit = Audit::open(Some(&path)).unwrap();
        fill(&mut audit, &path);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        text
    }

    #[test]
    fn a_line_is_one_line_of_json_whatever_the_words() {
        let about = About {
            program: Some("/bin/\u{1b}]0;x\u{7}".to_owned()),
            arguments: vec![
                "a\nb".to_owned(),
                "\"".to_owned(),
                "\u{9b}2J\u{202e}\u{7f}".to_owned(),
            ],
            directory: None,
        };
        let text = log_of("words", |audit, _| {
            audit
                .write(Line::new(UNIX_EPOCH, &end(), &who(), &about))
                .unwrap();
        });
        assert_eq!(text.matches('\n').count(), 1);
        assert!(text
            .trim_end()
            .chars()
            .all(|letter| !letter.is_control() && letter != '\u{202e}'));
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        let fields = ["event", "job", "code", "seconds", "bytes_in", "bytes_out"];
        assert_eq!(
            serde_json::json!(fields.map(|field| line[field].clone())),
            serde_json::json!(["end", 5, 3, 1.5, 10, 20])
        );
        assert_eq!(
            line["arguments"],
            serde_json::json!(["a\nb", "\"", "\u{9b}2J\u{202e}\u{7f}"])
        );
    }

    #[test]
    fn a_flood_of_refusals_is_counted_and_ends_are_not_left_out() {
        let about = About::default();
        let text = log_of("flood", |audit, _| {
            for _ in 0..1500 {
                let deny = Event::Deny {
                    reason: "x".to_owned(),
                };
                audit
                    .write(Line::new(UNIX_EPOCH, &deny, &who(), &about))
                    .unwrap();
            }
            audit
                .write(Line::new(UNIX_EPOCH, &end(), &who(), &about))
                .unwrap();
        });
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let (last, refusals) = lines.split_last().unwrap();
        assert!((1000..1100).contains(&refusals.len()), "{}", refusals.len());
        let left_out = |line: &serde_json::Value| line["left_out"].as_u64().unwrap_or(0);
        let all: u64 = lines.iter().map(left_out).sum();
        assert_eq!(
            (refusals.len() as u64 + all, &last["event"]),
            (1500, &"end".into())
        );
    }

    #[test]
    fn what_is_no_file_is_not_opened() {
        let base = std::env::temp_dir().join(format!("hostcall-no-audit-{}", std::process::id()));
        std::fs::create_dir(&base).unwrap();
        let (link, fifo) = (base.join("link"), base.join("fifo"));
        std::os::unix::fs::symlink("/dev/null", &link).unwrap();
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        for path in [&link, &fifo, &base, Path::new("/dev/null")] {
            assert!(Audit::open(Some(path)).is_err(), "{path:?}");
        }
        std::fs::remove_dir_all(&base).unwrap();
    }
}
