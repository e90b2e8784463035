//! inotify instances and scratch files have one holder: what they take of the guest's share is counted until that closes its one
//! descriptor. A guest whose threads race each other gets no second one, and nothing that nobody counts.

use hostcall::client::Client;
use hostcall::ops::Calls;
use hostcall::types::{AtFlags, DirFd, Errno, Mode, OpenFlags, RemoteFd};
use hostcall::wire::Source;
use hostcall_tests::daemon::{leave, Daemon};
use hostcall_tests::witness::c;
use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;
use std::time::Duration;

/// Time for a thread to come as far as it can. What is asserted holds however far it comes.
const A_WHILE: Duration = Duration::from_millis(300);

fn open(daemon: &Daemon, client: &Client) -> RemoteFd {
    let file = daemon.export("file");
    std::fs::write(&file, "data").expect("a file");
    let flags = OpenFlags(libc::O_RDONLY | libc::O_CLOEXEC);
    let opened = client.openat(DirFd::CWD, &c(&file), flags, Mode(0));
    opened.expect("the file").fd
}

/// Makes what may have one holder only.
type Make = fn(&Client) -> RemoteFd;

const MADE: [(&str, Make); 2] = [
    ("a scratch file", |client| {
        client.scratch(4096).expect("room").fd
    }),
    ("an inotify instance", |client| {
        client.watch_open(libc::IN_NONBLOCK).expect("one").fd
    }),
];

/// Has a call that hands on a file stand behind another that hostd does not answer, and meanwhile the file's number become that of
/// something else.
fn swapped<T: Send>(
    daemon: &Daemon,
    client: &Client,
    make: Make,
    call: impl FnOnce(RemoteFd) -> T + Send,
) -> (RemoteFd, T) {
    let file = open(daemon, client);
    let hostd = Pid::from_raw(daemon.pid());
    std::thread::scope(|scope| {
        kill(hostd, Signal::SIGSTOP).expect("ours");
        let first = scope.spawn(|| client.settle());
        std::thread::sleep(A_WHILE);
        let second = scope.spawn(|| call(file));
        std::thread::sleep(A_WHILE);
        client.close(file).expect("open");
        let made = make(client);
        kill(hostd, Signal::SIGCONT).expect("ours");
        assert_eq!(made, file, "the lowest number");
        first.join().expect("no panic").expect("settled");
        (made, second.join().expect("no panic"))
    })
}

#[test]
fn a_number_that_changes_hands_is_not_shared() {
    let daemon = Daemon::start();
    for (what, make) in MADE {
        let client = daemon.attach();
        let (_, shared) = swapped(&daemon, &client, make, |file| client.share(file));
        assert_eq!(shared.map(drop), Err(Errno(libc::EINVAL)), "{what}");
        leave(client);
    }
}

#[test]
fn a_number_that_changes_hands_is_not_inherited() {
    let daemon = Daemon::start();
    for (what, make) in MADE {
        let client = daemon.attach();
        let (made, forked) = swapped(&daemon, &client, make, |_| client.fork_session());
        let child = daemon.try_attach(Some(forked.expect("a child").token));
        let child = child.expect("attached");
        let flags = child.fcntl(made, libc::F_GETFL, 0);
        assert_eq!(flags.map(drop), Err(Errno(libc::EBADF)), "{what}");
        leave(child);
        leave(client);
    }
}

/// The kernel keeps any number of attributes of a memory file, 64 KiB each, beyond the room that a guest's scratch files have.
#[test]
fn a_scratch_file_has_no_attributes() {
    let daemon = Daemon::start();
    let client = daemon.attach();
    let scratch = client.scratch(1).expect("room").fd;
    let value = [0; 1024];
    for flags in [0, libc::AT_SYMLINK_NOFOLLOW] {
        let flags = AtFlags(libc::AT_EMPTY_PATH | flags);
        let (fd, value) = (DirFd(scratch.0), Source::new(&value));
        let set = client.setxattr(fd, c"", flags, c"user.more", value, 0);
        assert_eq!(set.map(drop), Err(Errno(libc::EOPNOTSUPP)));
    }
    leave(client);
}
