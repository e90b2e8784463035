//! A well-behaved session that checks all its answers while something else happens.

use crate::daemon::{leave, Daemon};
use hostcall::client::Client;
use hostcall::ops::Calls;
use hostcall::types::{AtFlags, DirFd, Mode, Offset, OpenFlags, RwFlags};
use hostcall::wire::{Sink, Source};
use std::ffi::CString;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// A path for a call.
///
/// # Panics
/// The path holds a NUL.
pub fn c(path: &Path) -> CString {
    CString::new(path.as_os_str().as_encoded_bytes()).expect("a path without NUL")
}

/// Runs `attack` while another session of the daemon's first guest works and checks; says how many rounds it made.
///
/// # Panics
/// One of its calls fails or answers wrongly.
pub fn unharmed<T>(daemon: &Daemon, attack: impl FnOnce() -> T) -> (T, u64) {
    let stop = AtomicBool::new(false);
    // Before the attack: what comes first when a guest fills up is not what is witnessed.
    let client = daemon.attach();
    std::thread::scope(|scope| {
        let good = scope.spawn(|| work(daemon, client, &stop));
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(attack));
        stop.store(true, Ordering::Relaxed);
        let rounds = good.join().expect("the well-behaved session is unharmed");
        assert!(rounds > 0);
        match outcome {
            Ok(outcome) => (outcome, rounds),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

fn work(daemon: &Daemon, client: Client, stop: &AtomicBool) -> u64 {
    let own = daemon.directory.join("good");
    let path = c(&own.join("file"));
    let flags = OpenFlags(libc::O_RDWR | libc::O_CREAT | libc::O_CLOEXEC);
    let mut rounds = 0;
    while !stop.load(Ordering::Relaxed) || rounds == 0 {
        let data: Vec<u8> = (0..3000).map(|n| (n as u64 * 7 + rounds) as u8).collect();
        let fd = client
            .openat(DirFd::CWD, &path, flags, Mode(0o600))
            .expect("open")
            .fd;
        assert_eq!(
            client
                .write(fd, Offset(0), RwFlags(0), Source::new(&data))
                .expect("write")
                .written,
            3000
        );
        let mut back = vec![0; 4096];
        let filled = client
            .read(fd, Offset(0), RwFlags(0), Sink::new(&mut back))
            .expect("read")
            .filled
            .0;
        assert_eq!(&back[..filled], &data[..], "what was written is read");
        let mut statx = vec![0; 256];
        client
            .statx(
                fd.into(),
                c"",
                AtFlags(libc::AT_EMPTY_PATH),
                libc::STATX_SIZE,
                Sink::new(&mut statx),
            )
            .expect("statx");
        client.close(fd).expect("close");
        rounds += 1;
        std::thread::sleep(std::time::Duration::from_micros(500));
    }
    leave(client);
    rounds
}
