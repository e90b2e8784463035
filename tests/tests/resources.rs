//! A guest that takes all it can get: its limits answer it, and nobody else notices.

use hostcall::attach::{AttachError, Hello, Sent, Welcome};
use hostcall::client::Client;
use hostcall::ops::{Calls, Op};
use hostcall::region::{LaneState, VERSION};
use hostcall::types::{
    DirFd, Errno, Mode, Offset, OpenFlags, RecordLock, RemoteFd, RwFlags, Token,
};
use hostcall::wire::Sink;
use hostcall_tests::daemon::{descendants, eventually, leave, program, Daemon};
use hostcall_tests::generator::forged;
use hostcall_tests::peer::{Peer, FRESH};
use hostcall_tests::witness::{c, unharmed};
use nix::sys::socket::{
    connect, recv, send, setsockopt, socket, sockopt::ReceiveTimeout, AddressFamily, MsgFlags,
    SockFlag, SockType, UnixAddr,
};
use serde_json::json;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);

fn open(client: &Client, path: &std::path::Path, flags: i32) -> Result<RemoteFd, Errno> {
    client
        .openat(DirFd::CWD, &c(path), OpenFlags(flags), Mode(0o600))
        .map(|reply| reply.fd)
}

fn fds_of(pid: i32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

#[test]
fn a_limit_beyond_what_the_host_grants_leaves_shadows_what_they_need() {
    let most = std::fs::read_to_string("/proc/sys/fs/nr_open").expect("proc");
    let most: u64 = most.trim().parse().expect("a number");
    let daemon = Daemon::with_limits(json!({"open_files": most + 1}));
    let file = daemon.export("file");
    std::fs::write(&file, "data").unwrap();
    let client = daemon.attach();
    let path = open(&client, &file, libc::O_PATH).expect("the file");
    let anew = client.reopen(path, OpenFlags(libc::O_RDONLY));
    let anew = anew.expect("the shadow's way to its own descriptors").fd;
    assert!(client.fcntl(anew, libc::F_GETFL, 0).is_ok());
}

#[test]
fn cve_2020_10717_open_files_run_out_for_their_session_only() {
    let daemon = Daemon::with_limits(json!({"open_files": 64}));
    let before = daemon.settled_footprint();
    std::fs::write(daemon.export("file"), "data").unwrap();
    let file = daemon.export("file");
    unharmed(&daemon, || {
        let client = daemon.attach();
        let mut fds = Vec::new();
        let errno = loop {
            match open(&client, &file, libc::O_RDONLY) {
                Ok(fd) => fds.push(fd),
                Err(errno) => break errno,
            }
            assert!(fds.len() <= 64);
        };
        assert_eq!(errno, Errno(libc::EMFILE));
        assert!(
            fds.len() >= 50,
            "most of the 64 are the guest's: {}",
            fds.len()
        );
        assert_eq!(
            client.dup(fds[0], OpenFlags(0)).unwrap_err(),
            Errno(libc::EMFILE)
        );
        // Forking takes one descriptor in passing, for the working directory; then the child has all the same files.
        assert_eq!(client.fork_session().unwrap_err(), Errno(libc::EMFILE));
        client.close(fds[7]).unwrap();
        let child = daemon
            .try_attach(Some(client.fork_session().unwrap().token))
            .unwrap();
        for fd in fds.iter().filter(|fd| **fd != fds[7]) {
            assert_eq!(child.lseek(*fd, 0, libc::SEEK_END).unwrap().offset, 4);
        }
        for session in [&client, &child] {
            assert_eq!(open(session, &file, libc::O_RDONLY), Ok(fds[7]));
            assert_eq!(
                open(session, &file, libc::O_RDONLY).unwrap_err(),
                Errno(libc::EMFILE)
            );
        }
        let other = daemon.attach();
        open(&other, &file, libc::O_RDONLY).unwrap();
        [client, child, other].into_iter().for_each(leave);
    });
    daemon.settles_to(&before);
}

#[test]
fn a_guest_that_claims_every_lane_has_them_and_no_more() {
    let daemon = Daemon::start();
    let before = daemon.settled_footprint();
    unharmed(&daemon, || {
        let peer = Peer::attach(daemon.socket()).unwrap();
        for lane in 1..peer.region.lanes() {
            let page = peer.region.page(lane).unwrap();
            page.set_claim(&FRESH);
            page.set_state(LaneState::Waiting);
            (0..3).for_each(|_| peer.link.attention(lane));
        }
        let served = |lane| peer.region.page(lane).unwrap().state() == Some(LaneState::Served);
        eventually("all lanes are served", || {
            (0..peer.region.lanes()).all(served)
        });
        let sessions = daemon.status().sessions;
        assert!(sessions
            .iter()
            .all(|session| session.lanes <= peer.region.lanes()));
        assert!(!peer
            .region
            .page(0)
            .unwrap()
            .move_state(LaneState::Free, LaneState::Claimed));
    });
    daemon.settles_to(&before);
}

#[test]
fn fork_storms_end_at_the_limit_and_unclaimed_children_expire() {
    // Time enough for the storm: the first child must not be given up before the last is refused.
    let daemon = Daemon::with_limits(json!({"processes": 12, "child_seconds": 25}));
    let before = daemon.settled_footprint();
    unharmed(&daemon, || {
        std::fs::write(daemon.export("file"), "data").unwrap();
        let clients = [daemon.attach(), daemon.attach()];
        for _ in 0..100 {
            open(&clients[0], &daemon.export("file"), libc::O_RDONLY).unwrap();
        }
        // Two sessions fork at once, as fast as they can.
        let forks: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = clients
                .iter()
                .map(|client| {
                    scope.spawn(|| (0..60).filter(|_| client.fork_session().is_ok()).count())
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        assert!(
            (1..=9).contains(&forks),
            "{forks} children beside three processes"
        );
        assert_eq!(clients[1].fork_session().unwrap_err(), Errno(libc::EAGAIN));
        assert!(matches!(
            daemon.try_attach(None),
            Err(AttachError::Refused(Errno(libc::EAGAIN)))
        ));
        assert!(descendants(daemon.pid()).len() <= 12 + 4 + 1);
        eventually("the children that never came are given up", || {
            daemon.status().sessions.len() == 3
        });
        leave(daemon.attach());
        clients.into_iter().for_each(leave);
    });
    daemon.settles_to(&before);
    assert_eq!(daemon.logged("panicked"), 0);
}

/// As fork(2) fails at `RLIMIT_NPROC`: no child runs on without the files that it counts on.
#[test]
fn a_program_at_the_limit_of_processes_cannot_fork() {
    let daemon = Daemon::with_limits(json!({"processes": 2}));
    let file = daemon.export("file");
    std::fs::write(&file, "").unwrap();
    let seen = Path::new("/host").join(file.strip_prefix("/").unwrap());
    let out = Command::new("python3")
        .args(["-c", include_str!("resources/forks_at_the_limit.py")])
        .arg(seen)
        .env("LD_PRELOAD", program("libhostcall_preload.so"))
        .env("HOSTCALL_ATTACH", daemon.socket())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&out.stdout);
    let expected = "fork True\n_Fork True\nvfork True\nno other child\nfirst 0\nwritten 21\n";
    assert_eq!(
        (&*told, &*String::from_utf8_lossy(&out.stderr)),
        (expected, "")
    );
}

#[test]
fn shared_files_that_nobody_redeems_are_bounded() {
    let daemon = Daemon::start();
    let before = daemon.settled_footprint();
    unharmed(&daemon, || {
        let client = daemon.attach();
        std::fs::write(daemon.export("file"), "data").unwrap();
        let fd = open(&client, &daemon.export("file"), libc::O_RDONLY).unwrap();
        let shared = (0..5000).take_while(|_| client.share(fd).is_ok()).count();
        assert!((1000..5000).contains(&shared), "{shared} shared");
        assert_eq!(client.share(fd).unwrap_err(), Errno(libc::ENFILE));
        assert!(fds_of(daemon.pid()) <= before.fds + shared + 20);
        // A token that was never given out finds nothing, however many are out.
        for guess in [
            Token::NONE,
            Token([1, 1]),
            Token([u64::MAX; 2]),
            Token::random().unwrap(),
        ] {
            assert_eq!(
                client.redeem(guess, OpenFlags(0)).unwrap_err(),
                Errno(libc::ENOENT)
            );
        }
        leave(client);
    });
    daemon.settles_to(&before);
    assert_eq!(daemon.status().shared_files, 0);
}

#[test]
fn two_to_the_63_bytes_are_refused_or_cut_short() {
    let daemon = Daemon::start();
    unharmed(&daemon, || {
        let client = daemon.attach();
        let fd = open(
            &client,
            &daemon.export("file"),
            libc::O_RDWR | libc::O_CREAT,
        )
        .unwrap();
        for size in [i64::MAX, i64::MIN, -1] {
            assert!(client.ftruncate(fd, size).is_err());
            assert!(client.fallocate(fd, 0, 0, size).is_err());
            assert!(client.fallocate(fd, 0, size, size).is_err());
            let _ = client.fadvise(fd, size, size, libc::POSIX_FADV_WILLNEED);
            let _ = client.lseek(fd, size, libc::SEEK_SET);
        }
        let copied = client.copy_file_range(fd, Offset(0), fd, Offset(1 << 62), 1 << 63, 0);
        assert!(copied.is_err() || copied.unwrap().copied == 0);
        let mut byte = [0];
        assert!(client
            .read(fd, Offset(i64::MAX), RwFlags(0), Sink::new(&mut byte))
            .map_or(true, |reply| reply.filled.0 == 0));
        leave(client);
        // Capacities of all sizes, from a peer that does not mind what its client would refuse.
        let mut peer = Peer::attach(daemon.socket()).unwrap();
        for (op, capacity) in [(Op::Getcwd, 0), (Op::Read, 3), (Op::Getdents, 1)] {
            let mut scalars = [0; 4];
            scalars[capacity] = 1 << 31;
            peer.send(forged(op, &scalars, b"", 0));
            assert!(peer.reply(LIMIT).is_some(), "{op:?}");
        }
    });
    assert_eq!(
        daemon.logged("protocol error") + daemon.logged("panicked"),
        0
    );
}

#[test]
fn a_guest_that_holds_every_lock_lets_go_with_its_end() {
    let daemon = Daemon::start();
    let before = daemon.settled_footprint();
    unharmed(&daemon, || {
        let greedy = daemon.attach();
        let fd = open(
            &greedy,
            &daemon.export("file"),
            libc::O_RDWR | libc::O_CREAT,
        )
        .unwrap();
        for n in 0..5000 {
            // Every other byte, so that the kernel cannot merge them.
            let lock = RecordLock {
                kind: libc::F_WRLCK as i16,
                whence: 0,
                start: 2 * n,
                len: 1,
                pid: 0,
            };
            if let Err(errno) = greedy.lock(fd, libc::F_SETLK, lock) {
                assert_eq!(errno, Errno(libc::ENOLCK));
                break;
            }
        }
        greedy.flock(fd, libc::LOCK_EX).unwrap();
        let other = daemon.attach();
        let theirs = open(&other, &daemon.export("file"), libc::O_RDWR).unwrap();
        let whole = RecordLock {
            kind: libc::F_WRLCK as i16,
            whence: 0,
            start: 0,
            len: 0,
            pid: 0,
        };
        assert_eq!(
            other.lock(theirs, libc::F_SETLK, whole).unwrap_err(),
            Errno(libc::EAGAIN)
        );
        assert_eq!(
            other
                .flock(theirs, libc::LOCK_EX | libc::LOCK_NB)
                .unwrap_err(),
            Errno(libc::EWOULDBLOCK)
        );
        leave(greedy);
        eventually("the locks are gone", || {
            other.lock(theirs, libc::F_SETLK, whole).is_ok()
        });
        eventually("the lock is gone", || {
            other.flock(theirs, libc::LOCK_EX | libc::LOCK_NB).is_ok()
        });
        leave(other);
    });
    daemon.settles_to(&before);
}

/// A connection, with its introduction if wanted.
fn knock(daemon: &Daemon, hello: bool) -> Option<OwnedFd> {
    let connection = socket(
        AddressFamily::Unix,
        SockType::SeqPacket,
        SockFlag::SOCK_CLOEXEC,
        None,
    )
    .ok()?;
    connect(
        connection.as_raw_fd(),
        &UnixAddr::new(daemon.socket()).ok()?,
    )
    .ok()?;
    if hello {
        let hello = Hello {
            version: VERSION,
            claim: FRESH,
            sent: Sent::here(),
        }
        .to_bytes();
        send(connection.as_raw_fd(), &hello, MsgFlags::empty()).ok()?;
    }
    Some(connection)
}

#[test]
fn connections_that_never_say_hello_are_bounded() {
    let daemon = Daemon::start();
    let before = daemon.settled_footprint();
    unharmed(&daemon, || {
        let silent: Vec<_> = (0..900).filter_map(|_| knock(&daemon, false)).collect();
        assert_eq!(silent.len(), 900);
        eventually("hostd lets go of the oldest", || {
            fds_of(daemon.pid()) < before.fds + 200
        });
        // Among all the noise a new process is let in.
        leave(daemon.attach());
        for length in [0, 1, 47, 49, 4000] {
            let rude = knock(&daemon, false).unwrap();
            let _ = send(
                rude.as_raw_fd(),
                &vec![0x41; length],
                MsgFlags::MSG_NOSIGNAL,
            );
        }
    });
    daemon.settles_to(&before);
}

/// More processes at once than the zygote's socket holds requests for: nobody waits for anybody for ever.
#[test]
fn a_thousand_processes_at_once_are_served_or_refused() {
    let daemon = Daemon::with_limits(json!({"processes": 300, "lanes": 1}));
    let before = daemon.settled_footprint();
    let connections: Vec<OwnedFd> = (0..1000).filter_map(|_| knock(&daemon, true)).collect();
    assert_eq!(connections.len(), 1000);
    let (mut served, mut refused) = (0, 0);
    for connection in &connections {
        setsockopt(
            connection,
            ReceiveTimeout,
            &nix::sys::time::TimeVal::new(LIMIT.as_secs() as i64, 0),
        )
        .unwrap();
        let mut answer = [0; Welcome::SIZE];
        assert_eq!(
            recv(connection.as_raw_fd(), &mut answer, MsgFlags::empty()),
            Ok(Welcome::SIZE)
        );
        match Welcome::from_bytes(answer).errno {
            0 => served += 1,
            libc::EAGAIN => refused += 1,
            errno => panic!("{errno}"),
        }
    }
    assert_eq!((served, refused), (300, 700));
    // One shadow each and the spares; one region each, so what the guest can fill of /dev/shm is bounded too.
    assert!(descendants(daemon.pid()).len() <= 300 + 4 + 1);
    assert!(fds_of(daemon.pid()) < before.fds + 300 * 5);
    drop(connections);
    daemon.settles_to(&before);
    leave(daemon.attach());
}

/// What one guest does is not another's matter: they share hostd and nothing else.
#[test]
fn a_guest_at_its_limits_does_not_touch_another_guest() {
    let daemon = Daemon::launch(|directory, socket| {
        let exports = hostcall_tests::daemon::exports(directory);
        let greedy = json!({"attach": {"local": directory.join("greedy.sock")}, "exports": exports, "limits": {"processes": 4}});
        json!({"guests": {"a": {"attach": {"local": socket}, "exports": exports}, "greedy": greedy}})
    });
    let before = daemon.settled_footprint();
    unharmed(&daemon, || {
        let socket = daemon.directory.join("greedy.sock");
        let peers: Vec<Peer> = (0..20).filter_map(|_| Peer::attach(&socket)).collect();
        assert_eq!(peers.len(), 4);
        // Its tokens mean nothing to the other guest.
        let greedy = {
            drop(peers);
            eventually("there is room again", || {
                daemon.guests()[1].sessions.is_empty()
            });
            hostcall_tests::daemon::attach_to(&socket, None).unwrap()
        };
        std::fs::write(daemon.export("file"), "data").unwrap();
        let fd = open(&greedy, &daemon.export("file"), libc::O_RDONLY).unwrap();
        let (shared, child) = (
            greedy.share(fd).unwrap().token,
            greedy.fork_session().unwrap().token,
        );
        let other = daemon.attach();
        assert_eq!(
            other.redeem(shared, OpenFlags(0)).unwrap_err(),
            Errno(libc::ENOENT)
        );
        assert!(matches!(
            daemon.try_attach(Some(child)),
            Err(AttachError::Refused(Errno(libc::ENOENT)))
        ));
        assert!(greedy.redeem(shared, OpenFlags(0)).is_ok());
        // The prepared child belongs to the other guest's status; it leaves by being taken over.
        leave(hostcall_tests::daemon::attach_to(&socket, Some(child)).unwrap());
        leave(greedy);
        leave(other);
    });
    daemon.settles_to(&before);
}

/// Only the guest's host user may connect, since whoever may acts as that user.
#[test]
fn the_socket_is_its_users_own() {
    use std::os::unix::fs::MetadataExt;
    let daemon = Daemon::start();
    let data = std::fs::metadata(daemon.socket()).unwrap();
    assert_eq!(
        (data.mode() & 0o777, data.uid()),
        (0o600, nix::unistd::geteuid().as_raw())
    );
    assert_eq!(daemon.status().sessions.len(), 0);
    let peer = Peer::attach(daemon.socket()).unwrap();
    peer.page().cancel.0.store(1, Ordering::Relaxed);
    drop(peer);
}
