//! File tree walks that start under the prefix: nftw(3) and ftw(3). Others are glibc's own.
#![allow(unsafe_code)]

use super::dir;
use crate::place::{self, PathBuffer, Place};
use crate::real::{errno, finish, set_errno, shims};
use crate::symbols::own;
use hostcall::types::Errno;
use libc::{c_char, c_int, stat};
use std::collections::HashSet;
use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;

/// `struct FTW` of nftw(3).
#[repr(C)]
pub struct Position {
    /// Offset of the file name in the path.
    pub base: c_int,
    /// Depth below the start.
    pub level: c_int,
}

/// What nftw(3) calls for each file.
pub type Visit = unsafe extern "C" fn(*const c_char, *const stat, c_int, *mut Position) -> c_int;
/// What ftw(3) calls.
pub type PlainVisit = unsafe extern "C" fn(*const c_char, *const stat, c_int) -> c_int;

/// What a file is, `FTW_F` to `FTW_SLN`.
#[derive(Clone, Copy, PartialEq)]
#[repr(i32)]
enum Kind {
    File,
    Directory,
    Unreadable,
    NoStat,
    Link,
    DirectoryAfter,
    DanglingLink,
}

const PHYSICAL: c_int = 1;
const ONE_DEVICE: c_int = 2;
const CHANGE_DIRECTORY: c_int = 4;
const DEPTH_FIRST: c_int = 8;
const ACTIONS: c_int = 16;

const STOP: c_int = 1;
const SKIP_SUBTREE: c_int = 2;
const SKIP_SIBLINGS: c_int = 3;

shims! {
    /// Walks a tree and calls a function for each file, nftw(3).
    fn nftw(path: *const c_char, visit: Visit, descriptors: c_int, flags: c_int) -> c_int {
        match place::of(path, &mut PathBuffer::new()) {
            Ok(Place::Host { .. }) => {}
            Ok(Place::Guest { path, .. }) => {
                return own::nftw(path, visit, descriptors, flags);
            }
            Err(error) => return finish(Err(error)),
        }
        if flags & !(PHYSICAL | ONE_DEVICE | CHANGE_DIRECTORY | DEPTH_FIRST | ACTIONS) != 0 {
            return finish(Err(Errno(libc::EINVAL)));
        }
        Walk::new(Visitor::Full(visit), descriptors, flags).start(CStr::from_ptr(path))
    }

    /// Walks a tree, following links, ftw(3).
    fn ftw(path: *const c_char, visit: PlainVisit, descriptors: c_int) -> c_int {
        match place::of(path, &mut PathBuffer::new()) {
            Ok(Place::Host { .. }) => {
                Walk::new(Visitor::Plain(visit), descriptors, 0).start(CStr::from_ptr(path))
            }
            Ok(Place::Guest { path, .. }) => own::ftw(path, visit, descriptors),
            Err(error) => finish(Err(error)),
        }
    }
}

enum Visitor {
    Full(Visit),
    Plain(PlainVisit),
}

struct Walk {
    visitor: Visitor,
    flags: c_int,
    /// Directories that may be held open, one a level; deeper ones are named by their whole path.
    descriptors: usize,
    /// The path of the file in hand, without a NUL.
    path: Vec<u8>,
    /// Offset of its last component.
    base: usize,
    level: usize,
    device: libc::dev_t,
    /// Directories entered, so that a link to one of them does not lead round in circles.
    entered: HashSet<(libc::dev_t, libc::ino_t)>,
}

impl Walk {
    fn new(visitor: Visitor, descriptors: c_int, flags: c_int) -> Walk {
        Walk {
            visitor,
            flags,
            descriptors: usize::try_from(descriptors).unwrap_or(0).max(1),
            path: Vec::new(),
            base: 0,
            level: 0,
            device: 0,
            entered: HashSet::new(),
        }
    }

    fn has(&self, flag: c_int) -> bool {
        self.flags & flag != 0
    }

    fn start(&mut self, root: &CStr) -> c_int {
        let mut path = root.to_bytes();
        if path.is_empty() {
            set_errno(Errno(libc::ENOENT));
            return -1;
        }
        while path.len() > 1 && path.ends_with(b"/") {
            path = &path[..path.len() - 1];
        }
        self.path = path.to_vec();
        let slash = self.path.iter().rposition(|byte| *byte == b'/');
        self.base = slash.map_or(0, |at| at + 1);
        if !self.has(CHANGE_DIRECTORY) {
            return self.root();
        }
        let before = open_directory(libc::AT_FDCWD, c".");
        if before < 0 {
            return -1;
        }
        let parent = CString::new(&self.path[..self.base]).unwrap_or_default();
        // SAFETY: a C string.
        let moved = parent.is_empty() || unsafe { libc::chdir(parent.as_ptr()) } == 0;
        let result = if moved { self.root() } else { -1 };
        let error = errno();
        // SAFETY: the descriptor is ours.
        let back = unsafe { libc::fchdir(before) };
        if back == 0 {
            set_errno(error);
        }
        let error = errno();
        // SAFETY: as above.
        unsafe { super::open::close(before) };
        set_errno(error);
        if back == 0 {
            result
        } else {
            -1
        }
    }

    fn root(&mut self) -> c_int {
        let Some(found) = self.look(None) else {
            return -1;
        };
        let result = match found {
            (Kind::NoStat, _) => return -1,
            (Kind::Directory, metadata) => {
                self.device = metadata.st_dev;
                self.entered.insert((metadata.st_dev, metadata.st_ino));
                self.directory(&metadata, None)
            }
            (kind, metadata) => self.visit(kind, &metadata),
        };
        if self.has(ACTIONS) && (result == SKIP_SUBTREE || result == SKIP_SIBLINGS) {
            return 0;
        }
        result
    }

    /// The name to give to a call: below an open parent or in the current directory the last component, else all.
    fn name(&self, parent: Option<c_int>) -> CString {
        let short = parent.is_some() || self.has(CHANGE_DIRECTORY);
        let start = if short { self.base } else { 0 };
        let name = &self.path[start..];
        CString::new(if name.is_empty() { b"." } else { name }).unwrap_or_default()
    }

    /// What the file in hand is. `None` is an error that ends the walk, errno tells it.
    fn look(&self, parent: Option<c_int>) -> Option<(Kind, stat)> {
        let name = self.name(parent);
        let parent = parent.unwrap_or(libc::AT_FDCWD);
        let ask = |flags| {
            let mut metadata = MaybeUninit::<stat>::zeroed();
            // SAFETY: a C string and a buffer of the right type, valid even if it stays zero.
            unsafe {
                let result = libc::fstatat(parent, name.as_ptr(), metadata.as_mut_ptr(), flags);
                (result == 0, metadata.assume_init())
            }
        };
        let physical = self.has(PHYSICAL);
        let (found, metadata) = ask(if physical {
            libc::AT_SYMLINK_NOFOLLOW
        } else {
            0
        });
        if found {
            return Some(match metadata.st_mode & libc::S_IFMT {
                libc::S_IFDIR => (Kind::Directory, metadata),
                libc::S_IFLNK => (Kind::Link, metadata),
                _ => (Kind::File, metadata),
            });
        }
        if !matches!(errno(), Errno(libc::EACCES | libc::ENOENT)) {
            return None;
        }
        if !physical {
            let error = errno();
            let (found, metadata) = ask(libc::AT_SYMLINK_NOFOLLOW);
            if found && metadata.st_mode & libc::S_IFMT == libc::S_IFLNK {
                return Some((Kind::DanglingLink, metadata));
            }
            set_errno(error);
        }
        Some((Kind::NoStat, metadata))
    }

    fn visit(&mut self, kind: Kind, metadata: &stat) -> c_int {
        self.path.push(0);
        let path = self.path.as_ptr().cast();
        let mut place = Position {
            base: self.base as c_int,
            level: self.level as c_int,
        };
        // SAFETY: the program's own function, with what nftw(3) promises it; the path ends in NUL.
        let result = unsafe {
            match self.visitor {
                Visitor::Full(visit) => visit(path, metadata, kind as c_int, &mut place),
                Visitor::Plain(visit) => {
                    // ftw(3) knows only the first four.
                    let kind = match kind {
                        Kind::Link => Kind::File,
                        Kind::DirectoryAfter => Kind::Directory,
                        Kind::DanglingLink => Kind::NoStat,
                        kind => kind,
                    };
                    visit(path, metadata, kind as c_int)
                }
            }
        };
        self.path.pop();
        result
    }

    fn directory(&mut self, metadata: &stat, parent: Option<c_int>) -> c_int {
        let name = self.name(parent);
        // SAFETY: a C string; the stream is closed below on every path.
        let stream = unsafe { dir::open(parent.unwrap_or(libc::AT_FDCWD), name.as_ptr()) };
        if stream.is_null() {
            return if errno() == Errno(libc::EACCES) {
                self.visit(Kind::Unreadable, metadata)
            } else {
                -1
            };
        }
        let mut stream = Some(Stream(stream));
        if !self.has(DEPTH_FIRST) {
            let result = self.visit(Kind::Directory, metadata);
            if result != 0 {
                return result;
            }
        }
        let fd = stream.as_ref().map(Stream::fd);
        if let (true, Some(fd)) = (self.has(CHANGE_DIRECTORY), fd) {
            // SAFETY: fchdir(2) takes no pointer.
            if unsafe { libc::fchdir(fd) } < 0 {
                return -1;
            }
        }
        let names = stream.as_ref().map(Stream::names).unwrap_or_default();
        // A walk that changes directory needs the way back, whatever it may hold open.
        if self.level + 1 >= self.descriptors && !self.has(CHANGE_DIRECTORY) {
            stream = None;
        }
        let fd = stream.as_ref().map(Stream::fd);
        let (base, len) = (self.base, self.path.len());
        self.level += 1;
        if !self.path.ends_with(b"/") {
            self.path.push(b'/');
        }
        self.base = self.path.len();
        let mut result = 0;
        for name in names
            .split(|byte| *byte == 0)
            .filter(|name| !name.is_empty())
        {
            self.path.truncate(self.base);
            self.path.extend_from_slice(name);
            result = self.entry(fd);
            if result != 0 {
                break;
            }
        }
        if self.has(ACTIONS) && result == SKIP_SIBLINGS {
            result = 0;
        }
        self.level -= 1;
        self.path.truncate(len);
        self.base = base;
        if result == 0 && self.has(DEPTH_FIRST) {
            result = self.visit(Kind::DirectoryAfter, metadata);
        }
        let goes_on = result == 0 || self.has(ACTIONS) && result != -1 && result != STOP;
        if let (true, true, Some(parent)) = (self.has(CHANGE_DIRECTORY), goes_on, parent) {
            // SAFETY: fchdir(2) takes no pointer.
            if unsafe { libc::fchdir(parent) } < 0 {
                return -1;
            }
        }
        result
    }

    fn entry(&mut self, parent: Option<c_int>) -> c_int {
        let Some((kind, metadata)) = self.look(parent) else {
            return -1;
        };
        let elsewhere = kind != Kind::NoStat && metadata.st_dev != self.device;
        let result = if self.has(ONE_DEVICE) && elsewhere {
            0
        } else if kind != Kind::Directory {
            self.visit(kind, &metadata)
        } else if self.has(PHYSICAL) || self.entered.insert((metadata.st_dev, metadata.st_ino)) {
            self.directory(&metadata, parent)
        } else {
            0
        };
        if self.has(ACTIONS) && result == SKIP_SUBTREE {
            return 0;
        }
        result
    }
}

/// An open directory, closed when dropped; errno survives that.
struct Stream(*mut libc::DIR);

impl Stream {
    fn fd(&self) -> c_int {
        // SAFETY: the stream is live.
        unsafe { dir::dirfd(self.0) }
    }

    /// All names but `.` and `..`, each ended by NUL.
    fn names(&self) -> Vec<u8> {
        let mut names = Vec::new();
        loop {
            // SAFETY: the stream is live and used by this thread alone; the name is a C string until the next read.
            let name = unsafe {
                let entry = dir::readdir64(self.0);
                if entry.is_null() {
                    return names;
                }
                CStr::from_ptr((*entry).d_name.as_ptr())
            };
            if name != c"." && name != c".." {
                names.extend_from_slice(name.to_bytes_with_nul());
            }
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let error = errno();
        // SAFETY: the stream is live and not used again.
        unsafe { dir::closedir(self.0) };
        set_errno(error);
    }
}

fn open_directory(parent: c_int, path: &CStr) -> c_int {
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
    // SAFETY: a C string.
    unsafe { libc::openat(parent, path.as_ptr(), flags) }
}
