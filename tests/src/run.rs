//! One run of a case: makes the calls by one way and writes down each of them with its answer.
//!
//! The transcript goes to standard output, one JSON line an event: `{"op","line"}` for a call, `{"note"}` for what a
//! case saw, `{"ask"}` for something that a native process is to do; the answer comes as a line of standard input.
#![allow(unsafe_code)]

use crate::native::Native;
use crate::shown::{difference, digest, entries, moment};
use crate::way::Way;
use hostcall::client::{Client, Options};
use hostcall::ops::{Calls, Op, Trace};
use hostcall::shm::Window;
use hostcall::table::{Reply, Request};
use hostcall::transfer;
use hostcall::types::{AtFlags, DirFd, Errno, Mode, Offset, OpenFlags, RemoteFd, RwFlags, Token};
use hostcall::wire::{Message, Sink, Writer};
use serde_json::{json, Value};
use std::ffi::{CStr, CString};

/// The mask that every run begins with.
pub const UMASK: u32 = 0o022;

/// Who executes the calls.
#[allow(clippy::large_enum_variant)] // one of each, on the stack of one thread
enum Caller {
    Libc(Native),
    Client(Client),
}

impl Calls for Caller {
    fn call<R: Request>(&self, request: R) -> Result<R::Reply, Errno> {
        match self {
            Caller::Libc(libc) => libc.call(request),
            Caller::Client(client) => client.call(request),
        }
    }
}

/// A running case.
pub struct Run {
    caller: Caller,
    way: Way,
    case: String,
    /// The case's directory, as this way names it, and its working directory at the start.
    pub base: String,
    /// 0 at first, then one more for each new program image.
    pub stage: u32,
}

fn attach(resume: Option<Token>) -> Client {
    let options = Options {
        resume,
        umask: UMASK,
    };
    Client::attach(&options).unwrap_or_else(|error| panic!("{error}"))
}

/// Bytes that differ from each other and from their neighbours' neighbours.
pub fn pattern(len: usize) -> Vec<u8> {
    (0..len)
        .map(|at| (at % 251) as u8 ^ (at >> 12) as u8)
        .collect()
}

impl Run {
    /// Begins a case, or goes on with it after an exec.
    pub fn start(case: &str, way: Way, base: &str, stage: u32, resume: Option<Token>) -> Run {
        let caller = match way {
            Way::Native | Way::Preload | Way::Hostfs => Caller::Libc(Native::default()),
            Way::Client => Caller::Client(attach(resume)),
        };
        let run = Run {
            caller,
            way,
            case: case.to_owned(),
            base: base.to_owned(),
            stage,
        };
        if stage == 0 {
            // SAFETY: plain call.
            unsafe { libc::umask(UMASK) };
            let base = CString::new(base).expect("a path has no NUL");
            run.caller
                .chdir(&base)
                .unwrap_or_else(|error| panic!("{base:?}: {error}"));
        }
        run
    }

    fn emit(&self, event: Value) {
        let line = format!("{event}\n").replace(&self.base, "BASE");
        let mut rest = line.as_bytes();
        while !rest.is_empty() {
            // SAFETY: a live slice. Not std's stdout: a child must not inherit half a buffer.
            let written = unsafe { libc::write(1, rest.as_ptr().cast(), rest.len()) };
            assert!(written > 0, "the transcript's reader is gone");
            rest = &rest[written as usize..];
        }
    }

    /// Writes down something that was seen.
    pub fn note(&self, text: impl AsRef<str>) {
        self.emit(json!({"note": text.as_ref()}));
    }

    /// Writes down data, or why there is none.
    pub fn see(&self, name: &str, data: Result<&[u8], Errno>) {
        match data {
            Ok(data) => self.note(format!("{name}: {}", digest(data))),
            Err(errno) => self.note(format!("{name}: {errno}")),
        }
    }

    fn record(&self, op: Op, line: String) {
        self.emit(json!({"op": op.spec().name, "line": line}));
    }

    /// Has a native process do something: see `actor.rs`.
    pub fn ask(&self, text: &str) -> String {
        self.emit(json!({ "ask": text }));
        let mut answer = Vec::new();
        let mut byte = 0u8;
        // SAFETY: one live byte.
        while unsafe { libc::read(0, (&raw mut byte).cast(), 1) } == 1 && byte != b'\n' {
            answer.push(byte);
        }
        let answer = String::from_utf8_lossy(&answer).into_owned();
        self.note(format!("{text}: {answer}"));
        answer
    }

    /// Opens by the working directory; a failure answers -1, so that the calls that follow fail alike in all ways.
    pub fn open(&self, path: &CStr, flags: i32, mode: u32) -> RemoteFd {
        self.open_at(DirFd::CWD, path, flags, mode)
    }

    /// The same below a directory.
    pub fn open_at(&self, dir: impl Into<DirFd>, path: &CStr, flags: i32, mode: u32) -> RemoteFd {
        let opened = self.openat(dir.into(), path, OpenFlags(flags), Mode(mode));
        opened.map_or(RemoteFd(-1), |reply| reply.fd)
    }

    /// Makes a file with contents.
    pub fn make(&self, path: &CStr, data: &[u8]) {
        let fd = self.open(path, libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC, 0o644);
        self.put(fd, -1, data);
        let _ = self.close(fd);
    }

    /// Reads up to `len` bytes at an offset, or at the position (-1).
    pub fn get(&self, fd: RemoteFd, offset: i64, len: usize) -> Vec<u8> {
        self.get_vectors(fd, offset, 0, &[len])
    }

    /// readv(2) and its kin, by the client's bulk transfer or libc's own function.
    pub fn get_vectors(&self, fd: RemoteFd, offset: i64, flags: i32, lens: &[usize]) -> Vec<u8> {
        let mut buffers: Vec<Vec<u8>> = lens.iter().map(|len| vec![0xAA; *len]).collect();
        let vectors: Vec<libc::iovec> = buffers
            .iter_mut()
            .map(|buffer| libc::iovec {
                iov_base: buffer.as_mut_ptr().cast(),
                iov_len: buffer.len(),
            })
            .collect();
        let count = vectors.len() as i32;
        // SAFETY: every vector is a live buffer.
        let read = unsafe {
            match &self.caller {
                Caller::Client(client) => {
                    transfer::read_vectored(client, fd, Offset(offset), RwFlags(flags), &vectors)
                        .map(|read| read as i64)
                }
                Caller::Libc(_) => Errno::result(match (offset, flags, count) {
                    (-1, 0, 1) => libc::read(fd.0, vectors[0].iov_base, vectors[0].iov_len),
                    (_, 0, 1) => libc::pread(fd.0, vectors[0].iov_base, vectors[0].iov_len, offset),
                    (-1, 0, _) => libc::readv(fd.0, vectors.as_ptr(), count),
                    (_, 0, _) => libc::preadv(fd.0, vectors.as_ptr(), count, offset),
                    _ => libc::preadv2(fd.0, vectors.as_ptr(), count, offset, flags),
                } as i64),
            }
        };
        let all = buffers.concat();
        let read = read.map(|read| &all[..read as usize]);
        let text = read.map_or_else(|errno| errno.to_string(), digest);
        self.record(
            Op::Read,
            format!("read {} {lens:?} at {offset}, flags {flags}: {text}", fd.0),
        );
        read.unwrap_or_default().to_vec()
    }

    /// Writes at an offset, or at the position (-1).
    pub fn put(&self, fd: RemoteFd, offset: i64, data: &[u8]) {
        self.put_vectors(fd, offset, 0, &[data]);
    }

    /// writev(2) and its kin.
    pub fn put_vectors(&self, fd: RemoteFd, offset: i64, flags: i32, parts: &[&[u8]]) {
        let vectors: Vec<libc::iovec> = parts
            .iter()
            .map(|part| libc::iovec {
                iov_base: part.as_ptr().cast_mut().cast(),
                iov_len: part.len(),
            })
            .collect();
        let count = vectors.len() as i32;
        // SAFETY: every vector is a live slice, which is only read.
        let written = unsafe {
            match &self.caller {
                Caller::Client(client) => {
                    transfer::write_vectored(client, fd, Offset(offset), RwFlags(flags), &vectors)
                        .map(|written| written as i64)
                }
                Caller::Libc(_) => Errno::result(match (offset, flags, count) {
                    (-1, 0, 1) => libc::write(fd.0, vectors[0].iov_base, vectors[0].iov_len),
                    (_, 0, 1) => {
                        libc::pwrite(fd.0, vectors[0].iov_base, vectors[0].iov_len, offset)
                    }
                    (-1, 0, _) => libc::writev(fd.0, vectors.as_ptr(), count),
                    (_, 0, _) => libc::pwritev(fd.0, vectors.as_ptr(), count, offset),
                    _ => libc::pwritev2(fd.0, vectors.as_ptr(), count, offset, flags),
                } as i64),
            }
        };
        let lens: Vec<usize> = parts.iter().map(|part| part.len()).collect();
        self.record(
            Op::Write,
            format!(
                "write {} {lens:?} at {offset}, flags {flags}: {written:?}",
                fd.0
            ),
        );
    }

    /// Metadata by path; notes the fields that do not depend on the moment.
    pub fn stat(&self, path: &CStr) {
        self.stat_at(DirFd::CWD, path, 0);
    }

    /// Metadata of an open file.
    pub fn fstat(&self, fd: RemoteFd) {
        self.stat_at(fd.into(), c"", libc::AT_EMPTY_PATH);
    }

    /// Metadata with flags.
    pub fn stat_at(&self, dir: DirFd, path: &CStr, flags: i32) {
        // SAFETY: statx is valid when zeroed.
        let mut data: libc::statx = unsafe { std::mem::zeroed() };
        // SAFETY: all of a live statx, for which every bit pattern is a value.
        let sink = unsafe { Sink::from_raw((&raw mut data).cast(), size_of::<libc::statx>()) };
        let mask = libc::STATX_BASIC_STATS;
        let asked = self.caller.statx(dir, path, AtFlags(flags), mask, sink);
        let name = path.to_bytes().escape_ascii();
        let answer = asked.map_or_else(|errno| errno.to_string(), |_| "0".to_owned());
        let call = format!("statx({}, \"{name}\", {flags:#x}) = {answer}", dir.0);
        self.record(Op::Statx, call);
        let brief = self.caller.stat(dir, path, AtFlags(flags));
        let call = brief.map_or_else(|errno| errno.to_string(), |_| "0".to_owned());
        let call = format!("stat({}, \"{name}\", {flags:#x}) = {call}", dir.0);
        self.record(Op::Stat, call);
        let (Ok(_), Ok(brief)) = (asked, brief) else {
            return;
        };
        if let Some(difference) = difference(&brief.stat, &data) {
            self.note(difference);
        }
        let directory = u32::from(data.stx_mode) & libc::S_IFMT == libc::S_IFDIR;
        let size = if directory { 0 } else { data.stx_size };
        let device = (data.stx_rdev_major, data.stx_rdev_minor);
        let times = [data.stx_atime, data.stx_mtime].map(|time| moment(time.tv_sec, time.tv_nsec));
        self.note(format!(
            "mode {:o}, links {}, owner {}:{}, size {size}, device {device:?}, times {times:?}, mask {:#x}, unit {}",
            data.stx_mode,
            data.stx_nlink,
            data.stx_uid,
            data.stx_gid,
            data.stx_mask & libc::STATX_BASIC_STATS,
            data.stx_blksize,
        ));
    }

    /// The working directory.
    pub fn cwd(&self) {
        let mut path = vec![0; 8192];
        // Not by the recorder: lengths of paths differ between ways as their bases do.
        let filled = self.caller.getcwd(Sink::new(&mut path));
        let text = self.path(filled.map(|reply| &path[..reply.filled.0]));
        self.record(Op::Getcwd, format!("getcwd() = {text}"));
    }

    /// The path of an open file.
    pub fn path_of_open(&self, fd: RemoteFd) {
        let mut path = vec![0; 8192];
        let filled = self.caller.path_of(fd, Sink::new(&mut path));
        let text = self.path(filled.map(|reply| &path[..reply.filled.0]));
        self.record(Op::PathOf, format!("path_of({}) = {text}", fd.0));
    }

    /// Said relative to the base, before a long one is made a digest.
    fn path(&self, found: Result<&[u8], Errno>) -> String {
        let short = |path| String::from_utf8_lossy(path).replace(&self.base, "BASE");
        found.map_or_else(
            |errno| errno.to_string(),
            |path| digest(short(path).as_bytes()),
        )
    }

    /// All names of a directory from its position on, read in pieces of `piece` bytes, sorted, with their types.
    pub fn names(&self, fd: RemoteFd, piece: usize) -> Vec<String> {
        let (mut names, mut buffer) = (Vec::new(), vec![0u8; piece]);
        loop {
            let read = self
                .caller
                .getdents(fd, Sink::new(&mut buffer))
                .map(|reply| reply.filled.0);
            match read {
                Ok(0) => break,
                Ok(len) => names.extend(entries(&buffer[..len])),
                Err(errno) => {
                    self.record(Op::Getdents, format!("getdents: {errno}"));
                    return names;
                }
            }
        }
        names.sort();
        let joined = names.join(" ");
        self.record(
            Op::Getdents,
            format!("{} names: {}", names.len(), digest(joined.as_bytes())),
        );
        names
    }

    /// Runs `f` in a forked child and waits for it.
    pub fn child(&mut self, f: impl FnOnce(&mut Run)) {
        let token = match &self.caller {
            Caller::Client(client) => Some(client.fork_session().expect("a child's session").token),
            Caller::Libc(_) => None,
        };
        self.record(Op::ForkSession, "fork".to_owned());
        // SAFETY: this process has one thread.
        match unsafe { libc::fork() } {
            0 => {
                if token.is_some() {
                    if let Caller::Client(parents) =
                        std::mem::replace(&mut self.caller, Caller::Libc(Native::default()))
                    {
                        // SAFETY: the one thread of the child uses it no more.
                        unsafe { parents.abandon() };
                    }
                    self.caller = Caller::Client(attach(token));
                }
                f(self);
                // SAFETY: ends the child.
                unsafe { libc::_exit(0) }
            }
            child => {
                assert!(child > 0, "fork");
                let mut status = 0;
                // SAFETY: our own child, a live status.
                while unsafe { libc::waitpid(child, &mut status, 0) } == -1 {}
                self.note(format!("child ended with status {status:#x}"));
            }
        }
    }

    /// Tries to start a program that is not there.
    pub fn fail_exec(&self) {
        if let Caller::Client(client) = &self.caller {
            client.hold_session().expect("a held session");
        }
        let pointers = [c"nobody".as_ptr(), std::ptr::null()];
        // SAFETY: a NULL-terminated array of live C strings.
        unsafe { libc::execv(c"/nonexistent/program".as_ptr(), pointers.as_ptr()) };
        self.record(Op::UnholdSession, format!("exec failed: {}", Errno::last()));
        if let Caller::Client(client) = &self.caller {
            client.unhold_session().expect("withdrawn");
        }
    }

    /// Starts this program anew in this process, for the next stage of the case.
    pub fn exec(&self) -> ! {
        let token = match &self.caller {
            Caller::Client(client) => Some(client.hold_session().expect("a held session").token),
            Caller::Libc(_) => None,
        };
        self.record(Op::HoldSession, "exec".to_owned());
        let program = std::env::current_exe().expect("the path of this program");
        let mut arguments = vec![
            program.to_string_lossy().into_owned(),
            self.case.clone(),
            self.way.name().to_owned(),
            self.base.clone(),
            (self.stage + 1).to_string(),
        ];
        arguments.extend(token.map(|token| token.to_string()));
        let arguments: Vec<CString> = arguments
            .into_iter()
            .map(|argument| CString::new(argument).expect("no NUL"))
            .collect();
        let mut pointers: Vec<_> = arguments.iter().map(|argument| argument.as_ptr()).collect();
        pointers.push(std::ptr::null());
        // SAFETY: a NULL-terminated array of live C strings.
        unsafe { libc::execv(pointers[0], pointers.as_ptr()) };
        panic!("exec: {}", Errno::last())
    }

    /// A call with a path that no table carries: longer than `PATH_MAX`.
    pub fn open_overlong(&self, path: &CStr) {
        let opened = match &self.caller {
            Caller::Client(client) => client
                .openat(DirFd::CWD, path, OpenFlags(0), Mode(0))
                .map(|reply| i64::from(reply.fd.0)),
            // SAFETY: a NUL-terminated path.
            Caller::Libc(_) => Errno::result(unsafe { libc::open(path.as_ptr(), 0) }.into()),
        };
        self.record(Op::Openat, format!("open overlong: {opened:?}"));
    }
}

impl Calls for Run {
    fn call<R: Request>(&self, request: R) -> Result<R::Reply, Errno> {
        let reply = self.caller.call(request_copy(&request));
        self.record(R::OP, line(&request, &reply));
        reply
    }
}

/// The request as it goes to the caller: a borrow serves as well as the value.
fn request_copy<R: Request>(request: &R) -> Borrowed<'_, R> {
    Borrowed(request)
}

struct Borrowed<'r, R>(&'r R);

impl<R: Request> Request for Borrowed<'_, R> {
    const OP: Op = R::OP;
    const SCALARS: usize = R::SCALARS;
    type Reply = R::Reply;
    fn encode(&self, writer: &mut Writer<'_>) -> Result<(), Errno> {
        self.0.encode(writer)
    }
    fn fetch(&self, chunk: Window<'_>, filled: usize) -> usize {
        self.0.fetch(chunk, filled)
    }
    fn show(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.show(f)
    }
}

/// The call as a trace shows it.
fn line<R: Request>(request: &R, reply: &Result<R::Reply, Errno>) -> String {
    let mut room = vec![0; 1 << 20];
    let mut writer = Writer::new(R::OP as u32, R::SCALARS, Window::of(&mut room));
    if request.encode(&mut writer).is_err() {
        return format!(
            "{}(too long) = {:?}",
            R::OP.spec().name,
            reply.as_ref().err()
        );
    }
    let call = writer.finish();
    let payload = room[..call.payload as usize].to_vec();
    let answer = match reply {
        Ok(reply) => {
            let mut writer = Writer::new(0, R::Reply::SCALARS, Window::of(&mut room));
            reply.encode(&mut writer).expect("a decoded reply encodes");
            writer.finish()
        }
        Err(errno) => Message {
            code: errno.0 as u32,
            ..Message::default()
        },
    };
    Trace {
        call,
        payload: &payload,
        answer,
    }
    .to_string()
}
