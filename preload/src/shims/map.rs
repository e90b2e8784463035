//! mmap(2) of host files, by copy.
//!
//! The guest's kernel cannot map a host file, so a private mapping is anonymous memory filled by host reads. Two
//! things differ from a mapping of the file: it shows the file as it was at the call, and whole pages beyond the
//! file's end read as zeros, where the kernel would send SIGBUS. A shared mapping that is only read is a copy as well
//! and does not see later changes. A shared mapping that may write cannot be had by copy: it is refused with ENODEV,
//! as by a file system that cannot map, and programs fall back to read and write.
#![allow(unsafe_code)]

use crate::fds;
use crate::real::{errno, hooks, set_errno, try_sys};
use hostcall::types::Errno;
use libc::{c_int, c_void, off64_t};
use std::mem::MaybeUninit;
use std::ptr::null_mut;
use syscalls::Sysno;

hooks! {
    /// Maps a file, mmap(2); large files are the only ones on a 64-bit machine.
    fn mmap | mmap64(
        address: *mut c_void,
        len: usize,
        protection: c_int,
        flags: c_int,
        fd: c_int,
        offset: off64_t,
    ) -> *mut c_void {
        if flags & libc::MAP_ANONYMOUS != 0 || fds::host(fd).is_none() {
            return kernel(address, len, protection, flags, fd, offset).unwrap_or_else(failed);
        }
        copy(address, len, protection, flags, fd, offset).unwrap_or_else(failed)
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
    // What the copy cannot have: huge pages and synchronous mappings belong to the file system.
    let placing = flags
        & (libc::MAP_FIXED
            | libc::MAP_FIXED_NOREPLACE
            | libc::MAP_32BIT
            | libc::MAP_NORESERVE
            | libc::MAP_LOCKED
            | libc::MAP_STACK);
    let private = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let fixed = flags & (libc::MAP_FIXED | libc::MAP_FIXED_NOREPLACE) != 0;
    if fixed && address as usize % page != 0 {
        return Err(Errno(libc::EINVAL));
    }
    // The copy is made elsewhere and moved into its place when it is whole: with MAP_FIXED, a failed read must leave
    // what was there, and no other thread may see a half-filled mapping.
    // SAFETY: a new mapping at an address that the kernel chooses.
    let start = unsafe {
        let (address, flags) = match fixed {
            true => (null_mut(), private),
            false => (address, private | placing),
        };
        kernel(
            address,
            len,
            libc::PROT_READ | libc::PROT_WRITE,
            flags,
            -1,
            0,
        )?
    };
    let behind = (metadata.st_size - offset).max(0) as usize;
    // The last page holds what the file has beyond `len`, as a mapping of the file does.
    let wanted = len.next_multiple_of(page).min(behind);
    // SAFETY: the fresh mapping is `len` bytes long, rounded up to whole pages, and nobody else's yet.
    unsafe {
        let done = fill(start.cast(), wanted, fd, offset)
            .and_then(|()| match protection {
                p if p == libc::PROT_READ | libc::PROT_WRITE => Ok(()),
                p if libc::mprotect(start, len, p) < 0 => Err(errno()),
                _ => Ok(()),
            })
            .and_then(|()| {
                if fixed {
                    place(start, len, address, flags)
                } else {
                    Ok(start)
                }
            });
        if done.is_err() {
            libc::munmap(start, len);
        }
        done
    }
}

/// Moves a finished copy to a fixed address.
///
/// # Safety
/// `start` is a private mapping of `len` bytes; with `MAP_FIXED` the caller gives up what lies at `address`.
unsafe fn place(
    start: *mut c_void,
    len: usize,
    address: *mut c_void,
    flags: c_int,
) -> Result<*mut c_void, Errno> {
    // SAFETY: as the contract says; a reservation that must not replace anything is made first.
    unsafe {
        if flags & libc::MAP_FIXED_NOREPLACE != 0 {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
            kernel(address, len, libc::PROT_NONE, flags, -1, 0)?;
        }
        let moved = libc::mremap(
            start,
            len,
            len,
            libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED,
            address,
        );
        if moved == libc::MAP_FAILED {
            return Err(errno());
        }
        Ok(moved)
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
    if offset as usize % page != 0 || len == 0 {
        return Err(Errno(libc::EINVAL));
    }
    let end = len
        .checked_next_multiple_of(page)
        .ok_or(Errno(libc::ENOMEM))?
        .checked_add(offset as usize);
    if offset < 0 || end.is_none_or(|end| end > i64::MAX as usize) {
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
