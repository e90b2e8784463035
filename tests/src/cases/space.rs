//! Space inside files: allocation, holes, copies between files.

use super::table;
use crate::run::{pattern, Run};
use hostcall::ops::Calls;
use hostcall::types::{Offset, RemoteFd};
use libc::*;

table![
    allocating,
    punching,
    shifting,
    limited,
    copying,
    copying_at_positions,
    copying_refused
];

fn allocating(run: &mut Run) {
    let fd = run.open(c"f", O_CREAT | O_RDWR, 0o644);
    let _ = run.fallocate(fd, 0, 0, 10_000);
    run.fstat(fd);
    let _ = run.fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 100_000);
    run.fstat(fd);
    run.get(fd, 0, 20_000);
    let _ = run.fallocate(fd, 0x4000, 0, 1);
    let dir = run.open(c".", O_RDONLY, 0);
    let _ = run.fallocate(dir, 0, 0, 1);
}

fn punching(run: &mut Run) {
    run.make(c"f", &pattern(64 << 10));
    let fd = run.open(c"f", O_RDWR, 0);
    let _ = run.fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 8192, 16384);
    let _ = run.fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 40_001, 7);
    let _ = run.fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 4096);
    run.seek(fd, 0, SEEK_HOLE);
    run.seek(fd, 8192, SEEK_DATA);
    let _ = run.fallocate(fd, FALLOC_FL_ZERO_RANGE, 60_000, 10_000);
    run.fstat(fd);
    run.get(fd, 0, 128 << 10);
}

fn limited(run: &mut Run) {
    run.make(c"f", &pattern(1000));
    run.make(c"g", &pattern(9000));
    let fd = run.open(c"f", O_RDWR, 0);
    let append = run.open(c"f", O_WRONLY | O_APPEND, 0);
    let source = run.open(c"g", O_RDWR, 0);
    let _ = run.limit_size(5000);
    run.put(fd, 4000, &pattern(2000));
    run.put(fd, 5000, b"x");
    run.put(append, -1, b"x");
    run.put(fd, 0, &pattern(2000));
    let _ = run.ftruncate(fd, 5001);
    let _ = run.truncate(c"f", 5001);
    let _ = run.fallocate(fd, 0, 4000, 2000);
    let _ = run.fallocate(fd, FALLOC_FL_KEEP_SIZE, 4000, 2000);
    let _ = run.copy_file_range(source, Offset(0), fd, Offset(4500), 2000, 0);
    let _ = run.copy_file_range(source, Offset(0), fd, Offset(5000), 2000, 0);
    run.put(source, 8000, b"within a file that is longer");
    let _ = run.ftruncate(source, 8000);
    run.stat(c"f");
    let _ = run.ftruncate(fd, 5000);
    run.put(fd, 4000, &pattern(300 << 10));
    let _ = run.limit_size(u64::MAX);
    run.put(fd, 5000, b"x");
    run.stat(c"f");
}

fn shifting(run: &mut Run) {
    run.make(c"f", &pattern(64 << 10));
    let fd = run.open(c"f", O_RDWR, 0);
    let _ = run.fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 4096, 8192);
    run.fstat(fd);
    let _ = run.fallocate(fd, FALLOC_FL_INSERT_RANGE, 4096, 4096);
    run.fstat(fd);
    let _ = run.fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 1, 2);
    run.get(fd, 0, 128 << 10);
}

fn pair(run: &Run) -> (RemoteFd, RemoteFd) {
    run.make(c"from", &pattern(300_000));
    (
        run.open(c"from", O_RDWR, 0),
        run.open(c"to", O_CREAT | O_RDWR, 0o644),
    )
}

fn copying(run: &mut Run) {
    let (from, to) = pair(run);
    run.copy((from, -1), (to, -1), 1000, 0);
    run.seek(from, 0, SEEK_CUR);
    run.seek(to, 0, SEEK_CUR);
    run.copy((from, -1), (to, -1), 1 << 20, 0);
    run.copy((from, -1), (to, -1), 1 << 20, 0);
    run.fstat(to);
    run.get(to, 0, 400_000);
}

fn copying_at_positions(run: &mut Run) {
    let (from, to) = pair(run);
    run.copy((from, 100), (to, 50), 500, 0);
    run.copy((from, 0), (to, -1), 10, 0);
    run.copy((from, -1), (to, 5000), 10, 0);
    run.copy((from, 1 << 40), (to, 0), 10, 0);
    run.copy((from, 0), (from, 200_000), 1000, 0);
    run.copy((from, 0), (from, 100), 1000, 0);
    run.seek(from, 0, SEEK_CUR);
    run.seek(to, 0, SEEK_CUR);
}

fn copying_refused(run: &mut Run) {
    let (from, to) = pair(run);
    run.copy((from, 0), (to, 0), 10, 1);
    let read_only = run.open(c"to", O_RDONLY, 0);
    run.copy((from, 0), (read_only, 0), 10, 0);
    let appending = run.open(c"to", O_WRONLY | O_APPEND, 0);
    run.copy((from, 0), (appending, 0), 10, 0);
    let dir = run.open(c".", O_RDONLY, 0);
    run.copy((dir, -1), (to, -1), 10, 0);
    run.copy((RemoteFd(-1), -1), (to, -1), 10, 0);
    let _ = run.copy_file_range(from, Offset(0), RemoteFd(99), Offset(0), 10, 0);
}
