//! Sizes around the pieces in which bulk data travels: chunks of 128 KiB, arenas of four of them.

use super::table;
use crate::run::{pattern, Run};
use hostcall::ops::Calls;
use hostcall::region::{ARENA, CHUNK};
use libc::*;

table![
    large_reads,
    large_writes,
    large_appends,
    large_vectors,
    short_at_the_end,
    from_a_fifo,
    many_vectors
];

const SIZES: [usize; 9] = [
    CHUNK - 1,
    CHUNK,
    CHUNK + 1,
    2 * CHUNK,
    ARENA - 1,
    ARENA,
    ARENA + 1,
    2 * ARENA + CHUNK,
    (1 << 20) + 1,
];

fn large_reads(run: &mut Run) {
    run.make(c"f", &pattern(3 << 20));
    let fd = run.open(c"f", O_RDONLY, 0);
    for size in SIZES {
        run.get(fd, 12345, size);
        run.get(fd, -1, size);
        run.seek(fd, 0, SEEK_CUR);
    }
}

fn large_writes(run: &mut Run) {
    let fd = run.open(c"f", O_CREAT | O_RDWR, 0o644);
    for size in SIZES {
        run.put(fd, -1, &pattern(size));
        run.put(fd, 777, &pattern(size));
        run.seek(fd, 0, SEEK_CUR);
        run.fstat(fd);
    }
    run.get(fd, 0, 2 << 20);
}

fn large_appends(run: &mut Run) {
    let fd = run.open(c"f", O_CREAT | O_RDWR | O_APPEND, 0o644);
    for size in SIZES {
        run.put(fd, -1, &pattern(size));
        run.seek(fd, 0, SEEK_CUR);
    }
    let plain = run.open(c"f", O_RDWR, 0);
    run.put_vectors(plain, -1, RWF_APPEND, &[&pattern(CHUNK + 5)]);
    run.put_vectors(plain, 0, RWF_APPEND, &[&pattern(ARENA + 5), b"end"]);
}

fn large_vectors(run: &mut Run) {
    let fd = run.open(c"f", O_CREAT | O_RDWR, 0o644);
    let data = pattern(1 << 20);
    let parts = [
        &data[..5],
        &data[5..CHUNK - 3],
        &data[CHUNK - 3..CHUNK + 3],
        &data[..0],
        &data[CHUNK + 3..],
    ];
    run.put_vectors(fd, -1, 0, &parts);
    run.get_vectors(fd, 0, 0, &[CHUNK - 1, 2, 0, ARENA, 1 << 20]);
    run.get_vectors(fd, CHUNK as i64, 0, &[3, CHUNK, CHUNK, 3]);
}

fn short_at_the_end(run: &mut Run) {
    for extra in [0, 1, CHUNK - 1] {
        run.make(c"f", &pattern(2 * CHUNK + extra));
        let fd = run.open(c"f", O_RDONLY, 0);
        run.get(fd, -1, 1 << 20);
        run.seek(fd, 0, SEEK_CUR);
        run.get(fd, -1, 1 << 20);
        run.get(fd, CHUNK as i64 + 1, 1 << 20);
        run.get(fd, (2 * CHUNK + extra) as i64, 1 << 20);
        let _ = run.close(fd);
    }
}

fn from_a_fifo(run: &mut Run) {
    run.mknod(c"fifo", S_IFIFO | 0o600, 0);
    let fd = run.open(c"fifo", O_RDWR, 0);
    run.put(fd, -1, &pattern(1000));
    run.get(fd, -1, 1 << 20);
    run.control(fd, F_SETFL, O_NONBLOCK);
    run.get(fd, -1, 1 << 20);
    run.put(fd, -1, &pattern(1 << 20));
    run.get(fd, -1, 30_000);
    run.seek(fd, 0, SEEK_CUR);
}

fn many_vectors(run: &mut Run) {
    let fd = run.open(c"f", O_CREAT | O_RDWR, 0o644);
    let data = pattern(1024 * 300);
    let parts: Vec<&[u8]> = data.chunks(300).collect();
    run.put_vectors(fd, -1, 0, &parts);
    run.get_vectors(fd, 0, 0, &vec![299; 1024]);
    run.put_vectors(fd, 100, 0, &parts);
    run.fstat(fd);
}
