//! Host programs as a program starts its own: fork and exec, waitid and kill.

use super::{done, Libc};
use crate::launch::LATER;
use hostcall::ops::{reply, request, ExecCalls};
use hostcall::types::{Errno, JobState, RemoteFd, LET_GO};
use hostcall::wire::Filled;
use hostd::exec::words;
use std::collections::{HashMap, HashSet};
use std::ffi::{c_int, CString, OsStr};
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// From `asm-generic/ioctls.h`.
const TIOCGPTPEER: libc::c_ulong = 0x5441;

/// What has been started, and the named sessions.
#[derive(Debug, Default)]
pub(super) struct Programs {
    by_job: HashMap<u32, i32>,
    last: u32,
    /// Those that were started with the flag [`LATER`] and not asked for yet.
    on_their_way: HashSet<u32>,
    sessions: HashMap<CString, std::path::PathBuf>,
}

/// Changes a child's state: end, stop or continuation.
fn state(pid: i32, options: c_int) -> Result<JobState, Errno> {
    // The end stays to be seen again; the others are taken.
    let once = |what: c_int| -> Result<JobState, Errno> {
        // SAFETY: a siginfo is valid when zeroed, and lives through the call.
        let info = unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            done(libc::waitid(libc::P_PID, pid as u32, &mut info, what))?;
            info
        };
        // SAFETY: filled by waitid, or zero.
        let status = unsafe { info.si_status() } as u8;
        Ok(match info.si_code {
            libc::CLD_EXITED => JobState::Exited(status),
            libc::CLD_KILLED => JobState::Signalled {
                signal: status,
                core: false,
            },
            libc::CLD_DUMPED => JobState::Signalled {
                signal: status,
                core: true,
            },
            libc::CLD_STOPPED => JobState::Stopped(status),
            libc::CLD_CONTINUED => JobState::Continued,
            _ => JobState::None,
        })
    };
    let nohang = options & libc::WNOHANG;
    let asked = options & (libc::WUNTRACED | libc::WCONTINUED);
    let waited = once(libc::WEXITED | libc::WNOWAIT | asked | nohang)?;
    if matches!(waited, JobState::Stopped(_) | JobState::Continued) {
        return once(asked | libc::WNOHANG);
    }
    Ok(waited)
}

fn stream(fd: RemoteFd) -> Result<Stdio, Errno> {
    if fd.0 == -1 {
        return Ok(Stdio::null());
    }
    // SAFETY: plain calls; the descriptors that come back are ours.
    unsafe {
        let peer = libc::ioctl(
            fd.0,
            TIOCGPTPEER,
            libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC,
        );
        if peer >= 0 {
            return Ok(OwnedFd::from_raw_fd(peer).into());
        }
        done(libc::fcntl(fd.0, libc::F_GETFD))?;
        let copy = BorrowedFd::borrow_raw(fd.0).try_clone_to_owned();
        copy.map(Stdio::from).map_err(|_| Errno(libc::EBADF))
    }
}

fn size(request: [u32; 4]) -> libc::winsize {
    let [ws_row, ws_col, ws_xpixel, ws_ypixel] = request.map(|number| number as u16);
    libc::winsize {
        ws_row,
        ws_col,
        ws_xpixel,
        ws_ypixel,
    }
}

impl Libc<'_> {
    fn pid(&self, job: u32, missing: c_int) -> Result<i32, Errno> {
        let programs = self.0.programs.borrow();
        programs.by_job.get(&job).copied().ok_or(Errno(missing))
    }
}

impl ExecCalls for Libc<'_> {
    fn pipe(&mut self, request: request::Pipe) -> Result<reply::Pipe, Errno> {
        let mut ends = [-1; 2];
        // SAFETY: a live array of two.
        done(unsafe { libc::pipe2(ends.as_mut_ptr(), request.flags.0) })?;
        let [reader, writer] = ends.map(RemoteFd);
        Ok(reply::Pipe { reader, writer })
    }

    fn scratch(&mut self, request: request::Scratch) -> Result<reply::Scratch, Errno> {
        if !(1..=words::MOST_BYTES as u64).contains(&request.len) {
            return Err(Errno(libc::EINVAL));
        }
        let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
        // SAFETY: a NUL-terminated name; plain calls.
        unsafe {
            let fd = Errno::result(libc::memfd_create(c"words".as_ptr(), flags).into())? as i32;
            done(libc::ftruncate(fd, request.len as i64))?;
            done(libc::fcntl(
                fd,
                libc::F_ADD_SEALS,
                libc::F_SEAL_GROW | libc::F_SEAL_SHRINK,
            ))?;
            Ok(reply::Scratch { fd: RemoteFd(fd) })
        }
    }

    fn take_pipe(&mut self, _: request::TakePipe) -> Result<reply::TakePipe, Errno> {
        Err(Errno(libc::EAGAIN))
    }

    fn pty_open(&mut self, request: request::PtyOpen) -> Result<reply::PtyOpen, Errno> {
        let request::PtyOpen {
            rows,
            columns,
            xpixels,
            ypixels,
        } = request;
        let size = size([rows, columns, xpixels, ypixels]);
        // SAFETY: plain calls, and a live winsize.
        unsafe {
            let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
            let fd = Errno::result(libc::posix_openpt(flags).into())? as i32;
            done(libc::unlockpt(fd))?;
            done(libc::ioctl(fd, libc::TIOCSWINSZ, &raw const size))?;
            Ok(reply::PtyOpen { fd: RemoteFd(fd) })
        }
    }

    fn pty_resize(&mut self, request: request::PtyResize) -> Result<reply::PtyResize, Errno> {
        let request::PtyResize {
            fd,
            rows,
            columns,
            xpixels,
            ypixels,
        } = request;
        let size = size([rows, columns, xpixels, ypixels]);
        // SAFETY: a live winsize.
        done(unsafe { libc::ioctl(fd.0, libc::TIOCSWINSZ, &raw const size) })?;
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
        if beside != 0 {
            // A session that another process leads cannot be joined.
            return Err(Errno(libc::ENOSYS));
        }
        let seals = libc::F_SEAL_WRITE;
        // SAFETY: plain call.
        done(unsafe { libc::fcntl(arguments.0, libc::F_ADD_SEALS, seals) })?;
        let mut bytes = vec![0; words::MOST_BYTES];
        // SAFETY: a live buffer.
        let read = unsafe { libc::pread(arguments.0, bytes.as_mut_ptr().cast(), bytes.len(), 0) };
        done(read as i64)?;
        let words = words::parse(&bytes)?;
        let text = |word: &CString| OsStr::from_bytes(word.as_bytes()).to_owned();
        let mut command = Command::new(text(&words.arguments[0]));
        command.args(words.arguments[1..].iter().map(text));
        for variable in words.offered.iter().filter_map(|word| word.to_str().ok()) {
            if let Some((name @ ("TERM" | "LANG"), value)) = variable.split_once('=') {
                command.env(name, value);
            }
        }
        command
            .stdin(stream(stdin)?)
            .stdout(stream(stdout)?)
            .stderr(stream(stderr)?);
        // SAFETY: system calls alone between fork and exec.
        unsafe {
            command.pre_exec(move || {
                nix::unistd::setsid()?;
                match flags & !LATER {
                    0 => Ok(()),
                    _ => done(libc::ioctl(0, libc::TIOCSCTTY, 0))
                        .map_err(|errno| std::io::Error::from_raw_os_error(errno.0)),
                }
            });
        }
        let child = command.spawn();
        let child = child.map_err(|error| Errno(error.raw_os_error().unwrap_or(libc::EIO)))?;
        let mut programs = self.0.programs.borrow_mut();
        programs.last += 1;
        let job = programs.last;
        programs.by_job.insert(job, child.id() as i32);
        if flags & LATER != 0 {
            programs.on_their_way.insert(job);
        }
        Ok(reply::Exec { job })
    }

    fn started(&mut self, request: request::Started) -> Result<reply::Started, Errno> {
        // No case starts a program in this way that does not run.
        let mut programs = self.0.programs.borrow_mut();
        match programs.on_their_way.remove(&request.job) {
            true => Ok(reply::Started {}),
            false => Err(Errno(libc::ESRCH)),
        }
    }

    fn wait(&mut self, request: request::Wait) -> Result<reply::Wait, Errno> {
        let state = state(self.pid(request.job, libc::ECHILD)?, request.options)?;
        Ok(reply::Wait { state })
    }

    fn await_job(&mut self, request: request::AwaitJob<'_>) -> Result<reply::AwaitJob, Errno> {
        let mut packed = vec![0; request.files.len()];
        request.files.copy_out(&mut packed);
        let number = |bytes: &[u8]| i32::from_le_bytes(bytes.try_into().expect("four bytes"));
        let file = |pair: &[u8]| libc::pollfd {
            fd: number(&pair[..4]),
            events: number(&pair[4..]) as i16,
            revents: 0,
        };
        if !packed.len().is_multiple_of(8) || packed.len() > 32 * 8 {
            return Err(Errno(libc::EINVAL));
        }
        let mut files: Vec<libc::pollfd> = packed.chunks_exact(8).map(file).collect();
        let pid = self.pid(request.job, libc::ECHILD)?;
        let waits = request.options & libc::WNOHANG == 0;
        let options = request.options & !LET_GO | libc::WNOHANG;
        loop {
            let state = state(pid, options)?;
            // No call of libc's waits for both, so one looks at the other every ten milliseconds.
            let limit = if waits && state == JobState::None {
                10
            } else {
                0
            };
            // SAFETY: live pollfds, and how many they are.
            done(unsafe { libc::poll(files.as_mut_ptr(), files.len() as u64, limit) })?;
            let bit = |(at, file): (usize, &libc::pollfd)| u32::from(file.revents != 0) << at;
            let ready = files.iter().enumerate().map(bit).sum();
            if !waits || state != JobState::None || ready != 0 {
                if request.options & LET_GO != 0 {
                    let _ = self.forget(request::Forget { job: request.job });
                }
                return Ok(reply::AwaitJob { state, ready });
            }
        }
    }

    fn signal(&mut self, request: request::Signal) -> Result<reply::Signal, Errno> {
        let pid = self.pid(request.job, libc::ESRCH)?;
        // SAFETY: plain call.
        done(unsafe { libc::kill(-pid, request.signal) })?;
        Ok(reply::Signal {})
    }

    fn foreground(&mut self, request: request::Foreground) -> Result<reply::Foreground, Errno> {
        // No case moves a program that has a terminal: here none has a parent in its session, and so none would stop.
        self.pid(request.job, libc::ESRCH)?;
        Ok(reply::Foreground {})
    }

    fn forget(&mut self, request: request::Forget) -> Result<reply::Forget, Errno> {
        let pid = self.pid(request.job, libc::ECHILD)?;
        if state(pid, libc::WNOHANG)? == JobState::None {
            return Err(Errno(libc::EBUSY));
        }
        // SAFETY: plain call.
        done(unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) })?;
        self.0.programs.borrow_mut().by_job.remove(&request.job);
        Ok(reply::Forget {})
    }

    fn enter_session(
        &mut self,
        request: request::EnterSession<'_>,
    ) -> Result<reply::EnterSession, Errno> {
        let programs = self.0.programs.borrow();
        let directory = programs.sessions.get(request.name);
        let home = nix::unistd::User::from_uid(nix::unistd::geteuid());
        let home = home.ok().flatten().map_or("/".into(), |user| user.dir);
        let to = directory.unwrap_or(&home);
        std::env::set_current_dir(to)
            .or_else(|_| std::env::set_current_dir("/"))
            .map_err(|_| Errno::last())?;
        Ok(reply::EnterSession {
            kept: directory.is_some().into(),
        })
    }

    fn keep_session(
        &mut self,
        request: request::KeepSession<'_>,
    ) -> Result<reply::KeepSession, Errno> {
        let directory = std::env::current_dir().map_err(|_| Errno::last())?;
        let mut programs = self.0.programs.borrow_mut();
        programs.sessions.insert(request.name.to_owned(), directory);
        Ok(reply::KeepSession {})
    }

    fn exec_policy(&mut self, _: request::ExecPolicy<'_>) -> Result<reply::ExecPolicy, Errno> {
        // There is none, and no case has room for one.
        Err(Errno(libc::ERANGE))
    }

    fn refusal(&mut self, request: request::Refusal<'_>) -> Result<reply::Refusal, Errno> {
        // SAFETY: plain system call. Only a memory file has seals; what else is open is EINVAL.
        Errno::result(unsafe { libc::fcntl(request.arguments.0, libc::F_GET_SEALS) }.into())?;
        // Nobody refuses anything here.
        Ok(reply::Refusal { filled: Filled(0) })
    }

    fn complete(&mut self, _: request::Complete<'_>) -> Result<reply::Complete, Errno> {
        // No case asks for names that exist.
        Ok(reply::Complete { filled: Filled(0) })
    }
}
