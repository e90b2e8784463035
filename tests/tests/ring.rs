//! Faults of other shared-memory protocols, each as a test that would have caught it here.

use hostcall::clock::Clock;
use hostcall::ops::{self, Op, Spy};
use hostcall::region::{self, payload, prefix_size, Region, ARENA, CHUNK, PAGE};
use hostcall::ring::{mock, Consumer, Producer, Ring, DEPTH};
use hostcall::shm::{sealed_memfd, Mapping, Window};
use hostcall::table::Witness;
use hostcall::types::Errno;
use hostcall::wire::{flags, Extent, Field, Message, ProtocolError, Reader, HEAD, SCRATCH};
use hostcall_tests::generator::forged;
use std::ffi::CStr;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const CLOCK: Clock = Clock {
    ticks_per_us: 1,
    processors: 2,
};

/// How long two threads may take to get into each other's way.
const PATIENCE: Duration = Duration::from_secs(60);

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

#[test]
fn hgfs_cve_2008_2098_lengths_that_overflow_are_refused() {
    let far = [b'x'; HEAD - 4];
    for claimed in [
        HEAD as u64 + 1,
        1 << 16,
        1 << 31,
        (1 << 32) - 44,
        u32::MAX as u64 - 3,
        u32::MAX as u64,
    ] {
        let path = dispatch(forged(Op::Chdir, &[claimed], &far, 4), b"abc\0");
        let data = dispatch(forged(Op::Write, &[3, 0, 0, claimed], b"", 4), b"abcd");
        for found in [path, data] {
            assert!(
                matches!(found, Err(ProtocolError::Length { .. })),
                "{claimed}: {found:?}"
            );
        }
    }
    assert_eq!(
        dispatch(forged(Op::Chdir, &[4], b"abc\0", 0), b""),
        Ok(true)
    );
    let whole = forged(Op::Chdir, &[HEAD as u64], &far, 4);
    assert_eq!(dispatch(whole, b"abc\0"), Ok(true));
}

#[test]
fn dpdk_86566_a_second_length_does_not_underflow() {
    // The first path takes head and payload whole; what is left is nothing, not nothing minus something.
    let near = [b'x'; HEAD - 20];
    for second in [1, 2, 4, 64] {
        let scalars = [0, near.len() as u64 + 4, 0, second, 0];
        let found = dispatch(forged(Op::Renameat2, &scalars, &near, 4), b"abc\0");
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
        assert!(Reader::new(long, 0, chunk, &mut []).is_err());
    }
    let wide = Message {
        flags: flags::WIDE,
        payload: ARENA as u32 + 1,
        ..Message::default()
    };
    assert!(Reader::new(wide, 0, payload(arena, 3, &wide).unwrap(), &mut []).is_err());
    assert!(payload(arena, DEPTH, &Message::default()).is_err());
}

/// The first word of a head with a path of [`HEAD`] bytes, and the first four of them.
const LONG: u64 = HEAD as u64 | 0x7878_7878 << 32;

/// What was checked is what is used, though the peer flips every word between the two, and though a compiler might
/// like to load twice (XSA-155).
#[test]
fn dpdk_86848_xsa_155_no_word_is_fetched_twice() {
    let (ring, stop) = (Ring::default(), AtomicBool::new(false));
    let (mut reached, mut refused) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let long = CHUNK as u64 + 1;
                for (payload, head) in [(4, LONG), (u64::MAX, u64::MAX), (4, LONG), (long, long)] {
                    (0..DEPTH).for_each(|slot| mock::corrupt(&ring, slot, 3, payload));
                    (0..DEPTH).for_each(|slot| mock::corrupt(&ring, slot, 4, head));
                }
            }
        });
        let (mut producer, mut consumer) = (Producer::default(), Consumer::default());
        for _ in 0..200_000 {
            producer.publish(
                &ring,
                forged(Op::Chdir, &[HEAD as u64], &[b'x'; HEAD - 4], 4),
            );
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
        let start = Instant::now();
        for turn in 0.. {
            let is_met = taken > 0 && refused > 0;
            if turn > 200_000 && (is_met || start.elapsed() > PATIENCE) {
                break;
            }
            let mut reader =
                Reader::new(forged(Op::Chdir, &[10], b"", 10), HEAD, arena, &mut scratch).unwrap();
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
