//! Where a report or a trace goes: a file, or standard error by a descriptor of its own, which the program cannot close.
#![allow(unsafe_code)]

use crate::real::{kernel, try_sys};
use crate::{fds, materialise, report};
use hostcall::types::Errno;
use libc::c_int;
use std::sync::atomic::{AtomicI32, Ordering};
use syscalls::Sysno;

/// A destination; nothing is written before it is opened.
pub struct Output(AtomicI32);

/// Of the report.
pub static REPORT: Output = Output::closed();
/// Of the trace.
pub static TRACE: Output = Output::closed();

const CLOSED: c_int = -1;
/// Standard error is a host file, and there is no mount to have it on.
const OF_HOST: c_int = -2;

/// Whether a descriptor is one of the two.
pub fn owns(fd: c_int) -> bool {
    [&REPORT, &TRACE]
        .map(|output| output.0.load(Ordering::Relaxed))
        .contains(&fd)
}

impl Output {
    const fn closed() -> Output {
        Output(AtomicI32::new(CLOSED))
    }

    /// Opens what a setting names; whether that is anything. A value that cannot be meant is told of.
    pub fn open(&self, setting: &str, value: &[u8]) -> bool {
        let opened = match value {
            b"" | b"0" => return false,
            b"1" | b"stderr" => standard_error(),
            [b'/', ..] => file(value),
            _ => Err(Errno(libc::EINVAL)),
        };
        match opened {
            Ok(fd) => {
                fds::touch();
                self.0.store(fd, Ordering::Relaxed);
            }
            // Closed: nobody wants to read it.
            Err(Errno(libc::EBADF)) => return false,
            Err(errno) => {
                report::say(&format_args!(
                    "{setting} names `{}`, which cannot be written ({}); set it to an absolute path or to `stderr`",
                    value.escape_ascii(),
                    super::trace::Name(errno)
                ));
                return false;
            }
        }
        true
    }

    /// Writes in one piece, which goes to the end of a file.
    pub fn write(&self, bytes: &[u8]) {
        match self.0.load(Ordering::Relaxed) {
            CLOSED => {}
            OF_HOST => {
                if let Some(remote) = fds::host(2) {
                    report::put_on_host(remote, bytes);
                }
            }
            fd => report::put(fd, bytes),
        }
    }
}

fn standard_error() -> Result<c_int, Errno> {
    match fds::host(2) {
        Some(remote) => Ok(materialise::open(remote)
            .and_then(hostcall::attach::out_of_the_way)
            .unwrap_or(OF_HOST)),
        None => {
            // SAFETY: plain system call.
            let fd = unsafe { try_sys!(Sysno::fcntl, 2, libc::F_DUPFD_CLOEXEC, 3) }?;
            hostcall::attach::out_of_the_way(fd as c_int)
        }
    }
}

fn file(path: &[u8]) -> Result<c_int, Errno> {
    let mut room = [0u8; libc::PATH_MAX as usize];
    let text = room
        .get_mut(..path.len())
        .ok_or(Errno(libc::ENAMETOOLONG))?;
    text.copy_from_slice(path);
    if path.len() == room.len() {
        return Err(Errno(libc::ENAMETOOLONG));
    }
    let flags = libc::O_WRONLY | libc::O_APPEND | libc::O_CREAT | libc::O_CLOEXEC | libc::O_NOCTTY;
    // SAFETY: NUL-terminated, for the text is shorter than its zeroed room.
    let fd = kernel(unsafe {
        syscalls::raw_syscall!(Sysno::openat, libc::AT_FDCWD, room.as_ptr(), flags, 0o666)
    })?;
    hostcall::attach::out_of_the_way(fd as c_int)
}
