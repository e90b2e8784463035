//! The process that asks the host, and what it and the shell say to each other.
//!
//! A frame is its length in 4 bytes, and what belongs to it. A question: its number in 4 bytes, what it asks for in one, the
//! guest's working directory and a text, each behind its length in 4 bytes. An answer: the number, 1 if there is one, how
//! many names are left out before the last in 4 bytes, and the names, a NUL behind each. Numbers are little-endian. An empty frame has the editor woken.

use super::host::Question;
use super::host_paths::{Found, Paths};
use crate::completion;
use crate::directory;
use crate::dosh::syntax::tree::Bytes;
use crate::dosh::sys::{self, Disposition};
use crate::host;
use crate::paths::Prefix;
use crate::policy::Policy;
use crate::session::Session;
use hostcall::client::Client;
use hostcall::ops::Calls;
use hostcall::types::{AtFlags, DirFd};
use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;

/// Longest frame, bytes.
const LONGEST: usize = 64 << 20;

/// A question with all that its answer depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub question: Question,
    /// The guest's working directory: a session that has not been moved begins there.
    pub directory: Bytes,
    /// The name that the user has given to the session.
    pub session: Option<Bytes>,
    /// Where host files appear in the guest, if that is not the usual place.
    pub prefix: Option<Bytes>,
}

/// A question's frame.
pub fn question(number: u32, asked: &Asked) -> Bytes {
    let (kind, text) = match &asked.question {
        Question::Programs(text) => (0, text),
        Question::Paths(text) => (1, text),
        Question::Directories(text) => (2, text),
        Question::Runs(text) => (3, text),
        Question::Side => (4, &Bytes::new()),
        Question::Ahead(text) => (5, text),
    };
    let optional = |text: &Option<Bytes>| text.clone().unwrap_or_default();
    let parts = [
        asked.directory.clone(),
        optional(&asked.session),
        optional(&asked.prefix),
        text.clone(),
    ];
    let mut body = number.to_le_bytes().to_vec();
    body.push(kind);
    for part in parts {
        body.extend((part.len() as u32).to_le_bytes());
        body.extend(part);
    }
    frame(&body)
}

/// What has the editor woken when all before it is answered.
pub fn call_back() -> Bytes {
    frame(b"")
}

/// A question and its number.
pub fn read_question(body: &[u8]) -> Option<(u32, Asked)> {
    let (number, rest) = read_number(body)?;
    let (kind, mut rest) = rest.split_first()?;
    let mut part = || {
        let (length, behind) = read_number(rest)?;
        let (part, behind) = behind.split_at_checked(length as usize)?;
        rest = behind;
        Some(part.to_vec())
    };
    let (directory, session, prefix, text) = (part()?, part()?, part()?, part()?);
    let question = match kind {
        0 => Question::Programs,
        1 => Question::Paths,
        2 => Question::Directories,
        3 => Question::Runs,
        5 => Question::Ahead,
        _ => |_| Question::Side,
    };
    let asked = Asked {
        question: question(text),
        directory,
        session: Some(session).filter(|text| !text.is_empty()),
        prefix: Some(prefix).filter(|text| !text.is_empty()),
    };
    Some((number, asked))
}

/// An answer's frame.
pub fn answer(number: u32, found: Option<&Found>) -> Bytes {
    let mut body = number.to_le_bytes().to_vec();
    body.push(u8::from(found.is_some()));
    if let Some(found) = found {
        body.extend((found.left_out as u32).to_le_bytes());
        for name in &found.names {
            body.extend_from_slice(name);
            body.push(0);
        }
    }
    frame(&body)
}

/// An answer's number, and what has been found if there is one.
pub fn read_answer(body: &[u8]) -> Option<(u32, Option<Found>)> {
    let (number, rest) = read_number(body)?;
    let (known, rest) = rest.split_first()?;
    if *known == 0 {
        return Some((number, None));
    }
    let (left_out, rest) = read_number(rest)?;
    let names = rest.split_inclusive(|byte| *byte == 0);
    let names = names.map(|name| name[..name.len() - 1].to_vec()).collect();
    let left_out = left_out as usize;
    Some((number, Some(Found { names, left_out })))
}

fn frame(body: &[u8]) -> Bytes {
    [&(body.len() as u32).to_le_bytes(), body].concat()
}

fn read_number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u32::from_le_bytes(*number), rest))
}

/// Takes a whole frame off what has been received.
pub fn take_frame(received: &mut Bytes) -> Option<Bytes> {
    let (length, rest) = read_number(received)?;
    let body = rest.get(..length as usize)?.to_vec();
    received.drain(..4 + body.len());
    Some(body)
}

/// The whole process.
pub fn run(fd: i32) -> ! {
    sys::set_group(0, 0);
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT] {
        sys::set_signal(signal, Disposition::Default);
    }
    leave_the_shell(fd);
    let mut received = Bytes::new();
    let mut asking = Asking::default();
    loop {
        while let Some(body) = take_frame(&mut received) {
            if body.is_empty() {
                // The editor wakes for its window, and sees the answer then.
                let _ = sys::kill(std::os::unix::process::parent_id() as i32, libc::SIGWINCH);
                continue;
            }
            let Some((number, asked)) = read_question(&body) else {
                sys::exit_now(1);
            };
            let found = asking.find(&asked);
            let gone = sys::write_all(fd, &answer(number, found.as_ref())).is_err();
            // Without a host there is nothing to be here for.
            if gone || asking.host.is_none() {
                sys::exit_now(0);
            }
        }
        let mut buffer = [0; 4096];
        match sys::read(fd, &mut buffer) {
            Ok(count) if count > 0 && received.len() < LONGEST => {
                received.extend_from_slice(&buffer[..count]);
            }
            _ => sys::exit_now(0),
        }
    }
}

/// In a process of the shell's own: ends with it, and holds open nothing of what it has open but this.
pub fn leave_the_shell(fd: i32) {
    let _ = nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL);
    let open = std::fs::read_dir("/proc/self/fd")
        .into_iter()
        .flatten()
        .flatten();
    let open: Vec<i32> = open
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    for other in open {
        if other != fd {
            sys::close(other);
        }
    }
    if let Ok(null) = sys::open(b"/dev/null", libc::O_RDWR) {
        for standard in [0, 1, 2] {
            let _ = sys::duplicate_to(null, standard);
        }
    }
}

/// Who asks.
#[derive(Default)]
struct Asking {
    host: Option<&'static Client>,
    paths: Paths,
}

impl Asking {
    fn find(&mut self, asked: &Asked) -> Option<Found> {
        let _ = std::env::set_current_dir(OsStr::from_bytes(&asked.directory));
        if self.host.is_some_and(Client::lost) {
            *self = Asking::default();
        }
        if self.host.is_none() {
            self.host = host::attach().ok();
        }
        let host = self.host?;
        if let Question::Programs(begin) = &asked.question {
            return completion::programs(host, begin).map(Found::from).ok();
        }
        let session = Session::named(asked.session.as_deref().map(OsStr::from_bytes)).ok()?;
        directory::enter(host, &session, &Prefix::named(asked.prefix.as_deref())).ok()?;
        match &asked.question {
            Question::Runs(path) => {
                let name = CString::new(path.clone()).ok()?;
                let flags = AtFlags(libc::AT_EACCESS);
                let runs = host.faccessat2(DirFd::CWD, &name, libc::X_OK, flags);
                let names: Vec<Bytes> = runs.map(|_| path.clone()).into_iter().collect();
                Some(Found::from(names))
            }
            Question::Side => {
                let policy = Policy::ask(host).ok()?;
                let directory = directory::path(host).ok()?;
                let told = vec![
                    policy.host.into_bytes(),
                    directory,
                    policy.home.into_bytes(),
                ];
                Some(Found::from(told))
            }
            Question::Ahead(parent) => {
                self.paths.prepare(host, parent).ok()?;
                Some(Found::default())
            }
            Question::Directories(begin) => self.paths.find(host, begin, true).ok(),
            Question::Paths(begin) | Question::Programs(begin) => {
                self.paths.find(host, begin, false).ok()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_and_answers_arrive_as_they_were_sent() {
        let asked = |session: &[u8]| Asked {
            question: Question::Directories(b"a\xff\nb".to_vec()),
            directory: b"/here".to_vec(),
            session: Some(session.to_vec()).filter(|name| !name.is_empty()),
            prefix: None,
        };
        let (one, two) = (asked(b""), asked(b"work"));
        let mut received = [question(7, &one), question(8, &two)].concat();
        let rest = received.split_off(received.len() - 3);
        let first = take_frame(&mut received).expect("a frame");
        assert_eq!(read_question(&first), Some((7, one)));
        assert_eq!(take_frame(&mut received), None);
        received.extend(rest);
        let second = take_frame(&mut received).expect("a frame");
        assert_eq!(read_question(&second), Some((8, two)));
        let some = Found {
            names: vec![b"a b".to_vec(), b"\n".to_vec()],
            left_out: 70_000,
        };
        for found in [Some(some), Some(Found::default()), None] {
            let mut sent = answer(9, found.as_ref());
            let body = take_frame(&mut sent).expect("a frame");
            assert_eq!(read_answer(&body), Some((9, found)));
        }
    }
}
