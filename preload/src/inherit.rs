//! The start of a program image: settings, and the session that the image before handed over.
//!
//! Runs as a constructor, perhaps inside dlopen, before malloc may be used and with any of the standard streams closed.
#![allow(unsafe_code)]

use crate::environment::{self, entries, is_handoff, value};
use crate::program::Program;
use crate::report::say;
use crate::route::Prefix;
use crate::{bypass, cwd, early, fds, observe, placeholder, runtime, session};
use hostcall::ops::Calls;
use hostcall::types::{RemoteFd, Token};
use libc::{c_char, c_int};

#[used]
#[link_section = ".init_array"]
static START: unsafe extern "C" fn(c_int, *mut *mut c_char, *mut *mut c_char) = start;

unsafe extern "C" fn start(
    _count: c_int,
    arguments: *mut *mut c_char,
    environment: *mut *mut c_char,
) {
    // SAFETY: glibc passes the program's arguments and environment to constructors; nobody else runs yet.
    unsafe {
        let list = environment.cast_const().cast();
        let wanted = settings(list);
        let bypassed =
            wanted.bypass.is_some_and(bypass::names_this) || runtime::is_gos(Program::own());
        let token = handed_over(list);
        let likely = || early::is_likely(session::prefix(), arguments.cast_const().cast());
        // Before all that the host need not wait for.
        if token.is_some() || !bypassed && likely() {
            session::ask(token);
        }
        crate::symbols::resolve();
        if let Some(token) = token {
            take_over(token, list);
        }
        drop_handoff(environment);
        wanted.judge();
        if bypassed {
            return bypass::begin();
        }
        environment::remember(list);
        crate::entering::start();
        crate::fork::register();
        crate::shims::slots::install();
        observe::start(wanted.report, wanted.trace, arguments.cast_const().cast());
    }
}

/// Settings for what is done once the session stands.
#[derive(Default)]
struct Wanted<'e> {
    report: Option<&'e [u8]>,
    trace: Option<&'e [u8]>,
    bypass: Option<&'e [u8]>,
    exact: Option<&'e [u8]>,
    /// The prefix cannot be meant.
    no_prefix: bool,
}

impl Wanted<'_> {
    /// Tells of values that cannot be meant, once it is known which streams are host files.
    fn judge(&self) {
        if self.no_prefix {
            say(&"HOSTCALL_PREFIX is not usable as the place of host files; set an absolute path without `..`, such as /host");
        }
        let means_nothing = |text: &&[u8]| !matches!(*text, b"" | b"0" | b"1");
        if let Some(text) = self.exact.filter(means_nothing) {
            say(&format_args!(
                "HOSTCALL_EXACT_FDS is `{}`, which means nothing; set it to 1 or unset it",
                text.escape_ascii()
            ));
        }
        if let Some(list) = self.bypass {
            bypass::judge(list);
        }
    }
}

/// Reads what the user has set.
unsafe fn settings<'e>(list: *const *const c_char) -> Wanted<'e> {
    let mut wanted = Wanted::default();
    // SAFETY: the environment.
    for entry in unsafe { entries(list) }.map(|entry| entry.to_bytes()) {
        if let Some(text) = value(entry, b"HOSTCALL_PREFIX") {
            match Prefix::parse(text) {
                // SAFETY: in the constructor.
                Some(prefix) => unsafe { session::set_prefix(prefix) },
                None => wanted.no_prefix = true,
            }
        } else if let Some(text) = value(entry, b"HOSTCALL_EXACT_FDS") {
            fds::set_exact(text == b"1");
            wanted.exact = Some(text);
        } else if let Some(text) = value(entry, b"HOSTCALL_REPORT") {
            wanted.report = Some(text);
        } else if let Some(text) = value(entry, b"HOSTCALL_TRACE") {
            wanted.trace = Some(text);
        } else if let Some(text) = value(entry, b"HOSTCALL_BYPASS") {
            wanted.bypass = Some(text);
        }
    }
    wanted
}

unsafe fn find<'e>(list: *const *const c_char, name: &[u8]) -> Option<&'e [u8]> {
    // SAFETY: the environment.
    unsafe { entries(list) }.find_map(|entry| value(entry.to_bytes(), name))
}

/// The session that the image before has handed over.
unsafe fn handed_over(list: *const *const c_char) -> Option<Token> {
    // SAFETY: the environment.
    unsafe { find(list, environment::TOKEN) }.and_then(Token::parse)
}

/// Attaches to that session and believes as much of the list as the kernel confirms.
unsafe fn take_over(token: Token, list: *const *const c_char) {
    // SAFETY: the environment.
    let list = unsafe { find(list, environment::FDS) }.unwrap_or_default();
    let pairs = || list.split(|&byte| byte == b',');
    // Closed or opened anew before this image started, a number is not ours any more. Before attaching, which may have to lend some of them.
    for (fd, remote) in pairs().filter_map(parse) {
        if placeholder::is_one(fd) {
            fds::adopt(fd, remote);
        }
    }
    let Ok(client) = session::attach(Some(token)) else {
        // A program in between that does not load the shim has passed on what was meant for it: used up since.
        return fds::forget_all();
    };
    for (fd, remote) in pairs().filter_map(parse) {
        if fds::host(fd) != Some(remote) {
            let _ = client.close(remote);
        }
    }
    if pairs().any(|pair| pair == environment::DIRECTORY) {
        cwd::adopt();
    }
}

/// `number:remote`, both non-negative.
fn parse(pair: &[u8]) -> Option<(c_int, RemoteFd)> {
    let (fd, remote) = std::str::from_utf8(pair).ok()?.split_once(':')?;
    let number = |text: &str| text.parse().ok().filter(|number: &c_int| *number >= 0);
    Some((number(fd)?, RemoteFd(number(remote)?)))
}

/// Takes the handoff out of the environment, so that it goes no further than this image.
///
/// Some walk past the end of the environment to the auxiliary vector, as Go's runtime does. They find it: the two places that come
/// free are one of its entries, which says nothing.
unsafe fn drop_handoff(list: *mut *mut c_char) {
    if list.is_null() {
        return;
    }
    let (mut from, mut to) = (list, list);
    // SAFETY: both run over the environment up to the NULL that ends it, `to` never ahead; then `to` up to there.
    unsafe {
        while !(*from).is_null() {
            let entry = std::ffi::CStr::from_ptr(*from).to_bytes();
            if !is_handoff(entry) {
                *to = *from;
                to = to.add(1);
            }
            from = from.add(1);
        }
        *to = std::ptr::null_mut();
        while from.offset_from(to) >= 2 {
            *to.add(1) = std::ptr::without_provenance_mut(libc::AT_IGNORE as usize);
            *to.add(2) = std::ptr::null_mut();
            to = to.add(2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_read_strictly() {
        assert_eq!(parse(b"3:17"), Some((3, RemoteFd(17))));
        for bad in [
            "",
            "3",
            "3:",
            ":3",
            "-1:3",
            "3:-1",
            "3:4:5",
            "a:b",
            "99999999999:1",
        ] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
