//! What a file system does, in our own words: plain methods, plain results, nothing of the kernel's protocol.

use hostcall::handout::Handout;
use hostcall::ids::{GuestGid, GuestUid};
use hostcall::types::{Errno, Mode, Token};
use std::ffi::{CStr, CString};

/// Number of an inode: the kernel's name for a file that has been looked up. 1 is the root.
pub type Ino = u64;

/// The root.
pub const ROOT: Ino = 1;

/// Number of an open file or directory.
pub type HandleId = u64;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// File-system user id.
    pub uid: GuestUid,
    /// File-system group id.
    pub gid: GuestGid,
    /// Thread id in the guest, 0 if the kernel itself asks.
    pub pid: u32,
    /// Number of the request.
    pub unique: u64,
    /// The mask for what is made, if the kernel has left it to be applied.
    pub umask: Option<Mode>,
}

impl Caller {
    /// The guest kernel itself, or a thread of ours.
    pub const KERNEL: Caller = Caller {
        uid: GuestUid::NONE,
        gid: GuestGid::NONE,
        pid: 0,
        unique: 0,
        umask: None,
    };
}

/// A point in time: seconds since the epoch and nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Time {
    /// Seconds; negative before 1970.
    pub seconds: i64,
    /// Nanoseconds below a second.
    pub nanoseconds: u32,
}

/// Metadata of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attr {
    /// Our inode number.
    pub ino: Ino,
    /// Type and permission bits.
    pub mode: u32,
    /// Hard links.
    pub links: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Major and minor number of a device node.
    pub device: (u32, u32),
    /// Bytes.
    pub size: u64,
    /// Blocks of 512 bytes.
    pub blocks: u64,
    /// Preferred unit of transfer, bytes.
    pub unit: u32,
    /// Last access.
    pub atime: Time,
    /// Last change of contents.
    pub mtime: Time,
    /// Last change of the inode.
    pub ctime: Time,
}

/// A file found by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its metadata.
    pub attr: Attr,
    /// Tells apart files that had one number after each other.
    pub generation: u64,
    /// Whether the kernel may remember name and metadata.
    pub cacheable: bool,
}

/// A file that was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Its number.
    pub handle: HandleId,
    /// What the kernel may do with its data.
    pub data: Data,
    /// The token that led to it: a name that is of no more use, and by which the kernel would keep the inode.
    pub token: Option<Token>,
}

/// How the kernel is to treat an open file's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data {
    /// Forget what it has cached of the file.
    Fresh,
    /// What it has cached is still right.
    Kept,
    /// Cache nothing.
    Direct,
    /// Cache nothing; the file has no position.
    Stream,
}

/// A time to be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetTime {
    /// The moment of the call, as the host tells it.
    Now,
    /// This one.
    At(Time),
}

/// What of a file's metadata is to change; `None` leaves it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Permission bits.
    pub mode: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Length.
    pub size: Option<u64>,
    /// Last access.
    pub atime: Option<SetTime>,
    /// Last change of contents.
    pub mtime: Option<SetTime>,
    /// The open file that the change was made by.
    pub handle: Option<HandleId>,
}

/// What a name is made for.
#[derive(Clone, Copy, Debug)]
pub enum Make<'a> {
    /// A directory with these permission bits.
    Directory(u32),
    /// A FIFO, socket, device or regular file: type and permission bits, and the numbers of a device.
    Node(u32, (u32, u32)),
    /// A symbolic link to this target.
    Symlink(&'a CStr),
    /// A further name of a known file.
    Link(Ino),
}

/// A name in a directory.
#[derive(Clone, Debug)]
pub struct Name {
    /// Its inode number.
    pub ino: Ino,
    /// Its type, as `d_type` holds it.
    pub kind: u8,
    /// The name.
    pub name: CString,
    /// Where reading goes on behind it.
    pub next: u64,
    /// Its metadata, where that was asked for. It counts as a look-up.
    pub entry: Option<Entry>,
}

/// How full a file system is, statfs(2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Space {
    pub blocks: u64,
    pub free: u64,
    pub available: u64,
    pub files: u64,
    pub free_files: u64,
    /// Bytes that are best moved at once.
    pub unit: u32,
    /// Bytes of a block.
    pub block: u32,
    pub longest_name: u32,
}

/// Where a write goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// To this offset.
    At(u64),
    /// To this offset, from what the kernel has cached of the file, by whichever open file it chose.
    Back(u64),
    /// To the end, wherever the host finds that; the kernel takes it for this offset.
    End(u64),
}

/// What kind of lock is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockKind {
    /// Shared.
    Read,
    /// Exclusive.
    Write,
    /// None.
    Unlock,
}

/// A lock, or the wish for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lock {
    /// Kind.
    pub kind: LockKind,
    /// First byte.
    pub start: u64,
    /// Last byte; `i64::MAX` means the end of the file, wherever it is.
    pub end: u64,
    /// Guest thread that asked, or holds.
    pub pid: u32,
    /// Whose lock it is: an open file's or a process's.
    pub owner: u64,
    /// Whether it is a whole-file lock of flock(2).
    pub flock: bool,
}

/// A value or, if no room was given, only its length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sized {
    /// Bytes that it takes.
    Length(u32),
    /// The bytes.
    Bytes(Vec<u8>),
}

/// The operations. Each may block, but for those that say so; each error is the errno of the guest's system call.
#[allow(missing_docs)]
pub trait FileSystem: Send + Sync + 'static {
    /// Finds a name. Every success counts until [`forget`](FileSystem::forget).
    fn lookup(&self, caller: &Caller, parent: Ino, name: &CStr) -> Result<Entry, Errno>;
    /// Takes back look-ups: inode and count.
    fn forget(&self, caller: &Caller, inodes: &[(Ino, u64)]);
    fn getattr(&self, caller: &Caller, ino: Ino, handle: Option<HandleId>) -> Result<Attr, Errno>;
    fn setattr(&self, caller: &Caller, ino: Ino, change: &Change) -> Result<Attr, Errno>;
    /// The target of a symbolic link, as following it in the guest needs it.
    fn readlink(&self, caller: &Caller, ino: Ino) -> Result<Vec<u8>, Errno>;
    fn access(&self, caller: &Caller, ino: Ino, mask: i32) -> Result<(), Errno>;
    fn statfs(&self, caller: &Caller, ino: Ino) -> Result<Space, Errno>;

    /// Makes a name. Where the caller has a umask it is still to be applied.
    fn make(
        &self,
        caller: &Caller,
        parent: Ino,
        name: &CStr,
        what: Make<'_>,
    ) -> Result<Entry, Errno>;
    fn unlink(
        &self,
        caller: &Caller,
        parent: Ino,
        name: &CStr,
        directory: bool,
    ) -> Result<(), Errno>;
    fn rename(
        &self,
        caller: &Caller,
        from: (Ino, &CStr),
        to: (Ino, &CStr),
        flags: u32,
    ) -> Result<(), Errno>;

    fn open(&self, caller: &Caller, ino: Ino, flags: i32) -> Result<Opened, Errno>;
    fn create(
        &self,
        caller: &Caller,
        parent: Ino,
        name: &CStr,
        mode: u32,
        flags: i32,
    ) -> Result<(Entry, Opened), Errno>;
    fn read(
        &self,
        caller: &Caller,
        handle: HandleId,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<usize, Errno>;
    /// Writes; `drop_privileges` takes the set-user-id and set-group-id bits away, for a writer who may not keep them.
    fn write(
        &self,
        caller: &Caller,
        handle: HandleId,
        place: Place,
        data: &[u8],
        drop_privileges: bool,
    ) -> Result<usize, Errno>;
    /// A descriptor of the open file was closed: errors of earlier writes are told, record locks of the owner go.
    fn flush(&self, caller: &Caller, handle: HandleId, owner: u64) -> Result<(), Errno>;
    fn release(&self, caller: &Caller, handle: HandleId);
    fn fsync(&self, caller: &Caller, handle: HandleId, data_only: bool) -> Result<(), Errno>;
    fn fallocate(
        &self,
        caller: &Caller,
        handle: HandleId,
        offset: u64,
        len: u64,
        mode: i32,
    ) -> Result<(), Errno>;
    fn lseek(
        &self,
        caller: &Caller,
        handle: HandleId,
        offset: i64,
        whence: i32,
    ) -> Result<i64, Errno>;
    fn copy(
        &self,
        caller: &Caller,
        from: (HandleId, u64),
        to: (HandleId, u64),
        len: u64,
        flags: u64,
    ) -> Result<u32, Errno>;

    /// The host file behind an open file, for a program with a session of its own.
    fn hand_out(&self, caller: &Caller, handle: HandleId) -> Result<Handout, Errno>;

    fn opendir(&self, caller: &Caller, ino: Ino, flags: i32) -> Result<Opened, Errno>;
    /// Hands names from a position on to `take` until it has no more room (and answers false) or there are no more.
    /// `plus` asks for their metadata.
    fn readdir(
        &self,
        caller: &Caller,
        handle: HandleId,
        offset: u64,
        plus: bool,
        take: &mut dyn FnMut(&Name) -> bool,
    ) -> Result<(), Errno>;

    fn getxattr(&self, caller: &Caller, ino: Ino, name: &CStr, room: u32) -> Result<Sized, Errno>;
    fn setxattr(
        &self,
        caller: &Caller,
        ino: Ino,
        name: &CStr,
        value: &[u8],
        flags: i32,
    ) -> Result<(), Errno>;
    fn listxattr(&self, caller: &Caller, ino: Ino, room: u32) -> Result<Sized, Errno>;
    fn removexattr(&self, caller: &Caller, ino: Ino, name: &CStr) -> Result<(), Errno>;

    /// A lock that is in the way of one; `None` if there is none.
    fn getlk(&self, caller: &Caller, handle: HandleId, lock: &Lock) -> Result<Option<Lock>, Errno>;
    /// Takes or gives back a lock without waiting for others to give theirs back; `EAGAIN` while another one is in the way.
    /// A `patient` one first waits for what the guest has closed to be closed on the host, as long as that takes.
    fn setlk(
        &self,
        caller: &Caller,
        handle: HandleId,
        lock: &Lock,
        patient: bool,
    ) -> Result<(), Errno>;
    /// Has the guest kernel forget what a lock on a file protects. Not for a thread that serves that kernel, which may
    /// first want answers.
    fn forget_stale(&self, ino: Ino, notify: &dyn Notify);
}

/// Tells the guest kernel what to forget.
pub trait Notify {
    /// A name in a directory.
    fn entry(&self, parent: Ino, name: &CStr);
    /// An inode's metadata, and its data if `data` says so.
    fn inode(&self, ino: Ino, data: bool);
}
