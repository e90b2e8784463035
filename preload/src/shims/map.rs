//! mmap(2) of host files: shared on the mount, private by copy.
//!
//! A file that is mapped for sharing becomes a file of the mount for good, so that map and calls agree and all who map it
//! share one memory. A private mapping is anonymous memory filled by host reads, which needs no mount. Two things differ
//! there from a mapping of the file: it shows the file as it was at the call, and whole pages beyond the file's end read
//! as zeros, where the kernel would send SIGBUS.
//!
//! Without a mount, a shared mapping that is only read is a copy as well and does not see later changes, and one that may
//! write is refused with ENODEV, as by a file system that cannot map; programs fall back to read and write. Where there is a mount that
//! cannot have the file just then, the mapping fails for that reason.
#![allow(unsafe_code)]

use crate::observe::summary;
use crate::real::{errno, set_errno, shims, try_sys};
use crate::{fds, materialise};
use hostcall::types::Errno;
use libc::{c_int, c_void, off64_t};
use std::mem::MaybeUninit;
use std::ptr::null_mut;
use syscalls::Sysno;

/// `MAP_32BIT`, where there is such a thing.
const LOW: c_int = if cfg!(target_arch = "x86_64") {
    0x40
} else {
    0
};

shims! {
    /// Maps a file, mmap(2); large files are the only ones on a 64-bit machine.
    fn mmap(
        address: *mut c_void,
        len: usize,
        protection: c_int,
        flags: c_int,
        fd: c_int,
        offset: off64_t,
    ) -> *mut c_void {
        let own = flags & libc::MAP_ANONYMOUS != 0 || fds::host(fd).is_none();
        let shared = if own { Ok(true) } else { share(fd, flags) };
        if shared == Ok(true) {
            let mapped = kernel(address, len, protection, flags, fd, offset);
            // A mount without a cache cannot map for sharing before Linux 6.6.
            if own || mapped != Err(Errno(libc::ENODEV)) {
                return mapped.unwrap_or_else(failed);
            }
        }
        let copied = copy(address, len, protection, flags, fd, offset);
        copied.unwrap_or_else(|error| match shared {
            // Not a want of ability but what has kept the mount from it.
            Err(cause) if error == Errno(libc::ENODEV) && materialise::has_mount() => failed(cause),
            _ => failed(error),
        })
    }
}

/// Makes a regular host file that is to be mapped for sharing one of the mount; false if it is to stay the host's.
///
/// # Errors
/// There is no mount, or why it cannot have the file.
fn share(fd: c_int, flags: c_int) -> Result<bool, Errno> {
    let shared = matches!(
        flags & libc::MAP_TYPE,
        libc::MAP_SHARED | libc::MAP_SHARED_VALIDATE
    );
    match shared && is_regular(fd) {
        true => materialise::to_map(fd).map(|()| true),
        false => Ok(false),
    }
}

fn is_regular(fd: c_int) -> bool {
    let mut metadata = MaybeUninit::<libc::stat64>::zeroed();
    // SAFETY: the buffer has the right type and is valid even if it stays zero.
    unsafe {
        libc::fstat64(fd, metadata.as_mut_ptr()) == 0
            && metadata.assume_init().st_mode & libc::S_IFMT == libc::S_IFREG
    }
}

fn failed(error: Errno) -> *mut c_void {
    set_errno(error);
    libc::MAP_FAILED
}

/// The system call itself: allocators map memory before libc's own function could be looked up.
///
/// # Safety
/// As mmap(2).
unsafe fn kernel(
    address: *mut c_void,
    len: usize,
    protection: c_int,
    flags: c_int,
    fd: c_int,
    offset: off64_t,
) -> Result<*mut c_void, Errno> {
    // SAFETY: the caller's contract.
    unsafe {
        try_sys!(Sysno::mmap, address, len, protection, flags, fd, offset)
            .map(|start| start as *mut c_void)
    }
}

/// # Safety
/// As mmap(2), for a host file.
unsafe fn copy(
    address: *mut c_void,
    len: usize,
    protection: c_int,
    flags: c_int,
    fd: c_int,
    offset: off64_t,
) -> Result<*mut c_void, Errno> {
    // SAFETY: sysconf(3) and fcntl(2) take no pointers here.
    let (page, access) = unsafe {
        (
            libc::sysconf(libc::_SC_PAGESIZE) as usize,
            libc::fcntl(fd, libc::F_GETFL),
        )
    };
    let kind = permitted(len, protection, flags, access, offset, page)?;
    let mut metadata = MaybeUninit::<libc::stat64>::zeroed();
    // SAFETY: the buffer has the right type and is valid even if it stays zero.
    let (asked, metadata) = unsafe {
        (
            libc::fstat64(fd, metadata.as_mut_ptr()),
            metadata.assume_init(),
        )
    };
    if asked < 0 {
        return Err(errno());
    }
    if metadata.st_mode & libc::S_IFMT != libc::S_IFREG
        || kind == libc::MAP_SHARED && protection & libc::PROT_WRITE != 0
    {
        return Err(Errno(libc::ENODEV));
    }
    // The flags that say where and how memory lies; the others belong to the file system.
    let placing = flags
        & (libc::MAP_FIXED_NOREPLACE
            | LOW
            | libc::MAP_NORESERVE
            | libc::MAP_LOCKED
            | libc::MAP_STACK);
    let fixed = flags & libc::MAP_FIXED != 0;
    if fixed && address as usize & (page - 1) != 0 {
        return Err(Errno(libc::EINVAL));
    }
    // SAFETY: a new mapping that replaces nothing: with MAP_FIXED the copy is made elsewhere and moved into its place
    // when it is whole, for a failed read must leave what was there.
    let start = unsafe {
        match fixed {
            true => apart(len, address, 3)?,
            false => anonymous(address, len, placing)?,
        }
    };
    let behind = (metadata.st_size - offset).max(0) as usize;
    // The last page holds what the file has beyond `len`, as a mapping of the file does.
    let wanted = len.next_multiple_of(page).min(behind);
    summary::copied(wanted);
    // SAFETY: the fresh mapping is `len` bytes long, rounded up to whole pages, and nobody else's yet.
    unsafe {
        if wanted > page {
            populate(start, wanted);
        }
        let done = fill(start.cast(), wanted, fd, offset)
            .and_then(|()| match protection {
                p if p == libc::PROT_READ | libc::PROT_WRITE => Ok(()),
                p if libc::mprotect(start, len, p) < 0 => Err(errno()),
                _ => Ok(()),
            })
            .and_then(|()| match fixed {
                true => {
                    let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
                    match libc::mremap(start, len, len, flags, address) {
                        libc::MAP_FAILED => Err(errno()),
                        moved => Ok(moved),
                    }
                }
                false => Ok(start),
            });
        if done.is_err() {
            libc::munmap(start, len);
        }
        done
    }
}

/// Zeroed memory for a copy.
///
/// # Safety
/// As mmap(2); `flags` without `MAP_FIXED`.
unsafe fn anonymous(address: *mut c_void, len: usize, flags: c_int) -> Result<*mut c_void, Errno> {
    let flags = flags | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: nothing is replaced.
    unsafe {
        kernel(
            address,
            len,
            libc::PROT_READ | libc::PROT_WRITE,
            flags,
            -1,
            0,
        )
    }
}

/// Memory that does not overlap `len` bytes at `address`, from which mremap(2) could not move. The kernel may choose
/// a hole there; then the next choice lies below, and the third cannot overlap any more.
///
/// # Safety
/// As mmap(2).
unsafe fn apart(len: usize, address: *mut c_void, tries: u32) -> Result<*mut c_void, Errno> {
    // SAFETY: new mappings that replace nothing; the one that overlaps is nobody else's.
    unsafe {
        let start = anonymous(null_mut(), len, 0)?;
        if (start as usize).abs_diff(address as usize) >= len || tries == 0 {
            return Ok(start);
        }
        let other = apart(len, address, tries - 1);
        libc::munmap(start, len);
        other
    }
}

/// Has the kernel make all pages of fresh memory at once, where it can (Linux 5.14): a fault for each takes 46 µs in user-mode
/// Linux. That enters them into its own tables only; the tables of its host, from which the program faults, follow with a
/// change of protection.
///
/// # Safety
/// `len` bytes at `start` are readable, writable and no one else's.
unsafe fn populate(start: *mut c_void, len: usize) {
    // SAFETY: inside the range of the contract, and as readable and writable after as before.
    unsafe {
        if libc::madvise(start, len, libc::MADV_POPULATE_WRITE) == 0 {
            libc::mprotect(start, len, libc::PROT_READ);
            libc::mprotect(start, len, libc::PROT_READ | libc::PROT_WRITE);
        }
    }
}

/// # Safety
/// `len` bytes at `start` are writable and no one else's.
unsafe fn fill(start: *mut u8, len: usize, fd: c_int, offset: off64_t) -> Result<(), Errno> {
    let mut done = 0;
    while done < len {
        // SAFETY: inside the range of the contract.
        let got =
            unsafe { libc::pread64(fd, start.add(done).cast(), len - done, offset + done as i64) };
        match got {
            0 => break, // The file has become shorter: zeros.
            got if got > 0 => done += got as usize,
            _ if errno() == Errno(libc::EINTR) => {}
            _ => return Err(errno()),
        }
    }
    Ok(())
}

/// What mmap(2) checks before it looks at the file: `MAP_SHARED` or `MAP_PRIVATE`, or the errno.
fn permitted(
    len: usize,
    protection: c_int,
    flags: c_int,
    access: c_int,
    offset: off64_t,
    page: usize,
) -> Result<c_int, Errno> {
    if offset as usize & (page - 1) != 0 || len == 0 {
        return Err(Errno(libc::EINVAL));
    }
    // Longer than any address space: the kernel looks for room first.
    let rounded = len
        .checked_next_multiple_of(page)
        .and_then(|rounded| i64::try_from(rounded).ok())
        .ok_or(Errno(libc::ENOMEM))?;
    if offset < 0 || offset.checked_add(rounded).is_none() {
        return Err(Errno(libc::EOVERFLOW));
    }
    // An O_PATH descriptor, or one the host has lost.
    if access < 0 || access & libc::O_PATH != 0 {
        return Err(Errno(libc::EBADF));
    }
    let kind = match flags & libc::MAP_TYPE {
        libc::MAP_PRIVATE => libc::MAP_PRIVATE,
        libc::MAP_SHARED => libc::MAP_SHARED,
        libc::MAP_SHARED_VALIDATE if flags & libc::MAP_SYNC != 0 => {
            return Err(Errno(libc::EOPNOTSUPP))
        }
        libc::MAP_SHARED_VALIDATE => libc::MAP_SHARED,
        _ => return Err(Errno(libc::EINVAL)),
    };
    let mode = access & libc::O_ACCMODE;
    let writes = kind == libc::MAP_SHARED && protection & libc::PROT_WRITE != 0;
    if mode == libc::O_WRONLY || writes && mode != libc::O_RDWR {
        return Err(Errno(libc::EACCES));
    }
    Ok(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: usize = 4096;

    fn check(
        len: usize,
        protection: c_int,
        flags: c_int,
        access: c_int,
        offset: i64,
    ) -> Result<c_int, Errno> {
        permitted(len, protection, flags, access, offset, PAGE)
    }

    #[test]
    fn refusals_are_those_of_mmap() {
        let (r, w) = (libc::PROT_READ, libc::PROT_WRITE);
        let (private, shared) = (libc::MAP_PRIVATE, libc::MAP_SHARED);
        assert_eq!(check(1, r, private, libc::O_RDONLY, 0), Ok(private));
        assert_eq!(check(1, r | w, private, libc::O_RDONLY, 0), Ok(private));
        assert_eq!(
            check(0, r, private, libc::O_RDONLY, 0),
            Err(Errno(libc::EINVAL))
        );
        assert_eq!(
            check(1, r, private, libc::O_RDONLY, 1),
            Err(Errno(libc::EINVAL))
        );
        assert_eq!(check(1, r, 0, libc::O_RDONLY, 0), Err(Errno(libc::EINVAL)));
        assert_eq!(
            check(1, r, private, libc::O_WRONLY, 0),
            Err(Errno(libc::EACCES))
        );
        assert_eq!(
            check(1, r | w, shared, libc::O_RDONLY, 0),
            Err(Errno(libc::EACCES))
        );
        assert_eq!(
            check(1, r, private, libc::O_PATH, 0),
            Err(Errno(libc::EBADF))
        );
        let last = i64::MAX & !(PAGE as i64 - 1);
        assert_eq!(
            check(PAGE, r, private, libc::O_RDONLY, last),
            Err(Errno(libc::EOVERFLOW))
        );
    }
}
