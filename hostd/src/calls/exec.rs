//! Host programs: what of them is this process's own, and what it asks hostd for.
#![allow(unsafe_code)]

use super::scratch::{memory, Scratch, MOST_SCRATCHES};
use super::session::working_directory;
use super::{done, Caller};
use crate::exec::message::Terminal;
use crate::exec::terminal::window_size;
use crate::exec::words::MOST_BYTES;
use crate::message::{FromShadow, MOST_NAME};
use crate::shadow::starts::Refusal;
use hostcall::ops::{reply, request, ExecCalls};
use hostcall::types::{Errno, JobState, RemoteFd, LET_GO};
use hostcall::wire::{Filled, Sink, Source};
use std::ffi::{CStr, CString};
use std::fs::File;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering;

/// The flag of `exec` that gives the program a controlling terminal.
const CONTROLS: u32 = 1;
/// The flag that leaves it in the background of that.
const BEHIND: u32 = 2;
/// The flag that has the answer not wait until the program runs.
const LATER: u32 = 4;

/// Where the programs of a session start, and what their guest knows of them.
#[derive(Clone, Debug)]
pub struct Places {
    /// Home directory of their user.
    pub home: CString,
    /// The file system of the view's own directories; none where the host's root is an export.
    pub bare: Option<u64>,
    /// What the guest's own programs are told of the policy, as JSON.
    pub policy: String,
}

impl Caller {
    /// Whether a directory is the view's own, and on the host another of the same path.
    fn is_bare(&self, directory: &OwnedFd) -> Result<bool, Errno> {
        // SAFETY: stat is valid when zeroed, and lives through the call.
        let stat = unsafe {
            let mut stat: libc::stat = std::mem::zeroed();
            done(libc::fstat(directory.as_raw_fd(), &mut stat))?;
            stat
        };
        Ok(self.session.places.bare == Some(stat.st_dev))
    }

    /// Whoever hears of a program's end, or of its stop, finds on the guest's mount what it has changed by then. The change begins
    /// only here, for hostfs may rest as long as nobody waits for it.
    fn show_changes_of(&self, state: JobState) {
        if !matches!(state, JobState::None | JobState::Continued) {
            drop(self.session.change());
        }
    }

    /// The files that a call waits for. One that is not open is one for poll(2), too.
    fn awaited(&self, packed: Source<'_>) -> Result<Vec<libc::pollfd>, Errno> {
        let mut bytes = [0; MOST_AWAITED * 8];
        let len = packed.len();
        if len > bytes.len() || !len.is_multiple_of(8) {
            return Err(Errno(libc::EINVAL));
        }
        packed.copy_out(&mut bytes[..len]);
        let number = |bytes: &[u8]| bytes.try_into().map_or(0, i32::from_le_bytes);
        let file = |pair: &[u8]| libc::pollfd {
            // A number that no descriptor has: poll(2) passes over negative ones.
            fd: self
                .session
                .fds
                .get(RemoteFd(number(&pair[..4])))
                .unwrap_or(i32::MAX),
            events: number(&pair[4..]) as i16 & (libc::POLLIN | libc::POLLOUT),
            revents: 0,
        };
        Ok(bytes[..len].chunks_exact(8).map(file).collect())
    }

    /// Waits until a program runs; the reason why it does not is kept with its words.
    fn await_start(&self, job: u32, words: RawFd) -> Result<(), Errno> {
        let keep = |Refusal { errno, reason }| {
            self.session.scratches.with(|all| {
                if let Some(scratch) = all.get_mut(&words) {
                    scratch.refusal = reason;
                }
            });
            errno
        };
        self.session.starts.wait(job).map_err(keep)
    }

    /// Lets go of a job that has ended.
    fn let_go(&self, job: u32) -> Result<(), Errno> {
        let place = self.session.jobs.ended(job)?;
        // From here on the place may become another's.
        self.session.streams.take_back(place);
        // hostd, which has told of the end, has nothing to say against it. It hears this ahead of the session's own end.
        self.session
            .hostd
            .tell(&FromShadow::ForgetJob { job }, &[])?;
        self.session.jobs.forget(job);
        Ok(())
    }
}

/// A size as the kernel keeps it; what is too large for it is `EINVAL`.
fn size(numbers: [u32; 4]) -> Result<[u16; 4], Errno> {
    let mut size = [0; 4];
    for (short, number) in size.iter_mut().zip(numbers) {
        *short = u16::try_from(number).map_err(|_| Errno(libc::EINVAL))?;
    }
    Ok(size)
}

/// Files that one call waits for.
const MOST_AWAITED: usize = u32::BITS as usize;

/// Waits until some of them are ready, or not at all.
///
/// # Errors
/// ppoll(2): `EINTR` when a signal interrupts the thread.
fn poll(files: &mut [libc::pollfd], wait: bool) -> Result<(), Errno> {
    let now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let limit = if wait {
        std::ptr::null()
    } else {
        &raw const now
    };
    let len = files.len() as libc::nfds_t;
    // SAFETY: a live slice and its length; the limit is null or a live timespec.
    let polled = unsafe { libc::ppoll(files.as_mut_ptr(), len, limit, std::ptr::null()) };
    Errno::result(polled.into()).map(drop)
}

/// A name for hostd.
fn name(text: &CStr) -> Result<Vec<u8>, Errno> {
    match text.count_bytes() <= MOST_NAME {
        true => Ok(text.to_bytes().to_vec()),
        false => Err(Errno(libc::ENAMETOOLONG)),
    }
}

/// The beginning of a file of hostd's, at most as many bytes as fit and one more.
fn contents(file: Option<OwnedFd>, room: usize) -> Result<Vec<u8>, Errno> {
    let file = File::from(file.ok_or(Errno(libc::EIO))?);
    let mut bytes = vec![0; room + 1];
    let mut len = 0;
    loop {
        match file.read_at(&mut bytes[len..], len as u64) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) => return Err(Errno(error.raw_os_error().unwrap_or(libc::EIO))),
        }
    }
    bytes.truncate(len);
    Ok(bytes)
}

fn filled(sink: Sink<'_>, bytes: &[u8]) -> Filled {
    Filled(sink.fill(bytes).0)
}

impl ExecCalls for Caller {
    fn pipe(&mut self, request: request::Pipe) -> Result<reply::Pipe, Errno> {
        let flags = request.flags.0;
        if flags & !(libc::O_CLOEXEC | libc::O_NONBLOCK) != 0 {
            return Err(Errno(libc::EINVAL));
        }
        let mut ends = [-1; 2];
        // SAFETY: a live array of two.
        done(unsafe { libc::pipe2(ends.as_mut_ptr(), flags) })?;
        self.session.streams.add(&ends);
        let [reader, writer] = ends.map(|end| self.session.fds.insert(end));
        Ok(reply::Pipe { reader, writer })
    }

    fn scratch(&mut self, request: request::Scratch) -> Result<reply::Scratch, Errno> {
        let len = request.len;
        if !(1..=MOST_BYTES as u64).contains(&len) {
            return Err(Errno(libc::EINVAL));
        }
        let session = self.session;
        session.scratches.with(|all| {
            if all.len() >= MOST_SCRATCHES {
                return Err(Errno(libc::EMFILE));
            }
            if !session.board.take_scratch(session.slot, len) {
                return Err(Errno(libc::EAGAIN));
            }
            let give = |_: &Errno| session.board.give_scratch(session.slot, len);
            let file = memory(len).inspect_err(give)?.into_raw_fd();
            let refusal = None;
            all.insert(file, Scratch { len, refusal });
            Ok(reply::Scratch {
                fd: session.fds.insert(file),
            })
        })
    }

    fn take_pipe(&mut self, _: request::TakePipe) -> Result<reply::TakePipe, Errno> {
        let pipe = self.session.offered.take()?.into_raw_fd();
        Ok(reply::TakePipe {
            fd: self.session.fds.insert(pipe),
        })
    }

    fn pty_open(&mut self, request: request::PtyOpen) -> Result<reply::PtyOpen, Errno> {
        let request::PtyOpen {
            rows,
            columns,
            xpixels,
            ypixels,
        } = request;
        let size = size([rows, columns, xpixels, ypixels])?;
        let granted = self
            .session
            .hostd
            .ask(&FromShadow::Terminal { size }, &[])?;
        let master = granted.file.ok_or(Errno(libc::EIO))?.into_raw_fd();
        self.session.streams.add(&[master]);
        Ok(reply::PtyOpen {
            fd: self.session.fds.insert(master),
        })
    }

    fn pty_resize(&mut self, request: request::PtyResize) -> Result<reply::PtyResize, Errno> {
        let request::PtyResize {
            fd,
            rows,
            columns,
            xpixels,
            ypixels,
        } = request;
        let fd = self.session.fds.get(fd)?;
        let size = window_size(size([rows, columns, xpixels, ypixels])?);
        // SAFETY: reads a live winsize; what is no terminal answers ENOTTY.
        done(unsafe { libc::ioctl(fd, libc::TIOCSWINSZ, &raw const size) })?;
        Ok(reply::PtyResize {})
    }

    fn exec(&mut self, request: request::Exec) -> Result<reply::Exec, Errno> {
        let request::Exec {
            arguments,
            stdin,
            stdout,
            stderr,
            flags,
            beside,
        } = request;
        let (later, flags) = (flags & LATER != 0, flags & !LATER);
        let words = self.session.fds.get(arguments)?;
        if !self.session.scratches.holds(words)
            || ![0, CONTROLS, CONTROLS | BEHIND].contains(&flags)
        {
            return Err(Errno(libc::EINVAL));
        }
        let (starts, jobs) = (&self.session.starts, &self.session.jobs);
        match beside {
            0 => {}
            _ if flags != 0 => return Err(Errno(libc::EINVAL)),
            job if !jobs.holds(job) && !starts.holds(job) => return Err(Errno(libc::ESRCH)),
            _ => {}
        }
        // From here on another lane's write fails: what is judged is what is executed.
        let seals = libc::F_SEAL_WRITE | libc::F_SEAL_GROW | libc::F_SEAL_SHRINK;
        // SAFETY: plain system call.
        done(unsafe { libc::fcntl(words, libc::F_ADD_SEALS, seals) })?;
        let directory = working_directory()?;
        let bare = self.is_bare(&directory)?;
        let terminal = Terminal {
            controls: flags & CONTROLS != 0,
            behind: flags & BEHIND != 0,
        };
        let job = self.hand_on(|number| {
            let stream = |fd: RemoteFd| (fd != RemoteFd(-1)).then(|| number(fd)).transpose();
            let streams = [stream(stdin)?, stream(stdout)?, stream(stderr)?];
            let job = starts.begin(self.session.streams.hold(streams))?;
            let exec = FromShadow::Exec {
                job,
                umask: self.session.umask.load(Ordering::Relaxed),
                files: streams.map(|stream| stream.is_some()),
                terminal,
                bare,
                beside: (beside != 0).then_some(beside),
            };
            if let Some(follow) = &self.session.follow {
                follow.program_begins();
            }
            let fixed = [words, directory.as_raw_fd()].into_iter();
            let fds: Vec<RawFd> = fixed.chain(streams.into_iter().flatten()).collect();
            let told = self.session.hostd.tell(&exec, &fds);
            told.inspect_err(|_| starts.withdraw(job))?;
            Ok(job)
        })?;
        if !later {
            self.await_start(job, words)?;
        }
        Ok(reply::Exec { job })
    }

    fn started(&mut self, request: request::Started) -> Result<reply::Started, Errno> {
        // Words that have been closed take no reason, which is all that they are for here.
        let words = self.session.fds.get(request.arguments).unwrap_or(-1);
        self.await_start(request.job, words)?;
        Ok(reply::Started {})
    }

    fn refusal(&mut self, request: request::Refusal) -> Result<reply::Refusal, Errno> {
        let words = self.session.fds.get(request.arguments)?;
        let reason = self.session.scratches.with(|all| {
            let scratch = all.get(&words).ok_or(Errno(libc::EINVAL))?;
            Ok(scratch.refusal.clone().unwrap_or_default())
        })?;
        let len = reason.len().min(request.sink.len());
        Ok(reply::Refusal {
            filled: filled(request.sink, &reason.as_bytes()[..len]),
        })
    }

    fn wait(&mut self, request: request::Wait) -> Result<reply::Wait, Errno> {
        let state = self.session.jobs.wait(request.job, request.options)?;
        self.show_changes_of(state);
        Ok(reply::Wait { state })
    }

    fn await_job(&mut self, request: request::AwaitJob) -> Result<reply::AwaitJob, Errno> {
        let request::AwaitJob {
            job,
            options,
            files,
        } = request;
        let (lets_go, options) = (options & LET_GO != 0, options & !LET_GO);
        let jobs = &self.session.jobs;
        let bell = jobs.bell()?;
        let rung = libc::pollfd {
            fd: bell.fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        let mut files = [vec![rung], self.awaited(files)?].concat();
        loop {
            bell.reset();
            let state = jobs.wait(job, options | libc::WNOHANG)?;
            let waits = state == JobState::None && options & libc::WNOHANG == 0;
            // A change that has been taken is told whatever interrupts the look at the files.
            poll(&mut files, waits).or_else(|errno| if waits { Err(errno) } else { Ok(()) })?;
            let bit = |(at, file): (usize, &libc::pollfd)| u32::from(file.revents != 0) << at;
            let ready = files[1..].iter().enumerate().map(bit).sum();
            if !waits || ready != 0 {
                self.show_changes_of(state);
                if lets_go && jobs.ended(job).is_ok() {
                    // Without hostd nobody keeps it.
                    let _ = self.let_go(job);
                }
                return Ok(reply::AwaitJob { state, ready });
            }
        }
    }

    fn signal(&mut self, request: request::Signal) -> Result<reply::Signal, Errno> {
        let request::Signal { job, signal } = request;
        if !self.session.jobs.holds(job) {
            return Err(Errno(libc::ESRCH));
        }
        self.session
            .hostd
            .ask(&FromShadow::SignalJob { job, signal }, &[])?;
        Ok(reply::Signal {})
    }

    fn foreground(&mut self, request: request::Foreground) -> Result<reply::Foreground, Errno> {
        let request::Foreground { job, own } = request;
        if !self.session.jobs.holds(job) {
            return Err(Errno(libc::ESRCH));
        }
        let foreground = FromShadow::ForegroundJob { job, own: own != 0 };
        self.session.hostd.ask(&foreground, &[])?;
        Ok(reply::Foreground {})
    }

    fn forget(&mut self, request: request::Forget) -> Result<reply::Forget, Errno> {
        self.let_go(request.job)?;
        Ok(reply::Forget {})
    }

    fn enter_session(
        &mut self,
        request: request::EnterSession,
    ) -> Result<reply::EnterSession, Errno> {
        let name = name(request.name)?;
        let granted = self
            .session
            .hostd
            .ask(&FromShadow::EnterSession { name }, &[])?;
        // SAFETY: plain system calls, with NUL-terminated paths.
        unsafe {
            match &granted.file {
                Some(directory) => done(libc::fchdir(directory.as_raw_fd()))?,
                None => done(libc::chdir(self.session.places.home.as_ptr()))
                    .or_else(|_| done(libc::chdir(c"/".as_ptr())))?,
            }
        }
        Ok(reply::EnterSession {
            kept: granted.value,
        })
    }

    fn keep_session(&mut self, request: request::KeepSession) -> Result<reply::KeepSession, Errno> {
        let name = name(request.name)?;
        let directory = working_directory()?;
        let keep = FromShadow::KeepSession { name };
        self.session.hostd.ask(&keep, &[directory.as_raw_fd()])?;
        Ok(reply::KeepSession {})
    }

    fn exec_policy(&mut self, request: request::ExecPolicy) -> Result<reply::ExecPolicy, Errno> {
        let text = self.session.places.policy.as_bytes();
        if text.len() > request.sink.len() {
            return Err(Errno(libc::ERANGE));
        }
        Ok(reply::ExecPolicy {
            filled: filled(request.sink, text),
        })
    }

    fn complete(&mut self, request: request::Complete) -> Result<reply::Complete, Errno> {
        let text = name(request.text)?;
        let granted = self
            .session
            .hostd
            .ask(&FromShadow::Complete { text }, &[])?;
        let list = contents(granted.file, request.sink.len())?;
        // Whole names only.
        let room = &list[..list.len().min(request.sink.len())];
        let end = room
            .iter()
            .rposition(|byte| *byte == 0)
            .map_or(0, |end| end + 1);
        Ok(reply::Complete {
            filled: filled(request.sink, &room[..end]),
        })
    }
}
