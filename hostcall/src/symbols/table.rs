//! The rows.

/// The rows of the [symbol table](crate::symbols), handed to a macro of the caller's.
///
/// A row reads: road, names with the same signature, the signature of what is hooked, `point` for a cancellation point of libc's
/// (those that are one for some arguments only see to that themselves), `: "reason"` where there is no hook.
/// Types are those of libc; `File`, `Glob`, `Select`, `Compare`, `GlobError`, `Visit`, `PlainVisit`, `Strings`, `Spawn`,
/// `Attributes` and `Act` are glibc's own, for which the libc crate has no usable type; `Action` is `struct sigaction`. The first name of a row is also the name of
/// the function that serves it, in the module that the family is called after.
#[macro_export]
macro_rules! symbols {
    ($expand:ident) => { $expand! {

/// Opening and closing
family open {
    call open | open64 | __open | __open64 (path: *const c_char, flags: c_int, mode: mode_t) -> c_int, point;
    call openat | openat64 | __openat64 (dirfd: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int, point;
    call creat | creat64 (path: *const c_char, mode: mode_t) -> c_int, point;
    call __open_2 | __open64_2 (path: *const c_char, flags: c_int) -> c_int, point;
    call __openat_2 | __openat64_2 (dirfd: c_int, path: *const c_char, flags: c_int) -> c_int, point;
    call close | __close (fd: c_int) -> c_int, point;
    call close_range (first: c_uint, last: c_uint, flags: c_int) -> c_int;
    call closefrom (first: c_int) -> ();
    call name_to_handle_at (dirfd: c_int, path: *const c_char, handle: *mut c_void, mount: *mut c_int, flags: c_int) -> c_int;
    kernel open_by_handle_at : "a handle is of a guest file: a host file has none";
}

/// Descriptors of the guest kernel's own
family makers {
    over socket (domain: c_int, kind: c_int, protocol: c_int) -> c_int;
    over socketpair (domain: c_int, kind: c_int, protocol: c_int, pair: *mut c_int) -> c_int;
    over accept (fd: c_int, address: *mut sockaddr, len: *mut socklen_t) -> c_int, point;
    over accept4 (fd: c_int, address: *mut sockaddr, len: *mut socklen_t, flags: c_int) -> c_int, point;
    over pipe | __pipe (pair: *mut c_int) -> c_int;
    over pipe2 (pair: *mut c_int, flags: c_int) -> c_int;
    call eventfd (initial: c_uint, flags: c_int) -> c_int;
    call signalfd (fd: c_int, mask: *const sigset_t, flags: c_int) -> c_int;
    call timerfd_create (clock: c_int, flags: c_int) -> c_int;
    call epoll_create (size: c_int) -> c_int;
    call epoll_create1 (flags: c_int) -> c_int;
    call memfd_create (name: *const c_char, flags: c_uint) -> c_int;
    call shm_open (name: *const c_char, flags: c_int, mode: mode_t) -> c_int;
    call mq_open (name: *const c_char, flags: c_int, mode: mode_t, attributes: *const c_void) -> c_int;
    call __mq_open_2 (name: *const c_char, flags: c_int) -> c_int;
    call fanotify_init (flags: c_uint, event_flags: c_uint) -> c_int;
    call pidfd_open (process: pid_t, flags: c_uint) -> c_int;
    call pidfd_getfd (pidfd: c_int, fd: c_int, flags: c_uint) -> c_int;
    kernel eventfd_read | eventfd_write | timerfd_gettime | timerfd_settime | epoll_wait | epoll_pwait | epoll_pwait2
        | pidfd_send_signal : "takes a descriptor that no host file has";
    kernel shm_unlink | sem_open | sem_close | sem_unlink | mq_close | mq_getattr | mq_notify | mq_receive | mq_send | mq_setattr
        | mq_timedreceive | mq_timedsend | mq_unlink : "its names are no paths";
    mount fanotify_mark : "the guest kernel marks the file of the mount, and sees what is done there";
}

/// Terminals
family terminal {
    call posix_openpt (flags: c_int) -> c_int;
    call getpt () -> c_int;
    call openpty (first: *mut c_int, second: *mut c_int, name: *mut c_char, settings: *const termios, size: *const winsize) -> c_int;
    call login_tty (fd: c_int) -> c_int;
    call forkpty (first: *mut c_int, name: *mut c_char, settings: *const termios, size: *const winsize) -> pid_t;
    call ttyname (fd: c_int) -> *mut c_char;
    call ttyname_r (fd: c_int, buffer: *mut c_char, len: size_t) -> c_int;
    call __ttyname_r_chk (fd: c_int, buffer: *mut c_char, len: size_t, room: size_t) -> c_int;
    over tcgetattr (fd: c_int, settings: *mut termios) -> c_int;
    over tcsetattr (fd: c_int, when: c_int, settings: *const termios) -> c_int;
    over tcdrain (fd: c_int) -> c_int, point;
    over tcflow (fd: c_int, action: c_int) -> c_int;
    over tcflush (fd: c_int, queue: c_int) -> c_int;
    over tcsendbreak (fd: c_int, duration: c_int) -> c_int;
    over tcgetpgrp (fd: c_int) -> pid_t;
    over tcsetpgrp (fd: c_int, group: pid_t) -> c_int;
    call tcgetsid (fd: c_int) -> pid_t;
    call isatty (fd: c_int) -> c_int;
    kernel grantpt | unlockpt | ptsname | ptsname_r | __ptsname_r_chk : "takes the first side of a terminal, which no host file is";
    kernel gtty | stty | ttyslot | vhangup | ctermid : "takes no host file";
    mount getpass : "reads the controlling terminal";
    kernel revoke : "libc answers ENOSYS";
}

/// Reading, writing and positions
family io {
    over read | __read (fd: c_int, buffer: *mut c_void, len: size_t) -> ssize_t, point;
    over write | __write (fd: c_int, buffer: *const c_void, len: size_t) -> ssize_t, point;
    over pread | pread64 | __pread64 (fd: c_int, buffer: *mut c_void, len: size_t, offset: off_t) -> ssize_t, point;
    over pwrite | pwrite64 | __pwrite64 (fd: c_int, buffer: *const c_void, len: size_t, offset: off_t) -> ssize_t, point;
    over readv (fd: c_int, list: *const iovec, count: c_int) -> ssize_t, point;
    over writev (fd: c_int, list: *const iovec, count: c_int) -> ssize_t, point;
    over fsync (fd: c_int) -> c_int, point;
    over fdatasync (fd: c_int) -> c_int, point;
    call __read_chk (fd: c_int, buffer: *mut c_void, len: size_t, room: size_t) -> ssize_t, point;
    call __pread_chk | __pread64_chk (fd: c_int, buffer: *mut c_void, len: size_t, offset: off_t, room: size_t) -> ssize_t, point;
    call preadv | preadv64 (fd: c_int, list: *const iovec, count: c_int, offset: off_t) -> ssize_t, point;
    call pwritev | pwritev64 (fd: c_int, list: *const iovec, count: c_int, offset: off_t) -> ssize_t, point;
    call preadv2 | preadv64v2 (fd: c_int, list: *const iovec, count: c_int, offset: off_t, flags: c_int) -> ssize_t, point;
    call pwritev2 | pwritev64v2 (fd: c_int, list: *const iovec, count: c_int, offset: off_t, flags: c_int) -> ssize_t, point;
    call lseek | lseek64 | __lseek | llseek (fd: c_int, offset: off_t, whence: c_int) -> off_t;
    kernel sync : "the guest's own file systems; what was written to the host is the host's to keep, as with any program's end";
}

/// Space and caches of open files
family space {
    call ftruncate | ftruncate64 (fd: c_int, len: off_t) -> c_int;
    call fallocate | fallocate64 (fd: c_int, mode: c_int, offset: off_t, len: off_t) -> c_int, point;
    call posix_fallocate | posix_fallocate64 (fd: c_int, offset: off_t, len: off_t) -> c_int;
    call posix_fadvise | posix_fadvise64 (fd: c_int, offset: off_t, len: off_t, advice: c_int) -> c_int;
    call syncfs (fd: c_int) -> c_int;
    call sync_file_range (fd: c_int, offset: off_t, len: off_t, flags: c_int) -> c_int, point;
    call readahead (fd: c_int, offset: off_t, count: size_t) -> ssize_t;
}

/// Asynchronous input and output
family asynchronous {
    call aio_read | aio_read64 (control: *mut aiocb) -> c_int;
    call aio_write | aio_write64 (control: *mut aiocb) -> c_int;
    call aio_fsync | aio_fsync64 (operation: c_int, control: *mut aiocb) -> c_int;
    call io_submit (context: *mut c_void, count: c_long, list: *const *mut c_void) -> c_int;
    beside io_uring_enter (ring: c_uint, submitted: c_uint, wanted: c_uint, flags: c_uint, mask: *mut sigset_t) -> c_int;
    beside io_uring_enter2 (ring: c_uint, submitted: c_uint, wanted: c_uint, flags: c_uint, argument: *mut c_void, size: size_t) -> c_int;
    beside io_uring_register (ring: c_uint, operation: c_uint, argument: *const c_void, count: c_uint) -> c_int;
    beside io_uring_register_files (ring: *mut c_void, files: *const c_int, count: c_uint) -> c_int;
    beside io_uring_register_files_tags (ring: *mut c_void, files: *const c_int, tags: *const u64, count: c_uint) -> c_int;
    beside io_uring_register_files_update (ring: *mut c_void, at: c_uint, files: *const c_int, count: c_uint) -> c_int;
    beside io_uring_register_files_update_tag (ring: *mut c_void, at: c_uint, files: *const c_int, tags: *const u64, count: c_uint) -> c_int;
    beside io_uring_submit (ring: *mut c_void) -> c_int;
    beside io_uring_submit_and_get_events (ring: *mut c_void) -> c_int;
    beside io_uring_submit_and_wait (ring: *mut c_void, wanted: c_uint) -> c_int;
    beside io_uring_submit_and_wait_min_timeout (ring: *mut c_void, done: *mut *mut c_void, wanted: c_uint, timeout: *mut c_void, least: c_uint, mask: *mut sigset_t) -> c_int;
    beside io_uring_submit_and_wait_reg (ring: *mut c_void, done: *mut *mut c_void, wanted: c_uint, region: c_int) -> c_int;
    beside io_uring_submit_and_wait_timeout (ring: *mut c_void, done: *mut *mut c_void, wanted: c_uint, timeout: *mut c_void, mask: *mut sigset_t) -> c_int;
    call lio_listio | lio_listio64 (mode: c_int, list: *const *mut aiocb, count: c_int, event: *mut c_void) -> c_int;
    kernel aio_cancel | aio_cancel64 | aio_error | aio_error64 | aio_init | aio_return | aio_return64 | aio_suspend | aio_suspend64
        : "about transfers that were begun";
}

/// Copies inside the kernel
family copy {
    call splice (from: c_int, from_offset: *mut off_t, to: c_int, to_offset: *mut off_t, len: size_t, flags: c_uint) -> ssize_t, point;
    call copy_file_range (from: c_int, from_offset: *mut off_t, to: c_int, to_offset: *mut off_t, len: size_t, flags: c_uint) -> ssize_t, point;
    call sendfile | sendfile64 (to: c_int, from: c_int, offset: *mut off_t, len: size_t) -> ssize_t;
    call vmsplice (fd: c_int, list: *const iovec, count: size_t, flags: c_uint) -> ssize_t, point;
    call tee (from: c_int, to: c_int, len: size_t, flags: c_uint) -> ssize_t, point;
}

/// Duplicates, flags and controls of descriptors
family descriptor {
    over fcntl | fcntl64 | __fcntl (fd: c_int, command: c_int, argument: usize) -> c_int;
    call dup (fd: c_int) -> c_int;
    call dup2 | __dup2 (old: c_int, new: c_int) -> c_int;
    call dup3 (old: c_int, new: c_int, flags: c_int) -> c_int;
    call ioctl (fd: c_int, request: c_ulong, argument: usize) -> c_int;
    kernel getdtablesize : "a limit of the process";
}

/// Locks
family lock {
    call flock (fd: c_int, operation: c_int) -> c_int;
    call lockf | lockf64 (fd: c_int, command: c_int, len: off_t) -> c_int;
}

/// Readiness
family ready {
    over poll | __poll (list: *mut pollfd, count: nfds_t, timeout: c_int) -> c_int, point;
    over ppoll (list: *mut pollfd, count: nfds_t, timeout: *const timespec, mask: *const sigset_t) -> c_int, point;
    call __poll_chk (list: *mut pollfd, count: nfds_t, timeout: c_int, room: size_t) -> c_int, point;
    call __ppoll_chk (list: *mut pollfd, count: nfds_t, timeout: *const timespec, mask: *const sigset_t, room: size_t) -> c_int, point;
    over select | __select (count: c_int, read: *mut fd_set, write: *mut fd_set, except: *mut fd_set, timeout: *mut timeval) -> c_int, point;
    over pselect (count: c_int, read: *mut fd_set, write: *mut fd_set, except: *mut fd_set, timeout: *const timespec, mask: *const sigset_t) -> c_int, point;
    call epoll_ctl (epoll: c_int, operation: c_int, fd: c_int, event: *mut epoll_event) -> c_int;
    kernel __fdelt_chk | __fdelt_warn : "checks a number";
}

/// Watches
family watch {
    call inotify_init () -> c_int;
    call inotify_init1 (flags: c_int) -> c_int;
    call inotify_add_watch (fd: c_int, path: *const c_char, mask: u32) -> c_int;
    call inotify_rm_watch (fd: c_int, watch: c_int) -> c_int;
}

/// Mapping files
family map {
    call mmap | mmap64 (address: *mut c_void, len: usize, protection: c_int, flags: c_int, fd: c_int, offset: off64_t) -> *mut c_void;
    kernel munmap | mremap | msync | mincore | madvise | __madvise | posix_madvise | mprotect | remap_file_pages
        : "about memory that is mapped";
}

/// Metadata
family stat {
    call stat | stat64 (path: *const c_char, to: *mut libc::stat) -> c_int;
    call lstat | lstat64 (path: *const c_char, to: *mut libc::stat) -> c_int;
    call fstat | fstat64 (fd: c_int, to: *mut libc::stat) -> c_int;
    call fstatat | fstatat64 (dirfd: c_int, path: *const c_char, to: *mut libc::stat, flags: c_int) -> c_int;
    call __xstat | __xstat64 (version: c_int, path: *const c_char, to: *mut libc::stat) -> c_int;
    call __lxstat | __lxstat64 (version: c_int, path: *const c_char, to: *mut libc::stat) -> c_int;
    call __fxstat | __fxstat64 (version: c_int, fd: c_int, to: *mut libc::stat) -> c_int;
    call __fxstatat | __fxstatat64 (version: c_int, dirfd: c_int, path: *const c_char, to: *mut libc::stat, flags: c_int) -> c_int;
    call statx (dirfd: c_int, path: *const c_char, flags: c_int, mask: c_uint, to: *mut libc::statx) -> c_int;
    call isfdtype (fd: c_int, kind: c_int) -> c_int;
    mount ftok : "looks at the file of the mount, whose device and number are those of the mount";
}

/// File systems and limits
family volume {
    call statfs | statfs64 | __statfs (path: *const c_char, to: *mut libc::statfs) -> c_int;
    call fstatfs | fstatfs64 (fd: c_int, to: *mut libc::statfs) -> c_int;
    call statvfs | statvfs64 (path: *const c_char, to: *mut libc::statvfs) -> c_int;
    call fstatvfs | fstatvfs64 (fd: c_int, to: *mut libc::statvfs) -> c_int;
    over pathconf (path: *const c_char, name: c_int) -> c_long;
    over fpathconf (fd: c_int, name: c_int) -> c_long;
    kernel ustat : "names a device of the guest by its number";
}

/// Permissions, owners, access and length
family attributes {
    call chmod (path: *const c_char, mode: mode_t) -> c_int;
    call lchmod (path: *const c_char, mode: mode_t) -> c_int;
    call fchmodat (dirfd: c_int, path: *const c_char, mode: mode_t, flags: c_int) -> c_int;
    call fchmod (fd: c_int, mode: mode_t) -> c_int;
    call chown (path: *const c_char, uid: uid_t, gid: gid_t) -> c_int;
    call lchown (path: *const c_char, uid: uid_t, gid: gid_t) -> c_int;
    call fchownat (dirfd: c_int, path: *const c_char, uid: uid_t, gid: gid_t, flags: c_int) -> c_int;
    call fchown (fd: c_int, uid: uid_t, gid: gid_t) -> c_int;
    call access (path: *const c_char, mode: c_int) -> c_int;
    call faccessat (dirfd: c_int, path: *const c_char, mode: c_int, flags: c_int) -> c_int;
    call euidaccess | eaccess (path: *const c_char, mode: c_int) -> c_int;
    call truncate | truncate64 (path: *const c_char, len: off_t) -> c_int;
    kernel chflags | fchflags | fattach | fdetach : "libc answers ENOSYS";
}

/// Extended attributes
family xattr {
    call getxattr (path: *const c_char, name: *const c_char, value: *mut c_void, len: size_t) -> ssize_t;
    call lgetxattr (path: *const c_char, name: *const c_char, value: *mut c_void, len: size_t) -> ssize_t;
    call fgetxattr (fd: c_int, name: *const c_char, value: *mut c_void, len: size_t) -> ssize_t;
    call listxattr (path: *const c_char, names: *mut c_char, len: size_t) -> ssize_t;
    call llistxattr (path: *const c_char, names: *mut c_char, len: size_t) -> ssize_t;
    call flistxattr (fd: c_int, names: *mut c_char, len: size_t) -> ssize_t;
    call setxattr (path: *const c_char, name: *const c_char, value: *const c_void, len: size_t, create: c_int) -> c_int;
    call lsetxattr (path: *const c_char, name: *const c_char, value: *const c_void, len: size_t, create: c_int) -> c_int;
    call fsetxattr (fd: c_int, name: *const c_char, value: *const c_void, len: size_t, create: c_int) -> c_int;
    call removexattr (path: *const c_char, name: *const c_char) -> c_int;
    call lremovexattr (path: *const c_char, name: *const c_char) -> c_int;
    call fremovexattr (fd: c_int, name: *const c_char) -> c_int;
}

/// File times
family times {
    call utimensat (dirfd: c_int, path: *const c_char, times: *const timespec, flags: c_int) -> c_int;
    call futimens (fd: c_int, times: *const timespec) -> c_int;
    call utimes (path: *const c_char, times: *const timeval) -> c_int;
    call lutimes (path: *const c_char, times: *const timeval) -> c_int;
    call futimes (fd: c_int, times: *const timeval) -> c_int;
    call futimesat (dirfd: c_int, path: *const c_char, times: *const timeval) -> c_int;
    call utime (path: *const c_char, times: *const utimbuf) -> c_int;
}

/// Making directories and nodes
family create {
    call mkdir (path: *const c_char, mode: mode_t) -> c_int;
    call mkdirat (dirfd: c_int, path: *const c_char, mode: mode_t) -> c_int;
    call mknod (path: *const c_char, mode: mode_t, device: dev_t) -> c_int;
    call mknodat (dirfd: c_int, path: *const c_char, mode: mode_t, device: dev_t) -> c_int;
    call __xmknod (version: c_int, path: *const c_char, mode: mode_t, device: *const dev_t) -> c_int;
    call __xmknodat (version: c_int, dirfd: c_int, path: *const c_char, mode: mode_t, device: *const dev_t) -> c_int;
    call mkfifo (path: *const c_char, mode: mode_t) -> c_int;
    call mkfifoat (dirfd: c_int, path: *const c_char, mode: mode_t) -> c_int;
}

/// Names
family name {
    call unlink (path: *const c_char) -> c_int;
    call unlinkat (dirfd: c_int, path: *const c_char, flags: c_int) -> c_int;
    call rmdir (path: *const c_char) -> c_int;
    call remove (path: *const c_char) -> c_int;
    call rename (from: *const c_char, to: *const c_char) -> c_int;
    call renameat (from_dirfd: c_int, from: *const c_char, to_dirfd: c_int, to: *const c_char) -> c_int;
    call renameat2 (from_dirfd: c_int, from: *const c_char, to_dirfd: c_int, to: *const c_char, flags: c_uint) -> c_int;
    call link (from: *const c_char, to: *const c_char) -> c_int;
    call linkat (from_dirfd: c_int, from: *const c_char, to_dirfd: c_int, to: *const c_char, flags: c_int) -> c_int;
    call symlink (target: *const c_char, path: *const c_char) -> c_int;
    call symlinkat (target: *const c_char, dirfd: c_int, path: *const c_char) -> c_int;
    call readlink (path: *const c_char, buffer: *mut c_char, len: size_t) -> ssize_t;
    call readlinkat (dirfd: c_int, path: *const c_char, buffer: *mut c_char, len: size_t) -> ssize_t;
    call __readlink_chk (path: *const c_char, buffer: *mut c_char, len: size_t, room: size_t) -> ssize_t;
    call __readlinkat_chk (dirfd: c_int, path: *const c_char, buffer: *mut c_char, len: size_t, room: size_t) -> ssize_t;
}

/// Canonical paths
family resolve {
    call realpath (path: *const c_char, to: *mut c_char) -> *mut c_char;
    call canonicalize_file_name (path: *const c_char) -> *mut c_char;
    call __realpath_chk (path: *const c_char, to: *mut c_char, room: size_t) -> *mut c_char;
}

/// Working directory and umask
family working {
    call chdir (path: *const c_char) -> c_int;
    call fchdir (fd: c_int) -> c_int;
    call umask (mask: mode_t) -> mode_t;
    call chroot (path: *const c_char) -> c_int;
    over getcwd (buffer: *mut c_char, len: size_t) -> *mut c_char;
    call get_current_dir_name () -> *mut c_char;
    call __getcwd_chk (buffer: *mut c_char, len: size_t, room: size_t) -> *mut c_char;
    call getwd (buffer: *mut c_char) -> *mut c_char;
    call __getwd_chk (buffer: *mut c_char, room: size_t) -> *mut c_char;
}

/// Directory streams
family dir {
    call opendir (path: *const c_char) -> *mut DIR;
    call fdopendir (fd: c_int) -> *mut DIR;
    call readdir64 | readdir (dir: *mut DIR) -> *mut dirent64;
    call readdir64_r | readdir_r (dir: *mut DIR, entry: *mut dirent64, result: *mut *mut dirent64) -> c_int;
    call closedir (dir: *mut DIR) -> c_int;
    call rewinddir (dir: *mut DIR) -> ();
    call seekdir (dir: *mut DIR, position: c_long) -> ();
    call telldir (dir: *mut DIR) -> c_long;
    call dirfd (dir: *mut DIR) -> c_int;
}

/// Whole directories and trees
family scan {
    call getdents64 (fd: c_int, buffer: *mut c_char, len: size_t) -> ssize_t;
    call getdirentries | getdirentries64 (fd: c_int, buffer: *mut c_char, len: size_t, base: *mut off_t) -> ssize_t;
    call scandir | scandir64 (path: *const c_char, list: *mut *mut *mut dirent, select: Select, compare: Compare) -> c_int;
    call scandirat | scandirat64 (parent: c_int, path: *const c_char, list: *mut *mut *mut dirent, select: Select, compare: Compare) -> c_int;
    call glob | glob64 (pattern: *const c_char, flags: c_int, error: GlobError, found: *mut Glob) -> c_int;
    kernel globfree | globfree64 | glob_pattern_p | alphasort | alphasort64 | versionsort | versionsort64 : "works in memory";
    mount wordexp : "libc looks for the paths itself";
    kernel wordfree : "works in memory";
}

/// Tree walks
family walk {
    call nftw | nftw64 (path: *const c_char, visit: Visit, descriptors: c_int, flags: c_int) -> c_int;
    call ftw | ftw64 (path: *const c_char, visit: PlainVisit, descriptors: c_int) -> c_int;
    mount fts_open | fts64_open | fts_read | fts64_read | fts_children | fts64_children | fts_set | fts64_set | fts_close | fts64_close
        : "libc walks by itself";
}

/// Temporary files
family temporary {
    call mkstemp | mkstemp64 (template: *mut c_char) -> c_int;
    call mkostemp | mkostemp64 (template: *mut c_char, flags: c_int) -> c_int;
    call mkstemps | mkstemps64 (template: *mut c_char, suffix: c_int) -> c_int;
    call mkostemps | mkostemps64 (template: *mut c_char, suffix: c_int, flags: c_int) -> c_int;
    call mkdtemp (template: *mut c_char) -> *mut c_char;
    mount tmpfile | tmpfile64 | tmpnam | tmpnam_r | tempnam | mktemp : "libc looks whether the name is free, most often in /tmp";
}

/// Opening streams
family stdio {
    call fopen | fopen64 (path: *const c_char, mode: *const c_char) -> *mut File;
    call fdopen (fd: c_int, mode: *const c_char) -> *mut File;
    call freopen | freopen64 (path: *const c_char, mode: *const c_char, stream: *mut File) -> *mut File;
    mount setmntent | __setmntent : "libc opens the stream itself";
    kernel fmemopen | fopencookie | open_memstream | open_wmemstream : "a stream without a file";
}

/// Streams
family streams {
    stream fclose | fcloseall | fflush | fflush_unlocked | _flushlbf | setbuf | setbuffer | setlinebuf | setvbuf
        | fread | fread_unlocked | __fread_chk | __fread_unlocked_chk | fwrite | fwrite_unlocked
        | fseek | fseeko | fseeko64 | ftell | ftello | ftello64 | fgetpos | fgetpos64 | fsetpos | fsetpos64 | rewind
        | fgetc | fgetc_unlocked | getc | getc_unlocked | getchar | getchar_unlocked | getw | ungetc | __uflow | __underflow
        | fgets | fgets_unlocked | __fgets_chk | __fgets_unlocked_chk | gets | __gets_chk | getline | getdelim | __getdelim
        | fputc | fputc_unlocked | putc | putc_unlocked | putchar | putchar_unlocked | putw | __overflow | fputs | fputs_unlocked | puts
        | fgetwc | fgetwc_unlocked | getwc | getwc_unlocked | getwchar | getwchar_unlocked | ungetwc | __wuflow | __wunderflow
        | fgetws | fgetws_unlocked | __fgetws_chk | __fgetws_unlocked_chk | fputws | fputws_unlocked
        | fputwc | fputwc_unlocked | putwc | putwc_unlocked | putwchar | putwchar_unlocked | __woverflow
        : "its transfers reach the host by the stream's jump table";
    stream fprintf | printf | vfprintf | vprintf | __fprintf_chk | __printf_chk | __vfprintf_chk | __vprintf_chk
        | fwprintf | wprintf | vfwprintf | vwprintf | __fwprintf_chk | __wprintf_chk | __vfwprintf_chk | __vwprintf_chk
        | fscanf | scanf | vfscanf | vscanf | fwscanf | wscanf | vfwscanf | vwscanf | __vfscanf
        | __isoc99_fscanf | __isoc99_scanf | __isoc99_vfscanf | __isoc99_vscanf
        | __isoc99_fwscanf | __isoc99_wscanf | __isoc99_vfwscanf | __isoc99_vwscanf
        | __isoc23_fscanf | __isoc23_scanf | __isoc23_vfscanf | __isoc23_vscanf
        | __isoc23_fwscanf | __isoc23_wscanf | __isoc23_vfwscanf | __isoc23_vwscanf
        : "its transfers reach the host by the stream's jump table";
    stream perror | psignal | psiginfo | err | errx | verr | verrx | warn | warnx | vwarn | vwarnx | error | error_at_line | herror
        | malloc_info | malloc_stats | fgetgrent | fgetgrent_r | fgetpwent | fgetpwent_r | fgetspent | fgetspent_r | fgetsgent
        | fgetsgent_r | putgrent | putpwent | putspent | putsgent | getmntent | getmntent_r | __getmntent_r | addmntent | endmntent
        | __endmntent : "its transfers reach the host by the stream's jump table";
    stream dprintf | vdprintf | __dprintf_chk | __vdprintf_chk
        : "by a stream's jump table before glibc 2.37; from then on EBADF on a host file";
    kernel clearerr | clearerr_unlocked | feof | feof_unlocked | ferror | ferror_unlocked | fileno | fileno_unlocked | flockfile
        | ftrylockfile | funlockfile | fwide | __fbufsize | __flbf | __fpending | __fpurge | __freadable | __freading | __fsetlocking
        | __fwritable | __fwriting : "about the stream's memory";
    lost backtrace_symbols_fd | __backtrace_symbols_fd : "libc writes past any hook: EBADF on a host file";
}

/// Processes
family fork {
    over fork | __fork | __libc_fork | vfork | __vfork () -> pid_t;
    call _Fork () -> pid_t;
    call _exit | _Exit (status: c_int) -> c_int;
    call daemon (stay: c_int, keep: c_int) -> c_int;
    kernel exit | quick_exit | abort : "ends the process, after what it has to do";
    call clone | __clone (act: Act, stack: *mut c_void, flags: c_int, argument: *mut c_void, parent: usize, local: usize, child: usize) -> c_int;
    kernel unshare : "what the process shared it goes on with by itself";
}

/// Program images
family exec {
    call execve (path: *const c_char, arguments: Strings, given: Strings) -> c_int;
    call execv (path: *const c_char, arguments: Strings) -> c_int;
    call execvp (file: *const c_char, arguments: Strings) -> c_int;
    call execvpe (file: *const c_char, arguments: Strings, given: Strings) -> c_int;
    call execveat (dirfd: c_int, path: *const c_char, arguments: Strings, given: Strings, flags: c_int) -> c_int;
    call fexecve (fd: c_int, arguments: Strings, given: Strings) -> c_int;
    asm execl : "variadic";
    asm execlp : "variadic";
    asm execle : "variadic";
}

/// Children with a program of their own
family spawn {
    call posix_spawn (child: *mut pid_t, file: *const c_char, actions: *const Spawn, attributes: *const Attributes, arguments: Strings, environment: Strings) -> c_int;
    call posix_spawnp (child: *mut pid_t, file: *const c_char, actions: *const Spawn, attributes: *const Attributes, arguments: Strings, environment: Strings) -> c_int;
    call system (command: *const c_char) -> c_int;
    kernel posix_spawn_file_actions_init | posix_spawn_file_actions_destroy | posix_spawn_file_actions_addopen
        | posix_spawn_file_actions_addclose | posix_spawn_file_actions_adddup2 | posix_spawn_file_actions_addchdir_np
        | posix_spawn_file_actions_addfchdir_np | posix_spawn_file_actions_addclosefrom_np | posix_spawn_file_actions_addtcsetpgrp_np
        | posix_spawn_file_actions_addchdir | posix_spawn_file_actions_addfchdir : "notes what posix_spawn is to do";
    lost pidfd_spawn | pidfd_spawnp : "libc makes the child past any hook: it inherits no host files and no host directory";
}

/// Pipes to a shell
family popen {
    call popen (command: *const c_char, mode: *const c_char) -> *mut File;
    call pclose (stream: *mut File) -> c_int;
}

/// Open files passed on
family pass {
    over sendmsg (socket: c_int, message: *const msghdr, flags: c_int) -> ssize_t, point;
    call sendmmsg (socket: c_int, messages: *mut mmsghdr, count: c_uint, flags: c_int) -> c_int, point;
    over recvmsg (socket: c_int, message: *mut msghdr, flags: c_int) -> ssize_t, point;
    call recvmmsg (socket: c_int, messages: *mut mmsghdr, count: c_uint, flags: c_int, timeout: *mut timespec) -> c_int, point;
    mount bind | connect | __connect : "a socket below the prefix is one of the mount: both of its ends are in this guest";
    kernel send | __send | sendto | recv | __recv_chk | recvfrom | __recvfrom_chk | listen | shutdown | getsockname | getpeername
        | getsockopt | setsockopt | sockatmark : "a host file is no socket";
}

/// Ids of the process
family identity {
    over setuid (uid: uid_t) -> c_int;
    over seteuid (uid: uid_t) -> c_int;
    over setreuid (real: uid_t, effective: uid_t) -> c_int;
    over setresuid (real: uid_t, effective: uid_t, saved: uid_t) -> c_int;
    over setgid (gid: gid_t) -> c_int;
    over setegid (gid: gid_t) -> c_int;
    over setregid (real: gid_t, effective: gid_t) -> c_int;
    over setresgid (real: gid_t, effective: gid_t, saved: gid_t) -> c_int;
    over setgroups (count: size_t, groups: *const gid_t) -> c_int;
    call initgroups (user: *const c_char, group: gid_t) -> c_int;
    over setfsuid (uid: uid_t) -> c_int;
    over setfsgid (gid: gid_t) -> c_int;
}

/// Filters of system calls
family confine {
    call prctl (option: c_int, a: c_ulong, b: c_ulong, c: c_ulong, d: c_ulong) -> c_int;
}

/// System calls by number
family raw {
    asm syscall : "as many arguments as the call has";
}

/// What is done at a signal
family signal {
    call sigaction | __sigaction (signal: c_int, new: *const Action, old: *mut Action) -> c_int;
    call signal | bsd_signal | ssignal (number: c_int, handler: sighandler_t) -> sighandler_t;
    call sigprocmask (how: c_int, set: *const sigset_t, old: *mut sigset_t) -> c_int;
    call pthread_sigmask (how: c_int, set: *const sigset_t, old: *mut sigset_t) -> c_int;
    call sysv_signal | __sysv_signal (signal: c_int, handler: sighandler_t) -> sighandler_t;
}

/// Cancelled threads
family cancel {
    call pthread_cancel (thread: pthread_t) -> c_int;
    call pthread_setcanceltype (kind: c_int, old: *mut c_int) -> c_int;
}

/// Limits of resources
family limit {
    call setrlimit | setrlimit64 (resource: c_int, limit: *const rlimit) -> c_int;
    call prlimit | prlimit64 (process: pid_t, resource: c_int, limit: *const rlimit, old: *mut rlimit) -> c_int;
    call ulimit (command: c_int, value: c_long) -> c_long;
}

/// What the guest kernel is told to do with a path
family administration {
    mount pivot_root | acct | swapon | swapoff | quotactl | uselib : "the guest kernel takes the path, below the prefix the mount's";
    call mount (source: *const c_char, target: *const c_char, kind: *const c_char, flags: c_ulong, data: *const c_void) -> c_int;
    call umount (target: *const c_char) -> c_int;
    call umount2 (target: *const c_char, flags: c_int) -> c_int;
    call move_mount (from_dirfd: c_int, from: *const c_char, to_dirfd: c_int, to: *const c_char, flags: c_uint) -> c_int;
    call setns (fd: c_int, kind: c_int) -> c_int;
    mount mount_setattr | open_tree | fspick : "the guest kernel takes the path, below the prefix the mount's";
    kernel fsopen | fsconfig | fsmount : "about a file system to be mounted";
}

/// What libc itself reads
family library {
    mount dlopen | dlmopen : "the dynamic linker opens the file itself";
    mount catopen | utmpname | utmpxname | updwtmp | updwtmpx | logwtmp | mtrace | getdate | getdate_r
        | setttyent | getttyent | getttynam : "libc opens the file itself";
    kernel bindtextdomain | iconv_open : "finds what is installed in the guest";
    kernel catgets | catclose | dlclose | iconv | iconv_close | endttyent | muntrace : "about what libc has opened";
}

    } };
}
