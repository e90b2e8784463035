//! What the contests share: workers, the other process of the floors, the clock's rate.

use crate::echo::Echo;
use crate::mounts::{Mounts, Server};
use crate::place::{Place, Worker};
use crate::script::Ground;
use crate::ssh::Ssh;
use crate::task::Call;
use crate::tree::{Job, Tree};
use hostcall::clock::ticks;
use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Everything that runs; all of it ends when this is dropped.
#[derive(Debug)]
pub struct Bench {
    workers: HashMap<&'static str, Worker>,
    echo: Option<Echo>,
    mounts: Result<Mounts, String>,
    tree: Option<Tree>,
    ground: Option<Ground>,
    ssh: Option<Ssh>,
    /// Rate of the processor's counter.
    pub ticks_per_second: f64,
    /// A file of the sequential contests' size, in the page cache.
    pub data: PathBuf,
}

impl Bench {
    /// Measures the clock and makes the file.
    pub fn new() -> Result<Bench, String> {
        let shared_memory = PathBuf::from("/dev/shm");
        let directory = if shared_memory.is_dir() {
            shared_memory
        } else {
            std::env::temp_dir()
        };
        let mounts = Mounts::new(&directory);
        let data = directory.join(format!("hostcall-bench-{}", std::process::id()));
        let blocks = crate::workload::BLOCKS as usize;
        std::fs::write(&data, vec![1u8; blocks << 20])
            .map_err(|error| format!("cannot write {}: {error}", data.display()))?;
        let (start, clock) = (ticks(), Instant::now());
        std::thread::sleep(Duration::from_millis(100));
        let ticks_per_second = (ticks() - start) as f64 / clock.elapsed().as_secs_f64();
        Ok(Bench {
            workers: HashMap::new(),
            echo: None,
            mounts,
            tree: None,
            ground: None,
            ssh: None,
            ticks_per_second,
            data,
        })
    }

    /// The worker in a place, which is started when it is first wanted.
    pub fn worker(&mut self, place: Place) -> Result<&mut Worker, String> {
        if !self.workers.contains_key(place.name()) {
            self.workers.insert(place.name(), Worker::start(place)?);
        }
        self.workers
            .get_mut(place.name())
            .ok_or_else(|| "no worker".to_owned())
    }

    /// A file for a call, as a server shows it.
    pub fn mounted_file(&mut self, server: Server, call: Call) -> Result<String, String> {
        let mounts = self.mounts.as_mut().map_err(|error| error.clone())?;
        let name = match call {
            Call::Read1m | Call::Write1m => "data",
            _ => "file",
        };
        let file = mounts.base().join(name);
        if !file.exists() {
            let blocks = crate::workload::BLOCKS as usize;
            let len = if name == "data" {
                blocks << 20
            } else {
                1 << 16
            };
            std::fs::write(&file, vec![1u8; len]).map_err(|error| error.to_string())?;
        }
        Ok(mounts.path(server)?.join(name).display().to_string())
    }

    /// How long a program takes on a tree that a server shows.
    pub fn tree_job(&mut self, server: Server, job: Job) -> Result<Duration, String> {
        let mounts = self.mounts.as_mut().map_err(|error| error.clone())?;
        let shown = mounts.path(server)?;
        self.tree()?.time(job, &shown)
    }

    /// The tree that servers show, in memory: how long a disk takes to make files is no matter of theirs.
    fn tree(&mut self) -> Result<&Tree, String> {
        let mounts = self.mounts.as_ref().map_err(|error| error.clone())?;
        if self.tree.is_none() {
            self.tree = Some(Tree::plant(&mounts.base())?);
        }
        self.tree.as_ref().ok_or_else(|| "no tree".to_owned())
    }

    /// The tree for a job that a worker does: that in memory for a job that writes, else one that UML's hostfs sees too.
    pub fn worker_tree(&mut self, job: Job) -> Result<&Tree, String> {
        match job.writes() {
            true => self.tree(),
            false => self.ground()?.tree(),
        }
    }

    /// Where the script's directories lie.
    pub fn ground(&mut self) -> Result<&Ground, String> {
        if self.ground.is_none() {
            self.ground = Some(Ground::new()?);
        }
        self.ground.as_ref().ok_or_else(|| "no ground".to_owned())
    }

    /// OpenSSH, with a connection.
    pub fn ssh(&mut self) -> Result<&Ssh, String> {
        if self.ssh.is_none() {
            self.ssh = Some(Ssh::start()?);
        }
        self.ssh.as_ref().ok_or_else(|| "no ssh".to_owned())
    }

    /// The other process of the floors.
    pub fn echo(&mut self) -> Result<&mut Echo, String> {
        if self.echo.is_none() {
            self.echo = Some(Echo::start(crate::rows::FILE)?);
        }
        self.echo.as_mut().ok_or_else(|| "no echo".to_owned())
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.data);
    }
}
