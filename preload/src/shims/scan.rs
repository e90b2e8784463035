//! Whole directories at once: scandir(3) and glob(3), which glibc serves without ever calling an interposed readdir.
#![allow(unsafe_code)]

use super::dir;
use crate::place::{self, PathBuffer, Place};
use crate::real::{errno, finish, set_errno, shims, sys};
use crate::symbols::own;
use crate::{fds, session};
use hostcall::ops::Calls;
use hostcall::region::CHUNK;
use hostcall::types::Errno;
use hostcall::wire::Sink;
use libc::{c_char, c_int, c_void, dirent, dirent64, off_t, size_t, ssize_t, DIR};
use std::mem::size_of;
use std::ptr::null_mut;
use syscalls::Sysno;

/// The filter of scandir(3).
pub type Select = Option<unsafe extern "C" fn(*const dirent) -> c_int>;
/// The order of scandir(3).
pub type Compare = Option<unsafe extern "C" fn(*mut *const dirent, *mut *const dirent) -> c_int>;
/// What glob(3) asks after an error.
pub type GlobError = Option<unsafe extern "C" fn(*const c_char, c_int) -> c_int>;

/// `GLOB_ALTDIRFUNC` of glob(3).
const ALTERNATIVE: c_int = 1 << 9;

/// `glob_t` of glibc, with the functions that the libc crate keeps private.
#[repr(C)]
pub struct Glob {
    count: usize,
    paths: *mut *mut c_char,
    reserved: usize,
    flags: c_int,
    closedir: Option<unsafe extern "C" fn(*mut DIR) -> c_int>,
    readdir: Option<unsafe extern "C" fn(*mut DIR) -> *mut dirent64>,
    opendir: Option<unsafe extern "C" fn(*const c_char) -> *mut DIR>,
    lstat: Option<unsafe extern "C" fn(*const c_char, *mut libc::stat) -> c_int>,
    stat: Option<unsafe extern "C" fn(*const c_char, *mut libc::stat) -> c_int>,
}

shims! {
    /// Entries as the kernel packs them, getdents64(2).
    fn getdents64(fd: c_int, buffer: *mut c_char, len: size_t) -> ssize_t {
        match fds::host(fd) {
            Some(remote) => {
                let sink = Sink::from_raw(buffer.cast(), len.min(CHUNK));
                finish(session::client().and_then(|client| Ok(client.getdents(remote, sink)?.filled.0 as ssize_t)))
            }
            None => sys!(Sysno::getdents64, fd, buffer, len),
        }
    }

    /// The same, with the position before in `base`, getdirentries(3).
    fn getdirentries(fd: c_int, buffer: *mut c_char, len: size_t, base: *mut off_t) -> ssize_t {
        let position = libc::lseek(fd, 0, libc::SEEK_CUR);
        let filled = getdents64(fd, buffer, len);
        if filled >= 0 && position >= 0 {
            *base = position;
        }
        filled
    }

    /// The entries of a directory, chosen and sorted, scandir(3).
    fn scandir(
        path: *const c_char,
        list: *mut *mut *mut dirent,
        select: Select,
        compare: Compare,
    ) -> c_int {
        scandirat(libc::AT_FDCWD, path, list, select, compare)
    }

    /// scandir(3) below an open directory.
    fn scandirat(
        parent: c_int,
        path: *const c_char,
        list: *mut *mut *mut dirent,
        select: Select,
        compare: Compare,
    ) -> c_int {
        match place::at(parent, path, &mut PathBuffer::new()) {
            Ok(Place::Host { .. }) => {}
            Ok(Place::Guest { dirfd, path }) => {
                return own::scandirat(dirfd, path, list, select, compare);
            }
            Err(error) => return finish(Err(error)),
        }
        let stream = dir::open(parent, path);
        if stream.is_null() {
            return -1;
        }
        let mut chosen = Chosen::default();
        let outcome = chosen.collect(stream, select);
        let error = errno();
        dir::closedir(stream);
        set_errno(error);
        if outcome.is_err() {
            chosen.free();
            return -1;
        }
        if let (Some(compare), false) = (compare, chosen.entries.is_null()) {
            // SAFETY: the two types differ only in what the pointers point to.
            let compare = std::mem::transmute::<
                unsafe extern "C" fn(*mut *const dirent, *mut *const dirent) -> c_int,
                unsafe extern "C" fn(*const c_void, *const c_void) -> c_int,
            >(compare);
            let size = size_of::<*mut dirent>();
            libc::qsort(chosen.entries.cast(), chosen.len, size, Some(compare));
        }
        *list = chosen.entries;
        chosen.len as c_int
    }

    /// Paths that match a pattern, glob(3). glibc does the matching and walks with the hooked directory functions,
    /// which serve guest directories too: any pattern may lead to the prefix.
    fn glob(
        pattern: *const c_char,
        flags: c_int,
        error: GlobError,
        found: *mut Glob,
    ) -> c_int {
        if flags & ALTERNATIVE != 0 {
            return own::glob(pattern, flags, error, found);
        }
        // Fields that glibc leaves alone without the flag.
        (*found).closedir = Some(libc::closedir);
        (*found).readdir = Some(libc::readdir64);
        (*found).opendir = Some(libc::opendir);
        (*found).lstat = Some(libc::lstat);
        (*found).stat = Some(libc::stat);
        let result = own::glob(pattern, flags | ALTERNATIVE, error, found);
        (*found).flags &= !ALTERNATIVE;
        result
    }
}

/// A growing array of malloc(3), since the caller frees it and its entries.
struct Chosen {
    entries: *mut *mut dirent,
    len: usize,
    room: usize,
}

impl Default for Chosen {
    fn default() -> Chosen {
        Chosen {
            entries: null_mut(),
            len: 0,
            room: 0,
        }
    }
}

impl Chosen {
    /// Copies what `select` wants. On an error errno tells it; on success errno is as before.
    ///
    /// # Safety
    /// `stream` is a live stream.
    unsafe fn collect(&mut self, stream: *mut DIR, select: Select) -> Result<(), ()> {
        // SAFETY: entries are read before the next readdir, copies are as long as the entry says.
        unsafe {
            let before = errno();
            loop {
                set_errno(Errno(0));
                let entry = dir::readdir64(stream);
                if entry.is_null() {
                    if errno() != Errno(0) {
                        return Err(());
                    }
                    set_errno(before);
                    return Ok(());
                }
                if select.is_some_and(|select| select(entry.cast()) == 0) {
                    continue;
                }
                let len = usize::from((*entry).d_reclen);
                let copy = libc::malloc(len).cast::<u8>();
                if copy.is_null() {
                    return Err(());
                }
                entry.cast::<u8>().copy_to_nonoverlapping(copy, len);
                if self.push(copy.cast()).is_err() {
                    libc::free(copy.cast());
                    return Err(());
                }
            }
        }
    }

    fn push(&mut self, entry: *mut dirent) -> Result<(), ()> {
        // SAFETY: the array has `room` elements, `len` of them used.
        unsafe {
            if self.len == self.room {
                let room = (self.room * 2).max(16);
                let entries = libc::realloc(self.entries.cast(), room * size_of::<*mut dirent>());
                if entries.is_null() {
                    return Err(());
                }
                self.entries = entries.cast();
                self.room = room;
            }
            self.entries.add(self.len).write(entry);
            self.len += 1;
            Ok(())
        }
    }

    fn free(&mut self) {
        for index in 0..self.len {
            // SAFETY: each element is one of our own copies.
            unsafe { libc::free((*self.entries.add(index)).cast()) };
        }
        // SAFETY: the array is our own.
        unsafe { libc::free(self.entries.cast()) };
    }
}
