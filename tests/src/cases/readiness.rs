//! Readiness: what a file is ready for, and waiting for it.

use super::table;
use crate::run::Run;
use hostcall::ops::Calls;
use hostcall::types::RemoteFd;
use libc::*;

table![
    ready_at_any_time,
    ready_at_no_time,
    ready_as_a_fifo,
    fifo_awaited,
    fifo_awaited_in_vain,
    await_interrupted,
    await_never_restarted,
];

const ALL: i16 = POLLIN | POLLOUT | POLLPRI | POLLRDNORM | POLLWRNORM | POLLRDBAND | POLLRDHUP;
const FOR_EVER: i64 = -1;
const MILLISECONDS: i64 = 1_000_000;

fn ready(run: &Run, fd: RemoteFd, events: i16, timeout: i64) {
    let _ = run.poll(fd, (events as u16).into(), timeout);
}

fn ready_at_any_time(run: &mut Run) {
    run.make(c"f", b"data");
    for fd in [run.open(c"f", O_RDONLY, 0), run.open(c".", O_RDONLY, 0)] {
        for events in [POLLIN, POLLOUT, ALL] {
            ready(run, fd, events, FOR_EVER);
            ready(run, fd, events, 0);
        }
        ready(run, fd, POLLPRI, MILLISECONDS);
        ready(run, fd, 0, MILLISECONDS);
    }
}

fn ready_at_no_time(run: &mut Run) {
    run.make(c"f", b"data");
    let named = run.open(c"f", O_PATH, 0);
    ready(run, named, ALL, FOR_EVER);
    ready(run, named, 0, 0);
    let closed = run.open(c"f", O_RDONLY, 0);
    let _ = run.close(closed);
    for fd in [closed, RemoteFd(-1), RemoteFd(1 << 20)] {
        ready(run, fd, ALL, FOR_EVER);
    }
}

fn ready_as_a_fifo(run: &mut Run) {
    run.mknod(c"fifo", S_IFIFO | 0o600, 0);
    let reader = run.open(c"fifo", O_RDONLY | O_NONBLOCK, 0);
    ready(run, reader, ALL, 0);
    let writer = run.open(c"fifo", O_WRONLY | O_NONBLOCK, 0);
    for events in [POLLIN, POLLOUT, ALL] {
        ready(run, reader, events, 0);
        ready(run, writer, events, 0);
    }
    run.put(writer, -1, b"data");
    ready(run, reader, ALL, FOR_EVER);
    let both = run.open(c"fifo", O_RDWR, 0);
    ready(run, both, ALL, FOR_EVER);
    let _ = run.close(both);
    let _ = run.close(writer);
    ready(run, reader, ALL, FOR_EVER);
    run.get(reader, -1, 100);
    ready(run, reader, POLLIN, FOR_EVER);
    let writer = run.open(c"fifo", O_WRONLY, 0);
    let _ = run.close(reader);
    ready(run, writer, 0, FOR_EVER);
}

fn fifo_awaited(run: &mut Run) {
    run.mknod(c"fifo", S_IFIFO | 0o600, 0);
    let fd = run.open(c"fifo", O_RDWR, 0);
    run.ask("write-after 100 fifo late");
    ready(run, fd, POLLIN, FOR_EVER);
    run.get(fd, -1, 100);
    run.ask("write-after 100 fifo later");
    ready(run, fd, POLLIN | POLLPRI, 100_000 * MILLISECONDS);
    run.get(fd, -1, 100);
}

fn fifo_awaited_in_vain(run: &mut Run) {
    run.mknod(c"fifo", S_IFIFO | 0o600, 0);
    let fd = run.open(c"fifo", O_RDWR, 0);
    for timeout in [0, 1, MILLISECONDS, 30 * MILLISECONDS] {
        ready(run, fd, POLLIN, timeout);
        ready(run, fd, 0, timeout);
    }
}

fn await_interrupted(run: &mut Run) {
    run.mknod(c"fifo", S_IFIFO | 0o600, 0);
    let fd = run.open(c"fifo", O_RDWR, 0);
    for timeout in [FOR_EVER, 100_000 * MILLISECONDS] {
        run.alarm(100, false);
        ready(run, fd, POLLIN, timeout);
        run.caught();
    }
    run.put(fd, -1, b"data");
    ready(run, fd, POLLIN, FOR_EVER);
}

/// signal(7): whatever the handler says.
fn await_never_restarted(run: &mut Run) {
    run.mknod(c"fifo", S_IFIFO | 0o600, 0);
    let fd = run.open(c"fifo", O_RDWR, 0);
    run.alarm(100, true);
    ready(run, fd, POLLIN, FOR_EVER);
    run.caught();
}
