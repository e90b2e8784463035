//! Sessions between two processes or two program images: prepared for a fork's child, held over execve(2).

use hostcall::attach::AttachError;
use hostcall::ops::Calls;
use hostcall::types::Errno;
use hostcall_tests::daemon::{eventually, leave, Daemon};

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
