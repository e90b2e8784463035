//! The four jump-table slots through which glibc's streams reach their descriptor, and the fifth that asks what it is.
//!
//! Inside glibc `fwrite`, `getline`, `fseek`, `fclose` and the flush at exit never pass through an interposable
//! `read` or `write`: they call `__read`, `__write`, `__seek`, `__close` and `__stat` of the stream's jump table.
//! A stream may only use a table inside libc's own section (`IO_validate_vtable`), so the entries of the two tables
//! that file streams use are replaced in place, once, before `main`. Every other entry (`underflow`, `xsgetn`,
//! `seekoff`, `doallocate`, …) reaches the descriptor through these five, in glibc 2.36 and 2.41 alike.
//!
//! What is not reached: streams that were opened on a guest file with mode `m` (their tables are not exported) and
//! `popen` streams, neither of which ever holds a host file unless a program dups one over its descriptor; and
//! dprintf(3) from glibc 2.37 on, which writes to the kernel directly and so fails with EBADF.
#![allow(unsafe_code)]

use super::libio::File;
use crate::{cancel, fds, watching};
use hostcall::cancellation;
use libc::{c_int, c_void, off64_t, ssize_t};
use std::ffi::CStr;
use std::mem::{size_of, transmute};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

type Read = unsafe extern "C" fn(*mut File, *mut c_void, ssize_t) -> ssize_t;
type Write = unsafe extern "C" fn(*mut File, *const c_void, ssize_t) -> ssize_t;
type Seek = unsafe extern "C" fn(*mut File, off64_t, c_int) -> off64_t;
type Close = unsafe extern "C" fn(*mut File) -> c_int;
type Stat = unsafe extern "C" fn(*mut File, *mut c_void) -> c_int;

/// One replaced entry of `struct _IO_jump_t`.
struct Slot {
    /// Position in the table, in words; fixed since glibc 2.1.
    index: usize,
    /// The exported function that an untouched entry holds.
    name: &'static CStr,
    /// Address of that function, kept for guest files.
    original: AtomicUsize,
}

const fn slot(index: usize, name: &'static CStr) -> Slot {
    Slot {
        index,
        name,
        original: AtomicUsize::new(0),
    }
}

static READ: Slot = slot(14, c"_IO_file_read");
static WRITE: Slot = slot(15, c"_IO_file_write");
static SEEK: Slot = slot(16, c"_IO_file_seek");
static CLOSE: Slot = slot(17, c"_IO_file_close");
static STAT: Slot = slot(18, c"_IO_file_stat");

/// Narrow and wide tables of ordinary file streams.
const TABLES: [&CStr; 2] = [c"_IO_file_jumps", c"_IO_wfile_jumps"];

/// Bytes that all tables take at most, those that are not replaced included.
const SECTION: usize = 16 << 10;

static COVERED: AtomicBool = AtomicBool::new(false);

/// Whether streams of this libc work on host files.
pub fn covered() -> bool {
    COVERED.load(Ordering::Acquire)
}

/// To be called before `main` and before any thread, so that no stream operation sees a half-replaced table and no second
/// thread sees the page writable.
pub fn install() {
    COVERED.store(replace().is_some(), Ordering::Release);
}

fn replace() -> Option<()> {
    let replacements: [(&Slot, usize); 5] = [
        (&READ, read as Read as usize),
        (&WRITE, write as Write as usize),
        (&SEEK, seek as Seek as usize),
        (&CLOSE, close as Close as usize),
        (&STAT, stat as Stat as usize),
    ];
    let mut tables = [std::ptr::null::<AtomicUsize>(); TABLES.len()];
    for (table, name) in tables.iter_mut().zip(TABLES) {
        *table = symbol(name)? as *const AtomicUsize;
    }
    // Nothing is written before every entry of both tables was found to hold the function whose name it should:
    // another layout of the table, another libc or an earlier patch of somebody else leaves all as it was.
    for (slot, _) in &replacements {
        let original = symbol(slot.name)?;
        for table in tables {
            // SAFETY: a jump table has 21 words; the index is at most 18. glibc never writes them after relocation.
            if unsafe { (*table.add(slot.index)).load(Ordering::Relaxed) } != original {
                return None;
            }
        }
        slot.original.store(original, Ordering::Relaxed);
    }
    if !layout_is_known(tables[0]) {
        return None;
    }
    writable(tables, || {
        for table in tables {
            for (slot, replacement) in &replacements {
                // SAFETY: as above, and the page is writable here.
                unsafe { (*table.add(slot.index)).store(*replacement, Ordering::Release) };
            }
        }
    })
}

/// Whether a stream has its descriptor and its table where [`File`] has them, seen in libc's own standard error.
fn layout_is_known(table: *const AtomicUsize) -> bool {
    let Some(stream) = symbol(c"_IO_2_1_stderr_") else {
        return false;
    };
    let stream = stream as *const File;
    // SAFETY: the object has the size of a stream and no thread writes it yet.
    unsafe { (*stream).fileno == 2 && (*stream).table == table.cast() }
}

/// Runs `work` while the pages of the tables are writable. They are read-only otherwise (`PT_GNU_RELRO`), and stay so:
/// a writable jump table is what attacks on streams look for. glibc keeps all tables together, in a section of some
/// kilobytes.
fn writable(tables: [*const AtomicUsize; TABLES.len()], work: impl FnOnce()) -> Option<()> {
    // SAFETY: getauxval(3) has no preconditions. Cheaper at each start of a program than sysconf(3).
    let page = unsafe { libc::getauxval(libc::AT_PAGESZ) } as usize;
    let places = tables.map(<*const AtomicUsize>::addr);
    let first = places.into_iter().min()?;
    let last = places.into_iter().max()?;
    if !page.is_power_of_two() || last - first > SECTION {
        return None;
    }
    let start = first & !(page - 1);
    let end = (last + (STAT.index + 1) * size_of::<usize>()).next_multiple_of(page);
    let protect = |protection| {
        // SAFETY: the range covers the pages of libc's tables alone and only widens or restores their protection.
        unsafe { libc::mprotect(start as *mut c_void, end - start, protection) == 0 }
    };
    if !protect(libc::PROT_READ | libc::PROT_WRITE) {
        return None;
    }
    work();
    protect(libc::PROT_READ).then_some(())
}

/// The address of a symbol of libc. `RTLD_NEXT` passes by copies that an old executable may hold of the tables.
fn symbol(name: &CStr) -> Option<usize> {
    // SAFETY: the name is a C string; the answer is only used as an address.
    let found = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) };
    (!found.is_null()).then_some(found as usize)
}

/// The descriptor of a stream if it is a host file.
///
/// # Safety
/// `stream` is a live stream.
unsafe fn host(stream: *mut File) -> Option<c_int> {
    // SAFETY: by contract; glibc holds the stream's lock while it calls a slot.
    let fd = unsafe { (*stream).fileno };
    fds::host(fd).map(|_| fd)
}

/// A transfer of a host file's stream; no cancellation point where the stream is none: by `c` in its mode, or while libc
/// itself has something to say on standard error (getopt(3)).
///
/// # Safety
/// `stream` is a live stream.
unsafe fn transfer(stream: *mut File, call: impl FnOnce() -> ssize_t) -> ssize_t {
    // SAFETY: by contract; glibc holds the stream's lock while it calls a slot.
    if unsafe { (*stream).flags2 } & File::NOT_CANCEL == 0 {
        return call();
    }
    cancel::around(false, || cancellation::passed(call))
}

/// # Safety
/// As `_IO_file_read` of glibc: `buffer` has room for `size` bytes.
unsafe extern "C" fn read(stream: *mut File, buffer: *mut c_void, size: ssize_t) -> ssize_t {
    // SAFETY: glibc calls with a live stream and a fitting buffer; the original has this type.
    unsafe {
        match host(stream) {
            Some(fd) => transfer(stream, || libc::read(fd, buffer, size as usize)),
            None if watching::is((*stream).fileno) => {
                libc::read((*stream).fileno, buffer, size as usize)
            }
            None => transmute::<usize, Read>(READ.original.load(Ordering::Relaxed))(
                stream, buffer, size,
            ),
        }
    }
}

/// # Safety
/// As `_IO_file_write` of glibc: `data` has `size` bytes.
unsafe extern "C" fn write(stream: *mut File, data: *const c_void, size: ssize_t) -> ssize_t {
    // SAFETY: glibc calls with a live stream and readable data; the original has this type.
    unsafe {
        let Some(fd) = host(stream) else {
            let original = transmute::<usize, Write>(WRITE.original.load(Ordering::Relaxed));
            return original(stream, data, size);
        };
        let mut done = 0;
        while done < size {
            let (rest, left) = (data.byte_offset(done), (size - done) as usize);
            let written = transfer(stream, || libc::write(fd, rest, left));
            if written < 0 {
                (*stream).flags |= File::ERROR;
                break;
            }
            done += written;
        }
        // The cached position, which ftell trusts; negative means unknown.
        if (*stream).offset >= 0 {
            (*stream).offset += done as off64_t;
        }
        done
    }
}

/// # Safety
/// As `_IO_file_seek` of glibc.
unsafe extern "C" fn seek(stream: *mut File, offset: off64_t, whence: c_int) -> off64_t {
    // SAFETY: glibc calls with a live stream; the original has this type.
    unsafe {
        match host(stream) {
            Some(fd) => libc::lseek64(fd, offset, whence),
            None => transmute::<usize, Seek>(SEEK.original.load(Ordering::Relaxed))(
                stream, offset, whence,
            ),
        }
    }
}

/// # Safety
/// As `_IO_file_close` of glibc.
unsafe extern "C" fn close(stream: *mut File) -> c_int {
    // SAFETY: glibc calls with a live stream; the original has this type.
    unsafe {
        match host(stream) {
            Some(fd) => super::open::close(fd),
            None => {
                fds::note_local_close((*stream).fileno);
                transmute::<usize, Close>(CLOSE.original.load(Ordering::Relaxed))(stream)
            }
        }
    }
}

/// # Safety
/// As `_IO_file_stat` of glibc: `metadata` points to a `struct stat64`.
unsafe extern "C" fn stat(stream: *mut File, metadata: *mut c_void) -> c_int {
    // SAFETY: glibc calls with a live stream and a fitting buffer; the original has this type.
    unsafe {
        match host(stream) {
            Some(fd) => libc::fstat64(fd, metadata.cast()),
            None => {
                transmute::<usize, Stat>(STAT.original.load(Ordering::Relaxed))(stream, metadata)
            }
        }
    }
}
