//! The environment of a new program image: what carries the shim and the session over execve(2).
//!
//! `LD_PRELOAD`, the `HOSTCALL_` settings and what [`KEEP`] names are kept even when the program passes an environment of
//! its own, and a process with host files adds the token of its session and says which number is which file.
#![allow(unsafe_code)]

use crate::real::try_sys;
use crate::{cwd, fds, report::Line, session};
use hostcall::ops::Calls;
use hostcall::types::{Errno, Token};
use libc::c_char;
use std::cell::UnsafeCell;
use std::ffi::CStr;
use std::fmt::Write;
use syscalls::Sysno;

/// Names of the handoff; they are meant for one program image only. There are two, always both: as many as make an entry of the
/// auxiliary vector when they are taken out.
pub const TOKEN: &[u8] = b"HOSTCALL_TOKEN";
/// `number:remote,…` of the inherited host files.
pub const FDS: &[u8] = b"HOSTCALL_FDS";
/// Stands among them when the working directory lies on the host.
pub const DIRECTORY: &[u8] = b".";

/// `NAME:NAME…`: more variables that a guest's programs cannot do without.
const KEEP: &[u8] = b"HOSTCALL_KEEP";

const PRELOAD: &[u8] = b"LD_PRELOAD";
const SETTINGS: &[u8] = b"HOSTCALL_";
/// Part of the file name of this library in `LD_PRELOAD`.
const LIBRARY: &[u8] = b"hostcall_preload";

/// Settings as they were when this image started, NUL-terminated one after another.
struct Kept(UnsafeCell<Settings>);
// SAFETY: written by the constructor only, before other threads exist.
unsafe impl Sync for Kept {}
static KEPT: Kept = Kept(UnsafeCell::new(Settings {
    len: 0,
    bytes: [0; 8192],
}));

/// In this order, few settings touch one page of memory.
#[repr(C)]
struct Settings {
    len: usize,
    bytes: [u8; 8192],
}

/// The value of `entry` if its name is `name`.
pub fn value<'e>(entry: &'e [u8], name: &[u8]) -> Option<&'e [u8]> {
    entry.strip_prefix(name)?.strip_prefix(b"=")
}

/// Whether `entry` is part of a handoff.
pub fn is_handoff(entry: &[u8]) -> bool {
    [TOKEN, FDS].iter().any(|name| value(entry, name).is_some())
}

/// The strings of a NULL-terminated array.
///
/// # Safety
/// `list` is null or such an array of C strings that live for `'e`.
pub unsafe fn entries<'e>(list: *const *const c_char) -> impl Iterator<Item = &'e CStr> {
    let mut at = list;
    std::iter::from_fn(move || {
        // SAFETY: the caller's promise; the walk ends at the NULL.
        unsafe {
            if at.is_null() || (*at).is_null() {
                return None;
            }
            let entry = CStr::from_ptr(*at);
            at = at.add(1);
            Some(entry)
        }
    })
}

/// Remembers the settings.
///
/// # Safety
/// From the constructor only. `list` as in [`entries`].
pub unsafe fn remember(list: *const *const c_char) {
    // SAFETY: the caller's promise.
    let given = || unsafe { entries(list) };
    // SAFETY: the caller's promise: nobody else has it.
    let kept = unsafe { &mut *KEPT.0.get() };
    let named = given()
        .find_map(|entry| value(entry.to_bytes(), KEEP))
        .unwrap_or_default();
    for entry in given() {
        let bytes = entry.to_bytes_with_nul();
        let ours = bytes.starts_with(SETTINGS)
            || name(entry) == PRELOAD
            || named
                .split(|&byte| byte == b':')
                .any(|named| named == name(entry));
        let end = kept.len + bytes.len();
        if ours && !is_handoff(entry.to_bytes()) && end <= kept.bytes.len() {
            kept.bytes[kept.len..end].copy_from_slice(bytes);
            kept.len = end;
        }
    }
}

fn kept() -> impl Iterator<Item = &'static CStr> {
    // SAFETY: never written after the constructor.
    let kept = unsafe { &*KEPT.0.get() };
    kept.bytes[..kept.len]
        .split_inclusive(|&byte| byte == 0)
        .filter_map(|entry| CStr::from_bytes_with_nul(entry).ok())
}

fn name(entry: &CStr) -> &[u8] {
    let bytes = entry.to_bytes();
    let end = bytes.iter().position(|&byte| byte == b'=');
    &bytes[..end.unwrap_or(bytes.len())]
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// An environment for execve(2); unmapped when dropped, for an exec that failed.
pub struct Environment {
    list: *const *const c_char,
    mapped: usize,
    hold: Option<Hold>,
}

/// A session held for the new image; let go when dropped, for an exec that failed. The calls of other threads, which run
/// on until the kernel ends them, change nothing about it.
struct Hold(Token);

impl Hold {
    /// Asks the host to keep the session over the exec, if a new image would inherit any of it.
    fn of_session() -> Option<Hold> {
        let client = session::attached()?;
        let wanted = cwd::on_host() || fds::all().any(|(_, entry)| !entry.cloexec);
        let reply = wanted.then(|| client.hold_session().ok()).flatten()?;
        Some(Hold(reply.token))
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some(client) = session::attached() {
            // Without a host there is nothing held.
            let _ = client.unhold_session();
        }
    }
}

impl Environment {
    /// Makes one of the program's: with the library, or without it for an image that refuses it. `handoff` has the session
    /// held for the new image if it has anything to inherit; if the host refuses that, the new image starts without it.
    ///
    /// # Safety
    /// `given` as in [`entries`], alive as long as the result.
    pub unsafe fn new(given: *const *const c_char, brings: Brings) -> Result<Environment, Errno> {
        let hold = (brings == Brings::Session).then(Hold::of_session).flatten();
        let library = brings != Brings::Settings;
        // SAFETY: the caller's promise.
        let given_entries = || unsafe { entries(given) };
        let missing = |entry: &CStr| {
            let mut same = given_entries().filter(|other| name(other) == name(entry));
            match name(entry) {
                PRELOAD => library && !same.any(|other| contains(other.to_bytes(), LIBRARY)),
                _ => same.next().is_none(),
            }
        };
        let stale = |entry: &CStr| is_handoff(entry.to_bytes());
        let refused = |entry: &CStr| {
            !library && name(entry) == PRELOAD && contains(entry.to_bytes(), LIBRARY)
        };
        if hold.is_none()
            && !kept().any(missing)
            && !given_entries().any(|entry| stale(entry) || refused(entry))
        {
            return Ok(Environment {
                list: given,
                mapped: 0,
                hold: None,
            });
        }
        let count = given_entries().count() + kept().count() + 4;
        let text: usize = given_entries()
            .filter(|entry| name(entry) == PRELOAD)
            .map(|entry| entry.count_bytes() + size_of_val(kept_bytes()))
            .sum();
        let inherited = fds::all().count() * 24;
        let size =
            (count * size_of::<*const c_char>() + text + inherited + 256).next_multiple_of(4096);
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a fresh mapping overlaps nothing. No malloc: this may be the child of a threaded program.
        let base =
            unsafe { try_sys!(Sysno::mmap, 0, size, protection, flags, -1isize, 0) }? as *mut u8;
        let mut build = Builder {
            list: base.cast(),
            text: base.wrapping_add(count * size_of::<*const c_char>()),
            end: base.wrapping_add(size),
        };
        for entry in given_entries().filter(|entry| !stale(entry)) {
            if refused(entry) {
                let value = value(entry.to_bytes(), PRELOAD).unwrap_or_default();
                build.compose_without_library(value);
                continue;
            }
            let library = kept().find(|kept| name(kept) == PRELOAD && missing(kept));
            match (name(entry) == PRELOAD, library) {
                // The program preloads something else: both.
                (true, Some(ours)) => {
                    let ours = value(ours.to_bytes(), PRELOAD).unwrap_or_default();
                    let separator: &[u8] = match value(entry.to_bytes(), PRELOAD) {
                        Some(b"") | None => b"",
                        Some(_) => b":",
                    };
                    build.compose(&[entry.to_bytes(), separator, ours]);
                }
                _ => build.push(entry.as_ptr()),
            }
        }
        for entry in kept().filter(|entry| missing(entry)) {
            if !given_entries().any(|other| name(other) == name(entry)) {
                build.push(entry.as_ptr());
            }
        }
        if let Some(Hold(token)) = &hold {
            build.hand_over(token);
        }
        build.push(std::ptr::null());
        Ok(Environment {
            list: base.cast_const().cast(),
            mapped: size,
            hold,
        })
    }

    /// Whether it brings a session.
    pub fn hands_over(&self) -> bool {
        self.hold.is_some()
    }

    /// The array.
    pub fn as_ptr(&self) -> *const *const c_char {
        self.list
    }
}

fn kept_bytes() -> &'static [u8] {
    // SAFETY: never written after the constructor.
    let kept = unsafe { &*KEPT.0.get() };
    &kept.bytes[..kept.len]
}

impl Drop for Environment {
    fn drop(&mut self) {
        if self.mapped != 0 {
            // SAFETY: the mapping that `new` made, which nobody else uses.
            let _ = unsafe { try_sys!(Sysno::munmap, self.list, self.mapped) };
        }
    }
}

/// What an image is given beside the environment of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Brings {
    /// Settings, library, and what of the session it inherits.
    Session,
    /// Settings and library.
    Library,
    /// Settings.
    Settings,
}

/// Fills the mapping: pointers from its start, text behind them.
struct Builder {
    list: *mut *const c_char,
    text: *mut u8,
    end: *mut u8,
}

impl Builder {
    fn push(&mut self, entry: *const c_char) {
        // SAFETY: `new` counted the pointers before it placed the text behind them.
        unsafe {
            *self.list = entry;
            self.list = self.list.add(1);
        }
    }

    fn start(&mut self, parts: &[&[u8]]) {
        self.push(self.text.cast_const().cast());
        self.append(parts);
    }

    fn append(&mut self, parts: &[&[u8]]) {
        for part in parts {
            let len = part.len().min(self.end as usize - self.text as usize - 1);
            // SAFETY: `len` is cut to the room in the mapping, less a byte that stays NUL.
            unsafe {
                std::ptr::copy_nonoverlapping(part.as_ptr(), self.text, len);
                self.text = self.text.add(len);
            }
        }
    }

    /// The session that is held, and what of it goes on: open files under their numbers, and whether the directory does.
    fn hand_over(&mut self, token: &Token) {
        let mut digits = Line::<64>::new();
        let _ = write!(digits, "{token}");
        self.compose(&[TOKEN, b"=", digits.bytes()]);
        self.start(&[FDS, b"="]);
        let mut separator: &[u8] = b"";
        for (fd, entry) in fds::all().filter(|(_, entry)| !entry.cloexec) {
            let mut pair = Line::<32>::new();
            let _ = write!(pair, "{fd}:{}", entry.remote.0);
            self.append(&[separator, pair.bytes()]);
            separator = b",";
        }
        if cwd::on_host() {
            self.append(&[separator, DIRECTORY]);
        }
        self.append(&[b"\0"]);
    }

    /// `LD_PRELOAD` with all of a list but this library; nothing if nothing is left. Both colons and spaces separate, ld.so(8).
    fn compose_without_library(&mut self, list: &[u8]) {
        let mut separator: &[u8] = b"=";
        let others = list
            .split(|&byte| matches!(byte, b':' | b' '))
            .filter(|library| !library.is_empty() && !contains(library, LIBRARY));
        for library in others {
            match separator {
                b"=" => self.start(&[PRELOAD, separator, library]),
                _ => self.append(&[separator, library]),
            }
            separator = b":";
        }
        if separator == b":" {
            self.append(&[b"\0"]);
        }
    }

    fn compose(&mut self, parts: &[&[u8]]) {
        self.start(parts);
        self.append(&[b"\0"]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_that_refuse_the_library_are_given_the_others() {
        for (given, expected) in [
            (c"LD_PRELOAD=/x/libhostcall_preload.so", None),
            (c"LD_PRELOAD=:/x/libhostcall_preload.so ", None),
            (
                c"LD_PRELOAD=a.so /x/libhostcall_preload.so:/b",
                Some("LD_PRELOAD=a.so:/b"),
            ),
            (c"LD_PRELOAD=a.so b.so", Some("LD_PRELOAD=a.so b.so")),
        ] {
            let list = [
                c"A=1".as_ptr(),
                given.as_ptr(),
                c"Z=2".as_ptr(),
                std::ptr::null(),
            ];
            // SAFETY: a NULL-terminated array of strings that live on.
            let made: Vec<_> = unsafe {
                let made = Environment::new(list.as_ptr(), Brings::Settings).unwrap();
                entries(made.as_ptr())
                    .map(|entry| entry.to_str().unwrap().to_owned())
                    .collect()
            };
            let expected: Vec<_> = ["A=1"].into_iter().chain(expected).chain(["Z=2"]).collect();
            assert_eq!(made, expected, "{given:?}");
        }
    }
}
