//! More threads than processors call at once: each gets its turn, and who sleeps in a call holds nobody up.

use hostcall::client::Client;
use hostcall::ops::Calls;
use hostcall::types::{DirFd, Mode, Offset, OpenFlags, RemoteFd, RwFlags};
use hostcall::wire::Sink;
use hostcall_tests::daemon::{leave, Daemon};
use hostcall_tests::witness::c;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

/// Calls of the thread that ends a round: many turns of a thousandth of a second for everybody. Who comes next is not
/// told, so a short round would leave out who is unlucky.
const ENOUGH: u32 = 25_000;

#[test]
fn nobody_is_left_out() {
    let daemon = Daemon::start();
    let client = daemon.attach();
    let over = AtomicBool::new(false);
    let counts: [AtomicU32; 12] = std::array::from_fn(|_| AtomicU32::new(0));
    thread::scope(|scope| {
        for count in &counts {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    client.nop().unwrap();
                    if count.fetch_add(1, Ordering::Relaxed) > ENOUGH {
                        over.store(true, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let counts = counts.map(AtomicU32::into_inner);
    assert!(
        counts.iter().all(|count| *count > ENOUGH / 20),
        "{counts:?}"
    );
    leave(client);
}

fn fifo(client: &Client, daemon: &Daemon) -> RemoteFd {
    let path = daemon.export("fifo");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let flags = OpenFlags(libc::O_RDWR);
    client
        .openat(DirFd::CWD, &c(&path), flags, Mode(0))
        .unwrap()
        .fd
}

#[test]
fn sleepers_have_no_turn() {
    const SLEEPERS: u8 = 8;
    let daemon = Daemon::start();
    let client = daemon.attach();
    let fifo = fifo(&client, &daemon);
    let woken = AtomicU32::new(0);
    thread::scope(|scope| {
        for _ in 0..SLEEPERS {
            scope.spawn(|| {
                let mut byte = [0];
                let read = client.read(fifo, Offset::CURRENT, RwFlags(0), Sink::new(&mut byte));
                assert_eq!(read.unwrap().filled.0, 1);
                woken.fetch_add(1, Ordering::Relaxed);
            });
        }
        // However many of them are in their call by then; the last thousand meet all of them.
        for _ in 0..5_000 {
            client.nop().unwrap();
        }
        assert_eq!(woken.load(Ordering::Relaxed), 0);
        let host = std::fs::OpenOptions::new()
            .write(true)
            .open(daemon.export("fifo"))
            .unwrap();
        std::io::Write::write_all(&mut &host, &[0; SLEEPERS as usize]).unwrap();
    });
    assert_eq!(woken.into_inner(), u32::from(SLEEPERS));
    leave(client);
}
