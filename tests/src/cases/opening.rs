//! openat(2) with all its flags, and the flags of what it opens.

use super::table;
use crate::run::Run;
use hostcall::ops::Calls;
use hostcall::types::{DirFd, RemoteFd};
use libc::*;

table![
    create_and_modes,
    exclusive,
    truncating,
    appending,
    directory_flag,
    nofollow,
    path_only,
    tmpfile,
    tmpfile_made_visible,
    direct,
    noatime_sync_and_cloexec,
    lowest_number_first,
    relative_to_a_directory,
    bad_descriptors,
    trailing_slashes,
    read_and_write_sides,
    special_files,
    flags_after_opening,
    umask_applies,
    permissions_are_checked,
    unlinked_files_stay_open,
];

fn create_and_modes(run: &mut Run) {
    for mode in [
        0, 0o400, 0o644, 0o777, 0o1777, 0o4755, 0o2755, 0o7777, 0o10000,
    ] {
        let name = std::ffi::CString::new(format!("m{mode:o}")).unwrap();
        let fd = run.open(&name, O_CREAT | O_RDWR, mode);
        run.fstat(fd);
        run.put(fd, -1, b"written");
        let _ = run.close(fd);
    }
    run.open(c"absent", O_RDONLY, 0);
    run.open(c"", O_RDONLY, 0);
    run.open(c"", O_CREAT | O_RDWR, 0o600);
}

fn exclusive(run: &mut Run) {
    run.open(c"f", O_CREAT | O_EXCL | O_WRONLY, 0o600);
    run.open(c"f", O_CREAT | O_EXCL | O_WRONLY, 0o600);
    run.symlink(c"nowhere", c"dangling");
    run.open(c"dangling", O_CREAT | O_EXCL | O_WRONLY, 0o600);
    run.open(c"dangling", O_CREAT | O_WRONLY, 0o600);
    run.mkdir(c"d", 0o755);
    run.open(c"d", O_CREAT | O_EXCL | O_RDONLY, 0o600);
    run.open(c"d", O_CREAT | O_RDONLY, 0o600);
}

fn truncating(run: &mut Run) {
    run.make(c"f", b"some contents");
    let fd = run.open(c"f", O_TRUNC | O_WRONLY, 0);
    run.fstat(fd);
    run.put(fd, -1, b"new");
    run.open(c"f", O_TRUNC | O_RDONLY, 0);
    run.stat(c"f");
    run.mkdir(c"d", 0o755);
    run.open(c"d", O_TRUNC | O_RDONLY, 0);
}

fn appending(run: &mut Run) {
    run.make(c"f", b"first ");
    let fd = run.open(c"f", O_APPEND | O_RDWR, 0);
    run.seek(fd, 0, SEEK_SET);
    run.put(fd, -1, b"second ");
    run.seek(fd, 0, SEEK_CUR);
    // Linux appends whatever the offset says, pwrite(2) BUGS.
    run.put(fd, 0, b"third ");
    run.get(fd, 0, 100);
    run.ask("write f outside");
    run.put(fd, -1, b" fourth");
    run.control(fd, F_SETFL, 0);
    run.put(fd, 0, b"AT");
    run.control(fd, F_SETFL, O_APPEND);
    run.put(fd, -1, b" fifth");
    run.get(fd, 0, 100);
}

fn directory_flag(run: &mut Run) {
    run.mkdir(c"d", 0o755);
    run.make(c"f", b"");
    run.symlink(c"d", c"to-d");
    run.symlink(c"f", c"to-f");
    for name in [c"d", c"f", c"to-d", c"to-f", c"absent"] {
        run.open(name, O_DIRECTORY | O_RDONLY, 0);
        run.open(name, O_DIRECTORY | O_NOFOLLOW, 0);
        run.open(name, O_DIRECTORY | O_WRONLY, 0);
    }
    run.open(c"made", O_DIRECTORY | O_CREAT | O_RDWR, 0o644);
    run.open(c"d", O_WRONLY, 0);
    run.open(c"d", O_RDWR, 0);
    let fd = run.open(c"d", O_RDONLY, 0);
    run.get(fd, -1, 10);
    run.put(fd, -1, b"no");
    let _ = run.ftruncate(fd, 0);
}

fn nofollow(run: &mut Run) {
    run.make(c"f", b"data");
    run.symlink(c"f", c"l");
    run.symlink(c"l", c"ll");
    run.mkdir(c"d", 0o755);
    run.make(c"d/in", b"inside");
    run.symlink(c"d", c"ld");
    run.open(c"l", O_NOFOLLOW, 0);
    run.open(c"f", O_NOFOLLOW, 0);
    run.open(c"ld/in", O_NOFOLLOW, 0);
    run.open(c"ld/", O_NOFOLLOW | O_DIRECTORY, 0);
    let fd = run.open(c"l", O_NOFOLLOW | O_PATH, 0);
    run.fstat(fd);
    run.readlink_at(fd.into(), c"", 100);
}

fn path_only(run: &mut Run) {
    run.make(c"f", b"data");
    run.mkdir(c"d", 0o755);
    run.make(c"d/in", b"inside");
    let (file, dir) = (
        run.open(c"f", O_PATH, 0),
        run.open(c"d", O_PATH | O_DIRECTORY, 0),
    );
    run.fstat(file);
    run.get(file, -1, 4);
    run.put(file, -1, b"no");
    run.seek(file, 0, SEEK_SET);
    let _ = run.ftruncate(file, 0);
    let _ = run.fsync(file);
    run.control(file, F_GETFL, 0);
    run.control(file, F_GETFD, 0);
    run.fchmod(file, 0o600);
    let _ = run.flock(file, LOCK_EX);
    let again = run.duplicate(file, 0);
    run.fstat(again);
    let inside = run.open_at(dir, c"in", O_RDONLY, 0);
    run.get(inside, -1, 100);
    run.names(dir, 1024);
    let _ = run.fchdir(dir);
    run.cwd();
    run.open(c"in", O_PATH | O_CREAT, 0);
    run.open(c"absent", O_PATH, 0);
}

fn tmpfile(run: &mut Run) {
    let fd = run.open(c".", O_TMPFILE | O_RDWR, 0o640);
    run.fstat(fd);
    run.put(fd, -1, b"nameless");
    run.get(fd, 0, 100);
    run.open(c".", O_TMPFILE | O_RDONLY, 0o640);
    run.open(c"absent", O_TMPFILE | O_RDWR, 0o640);
    run.make(c"f", b"");
    run.open(c"f", O_TMPFILE | O_RDWR, 0o640);
    let exclusive = run.open(c".", O_TMPFILE | O_EXCL | O_RDWR, 0o640);
    run.fstat(exclusive);
}

fn tmpfile_made_visible(run: &mut Run) {
    let fd = run.open(c".", O_TMPFILE | O_WRONLY, 0o640);
    run.put(fd, -1, b"now you see me");
    let flags = hostcall::types::AtFlags(AT_EMPTY_PATH);
    let _ = run.linkat(fd.into(), c"", DirFd::CWD, c"visible", flags);
    run.stat(c"visible");
    let _ = run.linkat(fd.into(), c"", DirFd::CWD, c"visible", flags);
}

fn direct(run: &mut Run) {
    run.make(c"f", &[7; 8192]);
    let fd = run.open(c"f", O_DIRECT | O_RDWR, 0);
    run.control(fd, F_GETFL, 0);
    // Only aligned lengths: how memory must be aligned differs between file systems.
    run.seek(fd, 4096, SEEK_SET);
    run.fstat(fd);
}

fn noatime_sync_and_cloexec(run: &mut Run) {
    run.make(c"f", b"data");
    for flags in [
        O_NOATIME,
        O_SYNC | O_RDWR,
        O_DSYNC | O_RDWR,
        O_CLOEXEC,
        O_NONBLOCK,
        O_NOCTTY | O_WRONLY,
        O_LARGEFILE,
    ] {
        let fd = run.open(c"f", flags, 0);
        run.control(fd, F_GETFL, 0);
        run.control(fd, F_GETFD, 0);
    }
    run.open(c"f", O_WRONLY | O_RDWR, 0);
    run.open(c"f", 0x4000_0000, 0);
}

fn lowest_number_first(run: &mut Run) {
    run.make(c"f", b"");
    let fds: Vec<RemoteFd> = (0..5).map(|_| run.open(c"f", O_RDONLY, 0)).collect();
    let _ = run.close(fds[1]);
    let _ = run.close(fds[3]);
    run.open(c"f", O_RDONLY, 0);
    run.duplicate(fds[0], 0);
    run.duplicate(fds[0], O_CLOEXEC);
    let _ = run.close(fds[1]);
    let _ = run.close(fds[1]);
    run.fstat(fds[1]);
}

fn relative_to_a_directory(run: &mut Run) {
    run.mkdir(c"d", 0o755);
    run.mkdir(c"d/e", 0o755);
    run.make(c"d/e/f", b"deep");
    let (d, e) = (run.open(c"d", O_RDONLY, 0), run.open(c"d/e", O_PATH, 0));
    for (dir, path) in [
        (d, c"e/f"),
        (e, c"f"),
        (e, c"../e/f"),
        (d, c"f"),
        (e, c".."),
        (d, c"e/f/g"),
    ] {
        let fd = run.open_at(dir, path, O_RDONLY, 0);
        run.get(fd, -1, 100);
    }
    run.rename(c"d", c"moved", 0);
    run.open_at(e, c"f", O_RDONLY, 0);
    run.open_at(e, c"new", O_CREAT | O_WRONLY, 0o644);
    run.unlink(c"moved/e/f");
    run.unlink(c"moved/e/new");
    run.rmdir(c"moved/e");
    run.open_at(e, c"late", O_CREAT | O_WRONLY, 0o644);
    run.open_at(e, c"..", O_RDONLY, 0);
}

fn bad_descriptors(run: &mut Run) {
    run.make(c"f", b"");
    let file = run.open(c"f", O_RDONLY, 0);
    for bad in [
        RemoteFd(-1),
        RemoteFd(77),
        RemoteFd(i32::MAX),
        RemoteFd(i32::MIN),
    ] {
        run.open_at(bad, c"f", O_RDONLY, 0);
        run.get(bad, -1, 1);
        run.put(bad, 0, b"x");
        run.seek(bad, 0, SEEK_SET);
        let _ = run.close(bad);
        let _ = run.fsync(bad);
        let _ = run.fchdir(bad);
        run.fstat(bad);
        run.duplicate(bad, 0);
        run.control(bad, F_GETFD, 0);
        let _ = run.flock(bad, LOCK_SH);
    }
    run.open_at(file, c"f", O_RDONLY, 0);
    run.open_at(file, c"", O_RDONLY, 0);
    let _ = run.fchdir(file);
}

fn trailing_slashes(run: &mut Run) {
    run.make(c"f", b"");
    run.mkdir(c"d", 0o755);
    run.symlink(c"d", c"l");
    run.open(c"f/", O_RDONLY, 0);
    run.open(c"d/", O_RDONLY, 0);
    run.open(c"d//.//", O_RDONLY, 0);
    run.open(c"l/", O_RDONLY, 0);
    run.open(c"new/", O_CREAT | O_WRONLY, 0o644);
    run.stat(c"f/");
    run.stat(c"l/");
    run.stat_at(DirFd::CWD, c"l/", AT_SYMLINK_NOFOLLOW);
    run.stat_at(DirFd::CWD, c"l", AT_SYMLINK_NOFOLLOW);
    run.mkdir(c"made/", 0o755);
    run.rmdir(c"made/");
    run.unlink(c"f/");
    run.unlink(c"l/");
    run.rename(c"d/", c"e/", 0);
    run.rename(c"f", c"g/", 0);
}

fn read_and_write_sides(run: &mut Run) {
    run.make(c"f", b"data");
    let (read, write) = (run.open(c"f", O_RDONLY, 0), run.open(c"f", O_WRONLY, 0));
    run.put(read, -1, b"no");
    run.get(write, -1, 4);
    let _ = run.ftruncate(read, 1);
    let _ = run.fallocate(read, 0, 0, 100);
    let _ = run.ftruncate(write, 2);
    run.get(read, -1, 10);
}

fn special_files(run: &mut Run) {
    run.mknod(c"fifo", S_IFIFO | 0o600, 0);
    run.mknod(c"socket", S_IFSOCK | 0o600, 0);
    run.open(c"fifo", O_WRONLY | O_NONBLOCK, 0);
    let fd = run.open(c"fifo", O_RDONLY | O_NONBLOCK, 0);
    run.get(fd, -1, 10);
    run.seek(fd, 0, SEEK_SET);
    run.get(fd, 0, 10);
    let write = run.open(c"fifo", O_WRONLY | O_NONBLOCK, 0);
    run.put(write, -1, b"through");
    run.get(fd, -1, 100);
    run.get(fd, -1, 100);
    run.open(c"socket", O_RDONLY, 0);
    let path = run.open(c"socket", O_PATH, 0);
    run.fstat(path);
}

fn flags_after_opening(run: &mut Run) {
    run.make(c"f", b"data");
    let fd = run.open(c"f", O_RDWR | O_CLOEXEC, 0);
    for (command, argument) in [
        (F_GETFD, 0),
        (F_SETFD, 0),
        (F_GETFD, 0),
        (F_SETFD, FD_CLOEXEC),
        (F_GETFD, 0),
        (F_SETFD, 0xff),
        (F_GETFD, 0),
        (F_GETFL, 0),
        (F_SETFL, O_NONBLOCK | O_APPEND),
        (F_GETFL, 0),
        (F_SETFL, O_WRONLY),
        (F_GETFL, 0),
        (F_SETFL, O_DIRECT),
        (F_GETFL, 0),
        (F_GETPIPE_SZ, 0),
        (F_SETPIPE_SZ, 4096),
    ] {
        run.control(fd, command, argument);
    }
    // Of one open file description, flags are shared; close-on-exec belongs to the descriptor.
    let other = run.duplicate(fd, 0);
    run.control(other, F_SETFL, 0);
    run.control(fd, F_GETFL, 0);
    run.control(other, F_GETFD, 0);
    run.mknod(c"fifo", S_IFIFO | 0o600, 0);
    let fifo = run.open(c"fifo", O_RDONLY | O_NONBLOCK, 0);
    run.control(fifo, F_GETPIPE_SZ, 0);
    run.control(fifo, F_SETPIPE_SZ, 16384);
    run.control(fifo, F_GETPIPE_SZ, 0);
}

fn umask_applies(run: &mut Run) {
    use hostcall::types::Mode;
    for mask in [0o077, 0, 0o777, 0o22, 0o7777] {
        let _ = run.umask(Mode(mask));
        let name = |kind: &str| std::ffi::CString::new(format!("{kind}{mask:o}")).unwrap();
        run.open(&name("f"), O_CREAT | O_WRONLY, 0o777);
        run.mkdir(&name("d"), 0o1777);
        run.mknod(&name("p"), S_IFIFO | 0o666, 0);
        run.stat(&name("d"));
    }
    let _ = run.umask(Mode(0o22));
}

fn permissions_are_checked(run: &mut Run) {
    run.make(c"f", b"data");
    for mode in [0, 0o400, 0o200, 0o100] {
        run.chmod(c"f", mode, 0);
        for flags in [O_RDONLY, O_WRONLY, O_RDWR, O_PATH] {
            run.open(c"f", flags, 0);
        }
        for wanted in [F_OK, R_OK, W_OK, X_OK] {
            run.access(c"f", wanted, 0);
            run.access(c"f", wanted, AT_EACCESS);
        }
    }
    run.mkdir(c"d", 0o700);
    run.make(c"d/in", b"");
    for mode in [0, 0o100, 0o200, 0o300, 0o400, 0o500] {
        run.chmod(c"d", mode, 0);
        run.open(c"d/in", O_RDONLY, 0);
        run.open(c"d", O_RDONLY, 0);
        run.open(c"d/new", O_CREAT | O_WRONLY, 0o644);
        run.unlink(c"d/new");
        let _ = run.chdir(c"d");
        let _ = run.chdir(c"..");
    }
    run.chmod(c"d", 0o755, 0);
    run.open(c"/etc/shadow", O_RDONLY | O_DIRECTORY, 0);
}

fn unlinked_files_stay_open(run: &mut Run) {
    run.make(c"f", b"before");
    let fd = run.open(c"f", O_RDWR, 0);
    run.unlink(c"f");
    run.fstat(fd);
    run.put(fd, 0, b"after");
    run.get(fd, 0, 100);
    run.make(c"f", b"another");
    run.get(fd, 0, 100);
    let flags = hostcall::types::AtFlags(AT_EMPTY_PATH);
    let _ = run.linkat(fd.into(), c"", DirFd::CWD, c"again", flags);
}
