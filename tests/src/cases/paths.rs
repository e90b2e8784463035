//! Paths as they come: long, odd, looping, climbing.

use super::table;
use crate::run::Run;
use crate::short::CWD;
use hostcall::ops::Calls;
use hostcall::types::AtFlags;
use libc::*;
use std::ffi::{CStr, CString};

table![
    names_of_every_length,
    long_names,
    long_paths,
    odd_names,
    climbing,
    through_non_directories,
    deep_links,
    empty_paths,
    absolute_paths
];

fn every_path_call(run: &Run, path: &CStr) {
    run.open(path, O_RDONLY, 0);
    run.stat(path);
    run.mkdir(path, 0o755);
    run.rmdir(path);
    run.mknod(path, S_IFIFO | 0o600, 0);
    run.unlink(path);
    run.symlink(c"x", path);
    run.readlink(path, 10);
    run.rename(path, c"renamed", 0);
    run.rename(c"renamed", path, 0);
    run.link(path, c"linked", 0);
    run.unlink(c"linked");
    run.chmod(path, 0o700, 0);
    run.chown(path, u32::MAX, u32::MAX, AT_SYMLINK_NOFOLLOW);
    run.times(path, (1, 2), (3, 4), AT_SYMLINK_NOFOLLOW);
    run.access(path, F_OK, AT_SYMLINK_NOFOLLOW);
    let _ = run.truncate(path, 0);
    let _ = run.chdir(path);
    run.set_attribute(path, c"user.x", b"y", 0);
    run.get_attribute(CWD, path, 0, c"user.x", 10);
    run.list_attributes(CWD, path, 0, 100);
    let _ = run.removexattr(CWD, path, AtFlags(0), c"user.x");
}

/// Where a name begins to go beyond an entry, and what comes behind it, depends on its length and on what else the call says.
fn names_of_every_length(run: &mut Run) {
    let name =
        |first: u8, len: usize| -> Vec<u8> { (0..len).map(|at| first + (at % 10) as u8).collect() };
    for len in 1..=64 {
        let [short, long] = [(b'a', len), (b'0', 65 - len)].map(|(first, len)| name(first, len));
        let [path, other] = [&short, &long].map(|name| CString::new(name.as_slice()).unwrap());
        let attribute = [b"user.".as_slice(), &long].concat();
        let attribute = CString::new(attribute).unwrap();
        run.make(&path, &short);
        run.stat(&path);
        run.access(&path, R_OK, 0);
        run.set_attribute(&path, &attribute, &long, 0);
        run.get_attribute(CWD, &path, 0, &attribute, 100);
        run.rename(&path, &other, 0);
        run.symlink(&other, &path);
        run.stat_at(CWD, &path, AT_SYMLINK_NOFOLLOW);
        run.readlink(&path, 100);
        run.link(&other, &path, 0);
        run.unlink(&path);
        run.link(&other, &path, 0);
        run.stat(&path);
        let fd = run.open(&path, O_RDONLY, 0);
        run.get(fd, -1, 100);
        let _ = run.close(fd);
        run.times(&path, (1, 2), (3, 4), 0);
        run.unlink(&other);
        run.unlink(&path);
    }
}

fn long_names(run: &mut Run) {
    for len in [254, 255, 256, 1000] {
        every_path_call(run, &CString::new("n".repeat(len)).unwrap());
    }
    every_path_call(
        run,
        &CString::new(format!("{}/x", "n".repeat(256))).unwrap(),
    );
    every_path_call(run, &CString::new(vec![0xC3; 255]).unwrap());
}

fn long_paths(run: &mut Run) {
    let name = "d".repeat(100);
    let steps = CString::new(name.clone()).unwrap();
    for _ in 0..60 {
        run.mkdir(&steps, 0o755);
        let _ = run.chdir(&steps);
    }
    // Deeper than PATH_MAX by now, where the kernel's getcwd(2) fails and libc's climbs up by itself.
    run.make(c"bottom", b"here");
    run.stat(c"bottom");
    for _ in 0..60 {
        let _ = run.chdir(c"..");
    }
    run.cwd();
    for len in [4094, 4095] {
        let mut path = "./".repeat(len / 2);
        path.truncate(len - 1);
        path.push('f');
        every_path_call(run, &CString::new(path).unwrap());
    }
    for len in [4096, 5000, 100_000] {
        run.open_overlong(&CString::new("x".repeat(len)).unwrap());
        run.open_overlong(&CString::new("./".repeat(len / 2)).unwrap());
    }
}

fn odd_names(run: &mut Run) {
    for name in [
        c"\xff\xfe",
        c" ",
        c"\n",
        c"\x1b[31m",
        c"-rf",
        c"*",
        c"...",
        c"a\\b",
        c"\"quoted\"",
        c"\x01\x7f",
        c"caf\xc3\xa9",
        c".hostcall",
        c"~",
        c"$HOME",
        c"%s%n",
        c"con",
    ] {
        every_path_call(run, name);
    }
    let dir = run.open(c".", O_RDONLY, 0);
    run.names(dir, 4096);
}

fn climbing(run: &mut Run) {
    run.mkdir(c"a", 0o755);
    run.mkdir(c"a/b", 0o755);
    run.make(c"f", b"data");
    run.symlink(c"a/b", c"l");
    for path in [
        c"a/../f",
        c"a/b/../../f",
        c"a/./b/.././../f",
        c"l/../f",
        c"l/../../f",
        c"absent/../f",
        c"f/../f",
        c"./././f",
        c"a//b///../..//f",
        c"a/../.",
        c".",
        c"a/..",
        c"a/.",
    ] {
        run.stat(path);
        run.open(path, O_RDONLY, 0);
        run.access(path, R_OK, 0);
    }
    // The root is its own parent.
    let many = CString::new(format!("{}etc", "../".repeat(100))).unwrap();
    run.stat(&many);
}

fn through_non_directories(run: &mut Run) {
    run.make(c"f", b"");
    run.mknod(c"fifo", S_IFIFO | 0o600, 0);
    run.symlink(c"f", c"l");
    run.symlink(c"nowhere", c"dangling");
    for path in [
        c"f/x",
        c"fifo/x",
        c"l/x",
        c"dangling/x",
        c"dangling",
        c"f/",
        c"f/.",
    ] {
        every_path_call(run, path);
    }
}

fn deep_links(run: &mut Run) {
    run.make(c"l0", b"the end");
    for n in 1..=42 {
        let (target, name) = (format!("l{}", n - 1), format!("l{n}"));
        run.symlink(&CString::new(target).unwrap(), &CString::new(name).unwrap());
    }
    // 40 links are followed, path_resolution(7). Those of a walk that the kernel had to begin again count too, so what is near
    // the limit is now found and now not.
    for path in [c"l13", c"l19", c"l41", c"l42"] {
        run.stat(path);
        let fd = run.open(path, O_RDONLY, 0);
        run.get(fd, -1, 100);
    }
}

fn empty_paths(run: &mut Run) {
    every_path_call(run, c"");
    run.make(c"f", b"data");
    let fd = run.open(c"f", O_RDWR, 0);
    run.fstat(fd);
    run.stat_at(fd.into(), c"", 0);
    run.stat_at(CWD, c"", AT_EMPTY_PATH);
    let _ = run.faccessat2(fd.into(), c"", R_OK, AtFlags(AT_EMPTY_PATH));
    let _ = run.fchownat(
        fd.into(),
        c"",
        u32::MAX.into(),
        u32::MAX.into(),
        AtFlags(AT_EMPTY_PATH),
    );
    let _ = run.fchownat(fd.into(), c"", u32::MAX.into(), u32::MAX.into(), AtFlags(0));
    run.fchmod(fd, 0o600);
    let _ = run.utimensat(
        fd.into(),
        c"",
        crate::short::times((5, 6), (7, 8)),
        AtFlags(0),
    );
    run.fstat(fd);
}

fn absolute_paths(run: &mut Run) {
    let path = |name: &str| CString::new(format!("{}/{name}", run.base)).unwrap();
    run.mkdir(c"d", 0o755);
    let d = run.open(c"d", O_RDONLY, 0);
    run.make(&path("f"), b"absolute");
    // The directory does not matter.
    let fd = run.open_at(d, &path("f"), O_RDONLY, 0);
    run.get(fd, -1, 100);
    let bad = run.open_at(hostcall::types::RemoteFd(-7), &path("f"), O_RDONLY, 0);
    run.get(bad, -1, 100);
    run.rename(&path("f"), c"d/f", 0);
    run.link(c"d/f", &path("g"), 0);
    run.stat(&path("d/../g"));
    let _ = run.chdir(&path("d"));
    run.cwd();
}
