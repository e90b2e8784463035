//! What the contests share: workers, the other process of the floors, the clock's rate.

use crate::echo::Echo;
use crate::place::{Place, Worker};
use hostcall::wait::ticks;
use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Everything that runs; all of it ends when this is dropped.
#[derive(Debug)]
pub struct Bench {
    workers: HashMap<&'static str, Worker>,
    echo: Option<Echo>,
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
