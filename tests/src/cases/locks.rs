//! flock(2) and record locks, against a native process that holds or wants the same.

use super::table;
use crate::run::Run;
use hostcall::ops::Calls;
use hostcall::types::RecordLock;
use libc::*;

table![
    flock_against_another,
    flock_of_two_descriptors,
    posix_against_another,
    posix_ranges,
    posix_is_of_the_process,
    ofd_against_another,
    ofd_is_of_the_description,
    locks_end_with_the_description,
    lock_errors,
    waiting_for_a_lock,
];

fn flock_against_another(run: &mut Run) {
    run.make(c"f", b"data");
    let fd = run.open(c"f", O_RDWR, 0);
    let _ = run.flock(fd, LOCK_EX | LOCK_NB);
    run.ask("probe f");
    run.ask("hold flock r f 0 0");
    let _ = run.flock(fd, LOCK_SH);
    run.ask("hold flock r f 0 0");
    let _ = run.flock(fd, LOCK_EX | LOCK_NB);
    run.ask("release f");
    let _ = run.flock(fd, LOCK_EX | LOCK_NB);
    let _ = run.flock(fd, LOCK_UN);
    run.ask("hold flock w f 0 0");
    let _ = run.flock(fd, LOCK_SH | LOCK_NB);
    let _ = run.flock(fd, 99);
}

fn flock_of_two_descriptors(run: &mut Run) {
    run.make(c"f", b"data");
    let (one, two) = (run.open(c"f", O_RDONLY, 0), run.open(c"f", O_RDONLY, 0));
    let same = run.duplicate(one, 0);
    let _ = run.flock(one, LOCK_EX | LOCK_NB);
    let _ = run.flock(two, LOCK_EX | LOCK_NB);
    let _ = run.flock(same, LOCK_EX | LOCK_NB);
    let _ = run.close(one);
    let _ = run.flock(two, LOCK_SH | LOCK_NB);
    let _ = run.close(same);
    let _ = run.flock(two, LOCK_SH | LOCK_NB);
}

fn posix_against_another(run: &mut Run) {
    run.make(c"f", b"0123456789");
    let fd = run.open(c"f", O_RDWR, 0);
    run.ask("hold posix w f 0 4");
    run.record_lock(fd, F_SETLK, F_WRLCK, 2, 4);
    run.record_lock(fd, F_SETLK, F_WRLCK, 4, 4);
    run.record_lock(fd, F_GETLK, F_WRLCK, 0, 0);
    run.record_lock(fd, F_GETLK, F_RDLCK, 6, 0);
    run.ask("release f");
    run.record_lock(fd, F_SETLK, F_RDLCK, 0, 0);
    run.ask("probe f");
    run.ask("hold posix r f 0 0");
    run.record_lock(fd, F_SETLK, F_WRLCK, 0, 1);
    run.record_lock(fd, F_SETLK, F_UNLCK, 0, 0);
    run.ask("release f");
    run.ask("probe f");
}

fn posix_ranges(run: &mut Run) {
    run.make(c"f", b"0123456789");
    let fd = run.open(c"f", O_RDWR, 0);
    run.record_lock(fd, F_SETLK, F_WRLCK, 0, 10);
    run.record_lock(fd, F_SETLK, F_UNLCK, 3, 4);
    run.ask("probe f");
    run.record_lock(fd, F_SETLK, F_UNLCK, 0, 3);
    run.ask("probe f");
    run.seek(fd, 5, SEEK_SET);
    for (whence, start, len) in [
        (SEEK_CUR, 1, 2),
        (SEEK_END, -2, 2),
        (SEEK_END, 100, -50),
        (SEEK_SET, 5, -5),
        (SEEK_SET, 5, -6),
        (9, 0, 0),
    ] {
        for kind in [F_WRLCK, F_UNLCK] {
            let lock = RecordLock {
                kind: kind as i16,
                whence: whence as i16,
                start,
                len,
                pid: 0,
            };
            let _ = run.lock(fd, F_SETLK, lock);
            run.ask("probe f");
        }
    }
}

fn posix_is_of_the_process(run: &mut Run) {
    run.make(c"f", b"data");
    let (one, two) = (run.open(c"f", O_RDWR, 0), run.open(c"f", O_RDWR, 0));
    run.record_lock(one, F_SETLK, F_WRLCK, 0, 0);
    run.record_lock(two, F_SETLK, F_WRLCK, 0, 0);
    run.record_lock(two, F_GETLK, F_WRLCK, 0, 0);
    run.ask("probe f");
    // Closing any descriptor of the file lets go of all.
    let _ = run.close(two);
    run.ask("probe f");
}

fn ofd_against_another(run: &mut Run) {
    run.make(c"f", b"0123456789");
    let fd = run.open(c"f", O_RDWR, 0);
    run.ask("hold ofd w f 0 4");
    run.record_lock(fd, F_OFD_SETLK, F_WRLCK, 2, 4);
    run.record_lock(fd, F_OFD_GETLK, F_WRLCK, 0, 0);
    run.record_lock(fd, F_GETLK, F_WRLCK, 0, 0);
    run.record_lock(fd, F_OFD_SETLK, F_WRLCK, 6, 4);
    run.ask("probe f");
    run.ask("release f");
    run.record_lock(fd, F_OFD_SETLK, F_UNLCK, 0, 0);
    run.ask("probe f");
}

fn ofd_is_of_the_description(run: &mut Run) {
    run.make(c"f", b"data");
    let (one, two) = (run.open(c"f", O_RDWR, 0), run.open(c"f", O_RDWR, 0));
    let same = run.duplicate(one, 0);
    run.record_lock(one, F_OFD_SETLK, F_WRLCK, 0, 0);
    run.record_lock(two, F_OFD_SETLK, F_WRLCK, 0, 0);
    run.record_lock(same, F_OFD_SETLK, F_WRLCK, 0, 0);
    run.record_lock(two, F_SETLK, F_WRLCK, 0, 0);
    let _ = run.close(two);
    run.ask("probe f");
    let _ = run.close(one);
    run.ask("probe f");
    let _ = run.close(same);
    run.ask("probe f");
}

/// By the time close(2) has returned, for whoever wants a lock and for whoever asks about one.
fn locks_end_with_the_description(run: &mut Run) {
    run.make(c"f", b"data");
    let two = run.open(c"f", O_RDWR, 0);
    for _ in 0..20 {
        for (set, get) in [
            (F_OFD_SETLK, F_OFD_GETLK),
            (F_OFD_SETLK, F_GETLK),
            (F_SETLK, F_OFD_GETLK),
        ] {
            let one = run.open(c"f", O_RDWR, 0);
            run.record_lock(one, set, F_WRLCK, 0, 0);
            let _ = run.close(one);
            run.record_lock(two, get, F_WRLCK, 0, 0);
        }
        let one = run.open(c"f", O_RDWR, 0);
        let _ = run.flock(one, LOCK_EX | LOCK_NB);
        let _ = run.close(one);
        let _ = run.flock(two, LOCK_SH | LOCK_NB);
    }
}

fn lock_errors(run: &mut Run) {
    run.make(c"f", b"data");
    let (read, write) = (run.open(c"f", O_RDONLY, 0), run.open(c"f", O_WRONLY, 0));
    run.record_lock(read, F_SETLK, F_WRLCK, 0, 0);
    run.record_lock(write, F_SETLK, F_RDLCK, 0, 0);
    run.record_lock(read, F_OFD_SETLK, F_WRLCK, 0, 0);
    run.record_lock(read, F_SETLK, 77, 0, 0);
    run.record_lock(read, F_SETLK, F_RDLCK, -5, 1);
    let pid = RecordLock {
        kind: F_RDLCK as i16,
        whence: SEEK_SET as i16,
        start: 0,
        len: 0,
        pid: 1,
    };
    let _ = run.lock(read, F_OFD_SETLK, pid);
    run.mkdir(c"d", 0o755);
    let dir = run.open(c"d", O_RDONLY, 0);
    let _ = run.flock(dir, LOCK_EX | LOCK_NB);
    run.record_lock(dir, F_SETLK, F_RDLCK, 0, 0);
}

fn waiting_for_a_lock(run: &mut Run) {
    run.make(c"f", b"data");
    let fd = run.open(c"f", O_RDWR, 0);
    for (kind, command) in [("posix", F_SETLKW), ("ofd", F_OFD_SETLKW)] {
        run.ask(&format!("hold {kind} w f 0 0"));
        run.ask("release-after 100 f");
        run.record_lock(fd, command, F_WRLCK, 0, 0);
        run.ask("probe f");
        run.record_lock(fd, command, F_UNLCK, 0, 0);
    }
    run.ask("hold flock w f 0 0");
    run.ask("release-after 100 f");
    let _ = run.flock(fd, LOCK_EX);
    run.ask("probe f");
}
