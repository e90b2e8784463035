//! The reserved word `time`, and the built-in `times`.

use super::sys;
use std::time::Instant;

/// A moment, with the processor time used by then.
pub struct Started {
    at: Instant,
    used: [f64; 4],
}

impl Started {
    pub fn start() -> Started {
        Started {
            at: Instant::now(),
            used: sys::times(),
        }
    }

    /// What has passed since, as `time` tells it.
    pub fn report(&self) -> String {
        let real = self.at.elapsed().as_secs_f64();
        let used = sys::times();
        let passed = |at: usize| used[at] - self.used[at];
        let (user, system) = (passed(0) + passed(2), passed(1) + passed(3));
        let line = |name: &str, seconds: f64| format!("{name}\t{}\n", minutes(seconds));
        format!(
            "\n{}{}{}",
            line("real", real),
            line("user", user),
            line("sys", system)
        )
    }
}

/// Minutes and seconds: `0m0.000s`.
pub fn minutes(seconds: f64) -> String {
    let whole = (seconds / 60.0).floor();
    format!("{whole}m{:.3}s", seconds - whole * 60.0)
}
