//! Where workers run: on the host, in a local guest, in a user-mode Linux guest.

use crate::task::{Answer, Task};
use crate::worker::WORKER;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// Where a worker runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On the host, without any hostcall.
    Host,
    /// In namespaces of the host's kernel.
    Local,
    /// The same, with a worker that is never asked for anything of the host.
    Aloof,
    /// The same without the preload library.
    Bare,
    /// In a kernel of its own.
    Uml,
}

impl Place {
    /// As results name it.
    pub fn name(self) -> &'static str {
        match self {
            Place::Host => "host",
            Place::Local => "local",
            Place::Aloof => "aloof",
            Place::Bare => "bare",
            Place::Uml => "uml",
        }
    }
}

/// Where the worker lies in a guest.
const PROGRAM: &str = "/run/hostcall/bench";

/// Mounts in a guest with its own kernel: that kernel's own way to host files, whose root is the jail that UML runs in, and
/// hostfs in each cache mode. Then becomes the worker.
fn boot(place: Place) -> String {
    let mut script = String::new();
    if place == Place::Uml {
        script += &format!("mkdir -p {HOSTFS}; mount -t hostfs none {HOSTFS} -o /root; ");
        for (cache, mountpoint) in MOUNTED {
            script += &format!("mkdir -p {mountpoint}; {SERVER} {mountpoint} -o cache={cache}; ");
        }
    }
    if place == Place::Bare {
        script += "unset LD_PRELOAD; ";
    }
    script + &format!("exec {PROGRAM} {WORKER}")
}

/// A shell in a guest. The library keeps itself in the environment of whatever a program with it executes, so where it is
/// to be left out a static one begins.
fn shell(place: Place) -> &'static [&'static str] {
    match place {
        Place::Bare => &["/bin/busybox", "sh"],
        _ => &["/bin/sh"],
    }
}

/// hostfs in a guest.
const SERVER: &str = "/run/hostcall/bin/hostfs";
/// Where [`boot`] mounts hostfs in a UML guest beside the prefix, by cache mode.
pub const MOUNTED: [(&str, &str); 3] = [
    ("none", "/run/mount-none"),
    ("auto", "/run/mount-auto"),
    ("always", "/run/mount-always"),
];
/// Where [`boot`] mounts the host's root by UML's hostfs.
pub const HOSTFS: &str = "/run/hostfs";
/// Where host files appear in a guest.
pub const PREFIX: &str = "/host";

/// A running worker and all that it stands on.
#[derive(Debug)]
pub struct Worker {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
    place: Place,
}

/// A program of the workspace beside this one.
pub fn program(name: &str) -> Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let path = own.parent().unwrap_or(Path::new("/")).join(name);
    match path.is_file() {
        true => Ok(path),
        false => Err(format!(
            "{} is not built; run: cargo build --release --workspace",
            path.display()
        )),
    }
}

impl Worker {
    /// Starts a worker, and a guest around it; it may still be booting.
    pub fn start(place: Place) -> Result<Worker, String> {
        let own = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut command = match place {
            Place::Host => {
                let mut command = Command::new(&own);
                command.arg(WORKER);
                command
            }
            Place::Local | Place::Aloof | Place::Bare | Place::Uml => {
                let kind = if place == Place::Uml { "uml" } else { "local" };
                let mut copy = own.clone().into_os_string();
                copy.push(":");
                copy.push(PROGRAM);
                let mut command = Command::new(program("hostd")?);
                command
                    .args(["run", "--guest", kind, "--mount", PREFIX, "--copy"])
                    .arg(copy)
                    .arg("--")
                    .args(shell(place))
                    .args(["-c", &boot(place)]);
                command
            }
        };
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start a worker: {error}"))?;
        let (Some(to), Some(from)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("no pipes".to_owned());
        };
        Ok(Worker {
            child,
            to: Some(to),
            from: BufReader::new(from),
            place,
        })
    }

    /// Process id: of hostd for a guest.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Has the worker do a task.
    pub fn ask(&mut self, task: &Task) -> Answer {
        let lost =
            |error: std::io::Error| format!("the worker in {} is lost: {error}", self.place.name());
        let mut text = serde_json::to_vec(task).map_err(|error| error.to_string())?;
        text.push(b'\n');
        self.to
            .as_mut()
            .ok_or("the worker has ended")?
            .write_all(&text)
            .map_err(lost)?;
        let mut line = String::new();
        if self.from.read_line(&mut line).map_err(lost)? == 0 {
            return Err(format!("the worker in {} has ended", self.place.name()));
        }
        serde_json::from_str::<Answer>(&line).map_err(|error| format!("{error}: {line:?}"))?
    }
}

impl Drop for Worker {
    /// The end of its input ends a worker, and its end ends its guest.
    fn drop(&mut self) {
        drop(self.to.take());
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(10) {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
