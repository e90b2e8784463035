//! `as: caller`: ids are translated, and nothing is done for whom the map does not know, whatever a guest says.

use hostcall::acting::Credentials;
use hostcall::ids::{Groups, GuestGid, GuestUid};
use hostcall::ops::{request, Calls, Op};
use hostcall::region::CHUNK;
use hostcall::table::Request;
use hostcall::types::{AtFlags, DirFd, Errno, Mode, OpenFlags};
use hostcall::wire::{flags, Sink, Source, Writer};
use hostcall_tests::confined::require_root;
use hostcall_tests::daemon::{exports, leave, Daemon, PATIENCE};
use hostcall_tests::native::Native;
use hostcall_tests::peer::Peer;
use hostcall_tests::people::{acl, look, make, mapped, serve, who, ANN, BOB};
use hostcall_tests::witness::c;
use serde_json::json;
use std::path::Path;

const CWD: DirFd = DirFd::CWD;

fn read_owner(calls: &impl Calls, path: &Path) -> (u32, u32) {
    let mut data = vec![0u8; size_of::<libc::statx>()];
    let flags = AtFlags(libc::AT_SYMLINK_NOFOLLOW);
    calls
        .statx(
            CWD,
            &c(path),
            flags,
            libc::STATX_BASIC_STATS,
            Sink::new(&mut data),
        )
        .unwrap();
    let word = |at: usize| u32::from_le_bytes(data[at..at + 4].try_into().unwrap());
    (
        word(std::mem::offset_of!(libc::statx, stx_uid)),
        word(std::mem::offset_of!(libc::statx, stx_gid)),
    )
}

#[test]
fn ids_are_translated_both_ways() {
    let daemon = mapped();
    let client = daemon.attach();
    let root = who(0, 0, &[]);
    let seven = who(7, 8, &[]);
    let path = daemon.export("file");
    let as_seven = client.acting_as(&seven);
    let fd = as_seven
        .openat(
            CWD,
            &c(&path),
            OpenFlags(libc::O_CREAT | libc::O_RDWR),
            Mode(0o600),
        )
        .unwrap()
        .fd;
    assert_eq!(look(&path), (50_007, 60_008, 0o600));
    assert_eq!(read_owner(&as_seven, &path), (7, 8));
    let mut data = vec![0u8; size_of::<libc::statx>()];
    as_seven
        .statx(
            fd.into(),
            c"",
            AtFlags(libc::AT_EMPTY_PATH),
            libc::STATX_UID,
            Sink::new(&mut data),
        )
        .unwrap();
    assert_eq!(data[std::mem::offset_of!(libc::statx, stx_uid)], 7);
    // A look-up shows them as statx(2) does.
    let directory = path.parent().expect("the export");
    let flags = OpenFlags(libc::O_RDONLY | libc::O_DIRECTORY);
    let directory = as_seven.openat(CWD, &c(directory), flags, Mode(0)).unwrap();
    let mut data = vec![0u8; size_of::<libc::statx>()];
    as_seven
        .walk(directory.fd.into(), c"file", Sink::new(&mut data))
        .unwrap();
    assert_eq!(data[std::mem::offset_of!(libc::statx, stx_uid)], 7);
    assert_eq!(data[std::mem::offset_of!(libc::statx, stx_gid)], 8);

    // The guest's root is nobody special on the host, and what has no guest id is nobody's in the guest.
    let secret = daemon.export("secret");
    make(&secret, (0, 0), 0o600);
    let as_root = client.acting_as(&root);
    assert_eq!(read_owner(&as_root, &secret), (65534, 65534));
    assert_eq!(
        as_root
            .openat(CWD, &c(&secret), OpenFlags(0), Mode(0))
            .unwrap_err(),
        Errno(libc::EACCES)
    );
    assert_eq!(
        as_root
            .openat(CWD, &c(&path), OpenFlags(0), Mode(0))
            .unwrap_err(),
        Errno(libc::EACCES)
    );

    let groups = [GuestGid(30)];
    let member = who(7, 8, &groups);
    let as_member = client.acting_as(&member);
    let chown = |uid: u32, gid: u32| {
        as_member
            .fchownat(CWD, &c(&path), uid.into(), gid.into(), AtFlags(0))
            .map(drop)
    };
    assert_eq!(chown(u32::MAX, 30), Ok(()));
    assert_eq!(look(&path), (50_007, 60_030, 0o600));
    assert_eq!(chown(u32::MAX, u32::MAX), Ok(()));
    assert_eq!(chown(1000, u32::MAX), Err(Errno(libc::EINVAL)));
    assert_eq!(chown(u32::MAX, 60_030), Err(Errno(libc::EINVAL)));
    assert_eq!(look(&path), (50_007, 60_030, 0o600));
    leave(client);
}

#[test]
fn access_control_lists_are_translated_both_ways() {
    let daemon = mapped();
    let client = daemon.attach();
    let owner = who(7, 8, &[]);
    let calls = client.acting_as(&owner);
    let path = daemon.export("file");
    calls
        .openat(CWD, &c(&path), OpenFlags(libc::O_CREAT), Mode(0o600))
        .unwrap();
    let list = |user: u32, group: u32| {
        acl(&[
            (0x01, 6, u32::MAX),
            (0x02, 4, user),
            (0x04, 0, u32::MAX),
            (0x08, 2, group),
            (0x10, 6, u32::MAX),
            (0x20, 0, u32::MAX),
        ])
    };
    const NAME: &std::ffi::CStr = c"system.posix_acl_access";
    let set = |value: &[u8]| {
        calls
            .setxattr(CWD, &c(&path), AtFlags(0), NAME, Source::new(value), 0)
            .map(drop)
    };
    let get = |calls: &dyn Fn(Sink<'_>) -> Result<usize, Errno>| {
        let mut room = vec![0u8; 200];
        let filled = calls(Sink::new(&mut room)).unwrap();
        room.truncate(filled);
        room
    };
    set(&list(9, 10)).expect("a file system with access control lists");
    let native = Native::default();
    let on_host = get(&|sink| {
        native
            .getxattr(CWD, &c(&path), AtFlags(0), NAME, sink)
            .map(|reply| reply.filled.0)
    });
    assert_eq!(on_host, list(50_009, 60_010));
    let in_guest = get(&|sink| {
        calls
            .getxattr(CWD, &c(&path), AtFlags(0), NAME, sink)
            .map(|reply| reply.filled.0)
    });
    assert_eq!(in_guest, list(9, 10));
    // The size alone, too little room, an id that means nobody on the host.
    assert_eq!(
        calls
            .getxattr(CWD, &c(&path), AtFlags(0), NAME, Sink::new(&mut []))
            .unwrap()
            .size,
        52
    );
    assert_eq!(
        calls
            .getxattr(CWD, &c(&path), AtFlags(0), NAME, Sink::new(&mut [0; 8]))
            .unwrap_err(),
        Errno(libc::ERANGE)
    );
    assert_eq!(set(&list(9, 1000)), Err(Errno(libc::EINVAL)));
    // It works: 9 may read and not write, group 10 the reverse.
    let nine = who(9, 9, &[]);
    let ten = [GuestGid(10)];
    let tenth = who(11, 11, &ten);
    let open = |who: &Credentials<'_>, flags| {
        client
            .acting_as(who)
            .openat(CWD, &c(&path), OpenFlags(flags), Mode(0))
            .map(drop)
    };
    assert_eq!(open(&nine, libc::O_RDONLY), Ok(()));
    assert_eq!(open(&nine, libc::O_WRONLY), Err(Errno(libc::EACCES)));
    assert_eq!(open(&tenth, libc::O_WRONLY), Ok(()));
    assert_eq!(open(&tenth, libc::O_RDONLY), Err(Errno(libc::EACCES)));
    leave(client);
}

#[test]
fn a_caller_outside_the_map_is_refused_and_leaves_no_rights_behind() {
    let daemon = mapped();
    let client = daemon.attach();
    let (inside, outside) = (who(7, 8, &[]), who(1000, 8, &[]));
    let path = daemon.export("file");
    let open = |who: &Credentials<'_>| {
        client
            .acting_as(who)
            .openat(
                CWD,
                &c(&path),
                OpenFlags(libc::O_CREAT | libc::O_WRONLY),
                Mode(0o600),
            )
            .map(|reply| reply.fd)
    };
    open(&inside).unwrap();
    let far = [GuestGid(1), GuestGid(5000)];
    let strangers = [
        outside,
        who(7, 1000, &[]),
        who(7, 8, &far),
        who(u32::MAX, 8, &[]),
        who(7, u32::MAX, &[]),
    ];
    for stranger in &strangers {
        assert_eq!(
            open(stranger).unwrap_err(),
            Errno(libc::EPERM),
            "{stranger:?}"
        );
        let calls = client.acting_as(stranger);
        assert_eq!(calls.nop().unwrap_err(), Errno(libc::EPERM));
        assert_eq!(
            calls.unlinkat(CWD, &c(&path), AtFlags(0)).unwrap_err(),
            Errno(libc::EPERM)
        );
        let many = vec![GuestGid(1); 1025];
        assert_eq!(open(&who(7, 8, &many)).unwrap_err(), Errno(libc::EINVAL));
        // The process itself is root of the test, whom this map knows as one of its users.
        open(&inside).unwrap();
    }
    assert!(path.exists());
    leave(client);
}

fn encode<R: Request>(peer: &mut Peer, request: &R, link: bool) {
    let slot = peer.calls.slot();
    let chunk = peer.arena().part(slot * CHUNK, CHUNK).unwrap();
    let mut writer = Writer::new(R::OP as u32, R::SCALARS, chunk);
    request.encode(&mut writer).unwrap();
    let mut message = writer.finish();
    message.flags = if link { flags::LINK } else { 0 };
    peer.send(message);
}

fn errno_of(peer: &mut Peer) -> u32 {
    peer.reply(PATIENCE).expect("an answer").code
}

/// A guest that does not say whom it acts for, or says so and is refused, gets nothing done, whatever it believes.
#[test]
fn a_guest_that_lies_gets_no_rights() {
    let daemon = mapped();
    let path = c(&daemon.export("file"));
    let make = request::Openat {
        dirfd: CWD,
        path: &path,
        flags: OpenFlags(libc::O_CREAT),
        mode: Mode(0o600),
    };
    let call = |uid: u32| request::Impersonate {
        uid: GuestUid(uid),
        gid: GuestGid(1),
        mask: u32::MAX,
        groups: Groups::new(&[]),
    };
    let mut peer = Peer::attach(daemon.socket()).unwrap();
    assert!(peer.region.has_callers());
    // Says nothing, with and without its word in the header.
    for word in [1, 0, 7] {
        peer.region
            .header()
            .callers
            .store(word, std::sync::atomic::Ordering::SeqCst);
        encode(&mut peer, &make, false);
        assert_eq!(errno_of(&mut peer), libc::EPERM as u32);
    }
    // Is somebody, then wants to be nobody's user, and goes on as if it had been granted.
    encode(&mut peer, &call(1), false);
    assert_eq!(errno_of(&mut peer), 0);
    for stranger in [1000, 50_000, u32::MAX] {
        encode(&mut peer, &call(stranger), false);
        assert_eq!(errno_of(&mut peer), libc::EPERM as u32);
        for (link, errno) in [(true, libc::ECANCELED), (false, libc::EPERM)] {
            encode(&mut peer, &make, link);
            assert_eq!(errno_of(&mut peer), errno as u32);
        }
    }
    assert!(!daemon.export("file").exists());
    encode(&mut peer, &call(2), false);
    assert_eq!(errno_of(&mut peer), 0);
    encode(&mut peer, &make, true);
    assert_eq!(errno_of(&mut peer), 0);
    assert_eq!(look(&daemon.export("file")), (50_002, 60_001, 0o600));
}

#[test]
fn the_op_is_refused_where_calls_have_one_users_rights() {
    require_root();
    let daemon =
        Daemon::configured(|directory| json!({"exports": exports(directory), "as": "root"}));
    let mut peer = Peer::attach(daemon.socket()).unwrap();
    assert!(!peer.region.has_callers());
    let call = request::Impersonate {
        uid: GuestUid(1),
        gid: GuestGid(1),
        mask: u32::MAX,
        groups: Groups::new(&[]),
    };
    encode(&mut peer, &call, false);
    assert_eq!(errno_of(&mut peer), libc::EPERM as u32);
    // The client does not even ask.
    let client = daemon.attach();
    let path = daemon.export("file");
    client
        .acting_as(&who(ANN, ANN, &[]))
        .openat(CWD, &c(&path), OpenFlags(libc::O_CREAT), Mode(0o600))
        .unwrap();
    assert_eq!(look(&path), (0, 0, 0o600));
    let told = daemon.status().calls[Op::Impersonate.spec().name];
    assert_eq!(told, 1, "by the hostile peer alone");
    leave(client);
}

/// Equal credentials cost nothing, and others one more entry in the same round trip.
#[test]
fn a_lane_is_told_only_of_changes() {
    let daemon = serve(json!({}));
    let client = daemon.attach();
    let (ann, bob) = (who(ANN, ANN, &[]), who(BOB, BOB, &[]));
    let told_after = |calls: &dyn Fn(usize)| {
        (0..100).for_each(calls);
        daemon.status().calls[Op::Impersonate.spec().name]
    };
    let nop =
        |calls: &dyn Fn() -> Result<hostcall::ops::reply::Nop, Errno>| assert!(calls().is_ok());
    assert_eq!(told_after(&|_| nop(&|| client.acting_as(&ann).nop())), 1);
    let people = [&ann, &bob];
    assert_eq!(
        told_after(&|n| nop(&|| client.acting_as(people[n % 2]).nop())),
        100
    );
    // For the process itself.
    assert_eq!(told_after(&|_| nop(&|| client.nop())), 101);
    client.ids_changed(false);
    assert_eq!(told_after(&|_| nop(&|| client.nop())), 102);
    leave(client);
}

#[test]
fn status_and_check_say_whose_rights_calls_have() {
    let daemon = serve(json!({}));
    assert_eq!(daemon.status().user, "each call's caller");
    let file = daemon.directory.join("config.json");
    let findings = hostd::config::check(&file);
    let warned = findings
        .iter()
        .any(|finding| finding.to_string().contains("root acts as the host's root"));
    assert!(warned, "{findings:?}");
}
