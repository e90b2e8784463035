//! Faults of other shared-memory protocols that only a running host can have, each as a test that would have caught it.

use hostcall::attach::{Hello, Sent, Welcome};
use hostcall::client::Client;
use hostcall::ops::{Calls, Op};
use hostcall::region::{ARENA, CHUNK, VERSION};
use hostcall::ring::DEPTH;
use hostcall::types::{AtFlags, DirFd, Mode, Offset, OpenFlags, RwFlags};
use hostcall::wire::{Sink, HEAD};
use hostcall_tests::daemon::{leave, Daemon};
use hostcall_tests::generator::forged;
use hostcall_tests::peer::{Peer, FRESH};
use hostcall_tests::witness::{c, unharmed};
use nix::sys::socket::{
    connect, recvmsg, send, socket, AddressFamily, ControlMessageOwned, MsgFlags, SockFlag,
    SockType, UnixAddr,
};
use std::io::IoSliceMut;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);

#[test]
fn a_peer_cannot_truncate_the_shared_file() {
    let daemon = Daemon::start();
    let connection = socket(
        AddressFamily::Unix,
        SockType::SeqPacket,
        SockFlag::SOCK_CLOEXEC,
        None,
    )
    .unwrap();
    connect(
        connection.as_raw_fd(),
        &UnixAddr::new(daemon.socket()).unwrap(),
    )
    .unwrap();
    let hello = Hello {
        version: VERSION,
        claim: FRESH,
        sent: Sent::here(),
    }
    .to_bytes();
    send(connection.as_raw_fd(), &hello, MsgFlags::empty()).unwrap();
    let mut answer = [0; Welcome::SIZE];
    let mut control = nix::cmsg_space!([i32; 1]);
    let mut buffers = [IoSliceMut::new(&mut answer)];
    let message = recvmsg::<()>(
        connection.as_raw_fd(),
        &mut buffers,
        Some(&mut control),
        MsgFlags::MSG_CMSG_CLOEXEC,
    )
    .unwrap();
    let Some(ControlMessageOwned::ScmRights(fds)) = message.cmsgs().unwrap().next() else {
        panic!("no region")
    };
    let path = format!("/proc/self/fd/{}", fds[0]);
    let size = std::fs::metadata(&path).unwrap().len();
    // Opened anew, so that no right of the descriptor that was passed matters.
    let file = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .unwrap();
    for len in [0, 1, 4096, size - 1, size + 1] {
        assert_eq!(
            file.set_len(len).unwrap_err().raw_os_error(),
            Some(libc::EPERM)
        );
    }
    assert_eq!(nix::unistd::ftruncate(&file, 0), Err(nix::Error::EPERM));
    assert_eq!(file.metadata().unwrap().len(), size);
}

#[test]
fn dpdk_86846_lane_numbers_out_of_range_are_ignored() {
    let daemon = Daemon::start();
    let mut peer = Peer::attach(daemon.socket()).unwrap();
    let lanes = peer.region.lanes();
    for round in 0..4 {
        for lane in 0..=255 {
            peer.region
                .header()
                .lanes
                .store(if round % 2 == 0 { u32::MAX } else { 0 }, Ordering::Relaxed);
            peer.link.attention(lane);
        }
        peer.send(forged(Op::Nop, &[], b"", 0));
        assert_eq!(peer.reply(LIMIT).unwrap().code, 0);
    }
    assert!(lanes < 255);
    assert_eq!(
        daemon
            .status()
            .sessions
            .iter()
            .map(|session| session.lanes)
            .sum::<u32>(),
        1
    );
    assert_eq!(
        daemon.logged("protocol error") + daemon.logged("panicked"),
        0
    );
}

/// The guest keeps the ring full for ever: its shadow serves it and nobody else waits; it stops when its peer is gone.
#[test]
fn dpdk_86847_a_ring_that_never_ends_ends_with_its_session() {
    let daemon = Daemon::start();
    let before = daemon.settled_footprint();
    let stop = AtomicBool::new(false);
    unharmed(&daemon, || {
        let Peer {
            link,
            region,
            mut calls,
            replies: _,
        } = Peer::attach(daemon.socket()).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // Every slot always holds the next lap, so that the consumer never finds the ring empty.
                let page = region.page(0).unwrap();
                while !stop.load(Ordering::Relaxed) {
                    calls.publish(&page.calls.0, forged(Op::Nop, &[], b"", 0));
                    hostcall_tests::peer::wake_host(page);
                }
            });
            std::thread::sleep(Duration::from_millis(300));
            drop(link);
            std::thread::sleep(Duration::from_millis(300));
            stop.store(true, Ordering::Relaxed);
        });
    });
    daemon.settles_to(&before);
}

fn resident(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("RssAnon"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// QEMU's virtio queue grew with every request that was not reaped. Here an unread reply is overwritten.
#[test]
fn cve_2016_5403_submitting_without_reaping_costs_the_host_nothing() {
    let daemon = Daemon::start();
    let mut peer = Peer::attach(daemon.socket()).unwrap();
    peer.send(forged(Op::Nop, &[], b"", 0));
    peer.reply(LIMIT).unwrap();
    let shadow = daemon.status().sessions[0].shadow.unwrap();
    let answered = || daemon.status().sessions[0].calls;
    let before = (resident(shadow), resident(daemon.pid()));
    let mut sent = answered();
    for _ in 0..300 {
        for _ in 0..DEPTH {
            peer.send(forged(Op::Nop, &[], b"", 0));
            sent += 1;
        }
        // Long enough for four calls; a slower machine would make the peer overrun its own calls, which is a fault.
        std::thread::sleep(Duration::from_millis(3));
    }
    let session = daemon.status().sessions.into_iter().next();
    let ended_for_overrun = session.is_none() && daemon.logged("protocol error") == 1;
    assert!(ended_for_overrun || session.is_some_and(|session| session.calls == sent));
    if !ended_for_overrun {
        assert!(resident(shadow) < before.0 + 256, "the shadow has grown");
    }
    assert!(resident(daemon.pid()) < before.1 + 1024, "hostd has grown");
}

/// VMware's HGFS leaked memory behind what it had filled. Here the kernel writes straight to the chunk, and only what
/// the call returns.
#[test]
fn cve_2025_22226_nothing_lies_behind_what_a_call_returns() {
    let daemon = Daemon::start();
    let file = daemon.export("short");
    std::fs::write(&file, b"0123456789").unwrap();
    std::os::unix::fs::symlink("0123456789", daemon.export("link")).unwrap();
    let client = daemon.attach();
    let clean = |name: &str, call: &dyn Fn(&Client, &mut [u8]) -> usize| {
        let mut room = vec![0xaa; CHUNK];
        let filled = call(&client, &mut room);
        assert!(filled > 0, "{name}");
        assert!(
            room[filled..].iter().all(|byte| *byte == 0xaa),
            "{name} returned {filled} bytes and left more"
        );
    };
    let open = |path, flags| {
        client
            .openat(DirFd::CWD, path, OpenFlags(flags), Mode(0))
            .unwrap()
            .fd
    };
    let (path, link, directory) = (c(&file), c(&daemon.export("link")), c(&daemon.export("")));
    let (fd, dir) = (
        open(&path, libc::O_RDONLY),
        open(&directory, libc::O_RDONLY | libc::O_DIRECTORY),
    );
    clean("read", &|client, room| {
        client
            .read(fd, Offset(0), RwFlags(0), Sink::new(room))
            .unwrap()
            .filled
            .0
    });
    clean("readlink", &|client, room| {
        client
            .readlinkat(DirFd::CWD, &link, Sink::new(room))
            .unwrap()
            .filled
            .0
    });
    clean("getdents", &|client, room| {
        client.getdents(dir, Sink::new(room)).unwrap().filled.0
    });
    clean("statx", &|client, room| {
        client
            .statx(DirFd::CWD, &path, AtFlags(0), 0x7ff, Sink::new(room))
            .unwrap()
            .filled
            .0
    });
    clean("statfs", &|client, room| {
        client
            .statfs(DirFd::CWD, &path, Sink::new(room))
            .unwrap()
            .filled
            .0
    });
    clean("getcwd", &|client, room| {
        client.getcwd(Sink::new(room)).unwrap().filled.0
    });
    leave(client);
    // The same by a peer that claims more room than there is: nothing but the ten bytes in the whole arena.
    let mut peer = Peer::attach(daemon.socket()).unwrap();
    let name = path.as_bytes_with_nul();
    let (near, far) = name.split_at(name.len().min(HEAD - 16));
    peer.arena().copy_in(far).unwrap();
    let scalars = [libc::AT_FDCWD as u64, name.len() as u64];
    peer.send(forged(Op::Openat, &scalars, near, far.len() as u32));
    let fd = peer.reply(LIMIT).unwrap().words[0] & u64::from(u32::MAX);
    peer.arena().copy_in(&vec![0xaa; ARENA]).unwrap();
    peer.send(forged(Op::Read, &[fd, 0, 0, u64::MAX], b"", 0));
    let reply = peer.reply(LIMIT).unwrap();
    assert_eq!((reply.code, reply.payload), (0, 10));
    let mut arena = vec![0; ARENA];
    peer.arena().copy_out(&mut arena).unwrap();
    assert_eq!(&arena[CHUNK..CHUNK + 10], b"0123456789");
    assert_eq!(arena.iter().filter(|byte| **byte != 0xaa).count(), 10);
}
