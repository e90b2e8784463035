//! Values of the kernel's protocol and ours, one into the other.

use crate::fs::{Attr, Caller, Lock, LockKind, SetTime, Time};
use crate::lock_flags::is_flock;
use fuser::*;
use hostcall::ids::{GuestGid, GuestUid};
use hostcall::types::Errno as HostErrno;
use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(super) fn caller(req: &Request) -> Caller {
    Caller {
        uid: GuestUid(req.uid()),
        gid: GuestGid(req.gid()),
        pid: req.pid(),
        unique: req.unique().0,
        umask: None,
    }
}

pub(super) fn errno_of(errno: HostErrno) -> Errno {
    Errno::from_i32(errno.0)
}

pub(super) fn c_string(name: &OsStr) -> Result<CString, HostErrno> {
    CString::new(name.as_bytes()).map_err(|_| HostErrno(libc::EINVAL))
}

pub(super) fn kind_of(mode: u32) -> FileType {
    match mode & libc::S_IFMT {
        libc::S_IFDIR => FileType::Directory,
        libc::S_IFLNK => FileType::Symlink,
        libc::S_IFIFO => FileType::NamedPipe,
        libc::S_IFSOCK => FileType::Socket,
        libc::S_IFCHR => FileType::CharDevice,
        libc::S_IFBLK => FileType::BlockDevice,
        _ => FileType::RegularFile,
    }
}

pub(super) fn system_time(time: Time) -> SystemTime {
    let rest = Duration::from_nanos(time.nanoseconds.into());
    let whole = Duration::from_secs(time.seconds.unsigned_abs());
    match time.seconds >= 0 {
        true => UNIX_EPOCH + whole + rest,
        false => UNIX_EPOCH - whole + rest,
    }
}

/// A time of a request. `fuser` counts the nanoseconds of a time before 1970 backwards, as it is given them.
pub(super) fn time_of(time: SystemTime) -> Time {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => Time {
            seconds: since.as_secs() as i64,
            nanoseconds: since.subsec_nanos(),
        },
        Err(before) => Time {
            seconds: -(before.duration().as_secs() as i64),
            nanoseconds: before.duration().subsec_nanos(),
        },
    }
}

pub(super) fn set_time(time: TimeOrNow) -> SetTime {
    match time {
        TimeOrNow::Now => SetTime::Now,
        TimeOrNow::SpecificTime(time) => SetTime::At(time_of(time)),
    }
}

/// A device number as the protocol packs it, `new_encode_dev` of linux/kdev_t.h.
pub(super) fn pack_device((major, minor): (u32, u32)) -> u32 {
    minor & 0xff | major << 8 | (minor & !0xff) << 12
}

pub(super) fn unpack_device(packed: u32) -> (u32, u32) {
    (packed >> 8 & 0xfff, packed & 0xff | packed >> 12 & 0xfff00)
}

pub(super) fn file_attr(attr: &Attr) -> FileAttr {
    FileAttr {
        ino: INodeNo(attr.ino),
        size: attr.size,
        blocks: attr.blocks,
        atime: system_time(attr.atime),
        mtime: system_time(attr.mtime),
        ctime: system_time(attr.ctime),
        crtime: UNIX_EPOCH,
        kind: kind_of(attr.mode),
        perm: (attr.mode & 0o7777) as u16,
        nlink: attr.links,
        uid: attr.uid,
        gid: attr.gid,
        rdev: pack_device(attr.device),
        blksize: attr.unit,
        flags: 0,
    }
}

/// The type of a lock as fcntl(2) names it.
pub(super) fn lock_type(kind: LockKind) -> i32 {
    match kind {
        LockKind::Read => libc::F_RDLCK,
        LockKind::Write => libc::F_WRLCK,
        LockKind::Unlock => libc::F_UNLCK,
    }
}

/// The lock of a request.
pub(super) fn lock(
    req: &Request,
    owner: LockOwner,
    (start, end): (u64, u64),
    kind: i32,
    pid: u32,
) -> Lock {
    Lock {
        kind: match kind {
            libc::F_RDLCK => LockKind::Read,
            libc::F_WRLCK => LockKind::Write,
            _ => LockKind::Unlock,
        },
        start,
        end,
        pid,
        owner: owner.0,
        flock: is_flock(req),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_1970_are_read_and_written_as_fuser_does() {
        let early = Time {
            seconds: -100,
            nanoseconds: 5,
        };
        // -100 s and 5 ns are 99.999999995 s before; a request of them comes as 100.000000005.
        assert_eq!(
            system_time(early),
            UNIX_EPOCH - Duration::new(99, 999_999_995)
        );
        assert_eq!(time_of(UNIX_EPOCH - Duration::new(100, 5)), early);
        let late = Time {
            seconds: 5,
            nanoseconds: 999_999_999,
        };
        assert_eq!(time_of(system_time(late)), late);
    }

    #[test]
    fn device_numbers_survive_both_ways() {
        for device in [(0, 0), (1, 3), (8, 255), (259, 70_000), (4095, 0xfffff)] {
            assert_eq!(unpack_device(pack_device(device)), device);
        }
    }
}
