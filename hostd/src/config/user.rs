//! The host user whose rights a guest's shadows have.

use nix::unistd::{getgrouplist, Gid, Uid, User};
use std::ffi::CString;
use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A host user with everything that a login would give their processes.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct HostUser {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Supplementary group ids.
    pub groups: Vec<u32>,
    /// Home directory.
    pub home: PathBuf,
    /// Login name; the number where the host knows none.
    pub name: String,
}

impl HostUser {
    /// Looks a user up by name, or by number where no user has that name.
    ///
    /// # Errors
    /// There is no such user, or the user database cannot be read.
    pub fn named(name: &str) -> Result<HostUser, UserError> {
        let lookup = |result: nix::Result<Option<User>>| {
            result.map_err(|errno| UserError {
                name: name.to_owned(),
                cause: Some(errno),
            })
        };
        let found = match (lookup(User::from_name(name))?, name.parse()) {
            (Some(user), _) => Some(user),
            (None, Ok(uid)) => lookup(User::from_uid(Uid::from_raw(uid)))?,
            (None, Err(_)) => None,
        };
        let user = found.ok_or_else(|| UserError {
            name: name.to_owned(),
            cause: None,
        })?;
        let groups = CString::new(user.name.as_str())
            .map_err(|_| nix::Error::EINVAL)
            .and_then(|login| getgrouplist(&login, user.gid))
            .map_err(|errno| UserError {
                name: name.to_owned(),
                cause: Some(errno),
            })?;
        Ok(HostUser {
            uid: user.uid.as_raw(),
            gid: user.gid.as_raw(),
            groups: groups.into_iter().map(Gid::as_raw).collect(),
            home: user.dir,
            name: user.name,
        })
    }

    /// The user that this process acts for, with the groups it has now, whatever the user database says.
    ///
    /// # Errors
    /// The user database cannot be read. A user that it does not hold (a container's bare number) is no error.
    pub fn calling() -> Result<HostUser, UserError> {
        let uid = Uid::effective();
        let fail = |errno| UserError {
            name: uid.to_string(),
            cause: Some(errno),
        };
        let entry = User::from_uid(uid).map_err(fail)?;
        let groups = nix::unistd::getgroups().map_err(fail)?;
        Ok(HostUser {
            uid: uid.as_raw(),
            gid: Gid::effective().as_raw(),
            groups: groups.into_iter().map(Gid::as_raw).collect(),
            home: entry
                .as_ref()
                .map_or_else(|| PathBuf::from("/"), |user| user.dir.clone()),
            name: entry.map_or_else(|| uid.to_string(), |user| user.name),
        })
    }
}

/// Where the calling user's sockets live: the system's for root, else the session's, else one of its own in `/tmp`.
pub(crate) fn runtime_dir() -> PathBuf {
    let session = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    runtime_dir_of(Uid::effective(), session)
}

fn runtime_dir_of(uid: Uid, session: Option<PathBuf>) -> PathBuf {
    if uid.is_root() {
        return PathBuf::from("/run/hostcall");
    }
    // After su(1) it is still the session of the user before.
    let is_own = |dir: &PathBuf| {
        let metadata = dir.metadata();
        metadata.is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == uid.as_raw())
    };
    match session.filter(|dir| dir.is_absolute() && is_own(dir)) {
        Some(dir) => dir.join("hostcall"),
        None => PathBuf::from(format!("/tmp/hostcall-{uid}")),
    }
}

/// Refuses a directory of sockets in which somebody else could put one in the place of a guest's: in `/tmp` anybody may make a directory
/// of any name first.
pub(crate) fn check_runtime_dir(dir: &Path) -> Result<(), String> {
    match Uid::effective() {
        own if own.is_root() => Ok(()),
        own => check_runtime_dir_of(own, dir),
    }
}

fn check_runtime_dir_of(own: Uid, dir: &Path) -> Result<(), String> {
    if !is_private(dir, own) {
        return Err(format!(
            "{} is not a directory of this user's that nobody else can write to; remove it, or set XDG_RUNTIME_DIR to one of this user's",
            dir.display()
        ));
    }
    match dir.parent().filter(|parent| others_rename_in(parent)) {
        None => Ok(()),
        Some(parent) => {
            let shown = parent.display();
            Err(format!(
                "others can write to {shown}, and so put a directory of theirs in the place of {}: chmod go-w {shown}, or set XDG_RUNTIME_DIR to a directory of this user's that nobody else can write to",
                dir.display()
            ))
        }
    }
}

/// Whether others than their owners may rename what is in a directory: not in `/tmp`, as it is sticky.
fn others_rename_in(dir: &Path) -> bool {
    dir.metadata()
        .is_ok_and(|metadata| metadata.mode() & 0o022 != 0 && metadata.mode() & 0o1000 == 0)
}

fn is_private(dir: &Path, own: Uid) -> bool {
    std::fs::symlink_metadata(dir).is_ok_and(|metadata| {
        metadata.is_dir() && metadata.uid() == own.as_raw() && metadata.mode() & 0o022 == 0
    })
}

/// A host user cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserError {
    name: String,
    cause: Option<nix::Error>,
}

impl fmt::Display for UserError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cause {
            None => write!(
                f,
                "this host has no user {:?}: see `getent passwd`",
                self.name
            ),
            Some(errno) => write!(f, "cannot look up user {:?}: {}", self.name, errno.desc()),
        }
    }
}

impl std::error::Error for UserError {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_directory_of_somebody_elses_holds_no_sockets() {
        let name = format!("hostcall-runtime-{}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        std::fs::create_dir(&dir).unwrap();
        let refused = |mode| {
            std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(mode)).unwrap();
            !is_private(&dir, Uid::effective())
        };
        assert!(!refused(0o755) && !refused(0o700) && refused(0o777) && refused(0o720));
        let other = Uid::from_raw(Uid::effective().as_raw() + 1);
        refused(0o700);
        assert!(!is_private(&dir, other));
        let link = dir.join("link");
        std::os::unix::fs::symlink(&dir, &link).unwrap();
        assert!(!is_private(&link, Uid::effective()));
        assert!(!is_private(&dir.join("none"), Uid::effective()));
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_directory_that_others_can_rename_holds_no_sockets() {
        let name = format!("hostcall-shared-{}", std::process::id());
        let session = std::env::temp_dir().join(name);
        let dir = session.join("hostcall");
        std::fs::create_dir_all(&dir).unwrap();
        // Whatever the umask.
        std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o700)).unwrap();
        let own = Uid::effective();
        let refused = |mode| {
            let mode = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(&session, mode).unwrap();
            check_runtime_dir_of(own, &dir).err()
        };
        for mode in [0o700, 0o755, 0o1777] {
            assert_eq!(refused(mode), None, "{mode:o}");
        }
        for mode in [0o770, 0o702, 0o777] {
            let cure = format!("chmod go-w {}", session.display());
            assert!(
                refused(mode).is_some_and(|why| why.contains(&cure)),
                "{mode:o}"
            );
        }
        std::fs::remove_dir_all(&session).unwrap();
    }

    #[test]
    fn sockets_live_in_a_session_of_the_users_own() {
        let name = format!("hostcall-session-{}", std::process::id());
        let session = std::env::temp_dir().join(name);
        std::fs::create_dir(&session).unwrap();
        let own = match Uid::effective() {
            uid if uid.is_root() => Uid::from_raw(12345),
            uid => uid,
        };
        nix::unistd::chown(&session, Some(own), None).unwrap();
        let at = |uid, dir: &str| runtime_dir_of(uid, Some(dir.into()));
        let dir = session.to_str().unwrap();
        assert_eq!(at(own, dir), session.join("hostcall"));
        let other = Uid::from_raw(own.as_raw() + 1);
        for (uid, dir) in [(other, dir), (own, "/none/at/all"), (own, "relative")] {
            let fallback = PathBuf::from(format!("/tmp/hostcall-{uid}"));
            assert_eq!(at(uid, dir), fallback, "{dir}");
        }
        assert_eq!(at(Uid::from_raw(0), dir), PathBuf::from("/run/hostcall"));
        std::fs::remove_dir(&session).unwrap();
    }
}
