//! A session that is asked for as the program starts, because it will hardly do without one: an argument names a host file, or the image
//! before has handed a session over. The host wakes and makes ready while the program goes through its own start, instead of being
//! waited for at the first call.
//!
//! A program that then makes none is not to notice: no host is waited for or missed here, the descriptor is out of its way as
//! any of the library's own, and by the end of the process or its image the host has the session back.
#![allow(unsafe_code)]

use crate::environment::entries;
use crate::route::Prefix;
use hostcall::attach::{AttachError, Attaching};
use hostcall::client::{Asked, Client, Options};
use hostcall::ops::Calls;
use hostcall::types::{Errno, Mode};
use libc::{c_char, c_int};
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicI32, Ordering};

/// Arguments that are looked at: names of files come first or last, and there may be thousands.
const LOOKED_AT: usize = 64;

/// The session that was asked for and not received yet.
struct Cell(UnsafeCell<Option<Asked>>);
// SAFETY: touched by the constructor before other threads exist, and afterwards by whoever may begin a session, one at a time.
unsafe impl Sync for Cell {}
static ASKED: Cell = Cell(UnsafeCell::new(None));

/// Its descriptor, -1 for none.
static FD: AtomicI32 = AtomicI32::new(-1);

/// Whether a program with these arguments is likely to need a session of its own.
///
/// # Safety
/// As for [`entries`].
pub unsafe fn is_likely(prefix: &Prefix, arguments: *const *const c_char) -> bool {
    // SAFETY: getauxval(3) has no preconditions; the caller's promise.
    unsafe {
        let mut given = entries(arguments).skip(1).take(LOOKED_AT);
        given.any(|argument| names_host(prefix, argument.to_bytes()))
            && libc::getauxval(libc::AT_SECURE) == 0
    }
}

/// Whether an argument is a path into the prefix, or has one after an equals sign.
fn names_host(prefix: &Prefix, argument: &[u8]) -> bool {
    let equals = argument.iter().position(|&byte| byte == b'=');
    prefix.holds(argument) || equals.is_some_and(|at| prefix.holds(&argument[at + 1..]))
}

/// Asks for a session.
///
/// # Safety
/// From the constructor only.
pub unsafe fn ask(options: Options) {
    let asked = Asked::begin(options);
    // SAFETY: the caller's promise: nobody else has it.
    unsafe { *ASKED.0.get() = asked };
    // SAFETY: as above.
    let asked = unsafe { (*ASKED.0.get()).as_ref() };
    FD.store(asked.map_or(-1, Asked::fd), Ordering::Relaxed);
}

/// Whether `fd` belongs to it.
pub fn owns(fd: c_int) -> bool {
    fd >= 0 && FD.load(Ordering::Relaxed) == fd
}

/// What was asked for, if anything is left of it.
///
/// # Safety
/// One thread at a time.
unsafe fn take() -> Option<Asked> {
    if FD.load(Ordering::Relaxed) == -1 {
        return None;
    }
    // SAFETY: the caller's promise.
    let asked = unsafe { (*ASKED.0.get()).take() };
    FD.store(-1, Ordering::Relaxed);
    asked.and_then(Asked::untouched)
}

/// What came of asking, if that settles how a session is begun in a place.
///
/// # Safety
/// One thread at a time.
pub unsafe fn receive<'p>(
    place: &'p mut MaybeUninit<Client>,
    options: &Options,
    attaching: &mut dyn Attaching,
) -> Option<Result<&'p mut Client, AttachError>> {
    // SAFETY: the caller's promise.
    let asked = unsafe { take() }?;
    let asked_for = *asked.options();
    if asked_for.resume != options.resume {
        return None;
    }
    attaching.meanwhile();
    match asked.receive_in(place, attaching) {
        // A session that is begun sees the guest's exports as they are.
        Ok(client) if options.resume.is_none() && client.view_is_outdated() => {
            // SAFETY: nobody else knows the client.
            unsafe { client.abandon() };
            None
        }
        Ok(client) => {
            if asked_for.umask != options.umask {
                let _ = client.umask(Mode(options.umask));
            }
            Some(Ok(client))
        }
        // It has been waited for long enough.
        Err(error @ AttachError::NoAnswer(_, Errno(libc::EAGAIN))) => Some(Err(error)),
        // The host may have been started anew, or have room again.
        Err(_) => None,
    }
}

/// Gives back what was asked for; in a child, its own share of it.
///
/// # Safety
/// One thread at a time.
pub unsafe fn give_back() {
    // SAFETY: the caller's promise.
    drop(unsafe { take() });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_into_the_prefix_are_seen() {
        let prefix = Prefix::parse(b"/mnt/host").unwrap();
        for (argument, expected) in [
            ("/mnt/host", true),
            ("/mnt/host/etc/passwd", true),
            ("--file=/mnt/host/x", true),
            ("if=/mnt/host", true),
            ("", false),
            ("=", false),
            ("/mnt/hostel", false),
            ("/mnt", false),
            ("x/mnt/host", false),
            ("a=b=/mnt/host", false),
            ("cat /mnt/host/x", false),
        ] {
            assert_eq!(
                names_host(&prefix, argument.as_bytes()),
                expected,
                "{argument}"
            );
        }
    }
}
