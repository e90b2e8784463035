//! Streams that are carried where they lie: every byte arrives once and in order, or is handed back, however a flow ends.

use hostcall::client::Client;
use hostcall::flow::{put, Inflow, Outflow};
use hostcall::ops::Calls;
use hostcall::transfer::{read, write, Known};
use hostcall::types::{Errno, Offset, OpenFlags, RemoteFd, RwFlags};
use hostcall_tests::daemon::{leave, Daemon};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::thread::scope;

/// More than all pipes and chunks on the way hold, and no multiple of any.
const LONG: usize = 5_000_001;

/// A pipe of the guest's.
fn own_pipe() -> (File, File) {
    let (reader, writer) = nix::unistd::pipe().expect("a pipe");
    (reader.into(), writer.into())
}

/// A pipe of the host's: the ends for reading and for writing.
fn host_pipe(host: &Client) -> (RemoteFd, RemoteFd) {
    let pipe = host.pipe(OpenFlags(libc::O_CLOEXEC)).expect("a pipe");
    (pipe.reader, pipe.writer)
}

fn data() -> Vec<u8> {
    (0..LONG).map(|n| (n % 251) as u8).collect()
}

/// Writes by ordinary calls.
fn send(host: &Client, writer: RemoteFd, bytes: &[u8]) -> Result<usize, Errno> {
    let place = Offset::CURRENT;
    write(host, writer, Known::Nothing, place, RwFlags(0), bytes)
}

/// What comes by ordinary calls, until the end.
fn drain(host: &Client, reader: RemoteFd) -> Vec<u8> {
    let (mut all, mut buffer) = (Vec::new(), vec![0; 100_000]);
    loop {
        match read(host, reader, Known::Nothing, Offset::CURRENT, &mut buffer).expect("a read") {
            0 => return all,
            read => all.extend(&buffer[..read]),
        }
    }
}

#[test]
fn what_goes_in_arrives() {
    let daemon = Daemon::start();
    let host = daemon.attach();
    let (sent, (reader, writer)) = (data(), host_pipe(&host));
    let (from, mut to) = own_pipe();
    let arrived = scope(|scope| {
        scope.spawn(|| {
            to.write_all(&sent).expect("it is read");
            drop(to);
        });
        let drained = scope.spawn(|| drain(&host, reader));
        let mut flow = Inflow::begin(&host, writer).expect("a lane");
        let (mut left, mut written) = (Vec::new(), 0);
        loop {
            written += flow.settle(!flow.has_room(), &mut left).expect("answers");
            if flow.has_room() && flow.feed(from.as_fd()).expect("a read") == 0 {
                break;
            }
        }
        written += flow.end(&mut left).expect("answers");
        assert_eq!((written, left.len()), (LONG, 0));
        host.close(writer).expect("it is open");
        drained.join().expect("it ends")
    });
    assert!(arrived == sent, "{} bytes", arrived.len());
    leave(host);
}

/// A host that takes only so much, as it does not wait: the rest is handed back, those bytes too that were on their way behind.
#[test]
fn what_is_not_written_is_handed_back() {
    let daemon = Daemon::start();
    let host = daemon.attach();
    let (sent, (reader, writer)) = (data(), host_pipe(&host));
    let none = libc::O_NONBLOCK as u64;
    host.fcntl(writer, libc::F_SETFL, none).expect("flags");
    let (from, mut to) = own_pipe();
    nix::fcntl::fcntl(&from, nix::fcntl::FcntlArg::F_SETPIPE_SZ(1 << 20)).expect("room");
    to.write_all(&sent[..1_000_000]).expect("room");
    let mut flow = Inflow::begin(&host, writer).expect("a lane");
    let fed = flow.feed(from.as_fd()).expect("a read");
    assert!(fed > 300_000, "several chunks: {fed}");
    let mut left = Vec::new();
    let written = flow.end(&mut left).expect("answers");
    assert!(written > 0 && !left.is_empty());
    host.close(writer).expect("it is open");
    let arrived = [drain(&host, reader), left].concat();
    assert!(arrived == sent[..fed], "{} of {fed} bytes", arrived.len());
    leave(host);
}

#[test]
fn without_a_reader_all_is_handed_back() {
    let daemon = Daemon::start();
    let host = daemon.attach();
    let (reader, writer) = host_pipe(&host);
    host.close(reader).expect("it is open");
    let (from, mut to) = own_pipe();
    to.write_all(b"nobody").expect("room");
    let mut flow = Inflow::begin(&host, writer).expect("a lane");
    flow.feed(from.as_fd()).expect("a read");
    let mut left = Vec::new();
    assert_eq!(flow.settle(true, &mut left), Ok(0));
    assert!(!flow.has_room(), "it is over");
    assert_eq!(left, b"nobody");
    let again = send(&host, writer, &left);
    assert_eq!(again, Err(Errno(libc::EPIPE)));
    drop(flow);
    leave(host);
}

#[test]
fn what_comes_out_arrives() {
    let daemon = Daemon::start();
    let host = daemon.attach();
    let (sent, (reader, writer)) = (data(), host_pipe(&host));
    let (mut from, to) = own_pipe();
    let arrived = scope(|scope| {
        scope.spawn(|| {
            let whole = send(&host, writer, &sent);
            assert_eq!(whole, Ok(LONG));
            host.close(writer).expect("it is open");
        });
        let arrived = scope.spawn(move || {
            let mut all = Vec::new();
            from.read_to_end(&mut all).expect("it is read");
            all
        });
        let mut flow = Outflow::begin(&host, reader).expect("a lane");
        while let Some(mut data) = flow.receive().expect("answers") {
            while !data.is_empty() {
                data = data.behind(put(to.as_fd(), data).expect("it is written"));
            }
        }
        let mut left = Vec::new();
        flow.end(&mut left).expect("answers");
        assert!(left.is_empty());
        drop(to);
        arrived.join().expect("it ends")
    });
    assert!(arrived == sent, "{} bytes", arrived.len());
    leave(host);
}

/// A flow that ends before the stream: calls that wait for the host do so no more, what others had read is handed over, and
/// the lane is another's.
#[test]
fn an_end_hands_over_what_was_read_ahead() {
    let daemon = Daemon::start();
    let host = daemon.attach();
    let (reader, writer) = host_pipe(&host);
    host.fcntl(writer, libc::F_SETPIPE_SZ, 1 << 20)
        .expect("room");
    let sent = &data()[..300_000];
    let whole = send(&host, writer, sent);
    assert_eq!(whole, Ok(sent.len()));
    let mut flow = Outflow::begin(&host, reader).expect("a lane");
    let mut arrived = Vec::new();
    let first = flow.receive().expect("answers").expect("bytes");
    first.append_to(&mut arrived);
    flow.end(&mut arrived).expect("answers");
    assert!(arrived == sent, "{} bytes", arrived.len());
    let more = send(&host, writer, b"more");
    assert_eq!(more, Ok(4));
    host.close(writer).expect("it is open");
    assert_eq!(drain(&host, reader), b"more");
    leave(host);
}
