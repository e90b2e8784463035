//! Ops that no function of libc stands for, and calls on `O_PATH` descriptors by their empty path: what a file system
//! server needs. Programs have no such calls, so only the typed client makes them.

use super::table;
use crate::run::Run;
use hostcall::ids::{GuestGid, GuestUid};
use hostcall::ops::Calls;
use hostcall::types::{AtFlags, DirFd, Mode, OpenFlags, RemoteFd, Times};
use hostcall::wire::{Sink, Source};
use libc::*;
use std::ffi::CStr;

table![
    opening_anew,
    opening_anew_what_has_no_name,
    opening_anew_is_refused,
    walking_one_name,
    paths_of_descriptors,
    closing_many,
    closing_others,
    changing_by_path_descriptor,
    attributes_by_path_descriptor,
    linking_by_path_descriptor,
    links_by_path_descriptor,
];

const INODE: AtFlags = AtFlags(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW);

fn again(run: &Run, fd: RemoteFd, flags: i32) -> RemoteFd {
    let opened = run.reopen(fd, OpenFlags(flags));
    opened.map_or(RemoteFd(-1), |reply| reply.fd)
}

fn find(run: &Run, dir: impl Into<DirFd>, name: &CStr) -> RemoteFd {
    let mut data = [0; size_of::<statx>()];
    let found = run.walk(dir.into(), name, Sink::new(&mut data));
    found.map_or(RemoteFd(-1), |reply| reply.fd)
}

fn opening_anew(run: &mut Run) {
    run.make(c"f", b"0123456789");
    let path = run.open(c"f", O_PATH, 0);
    let (read, write) = (
        again(run, path, O_RDONLY),
        again(run, path, O_WRONLY | O_APPEND),
    );
    run.get(read, -1, 4);
    run.put(write, 0, b"ab");
    run.get(read, -1, 100);
    run.get(write, 0, 1);
    run.control(read, F_GETFL, 0);
    run.control(write, F_GETFL, 0);
    let own = again(run, read, O_RDWR | O_CLOEXEC);
    run.seek(own, 0, SEEK_CUR);
    run.control(own, F_GETFD, 0);
    again(run, read, O_RDONLY | O_DIRECTORY);
    let emptied = again(run, path, O_WRONLY | O_TRUNC);
    run.fstat(emptied);
    run.mkdir(c"d", 0o755);
    let dir = run.open(c"d", O_PATH, 0);
    let list = again(run, dir, O_RDONLY | O_DIRECTORY);
    run.names(list, 4096);
    again(run, dir, O_RDWR);
}

fn opening_anew_what_has_no_name(run: &mut Run) {
    run.make(c"f", b"still here");
    let path = run.open(c"f", O_PATH, 0);
    run.unlink(c"f");
    let fd = again(run, path, O_RDWR);
    run.get(fd, 0, 100);
    run.fstat(fd);
}

fn opening_anew_is_refused(run: &mut Run) {
    run.mknod(c"fifo", S_IFIFO | 0o600, 0);
    let _ = run.symlinkat(c"nowhere", DirFd::CWD, c"link");
    for name in [c"fifo", c"link"] {
        let path = run.open(name, O_PATH | O_NOFOLLOW, 0);
        again(run, path, O_RDONLY | O_NONBLOCK);
        again(run, path, O_RDWR);
    }
    let fifo = run.open(c"fifo", O_PATH, 0);
    let path = again(run, fifo, O_PATH);
    run.fstat(path);
    again(run, RemoteFd(-1), O_RDONLY);
    again(run, RemoteFd(99), O_RDONLY);
    run.make(c"secret", b"data");
    let _ = run.fchmodat2(DirFd::CWD, c"secret", Mode(0), AtFlags(0));
    let secret = run.open(c"secret", O_PATH, 0);
    again(run, secret, O_RDONLY);
}

fn walking_one_name(run: &mut Run) {
    run.mkdir(c"d", 0o755);
    run.make(c"d/f", b"data");
    let _ = run.symlinkat(c"f", DirFd::CWD, c"d/link");
    let dir = find(run, DirFd::CWD, c"d");
    for name in [c"f", c"link", c"."] {
        let found = find(run, dir, name);
        run.fstat(found);
    }
    for name in [c"", c"..", c"d/f", c"/", c"nothing"] {
        find(run, dir, name);
    }
    let file = find(run, dir, c"f");
    find(run, file, c"f");
    find(run, RemoteFd(99), c"f");
}

fn paths_of_descriptors(run: &mut Run) {
    run.mkdir(c"d", 0o755);
    run.make(c"d/f", b"data");
    let _ = run.symlinkat(c"d", DirFd::CWD, c"link");
    let dir = run.open(c"link", O_RDONLY, 0);
    let file = run.open(c"link/f", O_PATH, 0);
    let link = run.open(c"link", O_PATH | O_NOFOLLOW, 0);
    for fd in [dir, file, link, RemoteFd(99), RemoteFd(-1)] {
        run.path_of_open(fd);
    }
    let _ = run.path_of(dir, Sink::new(&mut [0; 1]));
    let _ = run.renameat2(DirFd::CWD, c"d/f", DirFd::CWD, c"g", 0);
    run.path_of_open(file);
    run.make(c"d/f", b"another");
    run.path_of_open(file);
    let _ = run.unlinkat(DirFd::CWD, c"g", AtFlags(0));
    run.path_of_open(file);
    run.make(c"g (deleted)", b"not this");
    run.path_of_open(file);
}

fn closing_many(run: &mut Run) {
    run.make(c"f", b"data");
    let fds: Vec<RemoteFd> = (0..5).map(|_| run.open(c"f", O_RDONLY, 0)).collect();
    let numbers: Vec<u8> = [fds[1].0, fds[3].0, 99, -1, fds[3].0]
        .iter()
        .flat_map(|number: &i32| number.to_le_bytes())
        .collect();
    let _ = run.close_many(Source::new(&numbers));
    let _ = run.close_many(Source::new(&[]));
    let _ = run.close_many(Source::new(&fds[0].0.to_le_bytes()[..3]));
    for fd in fds {
        run.get(fd, 0, 4);
    }
}

fn closing_others(run: &mut Run) {
    run.make(c"f", b"data");
    let fds: Vec<RemoteFd> = (0..20).map(|_| run.open(c"f", O_RDONLY, 0)).collect();
    let mut kept = [0u8; 16];
    for fd in [fds[0], fds[3], fds[12]] {
        kept[fd.0 as usize / 8] |= 1 << (fd.0 % 8);
    }
    let _ = run.close_others(Source::new(&kept));
    let _ = run.close_others(Source::new(&kept[..=fds[3].0 as usize / 8]));
    for fd in fds {
        run.get(fd, 0, 4);
    }
}

fn changing_by_path_descriptor(run: &mut Run) {
    run.make(c"f", b"data");
    let path = run.open(c"f", O_PATH, 0);
    let _ = run.fchmodat2(path.into(), c"", Mode(0o4751), INODE);
    run.fstat(path);
    let _ = run.fchownat(
        path.into(),
        c"",
        GuestUid(u32::MAX),
        GuestGid(u32::MAX),
        INODE,
    );
    let times = Times {
        atime: 1_000_000,
        mtime: 2_000_000,
        atime_nsec: 1,
        mtime_nsec: 999_999_999,
    };
    let _ = run.utimensat(path.into(), c"", times, INODE);
    run.fstat(path);
    let _ = run.faccessat2(path.into(), c"", R_OK, AtFlags(AT_EMPTY_PATH | AT_EACCESS));
}

fn attributes_by_path_descriptor(run: &mut Run) {
    run.make(c"f", b"data");
    run.mkdir(c"d", 0o755);
    for name in [c"f", c"d"] {
        let path = run.open(name, O_PATH, 0);
        let at = path.into();
        let _ = run.setxattr(at, c"", INODE, c"user.one", Source::new(b"value"), 0);
        let _ = run.setxattr(
            at,
            c"",
            INODE,
            c"user.one",
            Source::new(b"value"),
            XATTR_CREATE,
        );
        let mut room = [0; 100];
        let got = run.getxattr(at, c"", INODE, c"user.one", Sink::new(&mut room));
        let got = got.map(|reply| &room[..reply.filled.0]);
        run.see("user.one", got);
        let _ = run.getxattr(at, c"", INODE, c"user.one", Sink::new(&mut []));
        let _ = run.getxattr(at, c"", INODE, c"user.none", Sink::new(&mut [0; 9]));
        let _ = run.listxattr(at, c"", INODE, Sink::new(&mut []));
        let _ = run.removexattr(at, c"", INODE, c"user.one");
        let _ = run.removexattr(at, c"", INODE, c"user.one");
    }
}

fn linking_by_path_descriptor(run: &mut Run) {
    run.make(c"f", b"data");
    let _ = run.symlinkat(c"f", DirFd::CWD, c"link");
    for (name, to) in [(c"f", c"g"), (c"link", c"link2")] {
        let path = run.open(name, O_PATH | O_NOFOLLOW, 0);
        let _ = run.linkat(path.into(), c"", DirFd::CWD, to, AtFlags(AT_EMPTY_PATH));
        run.fstat(path);
    }
}

fn links_by_path_descriptor(run: &mut Run) {
    let _ = run.symlinkat(c"a/../target", DirFd::CWD, c"link");
    let path = run.open(c"link", O_PATH | O_NOFOLLOW, 0);
    let mut room = [0; 100];
    let read = run.readlinkat(path.into(), c"", Sink::new(&mut room));
    let read = read.map(|reply| &room[..reply.filled.0]);
    run.see("target", read);
    let _ = run.fchmodat2(path.into(), c"", Mode(0o700), INODE);
    let times = Times {
        atime: 5,
        mtime: 6,
        atime_nsec: 7,
        mtime_nsec: 8,
    };
    let _ = run.utimensat(path.into(), c"", times, INODE);
    let _ = run.fchownat(
        path.into(),
        c"",
        GuestUid(u32::MAX),
        GuestGid(u32::MAX),
        INODE,
    );
    run.fstat(path);
}
