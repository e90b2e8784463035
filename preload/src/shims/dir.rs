//! Directory streams on host directories: opendir(3) to closedir(3).
//!
//! A host stream is an object of ours. It is told from glibc's by two words at offsets 8 and 16, where glibc's
//! `__dirstream` keeps its buffer's size twice: no size equals the marks, one of which depends on the address.
#![allow(unsafe_code)]

use super::open::named_descriptor;
use crate::place::{self, PathBuffer, Place};
use crate::real::{errno, finish, set_errno, shims};
use crate::symbols::own;
use crate::{fds, session};
use hostcall::ops::Calls;
use hostcall::types::Errno;
use hostcall::wire::Sink;
use libc::{c_char, c_int, c_long, dirent, dirent64, off64_t, DIR};
use std::cell::UnsafeCell;
use std::mem::{offset_of, size_of, MaybeUninit};
use std::ptr::{addr_of_mut, null_mut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Mutex;

/// Bytes of entries fetched by one call, as many as glibc's own streams take.
const CHUNK: usize = 32 * 1024;

/// The largest entry that readdir_r(3) may write: callers reserve a `struct dirent`.
const LARGEST: usize = size_of::<dirent64>();

/// A directory stream over a host directory.
#[repr(C)]
struct Stream {
    fd: c_int,
    marks: [usize; 2],
    cursor: Mutex<Cursor>,
    entries: Entries,
}

/// Packed `struct linux_dirent64`, which is laid out like `struct dirent64` and aligned to 8.
#[repr(C, align(8))]
struct Entries(UnsafeCell<[MaybeUninit<u8>; CHUNK]>);

/// Where the next entry lies.
struct Cursor {
    /// Offset of the next entry in the buffer.
    next: usize,
    /// End of the entries in the buffer.
    end: usize,
    /// What telldir(3) answers: the cookie of the entry read last.
    position: off64_t,
    /// An error that readdir_r(3) keeps for the end of the directory.
    deferred: c_int,
}

impl Cursor {
    fn at(position: off64_t) -> Cursor {
        Cursor {
            next: 0,
            end: 0,
            position,
            deferred: 0,
        }
    }
}

const _: () =
    assert!(offset_of!(Stream, marks) == 8 && size_of::<dirent64>() == size_of::<dirent>());

/// `d_name` of a `struct dirent64`.
const NAME: usize = offset_of!(dirent64, d_name);

/// Set by the first host stream and never cleared: until then a foreign stream costs one load.
static USED: AtomicBool = AtomicBool::new(false);

fn marks(address: *const DIR) -> [usize; 2] {
    [
        address as usize ^ 0x9d5c_f1a7_63e2_8b4f,
        0xb7e1_5162_8aed_2a6b,
    ]
}

impl Stream {
    /// The host stream at an address, or `None` for glibc's.
    ///
    /// # Safety
    /// `dir` is null or a live stream of either kind.
    unsafe fn of<'a>(dir: *mut DIR) -> Option<&'a Stream> {
        if !USED.load(Ordering::Relaxed) || dir.is_null() {
            return None;
        }
        let stream = dir.cast::<Stream>();
        // SAFETY: both kinds are longer than the marks, and a stream does not move.
        unsafe { (addr_of_mut!((*stream).marks).read() == marks(dir)).then(|| &*stream) }
    }

    /// Takes a host directory's descriptor over. Null, with errno set, for want of memory.
    fn make(fd: c_int) -> *mut DIR {
        // SAFETY: the memory is checked, long enough and aligned to 16; the entries need no initial value.
        unsafe {
            let stream = libc::malloc(size_of::<Stream>()).cast::<Stream>();
            if stream.is_null() {
                return null_mut();
            }
            USED.store(true, Ordering::Relaxed);
            addr_of_mut!((*stream).fd).write(fd);
            addr_of_mut!((*stream).marks).write(marks(stream.cast()));
            addr_of_mut!((*stream).cursor).write(Mutex::new(Cursor::at(0)));
            stream.cast()
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Cursor) -> T) -> T {
        let mut cursor = self
            .cursor
            .lock()
            .unwrap_or_else(|poison| poison.into_inner());
        work(&mut cursor)
    }

    fn buffer(&self) -> *mut u8 {
        self.entries.0.get().cast()
    }

    /// The next entry, inside the buffer; null at the end.
    fn next(&self, cursor: &mut Cursor) -> Result<*mut dirent64, Errno> {
        loop {
            if cursor.next >= cursor.end {
                let filled = self.fetch()?;
                cursor.next = 0;
                cursor.end = filled;
                if filled == 0 {
                    return Ok(null_mut());
                }
            }
            // SAFETY: an entry of at least 24 bytes starts here: the buffer is filled up to `end` by getdents64,
            // which writes whole entries.
            let entry = unsafe { self.buffer().add(cursor.next).cast::<dirent64>() };
            // SAFETY: as above.
            let (inode, len, position) =
                unsafe { ((*entry).d_ino, (*entry).d_reclen, (*entry).d_off) };
            if usize::from(len) < NAME || usize::from(len) > cursor.end - cursor.next {
                cursor.next = cursor.end;
                return Err(Errno(libc::EIO));
            }
            cursor.next += usize::from(len);
            cursor.position = position;
            // Some file systems list removed entries so.
            if inode != 0 {
                return Ok(entry);
            }
        }
    }

    fn fetch(&self) -> Result<usize, Errno> {
        let remote = fds::host(self.fd).ok_or(Errno(libc::EBADF))?;
        // At a directory's end readdir leaves errno alone, by which programs tell it from an error.
        let saved = errno();
        // SAFETY: the buffer is as long as said and only ever touched under the cursor's lock.
        let sink = unsafe { Sink::from_raw(self.buffer(), CHUNK) };
        let filled = match session::client()?.getdents(remote, sink) {
            Ok(reply) => reply.filled.0,
            // A removed directory has no entries; glibc does not let its callers see the error.
            Err(Errno(libc::ENOENT)) => 0,
            Err(error) => return Err(error),
        };
        set_errno(saved);
        Ok(filled)
    }

    /// Moves the stream, as lseek(2) does, and forgets what was fetched.
    fn seek(&self, position: off64_t) {
        self.with(|cursor| {
            // SAFETY: lseek(2) takes no pointer.
            unsafe { libc::lseek64(self.fd, position, libc::SEEK_SET) };
            *cursor = Cursor::at(position);
        });
    }
}

/// Opens a directory stream below a directory, with the hooked openat(2): for both kinds of directory.
///
/// # Safety
/// `path` is a C string.
pub(super) unsafe fn open(parent: c_int, path: *const c_char) -> *mut DIR {
    // SAFETY: `path` is a C string by contract; the new descriptor is ours.
    unsafe {
        let flags = libc::O_RDONLY | libc::O_NONBLOCK | libc::O_DIRECTORY | libc::O_CLOEXEC;
        let fd = libc::openat(parent, path, flags);
        if fd < 0 {
            return null_mut();
        }
        let dir = match fds::host(fd) {
            Some(_) => Stream::make(fd),
            None => own::fdopendir(fd),
        };
        if dir.is_null() {
            let error = errno();
            super::open::close(fd);
            set_errno(error);
        }
        dir
    }
}

/// Makes a stream of a host directory's descriptor.
fn adopt(fd: c_int) -> Result<*mut DIR, Errno> {
    let mut metadata = MaybeUninit::<libc::stat64>::zeroed();
    // SAFETY: a buffer of the right type, valid even if it stays zero; fcntl(2) takes no pointer here.
    let (kind, flags) = unsafe {
        if libc::fstat64(fd, metadata.as_mut_ptr()) < 0 {
            return Err(errno());
        }
        let kind = metadata.assume_init().st_mode & libc::S_IFMT;
        (kind, libc::fcntl(fd, libc::F_GETFL))
    };
    if kind != libc::S_IFDIR {
        return Err(Errno(libc::ENOTDIR));
    }
    if flags < 0 {
        return Err(errno());
    }
    if flags & libc::O_PATH != 0 {
        return Err(Errno(libc::EBADF));
    }
    let dir = Stream::make(fd);
    if dir.is_null() {
        return Err(Errno(libc::ENOMEM));
    }
    Ok(dir)
}

shims! {
    /// Opens a directory, opendir(3).
    fn opendir(path: *const c_char) -> *mut DIR {
        match place::of(path, &mut PathBuffer::new()) {
            Ok(Place::Host { .. }) => open(libc::AT_FDCWD, path),
            Ok(Place::Guest { path, .. }) if named_descriptor(path).is_some() => {
                open(libc::AT_FDCWD, path)
            }
            Ok(Place::Guest { path, .. }) => {
                fds::release_reserved();
                own::opendir(path)
            }
            Err(error) => finish(Err(error)),
        }
    }

    /// Makes a stream of a directory's descriptor, fdopendir(3).
    fn fdopendir(fd: c_int) -> *mut DIR {
        match fds::host(fd) {
            Some(_) => finish(adopt(fd)),
            None if fds::is_reserved(fd) => finish(Err(Errno(libc::EBADF))),
            None => own::fdopendir(fd),
        }
    }

    /// The next entry, readdir(3).
    fn readdir64(dir: *mut DIR) -> *mut dirent64 {
        match Stream::of(dir) {
            Some(stream) => finish(stream.with(|cursor| stream.next(cursor))),
            None => own::readdir64(dir),
        }
    }

    /// The next entry into the caller's memory, readdir_r(3).
    fn readdir64_r(dir: *mut DIR, entry: *mut dirent64, result: *mut *mut dirent64) -> c_int {
        let Some(stream) = Stream::of(dir) else {
            return own::readdir64_r(dir, entry, result);
        };
        stream.with(|cursor| {
            *result = null_mut();
            loop {
                let found = match stream.next(cursor) {
                    Ok(found) if found.is_null() => return cursor.deferred,
                    Ok(found) => found,
                    Err(Errno(error)) => return error,
                };
                let mut len = usize::from((*found).d_reclen);
                if len > LARGEST {
                    // The kernel pads entries; only the name must fit.
                    let name = libc::strlen((*found).d_name.as_ptr());
                    if NAME + name + 1 > LARGEST {
                        cursor.deferred = libc::ENAMETOOLONG;
                        continue;
                    }
                    len = LARGEST;
                }
                found.cast::<u8>().copy_to_nonoverlapping(entry.cast(), len);
                (*entry).d_reclen = len as u16;
                *result = entry;
                return 0;
            }
        })
    }

    /// Ends a stream and closes its descriptor, closedir(3).
    fn closedir(dir: *mut DIR) -> c_int {
        let Some(stream) = Stream::of(dir) else {
            if !dir.is_null() {
                fds::note_local_close(own::dirfd(dir));
            }
            return own::closedir(dir);
        };
        let fd = stream.fd;
        // A stale pointer must not pass for a host stream.
        addr_of_mut!((*dir.cast::<Stream>()).marks).write([0; 2]);
        libc::free(dir.cast());
        super::open::close(fd)
    }

    /// Starts again, rewinddir(3), and so sees entries made since.
    fn rewinddir(dir: *mut DIR) -> () {
        match Stream::of(dir) {
            Some(stream) => stream.seek(0),
            None => own::rewinddir(dir),
        }
    }

    /// Goes back to where telldir(3) was asked, seekdir(3).
    fn seekdir(dir: *mut DIR, position: c_long) -> () {
        match Stream::of(dir) {
            Some(stream) => stream.seek(position),
            None => own::seekdir(dir, position),
        }
    }

    /// The position in a stream, telldir(3): the host file system's cookie.
    fn telldir(dir: *mut DIR) -> c_long {
        match Stream::of(dir) {
            Some(stream) => stream.with(|cursor| cursor.position),
            None => own::telldir(dir),
        }
    }

    /// The descriptor of a stream, dirfd(3).
    fn dirfd(dir: *mut DIR) -> c_int {
        match Stream::of(dir) {
            Some(stream) => stream.fd,
            None => own::dirfd(dir),
        }
    }
}
