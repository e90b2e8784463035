//! The command line's way to a running hostd: a socket for its own user, one JSON line a question.

use super::guest::{Door, Guest, State};
use super::jobs::Job;
use super::poller::{Key, Poller, Source};
use crate::board::Bytes;
use hostcall::ops::Op;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, ErrorKind, Read, Result, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::sync::atomic::Ordering;

/// Bytes of a question at most.
const MOST_ASKED: usize = 4096;

/// What a tool asks.
#[derive(Debug, Serialize, Deserialize)]
pub enum Question {
    /// The state of all guests, as a [`Status`].
    Status,
    /// A line for each call from now on, until the tool leaves.
    Trace {
        /// Of this guest only.
        guest: Option<String>,
    },
    /// A change to a guest's exports; the answer is an [`Outcome`](super::exports::Outcome).
    Export(super::exports::Request),
}

/// The state of one hostd.
#[derive(Debug, Serialize, Deserialize)]
pub struct Status {
    /// Process id.
    pub pid: u32,
    /// Its guests.
    pub guests: Vec<GuestStatus>,
}

/// The state of one guest.
#[derive(Debug, Serialize, Deserialize)]
pub struct GuestStatus {
    /// Name.
    pub name: String,
    /// How it attaches.
    pub attach: String,
    /// Whose rights its calls have: a host user's, or each caller's.
    pub user: String,
    /// What it sees.
    pub exports: Vec<crate::config::Export>,
    /// How often that has changed. Absent where a hostd of an older version answers.
    #[serde(default)]
    pub view: u32,
    /// Layers of the shadows' confinement.
    pub confinement: Option<crate::shadow::sandbox::Report>,
    /// Why it cannot be served.
    pub failed: Option<String>,
    /// Shadows that stand ready.
    pub spares: usize,
    /// Shared files that wait to be redeemed.
    pub shared_files: usize,
    /// Trace lines lost because hostd or a reader was behind.
    pub dropped_traces: u64,
    /// Guest processes.
    pub sessions: Vec<SessionStatus>,
    /// Host programs. Absent where a hostd of an older version answers.
    #[serde(default)]
    pub jobs: Vec<JobStatus>,
    /// Calls of the sessions that live, by op.
    pub calls: std::collections::BTreeMap<String, u64>,
}

/// The state of one host program.
#[derive(Debug, Serialize, Deserialize)]
pub struct JobStatus {
    /// Its number in the audit log.
    pub job: u64,
    /// The session that started it.
    pub session: u32,
    /// Process id of the guest process, where the kernel is the same.
    pub process: Option<i32>,
    /// Its process, once it runs.
    pub pid: Option<i32>,
    /// Its file, once that is found.
    pub program: Option<String>,
    /// Its arguments, as many as fit.
    pub arguments: Vec<String>,
    /// Where it was started.
    pub directory: Option<String>,
    /// What it is doing.
    pub state: String,
    /// Bytes carried to it.
    pub bytes_in: u64,
    /// Bytes carried from it.
    pub bytes_out: u64,
    /// Seconds since it was wanted.
    pub seconds: u64,
}

/// The state of one session.
#[derive(Debug, Serialize, Deserialize)]
pub struct SessionStatus {
    /// Its place.
    pub slot: u32,
    /// Process id of the shadow.
    pub shadow: Option<i32>,
    /// Process id of the guest process, where the kernel is the same.
    pub process: Option<i32>,
    /// What it is doing.
    pub state: String,
    /// After how many changes to the guest's exports its view was made.
    #[serde(default)]
    pub view: u32,
    /// Lanes served.
    pub lanes: u32,
    /// Calls answered.
    pub calls: u64,
    /// Calls answered with an errno.
    pub errors: u64,
    /// Seconds since it began.
    pub seconds: u64,
}

/// Name of the control socket of a hostd, in the abstract namespace: nothing of it is left when hostd is killed.
fn control_name(uid: u32, pid: u32) -> String {
    format!("hostcall/{uid}/{pid}")
}

/// The hostds of the calling user that run now.
pub fn running() -> Vec<UnixStream> {
    let prefix = format!("@hostcall/{}/", nix::unistd::geteuid());
    // unix(7) lists the abstract sockets of this network namespace here; the name is the last column.
    let sockets = std::fs::read_to_string("/proc/net/unix").unwrap_or_default();
    let names = sockets
        .lines()
        .filter_map(|line| line.split_whitespace().last());
    let names: std::collections::BTreeSet<&str> =
        names.filter(|name| name.starts_with(&prefix)).collect();
    let connect =
        |name: &str| UnixStream::connect_addr(&SocketAddr::from_abstract_name(&name[1..])?);
    names
        .into_iter()
        .filter_map(|name| connect(name).ok())
        .filter(same_user)
        .collect()
}

/// The hostd of the calling user with this process id.
pub fn connect(pid: u32) -> Result<UnixStream> {
    let name = control_name(nix::unistd::geteuid().as_raw(), pid);
    let stream = UnixStream::connect_addr(&SocketAddr::from_abstract_name(name)?)?;
    match same_user(&stream) {
        true => Ok(stream),
        false => Err(ErrorKind::PermissionDenied.into()),
    }
}

/// Anybody may bind or connect to an abstract name, so each side looks who the other is.
fn same_user(stream: &UnixStream) -> bool {
    let peer = nix::sys::socket::getsockopt(stream, nix::sys::socket::sockopt::PeerCredentials);
    let own = nix::unistd::geteuid().as_raw();
    peer.is_ok_and(|peer| peer.uid() == own || peer.uid() == 0)
}

/// Asks one hostd; the answers come line by line.
pub fn ask(mut stream: UnixStream, question: &Question) -> Result<BufReader<UnixStream>> {
    let mut line = serde_json::to_vec(question)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    Ok(BufReader::new(stream))
}

/// The states of the hostds of the calling user. One that ends while it is asked, or is of a version that says other things,
/// is passed over: it must not keep the others from being seen.
pub fn states() -> Vec<Status> {
    let state = |stream| {
        let mut line = String::new();
        ask(stream, &Question::Status)
            .and_then(|mut lines| lines.read_line(&mut line))
            .ok()?;
        serde_json::from_str(&line).ok()
    };
    running().into_iter().filter_map(state).collect()
}

/// A connected tool. hostd never waits for one: guests are waiting for hostd.
#[derive(Debug)]
struct Tool {
    stream: UnixStream,
    /// What has come of its question.
    asked: Vec<u8>,
    /// What it has not yet taken of the answer.
    answer: Vec<u8>,
    /// Which guest it traces.
    trace: Option<Option<String>>,
}

impl Tool {
    fn traces(&self, guest: &str) -> bool {
        let wanted = self.trace.as_ref();
        wanted.is_some_and(|wanted| wanted.as_ref().is_none_or(|name| name == guest))
    }

    /// Reads what has come; the question once it is complete.
    fn question(&mut self) -> Result<Option<Question>> {
        let mut bytes = [0; MOST_ASKED];
        match self.stream.read(&mut bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            read => self.asked.extend_from_slice(&bytes[..read?]),
        }
        match self.asked.iter().position(|byte| *byte == b'\n') {
            Some(end) => Ok(Some(serde_json::from_slice(&self.asked[..end])?)),
            None if self.asked.len() >= MOST_ASKED => Err(ErrorKind::InvalidData.into()),
            None => Ok(None),
        }
    }

    /// Writes what the tool takes of its answer; whether that was all.
    fn reply(&mut self) -> Result<bool> {
        while !self.answer.is_empty() {
            match self.stream.write(&self.answer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                written => drop(self.answer.drain(..written?)),
            }
        }
        Ok(true)
    }
}

/// The socket and who is connected.
#[derive(Debug)]
pub struct Tools {
    listener: UnixListener,
    connected: HashMap<Key, Tool>,
}

impl Tools {
    /// Opens the socket.
    pub fn listen(poller: &mut Poller) -> Result<Tools> {
        let name = control_name(nix::unistd::geteuid().as_raw(), std::process::id());
        let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(name)?)?;
        listener.set_nonblocking(true)?;
        poller.watch(&listener, Source::Admin)?;
        Ok(Tools {
            listener,
            connected: HashMap::new(),
        })
    }

    /// Where tools connect.
    pub fn listener(&self) -> &UnixListener {
        &self.listener
    }

    /// A tool connects.
    pub fn accept(&mut self, poller: &mut Poller) -> Result<()> {
        let (stream, _) = self.listener.accept()?;
        if !same_user(&stream) {
            return Ok(());
        }
        stream.set_nonblocking(true)?;
        let key = poller.watch(&stream, Source::Tool)?;
        self.connected.insert(
            key,
            Tool {
                stream,
                asked: Vec::new(),
                answer: Vec::new(),
                trace: None,
            },
        );
        Ok(())
    }

    /// A tool asks, takes more of its answer, or leaves. A change that it asks for comes back: it is not made here.
    pub fn hear(
        &mut self,
        key: Key,
        guests: &[Guest],
        poller: &mut Poller,
    ) -> Option<super::exports::Request> {
        let tool = self.connected.get_mut(&key)?;
        if !tool.answer.is_empty() {
            if !matches!(tool.reply(), Ok(false)) {
                self.leave(key, guests, poller);
            }
            return None;
        }
        match tool.question() {
            Ok(None) => {}
            // Nothing would ever come: hanging up tells the tool so.
            Ok(Some(Question::Trace { guest: Some(name) }))
                if guests.iter().all(|guest| guest.name != name) =>
            {
                self.leave(key, guests, poller);
            }
            Ok(Some(Question::Trace { guest })) => {
                tool.asked.clear();
                tool.trace = Some(guest);
                self.switch(guests);
            }
            Ok(Some(Question::Status)) => self.answer(key, &status(guests), guests, poller),
            Ok(Some(Question::Export(request))) => {
                tool.asked.clear();
                return Some(request);
            }
            Err(_) => self.leave(key, guests, poller),
        }
        None
    }

    /// Answers a tool, if it is still there; it leaves when it has taken all.
    pub fn answer(
        &mut self,
        key: Key,
        answer: &impl Serialize,
        guests: &[Guest],
        poller: &mut Poller,
    ) {
        let Some(tool) = self.connected.get_mut(&key) else {
            return;
        };
        tool.answer = serde_json::to_vec(answer).unwrap_or_default();
        tool.answer.push(b'\n');
        let waits =
            matches!(tool.reply(), Ok(false)) && poller.await_room(&tool.stream, key).is_ok();
        if !waits {
            self.leave(key, guests, poller);
        }
    }

    fn leave(&mut self, key: Key, guests: &[Guest], poller: &mut Poller) {
        if let Some(tool) = self.connected.remove(&key) {
            poller.forget(&tool.stream, key);
        }
        self.switch(guests);
    }

    /// Has shadows send lines only while somebody reads them.
    fn switch(&self, guests: &[Guest]) {
        for guest in guests {
            let tracing = (self.connected.values()).any(|tool| tool.traces(&guest.name));
            guest
                .board
                .head()
                .tracing
                .store(tracing.into(), Ordering::Relaxed);
        }
    }

    /// Passes a line on to whoever traces this guest; a reader that is behind loses it.
    pub fn trace(&mut self, guest: &Guest, line: &str, guests: &[Guest], poller: &mut Poller) {
        let text = format!("{line}\n");
        let mut gone = Vec::new();
        let readers = self.connected.iter_mut();
        for (key, tool) in readers.filter(|(_, tool)| tool.traces(&guest.name)) {
            match tool.stream.write(text.as_bytes()) {
                // A line is far smaller than what the kernel takes in one piece.
                Ok(written) if written == text.len() => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    guest.board.head().dropped.fetch_add(1, Ordering::Relaxed);
                }
                _ => gone.push(*key),
            }
        }
        gone.into_iter()
            .for_each(|key| self.leave(key, guests, poller));
    }
}

fn status(guests: &[Guest]) -> Status {
    Status {
        pid: std::process::id(),
        guests: guests.iter().map(guest_status).collect(),
    }
}

fn guest_status(guest: &Guest) -> GuestStatus {
    let serving = guest
        .sessions
        .iter()
        .filter(|(_, session)| !session.state.is_idle());
    let mut calls = std::collections::BTreeMap::new();
    let mut sessions: Vec<SessionStatus> = serving
        .map(|(slot, session)| {
            let counts = guest.board.slot(*slot);
            let count = |op: &Op| counts.calls[op.spec().number as usize].load(Ordering::Relaxed);
            for op in Op::ALL.iter().filter(|op| count(op) > 0) {
                *calls.entry(op.spec().name.to_owned()).or_default() += count(op);
            }
            SessionStatus {
                slot: *slot,
                shadow: session.shadow.as_ref().map(|(pid, _)| *pid),
                process: session.process.as_ref().map(|(pid, ..)| *pid),
                state: match session.state {
                    State::Starting => "starting",
                    State::Spare => "spare",
                    State::Active => "active",
                    State::Prepared(..) => "prepared",
                    State::Held(..) => "held",
                    State::Leaving(_) => "leaving",
                }
                .to_owned(),
                view: session.view,
                lanes: counts.lanes.load(Ordering::Relaxed),
                calls: Op::ALL.iter().map(count).sum(),
                errors: counts.errors.load(Ordering::Relaxed),
                seconds: session.since.elapsed().as_secs(),
            }
        })
        .collect();
    sessions.sort_by_key(|session| session.slot);
    let jobs = guest.jobs.table.values();
    let jobs = jobs.map(|job| job_status(job, guest.board.job(job.place).get()));
    GuestStatus {
        name: guest.name.clone(),
        attach: match &guest.door {
            Door::Socket { path, .. } => format!("socket {}", path.display()),
            Door::Device { region, .. } => format!("device with {} lanes", region.lanes()),
        },
        user: match &guest.policy.callers {
            Some(_) => "each call's caller".to_owned(),
            None => guest.policy.user.name.clone(),
        },
        exports: guest.policy.exports.clone(),
        view: guest.view,
        confinement: guest.report.clone(),
        failed: guest.failed.clone(),
        spares: guest
            .sessions
            .values()
            .filter(|session| session.state == State::Spare)
            .count(),
        shared_files: guest.shared.len(),
        dropped_traces: guest.board.head().dropped.load(Ordering::Relaxed),
        sessions,
        jobs: jobs.collect(),
        calls,
    }
}

fn job_status(job: &Job, bytes: Bytes) -> JobStatus {
    let state = match (job.pid, &job.end, &job.owner) {
        (0, ..) => "starting",
        (_, None, Some(_)) => "running",
        (_, None, None) => "ending",
        (_, Some(_), Some(_)) => "ended",
        (_, Some(_), None) => "ended, others that it has started run",
    };
    JobStatus {
        job: job.who.job,
        session: job.who.session,
        process: job.who.process,
        pid: (job.pid != 0).then_some(job.pid),
        program: job.about.program.clone(),
        arguments: job.about.arguments.clone(),
        directory: job.about.directory.clone(),
        state: state.to_owned(),
        bytes_in: bytes.to_program,
        bytes_out: bytes.from_program,
        seconds: job.since.elapsed().as_secs(),
    }
}
