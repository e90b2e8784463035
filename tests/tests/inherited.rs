//! What whoever starts hostd has left open is hostd's at most, never a guest's.

use hostcall::ops::Calls;
use hostcall::types::{Errno, RemoteFd};
use hostcall_tests::daemon::{descendants, Daemon, Scratch};
use nix::fcntl::{fcntl, FcntlArg};

/// Past all numbers that a shadow may use, its own included.
const NUMBERS: i32 = 1100;

#[test]
fn a_guest_begins_without_files() {
    let directory = Scratch::new();
    let secret = directory.join("secret");
    std::fs::write(&secret, "secret").unwrap();
    let secret = std::fs::File::open(&secret).unwrap();
    // Without the flag that closes it at exec, as shells leave redirected descriptors.
    let stray = fcntl(&secret, FcntlArg::F_DUPFD(200)).unwrap();
    let daemon = Daemon::start();
    let inherited = std::fs::read_link(format!("/proc/{}/fd/{stray}", daemon.pid())).unwrap();
    assert_eq!(inherited, directory.join("secret"));
    let client = daemon.attach();
    for pid in descendants(daemon.pid()) {
        let path = format!("/proc/{pid}/fd/{stray}");
        assert!(std::fs::symlink_metadata(&path).is_err(), "{path}");
    }
    for number in 0..NUMBERS {
        let answer = client.fcntl(RemoteFd(number), libc::F_GETFD, 0);
        assert_eq!(
            answer.err(),
            Some(Errno(libc::EBADF)),
            "descriptor {number}"
        );
    }
}
