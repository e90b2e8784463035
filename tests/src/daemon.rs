//! A hostd of the test's own, in a directory of its own, gone when the test is.
#![allow(unsafe_code)]

use hostcall::client::{Client, Options};
use hostcall::types::Token;
use hostd::server::admin::{GuestStatus, Status};
use nix::sys::resource::{setrlimit, Resource};
use serde_json::{json, Value};
use std::collections::BTreeSet;
use std::ops::Deref;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Longest wait for anything that should come at once; only a hang reaches it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Longest file that a guest may make, bytes, unless its test says otherwise.
const LONGEST: u64 = 256 << 20;

/// A program of the workspace, beside the test's own executable.
///
/// # Panics
/// It has not been built.
pub fn program(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("the test's own path");
    let places = own
        .ancestors()
        .skip(1)
        .take(2)
        .map(|directory| directory.join(name));
    let found = places.into_iter().find(|path| path.is_file());
    found.unwrap_or_else(|| {
        panic!("{name} is not built; run `cargo build --workspace` first (`make test` does)")
    })
}

/// The usual exports: `export/` for whatever a test does, `good/` for the [witness](crate::witness), both read-write.
pub fn exports(directory: &Path) -> Value {
    json!([{"path": directory.join("export"), "mode": "rw"}, {"path": directory.join("good"), "mode": "rw"}])
}

/// Waits until `condition` holds.
///
/// # Panics
/// It does not within [`PATIENCE`].
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A directory that is removed with all it holds.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// A fresh directory.
    pub fn new() -> Scratch {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "hostcall-test-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a scratch directory");
        Scratch(path.canonicalize().expect("its real path"))
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Scratch::new()
    }
}

impl Deref for Scratch {
    type Target = Path;
    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A running `hostd serve`.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    log: PathBuf,
    socket: PathBuf,
    /// Holds `export/` and `good/` (which the default configuration shows), the socket and the log.
    pub directory: Scratch,
}

/// What `hostd status --json` says of the hostd with a process id; `None` if it is not there.
pub fn status_of(pid: i32) -> Option<Status> {
    let output = Command::new(program("hostd"))
        .args(["status", "--json"])
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let all: Vec<Status> = serde_json::from_slice(&output.stdout).ok()?;
    all.into_iter().find(|status| status.pid as i32 == pid)
}

impl Daemon {
    /// One guest that sees `export/` read-write.
    pub fn start() -> Daemon {
        Daemon::with_limits(json!({}))
    }

    /// The same with limits.
    pub fn with_limits(limits: Value) -> Daemon {
        Daemon::configured(|directory| json!({"exports": exports(directory), "limits": limits}))
    }

    /// One guest with a configuration that depends on the directory; `attach` is added if it is missing.
    pub fn configured(guest: impl FnOnce(&Path) -> Value) -> Daemon {
        Daemon::with_room(LONGEST, guest)
    }

    /// The same, whose guest may make files of so many bytes.
    pub fn with_room(longest: u64, guest: impl FnOnce(&Path) -> Value) -> Daemon {
        Daemon::launch_with_room(longest, |directory, socket| {
            let mut guest = guest(directory);
            guest
                .as_object_mut()
                .expect("a guest is an object")
                .entry("attach")
                .or_insert(json!({"local": socket}));
            json!({"guests": {"t": guest}})
        })
    }

    /// A whole configuration, made for a directory and the path of the first guest's socket.
    pub fn launch(config: impl FnOnce(&Path, &Path) -> Value) -> Daemon {
        Daemon::launch_with_room(LONGEST, config)
    }

    fn launch_with_room(longest: u64, config: impl FnOnce(&Path, &Path) -> Value) -> Daemon {
        let directory = Scratch::new();
        let log = std::fs::File::create(directory.join("log")).expect("a log");
        Daemon::serve(directory, log.into(), longest, config)
    }

    /// The same with a standard error of its own, so that [`log`](Daemon::log) stays empty.
    pub fn launch_logging(stderr: Stdio, config: impl FnOnce(&Path, &Path) -> Value) -> Daemon {
        Daemon::serve(Scratch::new(), stderr, LONGEST, config)
    }

    fn serve(
        directory: Scratch,
        stderr: Stdio,
        longest: u64,
        config: impl FnOnce(&Path, &Path) -> Value,
    ) -> Daemon {
        for name in ["export", "good"] {
            std::fs::create_dir(directory.join(name)).expect("an export");
        }
        let (log, socket, file) = (
            directory.join("log"),
            directory.join("guest.sock"),
            directory.join("config.json"),
        );
        let config = config(&directory, &socket);
        std::fs::write(&file, config.to_string()).expect("a configuration");
        let mut command = Command::new(program("hostd"));
        command
            .args(["serve", "--config"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr);
        // SAFETY: only system calls between fork and exec. Hostile calls must not fill this machine's disk, and a
        // test that is killed must not leave its hostd behind.
        unsafe {
            command.pre_exec(move || {
                setrlimit(Resource::RLIMIT_FSIZE, longest, longest)?;
                nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
                Ok(())
            });
        }
        let child = command.spawn().expect("hostd starts");
        let daemon = Daemon {
            child,
            log,
            socket,
            directory,
        };
        let ready = || {
            daemon.try_status().is_some_and(|status| {
                status
                    .guests
                    .iter()
                    .all(|guest| guest.spares == 4 || guest.failed.is_some())
            })
        };
        eventually(&format!("hostd is ready: {}", daemon.log()), ready);
        daemon
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// Path of a file in the export.
    pub fn export(&self, name: &str) -> PathBuf {
        self.directory.join("export").join(name)
    }

    /// The guest's socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Lines of the log that hold `text`.
    pub fn logged(&self, text: &str) -> usize {
        self.log()
            .lines()
            .filter(|line| line.contains(text))
            .count()
    }

    fn try_status(&self) -> Option<Status> {
        status_of(self.pid())
    }

    /// What `hostd status --json` says of the first guest.
    pub fn status(&self) -> GuestStatus {
        self.guests().remove(0)
    }

    /// What it says of all guests.
    pub fn guests(&self) -> Vec<GuestStatus> {
        self.whole_status().guests
    }

    /// All that it says.
    pub fn whole_status(&self) -> Status {
        let mut found = None;
        eventually("hostd answers `hostd status`", || {
            found = self.try_status();
            found.is_some()
        });
        found.expect("just seen")
    }

    /// Begins a session from this process.
    pub fn attach(&self) -> Client {
        self.try_attach(None).expect("attached")
    }

    /// Begins or takes over a session.
    pub fn try_attach(
        &self,
        resume: Option<Token>,
    ) -> Result<Client, hostcall::attach::AttachError> {
        attach_to(&self.socket, resume)
    }

    /// What must not grow: descriptors of hostd, its descendants (zygotes and shadows), and its guests' sessions.
    pub fn footprint(&self) -> Footprint {
        Footprint::of(&self.whole_status())
    }

    /// The footprint once it stays what it is: spare shadows are made, or made anew, a moment after they were needed, and those
    /// beyond the usual end half a second later.
    pub fn settled_footprint(&self) -> Footprint {
        let mut before = self.footprint();
        eventually("hostd has its spare shadows", || {
            std::thread::sleep(Duration::from_millis(600));
            let now = self.footprint();
            std::mem::replace(&mut before, now) == now
        });
        before
    }

    /// Waits until the footprint is back to what it was.
    pub fn settles_to(&self, before: &Footprint) {
        let mut now = self.footprint();
        let start = Instant::now();
        while now != *before {
            assert!(
                start.elapsed() < PATIENCE,
                "hostd keeps {now:?} where it had {before:?}; log:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(50));
            now = self.footprint();
        }
    }
}

/// What a hostd holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// Open descriptors of hostd itself, without those of tools that ask it something.
    pub fds: usize,
    /// Those of them that are shared memory.
    pub memfds: usize,
    /// Zygotes and shadows.
    pub processes: usize,
    /// Guest processes served.
    pub sessions: usize,
}

impl Footprint {
    /// That of the hostd whose status this is.
    pub fn of(status: &Status) -> Footprint {
        let pid = status.pid as i32;
        let fds = lasting_fds(pid);
        let is_memfd =
            |(_, target): &&(PathBuf, PathBuf)| target.to_string_lossy().starts_with("/memfd:");
        let ours = |pid: &i32| {
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            ["zygote", "shadow"].contains(&name.trim_end())
        };
        let guests = status.guests.iter();
        Footprint {
            fds: fds.len(),
            memfds: fds.iter().filter(is_memfd).count(),
            processes: descendants(pid).into_iter().filter(ours).count(),
            sessions: guests.map(|guest| guest.sessions.len()).sum(),
        }
    }
}

/// Descriptors of a hostd, but for the connections of tools: every `hostd status` visits all hostds of its user, so
/// tests that run at the same time see each other's.
fn lasting_fds(pid: i32) -> Vec<(PathBuf, PathBuf)> {
    let open = || -> BTreeSet<(PathBuf, PathBuf)> {
        let entries = std::fs::read_dir(format!("/proc/{pid}/fd"));
        let paths = entries.into_iter().flatten().flatten();
        paths
            .filter_map(|entry| Some((entry.path(), entry.path().read_link().ok()?)))
            .collect()
    };
    // Sockets are looked up in between: one that comes or goes meanwhile is in one of the two lists only.
    let before = open();
    let sockets = std::fs::read_to_string("/proc/net/unix").unwrap_or_default();
    let control = format!("@hostcall/{}/{pid}", nix::unistd::geteuid());
    let tools: BTreeSet<PathBuf> = sockets
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|columns| columns.last() == Some(&control.as_str()) && columns.len() == 8)
        .map(|columns| PathBuf::from(format!("socket:[{}]", columns[6])))
        .collect();
    before
        .intersection(&open())
        .filter(|(_, target)| !tools.contains(target))
        .cloned()
        .collect()
}

/// Begins or takes over a session at a socket.
pub fn attach_to(
    socket: &Path,
    resume: Option<Token>,
) -> Result<Client, hostcall::attach::AttachError> {
    // The client finds its host by the environment, which all threads of a test share.
    static ENVIRONMENT: Mutex<()> = Mutex::new(());
    let _guard = ENVIRONMENT
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    std::env::set_var("HOSTCALL_ATTACH", socket);
    Client::attach(&Options {
        resume,
        umask: 0o22,
    })
}

/// Ends a client's session. (A client itself lives as long as its program.)
pub fn leave(client: Client) {
    // SAFETY: the client is owned, so nobody else uses it, and it is gone after this.
    unsafe { client.abandon() }
}

/// Children, grandchildren and so on.
pub fn descendants(pid: i32) -> Vec<i32> {
    let children =
        std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let children: Vec<i32> = children
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect();
    children
        .iter()
        .flat_map(|pid| descendants(*pid))
        .chain(children.clone())
        .collect()
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let family = descendants(self.pid());
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!(
                "log of hostd:\n{}",
                self.log()
                    .lines()
                    .rev()
                    .take(40)
                    .collect::<Vec<_>>()
                    .join("\n")
            );
        }
        // Zygotes and shadows end with hostd; that they do is asserted where it is the point.
        let start = Instant::now();
        while family
            .iter()
            .any(|pid| Path::new(&format!("/proc/{pid}")).exists())
            && start.elapsed() < Duration::from_secs(5)
        {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}
