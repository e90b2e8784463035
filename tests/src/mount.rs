//! A hostfs of the test's own, in a mount namespace of its own, so that no other process of the machine sees the mount and
//! the shadows, which may see all of `/`, do not find themselves in it.
#![allow(unsafe_code)]

use crate::confined::own_mounts;
use crate::daemon::{eventually, program, Daemon};
use nix::sched::{setns, unshare, CloneFlags};
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A hostd with `export/`, a mount of it that the calling thread sees, and where the mount shows `export/`.
pub fn mounted(options: &str) -> (Daemon, Mount, PathBuf) {
    let daemon = Daemon::start();
    let mount = Mount::of(&daemon, options);
    mount.enter();
    let guest = mount.path(daemon.export(""));
    (daemon, mount, guest)
}

/// Why a call on the mount fails.
pub fn errno<T>(result: std::io::Result<T>) -> Option<i32> {
    result.err().and_then(|error| error.raw_os_error())
}

/// A mount that goes when dropped.
#[derive(Debug)]
pub struct Mount {
    child: Child,
    namespace: File,
    log: PathBuf,
    /// Where it is mounted.
    pub mountpoint: PathBuf,
}

impl Mount {
    /// Mounts what a hostd exports, with options of `-o`.
    pub fn of(daemon: &Daemon, options: &str) -> Mount {
        let mountpoint = daemon.directory.join("host");
        if !mountpoint.exists() {
            std::fs::create_dir(&mountpoint).expect("a mountpoint");
        }
        let log = daemon.directory.join("hostfs.log");
        let mut command = Command::new(program("hostfs"));
        command
            .arg(daemon.socket())
            .arg(&mountpoint)
            .args(["--foreground", "-o", options])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).expect("a log"));
        // SAFETY: only system calls between fork and exec.
        unsafe {
            command.pre_exec(|| {
                own_mounts();
                nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
                Ok(())
            });
        }
        let mut child = command.spawn().expect("hostfs starts");
        let root = PathBuf::from(format!("/proc/{}/root", child.id()));
        let status = root
            .join(mountpoint.strip_prefix("/").expect("absolute"))
            .join(".hostcall/status");
        let said = || std::fs::read_to_string(&log).unwrap_or_default();
        eventually("hostfs mounts", || {
            let ended = child.try_wait().expect("its state");
            assert!(ended.is_none(), "hostfs ended: {}", said());
            status.exists()
        });
        let namespace = File::open(format!("/proc/{}/ns/mnt", child.id())).expect("its namespace");
        Mount {
            child,
            namespace,
            log,
            mountpoint,
        }
    }

    /// Brings the calling thread into the namespace of the mount, and the processes that it starts.
    pub fn enter(&self) {
        unshare(CloneFlags::CLONE_FS).expect("a working directory of the thread's own");
        setns(&self.namespace, CloneFlags::CLONE_NEWNS).expect("the mount's namespace");
    }

    /// The same for a forked process that has kept no descriptors.
    pub fn join(&self) {
        let namespace = File::open(format!("/proc/{}/ns/mnt", self.pid()));
        let namespace = namespace.expect("the mount's namespace");
        setns(&namespace, CloneFlags::CLONE_NEWNS).expect("the mount's namespace");
    }

    /// Where the mount shows a path of the host.
    pub fn path(&self, host: impl AsRef<Path>) -> PathBuf {
        let host = host.as_ref();
        self.mountpoint.join(host.strip_prefix("/").unwrap_or(host))
    }

    /// The process id of hostfs.
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// What hostfs has said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits for the end of hostfs; its exit code, if it was not killed.
    pub fn wait(&mut self) -> Option<i32> {
        let mut code = None;
        eventually("hostfs ends", || {
            let ended = self.child.try_wait().expect("its state");
            code = ended.and_then(|status| status.code());
            ended.is_some()
        });
        code
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Where the calling thread has entered the namespace: nothing must keep the directory from being removed.
        let _ = nix::mount::umount2(&self.mountpoint, nix::mount::MntFlags::MNT_DETACH);
        if std::thread::panicking() {
            eprintln!("hostfs said: {}", self.log());
        }
    }
}
