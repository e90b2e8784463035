//! Command-line tools that misbehave: guests do not notice.

use hostcall::ops::Calls;
use hostcall_tests::daemon::{eventually, leave, Daemon};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// Far less than a device guest's patience with hostd, far more than an attachment takes.
const SOON: Duration = Duration::from_millis(200);

fn tool(daemon: &Daemon) -> UnixStream {
    let ours = |stream: &UnixStream| {
        getsockopt(stream, PeerCredentials).is_ok_and(|peer| peer.pid() == daemon.pid())
    };
    let mut all = hostd::server::admin::running().into_iter();
    all.find(ours).expect("hostd listens")
}

/// The shortest of some times: another job on the processor holds up some of them, a tool that is in the way all.
fn soon(times: impl Iterator<Item = Duration>) {
    let shortest = times.min().expect("some");
    assert!(shortest < SOON, "{shortest:?}");
}

fn attaches(daemon: &Daemon) -> Duration {
    let start = Instant::now();
    let client = daemon.attach();
    client.nop().expect("served");
    let took = start.elapsed();
    leave(client);
    took
}

#[test]
fn a_trace_reader_that_does_not_read_holds_up_nobody() {
    let daemon = Daemon::start();
    let mut reader = tool(&daemon);
    reader.write_all(b"{\"Trace\":{\"guest\":null}}\n").unwrap();
    let client = daemon.attach();
    eventually("lines are lost", || {
        soon((0..100).map(|_| {
            let start = Instant::now();
            client.nop().unwrap();
            start.elapsed()
        }));
        daemon.status().dropped_traces > 0
    });
    soon((0..10).map(|_| attaches(&daemon)));
    leave(client);
}

#[test]
fn a_question_that_comes_byte_by_byte_holds_up_nobody() {
    let daemon = Daemon::start();
    let mut tools = [tool(&daemon), tool(&daemon)];
    soon(b"{\"Trace\":".iter().map(|byte| {
        tools
            .iter_mut()
            .for_each(|tool| tool.write_all(&[*byte]).unwrap());
        attaches(&daemon)
    }));
}
