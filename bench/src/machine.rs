//! What machine this is, and whether it is quiet enough to believe its figures.

use std::fmt::Write;

fn first_line(path: &str) -> String {
    std::fs::read_to_string(path)
        .unwrap_or_default()
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}

fn model() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("model name"));
    line.and_then(|line| Some(line.split_once(':')?.1.trim().to_owned()))
        .unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}

fn load() -> f64 {
    first_line("/proc/loadavg")
        .split_whitespace()
        .next()
        .and_then(|word| word.parse().ok())
        .unwrap_or_default()
}

/// A few lines about the machine, with a warning if others use it.
pub fn describe() -> String {
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    let mut text = format!(
        "{cores} × {}, Linux {}, load {:.2}\n",
        model(),
        first_line("/proc/sys/kernel/osrelease"),
        load()
    );
    if load() > 0.3 * cores as f64 {
        let _ = writeln!(text, "warning: other jobs use this machine; the medians of alternating rounds bear some of it, not all");
    }
    if cores < 2 {
        let _ = writeln!(
            text,
            "warning: with one core nothing can spin for an answer; every call sleeps"
        );
    }
    text
}
