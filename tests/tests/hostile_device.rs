//! A hostile guest kernel: one region for the whole guest, a doorbell line, and nobody who keeps the rules of either.

use hostcall::attach::device::REGION;
use hostcall::region::LaneState;
use hostcall_tests::daemon::eventually;
use hostcall_tests::machine::{daemon, Machine, LANES, PROCESSES};
use hostcall_tests::peer::{corrupt, FRESH};
use hostcall_tests::random::Random;
use hostcall_tests::witness::unharmed;
use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::Ordering;

#[test]
fn a_configured_device_guest_has_a_link_and_a_line() {
    let daemon = daemon();
    let before = daemon.settled_footprint();
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
        machine.release(lane);
    }
    machine.release(3);
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
    let before = daemon.settled_footprint();
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
