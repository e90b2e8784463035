//! Faults of other shared-memory protocols, each as a test that would have caught it here.

use hostcall::attach::{Hello, Welcome};
use hostcall::client::Client;
use hostcall::ops::{self, Calls, Op, Spy};
use hostcall::region::{self, payload, prefix_size, Region, ARENA, CHUNK, PAGE, VERSION};
use hostcall::ring::{mock, Consumer, Producer, Ring, DEPTH};
use hostcall::shm::{sealed_memfd, Mapping, Window};
use hostcall::table::Witness;
use hostcall::types::{AtFlags, DirFd, Errno, Mode, Offset, OpenFlags, RwFlags};
use hostcall::wire::{flags, Extent, Field, Message, ProtocolError, Reader, Sink, SCRATCH, WORDS};
use hostcall_tests::daemon::{leave, Daemon};
use hostcall_tests::peer::{Peer, FRESH};
use hostcall_tests::witness::{c, unharmed};
use nix::sys::socket::{
    connect, recvmsg, send, socket, AddressFamily, ControlMessageOwned, MsgFlags, SockFlag,
    SockType, UnixAddr,
};
use std::ffi::CStr;
use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);

/// Counts the calls that reach a handler, and holds that their fields lie in one chunk.
#[derive(Default)]
struct Reached {
    calls: u64,
    chunk: (usize, usize),
}

impl Witness for Reached {
    fn field(&mut self, op: Op, name: &'static str, extent: Extent) {
        if let Extent::Shared(at, len) = extent {
            let (start, room) = self.chunk;
            assert!(
                at >= start && at - start <= room && len <= room - (at - start),
                "{op:?}.{name} reaches outside"
            );
        }
    }
    fn answer(&mut self, _: Op) -> Result<Message, Errno> {
        self.calls += 1;
        Err(Errno(libc::ENOSYS))
    }
}

const CLOCK: hostcall::wait::Clock = hostcall::wait::Clock {
    ticks_per_us: 1,
    processors: 2,
};

/// Dispatches one message whose payload is `bytes`; says whether a handler was reached.
fn dispatch(message: Message, bytes: &[u8]) -> Result<bool, ProtocolError> {
    let mut chunk = vec![0; CHUNK];
    chunk[..bytes.len()].copy_from_slice(bytes);
    let mut spy = Spy(Reached {
        calls: 0,
        chunk: (chunk.as_ptr() as usize, CHUNK),
    });
    ops::dispatch(
        &mut spy,
        message,
        Window::of(&mut chunk),
        &mut vec![0; SCRATCH],
    )?;
    Ok(spy.0.calls == 1)
}

fn message(op: Op, payload: usize, words: [u64; WORDS]) -> Message {
    Message {
        code: op as u32,
        flags: 0,
        payload: payload as u32,
        words,
    }
}

#[test]
fn hgfs_cve_2008_2098_lengths_that_overflow_are_refused() {
    for claimed in [
        5,
        1 << 16,
        1 << 31,
        1 << 32,
        (1 << 32) + 4,
        1 << 63,
        u64::MAX - 3,
        u64::MAX,
    ] {
        let path = dispatch(message(Op::Chdir, 4, [claimed; 6]), b"abc\0");
        let data = dispatch(message(Op::Write, 4, [3, 0, 0, claimed, 0, 0]), b"abcd");
        for found in [path, data] {
            assert!(
                matches!(found, Err(ProtocolError::Length { .. })),
                "{claimed}: {found:?}"
            );
        }
    }
    assert_eq!(dispatch(message(Op::Chdir, 4, [4; 6]), b"abc\0"), Ok(true));
}

#[test]
fn dpdk_86566_a_second_length_does_not_underflow() {
    // The first path takes the whole payload; what is left is nothing, not nothing minus something.
    for second in [1, 2, 4, u64::MAX] {
        let found = dispatch(message(Op::Renameat2, 4, [0, 4, 0, second, 0, 0]), b"abc\0");
        assert!(
            matches!(found, Err(ProtocolError::Length { room: 0, .. })),
            "{found:?}"
        );
    }
}

#[test]
fn cve_2018_1059_a_range_never_runs_on_into_what_follows() {
    let mut bytes = vec![0; ARENA];
    let arena = Window::of(&mut bytes);
    for slot in 0..DEPTH {
        let chunk = payload(arena, slot, &Message::default()).unwrap();
        assert_eq!(
            (chunk.as_ptr() as usize, chunk.len()),
            (arena.as_ptr() as usize + slot * CHUNK, CHUNK)
        );
        // The arena goes on behind the chunk; the payload may not.
        let long = Message {
            payload: CHUNK as u32 + 1,
            ..Message::default()
        };
        assert!(Reader::new(long, chunk, &mut []).is_err());
    }
    let wide = Message {
        flags: flags::WIDE,
        payload: ARENA as u32 + 1,
        ..Message::default()
    };
    assert!(Reader::new(wide, payload(arena, 3, &wide).unwrap(), &mut []).is_err());
    assert!(payload(arena, DEPTH, &Message::default()).is_err());
}

/// What was checked is what is used, though the peer flips every word between the two, and though a compiler might
/// like to load twice (XSA-155).
#[test]
fn dpdk_86848_xsa_155_no_word_is_fetched_twice() {
    let (ring, stop) = (Ring::default(), AtomicBool::new(false));
    let (mut reached, mut refused) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                for value in [4, u64::MAX, 4, CHUNK as u64 + 1] {
                    (0..DEPTH).for_each(|slot| mock::corrupt(&ring, slot, 3, value));
                    (0..DEPTH).for_each(|slot| mock::corrupt(&ring, slot, 4, value));
                }
            }
        });
        let (mut producer, mut consumer) = (Producer::default(), Consumer::default());
        for _ in 0..200_000 {
            producer.publish(&ring, message(Op::Chdir, 4, [4; 6]));
            let call = consumer.poll(&ring).unwrap().unwrap();
            match dispatch_small(call) {
                Ok(()) => reached += 1,
                Err(ProtocolError::Length { .. } | ProtocolError::Header(_)) => refused += 1,
                Err(error) => panic!("{error}"),
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    println!("{reached} accepted, {refused} refused");
    assert!(reached > 0 && refused > 0, "the race was met");
}

fn dispatch_small(call: Message) -> Result<(), ProtocolError> {
    let (mut chunk, mut scratch) = (*b"abc\0", [0; 64]);
    let mut spy = Spy(Reached {
        calls: 0,
        chunk: (chunk.as_ptr() as usize, chunk.len()),
    });
    ops::dispatch(&mut spy, call, Window::of(&mut chunk), &mut scratch).map(drop)
}

/// VMCI: the name is judged in private memory, so that no change after the judgement reaches its user.
#[test]
fn cve_2025_22224_a_checked_name_does_not_change() {
    let fd = sealed_memfd(c"toctou", region::size(1)).unwrap();
    let region = Region::create(Mapping::new(fd.as_fd(), region::size(1)).unwrap(), 1, CLOCK);
    let stop = AtomicBool::new(false);
    let (mut taken, mut refused) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let arena = region.arena(0).unwrap();
            while !stop.load(Ordering::Relaxed) {
                for name in [b"safe/name\0", b"../../etc\0", b"a\0b\0c\0d\0e\0"] {
                    arena.copy_in(name).unwrap();
                }
            }
        });
        let (arena, mut scratch) = (region.arena(0).unwrap(), vec![0; SCRATCH]);
        for _ in 0..200_000 {
            let mut reader =
                Reader::new(message(Op::Chdir, 10, [10; 6]), arena, &mut scratch).unwrap();
            match <&CStr>::take(&mut reader) {
                Ok(name) => {
                    let checked = name.to_owned();
                    std::hint::spin_loop();
                    assert_eq!((name, name.to_bytes().len()), (checked.as_c_str(), 9));
                    taken += 1;
                }
                Err(error) => {
                    assert_eq!(error, ProtocolError::Header("path termination"));
                    refused += 1;
                }
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    println!("{taken} taken, {refused} refused");
    assert!(taken > 0 && refused > 0, "the race was met");
}

/// Accessors of guest memory: bounds at every edge, and words that are never torn.
#[test]
fn rustsec_2023_0056_and_2020_0157_accessors_of_shared_memory() {
    let fd = sealed_memfd(c"accessors", region::size(3)).unwrap();
    for served in 0..=3 {
        let mapping = Mapping::new(fd.as_fd(), prefix_size(3, served)).unwrap();
        let (start, len) = (mapping.base().as_ptr() as usize, mapping.len());
        let part = Region::own(Mapping::new(fd.as_fd(), region::size(3)).unwrap(), 3).unwrap();
        part.write_header(CLOCK);
        let part = Region::open(mapping).unwrap();
        for lane in (0..6).chain([254, 255, u32::MAX - 1, u32::MAX]) {
            assert_eq!(part.page(lane).is_some(), lane < 3);
            assert_eq!(part.arena(lane).is_some(), lane < served);
            let pages = part
                .page(lane)
                .map(|page| (std::ptr::from_ref(page) as usize, PAGE));
            let arenas = part
                .arena(lane)
                .map(|arena| (arena.as_ptr() as usize, arena.len()));
            for (at, size) in pages.into_iter().chain(arenas) {
                assert!(at >= start && at + size <= start + len);
            }
        }
    }
    let mut bytes = [0; 16];
    let window = Window::of(&mut bytes);
    for start in [0, 1, 15, 16, 17, usize::MAX] {
        for len in [0, 1, 15, 16, 17, usize::MAX - 1, usize::MAX] {
            assert_eq!(
                window.part(start, len).is_some(),
                start.checked_add(len).is_some_and(|end| end <= 16)
            );
        }
    }
    let (ring, stop) = (Ring::default(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                [0, u64::MAX]
                    .iter()
                    .for_each(|value| mock::corrupt(&ring, 0, 5, *value));
            }
        });
        for _ in 0..100_000 {
            mock::corrupt(&ring, 0, 0, 1);
            let word = Consumer::default().poll(&ring).unwrap().unwrap().words[1];
            assert!(word == 0 || word == u64::MAX, "torn: {word:#x}");
        }
        stop.store(true, Ordering::Relaxed);
    });
}

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
        peer.send(message(Op::Nop, 0, [0; 6]));
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
    let before = daemon.footprint();
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
                    calls.publish(&page.calls.0, message(Op::Nop, 0, [0; 6]));
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
    peer.send(message(Op::Nop, 0, [0; 6]));
    peer.reply(LIMIT).unwrap();
    let shadow = daemon.status().sessions[0].shadow.unwrap();
    let answered = || daemon.status().sessions[0].calls;
    let before = (resident(shadow), resident(daemon.pid()));
    let mut sent = answered();
    for _ in 0..300 {
        for _ in 0..DEPTH {
            peer.send(message(Op::Nop, 0, [0; 6]));
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
    peer.arena().copy_in(name).unwrap();
    peer.send(message(
        Op::Openat,
        name.len(),
        [libc::AT_FDCWD as u64, name.len() as u64, 0, 0, 0, 0],
    ));
    let fd = peer.reply(LIMIT).unwrap().words[0];
    peer.arena().copy_in(&vec![0xaa; ARENA]).unwrap();
    peer.send(message(Op::Read, 0, [fd, 0, 0, u64::MAX, 0, 0]));
    let reply = peer.reply(LIMIT).unwrap();
    assert_eq!((reply.code, reply.payload), (0, 10));
    let mut arena = vec![0; ARENA];
    peer.arena().copy_out(&mut arena).unwrap();
    assert_eq!(&arena[CHUNK..CHUNK + 10], b"0123456789");
    assert_eq!(arena.iter().filter(|byte| **byte != 0xaa).count(), 10);
}
