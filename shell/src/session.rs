//! The name of the session that a program belongs to: what it does to the host's working directory, others of the same name
//! see.
//!
//! `$HOSTCALL_SESSION` is the user's choice; else it is the guest's session, setsid(2), that of the shell on a terminal. Its
//! number may be another's later, so the moment when its leader began is part of the name.

use std::ffi::{CStr, CString, OsStr};
use std::os::unix::ffi::OsStrExt;

/// The longest name that the host knows, in bytes.
const MOST: usize = 255;

/// A session's names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Under which the working directory is kept; `None` for a program that is alone.
    name: Option<CString>,
}

/// Under this name nothing is ever kept.
const NOBODY: &CStr = c"nobody:";

impl Session {
    /// The session of this process.
    ///
    /// # Errors
    /// `$HOSTCALL_SESSION` is too long.
    pub fn find() -> Result<Session, String> {
        Session::named(std::env::var_os("HOSTCALL_SESSION").as_deref())
    }

    /// The session of this process where that variable has this value.
    ///
    /// # Errors
    /// It is too long.
    pub fn named(chosen: Option<&OsStr>) -> Result<Session, String> {
        let leader = || {
            let leader = nix::unistd::getsid(None).ok()?.as_raw();
            // 0: a leader outside of the guest.
            let stat = std::fs::read(format!("/proc/{leader}/stat")).ok()?;
            (leader > 0).then_some((leader, began(&stat)?))
        };
        Session::of(chosen, leader)
    }

    fn of(
        chosen: Option<&OsStr>,
        leader: impl FnOnce() -> Option<(i32, u64)>,
    ) -> Result<Session, String> {
        let name = match chosen.filter(|name| !name.is_empty()) {
            Some(name) => Some([b"name:", name.as_bytes()].concat()),
            None => leader().map(|(leader, began)| format!("sid:{leader}:{began}").into_bytes()),
        };
        let room = MOST - BEFORE.len();
        match name {
            Some(name) if name.len() > room => Err(format!(
                "$HOSTCALL_SESSION is longer than {} bytes; shorten or unset it",
                room - "name:".len()
            )),
            Some(name) => Ok(Session {
                name: CString::new(name).ok(),
            }),
            None => Ok(Session { name: None }),
        }
    }

    /// The name under which its directory is looked for.
    pub fn name(&self) -> &CStr {
        self.name.as_deref().unwrap_or(NOBODY)
    }

    /// The name under which its directory is kept, if anybody else could find it there.
    pub fn kept(&self) -> Option<&CStr> {
        self.name.as_deref()
    }

    /// The name of the directory that it was in before.
    pub fn before(&self) -> Option<CString> {
        let name = self.name.as_ref()?;
        CString::new([BEFORE, name.to_bytes()].concat()).ok()
    }

    /// A name that leads home.
    pub fn home() -> &'static CStr {
        NOBODY
    }
}

/// What the name of a former directory begins with.
const BEFORE: &[u8] = b"before:";

/// When a process began, in clock ticks since the guest did: field 22 of its `stat`, proc(5). The second field may hold
/// anything, blanks and parentheses included.
fn began(stat: &[u8]) -> Option<u64> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let text = std::str::from_utf8(&stat[end + 1..]).ok()?;
    text.split_ascii_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_name_comes_first() {
        let leader = || Some((7, 99));
        let name = |chosen: Option<&str>| Session::of(chosen.map(OsStr::new), leader).unwrap();
        assert_eq!(name(Some("work")).name(), c"name:work");
        assert_eq!(name(None).name(), c"sid:7:99");
        assert_eq!(name(Some("")).name(), c"sid:7:99");
        assert_eq!(
            name(Some("work")).before().unwrap().as_c_str(),
            c"before:name:work"
        );
        // A user cannot take a terminal's name by chance.
        assert_ne!(name(Some("sid:7:99")).name(), name(None).name());
    }

    #[test]
    fn a_program_alone_keeps_nothing() {
        let alone = Session::of(None, || None).unwrap();
        assert_eq!((alone.kept(), alone.before()), (None, None));
        assert_eq!(alone.name(), Session::home());
    }

    #[test]
    fn names_have_a_length_that_the_host_takes() {
        let longest = "x".repeat(MOST - BEFORE.len() - 5);
        let session = Session::of(Some(OsStr::new(&longest)), || None).unwrap();
        assert_eq!(session.before().unwrap().count_bytes(), MOST);
        let longer = format!("{longest}x");
        assert!(Session::of(Some(OsStr::new(&longer)), || None).is_err());
    }

    #[test]
    fn a_process_is_known_by_its_beginning() {
        let stat = b"12 (a) b (c)) S 1 12 12 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 12345 1 2 3\n";
        assert_eq!(began(stat), Some(12345));
        assert_eq!(began(b"12 (x"), None);
        let own = std::fs::read("/proc/self/stat").unwrap();
        assert!(began(&own).unwrap() > 0);
    }
}
