//! `HOSTCALL_TRACE`: a line for each hooked call that concerned the host.
#![allow(unsafe_code)]

use super::output::TRACE;
use super::Answer;
use crate::real::{try_sys, Function};
use crate::report::Line;
use crate::symbols::Row;
use hostcall::types::Errno;
use libc::{c_char, c_int};
use std::ffi::CStr;
use std::fmt::{self, Write};
use syscalls::Sysno;

/// An errno by its name, such as `ENOENT`, found without allocation.
pub struct Name(pub Errno);

type Named = unsafe extern "C" fn(c_int) -> *const c_char;
static NAMED: Function = Function::new();
const NAME: &CStr = c"strerrorname_np";

/// Looks up what a trace needs of libc, so that a signal handler does not.
pub fn resolve() {
    // SAFETY: the function's type.
    unsafe { NAMED.next::<Named>(NAME) };
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.0 .0;
        // SAFETY: the function's type; it answers null or a string that is never freed.
        let name = unsafe {
            let name = NAMED
                .next::<Named>(NAME)
                .map_or(std::ptr::null(), |named| named(number));
            (!name.is_null()).then(|| CStr::from_ptr(name))
        };
        match name.and_then(|name| name.to_str().ok()) {
            Some(name) => f.write_str(name),
            None => write!(f, "errno {number}"),
        }
    }
}

/// What a hook answered, and errno behind it.
pub struct Answered<'a>(pub &'a dyn Answer, pub Errno);

impl fmt::Display for Answered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.show(self.1, f)
    }
}

/// `PID TID SYMBOL: host calls -> answer, time`.
pub fn line(row: Row, calls: &[u8], answer: &dyn fmt::Display, nanoseconds: u64) {
    let mut line = Line::<2048>::new();
    // SAFETY: plain system calls.
    let (process, thread) = unsafe { (try_sys!(Sysno::getpid), try_sys!(Sysno::gettid)) };
    let (process, thread) = (process.unwrap_or(0), thread.unwrap_or(0));
    let _ = write!(line, "{process} {thread} {}: ", row.name());
    // The calls are shown with all names escaped; what is cut is cut between two letters.
    let text = match std::str::from_utf8(calls) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&calls[..error.valid_up_to()]).unwrap_or_default(),
    };
    let cut = if calls.len() == super::TEXT {
        " …"
    } else {
        ""
    };
    let (micros, rest) = (nanoseconds / 1000, nanoseconds % 1000 / 100);
    let _ = writeln!(line, "{text}{cut} -> {answer}, {micros}.{rest} µs");
    TRACE.write(line.bytes());
}
