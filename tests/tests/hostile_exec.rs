//! A hostile guest process whose every call about host programs is well formed but for one field.

use hostcall::client::Client;
use hostcall::ops::{Calls, Op};
use hostcall::region::CHUNK;
use hostcall::wire::Message;
use hostcall_tests::daemon::{eventually, Daemon};
use hostcall_tests::generator::{self, Choices, Likely};
use hostcall_tests::launch::{finish, start, words_of, NONE};
use hostcall_tests::peer::{corrupt, Peer};
use hostcall_tests::random::Random;
use hostcall_tests::witness::unharmed;
use serde_json::json;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);

/// What a field is made to be.
const EVIL: [u64; 16] = [
    0,
    1,
    2,
    3,
    9,
    63,
    65,
    4096,
    65_536,
    i32::MAX as u64,
    1 << 31,
    u32::MAX as u64,
    1 << 32,
    i64::MAX as u64,
    1 << 63,
    u64::MAX,
];

/// Fields as they should be, but for one.
struct But {
    good: Vec<u64>,
    /// Which one, counted over numbers, paths and bytes.
    at: usize,
    evil: u64,
    seen: usize,
    bytes: Vec<u8>,
}

impl But {
    fn is_evil(&mut self) -> bool {
        self.seen += 1;
        self.seen - 1 == self.at
    }
}

impl Choices for But {
    fn word(&mut self) -> u64 {
        let good = self.good.get(self.seen).copied().unwrap_or(0);
        match self.is_evil() {
            true => self.evil,
            false => good,
        }
    }

    fn path(&mut self) -> Vec<u8> {
        match self.is_evil() {
            true => vec![b'\xff'; self.evil.min(5000) as usize],
            false => b"t".to_vec(),
        }
    }

    fn bytes(&mut self) -> Vec<u8> {
        self.seen += 1;
        self.bytes.clone()
    }
}

/// A process that has a pipe (3, 4), words in a scratch file (5), a terminal (6) and a program that has ended (1).
struct Victim {
    peer: Peer,
}

impl Victim {
    fn new(daemon: &Daemon) -> Victim {
        let peer = Peer::attach(daemon.socket()).expect("a session");
        let mut victim = Victim { peer };
        let words = words_of(&["true"], &[]);
        for (op, good) in [
            (Op::Pipe, vec![libc::O_CLOEXEC as u64]),
            (Op::Scratch, vec![words.len() as u64]),
            (Op::PtyOpen, vec![24, 80, 0, 0]),
            (Op::Write, vec![5, 0, 0]),
            (Op::Exec, vec![5, u64::MAX, u64::MAX, u64::MAX, 0]),
            (Op::Wait, vec![1, 0]),
        ] {
            let reply = victim.call(op, good, usize::MAX, 0, words.clone());
            assert_eq!(reply.map(|reply| reply.code), Some(0), "{op:?}");
        }
        victim
    }

    /// Makes a call; nothing comes back if the session ends.
    fn call(
        &mut self,
        op: Op,
        good: Vec<u64>,
        at: usize,
        evil: u64,
        bytes: Vec<u8>,
    ) -> Option<Message> {
        let mut choices = But {
            good,
            at,
            evil,
            seen: 0,
            bytes,
        };
        let slot = self.peer.calls.slot() * CHUNK;
        let chunk = self.peer.arena().part(slot, CHUNK).expect("a chunk");
        let message = generator::call(op, &mut choices, chunk);
        self.peer.send(message);
        self.peer.reply(LIMIT)
    }
}

/// Good fields of each op, for the [`Victim`].
fn good(op: Op) -> Vec<u64> {
    match op {
        Op::Pipe => vec![libc::O_CLOEXEC as u64],
        Op::Scratch => vec![64],
        Op::PtyOpen => vec![24, 80, 0, 0],
        Op::PtyResize => vec![6, 24, 80, 0, 0],
        Op::Exec => vec![5, 3, 4, u64::MAX, 0],
        Op::Wait => vec![1, libc::WNOHANG as u64],
        Op::Signal => vec![1, 0],
        Op::Refusal => vec![5, 64],
        _ => vec![1, 64],
    }
}

fn calls_about_programs() -> Vec<Op> {
    let all = Op::ALL.iter().copied();
    all.filter(|op| op.spec().family == "ExecCalls").collect()
}

#[test]
fn every_field_of_every_call_about_programs_is_judged() {
    let daemon = Daemon::configured(|directory| {
        let exports = hostcall_tests::daemon::exports(directory);
        json!({"exports": exports, "exec": {"allow": ["true"]}})
    });
    // The launcher stays, and so do the directories of named sessions.
    let mut victim = Victim::new(&daemon);
    for evil in EVIL {
        victim.call(Op::KeepSession, Vec::new(), 0, evil, Vec::new());
    }
    drop(victim);
    let before = daemon.settled_footprint();
    let ops = calls_about_programs();
    assert!(ops.len() >= 13);
    let (answered, ended) = unharmed(&daemon, || {
        let (mut answered, mut ended) = (0, 0);
        for op in ops {
            for at in 0..generator::choices(op) {
                let mut victim = Victim::new(&daemon);
                for evil in EVIL {
                    match victim.call(op, good(op), at, evil, Vec::new()) {
                        Some(_) => answered += 1,
                        None => {
                            assert!(victim.peer.ended(LIMIT), "{op:?} hangs: field {at}, {evil}");
                            ended += 1;
                            victim = Victim::new(&daemon);
                        }
                    }
                }
            }
        }
        (answered, ended)
    });
    println!("{answered:?} answered, {ended:?} sessions ended");
    assert_eq!(daemon.logged("panicked"), 0);
    eventually("no program is left", || daemon.status().jobs.is_empty());
    daemon.settles_to(&before);
}

/// The same calls at random, while everything that is shared is overwritten.
#[test]
fn a_storm_of_corruption_leaves_no_program() {
    let daemon = Daemon::configured(
        |_| json!({"exports": [{"path": "/"}], "exec": {"allow": ["true"], "processes": 16}}),
    );
    let ops = calls_about_programs();
    let mut random = Random::announced(5);
    let names: [&[u8]; 4] = [b"t", b"true", b"/", b"\xff"];
    for _ in 0..60 {
        let mut peer = Victim::new(&daemon).peer;
        for _ in 0..40 {
            let slot = peer.calls.slot() * CHUNK;
            let chunk = peer.arena().part(slot, CHUNK).expect("a chunk");
            let op = random.one_of(&ops);
            let likely = &mut Likely {
                random: &mut random,
                names: &names,
            };
            let message = generator::call(op, likely, chunk);
            peer.send(message);
            for _ in 0..random.below(3) {
                corrupt(&peer.region, 0, &mut random);
            }
            let _ = peer.reply(Duration::from_millis(2));
            if !peer.link.alive() {
                break;
            }
        }
    }
    assert!(daemon.logged("protocol error") > 0, "the storm is one");
    assert_eq!(daemon.logged("panicked"), 0);
    eventually("no program is left", || daemon.status().jobs.is_empty());
    let client = daemon.attach();
    let job = start(&client, &["true"], [NONE; 3]).expect("as before");
    finish(&client, job);
}

/// Programs of others are started and ended as before while one process floods hostd with all it may ask.
#[test]
fn a_flood_of_requests_harms_nobody_else() {
    let daemon = Daemon::configured(
        |_| json!({"exports": [{"path": "/"}], "exec": {"allow": ["true", "sleep"], "processes": 64}}),
    );
    let other = daemon.attach();
    let flood = |client: &Client| {
        for n in 0..200 {
            let _ = client.pty_open(24, 80, 0, 0);
            let _ = client.complete(c"a", hostcall::wire::Sink::new(&mut [0; 4096]));
            let _ = client.enter_session(c"x");
            let _ = start(client, &["sleep", "1000"], [NONE; 3]);
            let _ = client.signal(n, 0);
        }
    };
    std::thread::scope(|scope| {
        let floods: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let client = daemon.attach();
                    flood(&client);
                    hostcall_tests::daemon::leave(client);
                })
            })
            .collect();
        let mut rounds = 0;
        while !floods.iter().all(|flood| flood.is_finished()) || rounds < 3 {
            match start(&other, &["true"], [NONE; 3]) {
                Ok(job) => drop(finish(&other, job)),
                // The limit is the whole guest's.
                Err(errno) => assert_eq!(errno.0, libc::EAGAIN),
            }
            rounds += 1;
        }
    });
    eventually("all of the floods' programs are gone", || {
        daemon.status().jobs.is_empty()
    });
    let job = start(&other, &["true"], [NONE; 3]).expect("as before");
    finish(&other, job);
}
