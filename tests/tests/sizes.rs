//! Sizes that an administrator may well configure.

use hostcall::ops::Calls;
use hostcall::types::{DirFd, Mode, OpenFlags};
use hostcall_tests::daemon::{leave, Daemon};
use hostcall_tests::witness::c;
use serde_json::json;

#[test]
fn a_hundred_exports_are_served() {
    let daemon = Daemon::configured(|directory| {
        let exports: Vec<_> = (0..100)
            .map(|n| {
                let path = directory.join(format!("export/{n}-{}", "x".repeat(100)));
                std::fs::create_dir_all(&path).unwrap();
                json!({"path": path, "mode": "rw"})
            })
            .collect();
        json!({"exports": exports})
    });
    leave(daemon.attach());
}

#[test]
fn a_process_with_many_open_files_forks() {
    let daemon = Daemon::with_limits(json!({"open_files": 16_000}));
    std::fs::write(daemon.export("file"), "data").unwrap();
    let path = c(&daemon.export("file"));
    let client = daemon.attach();
    for _ in 0..15_000 {
        client
            .openat(DirFd::CWD, &path, OpenFlags(libc::O_RDONLY), Mode(0))
            .unwrap();
    }
    let token = client.fork_session().expect("forked").token;
    let child = daemon.try_attach(Some(token)).expect("attached");
    leave(child);
    leave(client);
}
