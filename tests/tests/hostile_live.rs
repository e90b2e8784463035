//! A hostile guest process against a real hostd and real shadows, through shared memory, while calls run.

use hostcall::ops::Op;
use hostcall::region::CHUNK;
use hostcall::ring::mock;
use hostcall::wire::{flags, Message, HEAD};
use hostcall_tests::daemon::{eventually, Daemon};
use hostcall_tests::generator::{self, forged, Likely};
use hostcall_tests::peer::{corrupt, wake_host, Peer};
use hostcall_tests::random::Random;
use hostcall_tests::snapshot::snapshot;
use hostcall_tests::witness::unharmed;
use serde_json::json;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const SECRET: &[u8] = b"never-to-be-seen-in-a-guest";
const LIMIT: Duration = Duration::from_secs(20);

/// Does one wrong thing.
type Fault = fn(&mut Peer);

fn op(op: Op) -> Message {
    Message {
        code: op as u32,
        ..Message::default()
    }
}

/// Each breaks one rule of the protocol.
const FAULTS: &[(&str, Fault)] = &[
    ("unknown op", |peer| {
        peer.send(Message {
            code: 0x4141,
            ..Message::default()
        })
    }),
    ("op 0", |peer| peer.send(Message::default())),
    ("op number beyond 16 bits", |peer| {
        peer.send(Message {
            code: 0x1_0001,
            ..Message::default()
        })
    }),
    ("unknown flag", |peer| {
        peer.send(Message {
            flags: 4,
            ..op(Op::Nop)
        })
    }),
    ("payload longer than the chunk", |peer| {
        peer.send(Message {
            payload: CHUNK as u32 + 1,
            ..op(Op::Nop)
        })
    }),
    ("payload of 4 GiB", |peer| {
        peer.send(Message {
            payload: u32::MAX,
            flags: flags::WIDE,
            ..op(Op::Nop)
        })
    }),
    ("path longer than the payload", |peer| {
        peer.send(forged(Op::Chdir, &[HEAD as u64 + 5], &[b'x'; HEAD - 4], 8))
    }),
    ("path length underflows", |peer| {
        peer.send(forged(Op::Chdir, &[u64::MAX], b"abc", 8))
    }),
    ("path longer than PATH_MAX", |peer| {
        peer.send(forged(
            Op::Chdir,
            &[CHUNK as u64],
            &[b'x'; HEAD - 4],
            CHUNK as u32,
        ))
    }),
    ("path without its NUL", |peer| {
        peer.send(forged(Op::Chdir, &[4], b"abcd", 0));
    }),
    ("longer path without its NUL", |peer| {
        peer.arena().copy_in(b"abcd").unwrap();
        peer.send(forged(Op::Chdir, &[HEAD as u64], &[b'x'; HEAD - 4], 4));
    }),
    ("path with a NUL inside", |peer| {
        peer.send(forged(Op::Chdir, &[4], b"a\0d\0", 0));
    }),
    ("longer path with a NUL inside", |peer| {
        peer.arena().copy_in(b"a\0d\0").unwrap();
        peer.send(forged(Op::Chdir, &[HEAD as u64], &[b'x'; HEAD - 4], 4));
    }),
    ("second path overlaps the end", |peer| {
        peer.arena().copy_in(b"abc\0").unwrap();
        let first = HEAD as u64 - 16;
        peer.send(forged(
            Op::Renameat2,
            &[0, first, 0, 1],
            &[b'x'; HEAD - 20],
            4,
        ));
    }),
    ("data longer than the payload", |peer| {
        peer.send(forged(Op::Write, &[3, 0, 0, 2], b"", 1));
    }),
    ("sequence jumps", |peer| {
        mock::corrupt(&peer.page().calls.0, 0, 0, 2);
        wake_host(peer.page());
    }),
    ("sequence goes back", |peer| {
        mock::corrupt(&peer.page().calls.0, 0, 0, u64::from(u32::MAX));
        wake_host(peer.page());
    }),
];

#[test]
fn every_fault_ends_its_session_with_one_line() {
    let daemon = Daemon::start();
    let before = daemon.settled_footprint();
    for (n, (name, fault)) in FAULTS.iter().enumerate() {
        let mut offender = Peer::attach(daemon.socket()).unwrap();
        let mut other = Peer::attach(daemon.socket()).unwrap();
        fault(&mut offender);
        assert!(
            offender.ended(LIMIT),
            "{name}: the session goes on; log:\n{}",
            daemon.log()
        );
        other.send(op(Op::Nop));
        assert_eq!(
            other.reply(LIMIT).map(|reply| reply.code),
            Some(0),
            "{name}: the other session goes on"
        );
        drop((offender, other));
        let log = daemon.log();
        let lines = log
            .lines()
            .filter(|line| line.contains("protocol error"))
            .count();
        assert_eq!(lines, n + 1, "{name}: one line each; log:\n{log}");
    }
    daemon.settles_to(&before);
    assert_eq!(daemon.logged("panicked"), 0);
}

#[test]
fn a_storm_of_corruption_harms_nobody_else() {
    let daemon = Daemon::configured(|directory| {
        let tree = directory.join("readonly");
        std::fs::create_dir_all(tree.join("deep")).unwrap();
        std::fs::write(tree.join("file"), "unchanged").unwrap();
        std::fs::write(tree.join("deep/file"), "unchanged").unwrap();
        std::fs::create_dir(directory.join("outside")).unwrap();
        std::fs::write(directory.join("outside/secret"), SECRET).unwrap();
        let mut exports = hostcall_tests::daemon::exports(directory);
        exports
            .as_array_mut()
            .unwrap()
            .push(json!({"path": tree, "mode": "ro"}));
        json!({"exports": exports})
    });
    let before = daemon.settled_footprint();
    let canaries = ["readonly", "outside"].map(|name| daemon.directory.join(name));
    let untouched = canaries.clone().map(|path| snapshot(&path));
    let names: Vec<Vec<u8>> = [
        "export/a",
        "export/b",
        "export/d",
        "export/d/e",
        "export",
        "readonly/file",
        "readonly",
        "outside/secret",
        "outside",
        "export/../outside/secret",
    ]
    .iter()
    .map(|name| {
        daemon
            .directory
            .join(name)
            .into_os_string()
            .into_encoded_bytes()
    })
    .chain([
        b"../../..".to_vec(),
        b"".to_vec(),
        b".".to_vec(),
        b"a".to_vec(),
    ])
    .collect();
    let names: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
    let mutations = AtomicU64::new(0);
    let mut random = Random::announced(4);
    let (sessions, rounds) = unharmed(&daemon, || {
        let (start, mut sessions) = (Instant::now(), 0u64);
        while mutations.load(Ordering::Relaxed) < 60_000 || sessions < 150 {
            assert!(
                start.elapsed() < Duration::from_secs(300),
                "the storm makes no progress: {sessions} sessions"
            );
            let Some(mut peer) = Peer::attach(daemon.socket()) else {
                continue;
            };
            attack(&mut peer, &mut random, &names, &mutations);
            let mut arena = vec![0; CHUNK];
            peer.arena().copy_out(&mut arena).unwrap();
            assert!(
                !arena.windows(SECRET.len()).any(|window| window == SECRET),
                "a guest has read outside its exports"
            );
            sessions += 1;
        }
        sessions
    });
    let mutations = mutations.into_inner();
    println!("{mutations} corruptions in {sessions} sessions, {} ended for protocol errors; {rounds} good rounds", daemon.logged("protocol error"));
    assert!(mutations >= 60_000);
    assert!(daemon.logged("protocol error") > 10);
    assert!(
        daemon.logged("protocol error") as u64 <= sessions,
        "one line a session at most"
    );
    assert_eq!(daemon.logged("panicked"), 0);
    daemon.settles_to(&before);
    assert_eq!(canaries.map(|path| snapshot(&path)), untouched);
}

/// Calls of all kinds while another thread writes over everything that is shared.
fn attack(peer: &mut Peer, random: &mut Random, names: &[&[u8]], mutations: &AtomicU64) {
    let done = AtomicBool::new(false);
    let Peer {
        link,
        region,
        calls,
        replies,
    } = peer;
    let region = &*region;
    let mut other = Random::new(random.word());
    // Some sessions are left alone for a while, so that their calls are executed and not only refused.
    let calm = random.below(40);
    std::thread::scope(|scope| {
        let done = &done;
        scope.spawn(move || {
            for n in 0.. {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                if n >= calm {
                    corrupt(region, 0, &mut other);
                    mutations.fetch_add(1, Ordering::Relaxed);
                }
                std::thread::sleep(Duration::from_micros(20));
            }
        });
        let (page, arena) = (region.page(0).unwrap(), region.arena(0).unwrap());
        for _ in 0..60 {
            let op = random.one_of(Op::ALL);
            let chunk = arena.part(calls.slot() * CHUNK, CHUNK).unwrap();
            let message = generator::call(op, &mut Likely { random, names }, chunk);
            calls.publish(&page.calls.0, message);
            for _ in 0..random.below(20) {
                corrupt(region, 0, random);
                mutations.fetch_add(1, Ordering::Relaxed);
            }
            if random.chance(8) {
                link.attention(random.word() as u32);
            }
            wake_host(page);
            let start = Instant::now();
            while start.elapsed() < Duration::from_millis(2)
                && !matches!(replies.poll(&page.replies.0), Ok(Some(_)))
            {
                std::hint::spin_loop();
            }
            if !link.alive() {
                break;
            }
        }
        done.store(true, Ordering::Relaxed);
    });
}

/// A guest that asks for the end of calls that it never makes costs the host next to nothing.
#[test]
fn cancelled_calls_that_never_come_keep_no_processor_busy() {
    let daemon = Daemon::start();
    let peer = Peer::attach(daemon.socket()).unwrap();
    let shadow = daemon.status().sessions[0].shadow.expect("known");
    peer.page().cancel.0.store(1, Ordering::SeqCst);
    peer.link.attention(0);
    let turns = || {
        let status = std::fs::read_to_string(format!("/proc/{shadow}/task/{shadow}/status"));
        let status = status.expect("it lives");
        let line = (status.lines()).find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.expect("proc(5)").trim().parse::<u32>().unwrap()
    };
    // As many turns as a thread here takes that rests for a millisecond each time, or a small part of them.
    eventually("the shadow rests for longer", || {
        let before = turns();
        (0..200).for_each(|_| std::thread::sleep(Duration::from_millis(1)));
        turns() - before < 50
    });
}
