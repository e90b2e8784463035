//! Reading, writing and positions of small files.

use super::table;
use crate::run::Run;
use crate::short::CWD;
use hostcall::ops::Calls;
use hostcall::types::{AtFlags, Offset, RwFlags};
use hostcall::wire::{Sink, Source};
use libc::*;

table![
    read_and_write,
    positions,
    vectors,
    rw_flags,
    data_and_holes,
    lengths,
    synchronising,
    advice,
    sharing_a_description,
    size_limits,
    typed_calls,
    closing_twice,
];

fn read_and_write(run: &mut Run) {
    let fd = run.open(c"f", O_CREAT | O_RDWR, 0o644);
    run.get(fd, -1, 10);
    run.put(fd, -1, b"0123456789");
    run.get(fd, -1, 10);
    run.get(fd, 0, 4);
    run.get(fd, 8, 4);
    run.get(fd, 10, 4);
    run.get(fd, 1 << 40, 4);
    run.get(fd, -2, 4);
    run.put(fd, 20, b"beyond");
    run.put(fd, -1, b"tail");
    run.put(fd, -1, b"");
    run.put(fd, 5, b"");
    run.get(fd, 0, 0);
    run.get(fd, 0, 100);
    run.fstat(fd);
}

fn positions(run: &mut Run) {
    run.make(c"f", b"0123456789");
    let fd = run.open(c"f", O_RDWR, 0);
    for (offset, whence) in [
        (0, SEEK_CUR),
        (4, SEEK_SET),
        (2, SEEK_CUR),
        (-3, SEEK_CUR),
        (-1, SEEK_END),
        (5, SEEK_END),
        (-100, SEEK_CUR),
        (-1, SEEK_SET),
        (i64::MAX, SEEK_SET),
        (i64::MAX, SEEK_CUR),
        (0, 99),
        (0, -1),
        (1 << 33, SEEK_SET),
    ] {
        run.seek(fd, offset, whence);
    }
    run.seek(fd, 3, SEEK_SET);
    run.get(fd, -1, 3);
    run.get(fd, 0, 3);
    run.seek(fd, 0, SEEK_CUR);
    let other = run.duplicate(fd, 0);
    run.get(other, -1, 2);
    run.get(fd, -1, 2);
    let own = run.open(c"f", O_RDONLY, 0);
    run.get(own, -1, 2);
}

fn vectors(run: &mut Run) {
    let fd = run.open(c"f", O_CREAT | O_RDWR, 0o644);
    run.put_vectors(fd, -1, 0, &[b"one ", b"", b"two ", b"three"]);
    run.put_vectors(fd, 4, 0, &[b"TWO", b" "]);
    run.put_vectors(fd, -1, 0, &[b"", b""]);
    run.get_vectors(fd, 0, 0, &[3, 0, 5, 100]);
    run.get_vectors(fd, -1, 0, &[4, 4]);
    run.seek(fd, 0, SEEK_SET);
    run.get_vectors(fd, -1, 0, &[1, 2, 3]);
    run.get_vectors(fd, -1, 0, &[0, 0]);
    run.get_vectors(fd, 5, 0, &vec![1; 1024]);
    let many: Vec<&[u8]> = vec![b"ab"; 1024];
    run.put_vectors(fd, 0, 0, &many);
    run.get(fd, 0, 4096);
}

fn rw_flags(run: &mut Run) {
    run.make(c"f", b"contents");
    let fd = run.open(c"f", O_RDWR, 0);
    run.put_vectors(fd, 0, RWF_APPEND, &[b" more"]);
    run.put_vectors(fd, -1, RWF_APPEND, &[b" and more"]);
    run.seek(fd, 0, SEEK_CUR);
    run.put_vectors(fd, 0, RWF_SYNC, &[b"C"]);
    run.put_vectors(fd, 1, RWF_DSYNC, &[b"O"]);
    run.get_vectors(fd, 0, RWF_HIPRI, &[4]);
    run.get_vectors(fd, 0, 0x4000_0000, &[4]);
    run.put_vectors(fd, 0, 0x4000_0000, &[b"no"]);
    run.get_vectors(fd, 0, RWF_APPEND, &[4]);
    run.mknod(c"fifo", S_IFIFO | 0o600, 0);
    let fifo = run.open(c"fifo", O_RDWR, 0);
    run.get_vectors(fifo, -1, RWF_NOWAIT, &[4]);
    run.put(fifo, -1, b"1234");
    run.get_vectors(fifo, -1, RWF_NOWAIT, &[4]);
    run.get(fd, 0, 100);
}

fn data_and_holes(run: &mut Run) {
    let fd = run.open(c"f", O_CREAT | O_RDWR, 0o644);
    run.put(fd, 1 << 20, &[1; 4096]);
    run.put(fd, 8 << 20, &[2; 4096]);
    let _ = run.ftruncate(fd, 16 << 20);
    for at in [
        0,
        1 << 20,
        (1 << 20) + 4096,
        4 << 20,
        8 << 20,
        (8 << 20) + 4096,
        (16 << 20) - 1,
        16 << 20,
        17 << 20,
        -1,
    ] {
        run.seek(fd, at, SEEK_DATA);
        run.seek(fd, at, SEEK_HOLE);
    }
    run.make(c"empty", b"");
    let empty = run.open(c"empty", O_RDONLY, 0);
    run.seek(empty, 0, SEEK_DATA);
    run.seek(empty, 0, SEEK_HOLE);
}

fn lengths(run: &mut Run) {
    run.make(c"f", b"0123456789");
    let fd = run.open(c"f", O_RDWR, 0);
    for len in [5, 20, 0, -1, i64::MAX, 3] {
        let _ = run.ftruncate(fd, len);
        let _ = run.truncate(c"f", len);
        run.fstat(fd);
    }
    let _ = run.truncate(c"absent", 0);
    let _ = run.truncate(c".", 0);
    let _ = run.truncate(c"", 0);
    run.symlink(c"f", c"l");
    let _ = run.truncate(c"l", 7);
    run.mknod(c"fifo", S_IFIFO | 0o600, 0);
    let _ = run.truncate(c"fifo", 0);
    run.get(fd, 0, 100);
}

fn synchronising(run: &mut Run) {
    run.make(c"f", b"data");
    let fd = run.open(c"f", O_RDWR, 0);
    let directory = run.open(c".", O_RDONLY, 0);
    run.mknod(c"fifo", S_IFIFO | 0o600, 0);
    let fifo = run.open(c"fifo", O_RDWR, 0);
    for fd in [fd, directory, fifo] {
        let _ = run.fsync(fd);
        let _ = run.fdatasync(fd);
    }
    let _ = run.syncfs(directory);
}

fn advice(run: &mut Run) {
    run.make(c"f", b"data");
    let fd = run.open(c"f", O_RDONLY, 0);
    for advice in [
        POSIX_FADV_NORMAL,
        POSIX_FADV_SEQUENTIAL,
        POSIX_FADV_RANDOM,
        POSIX_FADV_WILLNEED,
        POSIX_FADV_DONTNEED,
        99,
    ] {
        let _ = run.fadvise(fd, 0, 0, advice);
    }
    let _ = run.fadvise(fd, 0, -1, POSIX_FADV_NORMAL);
    run.mknod(c"fifo", S_IFIFO | 0o600, 0);
    let fifo = run.open(c"fifo", O_RDWR, 0);
    let _ = run.fadvise(fifo, 0, 0, POSIX_FADV_NORMAL);
}

fn sharing_a_description(run: &mut Run) {
    run.make(c"f", b"0123456789");
    let fd = run.open(c"f", O_RDWR | O_CLOEXEC, 0);
    run.seek(fd, 3, SEEK_SET);
    let token = run.share(fd).map(|reply| reply.token);
    let _ = run.close(fd);
    run.unlink(c"f");
    let token = token.unwrap_or(hostcall::types::Token::NONE);
    let back = run.redeem(token, hostcall::types::OpenFlags(O_CLOEXEC));
    let _ = run.redeem(token, hostcall::types::OpenFlags(0));
    let _ = run.redeem(
        hostcall::types::Token([1, 2]),
        hostcall::types::OpenFlags(0),
    );
    if let Ok(back) = back {
        run.control(back.fd, F_GETFD, 0);
        run.get(back.fd, -1, 4);
        run.fstat(back.fd);
    }
    let _ = run.share(fd);
}

fn size_limits(run: &mut Run) {
    let fd = run.open(c"f", O_CREAT | O_RDWR, 0o644);
    run.put(fd, i64::MAX, b"x");
    run.put(fd, i64::MAX - 1, b"xx");
    run.get(fd, i64::MAX, 1);
    let _ = run.fallocate(fd, 0, i64::MAX - 10, 100);
    let _ = run.fallocate(fd, 0, -1, 100);
    let _ = run.fallocate(fd, 0, 0, 0);
}

fn typed_calls(run: &mut Run) {
    let fd = run.open(c"f", O_CREAT | O_RDWR, 0o644);
    let _ = run.nop();
    let _ = run.settle();
    let _ = run.write(fd, Offset::CURRENT, RwFlags(0), Source::new(b"typed"));
    let _ = run.write(fd, Offset(1), RwFlags(0), Source::new(b"YPED"));
    let mut data = [0u8; 10];
    let read = run.read(fd, Offset(0), RwFlags(0), Sink::new(&mut data));
    run.see("data", read.map(|reply| &data[..reply.filled.0]));
    let _ = run.faccessat2(CWD, c"f", F_OK, AtFlags(0));
}

fn closing_twice(run: &mut Run) {
    run.make(c"f", b"");
    let fd = run.open(c"f", O_RDONLY, 0);
    let _ = run.close(fd);
    let _ = run.close(fd);
    run.open(c"f", O_RDONLY, 0);
    run.get(fd, -1, 1);
}
