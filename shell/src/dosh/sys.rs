//! System calls that the standard library has no safe form of: a shell works on descriptors by their numbers.
#![allow(unsafe_code)]

mod terminal;

pub use terminal::*;

use super::syntax::tree::Bytes;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{Error, ErrorKind, Result};
use std::os::fd::FromRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::OnceLock;

/// One more than the highest signal.
pub const SIGNALS: usize = 65;

/// Descriptors of the script's own use lie below.
pub const PRIVATE: i32 = 10;

static ANY: AtomicBool = AtomicBool::new(false);
static LISTENER: OnceLock<fn(i32)> = OnceLock::new();
static ARRIVED: [AtomicBool; SIGNALS] = [const { AtomicBool::new(false) }; SIGNALS];

fn checked(result: i32) -> Result<i32> {
    match result {
        -1 => Err(Error::last_os_error()),
        result => Ok(result),
    }
}

/// An error as messages tell it.
pub fn reason(error: Error) -> String {
    match error.raw_os_error() {
        Some(number) => nix::errno::Errno::from_raw(number).desc().to_owned(),
        None => error.to_string(),
    }
}

/// Forks; answers the child's id, or nothing in the child.
pub fn fork() -> Result<Option<i32>> {
    // SAFETY: the shell has one thread, so the child may do what the parent may.
    match checked(unsafe { libc::fork() })? {
        0 => Ok(None),
        child => Ok(Some(child)),
    }
}

/// Ends the process, without the parent's clean-up.
pub fn exit_now(status: i32) -> ! {
    // SAFETY: ends the process; nothing runs behind it.
    unsafe { libc::_exit(status) }
}

pub fn open(path: &[u8], flags: i32) -> Result<i32> {
    let path = CString::new(path).map_err(|_| Error::from(ErrorKind::InvalidInput))?;
    loop {
        // SAFETY: the path ends in a NUL and outlives the call.
        match checked(unsafe { libc::open(path.as_ptr(), flags, 0o666) }) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

pub fn close(fd: i32) {
    // SAFETY: the number comes from the script or was opened here; no owner of it exists in the program.
    unsafe { libc::close(fd) };
}

/// A descriptor that was made here, owned.
pub fn owned(fd: i32) -> File {
    // SAFETY: the number is nobody else's.
    unsafe { File::from_raw_fd(fd) }
}

/// A file without content that stands for one that is not here. Its duplicates are [`same`].
pub fn placeholder() -> Result<i32> {
    // SAFETY: the name is a constant that ends in a NUL.
    checked(unsafe {
        libc::memfd_create(c"stands for a pipe on the host".as_ptr(), libc::MFD_CLOEXEC)
    })
    .map(raise)
}

/// Which file it is.
pub fn identity(fd: i32) -> Option<(u64, u64)> {
    // SAFETY: all-zero is a valid place to be filled.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: the place outlives the call.
    let result = unsafe { libc::fstat(fd, &mut stat) };
    (result == 0).then_some((stat.st_dev, stat.st_ino))
}

/// Makes one number name what another does. The new one is inherited by programs.
pub fn duplicate_to(from: i32, to: i32) -> Result<()> {
    // SAFETY: no memory is concerned; both numbers are the script's.
    checked(unsafe { libc::dup2(from, to) }).map(|_| ())
}

/// Moves a descriptor to a number.
pub fn move_to(from: i32, to: i32) {
    if from != to {
        let _ = duplicate_to(from, to);
        close(from);
    } else {
        let _ = set_close_on_exec(to, false);
    }
}

/// Another number, not below the least, for the same open file.
pub fn duplicate_above(fd: i32, least: i32, close_on_exec: bool) -> Result<i32> {
    let command = match close_on_exec {
        true => libc::F_DUPFD_CLOEXEC,
        false => libc::F_DUPFD,
    };
    // SAFETY: no memory is concerned.
    checked(unsafe { libc::fcntl(fd, command, least) })
}

fn set_close_on_exec(fd: i32, on: bool) -> Result<()> {
    // SAFETY: no memory is concerned.
    checked(unsafe { libc::fcntl(fd, libc::F_SETFD, i32::from(on) * libc::FD_CLOEXEC) }).map(|_| ())
}

pub fn is_open(fd: i32) -> bool {
    // SAFETY: no memory is concerned.
    unsafe { libc::fcntl(fd, libc::F_GETFD) != -1 }
}

/// Whether programs would not inherit it: it is the shell's or a library's, and none that a script has opened.
pub fn is_internal(fd: i32) -> bool {
    // SAFETY: no memory is concerned.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
    flags != -1 && flags & libc::FD_CLOEXEC != 0
}

/// A pipe that programs do not inherit, above the script's own numbers: its end to read, its end to write.
pub fn pipe() -> Result<(i32, i32)> {
    let mut ends = [0; 2];
    // SAFETY: the array has room for both numbers.
    checked(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) })?;
    let [reader, writer] = ends.map(raise);
    Ok((reader, writer))
}

/// A pipe from which nothing comes, and whose readers do not wait for it: its end to read, its end to write.
pub fn silence() -> Result<(i32, i32)> {
    let mut ends = [0; 2];
    // SAFETY: the array has room for both numbers.
    checked(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) })?;
    let [reader, writer] = ends.map(raise);
    Ok((reader, writer))
}

/// The descriptor under a number above the script's own.
pub fn raise(fd: i32) -> i32 {
    if fd >= PRIVATE {
        return fd;
    }
    match duplicate_above(fd, PRIVATE, true) {
        Ok(raised) => {
            close(fd);
            raised
        }
        Err(_) => fd,
    }
}

/// A file without a name that holds the text, at its beginning.
pub fn file_of(text: &[u8]) -> Result<i32> {
    // SAFETY: the name is a constant that ends in a NUL.
    let fd = checked(unsafe { libc::memfd_create(c"here-document".as_ptr(), libc::MFD_CLOEXEC) })?;
    write_all(fd, text)?;
    // SAFETY: no memory is concerned.
    unsafe { libc::lseek(fd, 0, libc::SEEK_SET) };
    Ok(fd)
}

/// Moves the offset back by so many bytes; fails on what has none.
pub fn rewind(fd: i32, count: usize) -> bool {
    // SAFETY: no memory is concerned.
    unsafe { libc::lseek(fd, -(count as i64), libc::SEEK_CUR) != -1 }
}

/// Reads once.
pub fn read(fd: i32, buffer: &mut [u8]) -> Result<usize> {
    // SAFETY: the kernel writes at most the buffer's length.
    let count = unsafe { libc::read(fd, buffer.as_mut_ptr().cast(), buffer.len()) };
    match count {
        -1 => Err(Error::last_os_error()),
        count => Ok(count as usize),
    }
}

/// Reads once; a signal that was noted before interrupts as well as one that comes meanwhile.
pub fn read_unless_noted(fd: i32, buffer: &mut [u8]) -> Result<usize> {
    let mut poll = libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    };
    blocking_signals(|mask| {
        if any_arrived() {
            return Err(ErrorKind::Interrupted.into());
        }
        // SAFETY: one entry and the mask, which outlive the call.
        checked(unsafe { libc::ppoll(&mut poll, 1, std::ptr::null(), mask) })
    })?;
    read(fd, buffer)
}

/// Reads to the end. Signals do not end it.
pub fn read_all(fd: i32) -> Result<Bytes> {
    let mut text = Bytes::new();
    let mut buffer = [0; 8192];
    loop {
        match read(fd, &mut buffer) {
            Ok(0) => return Ok(text),
            Ok(count) => text.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

pub fn write_all(fd: i32, mut text: &[u8]) -> Result<()> {
    while !text.is_empty() {
        // SAFETY: the kernel reads at most the text's length.
        match unsafe { libc::write(fd, text.as_ptr().cast(), text.len()) } {
            -1 => {
                let error = Error::last_os_error();
                if error.kind() != ErrorKind::Interrupted {
                    return Err(error);
                }
            }
            written => text = &text[written as usize..],
        }
    }
    Ok(())
}

/// Waits for a change of a process, of one of a group (negative), or of any child (-1). Nothing if none has changed and
/// `WNOHANG` is given.
pub fn wait(pid: i32, flags: i32) -> Result<Option<(i32, i32)>> {
    let mut status = 0;
    // SAFETY: the status outlives the call.
    match checked(unsafe { libc::waitpid(pid, &mut status, flags) })? {
        0 => Ok(None),
        pid => Ok(Some((pid, status))),
    }
}

pub fn kill(pid: i32, signal: i32) -> Result<()> {
    // SAFETY: no memory is concerned.
    checked(unsafe { libc::kill(pid, signal) }).map(|_| ())
}

extern "C" fn note(signal: i32) {
    if let Some(arrived) = ARRIVED.get(signal as usize) {
        arrived.store(true, Ordering::Relaxed);
        ANY.store(true, Ordering::Release);
    }
    if let Some(listener) = LISTENER.get() {
        listener(signal);
    }
}

/// Has every noted signal told to a function, which runs in the signal's handler: it may do no more than system calls and atomics.
pub fn on_note(listener: fn(i32)) {
    let _ = LISTENER.set(listener);
}

/// What a signal does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    Default,
    Ignore,
    /// It is noted, for [`arrived`]; calls that wait are interrupted.
    Note,
}

pub fn set_signal(signal: i32, disposition: Disposition) {
    // SAFETY: an all-zero action is a valid one: the default, with an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = match disposition {
        Disposition::Default => libc::SIG_DFL,
        Disposition::Ignore => libc::SIG_IGN,
        Disposition::Note => note as extern "C" fn(i32) as libc::sighandler_t,
    };
    // SAFETY: the handler only stores into atomics.
    unsafe { libc::sigaction(signal, &action, std::ptr::null_mut()) };
}

pub fn is_ignored(signal: i32) -> bool {
    does(signal, libc::SIG_IGN)
}

pub fn is_default(signal: i32) -> bool {
    does(signal, libc::SIG_DFL)
}

fn does(signal: i32, handler: libc::sighandler_t) -> bool {
    // SAFETY: an all-zero action is a valid one, and is overwritten.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: the old action is written to a place that outlives the call.
    let result = unsafe { libc::sigaction(signal, std::ptr::null(), &mut action) };
    result == 0 && action.sa_sigaction == handler
}

static PIPE_IGNORED: AtomicBool = AtomicBool::new(false);

/// Runs before the language's runtime, which ignores SIGPIPE.
#[used]
#[link_section = ".init_array"]
static AT_ENTRY: extern "C" fn() = {
    extern "C" fn look() {
        PIPE_IGNORED.store(is_ignored(libc::SIGPIPE), Ordering::Relaxed);
    }
    look
};

/// Whether SIGPIPE was ignored when the process began.
pub fn pipe_was_ignored() -> bool {
    PIPE_IGNORED.load(Ordering::Relaxed)
}

/// Whether any noted signal waits.
pub fn any_arrived() -> bool {
    ANY.load(Ordering::Relaxed)
}

/// Whether this signal has been noted.
pub fn has_arrived(signal: i32) -> bool {
    ARRIVED[signal as usize].load(Ordering::Acquire)
}

/// Takes the noted signals, lowest first.
pub fn arrived() -> Vec<i32> {
    ANY.store(false, Ordering::Relaxed);
    let taken = |signal: &usize| ARRIVED[*signal].swap(false, Ordering::Acquire);
    (1..SIGNALS)
        .filter(taken)
        .map(|signal| signal as i32)
        .collect()
}

/// Runs with all signals blocked; given the mask with which to sleep.
pub fn blocking_signals<T>(run: impl FnOnce(&libc::sigset_t) -> T) -> T {
    // SAFETY: all-zero sets are valid places to be filled.
    let (mut all, mut old): (libc::sigset_t, libc::sigset_t) = unsafe { std::mem::zeroed() };
    // SAFETY: both sets outlive the calls.
    unsafe {
        libc::sigfillset(&mut all);
        libc::sigprocmask(libc::SIG_SETMASK, &all, &mut old);
    }
    let result = run(&old);
    // SAFETY: the set was filled above.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, &old, std::ptr::null_mut()) };
    result
}

/// Sleeps until a signal that the mask lets through.
pub fn sleep_with(mask: &libc::sigset_t) {
    // SAFETY: the mask is valid.
    unsafe { libc::sigsuspend(mask) };
}

pub fn set_group(pid: i32, group: i32) {
    // SAFETY: no memory is concerned.
    unsafe { libc::setpgid(pid, group) };
}

pub fn own_group() -> i32 {
    // SAFETY: no memory is concerned.
    unsafe { libc::getpgrp() }
}

pub fn is_regular(fd: i32) -> bool {
    // SAFETY: all-zero is a valid place to be filled.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: the place outlives the call.
    let result = unsafe { libc::fstat(fd, &mut stat) };
    result == 0 && stat.st_mode & libc::S_IFMT == libc::S_IFREG
}

/// A number as C's `printf` writes it, by a conversion that takes a `double`.
pub fn format_double(conversion: &CStr, value: f64) -> Bytes {
    let mut text = vec![0u8; 512];
    loop {
        // SAFETY: the conversion ends in a NUL and takes one double; at most the buffer's length is written.
        let length = unsafe {
            libc::snprintf(
                text.as_mut_ptr().cast(),
                text.len(),
                conversion.as_ptr(),
                value,
            )
        };
        let length = usize::try_from(length).unwrap_or(0);
        if length < text.len() {
            text.truncate(length);
            return text;
        }
        text.resize(length + 1, 0);
    }
}

/// Whether there is something to read within so many milliseconds.
pub fn readable(fd: i32, milliseconds: i32) -> bool {
    let mut poll = libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one entry, which outlives the call.
    unsafe { libc::poll(&mut poll, 1, milliseconds) > 0 }
}

pub fn umask(mask: u32) -> u32 {
    // SAFETY: no memory is concerned.
    unsafe { libc::umask(mask) }
}

/// A resource's soft and hard limit.
pub fn limit(resource: u32) -> Result<(u64, u64)> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the limit outlives the call.
    checked(unsafe { libc::getrlimit(resource, &mut limit) })?;
    Ok((limit.rlim_cur, limit.rlim_max))
}

pub fn set_limit(resource: u32, soft: u64, hard: u64) -> Result<()> {
    let limit = libc::rlimit {
        rlim_cur: soft,
        rlim_max: hard,
    };
    // SAFETY: the limit outlives the call.
    checked(unsafe { libc::setrlimit(resource, &limit) }).map(|_| ())
}

/// Whether the process may do this (`R_OK` and its like) with the file, as its effective user.
pub fn may(path: &[u8], how: i32) -> bool {
    let Ok(path) = CString::new(path) else {
        return false;
    };
    // SAFETY: the path ends in a NUL and outlives the call.
    unsafe { libc::faccessat(libc::AT_FDCWD, path.as_ptr(), how, libc::AT_EACCESS) == 0 }
}

/// Processor time in clock ticks: own user and system, children's user and system.
pub fn times() -> [f64; 4] {
    let usage = |who| {
        // SAFETY: all-zero is a valid place to be filled.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: the place outlives the call.
        unsafe { libc::getrusage(who, &mut usage) };
        let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
        [seconds(usage.ru_utime), seconds(usage.ru_stime)]
    };
    let ([a, b], [c, d]) = (usage(libc::RUSAGE_SELF), usage(libc::RUSAGE_CHILDREN));
    [a, b, c, d]
}

/// Has SIGALRM come in so many seconds; 0 takes it back.
pub fn alarm(seconds: u32) {
    // SAFETY: no memory is concerned.
    unsafe { libc::alarm(seconds) };
}

/// Has SIGPROF come after each so many milliseconds that the processor works for this process; 0 takes it back.
pub fn tell_of_work(milliseconds: u32) {
    let time = libc::timeval {
        tv_sec: 0,
        tv_usec: i64::from(milliseconds) * 1000,
    };
    let timer = libc::itimerval {
        it_interval: time,
        it_value: time,
    };
    // SAFETY: the timer outlives the call, and the old one is not asked for.
    unsafe { libc::setitimer(libc::ITIMER_PROF, &timer, std::ptr::null_mut()) };
}

/// Takes the numbers that scripts mean, as far as they are free: what a library opens in the meantime lies above.
pub fn reserve() -> Vec<i32> {
    let free = (3..PRIVATE).filter(|fd| !is_open(*fd));
    let taken = free.map_while(|fd| duplicate_above(0, fd, true).ok());
    taken.collect()
}

pub fn release(reserved: Vec<i32>) {
    for fd in reserved {
        close(fd);
    }
}
