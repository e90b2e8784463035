//! Directories: reading them, whole and in pieces, and the working directory.

use super::table;
use crate::run::Run;
use crate::shown::entries;
use hostcall::ops::Calls;
use hostcall::wire::Sink;
use libc::*;
use std::ffi::CString;

table![
    reading,
    large,
    changing_while_reading,
    getdents_errors,
    working_directory,
    removed_working_directory,
    getcwd_sizes
];

fn reading(run: &mut Run) {
    run.mkdir(c"d", 0o755);
    let empty = run.open(c"d", O_RDONLY | O_DIRECTORY, 0);
    run.names(empty, 4096);
    run.make(c"d/file", b"");
    run.mkdir(c"d/dir", 0o755);
    run.symlink(c"x", c"d/link");
    run.mknod(c"d/fifo", S_IFIFO | 0o600, 0);
    run.mknod(c"d/socket", S_IFSOCK | 0o600, 0);
    run.make(c"d/\xff\xfe not utf-8 \x1b", b"");
    let fd = run.open(c"d", O_RDONLY | O_DIRECTORY, 0);
    run.names(fd, 4096);
    run.names(fd, 4096);
    run.seek(fd, 0, SEEK_SET);
    run.names(fd, 64);
}

fn large(run: &mut Run) {
    run.mkdir(c"d", 0o755);
    run.ask("fill d 3000");
    let fd = run.open(c"d", O_RDONLY | O_DIRECTORY, 0);
    for piece in [1 << 20, 128 << 10, 32 << 10, 4096, 300] {
        run.names(fd, piece);
        run.seek(fd, 0, SEEK_SET);
    }
    // The place of an entry, given back, is where reading goes on.
    let mut buffer = vec![0u8; 8192];
    let Ok(read) = run.getdents(fd, Sink::new(&mut buffer)) else {
        return;
    };
    let place = i64::from_ne_bytes(buffer[8..16].try_into().unwrap());
    let second = entries(&buffer[..read.filled.0]).swap_remove(1);
    let moved = run.lseek(fd, place, SEEK_SET).is_ok();
    let Ok(read) = run.getdents(fd, Sink::new(&mut buffer)) else {
        return;
    };
    let same = entries(&buffer[..read.filled.0])[0] == second;
    run.note(format!("moved {moved}, same entry {same}"));
}

fn changing_while_reading(run: &mut Run) {
    run.mkdir(c"d", 0o755);
    let fd = run.open(c"d", O_RDONLY | O_DIRECTORY, 0);
    run.names(fd, 4096);
    run.make(c"d/new", b"");
    run.seek(fd, 0, SEEK_SET);
    run.names(fd, 4096);
    run.ask("remove d/new");
    run.seek(fd, 0, SEEK_SET);
    run.names(fd, 4096);
    run.rmdir(c"d");
    run.seek(fd, 0, SEEK_SET);
    run.names(fd, 4096);
}

fn getdents_errors(run: &mut Run) {
    run.make(c"f", b"");
    let file = run.open(c"f", O_RDONLY, 0);
    run.names(file, 4096);
    let dir = run.open(c".", O_RDONLY, 0);
    run.names(dir, 8);
    run.names(hostcall::types::RemoteFd(-1), 4096);
    run.seek(dir, -1, SEEK_SET);
}

fn working_directory(run: &mut Run) {
    run.cwd();
    run.mkdir(c"d", 0o755);
    run.mkdir(c"d/e", 0o755);
    run.symlink(c"d/e", c"l");
    let top = run.open(c".", O_RDONLY, 0);
    let _ = run.chdir(c"d/e");
    run.cwd();
    run.make(c"here", b"");
    let _ = run.chdir(c"..");
    run.cwd();
    let _ = run.fchdir(top);
    let _ = run.chdir(c"l");
    run.cwd();
    let _ = run.chdir(c"../../l/../..");
    run.cwd();
    let _ = run.chdir(c"absent");
    let _ = run.chdir(c"");
    let _ = run.chdir(c"d/e/here");
    let absolute = CString::new(format!("{}/d", run.base)).unwrap();
    let _ = run.chdir(&absolute);
    run.cwd();
    run.stat(c"e/here");
    run.rename(c"../d", c"../moved", 0);
    run.cwd();
}

fn removed_working_directory(run: &mut Run) {
    run.mkdir(c"d", 0o755);
    let _ = run.chdir(c"d");
    run.rmdir(c"../d");
    run.cwd();
    run.stat(c".");
    run.open(c"f", O_CREAT | O_WRONLY, 0o644);
    run.mkdir(c"e", 0o755);
    let _ = run.chdir(c".");
    let _ = run.chdir(c"..");
    run.cwd();
}

fn getcwd_sizes(run: &mut Run) {
    // Deep, but within PATH_MAX from the root.
    let name = CString::new("n".repeat(200)).unwrap();
    for _ in 0..8 {
        run.mkdir(&name, 0o755);
        let _ = run.chdir(&name);
    }
    run.cwd();
    run.stat(c"../../..");
}
