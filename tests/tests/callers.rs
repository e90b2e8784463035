//! `as: caller`: each call has the rights of its caller in the guest, no more and no less. What a process with the same
//! ids is answered natively is the oracle. Run as root; anybody else is told so.

use hostcall::acting::Credentials;
use hostcall::client::Client;
use hostcall::ids::{GuestGid, GuestUid};
use hostcall::ops::Calls;
use hostcall::types::{AtFlags, DirFd, Errno, Mode, Offset, OpenFlags, RemoteFd, RwFlags, Times};
use hostcall::wire::Source;
use hostcall_tests::confined::{forked, End};
use hostcall_tests::daemon::{leave, Daemon};
use hostcall_tests::native::Native;
use hostcall_tests::people::{acl, look, make, own, serve, who, ANN, BOB, TEAM};
use hostcall_tests::witness::c;
use serde_json::json;
use std::path::Path;

const CWD: DirFd = DirFd::CWD;

/// What several people would meet in a shared directory.
fn furnish(base: &Path) {
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
    ] {
        std::fs::create_dir(base.join(name)).unwrap();
        own(&base.join(name), owner, mode);
    }
    for name in ["a", "b"] {
        make(&base.join("sticky").join(name), (ANN, ANN), 0o666);
    }
    make(&base.join("private/file"), (ANN, ANN), 0o666);
    make(&base.join("suid"), (ANN, TEAM), 0o6777);
    make(&base.join("suid2"), (ANN, TEAM), 0o6777);
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
fn act(calls: &impl Calls, base: &Path) -> Vec<String> {
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
    for name in [
        "owner",
        "group",
        "other",
        "none",
        "acl",
        "private/file",
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
        // cap_net_raw+ep, revision 2.
        let capability = [
            1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        ];
        let value = Source::new(&capability);
        say(
            format!("setcap {name}"),
            calls
                .setxattr(
                    CWD,
                    &path(name),
                    AtFlags(0),
                    c"security.capability",
                    value,
                    0,
                )
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
    if let Ok(fd) = open("suid2", libc::O_WRONLY) {
        say(
            "write to a set-user-id file".into(),
            calls
                .write(fd, Offset(0), RwFlags(0), Source::new(b"x"))
                .map(drop),
        );
    }
    lines
}

/// Everything below a directory with its owner, group and mode.
fn listing(base: &Path) -> Vec<String> {
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

/// A process with these ids, all of them, as a login of that user.
fn natively(uid: u32, gid: u32, groups: &[u32], base: &Path) -> Vec<String> {
    let (groups, base) = (groups.to_vec(), base.to_owned());
    let end = forked(move || {
        let groups: Vec<_> = groups.into_iter().map(nix::unistd::Gid::from_raw).collect();
        nix::unistd::setgroups(&groups).unwrap();
        nix::unistd::setresgid(gid.into(), gid.into(), gid.into()).unwrap();
        nix::unistd::setresuid(uid.into(), uid.into(), uid.into()).unwrap();
        nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
        act(&Native::default(), &base).join("\n")
    });
    match end {
        End::Done(text) => text.lines().map(str::to_owned).collect(),
        end => panic!("{end:?}"),
    }
}

/// Owner, group and other; supplementary groups; sticky and set-group-id directories; lists; set-id bits and file
/// capabilities: whoever calls gets what a process of theirs gets.
#[test]
fn several_users_share_one_export_as_on_a_local_file_system() {
    let daemon = serve(json!({}));
    let client = daemon.attach();
    let people: [(u32, u32, &[u32]); 6] = [
        (ANN, ANN, &[]),
        (BOB, BOB, &[]),
        (BOB, BOB, &[TEAM]),
        (BOB, TEAM, &[]),
        (31_003, 31_003, &[5, TEAM, 9]),
        (0, 0, &[]),
    ];
    for (n, (uid, gid, groups)) in people.into_iter().enumerate() {
        let sides = ["native", "guest"].map(|side| daemon.export(&format!("{side}{n}")));
        sides.iter().for_each(|side| furnish(side));
        let native = natively(uid, gid, groups, &sides[0]);
        let list: Vec<GuestGid> = groups.iter().copied().map(GuestGid).collect();
        let guest = act(&client.acting_as(&who(uid, gid, &list)), &sides[1]);
        assert!(native.len() > 80, "{native:?}");
        for (native, guest) in native.iter().zip(&guest) {
            assert_eq!(native, guest, "uid {uid} gid {gid} groups {groups:?}");
        }
        assert_eq!(native.len(), guest.len());
        assert_eq!(
            listing(&sides[0]),
            listing(&sides[1]),
            "uid {uid} gid {gid} groups {groups:?}"
        );
    }
    leave(client);
}

/// The mask is the caller's where one is given, and the session's again where none is.
#[test]
fn masks_are_each_callers_own() {
    let daemon = serve(json!({}));
    let client = daemon.attach();
    let made = |name: &str, umask: Option<u32>| {
        let who = Credentials {
            umask: umask.map(Mode),
            ..who(ANN, ANN, &[])
        };
        let path = daemon.export(name);
        client
            .acting_as(&who)
            .openat(CWD, &c(&path), OpenFlags(libc::O_CREAT), Mode(0o777))
            .unwrap();
        look(&path).2
    };
    assert_eq!(made("a", None), 0o755);
    assert_eq!(made("b", Some(0)), 0o777);
    assert_eq!(made("c", Some(0o077)), 0o700);
    assert_eq!(made("d", None), 0o755);
    client.umask(Mode(0o027)).unwrap();
    assert_eq!(made("e", None), 0o750);
    leave(client);
}

/// A transfer of several pieces, an append of the whole arena, and a write whose caller may not.
#[test]
fn long_transfers_act_for_their_caller() {
    use hostcall::transfer::{read_vectored, write_vectored};
    let daemon = serve(json!({}));
    let client = daemon.attach();
    let (ann, bob) = (who(ANN, ANN, &[]), who(BOB, BOB, &[]));
    let path = daemon.export("file");
    let open = |flags| {
        client
            .acting_as(&ann)
            .openat(CWD, &c(&path), OpenFlags(flags), Mode(0o600))
            .unwrap()
            .fd
    };
    let fd = open(libc::O_CREAT | libc::O_RDWR);
    let data: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
    let vector = |data: &[u8]| libc::iovec {
        iov_base: data.as_ptr().cast_mut().cast(),
        iov_len: data.len(),
    };
    let write = |who: &Credentials<'_>, fd: RemoteFd| {
        // SAFETY: a live buffer.
        unsafe {
            write_vectored(
                client.acting_as(who),
                fd,
                Offset(0),
                RwFlags(0),
                &[vector(&data)],
            )
        }
    };
    // Each transfer finds the lane acting for the other one.
    for n in 0..20 {
        own(&path, (ANN, ANN), 0o6777);
        let who = [&ann, &bob][n % 2];
        assert_eq!(write(who, fd), Ok(data.len()));
        // Written by an ordinary user, the set-id bits are gone: the caller had no CAP_FSETID.
        assert_eq!(look(&path).2, 0o777);
        let back = vec![0u8; data.len()];
        // SAFETY: a live buffer that nothing else looks at.
        let read = unsafe {
            read_vectored(
                client.acting_as([&bob, &ann][n % 2]),
                fd,
                Offset(0),
                RwFlags(0),
                &[vector(&back)],
            )
        };
        assert_eq!(read, Ok(data.len()));
        assert!(back == data, "round {n}");
    }
    let append = open(libc::O_WRONLY | libc::O_APPEND);
    let before = std::fs::metadata(&path).unwrap().len();
    for who in [&bob, &ann] {
        let piece = &data[..400_000];
        // SAFETY: a live buffer.
        let written = unsafe {
            write_vectored(
                client.acting_as(who),
                append,
                Offset::CURRENT,
                RwFlags(0),
                &[vector(piece)],
            )
        };
        assert_eq!(written, Ok(piece.len()));
    }
    assert_eq!(std::fs::metadata(&path).unwrap().len(), before + 800_000);
    leave(client);
}

/// Four people on the lanes of one session at once: each makes files, which must be theirs, and opens the others' private
/// ones, which must fail.
#[test]
fn no_call_has_the_rights_of_another_lane() {
    const ROUNDS: usize = 2500;
    let daemon = serve(json!({}));
    let people = [(0, 0), (ANN, ANN), (BOB, BOB), (31_003, TEAM)];
    for (uid, gid) in people {
        make(&daemon.export(&format!("private-{uid}")), (uid, gid), 0o600);
    }
    let client = daemon.attach();
    std::thread::scope(|scope| {
        for (turn, (uid, gid)) in people.into_iter().enumerate() {
            let (client, daemon): (&Client, &Daemon) = (&client, &daemon);
            scope.spawn(move || {
                let groups: Vec<GuestGid> = (0..uid % 40).map(GuestGid).collect();
                let me = who(uid, gid, &groups);
                for round in 0..ROUNDS {
                    let calls = client.acting_as(&me);
                    let own = daemon.export(&format!("{uid}-{}", round % 7));
                    let open = OpenFlags(libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY);
                    let fd = calls.openat(CWD, &c(&own), open, Mode(0o600)).unwrap().fd;
                    assert_eq!(look(&own), (uid, gid, 0o600), "round {round}");
                    calls.close(fd).unwrap();
                    let (other, _) = people[(turn + 1 + round % 3) % 4];
                    let private = c(&daemon.export(&format!("private-{other}")));
                    let opened = calls.openat(CWD, &private, OpenFlags(libc::O_RDONLY), Mode(0));
                    match (uid, opened) {
                        (0, Ok(reply)) => drop(calls.close(reply.fd)),
                        (1.., Err(Errno(libc::EACCES))) => {}
                        (_, opened) => panic!("{uid} opens the file of {other}: {opened:?}"),
                    }
                    calls.unlinkat(CWD, &c(&own), AtFlags(0)).unwrap();
                }
            });
        }
    });
    leave(client);
}
