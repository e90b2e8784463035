//! What the host says to a line that is being typed, without a keystroke waiting for it.
//!
//! A process of its own asks the host: a call that hangs, as on a file system that does not answer, holds up that process and
//! not the shell, which has one thread. One question is on the way at a time. Of those that come up meanwhile the last is
//! asked next; the others are about lines that stand there no more.

use super::host_child::{self, Asked};
use super::sides::Side;
use crate::dosh::syntax::tree::Bytes;
use crate::dosh::sys;
use crate::host;
use nix::sys::socket::{self, MsgFlags};
use std::collections::HashMap;
use std::os::fd::IntoRawFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// After the host was not there, or the asking process has ended, nobody is asked for so long.
const PAUSE: Duration = Duration::from_secs(2);

/// A list of programs is good for so long.
const LASTS: Duration = Duration::from_secs(5);

/// Lists that are cut off are not longer than this, in bytes: a name that is not on a longer one may exist.
const SURELY_WHOLE: usize = 120 << 10;

/// A question to the host. Paths start at the session's working directory there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Question {
    /// Programs whose names begin so.
    Programs(Bytes),
    /// Paths that begin so; directories end in a slash.
    Paths(Bytes),
    /// The same without what is no directory.
    Directories(Bytes),
    /// This path, if it can be executed.
    Runs(Bytes),
    /// The host's name, the session's directory, and the home directory.
    Side,
}

/// What is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Names(Arc<[Bytes]>),
    /// It may come later.
    Waiting,
    /// There is no host, or it does not say.
    Nothing,
}

/// What the shell's variables say of the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct There {
    /// The name of the session.
    pub session: Option<Bytes>,
    /// Where host files appear in the guest.
    pub prefix: Option<Bytes>,
    /// They name a way to attach.
    pub named: bool,
}

/// The way to the process that asks.
struct Line {
    fd: i32,
    child: Option<i32>,
    /// The question that is on its way, by number and line.
    asked: Option<(u32, Question, u32)>,
    /// When it was sent.
    since: Instant,
    /// The process has been told to wake the editor behind its answer.
    called: bool,
    next: Option<Question>,
    received: Bytes,
}

/// The host as a line editor sees it.
#[derive(Default)]
pub struct Host {
    line: Option<Line>,
    /// Counts questions.
    number: u32,
    /// Counts lines: what was true before a line was run may not be true behind it.
    epoch: u32,
    answers: HashMap<Question, Answer>,
    programs: Option<(Instant, Arc<[Bytes]>)>,
    silent_since: Option<Instant>,
    there: There,
    /// Where the session was when that was asked for.
    pub side: Option<Side>,
}

impl Host {
    /// A host that has said this and says no more.
    #[cfg(test)]
    pub fn told(said: &[(Question, &[&str])]) -> Host {
        let mut host = Host::default();
        host.silent_since = Some(Instant::now() + Duration::from_secs(1000));
        for (question, names) in said {
            let names: Vec<Bytes> = names.iter().map(|name| name.as_bytes().to_vec()).collect();
            if *question == Question::Programs(Bytes::new()) {
                let far = Instant::now() + Duration::from_secs(1000);
                host.programs = Some((far, names.clone().into()));
            }
            host.answers
                .insert(question.clone(), Answer::Names(names.into()));
        }
        host
    }

    /// A new line begins.
    pub fn begin_line(&mut self, there: There) {
        self.there = there;
        self.epoch = self.epoch.wrapping_add(1);
        self.answers.clear();
    }

    /// Asks, and waits for the answer at most so long.
    pub fn ask(&mut self, question: &Question, patience: Duration) -> Answer {
        let until = Instant::now() + patience;
        self.hear();
        if let Some(answer) = self.answers.get(question) {
            return answer.clone();
        }
        if !self.send(question) {
            return Answer::Nothing;
        }
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let Some(line) = &self.line else {
                return Answer::Nothing;
            };
            if left.is_zero() || !sys::readable(line.fd, left.as_millis().max(1) as i32) {
                return Answer::Waiting;
            }
            self.hear();
            if let Some(answer) = self.answers.get(question) {
                return answer.clone();
            }
        }
    }

    /// Whether a program of this name can be run there; nothing if that is not known.
    pub fn runs(&mut self, name: &[u8], patience: Duration) -> Option<bool> {
        if name.contains(&b'/') {
            return match self.ask(&Question::Runs(name.to_vec()), patience) {
                Answer::Names(names) => Some(!names.is_empty()),
                Answer::Waiting | Answer::Nothing => None,
            };
        }
        let is_new = self
            .programs
            .as_ref()
            .is_some_and(|(since, _)| since.elapsed() < LASTS);
        if !is_new {
            // What was known goes on being used until there is something newer.
            let patience = match self.programs {
                Some(_) => Duration::ZERO,
                None => patience,
            };
            let all = Question::Programs(Bytes::new());
            self.answers.remove(&all);
            self.ask(&all, patience);
        }
        let (_, names) = self.programs.as_ref()?;
        let known = names.binary_search_by(|other| other[..].cmp(name)).is_ok();
        (known || is_whole(names)).then_some(known)
    }

    /// The editor does not wait any more: it is to be woken when the answer has come.
    pub fn call_back(&mut self) {
        if let Some(line) = &mut self.line {
            if line.asked.is_some() && !std::mem::replace(&mut line.called, true) {
                write(line.fd, &host_child::call_back());
            }
        }
    }

    /// Programs whose names begin so.
    pub fn programs(&mut self, begin: &[u8], patience: Duration) -> Answer {
        match &self.programs {
            Some((since, names)) if since.elapsed() < LASTS && is_whole(names) => {
                let from = names.partition_point(|name| &name[..] < begin);
                let found = names[from..]
                    .iter()
                    .take_while(|name| name.starts_with(begin));
                Answer::Names(found.cloned().collect())
            }
            _ => self.ask(&Question::Programs(begin.to_vec()), patience),
        }
    }

    /// Whether an answer is to come.
    pub fn waits(&self) -> bool {
        self.line.as_ref().is_some_and(|line| line.asked.is_some())
    }

    /// Whether an answer has not come for so long.
    pub fn hangs(&mut self, patience: Duration) -> bool {
        self.hear();
        let line = self.line.as_ref();
        line.is_some_and(|line| line.asked.is_some() && line.since.elapsed() >= patience)
    }

    /// Takes in what has come.
    pub fn hear(&mut self) {
        while let Some(line) = &mut self.line {
            match host_child::take_frame(&mut line.received) {
                Some(frame) => self.take(&frame),
                None if sys::readable(line.fd, 0) => {
                    let mut buffer = [0; 64 << 10];
                    match sys::read(line.fd, &mut buffer) {
                        Ok(count) if count > 0 => line.received.extend_from_slice(&buffer[..count]),
                        _ => self.hang_up(),
                    }
                }
                None => return,
            }
        }
    }

    fn take(&mut self, frame: &[u8]) {
        let Some((number, names)) = host_child::read_answer(frame) else {
            return self.hang_up();
        };
        let Some(line) = &mut self.line else { return };
        let Some((asked, question, epoch)) = line.asked.take() else {
            return;
        };
        let next = line.next.take();
        if asked == number {
            let answer = match names {
                Some(names) => Answer::Names(names.into()),
                None => Answer::Nothing,
            };
            if let (Question::Programs(begin), Answer::Names(names)) = (&question, &answer) {
                if begin.is_empty() {
                    self.programs = Some((Instant::now(), Arc::clone(names)));
                }
            }
            if epoch == self.epoch {
                self.answers.insert(question, answer);
            }
        }
        if let Some(next) = next {
            self.send(&next);
        }
    }

    /// Whether the question is on its way, or will be.
    fn send(&mut self, question: &Question) -> bool {
        if self.line.is_none() && !self.begin() {
            return false;
        }
        let Some(line) = &mut self.line else {
            return false;
        };
        match &line.asked {
            Some((_, asked, epoch)) if asked == question && *epoch == self.epoch => {}
            Some(_) => line.next = Some(question.clone()),
            None => {
                self.number = self.number.wrapping_add(1);
                let directory = std::env::current_dir().unwrap_or_default();
                let asked = Asked {
                    question: question.clone(),
                    directory: directory.into_os_string().into_vec(),
                    session: self.there.session.clone(),
                    prefix: self.there.prefix.clone(),
                };
                let frame = host_child::question(self.number, &asked);
                if !write(line.fd, &frame) {
                    self.hang_up();
                    return false;
                }
                line.asked = Some((self.number, question.clone(), self.epoch));
                line.since = Instant::now();
                line.called = false;
            }
        }
        true
    }

    /// Starts the process that asks.
    fn begin(&mut self) -> bool {
        if self
            .silent_since
            .is_some_and(|since| since.elapsed() < PAUSE)
        {
            return false;
        }
        self.silent_since = Some(Instant::now());
        if !host::is_there(self.there.named) {
            return false;
        }
        let Ok((own, other)) = UnixStream::pair() else {
            return false;
        };
        let (own, other) = (
            sys::raise(own.into_raw_fd()),
            sys::raise(other.into_raw_fd()),
        );
        match sys::fork() {
            Ok(None) => host_child::run(other),
            Ok(Some(child)) => {
                sys::close(other);
                self.line = Some(Line {
                    fd: own,
                    child: Some(child),
                    asked: None,
                    since: Instant::now(),
                    called: false,
                    next: None,
                    received: Bytes::new(),
                });
                true
            }
            Err(_) => {
                sys::close(own);
                sys::close(other);
                false
            }
        }
    }

    fn hang_up(&mut self) {
        if let Some(line) = self.line.take() {
            sys::close(line.fd);
            if let Some(child) = line.child {
                let _ = sys::kill(child, libc::SIGKILL);
                let _ = sys::wait(child, 0);
            }
        }
        self.silent_since = Some(Instant::now());
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.hang_up();
    }
}

/// Writes to the process that asks; no signal comes if it has ended.
fn write(fd: i32, frame: &[u8]) -> bool {
    let sent = socket::send(fd, frame, MsgFlags::MSG_NOSIGNAL);
    sent == Ok(frame.len())
}

/// Whether a list of all programs has not been cut off.
fn is_whole(names: &[Bytes]) -> bool {
    let bytes: usize = names.iter().map(|name| name.len() + 1).sum();
    bytes < SURELY_WHOLE
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    const SOON: Duration = Duration::from_secs(10);
    const AT_ONCE: Duration = Duration::from_millis(1);

    /// A host, and the end at which its questions arrive.
    fn pair() -> (Host, UnixStream) {
        let (own, other) = UnixStream::pair().expect("a pair");
        let line = Line {
            fd: own.into_raw_fd(),
            child: None,
            asked: None,
            since: Instant::now(),
            called: false,
            next: None,
            received: Bytes::new(),
        };
        let mut host = Host::default();
        host.line = Some(line);
        (host, other)
    }

    /// The next question's number and text.
    fn hears(other: &mut UnixStream) -> (u32, Question) {
        let mut length = [0; 4];
        other.read_exact(&mut length).expect("a length");
        let mut body = vec![0; u32::from_le_bytes(length) as usize];
        other.read_exact(&mut body).expect("a question");
        let (number, asked) = host_child::read_question(&body).expect("a question");
        (number, asked.question)
    }

    fn paths(text: &str) -> Question {
        Question::Paths(text.into())
    }

    fn names(names: &[&str]) -> Vec<Bytes> {
        names.iter().map(|name| name.as_bytes().to_vec()).collect()
    }

    #[test]
    fn nobody_waits_for_a_host_that_does_not_answer() {
        let (mut host, mut other) = pair();
        assert_eq!(host.ask(&paths("a"), AT_ONCE), Answer::Waiting);
        assert_eq!(host.ask(&paths("ab"), AT_ONCE), Answer::Waiting);
        assert_eq!(host.ask(&paths("abc"), AT_ONCE), Answer::Waiting);
        let (number, question) = hears(&mut other);
        assert_eq!(question, paths("a"));
        // Late, and the last of those that came up meanwhile is the next.
        let sent = host_child::answer(number, Some(&names(&["a1"])));
        other.write_all(&sent).expect("an answer");
        host.hear();
        let (number, question) = hears(&mut other);
        assert_eq!(question, paths("abc"));
        let sent = host_child::answer(number, Some(&names(&["abcd"])));
        other.write_all(&sent).expect("an answer");
        assert_eq!(
            host.ask(&paths("abc"), SOON),
            Answer::Names(names(&["abcd"]).into())
        );
        assert!(!host.waits());
        assert_eq!(
            host.ask(&paths("a"), AT_ONCE),
            Answer::Names(names(&["a1"]).into())
        );
    }

    #[test]
    fn another_line_asks_again() {
        let (mut host, mut other) = pair();
        assert_eq!(host.ask(&paths("a"), AT_ONCE), Answer::Waiting);
        host.begin_line(There::default());
        let (number, _) = hears(&mut other);
        other
            .write_all(&host_child::answer(number, None))
            .expect("an answer");
        // That was the answer to the line before.
        assert_eq!(host.ask(&paths("a"), AT_ONCE), Answer::Waiting);
        let (number, _) = hears(&mut other);
        other
            .write_all(&host_child::answer(number, None))
            .expect("an answer");
        assert_eq!(host.ask(&paths("a"), SOON), Answer::Nothing);
    }

    #[test]
    fn a_name_that_is_not_listed_is_none_unless_the_list_is_cut() {
        let (mut host, mut other) = pair();
        assert_eq!(host.runs(b"make", AT_ONCE), None);
        let (number, question) = hears(&mut other);
        assert_eq!(question, Question::Programs(Bytes::new()));
        let sent = host_child::answer(number, Some(&names(&["cc", "make"])));
        other.write_all(&sent).expect("an answer");
        host.hear();
        assert_eq!(host.runs(b"make", AT_ONCE), Some(true));
        assert_eq!(host.runs(b"mak", AT_ONCE), Some(false));
        let many: Vec<Bytes> = (0..20_000)
            .map(|n| format!("program-{n:05}").into())
            .collect();
        host.programs = Some((Instant::now(), many.into()));
        assert_eq!(host.runs(b"program-00007", AT_ONCE), Some(true));
        assert_eq!(host.runs(b"make", AT_ONCE), None);
    }

    #[test]
    fn who_hangs_up_is_not_called_at_once() {
        let (mut host, other) = pair();
        drop(other);
        assert_eq!(host.ask(&paths("a"), SOON), Answer::Nothing);
        assert!(host.line.is_none());
        assert_eq!(host.ask(&paths("a"), SOON), Answer::Nothing);
        assert_eq!(host.runs(b"make", SOON), None);
    }
}
