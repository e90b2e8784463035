//! Metadata: seeing and changing it.

use super::table;
use crate::run::Run;
use crate::short::{times, CWD};
use hostcall::ids::{Groups, GuestGid, GuestUid};
use hostcall::ops::Calls;
use hostcall::types::{AtFlags, DirFd, RemoteFd};
use hostcall::wire::Sink;
use libc::*;
use std::ffi::CString;

table![
    stat_flags,
    stat_of_descriptors,
    statfs_of_files,
    modes,
    mode_flags,
    owners,
    times_set,
    times_now_and_omitted,
    access_checks,
    suid_dropped,
    impersonation_refused
];

fn stat_flags(run: &mut Run) {
    run.make(c"f", b"data");
    run.symlink(c"f", c"l");
    run.mkdir(c"d", 0o700);
    for path in [c"f", c"l", c"d"] {
        for flags in [
            0,
            AT_SYMLINK_NOFOLLOW,
            AT_NO_AUTOMOUNT,
            AT_STATX_FORCE_SYNC,
            AT_STATX_DONT_SYNC,
            0x4000_0000,
        ] {
            run.stat_at(CWD, path, flags);
        }
    }
    let mut data = vec![0u8; 256];
    let _ = run.statx(CWD, c"f", AtFlags(0), 0x8000_0000, Sink::new(&mut data));
    let _ = run.statx(CWD, c"f", AtFlags(0), 0, Sink::new(&mut data));
    let fd = run.open(c"d", O_RDONLY, 0);
    run.stat_at(fd.into(), c".", 0);
    run.stat_at(fd.into(), c"../l", AT_SYMLINK_NOFOLLOW);
}

/// A descriptor's own metadata, whatever it was opened for, and the same descriptors as the place where a path starts. Unknown
/// flags beside an empty path are refused by Linux 6.1, and passed over by 6.18.
fn stat_of_descriptors(run: &mut Run) {
    run.make(c"f", b"data");
    run.symlink(c"f", c"l");
    run.mkdir(c"d", 0o700);
    run.mknod(c"fifo", S_IFIFO | 0o640, 0);
    let mut places = vec![CWD];
    for (name, flags) in [
        (c"f", O_RDONLY),
        (c"f", O_PATH),
        (c"l", O_PATH | O_NOFOLLOW),
        (c"d", O_RDONLY),
        (c"d", O_PATH),
        (c"fifo", O_PATH),
    ] {
        places.push(run.open(name, flags, 0).into());
    }
    let absolute = CString::new(format!("{}/l", run.base)).unwrap();
    for place in places {
        for path in [c"", c".", c"../l", &absolute] {
            for flags in [
                0,
                AT_EMPTY_PATH,
                AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW,
                AT_EMPTY_PATH | AT_NO_AUTOMOUNT,
                AT_EMPTY_PATH | AT_STATX_FORCE_SYNC,
            ] {
                run.stat_at(place, path, flags);
            }
        }
    }
    // An absolute path starts nowhere else, whatever the number is.
    for closed in [DirFd(-1), DirFd(1000)] {
        run.stat_at(closed, c".", 0);
        run.stat_at(closed, &absolute, 0);
    }
}

fn statfs_of_files(run: &mut Run) {
    run.make(c"f", b"");
    let fd = run.open(c"f", O_RDONLY, 0);
    for (dir, path) in [
        (CWD, c"f"),
        (CWD, c"."),
        (CWD, c"absent"),
        (fd.into(), c""),
        (DirFd(-1), c""),
        (CWD, c"f/x"),
    ] {
        let mut data = vec![0u8; size_of::<libc::statfs>()];
        if run.statfs(dir, path, Sink::new(&mut data)).is_ok() {
            // Type and block size; the free space is of the moment.
            run.see("type and block size", Ok(&data[..16]));
        }
    }
}

fn modes(run: &mut Run) {
    run.make(c"f", b"");
    run.mkdir(c"d", 0o755);
    let fd = run.open(c"f", O_RDONLY, 0);
    for mode in [0, 0o644, 0o7777, 0o10644, 0o4711] {
        run.chmod(c"f", mode, 0);
        run.stat(c"f");
        run.fchmod(fd, mode ^ 0o111);
        run.fstat(fd);
        run.chmod(c"d", mode | 0o700, 0);
    }
    run.chmod(c"absent", 0o644, 0);
    run.fchmod(RemoteFd(-1), 0o644);
}

fn mode_flags(run: &mut Run) {
    run.make(c"f", b"");
    run.symlink(c"f", c"l");
    run.symlink(c"nowhere", c"dangling");
    run.chmod(c"l", 0o600, 0);
    run.chmod(c"l", 0o777, AT_SYMLINK_NOFOLLOW);
    run.chmod(c"f", 0o640, AT_SYMLINK_NOFOLLOW);
    run.chmod(c"dangling", 0o600, 0);
    run.chmod(c"f", 0o600, 0x4000_0000);
    run.stat(c"f");
}

fn owners(run: &mut Run) {
    run.make(c"f", b"");
    run.symlink(c"f", c"l");
    for (uid, gid) in [
        (u32::MAX, u32::MAX),
        (1, u32::MAX),
        (u32::MAX, 2),
        (3, 4),
        (0, 0),
        (65534, 65534),
    ] {
        run.chown(c"f", uid, gid, 0);
        run.stat(c"f");
        run.chown(c"l", uid, gid, AT_SYMLINK_NOFOLLOW);
        run.stat_at(CWD, c"l", AT_SYMLINK_NOFOLLOW);
    }
    let fd = run.open(c"f", O_RDWR, 0);
    let _ = run.fchownat(fd.into(), c"", 5.into(), 6.into(), AtFlags(AT_EMPTY_PATH));
    run.chown(c"l", 7, 8, 0);
    run.chown(c"absent", 1, 1, 0);
    run.chown(c"f", 1, 1, 0x4000_0000);
    run.stat(c"f");
}

fn times_set(run: &mut Run) {
    run.make(c"f", b"");
    run.symlink(c"f", c"l");
    run.mkdir(c"d", 0o755);
    run.times(c"f", (1_000_000, 123_456_789), (2_000_000, 987_654_321), 0);
    run.stat(c"f");
    run.times(c"l", (3, 0), (4, 999_999_999), AT_SYMLINK_NOFOLLOW);
    run.stat_at(CWD, c"l", AT_SYMLINK_NOFOLLOW);
    run.times(c"l", (5, 0), (6, 0), 0);
    run.times(c"d", (-1, 0), (-100, 5), 0);
    run.stat(c"d");
    run.times(c"f", (0, 1_000_000_000), (0, 0), 0);
    run.times(c"f", (7_000_000_000, 1), (1, 0), 0);
    run.times(c"absent", (0, 0), (0, 0), 0);
    let fd = run.open(c"f", O_RDONLY, 0);
    let _ = run.utimensat(fd.into(), c"", times((8, 8), (9, 9)), AtFlags(0));
    run.fstat(fd);
    let path = run.open(c"f", O_PATH, 0);
    let _ = run.utimensat(path.into(), c"", times((8, 8), (9, 9)), AtFlags(0));
}

fn times_now_and_omitted(run: &mut Run) {
    const NOW: u32 = UTIME_NOW as u32;
    const OMIT: u32 = UTIME_OMIT as u32;
    run.make(c"f", b"");
    run.times(c"f", (1, 1), (2, 2), 0);
    for (access, modification) in [
        ((0, OMIT), (0, OMIT)),
        ((7, 7), (0, OMIT)),
        ((0, OMIT), (8, 8)),
        ((0, NOW), (0, OMIT)),
        ((0, NOW), (0, NOW)),
        ((-1, OMIT), (-1, NOW)),
    ] {
        run.times(c"f", access, modification, 0);
        run.stat(c"f");
    }
    run.times(c"absent", (0, OMIT), (0, OMIT), 0);
    run.chmod(c"f", 0o444, 0);
    run.times(c"f", (0, NOW), (0, NOW), 0);
}

fn access_checks(run: &mut Run) {
    run.make(c"f", b"");
    run.mkdir(c"d", 0o755);
    run.symlink(c"nowhere", c"l");
    for flags in [0, AT_EACCESS, AT_SYMLINK_NOFOLLOW, 0x4000_0000] {
        for mode in [F_OK, R_OK, W_OK, X_OK, R_OK | W_OK | X_OK, 8, -1] {
            for path in [c"f", c"d", c"l", c"absent", c"/etc/passwd"] {
                run.access(path, mode, flags);
            }
        }
    }
}

/// CVE-2021-21263 and its kin: a change of data or owner takes the set-id bits away, as on the host.
fn suid_dropped(run: &mut Run) {
    run.make(c"f", b"data");
    let set = |run: &Run| {
        run.chmod(c"f", 0o6755, 0);
        run.stat(c"f");
    };
    set(run);
    let fd = run.open(c"f", O_RDWR, 0);
    run.put(fd, 0, b"x");
    run.stat(c"f");
    set(run);
    run.chown(c"f", u32::MAX, u32::MAX, 0);
    run.stat(c"f");
    set(run);
    let _ = run.truncate(c"f", 1);
    run.stat(c"f");
    set(run);
    let _ = run.fallocate(fd, 0, 0, 100);
    run.stat(c"f");
    set(run);
    run.make(c"from", b"0123456789");
    let from = run.open(c"from", O_RDONLY, 0);
    run.copy((from, 0), (fd, 0), 5, 0);
    run.stat(c"f");
}

/// Where the guest's calls have one user's rights, none can have another's.
fn impersonation_refused(run: &mut Run) {
    for id in [0, 1, 65534, u32::MAX] {
        let groups = [GuestGid(id)];
        let groups = Groups::new(&groups);
        let _ = run.impersonate(GuestUid(id), GuestGid(id), u32::MAX, groups);
    }
    run.make(c"f", b"");
    run.stat(c"f");
}
