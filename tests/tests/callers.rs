//! `as: caller`: each call has the rights of its caller in the guest, no more and no less. What a process with the same
//! ids is answered natively is the oracle. Run as root; anybody else is told so.

use hostcall::acting::Credentials;
use hostcall::client::Client;
use hostcall::ids::GuestGid;
use hostcall::ops::Calls;
use hostcall::types::{AtFlags, DirFd, Errno, Mode, Offset, OpenFlags, RemoteFd, RwFlags};
use hostcall_tests::daemon::{leave, Daemon};
use hostcall_tests::people::{look, make, own, serve, who, ANN, BOB, TEAM};
use hostcall_tests::permissions::{act, furnish, listing, natively, PEOPLE};
use hostcall_tests::witness::c;
use serde_json::json;

const CWD: DirFd = DirFd::CWD;

/// capabilities: whoever calls gets what a process of theirs gets.
#[test]
fn several_users_share_one_export_as_on_a_local_file_system() {
    let daemon = serve(json!({}));
    let client = daemon.attach();
    for (n, (uid, gid, groups)) in PEOPLE.into_iter().enumerate() {
        let sides = ["native", "guest"].map(|side| daemon.export(&format!("{side}{n}")));
        sides.iter().for_each(|side| furnish(side));
        let native = natively((uid, gid, groups), &sides[0], || {});
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
