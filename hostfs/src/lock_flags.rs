//! Whether a lock request means a whole-file lock: what the kernel says and `fuser` does not pass on.
#![allow(unsafe_code)]

use fuser::Request;

/// `struct fuse_in_header` of linux/fuse.h, with which every request begins.
#[repr(C)]
struct Header {
    len: u32,
    opcode: u32,
    unique: u64,
    nodeid: u64,
    uid: u32,
    gid: u32,
    pid: u32,
    extensions: u16,
    padding: u16,
}

/// `struct fuse_lk_in`, which follows the header of a lock request.
#[repr(C)]
struct LockIn {
    handle: u64,
    owner: u64,
    start: u64,
    end: u64,
    kind: u32,
    pid: u32,
    flags: u32,
    padding: u32,
}

const GETLK: u32 = 31;
const SETLKW: u32 = 33;
/// `FUSE_LK_FLOCK`.
const FLOCK: u32 = 1;

// The request is nothing but its header, in the release of `fuser` that the manifest names.
const _: () = assert!(size_of::<Request>() == size_of::<Header>());
const _: () = assert!(align_of::<Request>() == align_of::<Header>());

/// Whether this is a request of flock(2). False for what is not a lock request.
pub(crate) fn is_flock(request: &Request) -> bool {
    let start = std::ptr::from_ref(request);
    // SAFETY: `Request` is transparent over `fuse_in_header`, whose size and alignment are those of `Header` (asserted
    // above), and every bit pattern of integers is a value.
    let header = unsafe { &*start.cast::<Header>() };
    let agrees = header.unique == request.unique().0
        && (header.uid, header.gid, header.pid) == (request.uid(), request.gid(), request.pid());
    let whole = size_of::<Header>() + size_of::<LockIn>();
    let lock = (GETLK..=SETLKW).contains(&header.opcode) && header.len as usize >= whole;
    if !agrees || !lock {
        return false;
    }
    // SAFETY: `fuser` lends the header where it lies at the start of the buffer into which the kernel wrote the whole
    // request of `header.len` bytes, and keeps that buffer while the callback runs. So `LockIn` follows, aligned to 8 as
    // the header is. The checks before are against a release of `fuser` that would lay it out otherwise.
    let flags = unsafe { (*start.cast::<u8>().add(size_of::<Header>()).cast::<LockIn>()).flags };
    flags & FLOCK != 0
}
