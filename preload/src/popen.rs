//! popen(3) and pclose(3): libc starts the shell past any hook, so where it is to inherit something of the host it is
//! started here, and the stream is an ordinary one on the pipe's end.
#![allow(unsafe_code)]

use crate::real::{errno, finish, shims, try_sys};
use crate::shims::libio::File;
use crate::spawn::{shell, shell_concerns_us, Action};
use crate::symbols::own;
use hostcall::types::Errno;
use libc::{c_char, c_int, pid_t};
use std::ffi::CStr;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicI32, AtomicPtr, Ordering};
use syscalls::Sysno;

extern "C" {
    fn fwide(stream: *mut File, mode: c_int) -> c_int;
}

/// Streams of this kind that a process may have at a time; a shell beyond that inherits nothing of the host.
const MOST: usize = 64;

/// The open streams. A place is taken by its process, and found by its stream.
struct Piped {
    /// 0: free. Negative: being set up.
    process: AtomicI32,
    stream: AtomicPtr<File>,
    /// The number of the stream, which later shells close.
    fd: AtomicI32,
}

static STREAMS: [Piped; MOST] = [const {
    Piped {
        process: AtomicI32::new(0),
        stream: AtomicPtr::new(null_mut()),
        fd: AtomicI32::new(-1),
    }
}; MOST];

impl Piped {
    fn take() -> Option<&'static Piped> {
        let free = |piped: &&Piped| {
            let exchanged =
                piped
                    .process
                    .compare_exchange(0, -1, Ordering::AcqRel, Ordering::Relaxed);
            exchanged.is_ok()
        };
        STREAMS.iter().find(free)
    }

    fn of(stream: *mut File) -> Option<&'static Piped> {
        let same = |piped: &&Piped| {
            piped.process.load(Ordering::Acquire) > 0
                && piped.stream.load(Ordering::Acquire) == stream
        };
        STREAMS.iter().find(same)
    }

    fn give_back(&self) {
        self.stream.store(null_mut(), Ordering::Release);
        self.fd.store(-1, Ordering::Release);
        self.process.store(0, Ordering::Release);
    }
}

/// What the mode says: whether the stream is read, and whether its number is close-on-exec.
fn parse(mode: &[u8]) -> Result<(bool, bool), Errno> {
    let has = |wanted: u8| mode.contains(&wanted);
    let known = mode.iter().all(|byte| b"rwe".contains(byte));
    match known && has(b'r') != has(b'w') {
        true => Ok((has(b'r'), has(b'e'))),
        false => Err(Errno(libc::EINVAL)),
    }
}

/// # Safety
/// `command` is a C string.
unsafe fn start(piped: &Piped, command: *const c_char, mode: &[u8]) -> Result<*mut File, Errno> {
    let (reads, cloexec) = parse(mode)?;
    let mut ends = [0 as c_int; 2];
    crate::fds::release_reserved();
    // SAFETY: two live integers.
    unsafe { try_sys!(Sysno::pipe2, ends.as_mut_ptr(), libc::O_CLOEXEC) }?;
    let (ours, its, stream_of_shell, kind) = match reads {
        true => (ends[0], ends[1], 1, c"r"),
        false => (ends[1], ends[0], 0, c"w"),
    };
    let mut actions = [const { Action::close(-1) }; MOST + 1];
    // As POSIX has it, the streams of earlier calls are closed in the new shell; the pipe's own ends are by its exec.
    let others = STREAMS.iter().map(|other| other.fd.load(Ordering::Acquire));
    let mut count = 0;
    for fd in others.filter(|fd| *fd >= 0) {
        actions[count] = Action::close(fd);
        count += 1;
    }
    actions[count] = Action::duplicate(its, stream_of_shell);
    let actions = &actions[..=count];
    // SAFETY: the caller's promise; the numbers are this function's own.
    unsafe {
        let started = shell(command, actions, std::ptr::null());
        let _ = try_sys!(Sysno::close, its);
        let stream = started.and_then(|process| match own::fdopen(ours, kind.as_ptr()) {
            stream if stream.is_null() => Err(errno()),
            stream => {
                // As POSIX has it, of bytes.
                fwide(stream, -1);
                Ok((process, stream))
            }
        });
        let (process, stream) = stream.inspect_err(|_| {
            let _ = try_sys!(Sysno::close, ours);
        })?;
        if !cloexec {
            let _ = try_sys!(Sysno::fcntl, ours, libc::F_SETFD, 0);
        }
        // One that was closed by fclose(3), without a wait.
        if let Some(stale) = Piped::of(stream) {
            stale.give_back();
        }
        piped.stream.store(stream, Ordering::Release);
        piped.fd.store(ours, Ordering::Release);
        piped.process.store(process, Ordering::Release);
        Ok(stream)
    }
}

/// Waits for the process, which is no cancellation point; its status.
fn wait(process: pid_t) -> Result<c_int, Errno> {
    let mut status: c_int = 0;
    loop {
        // SAFETY: a live variable.
        match unsafe { try_sys!(Sysno::wait4, process, &raw mut status, 0, 0) } {
            Err(Errno(libc::EINTR)) => {}
            Err(errno) => return Err(errno),
            Ok(_) => return Ok(status),
        }
    }
}

shims! {
    fn popen(command: *const c_char, mode: *const c_char) -> *mut File {
        match shell_concerns_us().then(Piped::take).flatten() {
            None => own::popen(command, mode),
            Some(piped) => {
                let started = start(piped, command, CStr::from_ptr(mode).to_bytes());
                if started.is_err() {
                    piped.give_back();
                }
                finish(started)
            }
        }
    }

    fn pclose(stream: *mut File) -> c_int {
        let Some(piped) = Piped::of(stream) else {
            return own::pclose(stream);
        };
        let process = piped.process.load(Ordering::Acquire);
        piped.give_back();
        libc::fclose(stream.cast());
        finish(wait(process))
    }
}
