//! Making, removing, renaming and linking names.

use super::table;
use crate::run::Run;
use crate::short::CWD;
use hostcall::ops::Calls;
use hostcall::types::{AtFlags, Mode};
use libc::*;

table![
    directories_made,
    nodes_made,
    removing,
    renaming,
    renaming_with_flags,
    renaming_directories,
    linking,
    linking_flags,
    symbolic_links,
    below_descriptors,
    sticky_and_setgid,
];

fn directories_made(run: &mut Run) {
    run.mkdir(c"d", 0o750);
    run.mkdir(c"d", 0o750);
    run.mkdir(c"a/b", 0o755);
    run.make(c"f", b"");
    run.mkdir(c"f", 0o755);
    run.mkdir(c"f/g", 0o755);
    run.mkdir(c"", 0o755);
    run.mkdir(c".", 0o755);
    run.mkdir(c"d/..", 0o755);
    run.mkdir(c"/", 0o755);
    run.mkdir(c"special", 0o7777);
    run.symlink(c"nowhere", c"l");
    run.mkdir(c"l", 0o755);
    run.mkdir(c"l/", 0o755);
}

fn nodes_made(run: &mut Run) {
    run.mknod(c"fifo", S_IFIFO | 0o640, 0);
    run.mknod(c"fifo", S_IFIFO | 0o640, 0);
    run.mknod(c"socket", S_IFSOCK | 0o600, 0);
    run.mknod(c"regular", S_IFREG | 0o644, 0);
    run.mknod(c"default", 0o600, 0);
    run.mknod(c"null", S_IFCHR | 0o666, makedev(1, 3));
    run.mknod(c"whiteout", S_IFCHR | 0o600, 0);
    run.mknod(c"loop", S_IFBLK | 0o660, makedev(7, 200));
    run.mknod(c"dir", S_IFDIR | 0o755, 0);
    run.mknod(c"link", S_IFLNK | 0o777, 0);
    run.mknod(c"none/f", S_IFIFO | 0o600, 0);
    run.stat(c"null");
}

fn removing(run: &mut Run) {
    run.make(c"f", b"");
    run.mkdir(c"d", 0o755);
    run.make(c"d/in", b"");
    run.symlink(c"f", c"l");
    run.unlink(c"absent");
    run.unlink(c"");
    run.unlink(c"d");
    run.rmdir(c"f");
    run.rmdir(c"d");
    run.rmdir(c".");
    run.rmdir(c"d/..");
    run.rmdir(c"d/.");
    run.unlink(c"l");
    run.stat(c"f");
    run.unlink(c"f");
    run.unlink(c"d/in");
    run.rmdir(c"d");
    run.rmdir(c"absent");
    let _ = run.unlinkat(CWD, c"x", AtFlags(0x4000));
}

fn renaming(run: &mut Run) {
    run.make(c"a", b"a");
    run.make(c"b", b"b");
    run.rename(c"a", c"c", 0);
    run.rename(c"b", c"c", 0);
    run.rename(c"absent", c"d", 0);
    run.rename(c"c", c"c", 0);
    run.rename(c"c", c"none/c", 0);
    run.rename(c"c", c"", 0);
    run.rename(c"", c"c", 0);
    run.link(c"c", c"same", 0);
    run.rename(c"c", c"same", 0);
    run.stat(c"c");
    run.symlink(c"c", c"l");
    run.rename(c"l", c"l2", 0);
    run.rename(c"same", c"l2", 0);
    run.rename(c"c", c"/dev/shm/hostcall-none", 0);
    run.rename(c".", c"x", 0);
}

fn renaming_with_flags(run: &mut Run) {
    const NOREPLACE: u32 = 1;
    const EXCHANGE: u32 = 2;
    const WHITEOUT: u32 = 4;
    run.make(c"a", b"a");
    run.make(c"b", b"b");
    run.mkdir(c"d", 0o755);
    run.make(c"d/in", b"in");
    run.rename(c"a", c"b", NOREPLACE);
    run.rename(c"a", c"new", NOREPLACE);
    run.rename(c"new", c"b", EXCHANGE);
    run.rename(c"new", c"absent", EXCHANGE);
    run.rename(c"b", c"d", EXCHANGE);
    run.rename(c"b", c"b/in", EXCHANGE);
    run.rename(c"new", c"b", NOREPLACE | EXCHANGE);
    run.rename(c"new", c"other", 0x80);
    let _ = WHITEOUT;
}

fn renaming_directories(run: &mut Run) {
    run.mkdir(c"d", 0o755);
    run.mkdir(c"d/sub", 0o755);
    run.mkdir(c"empty", 0o755);
    run.mkdir(c"full", 0o755);
    run.make(c"full/in", b"");
    run.make(c"f", b"");
    run.rename(c"d", c"d/sub/d", 0);
    run.rename(c"d", c"full", 0);
    run.rename(c"d", c"f", 0);
    run.rename(c"f", c"d", 0);
    run.rename(c"d", c"empty", 0);
    run.rename(c"empty/..", c"x", 0);
    run.rename(c"empty/sub/", c"sub/", 0);
}

fn linking(run: &mut Run) {
    run.make(c"f", b"data");
    run.link(c"f", c"g", 0);
    run.link(c"f", c"g", 0);
    run.link(c"absent", c"h", 0);
    run.link(c"f", c"none/h", 0);
    run.mkdir(c"d", 0o755);
    run.link(c"d", c"e", 0);
    run.link(c"f", c"/dev/shm/hostcall-none", 0);
    run.mknod(c"fifo", S_IFIFO | 0o600, 0);
    run.link(c"fifo", c"fifo2", 0);
    run.unlink(c"f");
    run.stat(c"g");
}

fn linking_flags(run: &mut Run) {
    run.make(c"f", b"data");
    run.symlink(c"f", c"l");
    run.link(c"l", c"to-link", 0);
    run.link(c"l", c"to-file", AT_SYMLINK_FOLLOW);
    run.link(c"f", c"bad", 0x4000);
    let fd = run.open(c"f", O_RDONLY, 0);
    let _ = run.linkat(fd.into(), c"", CWD, c"by-fd", AtFlags(AT_EMPTY_PATH));
    let _ = run.linkat(fd.into(), c"", CWD, c"by-nothing", AtFlags(0));
    let path = run.open(c"l", O_PATH | O_NOFOLLOW, 0);
    let _ = run.linkat(path.into(), c"", CWD, c"link-by-fd", AtFlags(AT_EMPTY_PATH));
    run.stat(c"f");
}

fn symbolic_links(run: &mut Run) {
    run.symlink(c"target", c"l");
    run.symlink(c"target", c"l");
    run.symlink(c"", c"empty");
    run.symlink(c"x", c"");
    run.symlink(c"relative/\xff\x1b", c"odd");
    run.symlink(c"x", c"none/l");
    for room in [100, 6, 3, 1] {
        run.readlink(c"l", room);
    }
    run.readlink(c"odd", 100);
    run.readlink(c"absent", 100);
    run.make(c"f", b"");
    run.readlink(c"f", 100);
    run.readlink(c".", 100);
    run.readlink(c"", 100);
    run.symlink(c"loop-b", c"loop-a");
    run.symlink(c"loop-a", c"loop-b");
    run.stat(c"loop-a");
    run.open(c"loop-a", O_RDONLY, 0);
    run.open(c"loop-a", O_CREAT | O_RDWR, 0o644);
    run.stat_at(CWD, c"loop-a", AT_SYMLINK_NOFOLLOW);
    run.symlink(c"self/x", c"self");
    run.stat(c"self");
    let long = std::ffi::CString::new("x/".repeat(2047)).unwrap();
    run.symlink(&long, c"long");
    run.readlink(c"long", 5000);
}

fn below_descriptors(run: &mut Run) {
    run.mkdir(c"d", 0o755);
    let d = run.open(c"d", O_PATH, 0).into();
    let _ = run.mkdirat(d, c"sub", Mode(0o755));
    let _ = run.mknodat(d, c"fifo", Mode(S_IFIFO | 0o600), 0);
    let _ = run.symlinkat(c"fifo", d, c"link");
    run.readlink_at(d, c"link", 10);
    let _ = run.linkat(d, c"fifo", d, c"fifo2", AtFlags(0));
    let _ = run.renameat2(d, c"fifo2", CWD, c"moved", 0);
    let _ = run.unlinkat(d, c"fifo", AtFlags(0));
    let _ = run.unlinkat(d, c"sub", AtFlags(AT_REMOVEDIR));
    run.stat_at(d, c"link", AT_SYMLINK_NOFOLLOW);
    let _ = run.faccessat2(d, c"link", F_OK, AtFlags(AT_SYMLINK_NOFOLLOW));
    let _ = run.fchmodat2(d, c"..", Mode(0o711), AtFlags(0));
    let _ = run.mkdirat(hostcall::types::DirFd(-5), c"sub", Mode(0o755));
}

fn sticky_and_setgid(run: &mut Run) {
    run.mkdir(c"d", 0o755);
    run.chmod(c"d", 0o3777, 0);
    run.make(c"d/f", b"");
    run.mkdir(c"d/sub", 0o755);
    run.stat(c"d/sub");
    run.open(c"d/g", O_CREAT | O_WRONLY, 0o2755);
}
