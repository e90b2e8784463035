//! The reserved word `time`, and the built-in `times`.

use super::syntax::tree::Times;
use super::sys;
use std::time::Instant;

/// A moment, with the processor time used by then.
pub struct Started {
    at: Instant,
    used: [f64; 4],
    told: Times,
}

impl Started {
    pub fn start(told: Times) -> Started {
        Started {
            told,
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
        match self.told {
            Times::Minutes => format!(
                "\nreal\t{}\nuser\t{}\nsys\t{}\n",
                minutes(real),
                minutes(user),
                minutes(system)
            ),
            Times::Seconds => format!("real {real:.2}\nuser {user:.2}\nsys {system:.2}\n"),
        }
    }
}

/// Minutes and seconds: `0m0.000s`.
pub fn minutes(seconds: f64) -> String {
    let whole = (seconds / 60.0).floor();
    format!("{whole}m{:.3}s", seconds - whole * 60.0)
}
