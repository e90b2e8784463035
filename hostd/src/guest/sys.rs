//! The system calls that making a guest needs and no crate wraps safely.
#![allow(unsafe_code)]

use super::frame::WinSize;
use nix::sys::socket::{socket, AddressFamily, SockFlag, SockType};
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Which side of [`clone_into`] this is.
#[derive(Debug)]
pub enum Side {
    /// The process that called, with its child's pid.
    Parent(nix::unistd::Pid),
    /// The new process.
    Child,
}

/// Forks this process into new namespaces (clone(2) with `flags`, `CLONE_NEW*` only).
///
/// # Errors
/// clone(2); `Other` when the process has more than one thread.
pub fn clone_into(flags: libc::c_int) -> io::Result<Side> {
    // The child may go on to allocate and lock, which is only sound when no other thread could have
    // held a lock at the moment of the fork.
    if std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count) != 1 {
        return Err(io::Error::other(
            "the process that makes a guest must have one thread",
        ));
    }
    let flags = flags | libc::SIGCHLD;
    // SAFETY: without CLONE_VM and with a null stack this is fork(2) in new namespaces, and the check
    // above made sure that no other thread's state is copied half way.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) };
    match pid {
        0 => Ok(Side::Child),
        pid if pid > 0 => Ok(Side::Parent(nix::unistd::Pid::from_raw(pid as i32))),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Takes over a descriptor that was inherited over exec by its number.
///
/// # Errors
/// `EBADF` when it is not open.
pub fn inherited(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_SETFD touches no memory.
    check(unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) })?;
    // SAFETY: the number is open, as the call above proved, and the plan names it exactly once.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Closes every descriptor from 3 on that is not in `keep`.
pub fn close_all_but(keep: &[RawFd]) {
    let mut keep: Vec<u32> = keep
        .iter()
        .filter_map(|fd| u32::try_from(*fd).ok())
        .filter(|fd| *fd > 2)
        .collect();
    keep.sort_unstable();
    let mut first = 3;
    for kept in keep.into_iter().chain([u32::MAX]) {
        if kept > first {
            // SAFETY: called first thing after exec, when this process owns no descriptor object yet.
            unsafe { libc::syscall(libc::SYS_close_range, first, kept - 1, 0) };
        }
        first = kept.saturating_add(1);
    }
}

/// Lets `fd` live on over exec, in a child between fork and exec.
///
/// # Errors
/// fcntl(2).
pub fn keep_over_exec(fd: RawFd) -> io::Result<()> {
    // SAFETY: F_SETFD touches no memory.
    check(unsafe { libc::fcntl(fd, libc::F_SETFD, 0) })
}

/// Makes a mount and all below it read-only, whatever their other flags are (mount_setattr(2)).
///
/// # Errors
/// mount_setattr(2), Linux 5.12.
pub fn mount_read_only(path: &std::path::Path) -> io::Result<()> {
    use std::os::unix::ffi::OsStrExt;
    let path = CString::new(path.as_os_str().as_bytes())?;
    let attr = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_RDONLY,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    // SAFETY: both pointers are valid for the call, and the size is that of the structure.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            libc::AT_RECURSIVE,
            &raw const attr,
            size_of::<libc::mount_attr>(),
        )
    };
    check(result as libc::c_int)
}

/// Gives up every capability for good: bounding set, ambient set, and the three of this process.
///
/// # Errors
/// prctl(2), capset(2).
pub fn drop_capabilities() -> io::Result<()> {
    for capability in 0..64 {
        // SAFETY: prctl with integers only.
        let result = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
        if result < 0 {
            // The first number that this kernel does not know.
            break;
        }
    }
    // SAFETY: prctl with integers only.
    check(unsafe {
        libc::prctl(
            libc::PR_CAP_AMBIENT,
            libc::PR_CAP_AMBIENT_CLEAR_ALL,
            0,
            0,
            0,
        )
    })?;
    // _LINUX_CAPABILITY_VERSION_3, this process; two empty sets of effective, permitted, inheritable.
    let header = [0x2008_0522_u32, 0];
    let data = [0u32; 6];
    // SAFETY: header and data have the layout and size that version 3 of capset(2) reads.
    check(unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), data.as_ptr()) } as libc::c_int)
}

/// Size of the terminal `fd`, or `None` when it has none.
pub fn window_size(fd: BorrowedFd<'_>) -> Option<WinSize> {
    let mut size = libc::winsize {
        ws_row: 0,
        ws_col: 0,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: TIOCGWINSZ writes one winsize.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) };
    (result == 0).then_some(WinSize {
        rows: size.ws_row,
        cols: size.ws_col,
        xpixel: size.ws_xpixel,
        ypixel: size.ws_ypixel,
    })
}

/// Sets the size of the terminal `fd` (its foreground group gets SIGWINCH).
pub fn set_window_size(fd: BorrowedFd<'_>, size: WinSize) {
    let size = libc::winsize {
        ws_row: size.rows,
        ws_col: size.cols,
        ws_xpixel: size.xpixel,
        ws_ypixel: size.ypixel,
    };
    // SAFETY: TIOCSWINSZ reads one winsize.
    unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
}

/// Makes `fd` the controlling terminal of this session leader.
///
/// # Errors
/// ioctl_tty(2), `TIOCSCTTY`.
pub fn take_terminal(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: TIOCSCTTY takes an integer.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCSCTTY, 0) })
}

/// Puts `fd` at descriptor `number`, open over exec; used for 0, 1 and 2.
///
/// # Errors
/// dup2(2).
pub fn place(fd: BorrowedFd<'_>, number: RawFd) -> io::Result<()> {
    if fd.as_raw_fd() == number {
        return keep_over_exec(number);
    }
    // SAFETY: replaces a standard descriptor, which no object of this process owns.
    check(unsafe { libc::dup2(fd.as_raw_fd(), number) })
}

/// Sets every signal to its default and blocks none, as a fresh program expects.
pub fn default_signals() {
    for number in 1..=64 {
        // SAFETY: SIG_DFL installs no handler; numbers that cannot be set are refused.
        unsafe { libc::signal(number, libc::SIG_DFL) };
    }
    let _ = nix::sys::signal::SigSet::empty().thread_set_mask();
}

/// Brings the loopback interface of this network namespace up.
///
/// # Errors
/// netdevice(7).
pub fn raise_loopback() -> io::Result<()> {
    let socket = socket(
        AddressFamily::Inet,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    // SAFETY: an all-zero ifreq is a valid value of this plain structure.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads one ifreq.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) })
}

/// Powers this machine off; only the guest's own kernel grants it.
pub fn power_off() {
    // SAFETY: no memory is involved.
    unsafe { libc::reboot(libc::RB_POWER_OFF) };
}
