//! A turn around each request: see [`Turns`].

use crate::turns::Turns;
use fuser::*;
use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

/// A file system whose threads take turns.
#[derive(Debug)]
pub struct InTurn<F> {
    served: F,
    turns: Arc<Turns>,
}

impl<F: Filesystem> InTurn<F> {
    /// Serves `served`.
    pub fn new(served: F, turns: Arc<Turns>) -> InTurn<F> {
        InTurn { served, turns }
    }
}

macro_rules! in_turn {
    ($($method:ident($($argument:ident: $type:ty),*);)*) => {
        impl<F: Filesystem> Filesystem for InTurn<F> {
            fn init(&mut self, req: &Request, config: &mut KernelConfig) -> io::Result<()> {
                self.served.init(req, config)
            }

            // One request may bring many of these.
            fn forget(&self, req: &Request, ino: INodeNo, count: u64) {
                let _turn = self.turns.begin().without_rest();
                self.served.forget(req, ino, count);
            }

            $(fn $method(&self, req: &Request, $($argument: $type),*) {
                let _turn = self.turns.begin();
                self.served.$method(req, $($argument),*);
            })*
        }
    };
}

in_turn! {
    lookup(parent: INodeNo, name: &OsStr, reply: ReplyEntry);
    getattr(ino: INodeNo, fh: Option<FileHandle>, reply: ReplyAttr);
    setattr(
        ino: INodeNo, mode: Option<u32>, uid: Option<u32>, gid: Option<u32>, size: Option<u64>,
        atime: Option<TimeOrNow>, mtime: Option<TimeOrNow>, ctime: Option<SystemTime>, fh: Option<FileHandle>,
        crtime: Option<SystemTime>, chgtime: Option<SystemTime>, bkuptime: Option<SystemTime>,
        flags: Option<BsdFileFlags>, reply: ReplyAttr
    );
    readlink(ino: INodeNo, reply: ReplyData);
    mknod(parent: INodeNo, name: &OsStr, mode: u32, umask: u32, rdev: u32, reply: ReplyEntry);
    mkdir(parent: INodeNo, name: &OsStr, mode: u32, umask: u32, reply: ReplyEntry);
    unlink(parent: INodeNo, name: &OsStr, reply: ReplyEmpty);
    rmdir(parent: INodeNo, name: &OsStr, reply: ReplyEmpty);
    symlink(parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry);
    rename(parent: INodeNo, name: &OsStr, newparent: INodeNo, newname: &OsStr, flags: RenameFlags, reply: ReplyEmpty);
    link(ino: INodeNo, newparent: INodeNo, newname: &OsStr, reply: ReplyEntry);
    open(ino: INodeNo, flags: OpenFlags, reply: ReplyOpen);
    create(parent: INodeNo, name: &OsStr, mode: u32, umask: u32, flags: i32, reply: ReplyCreate);
    read(
        ino: INodeNo, fh: FileHandle, offset: u64, size: u32, flags: OpenFlags, lock_owner: Option<LockOwner>,
        reply: ReplyData
    );
    write(
        ino: INodeNo, fh: FileHandle, offset: u64, data: &[u8], write_flags: WriteFlags, flags: OpenFlags,
        lock_owner: Option<LockOwner>, reply: ReplyWrite
    );
    flush(ino: INodeNo, fh: FileHandle, lock_owner: LockOwner, reply: ReplyEmpty);
    release(
        ino: INodeNo, fh: FileHandle, flags: OpenFlags, lock_owner: Option<LockOwner>, flush: bool, reply: ReplyEmpty
    );
    fsync(ino: INodeNo, fh: FileHandle, datasync: bool, reply: ReplyEmpty);
    ioctl(
        ino: INodeNo, fh: FileHandle, flags: IoctlFlags, cmd: u32, in_data: &[u8], out_size: u32, reply: ReplyIoctl
    );
    opendir(ino: INodeNo, flags: OpenFlags, reply: ReplyOpen);
    readdir(ino: INodeNo, fh: FileHandle, offset: u64, reply: ReplyDirectory);
    readdirplus(ino: INodeNo, fh: FileHandle, offset: u64, reply: ReplyDirectoryPlus);
    releasedir(ino: INodeNo, fh: FileHandle, flags: OpenFlags, reply: ReplyEmpty);
    fsyncdir(ino: INodeNo, fh: FileHandle, datasync: bool, reply: ReplyEmpty);
    statfs(ino: INodeNo, reply: ReplyStatfs);
    setxattr(ino: INodeNo, name: &OsStr, value: &[u8], flags: i32, position: u32, reply: ReplyEmpty);
    getxattr(ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr);
    listxattr(ino: INodeNo, size: u32, reply: ReplyXattr);
    removexattr(ino: INodeNo, name: &OsStr, reply: ReplyEmpty);
    access(ino: INodeNo, mask: AccessFlags, reply: ReplyEmpty);
    getlk(
        ino: INodeNo, fh: FileHandle, lock_owner: LockOwner, start: u64, end: u64, typ: i32, pid: u32, reply: ReplyLock
    );
    setlk(
        ino: INodeNo, fh: FileHandle, lock_owner: LockOwner, start: u64, end: u64, typ: i32, pid: u32, sleep: bool,
        reply: ReplyEmpty
    );
    fallocate(ino: INodeNo, fh: FileHandle, offset: u64, length: u64, mode: i32, reply: ReplyEmpty);
    lseek(ino: INodeNo, fh: FileHandle, offset: i64, whence: i32, reply: ReplyLseek);
    copy_file_range(
        ino_in: INodeNo, fh_in: FileHandle, offset_in: u64, ino_out: INodeNo, fh_out: FileHandle, offset_out: u64,
        len: u64, flags: CopyFileRangeFlags, reply: ReplyWrite
    );
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    /// A method that is not passed on would be the trait's own, which answers ENOSYS.
    #[test]
    fn every_method_of_the_adapter_is_passed_on() {
        let (_, methods) = include_str!("../fuse.rs")
            .split_once("Filesystem for Adapter<F> {")
            .expect("the adapter");
        let ends = |text: &str| text.split(['(', '<']).next().map(str::to_owned);
        let served: BTreeSet<String> = methods
            .lines()
            .filter_map(|line| line.strip_prefix("    fn ").and_then(ends))
            .filter(|name| name != "init" && name != "forget")
            .collect();
        let (_, list) = include_str!("turn.rs")
            .split_once("\nin_turn! {\n")
            .expect("the list");
        let passed: BTreeSet<String> = list
            .lines()
            .take_while(|line| *line != "}")
            .filter(|line| line.starts_with("    ") && !line.starts_with("     "))
            .filter(|line| line.contains('('))
            .filter_map(|line| ends(line.trim_start()))
            .collect();
        assert!(served.contains("lookup") && served.len() > 30, "{served:?}");
        assert_eq!(served, passed);
    }
}
