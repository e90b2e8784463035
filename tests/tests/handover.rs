//! Sessions between two processes or two program images: prepared for a fork's child, held over execve(2).

use hostcall::attach::resident::LOOK_PERIOD;
use hostcall::attach::AttachError;
use hostcall::ops::{Calls, Op};
use hostcall::region::LaneState;
use hostcall::types::{Errno, Token};
use hostcall_tests::daemon::{eventually, leave, Daemon};
use hostcall_tests::machine::{self, Machine};
use std::sync::atomic::Ordering;
use std::time::Duration;

fn states(daemon: &Daemon) -> Vec<String> {
    let sessions = daemon.status().sessions;
    sessions.into_iter().map(|session| session.state).collect()
}

#[test]
fn unclaimed_prepared_sessions_expire() {
    let daemon = Daemon::start();
    let client = daemon.attach();
    let tokens = [(); 3].map(|()| client.fork_session().expect("a child's session").token);
    assert_eq!(daemon.status().sessions.len(), 4);
    let child = daemon
        .try_attach(Some(tokens[0]))
        .expect("the child attaches");
    child.nop().expect("an answer");
    assert!(
        daemon.try_attach(Some(tokens[0])).is_err(),
        "a token is good for once"
    );
    eventually("the two that nobody claims expire", || {
        daemon.status().sessions.len() == 2
    });
    let late = daemon.try_attach(Some(tokens[1])).err();
    assert_eq!(late, Some(AttachError::Refused(Errno(libc::ENOENT))));
    client.nop().and(child.nop()).expect("the others live");
    leave(child);
    leave(client);
}

#[test]
fn only_the_thread_whose_execve_failed_withdraws_the_held_session() {
    let daemon = Daemon::start();
    let client = daemon.attach();
    // Two threads are about to execve.
    let token = client.hold_session().expect("held").token;
    assert_eq!(client.hold_session().expect("held").token, token);
    client.nop().expect("other threads go on");
    assert_eq!(states(&daemon), ["held"]);
    client.unhold_session().expect("one execve failed");
    client.nop().expect("the others go on");
    assert_eq!(states(&daemon), ["held"]);
    client.unhold_session().expect("the other one failed");
    eventually("it is not held any more", || states(&daemon) == ["active"]);
    client.unhold_session().expect("once more is nothing");
    assert_eq!(
        daemon.try_attach(Some(token)).err(),
        Some(AttachError::Refused(Errno(libc::ENOENT)))
    );
    let again = client.hold_session().expect("held").token;
    assert_ne!(again, token);
    client.nop().expect("it still goes on");
    let image = daemon.try_attach(Some(again)).expect("the new image");
    image.nop().expect("served");
    assert_eq!(states(&daemon), ["active"]);
    leave(image);
}

/// The old image's lane is free as soon as its thread has left, which is before the shadow looks again: it must not take the
/// lane for the old image's still, and end it under the new one.
#[test]
fn a_new_image_keeps_the_lane_that_was_the_old_ones() {
    let daemon = machine::daemon();
    let before = daemon.settled_footprint();
    let mut machine = Machine::boot(&daemon.directory);
    let mut token = Token::NONE;
    for image in 1..=50 {
        machine.resume(2, image, token);
        let held = machine.call(2, Op::HoldSession);
        let held = held.expect("the new image is served");
        assert_eq!(held.code, 0, "image {image}");
        token = Token([held.words[0], held.words[1]]);
        machine.release(2);
        while !machine.is(2, LaneState::Free) {
            std::thread::yield_now();
        }
    }
    machine.resume(2, 51, token);
    assert_eq!(machine.nop(2), Some(0));
    assert_eq!(daemon.guests()[1].sessions.len(), 1);
    machine.release(2);
    drop(machine);
    daemon.settles_to(&before);
}

/// One thread is about to execve, and another takes a lane meanwhile: it is the same session's.
#[test]
fn threads_go_on_calling_by_new_lanes_while_one_is_about_to_execve() {
    let daemon = machine::daemon();
    let mut machine = Machine::boot(&daemon.directory);
    machine.claim(2, 1);
    let held = machine.call(2, Op::HoldSession).expect("it is served");
    machine.claim(3, 1);
    assert_eq!(machine.nop(3), Some(0));
    let sessions = &daemon.guests()[1].sessions;
    let seen: Vec<_> = sessions
        .iter()
        .map(|session| (session.state.as_str(), session.lanes))
        .collect();
    assert_eq!(seen, [("held", 2)]);
    machine.resume(4, 2, Token([held.words[0], held.words[1]]));
    assert_eq!(machine.nop(4), Some(0));
    assert_eq!(daemon.guests()[1].sessions.len(), 1);
}

/// hostd's clock goes on while the machine is stopped, and the processes that it waits for do not.
#[test]
fn sessions_of_a_machine_that_is_stopped_wait_until_it_has_had_their_time() {
    const PATIENCE: Duration = Duration::from_secs(10);
    let daemon = machine::daemon();
    let mut machine = Machine::boot(&daemon.directory);
    let looked = |machine: &Machine, times| {
        let looks = &machine.region.header().looks;
        looks.fetch_add(times, Ordering::Relaxed);
    };
    let most = (PATIENCE.as_millis() / LOOK_PERIOD.as_millis()) as u32;
    looked(&machine, 1);
    let mut tokens = Vec::new();
    for (lane, op) in [
        (1, Op::HoldSession),
        (2, Op::HoldSession),
        (3, Op::ForkSession),
    ] {
        machine.claim(lane, lane.into());
        let waits = machine.call(lane, op).expect("it is served");
        assert_eq!(waits.code, 0, "{op:?}");
        tokens.push(Token([waits.words[0], waits.words[1]]));
        machine.release(lane);
    }
    looked(&machine, most / 2);
    let states = || {
        let sessions = daemon.guests().remove(1).sessions;
        let mut states: Vec<_> = sessions.into_iter().map(|own| own.state).collect();
        states.sort();
        states
    };
    let all = ["held", "held", "prepared"];
    eventually("the parent is gone", || states() == all);
    std::thread::sleep(PATIENCE + PATIENCE / 10);
    assert_eq!(states(), all);
    for (lane, token) in [(4, tokens[0]), (5, tokens[2])] {
        machine.resume(lane, lane.into(), token);
        assert_eq!(machine.nop(lane), Some(0));
    }
    looked(&machine, most);
    eventually("who has not come has had its time", || {
        states() == ["active", "active"]
    });
}

/// A process that lives on gives back a lane, and another one claims it at once: it is served by that one's shadow.
#[test]
fn a_lane_that_changes_hands_is_served_for_its_new_owner() {
    let daemon = machine::daemon();
    let mut machine = Machine::boot(&daemon.directory);
    // Each of the two has a lane that it keeps.
    for process in [1, 2] {
        machine.claim(process as u32, process);
        assert_eq!(machine.nop(process as u32), Some(0));
    }
    let calls = |daemon: &Daemon| {
        let sessions = &daemon.guests()[1].sessions;
        let calls: Vec<u64> = sessions.iter().map(|own| own.calls).collect();
        assert_eq!(calls.len(), 2, "{sessions:?}");
        calls
    };
    for round in 0..200 {
        machine.claim(3, 1 + round % 2);
        assert_eq!(machine.nop(3), Some(0), "round {round}");
        machine.release(3);
        while !machine.is(3, LaneState::Free) {
            std::thread::yield_now();
        }
    }
    eventually("each has its own calls", || calls(&daemon) == [101, 101]);
}
