//! The guest kernel's requests, turned into calls of [`FileSystem`] and its answers into replies. Nothing else.

mod adapter;
mod convert;
mod turn;

use crate::cache::Cache;
use crate::fs::{Attr, Change, Entry, FileSystem, Make, Place};
pub use adapter::Adapter;
use adapter::{empty, reply_lock, reply_sized, reply_space};
use convert::*;
use fuser::*;
use std::cell::RefCell;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::SystemTime;
pub use turn::InTurn;

thread_local! {
    /// Where a thread reads to. It grows to the largest read and stays.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl<F: FileSystem> Filesystem for Adapter<F> {
    fn init(&mut self, _req: &Request, config: &mut KernelConfig) -> std::io::Result<()> {
        self.negotiate(config);
        Ok(())
    }

    fn lookup(&self, req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = c_string(name).and_then(|name| self.fs.lookup(&caller(req), parent.0, &name));
        self.reply_entry(found, reply);
    }

    fn forget(&self, req: &Request, ino: INodeNo, count: u64) {
        self.fs.forget(&caller(req), &[(ino.0, count)]);
    }

    fn getattr(&self, req: &Request, ino: INodeNo, fh: Option<FileHandle>, reply: ReplyAttr) {
        let attr = self.fs.getattr(&caller(req), ino.0, fh.map(|fh| fh.0));
        self.reply_attr(attr, reply);
    }

    fn setattr(
        &self,
        req: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let change = Change {
            mode,
            uid,
            gid,
            size,
            atime: atime.map(set_time),
            mtime: mtime.map(set_time),
            handle: fh.map(|fh| fh.0),
        };
        self.reply_attr(self.fs.setattr(&caller(req), ino.0, &change), reply);
    }

    fn readlink(&self, req: &Request, ino: INodeNo, reply: ReplyData) {
        match self.fs.readlink(&caller(req), ino.0) {
            Ok(target) => reply.data(&target),
            Err(errno) => reply.error(errno_of(errno)),
        }
    }

    fn mknod(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        rdev: u32,
        reply: ReplyEntry,
    ) {
        let what = Make::Node(mode, unpack_device(rdev));
        self.make(&self.maker(req, umask), parent, name, what, reply);
    }

    fn mkdir(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        reply: ReplyEntry,
    ) {
        let what = Make::Directory(mode);
        self.make(&self.maker(req, umask), parent, name, what, reply);
    }

    fn unlink(&self, req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.remove(req, parent, name, false, reply);
    }

    fn rmdir(&self, req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.remove(req, parent, name, true, reply);
    }

    fn symlink(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        target: &Path,
        reply: ReplyEntry,
    ) {
        match c_string(target.as_os_str()) {
            Ok(target) => self.make(&caller(req), parent, name, Make::Symlink(&target), reply),
            Err(errno) => reply.error(errno_of(errno)),
        }
    }

    fn rename(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let renamed = c_string(name).and_then(|name| {
            let newname = c_string(newname)?;
            let (from, to) = (
                (parent.0, name.as_c_str()),
                (newparent.0, newname.as_c_str()),
            );
            self.fs.rename(&caller(req), from, to, flags.bits())
        });
        empty(renamed, reply);
    }

    fn link(
        &self,
        req: &Request,
        ino: INodeNo,
        newparent: INodeNo,
        newname: &OsStr,
        reply: ReplyEntry,
    ) {
        self.make(&caller(req), newparent, newname, Make::Link(ino.0), reply);
    }

    fn open(&self, req: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        match self.fs.open(&caller(req), ino.0, flags.0) {
            Ok(opened) => {
                reply.opened(FileHandle(opened.handle), Cache::open_flags(opened.data));
                self.forget_token(opened.token);
            }
            Err(errno) => reply.error(errno_of(errno)),
        }
    }

    fn create(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let maker = self.maker(req, umask);
        let created =
            c_string(name).and_then(|name| self.fs.create(&maker, parent.0, &name, mode, flags));
        self.reply_created(created, reply);
    }

    fn read(
        &self,
        req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        BUFFER.with_borrow_mut(|buffer| {
            let size = size as usize;
            if buffer.len() < size {
                buffer.resize(size, 0);
            }
            match self
                .fs
                .read(&caller(req), fh.0, offset, &mut buffer[..size])
            {
                Ok(len) => reply.data(&buffer[..len]),
                Err(errno) => reply.error(errno_of(errno)),
            }
        });
    }

    fn write(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        data: &[u8],
        write_flags: WriteFlags,
        flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        // A kernel that writes back knows where the end is.
        let appends = flags.0 & libc::O_APPEND != 0 && !self.cache.writes_back();
        let place = match write_flags.contains(WriteFlags::FUSE_WRITE_CACHE) {
            true => Place::Back(offset),
            false if appends => Place::End(offset),
            false => Place::At(offset),
        };
        let drop_privileges = write_flags.contains(WriteFlags::FUSE_WRITE_KILL_SUIDGID);
        let caller = caller(req);
        let written = self.fs.write(&caller, fh.0, place, data, drop_privileges);
        if drop_privileges {
            self.forget_mode(ino.0);
        }
        match written {
            Ok(len) => reply.written(len as u32),
            Err(errno) => reply.error(errno_of(errno)),
        }
    }

    fn flush(
        &self,
        req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        lock_owner: LockOwner,
        reply: ReplyEmpty,
    ) {
        empty(self.fs.flush(&caller(req), fh.0, lock_owner.0), reply);
    }

    fn release(
        &self,
        req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        self.fs.release(&caller(req), fh.0);
        reply.ok();
    }

    fn fsync(
        &self,
        req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        datasync: bool,
        reply: ReplyEmpty,
    ) {
        empty(self.fs.fsync(&caller(req), fh.0, datasync), reply);
    }

    fn ioctl(
        &self,
        req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        _flags: IoctlFlags,
        cmd: u32,
        _in_data: &[u8],
        _out_size: u32,
        reply: ReplyIoctl,
    ) {
        self.control(req, fh, cmd, reply);
    }

    fn opendir(&self, req: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        self.reply_directory(self.fs.opendir(&caller(req), ino.0, flags.0), reply);
    }

    fn readdir(
        &self,
        req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let read = self
            .fs
            .readdir(&caller(req), fh.0, offset, false, &mut |name| {
                let kind = kind_of(u32::from(name.kind) << 12);
                let text = OsStr::from_bytes(name.name.to_bytes());
                !reply.add(INodeNo(name.ino), name.next, kind, text)
            });
        match read {
            Ok(()) => reply.ok(),
            Err(errno) => reply.error(errno_of(errno)),
        }
    }

    fn readdirplus(
        &self,
        req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        let read = self
            .fs
            .readdir(&caller(req), fh.0, offset, true, &mut |name| {
                // Only `.` and `..` come without metadata, of which the kernel takes the number alone.
                let bare = Attr {
                    ino: name.ino,
                    mode: u32::from(name.kind) << 12,
                    ..Attr::default()
                };
                let entry = name.entry.unwrap_or(Entry {
                    attr: bare,
                    generation: 0,
                    cacheable: false,
                });
                let text = OsStr::from_bytes(name.name.to_bytes());
                let (ttl, attr) = (self.lifetime(&entry), file_attr(&entry.attr));
                let generation = Generation(entry.generation);
                !reply.add(INodeNo(name.ino), name.next, text, &ttl, &attr, generation)
            });
        match read {
            Ok(()) => reply.ok(),
            Err(errno) => reply.error(errno_of(errno)),
        }
    }

    fn releasedir(
        &self,
        req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        reply: ReplyEmpty,
    ) {
        self.fs.release(&caller(req), fh.0);
        reply.ok();
    }

    fn fsyncdir(
        &self,
        req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        datasync: bool,
        reply: ReplyEmpty,
    ) {
        empty(self.fs.fsync(&caller(req), fh.0, datasync), reply);
    }

    fn statfs(&self, req: &Request, ino: INodeNo, reply: ReplyStatfs) {
        reply_space(self.fs.statfs(&caller(req), ino.0), reply);
    }

    fn setxattr(
        &self,
        req: &Request,
        ino: INodeNo,
        name: &OsStr,
        value: &[u8],
        flags: i32,
        _position: u32,
        reply: ReplyEmpty,
    ) {
        let set = c_string(name)
            .and_then(|name| self.fs.setxattr(&caller(req), ino.0, &name, value, flags));
        empty(set, reply);
    }

    fn getxattr(&self, req: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        let got =
            c_string(name).and_then(|name| self.fs.getxattr(&caller(req), ino.0, &name, size));
        reply_sized(got, reply);
    }

    fn listxattr(&self, req: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        reply_sized(self.fs.listxattr(&caller(req), ino.0, size), reply);
    }

    fn removexattr(&self, req: &Request, ino: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let removed =
            c_string(name).and_then(|name| self.fs.removexattr(&caller(req), ino.0, &name));
        empty(removed, reply);
    }

    fn access(&self, req: &Request, ino: INodeNo, mask: AccessFlags, reply: ReplyEmpty) {
        empty(self.fs.access(&caller(req), ino.0, mask.bits()), reply);
    }

    fn getlk(
        &self,
        req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        lock_owner: LockOwner,
        start: u64,
        end: u64,
        typ: i32,
        pid: u32,
        reply: ReplyLock,
    ) {
        let wanted = lock(req, lock_owner, (start, end), typ, pid);
        reply_lock(self.fs.getlk(&caller(req), fh.0, &wanted), reply);
    }

    fn setlk(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        lock_owner: LockOwner,
        start: u64,
        end: u64,
        typ: i32,
        pid: u32,
        sleep: bool,
        reply: ReplyEmpty,
    ) {
        let wanted = lock(req, lock_owner, (start, end), typ, pid);
        self.set_lock(caller(req), (ino.0, fh.0), wanted, sleep, reply);
    }

    fn fallocate(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let allocated = self.fs.fallocate(&caller(req), fh.0, offset, length, mode);
        self.forget_mode(ino.0);
        empty(allocated, reply);
    }

    fn lseek(
        &self,
        req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        offset: i64,
        whence: i32,
        reply: ReplyLseek,
    ) {
        match self.fs.lseek(&caller(req), fh.0, offset, whence) {
            Ok(offset) => reply.offset(offset),
            Err(errno) => reply.error(errno_of(errno)),
        }
    }

    fn copy_file_range(
        &self,
        req: &Request,
        _ino_in: INodeNo,
        fh_in: FileHandle,
        offset_in: u64,
        ino_out: INodeNo,
        fh_out: FileHandle,
        offset_out: u64,
        len: u64,
        flags: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        let (from, to) = ((fh_in.0, offset_in), (fh_out.0, offset_out));
        let copied = self.fs.copy(&caller(req), from, to, len, flags.bits());
        self.forget_mode(ino_out.0);
        match copied {
            Ok(copied) => reply.written(copied),
            Err(errno) => reply.error(errno_of(errno)),
        }
    }
}
