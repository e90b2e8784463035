//! Watches: inotify on open files. Programs name files by path, so only the typed client makes these calls.

use super::table;
use crate::run::Run;
use crate::short::CWD;
use hostcall::ops::Calls;
use hostcall::types::{AtFlags, DirFd, Mode, Offset, OpenFlags, RemoteFd, RwFlags};
use hostcall::wire::Sink;
use libc::*;

table![
    watching_a_directory,
    watching_a_file,
    watching_a_link,
    watches_end,
    watches_refused,
    events_awaited,
    following,
];

const CHANGES: u32 = IN_CREATE | IN_DELETE | IN_MODIFY | IN_ATTRIB | IN_MOVE;

fn instance(run: &Run, flags: i32) -> RemoteFd {
    run.watch_open(flags).map_or(RemoteFd(-1), |reply| reply.fd)
}

/// Notes the events that wait. Their cookies differ from run to run.
fn events(run: &Run, fd: RemoteFd) {
    let mut room = [0u8; 4096];
    let read = run.read(fd, Offset::CURRENT, RwFlags(0), Sink::new(&mut room));
    if let Ok(reply) = read {
        note(run, &room[..reply.filled.0]);
    }
}

fn note(run: &Run, mut rest: &[u8]) {
    while let Some((head, tail)) = rest.split_at_checked(size_of::<inotify_event>()) {
        let word = |at: usize| u32::from_ne_bytes([0, 1, 2, 3].map(|byte| head[at + byte]));
        let (name, next) = tail.split_at(word(12) as usize);
        let end = name.iter().position(|byte| *byte == 0).unwrap_or(0);
        run.note(format!(
            "watch {}: {:#x} \"{}\"",
            word(0),
            word(4),
            name[..end].escape_ascii()
        ));
        rest = next;
    }
}

/// What its own process changes, a follower does not wait for.
fn following(run: &mut Run) {
    run.mkdir(c"d", 0o755);
    let dir = run.open(c"d", O_PATH | O_DIRECTORY, 0);
    let fd = run.watch_follow().map_or(RemoteFd(-1), |reply| reply.fd);
    run.control(fd, F_GETFD, 0);
    let _ = run.watch_add(fd, dir, CHANGES);
    for name in [c"d/f", c"d/g"] {
        run.make(name, b"data");
        let mut room = [0u8; 4096];
        if let Ok(reply) = run.watch_heed(fd, Sink::new(&mut room)) {
            note(run, &room[..reply.filled.0]);
        }
    }
    let _ = run.close(fd);
}

fn watching_a_directory(run: &mut Run) {
    run.mkdir(c"d", 0o755);
    let dir = run.open(c"d", O_PATH | O_DIRECTORY, 0);
    let fd = instance(run, IN_NONBLOCK | IN_CLOEXEC);
    run.control(fd, F_GETFD, 0);
    events(run, fd);
    let _ = run.watch_add(fd, dir, CHANGES);
    run.make(c"d/f", b"data");
    events(run, fd);
    let _ = run.fchmodat2(CWD, c"d/f", Mode(0o600), AtFlags(0));
    let _ = run.renameat2(CWD, c"d/f", CWD, c"d/g", 0);
    run.unlink(c"d/g");
    events(run, fd);
    // The same file again: the same watch, with the new mask.
    let _ = run.watch_add(fd, dir, IN_DELETE);
    run.make(c"d/f", b"data");
    run.unlink(c"d/f");
    events(run, fd);
}

fn watching_a_file(run: &mut Run) {
    run.make(c"f", b"data");
    let file = run.open(c"f", O_RDWR, 0);
    let fd = instance(run, IN_NONBLOCK);
    let _ = run.watch_add(fd, file, CHANGES | IN_CLOSE_WRITE);
    let _ = run.renameat2(CWD, c"f", CWD, c"g", 0);
    let _ = run.watch_add(fd, file, CHANGES);
    run.put(file, 0, b"more");
    events(run, fd);
}

fn watching_a_link(run: &mut Run) {
    run.make(c"f", b"data");
    let _ = run.symlinkat(c"f", CWD, c"link");
    let link = run.open(c"link", O_PATH | O_NOFOLLOW, 0);
    let fd = instance(run, IN_NONBLOCK);
    let _ = run.watch_add(fd, link, IN_ATTRIB | IN_DELETE_SELF);
    let _ = run.fchmodat2(CWD, c"f", Mode(0o600), AtFlags(0));
    events(run, fd);
}

fn watches_end(run: &mut Run) {
    for name in [c"one", c"two", c"three"] {
        run.mkdir(name, 0o755);
    }
    let fd = instance(run, IN_NONBLOCK);
    let dirs = [c"one", c"two", c"three"].map(|name| run.open(name, O_RDONLY, 0));
    for dir in dirs {
        let _ = run.watch_add(fd, dir, CHANGES);
    }
    for descriptor in [2, 2, 0, -1, 99] {
        let _ = run.watch_remove(fd, descriptor);
    }
    let _ = run.close(dirs[2]);
    let _ = run.unlinkat(CWD, c"three", AtFlags(AT_REMOVEDIR));
    run.make(c"two/f", b"");
    events(run, fd);
    let _ = run.close(fd);
    let _ = run.watch_add(fd, dirs[0], CHANGES);
}

fn watches_refused(run: &mut Run) {
    run.make(c"f", b"data");
    run.mkdir(c"closed", 0o755);
    let file = run.open(c"f", O_RDONLY, 0);
    let closed = run.open(c"closed", O_PATH, 0);
    let fd = instance(run, IN_NONBLOCK);
    let _ = run.watch_open(O_APPEND);
    let _ = run.watch_add(file, file, CHANGES);
    let _ = run.watch_add(RemoteFd(99), file, CHANGES);
    let _ = run.watch_add(fd, RemoteFd(99), CHANGES);
    let _ = run.watch_add(fd, file, 0);
    let _ = run.watch_add(fd, file, CHANGES | IN_ONLYDIR);
    let _ = run.fchmodat2(CWD, c"closed", Mode(0), AtFlags(0));
    let _ = run.watch_add(fd, closed, CHANGES);
    let _ = run.watch_remove(file, 1);
    let gone = run.openat(
        DirFd::CWD,
        c"gone",
        OpenFlags(O_CREAT | O_RDWR),
        Mode(0o644),
    );
    run.unlink(c"gone");
    run.note(format!("{:?}", gone.map(|_| ())));
}

fn events_awaited(run: &mut Run) {
    run.mkdir(c"d", 0o755);
    let dir = run.open(c"d", O_PATH, 0);
    let fd = instance(run, 0);
    let _ = run.watch_add(fd, dir, IN_CREATE);
    run.mkdir(c"d/sub", 0o755);
    events(run, fd);
}
