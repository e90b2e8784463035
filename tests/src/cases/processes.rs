//! fork(2) and execve(2): what a child and a new program image keep.

use super::table;
use crate::run::Run;
use hostcall::ops::Calls;
use hostcall::types::{Mode, RemoteFd};
use libc::*;

table![
    fork_shares_files,
    fork_copies_directory_and_mask,
    fork_copies_no_record_locks,
    fork_of_a_child,
    fork_closes_apart,
    exec_keeps_files,
    exec_that_failed_changes_nothing,
    exec_keeps_directory_and_mask,
    exec_keeps_record_locks,
];

fn fork_shares_files(run: &mut Run) {
    run.make(c"f", b"0123456789");
    let fd = run.open(c"f", O_RDWR, 0);
    let cloexec = run.open(c"f", O_RDONLY | O_CLOEXEC, 0);
    run.get(fd, -1, 2);
    run.child(|run| {
        run.get(fd, -1, 2);
        run.get(cloexec, -1, 2);
        run.control(cloexec, F_GETFD, 0);
        run.open(c"f", O_RDONLY, 0);
    });
    // The child's reading has moved the position.
    run.get(fd, -1, 2);
    run.child(|run| run.seek(fd, 0, SEEK_SET));
    run.get(fd, -1, 2);
    run.unlink(c"f");
    run.child(|run| run.fstat(fd));
}

fn fork_copies_directory_and_mask(run: &mut Run) {
    run.mkdir(c"d", 0o755);
    let _ = run.umask(Mode(0o027));
    let _ = run.chdir(c"d");
    run.child(|run| {
        run.cwd();
        run.open(c"child", O_CREAT | O_WRONLY, 0o666);
        let _ = run.umask(Mode(0));
        let _ = run.chdir(c"..");
        run.open(c"above", O_CREAT | O_WRONLY, 0o666);
    });
    run.cwd();
    run.open(c"parent", O_CREAT | O_WRONLY, 0o666);
}

fn fork_copies_no_record_locks(run: &mut Run) {
    run.make(c"f", b"data");
    let fd = run.open(c"f", O_RDWR, 0);
    run.record_lock(fd, F_SETLK, F_WRLCK, 0, 0);
    run.child(|run| {
        run.record_lock(fd, F_SETLK, F_RDLCK, 0, 0);
        run.record_lock(fd, F_GETLK, F_WRLCK, 0, 0);
    });
    // The child's closing at its end did not let go of the parent's lock.
    run.ask("probe f");
    let _ = run.flock(fd, LOCK_EX);
    run.child(|run| {
        let _ = run.flock(fd, LOCK_UN);
    });
    run.record_lock(fd, F_SETLK, F_UNLCK, 0, 0);
    run.ask("probe f");
}

fn fork_of_a_child(run: &mut Run) {
    run.make(c"f", b"0123456789");
    let fd = run.open(c"f", O_RDWR, 0);
    run.child(|run| {
        run.get(fd, -1, 1);
        run.child(|run| {
            run.get(fd, -1, 1);
            run.put(fd, 9, b"!");
        });
        run.get(fd, -1, 1);
    });
    run.get(fd, -1, 100);
}

fn fork_closes_apart(run: &mut Run) {
    run.make(c"f", b"data");
    let (one, two) = (run.open(c"f", O_RDWR, 0), run.open(c"f", O_RDWR, 0));
    run.child(|run| {
        let _ = run.close(one);
        run.open(c"f", O_RDONLY, 0);
        run.get(two, -1, 4);
    });
    run.get(one, -1, 4);
    let _ = run.close(two);
    run.child(|run| run.fstat(two));
}

fn exec_keeps_files(run: &mut Run) {
    if run.stage == 0 {
        run.make(c"f", b"0123456789");
        let kept = run.open(c"f", O_RDWR, 0);
        let closed = run.open(c"f", O_RDWR | O_CLOEXEC, 0);
        let marked = run.duplicate(kept, O_CLOEXEC);
        run.control(closed, F_SETFD, 0);
        run.get(kept, -1, 3);
        run.control(marked, F_GETFD, 0);
        run.exec();
    }
    for number in 3..7 {
        run.fstat(RemoteFd(number));
        run.get(RemoteFd(number), -1, 2);
    }
    run.open(c"f", O_RDONLY, 0);
    if run.stage < 3 {
        run.exec();
    }
}

fn exec_that_failed_changes_nothing(run: &mut Run) {
    if run.stage == 0 {
        run.make(c"f", b"0123456789");
        let kept = run.open(c"f", O_RDWR, 0);
        let closed = run.open(c"f", O_RDWR | O_CLOEXEC, 0);
        run.fail_exec();
        run.get(kept, -1, 3);
        run.get(closed, -1, 2);
        run.fail_exec();
        run.exec();
    }
    run.get(RemoteFd(3), -1, 2);
    run.fstat(RemoteFd(4));
}

fn exec_keeps_directory_and_mask(run: &mut Run) {
    if run.stage == 0 {
        run.mkdir(c"d", 0o755);
        let _ = run.chdir(c"d");
        let _ = run.umask(Mode(0o077));
        run.exec();
    }
    run.cwd();
    run.open(c"f", O_CREAT | O_WRONLY, 0o666);
    run.stat(c"f");
}

fn exec_keeps_record_locks(run: &mut Run) {
    if run.stage == 0 {
        run.make(c"f", b"data");
        let fd = run.open(c"f", O_RDWR, 0);
        run.record_lock(fd, F_SETLK, F_WRLCK, 0, 0);
        let ofd = run.open(c"f", O_RDWR | O_CLOEXEC, 0);
        run.ask("probe f");
        run.note(format!("{}", ofd.0));
        run.make(c"g", b"data");
        let fd = run.open(c"g", O_RDWR, 0);
        run.record_lock(fd, F_SETLK, F_WRLCK, 0, 0);
        run.exec();
    }
    run.ask("probe g");
    run.record_lock(RemoteFd(5), F_SETLK, F_UNLCK, 0, 0);
    run.ask("probe g");
}
