//! Descriptors that are closed without anybody waiting: replies are never taken for another call's, whoever calls next.

use hostcall::acting::Credentials;
use hostcall::client::Client;
use hostcall::ops::Calls;
use hostcall::transfer::{read, write, Known};
use hostcall::types::{DirFd, Errno, Mode, Offset, OpenFlags, RemoteFd, RwFlags};
use hostcall::wire::Source;
use hostcall_tests::daemon::{leave, Daemon};
use hostcall_tests::people::{mapped, own, serve, who, ANN, BOB};
use hostcall_tests::witness::c;
use serde_json::json;

fn open(client: &Client, who: &Credentials<'_>, daemon: &Daemon, flags: i32) -> RemoteFd {
    let path = c(&daemon.export("file"));
    let calls = client.acting_as(who);
    calls
        .openat(DirFd::CWD, &path, OpenFlags(flags), Mode(0o666))
        .unwrap()
        .fd
}

fn is_open(client: &Client, fd: RemoteFd) -> bool {
    match client.fcntl(fd, libc::F_GETFD, 0) {
        Ok(_) => true,
        Err(Errno(libc::EBADF)) => false,
        Err(errno) => panic!("{errno}"),
    }
}

/// By posts one after the other, by one that many calls follow, and by callers in turn.
#[test]
fn what_is_posted_is_closed_before_the_next_call() {
    for daemon in [Daemon::start(), serve(json!({}))] {
        let client = daemon.attach();
        let people = [who(ANN, ANN, &[]), who(BOB, BOB, &[])];
        let file = open(&client, &people[0], &daemon, libc::O_CREAT | libc::O_RDWR);
        own(&daemon.export("file"), (ANN, ANN), 0o666);
        for round in 0..200 {
            let person = &people[round % 2];
            let count = [1, 2, 7, 40][round % 4];
            let fds: Vec<RemoteFd> = (0..count)
                .map(|_| open(&client, person, &daemon, libc::O_PATH))
                .collect();
            for fd in &fds {
                let number = fd.0.to_le_bytes();
                let poster = client.acting_as(&people[round / 4 % 2]);
                poster.post_close(Source::new(&number)).unwrap();
            }
            assert!(!fds.iter().any(|fd| is_open(&client, *fd)), "round {round}");
            assert!(is_open(&client, file));
        }
        leave(client);
    }
}

/// The pieces of a long transfer, and one that wants the whole lane, come behind a reply that is not theirs.
#[test]
fn long_transfers_follow_a_post() {
    let daemon = Daemon::start();
    let client = daemon.attach();
    let me = who(0, 0, &[]);
    let file = open(&client, &me, &daemon, libc::O_CREAT | libc::O_RDWR);
    let append = open(&client, &me, &daemon, libc::O_WRONLY | libc::O_APPEND);
    let data: Vec<u8> = (0..1_500_000u32).map(|n| (n % 251) as u8).collect();
    let post = || {
        let fd = open(&client, &me, &daemon, libc::O_PATH);
        let number = fd.0.to_le_bytes();
        let poster = client.acting_as(&me);
        poster.post_close(Source::new(&number)).unwrap();
    };
    for known in [Known::Nothing, Known::Plain] {
        post();
        let written = write(&client, file, known, Offset(0), RwFlags(0), &data);
        assert_eq!(written, Ok(data.len()));
        post();
        let mut back = vec![0; data.len()];
        let got = read(&client, file, known, Offset(0), &mut back);
        assert_eq!(got, Ok(data.len()));
        assert!(back == data);
    }
    post();
    let piece = &data[..400_000];
    let end = write(
        &client,
        append,
        Known::Nothing,
        Offset::CURRENT,
        RwFlags(0),
        piece,
    );
    assert_eq!(end, Ok(piece.len()));
    let len = std::fs::metadata(daemon.export("file")).unwrap().len();
    assert_eq!(len as usize, data.len() + piece.len());
    leave(client);
}

/// A caller who is nobody on the host closes nothing, and the next call is answered as ever.
#[test]
fn a_post_that_is_refused_leaves_the_descriptor() {
    let daemon = mapped();
    let client = daemon.attach();
    let somebody = who(7, 7, &[]);
    open(&client, &somebody, &daemon, libc::O_CREAT | libc::O_RDWR);
    let fd = open(&client, &somebody, &daemon, libc::O_PATH);
    let nobody = who(5000, 5000, &[]);
    let number = fd.0.to_le_bytes();
    let posted = client.acting_as(&nobody).post_close(Source::new(&number));
    assert!(posted.is_err());
    assert!(is_open(&client, fd));
    leave(client);
}
