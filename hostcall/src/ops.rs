//! The op table: every host call, once.
//!
//! A row reads: number (never reused), method, type, `[blocks no_restart retry changes clean]`, host system calls it needs, request → reply.
//! `blocks` calls may wait for another process and can be cancelled; `no_restart` calls are, after any signal handler, with
//! `SA_RESTART` too; `retry` calls may be repeated after a lost answer; `changes` calls, and those that open with `O_CREAT` or `O_TRUNC`, are answered when whoever follows
//! (`watch_follow`) has acted on them; `clean` calls leave in their shadow nothing but open files, working directory,
//! mask and what it knows of host programs, of which it can be cleared for another process. Numbers from 128 on are kept for host programs.

use crate::ids::{Groups, GuestGid, GuestUid};
use crate::metadata::Metadata;
use crate::shm::Window;
use crate::table::{
    answer, has, has_none, ops, within_head, FieldSpec, Line, OpSpec, Reply, Request, Witness,
};
use crate::types::{
    AtFlags, DirFd, Errno, JobState, Mode, Offset, OpenFlags, RecordLock, RemoteFd, RwFlags, Times,
    Token,
};
use crate::wire::{
    Field, Filled, Message, Payload, ProtocolError, Reader, Sink, Source, Writer, SCRATCH,
};
use std::ffi::CStr;
use std::fmt;

/// Numbers of system calls: libc's, and those that are newer, which are the same on every architecture
/// (`asm-generic/unistd.h`).
#[allow(missing_docs, non_upper_case_globals)]
pub mod numbers {
    pub use libc::*;
    pub const SYS_setxattrat: c_long = 463;
    pub const SYS_getxattrat: c_long = 464;
    pub const SYS_listxattrat: c_long = 465;
    pub const SYS_removexattrat: c_long = 466;
}

ops! {
    /// The session itself: context that a shadow holds for its guest process, and what it hands to others.
    family SessionCalls {
        /// Does nothing: the cost of the way there and back.
        1 nop Nop [retry clean] () {} -> {}

        /// Makes an open file redeemable once by another shadow of the same guest, for the same open file description.
        2 share Share [clean] (SYS_sendmsg SYS_recvmsg SYS_getrandom) { fd: RemoteFd } -> { token: Token }

        /// Takes an open file that another shadow shared. The token is used up.
        3 redeem Redeem [clean] (SYS_sendmsg SYS_recvmsg SYS_fcntl SYS_close) { token: Token, flags: OpenFlags } -> { fd: RemoteFd }

        /// Prepares the session of a child, fork(2): the same open files under the same numbers, working directory and
        /// umask, but no record locks. The child attaches to it with the token.
        4 fork_session ForkSession [clean] (SYS_sendmsg SYS_recvmsg SYS_getrandom SYS_openat SYS_close SYS_umask SYS_fcntl) {} -> { token: Token }

        /// Keeps the session over a change of program image, execve(2): the new image attaches with the token, and
        /// the descriptors marked close-on-exec are closed then. Until then the old image's threads go on calling. Threads
        /// that hold at the same time share the token.
        5 hold_session HoldSession [clean] (SYS_sendmsg SYS_recvmsg SYS_getrandom) {} -> { token: Token }

        /// Changes the working directory, chdir(2).
        6 chdir Chdir<'a> [retry clean] (SYS_chdir) { path: &'a CStr } -> {}

        /// Changes the working directory to an open one, fchdir(2).
        7 fchdir Fchdir [retry clean] (SYS_fchdir) { fd: RemoteFd } -> {}

        /// The working directory's path in the view, getcwd(2), without a NUL.
        8 getcwd Getcwd<'a> [retry clean] (SYS_getcwd) { sink: Sink<'a> } -> { filled: Filled }

        /// Sets the file mode creation mask, umask(2).
        9 umask Umask [clean] (SYS_umask) { mask: Mode } -> { old: Mode }

        /// Says whose rights the calls have that follow on this lane: file-system ids and supplementary groups (at most
        /// 1024), credentials(7). `EPERM` where an id has no host id, and where the guest's calls have a fixed user's
        /// rights; after any failure the lane's calls answer `EPERM` until this succeeds. A mask of -1 leaves the
        /// session's umask(2); any other parts this lane's mask and working directory from the session's for good.
        10 impersonate Impersonate<'a> [] (SYS_setfsuid SYS_setfsgid SYS_setgroups SYS_capset SYS_unshare SYS_umask) {
            uid: GuestUid, gid: GuestGid, mask: u32, groups: Groups<'a>,
        } -> {}

        /// Withdraws one `hold_session` whose execve(2) failed; with the last, the token is void.
        11 unhold_session UnholdSession [clean] (SYS_sendmsg) {} -> {}

        /// Waits until the sessions of those guest processes are gone that have ended: their open files with the locks on
        /// them. At most a fifth of a second.
        12 settle Settle [retry clean] (SYS_sendmsg SYS_recvmsg) {} -> {}

        /// Sets the size beyond which no call of the session may make a file grow, the soft limit `RLIMIT_FSIZE` of
        /// setrlimit(2), as far as the host's own limit allows; all bits are none. Beyond it calls answer `EFBIG`. The session of
        /// a child begins without one.
        13 limit_size LimitSize [retry] (SYS_getrlimit SYS_setrlimit) { most: u64 } -> {}
    }

    /// Open files: whatever needs a descriptor and no name.
    family FileCalls {
        /// Closes a descriptor, close(2).
        16 close Close [clean] (SYS_close) { fd: RemoteFd } -> {}

        /// Reads at the file's position or at an offset, read(2), preadv2(2).
        17 read Read<'a> [blocks clean] (SYS_read SYS_pread64 SYS_preadv2) { fd: RemoteFd, offset: Offset, flags: RwFlags, sink: Sink<'a> } -> { filled: Filled }

        /// Writes at the file's position or at an offset, write(2), pwritev2(2).
        18 write Write<'a> [blocks changes clean] (SYS_write SYS_pwrite64 SYS_pwritev2) { fd: RemoteFd, offset: Offset, flags: RwFlags, source: Source<'a> } -> { written: u64 }

        /// Moves the file's position, lseek(2), with `SEEK_DATA` and `SEEK_HOLE`.
        19 lseek Lseek [clean] (SYS_lseek) { fd: RemoteFd, offset: i64, whence: i32 } -> { offset: i64 }

        /// Sets the length of an open file, ftruncate(2).
        20 ftruncate Ftruncate [retry changes clean] (SYS_ftruncate) { fd: RemoteFd, len: i64 } -> {}

        /// Allocates, punches or shifts space, fallocate(2).
        21 fallocate Fallocate [changes clean] (SYS_fallocate) { fd: RemoteFd, mode: i32, offset: i64, len: i64 } -> {}

        /// Announces an access pattern, posix_fadvise(2).
        22 fadvise Fadvise [retry clean] (SYS_fadvise64) { fd: RemoteFd, offset: i64, len: i64, advice: i32 } -> {}

        /// Writes data and metadata to the device, fsync(2).
        23 fsync Fsync [retry clean] (SYS_fsync) { fd: RemoteFd } -> {}

        /// Writes data and needed metadata to the device, fdatasync(2).
        24 fdatasync Fdatasync [retry clean] (SYS_fdatasync) { fd: RemoteFd } -> {}

        /// Writes a whole file system to the device, syncfs(2).
        25 syncfs Syncfs [retry clean] (SYS_syncfs) { fd: RemoteFd } -> {}

        /// Copies between two host files without transit, copy_file_range(2).
        26 copy_file_range CopyFileRange [changes clean] (SYS_copy_file_range) {
            from: RemoteFd, from_offset: Offset, to: RemoteFd, to_offset: Offset, len: u64, flags: u32,
        } -> { copied: u64 }

        /// Reads directory entries, getdents64(2): packed `struct linux_dirent64`.
        27 getdents Getdents<'a> [clean] (SYS_getdents64) { fd: RemoteFd, sink: Sink<'a> } -> { filled: Filled }

        /// A second descriptor for the same open file description, dup(2); `O_CLOEXEC` is the only flag.
        28 dup Dup [clean] (SYS_fcntl) { fd: RemoteFd, flags: OpenFlags } -> { fd: RemoteFd }

        /// Descriptor and status flags, fcntl(2): `F_GETFD`, `F_SETFD`, `F_GETFL`, `F_SETFL`, the pipe size; and the write hint,
        /// `F_GET_RW_HINT` and `F_SET_RW_HINT`, which is the value or the argument itself. To set it is `EROFS` in a read-only export.
        29 fcntl Fcntl [clean] (SYS_fcntl SYS_fstatfs) { fd: RemoteFd, command: i32, argument: u64 } -> { value: i32 }

        /// Whole-file locks, flock(2).
        30 flock Flock [blocks clean] (SYS_flock) { fd: RemoteFd, operation: i32 } -> {}

        /// Record locks, fcntl(2): `F_GETLK`, `F_SETLK`, `F_SETLKW` and their `F_OFD_` forms.
        31 lock Lock [blocks clean] (SYS_fcntl) { fd: RemoteFd, command: i32, lock: RecordLock } -> { lock: RecordLock }

        /// A new open file description of the inode that a descriptor refers to, `O_PATH` included, as opening
        /// `/proc/self/fd/N` gives it. Only regular files and directories: anything else is `ENXIO` unless the flags
        /// hold `O_PATH`. Nothing is made: `O_CREAT` and `O_TMPFILE` are `EINVAL`. As long as a descriptor lives that was
        /// opened with the bit 0x20 (the guest's kernel executes it), writing to the file is `ETXTBSY` to the others.
        32 reopen Reopen [blocks clean] (SYS_openat SYS_fstat SYS_newfstatat SYS_close) { fd: RemoteFd, flags: OpenFlags } -> { fd: RemoteFd }

        /// Closes many descriptors, close(2): packed 32-bit numbers, of which those that are not open are passed over.
        33 close_many CloseMany<'a> [clean] (SYS_close) { numbers: Source<'a> } -> { closed: u32 }

        /// Closes all descriptors but some, close(2): a bit for each number, the lowest bit of the first byte being that of 0, is set for
        /// those that stay. A child does so whose parent's other threads were in the midst of opening and closing as it was forked.
        40 close_others CloseOthers<'a> [clean] (SYS_close) { kept: Source<'a> } -> { closed: u32 }

        /// Waits until a file is ready, poll(2): so many nanoseconds, none, or (negative) for ever. `ready` are the events, 0 when the time
        /// is over; `always` is 1 for a file that is ready at any time, which epoll_ctl(2) refuses: regular files of most
        /// file systems and directories. `EBADF` for a descriptor that is not open.
        39 poll Poll [blocks no_restart retry clean] (SYS_ppoll SYS_epoll_create1 SYS_epoll_ctl SYS_close) {
            fd: RemoteFd, events: u32, timeout: i64,
        } -> { ready: u32, always: u32 }
    }

    /// Watches: inotify(7) on host files. Its events are read by `read`, which waits for them.
    family WatchCalls {
        /// Makes an inotify instance, inotify_init1(2). It cannot be duplicated, shared or inherited; a process has at
        /// most 4 (`EMFILE`).
        34 watch_open WatchOpen [] (SYS_inotify_init1) { flags: i32 } -> { fd: RemoteFd }

        /// Watches an open file, `O_PATH` ones included, inotify_add_watch(2) with `IN_DONT_FOLLOW`. `ENOENT` if no path
        /// leads to it any more, `ENOSPC` beyond the 8192 watches of a guest or those that the host has left. A watch
        /// that ends with its file counts until its last event is read.
        35 watch_add WatchAdd [] (SYS_inotify_add_watch SYS_inotify_rm_watch SYS_readlinkat SYS_fstat SYS_newfstatat SYS_lstat) {
            fd: RemoteFd, target: RemoteFd, mask: u32,
        } -> { descriptor: i32 }

        /// Ends a watch, inotify_rm_watch(2).
        36 watch_remove WatchRemove [] (SYS_inotify_rm_watch) { fd: RemoteFd, descriptor: i32 } -> {}

        /// The instance with which one process of the guest follows changes: when another one changes what is watched in it,
        /// that call is answered when the events have been read and `watch_heed` is called again, or after a quarter of a
        /// second. `EBUSY` while another process has it, `EOPNOTSUPP` where the host has none.
        37 watch_follow WatchFollow [] (SYS_inotify_rm_watch SYS_read SYS_fcntl) {} -> { fd: RemoteFd }

        /// Says that the events read before have been acted on, waits for more and reads them. `near` is 1 if they may be
        /// changes of the guest's other processes, which wait. `EINVAL` for anything but the instance of `watch_follow`.
        38 watch_heed WatchHeed<'a> [blocks] (SYS_read) { fd: RemoteFd, sink: Sink<'a> } -> { near: u32, filled: Filled }
    }

    /// Names: whatever walks a path to find, make or remove a file.
    family PathCalls {
        /// Opens or makes a file, openat(2).
        48 openat Openat<'a> [blocks clean] (SYS_openat SYS_newfstatat SYS_close) { dirfd: DirFd, path: &'a CStr, flags: OpenFlags, mode: Mode } -> { fd: RemoteFd }

        /// Makes a directory, mkdirat(2).
        49 mkdirat Mkdirat<'a> [changes clean] (SYS_mkdirat) { dirfd: DirFd, path: &'a CStr, mode: Mode } -> {}

        /// Makes a FIFO, socket, device or regular file, mknodat(2).
        50 mknodat Mknodat<'a> [changes clean] (SYS_mknodat) { dirfd: DirFd, path: &'a CStr, mode: Mode, device: u64 } -> {}

        /// Removes a name, unlinkat(2).
        51 unlinkat Unlinkat<'a> [changes clean] (SYS_unlinkat) { dirfd: DirFd, path: &'a CStr, flags: AtFlags } -> {}

        /// Renames, renameat2(2).
        52 renameat2 Renameat2<'a> [changes clean] (SYS_renameat2) {
            from: DirFd, from_path: &'a CStr, to: DirFd, to_path: &'a CStr, flags: u32,
        } -> {}

        /// Makes a hard link, linkat(2).
        53 linkat Linkat<'a> [changes clean] (SYS_linkat) {
            from: DirFd, from_path: &'a CStr, to: DirFd, to_path: &'a CStr, flags: AtFlags,
        } -> {}

        /// Makes a symbolic link, symlinkat(2). The target is stored as it is.
        54 symlinkat Symlinkat<'a> [changes clean] (SYS_symlinkat) { target: &'a CStr, dirfd: DirFd, path: &'a CStr } -> {}

        /// Reads a symbolic link, readlinkat(2), as it is stored.
        55 readlinkat Readlinkat<'a> [retry clean] (SYS_readlinkat) { dirfd: DirFd, path: &'a CStr, sink: Sink<'a> } -> { filled: Filled }

        /// Finds one name in a directory without following it: an `O_PATH` descriptor and its `struct statx`. The name
        /// is one component: empty, `..` or with a `/` it is `EINVAL`.
        56 walk Walk<'a> [clean] (SYS_openat SYS_statx SYS_close) { dirfd: DirFd, name: &'a CStr, sink: Sink<'a> } -> { fd: RemoteFd, filled: Filled }

        /// The path in the view by which an open file can be reached, `O_PATH` ones included, without a NUL. `ENOENT` if no path
        /// leads to it any more.
        57 path_of PathOf<'a> [retry clean] (SYS_readlinkat SYS_fstat SYS_newfstatat SYS_lstat) { fd: RemoteFd, sink: Sink<'a> } -> { filled: Filled }
    }

    /// Metadata: what a file is, and changes to that. An empty path with `AT_EMPTY_PATH` means an open file; with
    /// `AT_SYMLINK_NOFOLLOW` as well it means the inode of the descriptor, which may then be an `O_PATH` one.
    family MetaCalls {
        /// Metadata, statx(2): a `struct statx`. `AT_EMPTY_PATH` asks for the descriptor itself.
        64 statx Statx<'a> [retry clean] (SYS_statx) { dirfd: DirFd, path: &'a CStr, flags: AtFlags, mask: u32, sink: Sink<'a> } -> { filled: Filled }

        /// The file system that holds a file, statfs(2): a `struct statfs`. An empty path asks for the descriptor's.
        65 statfs Statfs<'a> [retry clean] (SYS_statfs SYS_fstatfs) { dirfd: DirFd, path: &'a CStr, sink: Sink<'a> } -> { filled: Filled }

        /// Whether access would be granted, faccessat2(2).
        66 faccessat2 Faccessat2<'a> [retry clean] (SYS_faccessat2) { dirfd: DirFd, path: &'a CStr, mode: i32, flags: AtFlags } -> {}

        /// Changes the permission bits, fchmodat2(2). With an empty path and `AT_EMPTY_PATH` alone those of an open file, fchmod(2);
        /// with `AT_SYMLINK_NOFOLLOW` too those of what a descriptor names, whatever it was opened for.
        67 fchmodat2 Fchmodat2<'a> [retry changes clean] (SYS_fchmodat2 SYS_fchmodat SYS_fchmod) { dirfd: DirFd, path: &'a CStr, mode: Mode, flags: AtFlags } -> {}

        /// Changes owner and group, fchownat(2); -1 keeps one. Flags as for `fchmodat2`.
        68 fchownat Fchownat<'a> [retry changes clean] (SYS_fchownat SYS_fchown) { dirfd: DirFd, path: &'a CStr, uid: GuestUid, gid: GuestGid, flags: AtFlags } -> {}

        /// Sets the times, utimensat(2). An empty path means the descriptor itself.
        69 utimensat Utimensat<'a> [changes clean] (SYS_utimensat) { dirfd: DirFd, path: &'a CStr, times: Times, flags: AtFlags } -> {}

        /// Sets the length of a named file, truncate(2).
        70 truncate Truncate<'a> [retry changes clean] (SYS_truncate SYS_newfstatat SYS_openat SYS_close) { path: &'a CStr, len: i64 } -> {}

        /// Reads an extended attribute, getxattr(2), lgetxattr(2) or, with an empty path, fgetxattr(2). A capacity of 0 asks for the size.
        71 getxattr Getxattr<'a> [retry clean] (SYS_getxattr SYS_lgetxattr SYS_fgetxattr SYS_getxattrat) {
            dirfd: DirFd, path: &'a CStr, flags: AtFlags, name: &'a CStr, sink: Sink<'a>,
        } -> { size: u64, filled: Filled }

        /// Sets an extended attribute, setxattr(2), lsetxattr(2) or, with an empty path, fsetxattr(2).
        72 setxattr Setxattr<'a> [changes clean] (SYS_setxattr SYS_lsetxattr SYS_fsetxattr SYS_setxattrat) {
            dirfd: DirFd, path: &'a CStr, flags: AtFlags, name: &'a CStr, value: Source<'a>, create: i32,
        } -> {}

        /// Lists the names of extended attributes, listxattr(2), llistxattr(2) or flistxattr(2). A capacity of 0 asks for the size.
        73 listxattr Listxattr<'a> [retry clean] (SYS_listxattr SYS_llistxattr SYS_flistxattr SYS_listxattrat) {
            dirfd: DirFd, path: &'a CStr, flags: AtFlags, sink: Sink<'a>,
        } -> { size: u64, filled: Filled }

        /// Removes an extended attribute, removexattr(2), lremovexattr(2) or fremovexattr(2).
        74 removexattr Removexattr<'a> [changes clean] (SYS_removexattr SYS_lremovexattr SYS_fremovexattr SYS_removexattrat) {
            dirfd: DirFd, path: &'a CStr, flags: AtFlags, name: &'a CStr,
        } -> {}

        /// The metadata that programs ask for, fstatat(2), which fits into less than a `struct statx`. An empty path with
        /// `AT_EMPTY_PATH` asks for the descriptor itself.
        75 stat Stat<'a> [retry clean] (SYS_newfstatat SYS_fstat) { dirfd: DirFd, path: &'a CStr, flags: AtFlags } -> { stat: Metadata }
    }

    /// Host programs: how they are started, fed and waited for. A job is a program and its process group; its number is the
    /// session's own. Which programs may be started, as whom and with what, is the host's policy.
    family ExecCalls {
        /// Makes a pipe, pipe2(2); `O_CLOEXEC` and `O_NONBLOCK` are the only flags.
        128 pipe Pipe [clean] (SYS_pipe2) { flags: OpenFlags } -> { reader: RemoteFd, writer: RemoteFd }

        /// Makes a file of so many zeros in memory, 4 MiB at most, for the words of an `exec`; `write` fills it, always at an offset.
        /// It cannot be duplicated, shared, inherited or opened anew, nor be given attributes; a process has at most 4 (`EMFILE`), the processes of a guest
        /// together 64 MiB (`EAGAIN`).
        129 scratch Scratch [clean] (SYS_memfd_create SYS_ftruncate SYS_fcntl SYS_close) { len: u64 } -> { fd: RemoteFd }

        /// Makes a terminal of this size (characters, and pixels or 0), pty(7): its master. `EACCES` where no program may be
        /// started.
        130 pty_open PtyOpen [clean] (SYS_sendmsg SYS_recvmsg) { rows: u32, columns: u32, xpixels: u32, ypixels: u32 } -> { fd: RemoteFd }

        /// Changes a terminal's size, `TIOCSWINSZ` of ioctl_tty(2): the foreground process group gets SIGWINCH if it is another.
        131 pty_resize PtyResize [retry clean] (SYS_ioctl) { fd: RemoteFd, rows: u32, columns: u32, xpixels: u32, ypixels: u32 } -> {}

        /// Starts a program in a session and process group of its own, execve(2), in the shadow's working directory and with its
        /// umask. The words stand in a `scratch`: two 32-bit little-endian counts, then so many arguments, the first of which
        /// names the program (looked up in the policy's `PATH` if it holds no slash), then so many `NAME=VALUE` that are offered
        /// to the environment; each is ended by a NUL. From then on the scratch cannot be written any more (`EPERM`). Each stream is an
        /// open file, -1 for `/dev/null`, or a terminal's master, for which the program gets the terminal. Flag 1: that
        /// terminal controls the program's session; flag 2: and the program begins in its background. `beside` is 0, or a job
        /// whose session and process group the program joins instead of its own, without these flags: the programs of one pipeline.
        /// Flag 4: the answer does not wait until the program runs, `started` does, and until that has answered the job is good
        /// for `beside` alone.
        ///
        /// `EACCES` if the policy forbids it (`refusal` says why), `ENOENT`, `ENOEXEC` and the like as for execve(2), `EAGAIN` beyond the guest's
        /// number of jobs or 64 whose start nobody has waited for, `EINVAL` for malformed words, `ESRCH` if there is no such job beside or it is being ended, `EIO` if the program cannot be launched or written down.
        132 exec Exec [clean] (SYS_openat SYS_fstat SYS_newfstatat SYS_fcntl SYS_close SYS_sendmsg SYS_recvmsg) {
            arguments: RemoteFd, stdin: RemoteFd, stdout: RemoteFd, stderr: RemoteFd, flags: u32, beside: u32,
        } -> { job: u32 }

        /// Waits for a change of a job's state and takes it, waitpid(2): its end always, which stays until `forget`, a stop with
        /// `WUNTRACED`, a continuation with `WCONTINUED`. With `WNOHANG`, none is an answer. `ECHILD` if there is no such job.
        133 wait Wait [blocks clean] (SYS_futex) { job: u32, options: i32 } -> { state: JobState }

        /// Sends a signal to a job's process group, kill(2); 0 only asks. `ESRCH` if there is no such job; one that has ended is
        /// there until `forget`.
        134 signal Signal [clean] (SYS_sendmsg SYS_recvmsg) { job: u32, signal: i32 } -> {}

        /// Lets go of a job that has ended; until then nobody else gets its process id. `EBUSY` if it has not, `ECHILD` if there
        /// is no such job.
        135 forget Forget [clean] (SYS_sendmsg) { job: u32 } -> {}

        /// Changes the working directory to that of a named session of the guest (at most 255 bytes), or, while none has been kept
        /// under that name, to the home directory of the user of programs (`/` if the view holds it not). `kept` is 1 or 0. `EACCES` where no program
        /// may be started.
        136 enter_session EnterSession<'a> [clean] (SYS_sendmsg SYS_recvmsg SYS_fchdir SYS_chdir SYS_close) { name: &'a CStr } -> { kept: u32 }

        /// Keeps the working directory as that of a named session, for `enter_session` of any process of the guest.
        137 keep_session KeepSession<'a> [clean] (SYS_openat SYS_sendmsg SYS_recvmsg SYS_close) { name: &'a CStr } -> {}

        /// What the guest's policy says to its programs, as JSON: `allowed` (whether any program may be started), `user`, `pass`
        /// (names and patterns of variables that cross), `environment` (names that the host sets).
        138 exec_policy ExecPolicy<'a> [retry clean] () { sink: Sink<'a> } -> { filled: Filled }

        /// Names of programs that begin so and that the policy does not refuse by their names, for completion: sorted, each
        /// ended by a NUL, as many as fit.
        139 complete Complete<'a> [retry clean] (SYS_sendmsg SYS_recvmsg SYS_pread64 SYS_close) { text: &'a CStr, sink: Sink<'a> } -> { filled: Filled }

        /// Why the last `exec` of these words was refused: one line for people, which names the cure, cut to what fits. Empty where
        /// its errno says all, `EINVAL` if this is no `scratch`.
        140 refusal Refusal<'a> [retry clean] () { arguments: RemoteFd, sink: Sink<'a> } -> { filled: Filled }

        /// Takes over a pipe of the guest process's own, which it has sent with the byte 255 over its socket, so that a program
        /// uses it as it is. `EINVAL` if what was sent is no pipe, `EAGAIN` if nothing was, `EMFILE` if there is no room for it.
        /// Of another kernel no pipe can be sent.
        141 take_pipe TakePipe [clean] (SYS_recvmsg SYS_fcntl SYS_fstatfs SYS_close SYS_futex) {} -> { fd: RemoteFd }

        /// Moves a job to the background of the terminal that controls its session, where it stops when it reads, or back to the
        /// foreground, tcsetpgrp(3), where it goes on: it is the process group that was there before that gets it. `ESRCH` if
        /// there is no such job.
        142 foreground Foreground [clean] (SYS_sendmsg SYS_recvmsg) { job: u32, own: u32 } -> {}

        /// Waits for a change of a job's state and takes it, as `wait` does, or until a file is ready, poll(2), whatever comes first:
        /// for who waits for several things with one lane. `files` are packed pairs of a 32-bit descriptor and 32 bits of events
        /// (`POLLIN`, `POLLOUT`), at most 32 (`EINVAL`); `ready` has a bit for each of them, set for one that has failed, has been
        /// hung up or is not open, too. The state is none where there is no change. With the option 0x10000 the job is let go of
        /// together with its end, as by `forget`.
        143 await_job AwaitJob<'a> [blocks clean] (SYS_ppoll SYS_eventfd2 SYS_read SYS_write SYS_close SYS_futex) {
            job: u32, options: i32, files: Source<'a>,
        } -> { state: JobState, ready: u32 }

        /// Waits until a program runs that was started with flag 4 of `exec`, and answers once as that would have: `ESRCH` if no such
        /// job is on its way, or if the one beside which it was to start has failed. `refusal` of the words, if these are open
        /// still, says why the policy forbids it.
        144 started Started [clean] (SYS_futex) { job: u32, arguments: RemoteFd } -> {}
    }
}

/// A call and its answer, written as a trace shows them.
pub struct Trace<'t> {
    /// The call.
    pub call: Message,
    /// A private copy of the call's payload.
    pub payload: &'t [u8],
    /// The answer.
    pub answer: Message,
}

impl fmt::Display for Trace<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A trace keeps only the head of long data; the rest reads as zeros.
        let mut payload = self.payload.to_vec();
        payload.resize(
            payload
                .len()
                .max((self.call.payload as usize).min(crate::region::ARENA)),
            0,
        );
        show_call(self.call, Window::of(&mut payload), f)?;
        f.write_str(" = ")?;
        show_reply(self.call.code, self.answer, f)
    }
}

/// The host system calls that serving every op needs.
pub fn syscalls() -> Vec<i64> {
    syscalls_of(|_| true)
}

/// The host system calls that serving some of the ops needs.
pub fn syscalls_of(served: impl Fn(Op) -> bool) -> Vec<i64> {
    let mut all: Vec<i64> = Op::ALL
        .iter()
        .filter(|op| served(**op))
        .flat_map(|op| op.spec().syscalls)
        .copied()
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn rows_keep_the_rules_of_the_table() {
        let mut numbers = HashSet::new();
        let mut names = HashSet::new();
        for op in Op::ALL {
            let spec = op.spec();
            assert!(
                numbers.insert(spec.number),
                "{} reuses number {}",
                spec.name,
                spec.number
            );
            assert!(names.insert(spec.name), "{} stands twice", spec.name);
            assert_eq!(
                spec.number >= 128,
                spec.family == "ExecCalls",
                "{} takes a number kept for others",
                spec.name
            );
            assert!(
                !spec.doc.trim().is_empty(),
                "{} has no documentation",
                spec.name
            );
            assert_eq!(Op::from_number(spec.number.into()), Some(*op));
        }
    }

    #[test]
    fn traces_read_like_strace() {
        let mut chunk = [0; 64];
        let window = Window::of(&mut chunk);
        let mut writer = Writer::new(Op::Openat as u32, request::Openat::SCALARS, window);
        let request = request::Openat {
            dirfd: DirFd::CWD,
            path: c"/tmp/\x1b[0m",
            flags: OpenFlags(libc::O_CLOEXEC),
            mode: Mode(0o644),
        };
        request.encode(&mut writer).unwrap();
        let call = writer.finish();
        let ok = answer(Ok(reply::Openat { fd: RemoteFd(5) }), window);
        let trace = Trace {
            call,
            payload: b"/tmp/\x1b[0m\0",
            answer: ok,
        };
        assert_eq!(
            trace.to_string(),
            r#"openat(AT_FDCWD, "/tmp/\x1b[0m", O_CLOEXEC, 0o644) = 5"#
        );
        let failed = answer::<reply::Openat>(Err(Errno(libc::ENOENT)), window);
        let trace = Trace {
            call,
            payload: b"",
            answer: failed,
        };
        assert!(
            trace
                .to_string()
                .ends_with("= -1 (No such file or directory (os error 2))"),
            "{trace}"
        );
    }
}
