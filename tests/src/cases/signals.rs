//! Signals that come while a call waits: EINTR, or going on with `SA_RESTART`.

use super::table;
use crate::run::Run;
use hostcall::ops::Calls;
use libc::*;

table![
    record_lock_interrupted,
    record_lock_restarted,
    ofd_lock_interrupted,
    flock_interrupted,
    flock_restarted,
    fifo_read_interrupted,
    fifo_read_restarted,
    fifo_open_interrupted,
    restarted_beside_a_handler_that_is_not,
    fifo_open_and_read,
    large_transfer_with_signals,
];

fn record_lock_interrupted(run: &mut Run) {
    interrupted(run, "posix", F_SETLKW);
}

fn ofd_lock_interrupted(run: &mut Run) {
    interrupted(run, "ofd", F_OFD_SETLKW);
}

fn interrupted(run: &Run, kind: &str, command: i32) {
    run.make(c"f", b"data");
    let fd = run.open(c"f", O_RDWR, 0);
    run.ask(&format!("hold {kind} w f 0 0"));
    run.alarm(100, false);
    run.record_lock(fd, command, F_WRLCK, 0, 0);
    run.caught();
    run.ask("release f");
    run.ask("probe f");
    run.record_lock(fd, command, F_WRLCK, 0, 0);
}

fn record_lock_restarted(run: &mut Run) {
    run.make(c"f", b"data");
    let fd = run.open(c"f", O_RDWR, 0);
    run.ask("hold posix w f 0 0");
    run.ask("release-after 300 f");
    run.alarm(100, true);
    run.record_lock(fd, F_SETLKW, F_WRLCK, 0, 0);
    run.caught();
    run.ask("probe f");
}

fn flock_interrupted(run: &mut Run) {
    run.make(c"f", b"data");
    let fd = run.open(c"f", O_RDWR, 0);
    run.ask("hold flock w f 0 0");
    run.alarm(100, false);
    let _ = run.flock(fd, LOCK_SH);
    run.caught();
}

fn flock_restarted(run: &mut Run) {
    run.make(c"f", b"data");
    let fd = run.open(c"f", O_RDWR, 0);
    run.ask("hold flock w f 0 0");
    run.ask("release-after 300 f");
    run.alarm(100, true);
    let _ = run.flock(fd, LOCK_SH);
    run.caught();
}

fn fifo_read_interrupted(run: &mut Run) {
    run.mknod(c"fifo", S_IFIFO | 0o600, 0);
    let fd = run.open(c"fifo", O_RDWR, 0);
    run.alarm(100, false);
    run.get(fd, -1, 100);
    run.caught();
    run.put(fd, -1, b"data");
    run.get(fd, -1, 100);
}

fn fifo_read_restarted(run: &mut Run) {
    run.mknod(c"fifo", S_IFIFO | 0o600, 0);
    let fd = run.open(c"fifo", O_RDWR, 0);
    run.ask("write-after 300 fifo late");
    run.alarm(100, true);
    run.get(fd, -1, 100);
    run.caught();
}

fn fifo_open_interrupted(run: &mut Run) {
    run.mknod(c"fifo", S_IFIFO | 0o600, 0);
    run.alarm(100, false);
    run.open(c"fifo", O_RDONLY, 0);
    run.caught();
    run.alarm(100, false);
    run.open(c"fifo", O_WRONLY, 0);
    run.caught();
}

fn fifo_open_and_read(run: &mut Run) {
    run.mknod(c"fifo", S_IFIFO | 0o600, 0);
    run.ask("write-after 100 fifo hello");
    let fd = run.open(c"fifo", O_RDONLY, 0);
    run.get(fd, -1, 100);
    run.get(fd, -1, 100);
    let _ = run.close(fd);
    run.ask("read-after 100 fifo");
    let fd = run.open(c"fifo", O_WRONLY, 0);
    run.put(fd, -1, b"back");
    let _ = run.close(fd);
}

/// Reads and writes of regular files are never cut short by a signal.
fn large_transfer_with_signals(run: &mut Run) {
    let data = crate::run::pattern(4 << 20);
    let fd = run.open(c"f", O_CREAT | O_RDWR, 0o644);
    for milliseconds in [1, 2, 3, 5] {
        run.alarm(milliseconds, false);
        run.put(fd, 0, &data);
        run.get(fd, 0, data.len());
    }
    run.fstat(fd);
}

/// What counts is the handler that ran, not another one that would not restart.
fn restarted_beside_a_handler_that_is_not(run: &mut Run) {
    run.make(c"f", b"data");
    let fd = run.open(c"f", O_RDWR, 0);
    run.handle(SIGUSR1, false);
    run.ask("hold posix w f 0 0");
    run.ask("release-after 300 f");
    run.alarm(100, true);
    run.record_lock(fd, F_SETLKW, F_WRLCK, 0, 0);
    run.caught();
}
