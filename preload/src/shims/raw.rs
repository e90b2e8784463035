//! syscall(2): programs that enter the kernel by number reach the same functions as by name.
//!
//! What concerns no file goes to the kernel as libc's own function does it: no frame of ours stands on the stack, for a
//! clone(2) onto another stack returns twice. What has a form of its own (the 32-bit calls) is left to the kernel too, which sees
//! the mount.
#![allow(unsafe_code)]

use crate::real::{finish, set_errno, try_sys};
use crate::symbols::Row;
use crate::{fds, fork, materialise, observe};
use hostcall::access::copy;
use hostcall::attach::out_of_the_way;
use hostcall::cancellation;
use hostcall::types::Errno;
use libc::{c_int, c_long};
use syscalls::Sysno;

/// The calls that [`call`] knows, each with the function of libc that does the same.
macro_rules! table {
    ($( $(#[$attribute:meta])* $number:ident => $name:path, $count:tt; )*) => {
        /// Whether calls of a number concern files, but for such as make processes.
        fn is_of_files(number: c_long) -> bool {
            match number {
                libc::SYS_getcwd => true,
                $( $(#[$attribute])* libc::$number => true, )*
                _ => false,
            }
        }

        /// Does a call that [concerns files](concerns_files), and answers as syscall(2) does.
        ///
        /// # Safety
        /// The arguments are those of the system call.
        pub unsafe extern "C" fn call(
            number: c_long,
            a: usize,
            b: usize,
            c: usize,
            d: usize,
            e: usize,
            f: usize,
        ) -> c_long {
            let all = [a, b, c, d, e, f];
            // SAFETY: the caller's promise; each function takes as many words as its line says.
            let made = || unsafe {
                match number {
                    libc::SYS_getcwd => working_directory(a, b),
                    $( $(#[$attribute])* libc::$number => table!(@call $name, $count, all), )*
                    // The only ones besides.
                    _ => fork::by_number(number, [a, b, c, d, e]).into(),
                }
            };
            // No cancellation point, whatever is called.
            let call = || cancellation::passed(made);
            match observe::armed() {
                true => observe::around(Row::syscall, call, call),
                false => call(),
            }
        }
    };
    (@call $name:path, 1, $all:ident) => { $name($all[0] as _) as c_long };
    (@call $name:path, 2, $all:ident) => { $name($all[0] as _, $all[1] as _) as c_long };
    (@call $name:path, 3, $all:ident) => { $name($all[0] as _, $all[1] as _, $all[2] as _) as c_long };
    (@call $name:path, 4, $all:ident) => { $name($all[0] as _, $all[1] as _, $all[2] as _, $all[3] as _) as c_long };
    (@call $name:path, 5, $all:ident) => { $name($all[0] as _, $all[1] as _, $all[2] as _, $all[3] as _, $all[4] as _) as c_long };
    (@call $name:path, 6, $all:ident) => {
        $name($all[0] as _, $all[1] as _, $all[2] as _, $all[3] as _, $all[4] as _, $all[5] as _) as c_long
    };
}

table! {
    SYS_openat => super::open::openat, 4;
    SYS_openat2 => open_as_told, 4;
    SYS_close => libc::close, 1;
    SYS_close_range => super::open::close_range, 3;
    SYS_read => libc::read, 3;
    SYS_write => libc::write, 3;
    SYS_pread64 => libc::pread, 4;
    SYS_pwrite64 => libc::pwrite, 4;
    SYS_readv => libc::readv, 3;
    SYS_writev => libc::writev, 3;
    SYS_preadv => libc::preadv, 4;
    SYS_pwritev => libc::pwritev, 4;
    SYS_preadv2 => positioned_read, 6;
    SYS_pwritev2 => positioned_write, 6;
    SYS_lseek => libc::lseek, 3;
    SYS_fsync => libc::fsync, 1;
    SYS_fdatasync => libc::fdatasync, 1;
    SYS_ftruncate => libc::ftruncate, 2;
    SYS_truncate => libc::truncate, 2;
    SYS_fallocate => libc::fallocate, 4;
    SYS_sync_file_range => libc::sync_file_range, 4;
    SYS_readahead => libc::readahead, 3;
    SYS_syncfs => libc::syncfs, 1;
    SYS_getdents64 => super::scan::getdents64, 3;
    SYS_fstat => libc::fstat, 2;
    SYS_newfstatat => libc::fstatat, 4;
    SYS_statx => libc::statx, 5;
    SYS_statfs => libc::statfs, 2;
    SYS_fstatfs => libc::fstatfs, 2;
    SYS_faccessat => access, 3;
    SYS_faccessat2 => libc::faccessat, 4;
    SYS_dup => libc::dup, 1;
    SYS_dup3 => libc::dup3, 3;
    SYS_fcntl => crate::shims::descriptor::fcntl, 3;
    SYS_ioctl => crate::shims::descriptor::ioctl, 3;
    SYS_flock => libc::flock, 2;
    SYS_copy_file_range => libc::copy_file_range, 6;
    SYS_sendfile => libc::sendfile, 4;
    SYS_splice => libc::splice, 6;
    SYS_mmap => super::map::mmap, 6;
    SYS_io_submit => super::asynchronous::submit, 3;
    SYS_io_uring_enter => super::asynchronous::enter, 6;
    SYS_io_uring_register => super::asynchronous::register, 4;
    SYS_mkdirat => libc::mkdirat, 3;
    SYS_mknodat => libc::mknodat, 4;
    SYS_unlinkat => libc::unlinkat, 3;
    SYS_renameat2 => libc::renameat2, 5;
    SYS_linkat => libc::linkat, 5;
    SYS_symlinkat => libc::symlinkat, 3;
    SYS_readlinkat => libc::readlinkat, 4;
    SYS_fchmod => libc::fchmod, 2;
    SYS_fchmodat => change_mode, 3;
    SYS_fchmodat2 => libc::fchmodat, 4;
    SYS_fchown => libc::fchown, 3;
    SYS_fchownat => libc::fchownat, 5;
    SYS_utimensat => super::times::by_number, 4;
    SYS_getxattr => libc::getxattr, 4;
    SYS_lgetxattr => libc::lgetxattr, 4;
    SYS_fgetxattr => libc::fgetxattr, 4;
    SYS_setxattr => libc::setxattr, 5;
    SYS_lsetxattr => libc::lsetxattr, 5;
    SYS_fsetxattr => libc::fsetxattr, 5;
    SYS_listxattr => libc::listxattr, 3;
    SYS_llistxattr => libc::llistxattr, 3;
    SYS_flistxattr => libc::flistxattr, 3;
    SYS_removexattr => libc::removexattr, 2;
    SYS_lremovexattr => libc::lremovexattr, 2;
    SYS_fremovexattr => libc::fremovexattr, 2;
    SYS_chdir => libc::chdir, 1;
    SYS_fchdir => libc::fchdir, 1;
    SYS_umask => libc::umask, 1;
    SYS_execve => crate::exec::execve, 3;
    SYS_exit_group => crate::fork::_exit, 1;
    SYS_execveat => crate::exec::execveat, 5;
    SYS_prctl => super::confine::prctl, 5;
    SYS_seccomp => super::confine::seccomp, 3;
    SYS_landlock_add_rule => super::confine::landlock_add_rule, 4;
    SYS_landlock_restrict_self => super::confine::landlock_restrict_self, 2;
    SYS_mount => super::administration::mount, 5;
    SYS_umount2 => super::administration::umount2, 2;
    SYS_move_mount => super::administration::move_mount, 5;
    SYS_setns => super::administration::setns, 2;
    SYS_setrlimit => super::limit::setrlimit, 2;
    SYS_prlimit64 => super::limit::prlimit, 4;
    SYS_name_to_handle_at => super::open::name_to_handle_at, 5;
    SYS_sendmsg => libc::sendmsg, 3;
    SYS_recvmsg => libc::recvmsg, 3;
    SYS_inotify_add_watch => libc::inotify_add_watch, 3;
    SYS_inotify_rm_watch => libc::inotify_rm_watch, 2;
    SYS_epoll_ctl => libc::epoll_ctl, 4;
    SYS_ppoll => super::ready::ppoll_by_number, 5;
    SYS_pselect6 => super::ready::pselect_by_number, 6;
    SYS_chroot => libc::chroot, 1;
    #[cfg(target_arch = "x86_64")]
    SYS_open => super::open::open, 3;
    #[cfg(target_arch = "x86_64")]
    SYS_creat => super::open::creat, 2;
    #[cfg(target_arch = "x86_64")]
    SYS_poll => libc::poll, 3;
    #[cfg(target_arch = "x86_64")]
    SYS_select => super::ready::select_by_number, 5;
    #[cfg(target_arch = "x86_64")]
    SYS_mknod => libc::mknod, 3;
    #[cfg(target_arch = "x86_64")]
    SYS_stat => libc::stat, 2;
    #[cfg(target_arch = "x86_64")]
    SYS_lstat => libc::lstat, 2;
    #[cfg(target_arch = "x86_64")]
    SYS_access => libc::access, 2;
    #[cfg(target_arch = "x86_64")]
    SYS_dup2 => libc::dup2, 2;
    #[cfg(target_arch = "x86_64")]
    SYS_mkdir => libc::mkdir, 2;
    #[cfg(target_arch = "x86_64")]
    SYS_rmdir => libc::rmdir, 1;
    #[cfg(target_arch = "x86_64")]
    SYS_unlink => libc::unlink, 1;
    #[cfg(target_arch = "x86_64")]
    SYS_rename => libc::rename, 2;
    #[cfg(target_arch = "x86_64")]
    SYS_renameat => libc::renameat, 4;
    #[cfg(target_arch = "x86_64")]
    SYS_link => libc::link, 2;
    #[cfg(target_arch = "x86_64")]
    SYS_symlink => libc::symlink, 2;
    #[cfg(target_arch = "x86_64")]
    SYS_readlink => libc::readlink, 3;
    #[cfg(target_arch = "x86_64")]
    SYS_chmod => libc::chmod, 2;
    #[cfg(target_arch = "x86_64")]
    SYS_chown => libc::chown, 3;
    #[cfg(target_arch = "x86_64")]
    SYS_lchown => libc::lchown, 3;
    #[cfg(target_arch = "x86_64")]
    SYS_utime => libc::utime, 2;
    #[cfg(target_arch = "x86_64")]
    SYS_utimes => libc::utimes, 2;
    #[cfg(target_arch = "x86_64")]
    SYS_futimesat => super::times::futimesat, 3;
}

/// Whether a call may concern a file.
///
/// # Safety
/// The arguments are the first ones of the system call.
pub unsafe extern "C" fn concerns_files(number: c_long, a: usize, b: usize) -> bool {
    // SAFETY: the caller's promise.
    !observe::bypassed() && (is_of_files(number) || unsafe { fork::forks(number, a, b) })
}

/// Whether there are calls of a number that may concern a file.
pub fn knows(number: c_long) -> bool {
    is_of_files(number) || fork::may_fork(number)
}

/// The call answers the length of the text, its NUL included; libc's function the buffer.
unsafe fn working_directory(buffer: usize, room: usize) -> c_long {
    const MOST: usize = libc::PATH_MAX as usize;
    let mut text = [0u8; MOST];
    // SAFETY: the caller's buffer, and a live one, whose text libc ends.
    unsafe {
        if libc::getcwd(text.as_mut_ptr().cast(), MOST).is_null() {
            return -1;
        }
        let len = libc::strlen(text.as_ptr().cast()) + 1;
        // The length is looked at first.
        let refused = match len <= room {
            false => libc::ERANGE,
            true if copy(text.as_ptr(), buffer as *mut u8, len) > 0 => libc::EFAULT,
            true => return len as c_long,
        };
        set_errno(Errno(refused));
        -1
    }
}

/// openat2(2), which libc has no function for. What it can be told about the way to the file, only the kernel that walks can
/// heed: a directory of the host is looked up in as one of the mount.
unsafe fn open_as_told(
    dirfd: c_int,
    path: *const libc::c_char,
    how: *const libc::open_how,
    size: usize,
) -> c_int {
    let opened = |dirfd: c_int| {
        // SAFETY: the caller's arguments.
        unsafe { try_sys!(Sysno::openat2, dirfd, path, how, size) }.map(|fd| fd as c_int)
    };
    fds::release_reserved();
    finish(match fds::host(dirfd) {
        None => opened(dirfd),
        // Out of the way: what is opened gets the lowest number.
        Some(_) => materialise::to_execute(dirfd).and_then(|directory| {
            let directory = out_of_the_way(directory)?;
            let opened = opened(directory);
            // SAFETY: plain system call; nobody else has seen the number.
            let _ = unsafe { try_sys!(Sysno::close, directory) };
            opened
        }),
    })
}

unsafe fn access(dirfd: c_int, path: *const libc::c_char, mode: c_int) -> c_int {
    // SAFETY: the caller's path; the call has no flags.
    unsafe { libc::faccessat(dirfd, path, mode, 0) }
}

unsafe fn change_mode(dirfd: c_int, path: *const libc::c_char, mode: libc::mode_t) -> c_int {
    // SAFETY: the caller's path; the call has no flags.
    unsafe { libc::fchmodat(dirfd, path, mode, 0) }
}

/// The call has the offset in two words, of which the first is whole on a 64-bit machine.
unsafe fn positioned_read(
    fd: c_int,
    list: *const libc::iovec,
    count: c_int,
    offset: libc::off_t,
    _high: usize,
    flags: c_int,
) -> isize {
    // SAFETY: the caller's arguments.
    unsafe { libc::preadv2(fd, list, count, offset, flags) }
}

unsafe fn positioned_write(
    fd: c_int,
    list: *const libc::iovec,
    count: c_int,
    offset: libc::off_t,
    _high: usize,
    flags: c_int,
) -> isize {
    // SAFETY: the caller's arguments.
    unsafe { libc::pwritev2(fd, list, count, offset, flags) }
}

/// What the kernel answered, as an errno.
extern "C" fn failed(answer: c_long) -> c_long {
    set_errno(Errno(-answer as c_int));
    -1
}

/// Seven words: the seventh lies on the stack on x86-64, where a jump leaves it for [`call`].
#[unsafe(naked)]
#[no_mangle]
pub unsafe extern "C" fn syscall() -> c_long {
    #[cfg(target_arch = "x86_64")]
    std::arch::naked_asm!(
        "push rdi", "push rsi", "push rdx", "push rcx", "push r8", "push r9",
        "sub rsp, 8",
        "call {concerns_files}",
        "add rsp, 8",
        "pop r9", "pop r8", "pop rcx", "pop rdx", "pop rsi", "pop rdi",
        "test al, al",
        "jnz {call}",
        "mov rax, rdi",
        "mov rdi, rsi",
        "mov rsi, rdx",
        "mov rdx, rcx",
        "mov r10, r8",
        "mov r8, r9",
        "mov r9, [rsp + 8]",
        "syscall",
        "cmp rax, -4095",
        "jae 2f",
        "ret",
        "2:",
        "mov rdi, rax",
        "jmp {failed}",
        concerns_files = sym concerns_files,
        call = sym call,
        failed = sym failed,
    );
    #[cfg(target_arch = "aarch64")]
    std::arch::naked_asm!(
        "stp x29, x30, [sp, #-80]!",
        "stp x0, x1, [sp, #16]",
        "stp x2, x3, [sp, #32]",
        "stp x4, x5, [sp, #48]",
        "str x6, [sp, #64]",
        "bl {concerns_files}",
        "mov w9, w0",
        "ldp x0, x1, [sp, #16]",
        "ldp x2, x3, [sp, #32]",
        "ldp x4, x5, [sp, #48]",
        "ldr x6, [sp, #64]",
        "ldp x29, x30, [sp], #80",
        "tbz w9, #0, 2f",
        "b {call}",
        "2:",
        "mov x8, x0",
        "mov x0, x1",
        "mov x1, x2",
        "mov x2, x3",
        "mov x3, x4",
        "mov x4, x5",
        "mov x5, x6",
        "svc #0",
        "cmn x0, #4095",
        "b.hs 3f",
        "ret",
        "3:",
        "b {failed}",
        concerns_files = sym concerns_files,
        call = sym call,
        failed = sym failed,
    );
}
