//! A hostile guest kernel: one region for the whole guest, a doorbell line, and nobody who keeps the rules of either.

use hostcall::attach::device::REGION;
use hostcall::ops::Op;
use hostcall::region::{self, Claim, LaneState, Region};
use hostcall::ring::{Consumer, Producer};
use hostcall::shm::Mapping;
use hostcall::types::Token;
use hostcall::wire::Message;
use hostcall_tests::daemon::{eventually, exports, Daemon};
use hostcall_tests::peer::{corrupt, FRESH};
use hostcall_tests::random::Random;
use hostcall_tests::witness::unharmed;
use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;
use serde_json::json;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const LANES: u32 = 16;
const PROCESSES: usize = 8;

/// A local guest for the witness, and one that attaches by a device.
fn daemon() -> Daemon {
    Daemon::launch(|directory, socket| {
        let device =
            json!({"region": directory.join("region"), "doorbell": directory.join("doorbell")});
        json!({"guests": {
            "a": {"attach": {"local": socket}, "exports": exports(directory)},
            "b": {"attach": {"device": device}, "exports": exports(directory), "limits": {"lanes": LANES, "processes": PROCESSES}},
        }})
    })
}

/// The guest's machine: the mapped region and the line.
struct Machine {
    region: Region,
    line: UnixStream,
}

impl Machine {
    /// Maps the region and connects the line, once hostd has noticed that the machine before is gone.
    fn boot(directory: &Path) -> Machine {
        let mut booted = None;
        eventually("hostd answers the line", || {
            let file = std::fs::OpenOptions::new()
                .read(true)
                .write(true)
                .open(directory.join("region"))
                .unwrap();
            let mapping = Mapping::new(file.as_fd(), region::size(LANES)).unwrap();
            let line = UnixStream::connect(directory.join("doorbell")).unwrap();
            line.set_read_timeout(Some(Duration::from_secs(10)))
                .unwrap();
            let Ok(region) = Region::open(mapping) else {
                return false;
            };
            let asked = region.header().pong.load(Ordering::Acquire).wrapping_add(1);
            region.header().ping.store(asked, Ordering::Release);
            let answered = (&line).write_all(&[REGION]).is_ok()
                && (0..200).any(|_| {
                    std::thread::sleep(Duration::from_millis(1));
                    region.header().pong.load(Ordering::Acquire) == asked
                });
            booted = answered.then_some(Machine { region, line });
            answered
        });
        booted.expect("just booted")
    }

    fn ring(&mut self, byte: u8) {
        self.line.write_all(&[byte]).unwrap();
    }

    /// Claims a lane as a guest process of this name.
    fn claim(&mut self, lane: u32, process: u64) {
        let page = self.region.page(lane).unwrap();
        page.set_claim(&Claim {
            process: Token([process, 1]),
            ..FRESH
        });
        page.set_state(LaneState::Waiting);
        self.ring(lane as u8);
    }

    fn is(&self, lane: u32, state: LaneState) -> bool {
        self.region.page(lane).unwrap().state() == Some(state)
    }

    /// Makes one call on a freshly claimed lane.
    fn nop(&mut self, lane: u32) -> Option<u32> {
        let page = self.region.page(lane).unwrap();
        Producer::default().publish(
            &page.calls.0,
            Message {
                code: Op::Nop as u32,
                ..Message::default()
            },
        );
        self.ring(lane as u8);
        let (page, start) = (self.region.page(lane).unwrap(), Instant::now());
        let mut replies = Consumer::default();
        while start.elapsed() < Duration::from_secs(10) {
            if let Ok(Some(reply)) = replies.poll(&page.replies.0) {
                return Some(reply.code);
            }
            std::thread::sleep(Duration::from_micros(50));
        }
        None
    }
}

#[test]
fn a_configured_device_guest_has_a_link_and_a_line() {
    let daemon = daemon();
    let before = daemon.footprint();
    let link = std::fs::read_link(daemon.directory.join("region")).unwrap();
    assert!(
        link.starts_with(format!("/proc/{}/fd", daemon.pid())),
        "{}",
        link.display()
    );
    let mut machine = Machine::boot(&daemon.directory);
    let file = std::fs::OpenOptions::new()
        .write(true)
        .open(daemon.directory.join("region"))
        .unwrap();
    assert_eq!(
        file.set_len(0).unwrap_err().raw_os_error(),
        Some(libc::EPERM)
    );
    machine.region.header().ping.store(7, Ordering::Release);
    machine.ring(REGION);
    eventually("a pong", || {
        machine.region.header().pong.load(Ordering::Acquire) == 7
    });
    machine.claim(3, 1);
    eventually("the lane is served", || machine.is(3, LaneState::Served));
    assert_eq!(machine.nop(3), Some(0));
    // A machine has one line: a second connection is closed.
    let mut second = UnixStream::connect(daemon.directory.join("doorbell")).unwrap();
    assert_eq!(second.read(&mut [0]).unwrap(), 0);
    // A process that dies before it is served, or after, leaves no lane behind.
    for lane in 0..3 {
        machine.claim(lane, u64::from(lane) + 10);
        machine
            .region
            .page(lane)
            .unwrap()
            .set_state(LaneState::Released);
        machine.ring(lane as u8);
    }
    machine
        .region
        .page(3)
        .unwrap()
        .set_state(LaneState::Released);
    machine.ring(3);
    eventually("all lanes are free", || {
        (0..LANES).all(|lane| machine.is(lane, LaneState::Free))
    });
    eventually("no session is left", || {
        daemon.guests()[1].sessions.is_empty()
    });
    drop(machine);
    daemon.settles_to(&before);
    kill(Pid::from_raw(daemon.pid()), Signal::SIGTERM).unwrap();
    eventually("link and socket are gone", || {
        ["region", "doorbell"]
            .iter()
            .all(|name| daemon.directory.join(name).symlink_metadata().is_err())
    });
}

#[test]
fn a_hostile_kernel_harms_only_its_own_guest() {
    let daemon = daemon();
    let before = daemon.footprint();
    let mut random = Random::announced(5);
    let mut mutations = 0u64;
    unharmed(&daemon, || {
        for boot in 0..6 {
            let mut machine = Machine::boot(&daemon.directory);
            // Some honest sessions first, whose keys the rest will use.
            for lane in 0..4 {
                machine.claim(lane, u64::from(lane) % 2);
            }
            eventually("the lanes are served", || {
                (0..4).all(|lane| machine.is(lane, LaneState::Served))
            });
            for round in 0..4_000 {
                let lane = random.below(LANES as usize) as u32;
                let page = machine.region.page(lane).unwrap();
                match random.below(8) {
                    0 => page
                        .state
                        .0
                        .store(random.below(8) as u32, Ordering::Release),
                    // Claims by known keys, by new ones, by nobody's, of a lane that rings many times.
                    1 => machine.claim(lane, random.word() % 12),
                    2 => {
                        page.set_claim(&FRESH);
                        page.set_state(LaneState::Waiting);
                        (0..20).for_each(|_| machine.ring(lane as u8));
                    }
                    3 => page
                        .cancel
                        .0
                        .store(random.below(8) as u32, Ordering::Release),
                    _ => {
                        (0..8).for_each(|_| corrupt(&machine.region, lane, &mut random));
                        mutations += 7;
                    }
                }
                mutations += 1;
                let burst: Vec<u8> = (0..random.below(6)).map(|_| random.word() as u8).collect();
                machine.line.write_all(&burst).unwrap();
                if round % 1000 == 0 {
                    let sessions = daemon.guests()[1].sessions.len();
                    assert!(
                        sessions <= PROCESSES,
                        "{sessions} sessions where {PROCESSES} may be"
                    );
                }
            }
            // The kernel dies; the next one finds everything as if it were fresh.
            drop(machine);
            eventually("the dead guest's sessions are gone", || {
                daemon.guests()[1].sessions.is_empty()
            });
            let mut next = Machine::boot(&daemon.directory);
            next.claim(LANES - 1, 99);
            eventually("a lane is served", || next.is(LANES - 1, LaneState::Served));
            assert_eq!(next.nop(LANES - 1), Some(0), "boot {boot}");
            drop(next);
            eventually("the next guest's session is gone", || {
                daemon.guests()[1].sessions.is_empty()
            });
        }
    });
    println!("{mutations} corruptions");
    assert!(mutations > 80_000);
    assert_eq!(daemon.logged("panicked"), 0);
    daemon.settles_to(&before);
}
