//! The script: ordinary programs that make, list, search and remove a directory of 10,000 files.

use crate::task::Step;
use crate::tree::Tree;
use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Files of the directory.
const FILES: u32 = 10_000;

/// Host directories that a guest with a kernel of its own sees as empty ones of its own, or not at all.
const HIDDEN: [&str; 7] = ["/tmp", "/var/tmp", "/home", "/root", "/run", "/dev", "/mnt"];

/// Where the directories lie on the host.
#[derive(Debug)]
pub struct Ground {
    base: PathBuf,
    tree: OnceCell<Tree>,
}

impl Ground {
    /// A place that is the same file system for every road: beside this program, or where programs keep their data.
    pub fn new() -> Result<Ground, String> {
        let failed = |error: std::io::Error| format!("no place for files: {error}");
        let own = std::env::current_exe().map_err(failed)?;
        let beside = own.parent().unwrap_or(Path::new("/"));
        let seen = !HIDDEN.iter().any(|hidden| beside.starts_with(hidden));
        let place = if seen { beside } else { Path::new("/var/lib") };
        let base = place.join(format!("hostcall-bench-{}", std::process::id()));
        let tree = OnceCell::new();
        let ground = Ground { base, tree };
        fill(&ground.standing()).map_err(failed)?;
        Ok(ground)
    }

    /// A tree in the same place, made when it is first wanted.
    pub fn tree(&self) -> Result<&Tree, String> {
        if let Some(tree) = self.tree.get() {
            return Ok(tree);
        }
        let tree = Tree::plant(&self.base.join("planted"))?;
        Ok(self.tree.get_or_init(|| tree))
    }

    /// The directory that is read only.
    fn standing(&self) -> PathBuf {
        self.base.join("standing")
    }

    /// The directory for a step, as it must be before.
    pub fn before(&self, step: Step) -> Result<PathBuf, String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let fresh = || {
            let name = format!("fresh-{}", COUNT.fetch_add(1, Ordering::Relaxed));
            self.base.join(name)
        };
        match step {
            Step::List | Step::Find => Ok(self.standing()),
            Step::Touch => Ok(fresh()),
            Step::Remove => {
                let directory = fresh();
                fill(&directory).map_err(|error| error.to_string())?;
                Ok(directory)
            }
        }
    }

    /// Looks whether the step was done, and clears up.
    pub fn after(&self, step: Step, directory: &Path) -> Result<(), String> {
        match step {
            Step::List | Step::Find => Ok(()),
            Step::Remove if directory.exists() => Err("rm left files behind".to_owned()),
            Step::Remove => Ok(()),
            Step::Touch => {
                let made = directory.read_dir().map(Iterator::count);
                let cleared = std::fs::remove_dir_all(directory);
                match (made, cleared) {
                    (Ok(made), Ok(())) if made == FILES as usize => Ok(()),
                    outcome => Err(format!("touch made {outcome:?}")),
                }
            }
        }
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.base);
    }
}

fn fill(directory: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    (1..=FILES).try_for_each(|file| std::fs::write(directory.join(file.to_string()), b""))
}

/// Runs a step's programs on a directory, by whatever road its path leads.
pub fn run(step: Step, directory: &str) -> Result<(), String> {
    let script = match step {
        Step::Touch => format!(r#"mkdir "$0" && cd "$0" && seq {FILES} | xargs touch"#),
        Step::List => r#"ls -ln "$0""#.to_owned(),
        Step::Find => r#"find "$0" -type f -size +0"#.to_owned(),
        Step::Remove => r#"rm -r "$0""#.to_owned(),
    };
    let output = Command::new("/bin/sh")
        .args(["-c", &script, directory])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .output()
        .map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!(
            "{step:?} {directory}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )),
    }
}
