//! Programs that walk, read, copy, fill and remove a tree of 10,000 files.

use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Directories, and files in each of them.
const SHAPE: (u32, u32) = (100, 100);

/// What is done to the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Job {
    /// find(1), with sizes.
    Find,
    /// du(1).
    Du,
    /// What `git status` asks of each file, in a tree without changes.
    GitStatus,
    /// `tar x` of it.
    Untar,
    /// `rm -r` of a copy.
    Remove,
    /// `grep -r` for what is nowhere.
    Grep,
    /// `cp -r` of it.
    Copy,
}

impl Job {
    /// Whether files are made or removed.
    pub fn writes(self) -> bool {
        matches!(self, Job::Untar | Job::Remove | Job::Copy)
    }

    /// Does it where `shown` shows the tree's base; `copy` is the name of the copy that it makes or removes.
    pub fn perform(self, shown: &Path, copy: &str) -> Result<(), String> {
        match self {
            Job::Find => run("find", &["tree", "-printf", "%s\n"], shown),
            Job::Du => run("du", &["-s", "tree"], shown),
            Job::GitStatus => {
                let status: Vec<&str> = GIT.into_iter().chain(["diff-files", "--quiet"]).collect();
                run("git", &status, &shown.join("tree"))
            }
            Job::Untar => run("tar", &["xf", "tree.tar", "-C", copy], shown),
            Job::Remove => run("rm", &["-r", copy], shown),
            Job::Grep => match run("grep", &["-rq", "nowhere to be found", "tree"], shown) {
                // Its status for "no match", which says nothing on standard error.
                Err(error) if error.ends_with(": ") => Ok(()),
                Err(error) => Err(error),
                Ok(()) => Err("grep found something".to_owned()),
            },
            Job::Copy => run("cp", &["-r", "tree", copy], shown),
        }
    }
}

/// The tree in a directory of the host.
#[derive(Debug)]
pub struct Tree {
    base: PathBuf,
}

fn run(program: &str, arguments: &[&str], directory: &Path) -> Result<(), String> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("HOME", "/nonexistent")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!(
            "{program} {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
                .lines()
                .next()
                .unwrap_or_default()
        )),
    }
}

/// A mount shows inodes and devices of its own, which are no changes.
const GIT: [&str; 8] = [
    "-c",
    "safe.directory=*",
    "-c",
    "core.checkStat=minimal",
    "-c",
    "core.trustctime=false",
    "-c",
    "gc.auto=0",
];

impl Tree {
    /// Makes it, a repository that holds it, and an archive of it.
    pub fn plant(base: &Path) -> Result<Tree, String> {
        let failed = |error: std::io::Error| format!("a tree: {error}");
        let root = base.join("tree");
        for directory in 0..SHAPE.0 {
            let directory = root.join(format!("directory-{directory}"));
            std::fs::create_dir_all(&directory).map_err(failed)?;
            for file in 0..SHAPE.1 {
                let text = format!("{file}\n").repeat(file as usize);
                std::fs::write(directory.join(format!("file-{file}")), text).map_err(failed)?;
            }
        }
        run("tar", &["cf", "../tree.tar", "."], &root)?;
        // Files as old as the index would be read again.
        std::thread::sleep(Duration::from_millis(1100));
        run("git", &["init", "-q"], &root)?;
        let add: Vec<&str> = GIT.into_iter().chain(["add", "-A"]).collect();
        run("git", &add, &root)?;
        Ok(Tree {
            base: base.to_owned(),
        })
    }

    /// Makes ready for a job, on the host; the name of its copy, which no kernel has heard of.
    pub fn before(&self, job: Job) -> Result<String, String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("copy-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        if matches!(job, Job::Untar | Job::Remove) {
            std::fs::create_dir(self.base.join(&name)).map_err(|error| error.to_string())?;
        }
        if job == Job::Remove {
            run("tar", &["xf", "tree.tar", "-C", &name], &self.base)?;
        }
        Ok(name)
    }

    /// Looks whether the job was done, and clears up.
    pub fn after(&self, job: Job, name: &str) -> Result<(), String> {
        let copy = self.base.join(name);
        match (job, copy.exists()) {
            (Job::Remove, true) => Err("rm left files behind".to_owned()),
            (Job::Untar | Job::Copy, false) => Err(format!("{job:?} made nothing")),
            (_, true) => {
                let last = format!("directory-{}/file-{}", SHAPE.0 - 1, SHAPE.1 - 1);
                let whole = copy.join(last).exists();
                run("rm", &["-r", name], &self.base)?;
                match whole {
                    true => Ok(()),
                    false => Err(format!("{job:?} left files out")),
                }
            }
            (_, false) => Ok(()),
        }
    }

    /// Does a job where `shown` shows the base to a kernel that has forgotten it; how long it took.
    pub fn time(&self, job: Job, shown: &Path) -> Result<Duration, String> {
        let name = self.before(job)?;
        // Every server begins with nothing known; and a rival holds a descriptor for each file that its kernel knows.
        std::fs::write("/proc/sys/vm/drop_caches", "2").map_err(|error| error.to_string())?;
        let start = Instant::now();
        job.perform(shown, &name)?;
        let took = start.elapsed();
        self.after(job, &name)?;
        Ok(took)
    }

    /// The directory that holds the tree.
    pub fn base(&self) -> &Path {
        &self.base
    }
}
