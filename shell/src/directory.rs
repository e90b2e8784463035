//! The working directory that a session has on the host, and where it begins.

use crate::failure::{plain, Failure, REFUSED};
use crate::paths::Prefix;
use crate::policy::Policy;
use crate::session::Session;
use crate::streams::join::refused;
use hostcall::ops::Calls;
use hostcall::types::Errno;
use hostcall::wire::Sink;
use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Enters the session's directory. As long as nobody has moved the session, that is the guest's working directory if
/// it is a host directory, else home.
///
/// # Errors
/// One line.
pub fn enter(host: &impl Calls, session: &Session, prefix: &Prefix) -> Result<(), Failure> {
    let entered = host.enter_session(session.name());
    let kept = entered.map_err(|errno| match errno.0 {
        libc::EACCES if !Policy::ask(host).is_ok_and(|policy| policy.allowed) => refused(),
        libc::ENOENT | libc::EACCES => Failure::own(format_args!(
            "the session's directory on the host cannot be entered any more ({errno}); move it by hcd"
        )),
        _ => Failure::host("the session's directory", errno),
    })?;
    if kept.kept != 0 {
        return Ok(());
    }
    let own = std::env::current_dir().unwrap_or_default();
    let Some(directory) = prefix.to_host(b"/", own.as_os_str().as_bytes()) else {
        return Ok(());
    };
    let path = c_path(&directory)?;
    let changed = host.chdir(&path);
    changed
        .map(drop)
        .map_err(|errno| change(&directory, errno, prefix))
}

/// Where to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal<'p> {
    /// The home directory of the host's user.
    Home,
    /// Where the session was before.
    Before,
    /// A path of the host.
    To(&'p Path),
}

impl<'p> Goal<'p> {
    /// The goal that a word names, as for cd.
    pub fn of(word: Option<&'p OsStr>) -> Goal<'p> {
        match word {
            None => Goal::Home,
            Some(word) if word == "-" => Goal::Before,
            Some(word) => Goal::To(Path::new(word)),
        }
    }
}

/// Moves the session.
///
/// # Errors
/// One line; the session has not moved then.
pub fn go(
    host: &impl Calls,
    session: &Session,
    prefix: &Prefix,
    goal: Goal<'_>,
) -> Result<(), Failure> {
    let (Some(name), Some(before)) = (session.kept(), session.before()) else {
        return Err(Failure::own(
            "this program belongs to no session whose directory could be moved; set HOSTCALL_SESSION to a name",
        ));
    };
    // Whoever cannot be where the session was may leave for anywhere that does not depend on it.
    let here = match enter(host, session, prefix).and_then(|()| path(host)) {
        Err(failure)
            if failure.status == REFUSED
                || matches!(goal, Goal::To(path) if path.is_relative()) =>
        {
            return Err(failure)
        }
        here => here.ok(),
    };
    let moved = match goal {
        Goal::Home => host.enter_session(Session::home()).map(drop),
        Goal::Before => match host.enter_session(&before) {
            Ok(found) if found.kept == 0 => {
                return Err(Failure::own("there is no directory before this one"))
            }
            moved => moved.map(drop),
        },
        Goal::To(path) => {
            let wanted = path.as_os_str().as_bytes();
            host.chdir(&c_path(wanted)?)
                .map_err(|errno| change(wanted, errno, prefix))?;
            Ok(())
        }
    };
    moved.map_err(|errno| Failure::own(format_args!("cannot go there: {errno}")))?;
    let failed = |errno| Failure::host("the session's directory cannot be kept", errno);
    host.keep_session(name).map_err(failed)?;
    if let Some(here) = here {
        // A directory that has gone in the meantime is none to come back to.
        let back = c_path(&here)?;
        let _ = host.chdir(&back).and_then(|_| host.keep_session(&before));
        let entered = host.enter_session(name);
        entered.map_err(|errno| Failure::host("the session's directory", errno))?;
    }
    Ok(())
}

/// The working directory's path on the host.
///
/// # Errors
/// One line.
pub fn path(host: &impl Calls) -> Result<Vec<u8>, Failure> {
    let mut path = vec![0; 2 * libc::PATH_MAX as usize];
    let filled = host
        .getcwd(Sink::new(&mut path))
        .map_err(|errno| Failure::host("the working directory on the host", errno))?;
    path.truncate(filled.filled.0);
    Ok(path)
}

fn c_path(path: &[u8]) -> Result<CString, Failure> {
    CString::new(path).map_err(|_| Failure::own("a path holds a NUL"))
}

fn change(wanted: &[u8], errno: Errno, prefix: &Prefix) -> Failure {
    let why = match errno.0 {
        libc::ENOTCONN => return Failure::host("", errno),
        libc::ENOENT => "no such directory on the host, or none of its exports".to_owned(),
        libc::ENOTDIR => "not a directory on the host".to_owned(),
        libc::EACCES => "the host's user may not enter it".to_owned(),
        _ => errno.to_string(),
    };
    let hint = match prefix.to_host(b"/", wanted) {
        Some(host) if wanted.starts_with(b"/") => {
            format!("; its name there is {}", plain(&host))
        }
        _ => String::new(),
    };
    Failure::own(format_args!("{}: {why}{hint}", plain(wanted)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_are_those_of_cd() {
        assert_eq!(Goal::of(None), Goal::Home);
        assert_eq!(Goal::of(Some(OsStr::new("-"))), Goal::Before);
        assert_eq!(Goal::of(Some(OsStr::new("-x"))), Goal::To(Path::new("-x")));
    }

    #[test]
    fn a_name_of_the_guest_is_told_as_the_hosts() {
        let prefix = Prefix::parse(b"/host").unwrap();
        let line = change(b"/host/e\x1b", Errno(libc::ENOENT), &prefix).line;
        assert!(line.ends_with("its name there is /e\\u{1b}"), "{line}");
        assert!(!change(b"e", Errno(libc::ENOENT), &prefix)
            .line
            .contains("name"));
    }
}
