//! Ids inside metadata, between the guest's numbering and the host's: pure functions over private copies.

use crate::idmap::IdMaps;
use hostcall::ids::{GuestGid, GuestUid, HostGid, HostUid};
use hostcall::metadata::Metadata;
use hostcall::types::Errno;
use std::ffi::CStr;

/// The host's ids for chown(2); those that mean "keep" stay so.
///
/// # Errors
/// `EINVAL` for an id that has no host id, as in a user namespace.
pub fn owner(
    uid: GuestUid,
    gid: GuestGid,
    maps: Option<&IdMaps>,
) -> Result<(HostUid, HostGid), Errno> {
    let Some(maps) = maps else {
        return Ok((HostUid(uid.0), HostGid(gid.0)));
    };
    let unknown = Errno(libc::EINVAL);
    Ok((
        match uid {
            GuestUid::NONE => HostUid::NONE,
            uid => maps.uids.to_host(uid).ok_or(unknown)?,
        },
        match gid {
            GuestGid::NONE => HostGid::NONE,
            gid => maps.gids.to_host(gid).ok_or(unknown)?,
        },
    ))
}

/// Shows a `struct statx` as the guest is to see it.
pub fn show_statx(data: &mut libc::statx, maps: &IdMaps) {
    data.stx_uid = maps.uids.shown(HostUid(data.stx_uid)).0;
    data.stx_gid = maps.gids.shown(HostGid(data.stx_gid)).0;
}

/// Shows metadata as the guest is to see it.
pub fn show_metadata(data: &mut Metadata, maps: &IdMaps) {
    data.uid = maps.uids.shown(HostUid(data.uid)).0;
    data.gid = maps.gids.shown(HostGid(data.gid)).0;
}

/// Whether an extended attribute is an access control list, acl(5), whose value holds ids.
pub fn is_acl(name: &CStr) -> bool {
    [c"system.posix_acl_access", c"system.posix_acl_default"].contains(&name)
}

/// `struct posix_acl_xattr_header`: a version. Entries of eight bytes follow: tag, permissions, id.
const HEADER: usize = 4;
const ENTRY: usize = 8;
/// `ACL_USER` and `ACL_GROUP`, the tags whose entries name somebody.
const USER: u16 = 0x02;
const GROUP: u16 = 0x08;

/// Shows a list as the guest is to see it.
pub fn show_acl(value: &mut [u8], maps: &IdMaps) {
    for (tag, id) in entries(value) {
        let host = u32::from_le_bytes(*id);
        let shown = match tag {
            USER => maps.uids.shown(HostUid(host)).0,
            GROUP => maps.gids.shown(HostGid(host)).0,
            _ => continue,
        };
        *id = shown.to_le_bytes();
    }
}

/// Translates a list that the guest sets.
///
/// # Errors
/// `EINVAL` for an id that has no host id, as in a user namespace.
pub fn read_acl(value: &mut [u8], maps: &IdMaps) -> Result<(), Errno> {
    for (tag, id) in entries(value) {
        let guest = u32::from_le_bytes(*id);
        let host = match tag {
            USER => maps.uids.to_host(GuestUid(guest)).map(u32::from),
            GROUP => maps.gids.to_host(GuestGid(guest)).map(u32::from),
            _ => continue,
        };
        *id = host.ok_or(Errno(libc::EINVAL))?.to_le_bytes();
    }
    Ok(())
}

/// Tag and id of each whole entry. What is malformed is left to the kernel to refuse.
fn entries(value: &mut [u8]) -> impl Iterator<Item = (u16, &mut [u8; 4])> {
    let entries = value.get_mut(HEADER..).unwrap_or_default();
    entries.chunks_exact_mut(ENTRY).filter_map(|entry| {
        let tag = u16::from_le_bytes([entry[0], entry[1]]);
        Some((tag, entry.last_chunk_mut()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::idmap::{IdMap, Range};

    fn maps() -> IdMaps {
        let range = |host| Range {
            guest: 0,
            host,
            count: 1000,
        };
        IdMaps {
            uids: IdMap::new(&[range(5000)]).unwrap(),
            gids: IdMap::new(&[range(7000)]).unwrap(),
        }
    }

    fn list(ids: [u32; 4]) -> Vec<u8> {
        // ACL_USER_OBJ, ACL_USER, ACL_GROUP, ACL_OTHER.
        let tags = [0x01u16, 0x02, 0x08, 0x20];
        let mut list = 2u32.to_le_bytes().to_vec();
        for (tag, id) in tags.into_iter().zip(ids) {
            list.extend(tag.to_le_bytes());
            list.extend(6u16.to_le_bytes());
            list.extend(id.to_le_bytes());
        }
        list
    }

    #[test]
    fn lists_are_translated_both_ways() {
        let mut value = list([u32::MAX, 1, 2, u32::MAX]);
        read_acl(&mut value, &maps()).unwrap();
        assert_eq!(value, list([u32::MAX, 5001, 7002, u32::MAX]));
        show_acl(&mut value, &maps());
        assert_eq!(value, list([u32::MAX, 1, 2, u32::MAX]));
        let mut foreign = list([0, 4, 9000, 0]);
        show_acl(&mut foreign, &maps());
        assert_eq!(foreign, list([0, 65534, 65534, 0]));
        assert_eq!(read_acl(&mut foreign, &maps()), Err(Errno(libc::EINVAL)));
    }

    #[test]
    fn malformed_lists_are_left_to_the_kernel() {
        for len in 0..12 {
            let mut value = list([1, 2, 3, 4])[..len].to_vec();
            let before = value.clone();
            show_acl(&mut value, &maps());
            assert_eq!(value, before);
        }
    }

    #[test]
    fn owners_are_translated_and_minus_one_is_kept() {
        let maps = maps();
        let owner = |uid, gid| owner(GuestUid(uid), GuestGid(gid), Some(&maps));
        assert_eq!(owner(0, 1), Ok((HostUid(5000), HostGid(7001))));
        assert_eq!(owner(u32::MAX, 1), Ok((HostUid::NONE, HostGid(7001))));
        assert_eq!(owner(1, u32::MAX), Ok((HostUid(5001), HostGid::NONE)));
        assert_eq!(owner(1000, 1), Err(Errno(libc::EINVAL)));
        assert_eq!(owner(1, 5000), Err(Errno(libc::EINVAL)));
        let same = super::owner(GuestUid(7), GuestGid(u32::MAX), None);
        assert_eq!(same, Ok((HostUid(7), HostGid::NONE)));
    }

    #[test]
    fn only_the_two_lists_hold_ids() {
        assert!(is_acl(c"system.posix_acl_access") && is_acl(c"system.posix_acl_default"));
        assert!(!is_acl(c"user.system.posix_acl_access"));
    }
}
