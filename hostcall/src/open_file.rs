//! Open files, as open(2) makes them, behind descriptors.
#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, BorrowedFd};

/// Whether two descriptors are one open file, as `2>&1` makes them. Where the kernel does not tell, they are if they are the
/// same file.
pub fn are_one(a: BorrowedFd<'_>, b: BorrowedFd<'_>) -> bool {
    let (Some(one), Some(other)) = (identity(a), identity(b)) else {
        return false;
    };
    if one != other {
        return false;
    }
    // KCMP_FILE, kcmp(2).
    const FILE: libc::c_int = 0;
    let own = std::process::id() as libc::pid_t;
    let [a, b] = [a, b].map(|fd| fd.as_raw_fd() as libc::c_ulong);
    // SAFETY: plain system call.
    match unsafe { libc::syscall(libc::SYS_kcmp, own, own, FILE, a, b) } {
        -1 => true,
        order => order == 0,
    }
}

/// Device and inode.
fn identity(file: BorrowedFd<'_>) -> Option<(libc::dev_t, libc::ino_t)> {
    // SAFETY: a structure that is valid when zeroed, and a live descriptor.
    unsafe {
        let mut stats: libc::stat = std::mem::zeroed();
        (libc::fstat(file.as_raw_fd(), &mut stats) == 0).then_some((stats.st_dev, stats.st_ino))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::are_one;
    use std::fs::File;
    use std::os::fd::AsFd;

    #[test]
    fn one_file_that_is_opened_twice_is_two_open_files() {
        let open = || File::open("/proc/self/exe").unwrap();
        let (first, second) = (open(), open());
        let duplicate = first.try_clone().unwrap();
        assert!(are_one(first.as_fd(), duplicate.as_fd()));
        assert!(!are_one(first.as_fd(), second.as_fd()));
        let other = File::open("/dev/null").unwrap();
        assert!(!are_one(first.as_fd(), other.as_fd()));
    }
}
