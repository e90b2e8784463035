//! People who share a host's files: a hostd that acts for each of them, and files of theirs.

use crate::confined::require_root;
use crate::daemon::{exports, Daemon};
use hostcall::acting::Credentials;
use hostcall::ids::{GuestGid, GuestUid};
use serde_json::{json, Value};
use std::os::unix::fs::{chown, MetadataExt, PermissionsExt};
use std::path::Path;

/// Somebody. The ids of these people are far from those that a host gives out.
pub const ANN: u32 = 31_001;

/// Somebody else.
pub const BOB: u32 = 31_002;

/// A group.
pub const TEAM: u32 = 32_000;

/// A hostd that acts for its callers, with more of a configuration.
pub fn serve(more: Value) -> Daemon {
    require_root();
    Daemon::configured(|directory| {
        for path in [directory, &directory.join("export")] {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
        }
        let mut guest = json!({"exports": exports(directory), "as": "caller"});
        for (key, value) in more.as_object().unwrap() {
            guest[key] = value.clone();
        }
        guest
    })
}

/// Somebody by their ids.
pub fn who(uid: u32, gid: u32, groups: &[GuestGid]) -> Credentials<'_> {
    Credentials {
        uid: GuestUid(uid),
        gid: GuestGid(gid),
        groups,
        umask: None,
    }
}

/// Makes a file with its owner and mode.
pub fn make(path: &Path, owner: (u32, u32), mode: u32) {
    std::fs::write(path, "data").unwrap();
    own(path, owner, mode);
}

/// Gives a file an owner and a mode.
pub fn own(path: &Path, (uid, gid): (u32, u32), mode: u32) {
    chown(path, Some(uid), Some(gid)).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Owner, group and mode.
pub fn look(path: &Path) -> (u32, u32, u32) {
    let meta = std::fs::symlink_metadata(path).unwrap();
    (meta.uid(), meta.gid(), meta.mode() & 0o7777)
}

/// `struct posix_acl_xattr_header` and entries of tag, permissions and id.
pub fn acl(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let mut list = 2u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        list.extend(tag.to_le_bytes());
        list.extend(permissions.to_le_bytes());
        list.extend(id.to_le_bytes());
    }
    list
}

/// Guest 0–999 stand for host 50000–50999, groups for 60000–60999: no user of the guest is the host's root.
pub fn mapped() -> Daemon {
    serve(json!({
        "uid_map": [{"guest": 0, "host": 50_000, "count": 1000}],
        "gid_map": [{"guest": 0, "host": 60_000, "count": 1000}],
    }))
}
