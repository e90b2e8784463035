//! One directory of the host under several mounts: ours, and rivals that pass a directory through FUSE.
//!
//! They are mounted in a namespace of this program and its children, and go with it. Ours shows the directory at its
//! path on the host; a bind mount brings it as close to a mount's root as the rivals' are.

use crate::place::program;
use nix::mount::{mount, MsFlags};
use nix::sched::{unshare, CloneFlags};
use nix::sys::resource::{getrlimit, setrlimit, Resource};
use serde_json::json;
use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Source of libfuse's own example, as Debian's libfuse3-dev brings it.
const PASSTHROUGH: &str = "/usr/share/doc/libfuse3-dev/examples/passthrough_ll.c";

/// What a kernel may keep of a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cache {
    /// Nothing.
    None,
    /// Names and metadata for a second, data from open to close.
    Auto,
    /// Everything, writes included.
    Always,
}

/// Who serves the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Server {
    /// The host's own file system.
    Native,
    /// hostfs and a shadow.
    Ours(Cache),
    /// libfuse's `passthrough_ll`.
    Passthrough(Cache),
    /// bindfs.
    Bindfs,
}

/// A server and where it is mounted.
#[derive(Debug)]
struct Mount {
    children: Vec<Child>,
    path: PathBuf,
}

/// The directory and its mounts; all of it ends when this is dropped.
#[derive(Debug)]
pub struct Mounts {
    /// What is served.
    base: PathBuf,
    /// Holds the mount points and what else servers need.
    directory: PathBuf,
    mounts: HashMap<Server, Mount>,
}

fn failed<E: std::fmt::Display>(doing: &str) -> impl FnOnce(E) -> String + '_ {
    move |error| format!("{doing}: {error}")
}

impl Mounts {
    /// A fresh directory in `parent` is served.
    ///
    /// Must be called before this program has threads or children that are to see the mounts.
    pub fn new(parent: &Path) -> Result<Mounts, String> {
        unshare(CloneFlags::CLONE_NEWNS).map_err(failed("mounting takes root"))?;
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
            .map_err(failed("a mount namespace"))?;
        let own = |kind: &str| format!("hostcall-{kind}-{}", std::process::id());
        let base = parent.join(own("base"));
        // Elsewhere: what lies below /dev is taken for a device, not for a socket to attach to.
        let directory = std::env::temp_dir().join(own("mounts"));
        for path in [&base, &directory] {
            std::fs::create_dir_all(path).map_err(failed("a directory"))?;
        }
        // A rival holds a descriptor for each file that its kernel knows.
        let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).map_err(failed("limits"))?;
        setrlimit(Resource::RLIMIT_NOFILE, most, most).map_err(failed("limits"))?;
        Ok(Mounts {
            base,
            directory,
            mounts: HashMap::new(),
        })
    }

    /// What is served, as the host names it.
    pub fn base(&self) -> PathBuf {
        self.base.clone()
    }

    /// Where a server shows it; it is started when it is first wanted.
    pub fn path(&mut self, server: Server) -> Result<PathBuf, String> {
        if server == Server::Native {
            return Ok(self.base());
        }
        if let Some(mount) = self.mounts.get(&server) {
            return Ok(mount.path.clone());
        }
        let mount = self.start(server)?;
        let path = mount.path.clone();
        self.mounts.insert(server, mount);
        Ok(path)
    }

    fn start(&self, server: Server) -> Result<Mount, String> {
        let point = self.directory.join(format!("mount-{}", self.mounts.len()));
        std::fs::create_dir_all(&point).map_err(failed("a mount point"))?;
        match server {
            Server::Ours(cache) => self.ours(&point, cache),
            Server::Passthrough(cache) => {
                let options = match cache {
                    Cache::None => "cache=never",
                    Cache::Auto => "cache=auto",
                    Cache::Always => "cache=always,writeback",
                };
                let source = format!("source={},{options}", self.base().display());
                let mut command = Command::new(self.passthrough()?);
                command.arg("-f").args(["-o", &source]).arg(&point);
                mounted(vec![], command, point)
            }
            Server::Bindfs => {
                let mut command = Command::new("bindfs");
                command.arg("-f").arg(self.base()).arg(&point);
                mounted(vec![], command, point)
            }
            Server::Native => Err("nothing to start".to_owned()),
        }
    }

    fn ours(&self, point: &Path, cache: Cache) -> Result<Mount, String> {
        let name = match cache {
            Cache::None => "none",
            Cache::Auto => "auto",
            Cache::Always => "always",
        };
        let (socket, file) = (
            self.directory.join(format!("{name}.sock")),
            self.directory.join(format!("{name}.json")),
        );
        let exports = json!([{"path": self.base(), "mode": "rw"}]);
        let guest = json!({"attach": {"local": socket}, "exports": exports});
        let config = json!({"guests": {"bench": guest}});
        std::fs::write(&file, config.to_string()).map_err(failed("a configuration"))?;
        let hostd = Command::new(program("hostd")?)
            .args(["serve", "--config"])
            .arg(&file)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(failed("hostd"))?;
        until("hostd listens", || socket.exists())?;
        let whole = point.join("whole");
        std::fs::create_dir_all(&whole).map_err(failed("a mount point"))?;
        let mut command = Command::new(program("hostfs")?);
        command
            .arg(&socket)
            .arg(&whole)
            .args(["--foreground", "-o", &format!("cache={name}")]);
        let mut served = mounted(vec![hostd], command, whole)?;
        let base = self.base();
        let inside = served.path.join(base.strip_prefix("/").unwrap_or(&base));
        let shown = point.join("base");
        std::fs::create_dir_all(&shown).map_err(failed("a mount point"))?;
        let none = None::<&str>;
        mount(Some(&inside), &shown, none, MsFlags::MS_BIND, none)
            .map_err(failed("a bind mount"))?;
        served.path = shown;
        Ok(served)
    }

    /// Builds the example.
    fn passthrough(&self) -> Result<PathBuf, String> {
        let program = self.directory.join("passthrough_ll");
        if program.exists() {
            return Ok(program);
        }
        let built = Command::new("cc")
            .args([
                "-O2",
                "-D_FILE_OFFSET_BITS=64",
                "-I/usr/include/fuse3",
                "-o",
            ])
            .arg(&program)
            .args([PASSTHROUGH, "-lfuse3", "-lpthread"])
            .output()
            .map_err(failed("cc"))?;
        match built.status.success() {
            true => Ok(program),
            false => Err(format!(
                "passthrough_ll cannot be built; run: apt-get install libfuse3-dev\n{}",
                String::from_utf8_lossy(&built.stderr)
            )),
        }
    }
}

fn until(what: &str, mut condition: impl FnMut() -> bool) -> Result<(), String> {
    let start = Instant::now();
    while !condition() {
        if start.elapsed() > Duration::from_secs(20) {
            return Err(format!("in vain: {what}"));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Starts a server and waits until it is mounted.
fn mounted(mut children: Vec<Child>, mut command: Command, path: PathBuf) -> Result<Mount, String> {
    let device = |path: &Path| path.metadata().map(|metadata| metadata.dev()).ok();
    let before = device(&path);
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| format!("{:?}: {error}", command.get_program()));
    match child {
        Ok(child) => children.push(child),
        Err(error) => {
            end(&mut children);
            return Err(error);
        }
    }
    let ready = until("it is mounted", || {
        device(&path).is_some_and(|now| Some(now) != before)
    });
    if let Err(error) = ready {
        end(&mut children);
        return Err(format!("{:?}: {error}", command.get_program()));
    }
    Ok(Mount { children, path })
}

fn end(children: &mut Vec<Child>) {
    // Who was started last stands on who was started first.
    while let Some(mut child) = children.pop() {
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Drop for Mounts {
    fn drop(&mut self) {
        for mount in self.mounts.values_mut() {
            end(&mut mount.children);
        }
        // What is mounted is only seen from here; what stays is taken away without going through it.
        let _ = std::fs::remove_dir_all(&self.base);
        for mount in self.mounts.values() {
            for path in mount.path.ancestors().take(2) {
                let _ = nix::mount::umount2(path, nix::mount::MntFlags::MNT_DETACH);
            }
            let whole = mount.path.with_file_name("whole");
            let _ = nix::mount::umount2(&whole, nix::mount::MntFlags::MNT_DETACH);
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
