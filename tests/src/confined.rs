//! Forks processes, confines them as shadows are, and runs a test's attack inside.
//!
//! There are three ways to be confined: as root that stays root, as root that becomes `nobody`, and as an ordinary user.
//! Tests must be run by root; another user is told so and not passed over.
#![allow(unsafe_code)]

use hostd::config::{Access, Export, HostUser, Limits};
use hostd::shadow::sandbox::{self, Policy, Report};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::signal::Signal;
use nix::sys::wait::{waitpid, WaitStatus};
use nix::unistd::ForkResult;
use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use tempfile::TempDir;

/// As whom a shadow is confined.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum As {
    /// Root that stays root.
    Root,
    /// Root that becomes `nobody`.
    Dropped,
    /// `nobody` from the start.
    Ordinary,
}

/// The three ways.
pub const ALL: [As; 3] = [As::Root, As::Dropped, As::Ordinary];

/// Ends of the forked process.
#[derive(Debug, PartialEq)]
pub enum End {
    /// It returned this.
    Done(String),
    /// A signal ended it.
    Killed(Signal),
}

/// Held by whoever looks in the user database or forks: libc's own lock of that database, if taken while another thread
/// forks, stays taken in the child.
static USERS: Mutex<()> = Mutex::new(());
/// Whether this process is a child made here, which has one thread.
static FORKED: AtomicBool = AtomicBool::new(false);

fn users() -> Option<MutexGuard<'static, ()>> {
    let alone = FORKED.load(Ordering::Relaxed);
    (!alone).then(|| USERS.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Forks while nobody looks in the user database.
fn fork() -> ForkResult {
    let guard = users();
    // SAFETY: each caller's child keeps to its own code and ends with _exit or a signal; glibc keeps its allocator usable
    // over fork.
    let side = unsafe { nix::unistd::fork() }.unwrap();
    if side.is_child() {
        FORKED.store(true, Ordering::Relaxed);
    }
    drop(guard);
    side
}

/// Runs a function in a forked process with one thread and no descriptors but the standard ones. A panic in it is a panic
/// here.
pub fn forked(body: impl FnOnce() -> String) -> End {
    quiet_children();
    let (reader, writer) = nix::unistd::pipe().unwrap();
    let (mut reader, mut writer) = (fs::File::from(reader), fs::File::from(writer));
    match fork() {
        ForkResult::Child => {
            let pipe = writer.as_raw_fd() as u32;
            close_all_but(pipe);
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
            let text = match outcome {
                Ok(text) => format!("+{text}"),
                Err(panic) => {
                    let message = panic.downcast_ref::<String>().map(String::as_str);
                    let literal = panic.downcast_ref::<&str>().copied();
                    format!("-{}", message.or(literal).unwrap_or("panic"))
                }
            };
            let _ = writer.write_all(text.as_bytes());
            // SAFETY: ends the process without running the test harness's exit handlers.
            unsafe { libc::_exit(0) }
        }
        ForkResult::Parent { child } => {
            drop(writer);
            let mut text = String::new();
            reader.read_to_string(&mut text).unwrap();
            match waitpid(child, None).unwrap() {
                WaitStatus::Signaled(_, signal, _) => End::Killed(signal),
                _ => match text.strip_prefix('+') {
                    Some(text) => End::Done(text.to_owned()),
                    None => panic!("in the confined process: {}", &text[1.min(text.len())..]),
                },
            }
        }
    }
}

/// Keeps the panic hook from printing in forked processes, where another thread of the parent may hold the locks that
/// printing takes.
pub fn quiet_children() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let parent = std::process::id();
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if std::process::id() == parent {
                print(panic);
            }
        }));
    });
}

/// Closes all descriptors from 3 on but one: those of other tests, which would keep their pipes open.
pub fn close_all_but(kept: u32) {
    // SAFETY: called in forked and fresh processes only, where nothing uses these descriptors again.
    unsafe {
        if kept > 3 {
            libc::close_range(3, kept - 1, 0);
        }
        libc::close_range(kept + 1, u32::MAX, 0);
    }
}

/// Confines a forked process and runs a function in it.
pub fn confined(who: As, exports: &[Export], body: impl FnOnce(Report)) {
    confined_after(who, exports, || {}, body);
}

/// The same with something to do as root before: mounts, which the process makes in a namespace of its own.
pub fn confined_after(
    who: As,
    exports: &[Export],
    before: impl FnOnce(),
    body: impl FnOnce(Report),
) {
    require_root();
    let end = forked(|| {
        before();
        let report =
            sandbox::enter(&policy(who, exports)).unwrap_or_else(|error| panic!("{error}"));
        body(report);
        String::new()
    });
    assert_eq!(end, End::Done(String::new()), "as {who:?}");
}

/// Fails unless run by root.
pub fn require_root() {
    assert!(
        nix::unistd::geteuid().is_root(),
        "these tests confine processes of root and of nobody: run them as root"
    );
}

/// The policy for a way of running; becomes `nobody` first where that way asks for it.
pub fn policy(who: As, exports: &[Export]) -> Policy {
    let _users = users();
    let user = match who {
        As::Root => HostUser::calling().unwrap(),
        As::Dropped => HostUser::named("nobody").unwrap(),
        As::Ordinary => {
            turn_into(HostUser::named("nobody").unwrap());
            HostUser::calling().unwrap()
        }
    };
    Policy {
        user,
        callers: None,
        exports: exports.to_vec(),
        limits: Limits::default(),
    }
}

/// Becomes an ordinary user, as by a login.
pub fn become_nobody() {
    let _users = users();
    turn_into(HostUser::named("nobody").unwrap());
}

fn turn_into(user: HostUser) {
    let (uid, gid) = (user.uid.into(), user.gid.into());
    nix::unistd::setgroups(&[]).unwrap();
    nix::unistd::setresgid(gid, gid, gid).unwrap();
    nix::unistd::setresuid(uid, uid, uid).unwrap();
    // As after a login, whose exec makes the process dumpable again.
    nix::sys::prctl::set_dumpable(true).unwrap();
}

/// A scratch tree: `outside/secret` beside `rw/` and `ro/`, all of it open to everyone.
pub struct Tree {
    dir: TempDir,
}

impl Tree {
    #[allow(clippy::new_without_default)]
    /// Makes one in `/tmp`; it goes when dropped.
    pub fn new() -> Tree {
        let tree = Tree {
            dir: tempfile::Builder::new()
                .prefix("hostcall-sandbox-")
                .tempdir_in("/tmp")
                .unwrap(),
        };
        for dir in ["", "outside", "rw", "rw/inner", "ro", "ro/sub"] {
            fs::create_dir_all(tree.at(dir)).unwrap();
            fs::set_permissions(tree.at(dir), fs::Permissions::from_mode(0o777)).unwrap();
        }
        for file in [
            "outside/secret",
            "rw/file",
            "rw/inner/file",
            "ro/file",
            "ro/sub/file",
        ] {
            fs::write(tree.at(file), file).unwrap();
            fs::set_permissions(tree.at(file), fs::Permissions::from_mode(0o666)).unwrap();
        }
        tree
    }

    /// The path of something in it.
    pub fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    /// An export of something in it.
    pub fn export(&self, path: &str, mode: Access) -> Export {
        Export {
            path: self.at(path),
            mode,
        }
    }

    /// `rw/` and `ro/`, exported as they are called.
    pub fn both(&self) -> [Export; 2] {
        [self.export("rw", Access::Rw), self.export("ro", Access::Ro)]
    }
}

/// A read-write export.
pub fn rw(path: &str) -> Export {
    Export {
        path: path.into(),
        mode: Access::Rw,
    }
}

/// A read-only export.
pub fn ro(path: &str) -> Export {
    Export {
        path: path.into(),
        mode: Access::Ro,
    }
}

/// The error number of a failure.
pub fn errno_of<T>(result: io::Result<T>) -> Option<Errno> {
    result
        .err()
        .and_then(|error| error.raw_os_error())
        .map(Errno::from_raw)
}

/// The error number of opening a file to read, without waiting for a FIFO's writer.
pub fn open_errno(path: impl AsRef<Path>) -> Option<Errno> {
    let nonblocking = fs::OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path);
    errno_of(nonblocking)
}

/// The sorted names in a directory.
pub fn names(dir: impl AsRef<Path>) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// A mount namespace whose changes stay in the calling (forked) process.
pub fn own_mounts() {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
    let flags =
        rustix::mount::MountPropagationFlags::PRIVATE | rustix::mount::MountPropagationFlags::REC;
    rustix::mount::mount_change("/", flags).unwrap();
}

/// Mounts a new file system of a kind.
pub fn mount(kind: &str, place: &Path) {
    rustix::mount::mount(kind, place, kind, rustix::mount::MountFlags::empty(), None).unwrap();
}

/// A process that waits until it is dropped.
pub struct Bystander {
    /// Its number.
    pub pid: nix::unistd::Pid,
}

impl Bystander {
    /// Starts it, as root or as `nobody`.
    pub fn start(as_nobody: bool) -> Bystander {
        match fork() {
            ForkResult::Child => {
                close_all_but(3);
                if as_nobody {
                    become_nobody();
                }
                loop {
                    nix::unistd::pause();
                }
            }
            ForkResult::Parent { child } => Bystander { pid: child },
        }
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        let _ = nix::sys::signal::kill(self.pid, Signal::SIGKILL);
        let _ = waitpid(self.pid, None);
    }
}
