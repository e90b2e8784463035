//! A shared directory with all that permissions are about, and somebody's acts in it: the same acts by different ways must
//! have the same answers and leave the same files.

use crate::confined::{forked, End};
use crate::native::Native;
use crate::people::{acl, look, make, own, ANN, BOB, TEAM};
use crate::witness::c;
use hostcall::ids::{GuestGid, GuestUid};
use hostcall::ops::Calls;
use hostcall::types::{AtFlags, DirFd, Errno, Mode, Offset, OpenFlags, RwFlags, Times};
use hostcall::wire::{Sink, Source};
use std::ffi::CStr;
use std::path::Path;

const CWD: DirFd = DirFd::CWD;
const CAPABILITIES: &CStr = c"security.capability";
/// cap_net_raw+ep, revision 2.
const CAPABILITY: [u8; 20] = [
    1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];
/// How files are changed that have set-id bits, and others of the names with `-capable` that have capabilities.
const CHANGES: [&str; 3] = ["written", "allocated", "copied"];

/// Users with their groups: owner, other, members of the group by either way, one of many groups, root.
pub const PEOPLE: [(u32, u32, &[u32]); 6] = [
    (ANN, ANN, &[]),
    (BOB, BOB, &[]),
    (BOB, BOB, &[TEAM]),
    (BOB, TEAM, &[]),
    (31_003, 31_003, &[5, TEAM, 9]),
    (0, 0, &[]),
];

/// What several people would meet in a shared directory.
pub fn furnish(base: &Path) {
    std::fs::create_dir(base).unwrap();
    own(base, (0, 0), 0o777);
    for (name, mode) in [
        ("owner", 0o600),
        ("group", 0o660),
        ("other", 0o606),
        ("none", 0o000),
    ] {
        make(&base.join(name), (ANN, TEAM), mode);
    }
    for (name, owner, mode) in [
        ("sticky", (0, 0), 0o1777),
        ("setgid", (ANN, TEAM), 0o2775),
        ("private", (ANN, ANN), 0o700),
        ("listed", (ANN, TEAM), 0o440),
        ("searched", (ANN, TEAM), 0o110),
    ] {
        std::fs::create_dir(base.join(name)).unwrap();
        own(&base.join(name), owner, mode);
    }
    for name in ["a", "b"] {
        make(&base.join("sticky").join(name), (ANN, ANN), 0o666);
    }
    for name in ["private", "listed", "searched"] {
        make(&base.join(name).join("file"), (ANN, ANN), 0o666);
    }
    make(&base.join("suid"), (ANN, TEAM), 0o6777);
    for how in CHANGES {
        make(&base.join(how), (ANN, TEAM), 0o6777);
        let capable = base.join(format!("{how}-capable"));
        make(&capable, (ANN, TEAM), 0o777);
        let value = Source::new(&CAPABILITY);
        Native::default()
            .setxattr(CWD, &c(&capable), AtFlags(0), CAPABILITIES, value, 0)
            .expect("a file system with capabilities");
    }
    make(&base.join("acl"), (ANN, ANN), 0o600);
    let list = acl(&[
        (0x01, 6, u32::MAX),
        (0x02, 6, BOB),
        (0x04, 0, u32::MAX),
        (0x10, 6, u32::MAX),
        (0x20, 0, u32::MAX),
    ]);
    Native::default()
        .setxattr(
            CWD,
            &c(&base.join("acl")),
            AtFlags(0),
            c"system.posix_acl_access",
            Source::new(&list),
            0,
        )
        .expect("a file system with access control lists");
}

/// Does to the directory what permissions are about; each call's answer is a line.
pub fn act(calls: &impl Calls, base: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let path = |name: &str| c(&base.join(name));
    let mut say = |what: String, answer: Result<(), Errno>| {
        let answer = answer.map_or_else(|errno| errno.to_string(), |()| "done".to_owned());
        lines.push(format!("{what}: {answer}"));
    };
    let open = |name: &str, flags: i32| {
        calls
            .openat(CWD, &path(name), OpenFlags(flags), Mode(0o666))
            .map(|reply| reply.fd)
    };
    for name in ["private", "listed", "searched"] {
        let mut room = [0; 4096];
        let listed = open(name, libc::O_RDONLY | libc::O_DIRECTORY).and_then(|fd| {
            let listed = calls.getdents(fd, Sink::new(&mut room));
            calls.close(fd)?;
            listed
        });
        let bytes = listed.as_ref().map_or(0, |reply| reply.filled.0);
        say(format!("list {name} {bytes}"), listed.map(drop));
    }
    for name in [
        "owner",
        "group",
        "other",
        "none",
        "acl",
        "private/file",
        "listed/file",
        "searched/file",
        "suid",
    ] {
        for flags in [libc::O_RDONLY, libc::O_WRONLY] {
            let opened = open(name, flags).and_then(|fd| calls.close(fd)).map(drop);
            say(format!("open {name} {flags}"), opened);
        }
        for mode in [libc::R_OK, libc::W_OK, libc::X_OK] {
            let answer = calls
                .faccessat2(CWD, &path(name), mode, AtFlags(libc::AT_EACCESS))
                .map(drop);
            say(format!("access {name} {mode}"), answer);
        }
        say(
            format!("chmod {name}"),
            calls
                .fchmodat2(CWD, &path(name), Mode(0o640), AtFlags(0))
                .map(drop),
        );
        let nobody = (GuestUid::NONE, GuestGid(TEAM));
        say(
            format!("chgrp {name}"),
            calls
                .fchownat(CWD, &path(name), nobody.0, nobody.1, AtFlags(0))
                .map(drop),
        );
        say(
            format!("chown {name}"),
            calls
                .fchownat(CWD, &path(name), GuestUid(BOB), GuestGid::NONE, AtFlags(0))
                .map(drop),
        );
        say(
            format!("truncate {name}"),
            calls.truncate(&path(name), 2).map(drop),
        );
        let value = Source::new(b"v");
        say(
            format!("setxattr {name}"),
            calls
                .setxattr(CWD, &path(name), AtFlags(0), c"user.x", value, 0)
                .map(drop),
        );
        let value = Source::new(&CAPABILITY);
        say(
            format!("setcap {name}"),
            calls
                .setxattr(CWD, &path(name), AtFlags(0), CAPABILITIES, value, 0)
                .map(drop),
        );
        let now = Times {
            atime: 5,
            mtime: 5,
            atime_nsec: 0,
            mtime_nsec: 0,
        };
        say(
            format!("utimens {name}"),
            calls.utimensat(CWD, &path(name), now, AtFlags(0)).map(drop),
        );
        say(
            format!("link {name}"),
            calls
                .linkat(
                    CWD,
                    &path(name),
                    CWD,
                    &path(&format!("{}.link", name.replace('/', "-"))),
                    AtFlags(0),
                )
                .map(drop),
        );
    }
    say(
        "unlink in a sticky directory".into(),
        calls.unlinkat(CWD, &path("sticky/a"), AtFlags(0)).map(drop),
    );
    say(
        "rename in a sticky directory".into(),
        calls
            .renameat2(CWD, &path("sticky/b"), CWD, &path("sticky/c"), 0)
            .map(drop),
    );
    for name in ["new", "setgid/new", "private/new", "sticky/new"] {
        let made = open(name, libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY)
            .and_then(|fd| calls.close(fd))
            .map(drop);
        say(format!("create {name}"), made);
        say(
            format!("mkdir {name}.d"),
            calls
                .mkdirat(CWD, &path(&format!("{name}.d")), Mode(0o777))
                .map(drop),
        );
        say(
            format!("chmod g+s {name}"),
            calls
                .fchmodat2(CWD, &path(name), Mode(0o2755), AtFlags(0))
                .map(drop),
        );
    }
    say(
        "mknod".into(),
        calls
            .mknodat(CWD, &path("node"), Mode(libc::S_IFCHR | 0o666), 0x103)
            .map(drop),
    );
    let change = |name: &str, how: &str| {
        let fd = open(name, libc::O_WRONLY)?;
        match how {
            "written" => calls
                .write(fd, Offset(0), RwFlags(0), Source::new(b"x"))
                .map(drop),
            "allocated" => calls.fallocate(fd, 0, 0, 100).map(drop),
            _ => open("allocated", libc::O_RDONLY).and_then(|from| {
                let (here, there) = (Offset(0), Offset(0));
                let copied = calls.copy_file_range(from, here, fd, there, 100, 0);
                calls.close(from)?;
                copied.map(drop)
            }),
        }?;
        calls.close(fd).map(drop)
    };
    // Each loses its set-id bits by whoever may not give them, its capabilities by everybody, and at once.
    for how in CHANGES {
        let before = mode_of(calls, &path(how));
        let changed = change(how, how);
        let after = mode_of(calls, &path(how));
        say(format!("{how} {before:o} {after:o}"), changed);
        let capable = format!("{how}-capable");
        let mut room = [0; 64];
        let sink = Sink::new(&mut room);
        say(capable.clone(), change(&capable, how));
        let kept = calls.getxattr(CWD, &path(&capable), AtFlags(0), CAPABILITIES, sink);
        say(format!("capabilities of {capable}"), kept.map(drop));
    }
    lines
}

/// What is known of a file's mode by whoever asks for nothing else.
fn mode_of(calls: &impl Calls, path: &CStr) -> u16 {
    let mut statx = [0; 256];
    let (sink, mask) = (Sink::new(&mut statx), libc::STATX_MODE);
    let asked = calls.statx(CWD, path, AtFlags(0), mask, sink);
    let place = std::mem::offset_of!(libc::statx, stx_mode);
    asked.map_or(0, |_| u16::from_ne_bytes([statx[place], statx[place + 1]]))
}

/// Everything below a directory with its owner, group and mode.
pub fn listing(base: &Path) -> Vec<String> {
    let mut all = Vec::new();
    let mut places = vec![base.to_owned()];
    while let Some(place) = places.pop() {
        for entry in std::fs::read_dir(place).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(base).unwrap().display().to_string();
            all.push(format!("{name} {:?}", look(&path)));
            if path.is_dir() {
                places.push(path);
            }
        }
    }
    all.sort();
    all
}

/// What somebody is answered when a process with their ids, and nothing of a test's own but `before`, acts in a directory.
pub fn natively(
    (uid, gid, groups): (u32, u32, &[u32]),
    base: &Path,
    before: impl FnOnce(),
) -> Vec<String> {
    text_of(as_somebody((uid, gid, groups), before, || {
        act(&Native::default(), base).join("\n")
    }))
}

/// Runs a function in a process of somebody's, with the mask 022.
pub fn as_somebody(
    (uid, gid, groups): (u32, u32, &[u32]),
    before: impl FnOnce(),
    body: impl FnOnce() -> String,
) -> String {
    let groups: Vec<_> = groups
        .iter()
        .copied()
        .map(nix::unistd::Gid::from_raw)
        .collect();
    let end = forked(move || {
        before();
        nix::unistd::setgroups(&groups).unwrap();
        nix::unistd::setresgid(gid.into(), gid.into(), gid.into()).unwrap();
        nix::unistd::setresuid(uid.into(), uid.into(), uid.into()).unwrap();
        nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
        body()
    });
    match end {
        End::Done(text) => text,
        end => panic!("{end:?}"),
    }
}

fn text_of(text: String) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}
