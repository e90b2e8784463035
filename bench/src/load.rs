//! A load like a compile's: for each processor a job that computes for some milliseconds and runs short programs.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Argument that makes this program one job.
pub const JOB: &str = "job";

/// Jobs that run until this is dropped.
#[derive(Debug)]
pub struct Load(Vec<Child>);

impl Load {
    /// Starts a job for each processor.
    pub fn start() -> Result<Load, String> {
        let own = std::env::current_exe().map_err(|error| error.to_string())?;
        let processors = std::thread::available_parallelism().map_or(1, |n| n.get());
        let job = |_| Command::new(&own).arg(JOB).stdin(Stdio::null()).spawn();
        let mut load = Load(Vec::new());
        for child in (0..processors).map(job) {
            load.0.push(child.map_err(|error| error.to_string())?);
        }
        Ok(load)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Works until killed, which also the end of its parent does.
pub fn work() -> Result<(), String> {
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)
        .map_err(|error| error.to_string())?;
    let mut table = vec![1u64; 1 << 16];
    loop {
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(20) {
            for n in 1..table.len() {
                table[n] = table[n]
                    .wrapping_mul(6364136223846793005)
                    .wrapping_add(table[n - 1] >> 7);
            }
        }
        std::hint::black_box(&table);
        let _ = Command::new("/bin/true").stdin(Stdio::null()).status();
    }
}
