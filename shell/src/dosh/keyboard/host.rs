//! What the host says to a line that is being typed, without a keystroke waiting for it.
//!
//! A process of its own asks the host: a call that hangs, as on a file system that does not answer, holds up that process and
//! not the shell, which has one thread. One question is on the way at a time. Of those that come up meanwhile the last is
//! asked next; the others are about lines that stand there no more.

use super::host_child::{self, Asked};
use super::host_paths::Found;
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

/// Names of files are good for so long: a Tab asks for them several times, and the next one may come after a change.
const TAB: Duration = Duration::from_secs(1);

/// Who does not answer what was asked for a line for so long is not waited for at the next one: a file may hang, not the host.
const HANGS: Duration = Duration::from_secs(1);

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
    /// Nothing yet: of the directory with this path somebody is about to ask.
    Ahead(Bytes),
}

/// What is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Names(Arc<Found>),
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
    /// What has come, and when.
    answers: HashMap<Question, (Instant, Answer)>,
    /// The directory that was asked for ahead, last of this line.
    ahead: Option<Bytes>,
    programs: Option<(Instant, Arc<Found>)>,
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
        let far = Instant::now() + Duration::from_secs(1000);
        host.silent_since = Some(far);
        for (question, names) in said {
            let names: Vec<Bytes> = names.iter().map(|name| name.as_bytes().to_vec()).collect();
            if *question == Question::Programs(Bytes::new()) {
                host.programs = Some((far, Found::from(names.clone()).into()));
            }
            host.answers.insert(
                question.clone(),
                (far, Answer::Names(Found::from(names).into())),
            );
        }
        host
    }

    /// A new line begins.
    pub fn begin_line(&mut self, there: There) {
        self.there = there;
        self.epoch = self.epoch.wrapping_add(1);
        self.answers.clear();
        self.ahead = None;
        let asked = self.line.as_ref().and_then(|line| line.asked.as_ref());
        let is_of_line = asked.is_some_and(|(_, question, _)| *question != Question::Side);
        if is_of_line && self.hangs(HANGS) {
            self.hang_up();
            // The host is there: another is asked at once.
            self.silent_since = None;
        }
    }

    /// Has the directory with this path read that a Tab may ask for. Nobody waits for that.
    pub fn ahead(&mut self, parent: &[u8]) {
        if self.ahead.as_deref() == Some(parent) {
            return;
        }
        self.hear();
        let waits = |line: &Line| line.next.is_some();
        if !self.line.as_ref().is_some_and(waits) && self.send(&Question::Ahead(parent.to_vec())) {
            self.ahead = Some(parent.to_vec());
        }
    }

    /// The answer, if it has come not too long ago.
    fn known(&self, question: &Question) -> Option<Answer> {
        let (since, answer) = self.answers.get(question)?;
        let passes = matches!(question, Question::Paths(_) | Question::Directories(_));
        (!passes || since.elapsed() < TAB).then(|| answer.clone())
    }

    /// Asks, and waits for the answer at most so long.
    pub fn ask(&mut self, question: &Question, patience: Duration) -> Answer {
        let until = Instant::now() + patience;
        self.hear();
        if let Some(answer) = self.known(question) {
            return answer;
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
            if let Some(answer) = self.known(question) {
                return answer;
            }
        }
    }

    /// Whether a program of this name can be run there; nothing if that is not known.
    pub fn runs(&mut self, name: &[u8], patience: Duration) -> Option<bool> {
        if name.contains(&b'/') {
            return match self.ask(&Question::Runs(name.to_vec()), patience) {
                Answer::Names(found) => Some(!found.names.is_empty()),
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
        let names = &self.programs.as_ref()?.1.names;
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
            Some((since, all)) if since.elapsed() < LASTS && is_whole(&all.names) => {
                let names = &all.names;
                let from = names.partition_point(|name| &name[..] < begin);
                let found = names[from..]
                    .iter()
                    .take_while(|name| name.starts_with(begin));
                let found: Vec<Bytes> = found.cloned().collect();
                Answer::Names(Found::from(found).into())
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
        let Some((number, found)) = host_child::read_answer(frame) else {
            return self.hang_up();
        };
        let Some(line) = &mut self.line else { return };
        let Some((asked, question, epoch)) = line.asked.take() else {
            return;
        };
        let next = line.next.take();
        if asked == number {
            let now = Instant::now();
            let answer = match found {
                Some(found) => Answer::Names(found.into()),
                None => Answer::Nothing,
            };
            if let (Question::Programs(begin), Answer::Names(found)) = (&question, &answer) {
                if begin.is_empty() {
                    self.programs = Some((now, Arc::clone(found)));
                }
            }
            if epoch == self.epoch {
                self.answers.insert(question, (now, answer));
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
#[path = "host_tests.rs"]
mod tests;
