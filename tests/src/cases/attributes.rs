//! Extended attributes by path, link and descriptor.

use super::table;
use crate::run::Run;
use crate::short::CWD;
use hostcall::ops::Calls;
use hostcall::types::{AtFlags, DirFd, RemoteFd};
use hostcall::wire::Source;
use libc::*;

table![
    set_and_get,
    creating_and_replacing,
    sizes,
    listing,
    of_links_and_descriptors,
    odd_attribute_names,
    many_and_large
];

fn set_and_get(run: &mut Run) {
    run.make(c"f", b"");
    run.mkdir(c"d", 0o755);
    for path in [c"f", c"d", c"absent"] {
        run.set_attribute(path, c"user.one", b"value", 0);
        run.set_attribute(path, c"user.empty", b"", 0);
        run.get_attribute(CWD, path, 0, c"user.one", 100);
        run.get_attribute(CWD, path, 0, c"user.empty", 100);
        run.get_attribute(CWD, path, 0, c"user.none", 100);
        let _ = run.removexattr(CWD, path, AtFlags(0), c"user.one");
        let _ = run.removexattr(CWD, path, AtFlags(0), c"user.one");
        run.get_attribute(CWD, path, 0, c"user.one", 100);
    }
}

fn creating_and_replacing(run: &mut Run) {
    run.make(c"f", b"");
    run.set_attribute(c"f", c"user.a", b"1", XATTR_REPLACE);
    run.set_attribute(c"f", c"user.a", b"2", XATTR_CREATE);
    run.set_attribute(c"f", c"user.a", b"3", XATTR_CREATE);
    run.set_attribute(c"f", c"user.a", b"4", XATTR_REPLACE);
    run.set_attribute(c"f", c"user.a", b"5", XATTR_REPLACE | XATTR_CREATE);
    run.set_attribute(c"f", c"user.a", b"6", 0x4000);
    run.get_attribute(CWD, c"f", 0, c"user.a", 100);
}

fn sizes(run: &mut Run) {
    run.make(c"f", b"");
    run.set_attribute(c"f", c"user.a", b"0123456789", 0);
    for room in [0, 1, 9, 10, 11, 70_000] {
        run.get_attribute(CWD, c"f", 0, c"user.a", room);
        run.list_attributes(CWD, c"f", 0, room);
    }
}

fn listing(run: &mut Run) {
    run.make(c"f", b"");
    run.list_attributes(CWD, c"f", 0, 1000);
    for name in [c"user.b", c"user.a", c"user.a.long.name.with.dots"] {
        run.set_attribute(c"f", name, b"x", 0);
    }
    run.list_attributes(CWD, c"f", 0, 1000);
    run.list_attributes(CWD, c"absent", 0, 1000);
}

fn of_links_and_descriptors(run: &mut Run) {
    run.make(c"f", b"");
    run.symlink(c"f", c"l");
    run.set_attribute(c"l", c"user.through", b"link", 0);
    let nofollow = AtFlags(AT_SYMLINK_NOFOLLOW);
    let _ = run.setxattr(CWD, c"l", nofollow, c"user.of", Source::new(b"link"), 0);
    run.get_attribute(CWD, c"l", AT_SYMLINK_NOFOLLOW, c"user.through", 100);
    run.get_attribute(CWD, c"l", 0, c"user.through", 100);
    run.list_attributes(CWD, c"l", AT_SYMLINK_NOFOLLOW, 100);
    let empty = AtFlags(AT_EMPTY_PATH);
    for flags in [O_RDONLY, O_RDWR, O_PATH] {
        let fd = DirFd::from(run.open(c"f", flags, 0));
        let _ = run.setxattr(fd, c"", empty, c"user.fd", Source::new(b"open"), 0);
        run.get_attribute(fd, c"", AT_EMPTY_PATH, c"user.fd", 100);
        run.list_attributes(fd, c"", AT_EMPTY_PATH, 100);
        let _ = run.removexattr(fd, c"", empty, c"user.fd");
    }
    let bad = DirFd::from(RemoteFd(-1));
    run.get_attribute(bad, c"", AT_EMPTY_PATH, c"user.fd", 100);
}

/// CVE-2016-8578: an empty name is an error, nothing else.
fn odd_attribute_names(run: &mut Run) {
    run.make(c"f", b"");
    let long = std::ffi::CString::new(format!("user.{}", "n".repeat(251))).unwrap();
    let fits = std::ffi::CString::new(format!("user.{}", "n".repeat(250))).unwrap();
    for name in [
        c"",
        c"user",
        c"user.",
        c"nothing.x",
        c".",
        c"user.\xff\x1b",
        &long,
        &fits,
    ] {
        run.set_attribute(c"f", name, b"v", 0);
        run.get_attribute(CWD, c"f", 0, name, 100);
        let _ = run.removexattr(CWD, c"f", AtFlags(0), name);
    }
}

fn many_and_large(run: &mut Run) {
    run.make(c"f", b"");
    for n in 0..50 {
        let name = std::ffi::CString::new(format!("user.attribute-{n:03}")).unwrap();
        run.set_attribute(c"f", &name, b"x", 0);
    }
    run.list_attributes(CWD, c"f", 0, 65536);
    run.list_attributes(CWD, c"f", 0, 100);
    run.make(c"g", b"");
    for len in [1000, 3000, 65536, 65537, 100_000] {
        run.set_attribute(c"g", c"user.large", &vec![7; len], 0);
        run.get_attribute(CWD, c"g", 0, c"user.large", 65536);
    }
}
