//! What a session costs: beginning it, its memory, and its processor time while nothing happens.

use super::FILE;
use crate::bench::Bench;
use crate::contest::{Contest, Row, Source, Target, Unit};
use crate::place::{Place, PREFIX};
use crate::task::{Manner, Road, Task};
use hostd::server::admin::{ask, running, GuestStatus, Question, Status};
use std::collections::BTreeSet;
use std::io::BufRead;
use std::time::{Duration, Instant};

/// Guest processes that are attached while the idle processor time is taken.
const SESSIONS: u32 = 64;
/// How long it is taken for.
const IDLE: Duration = Duration::from_secs(5);

pub fn contests() -> Vec<Contest> {
    let row = |ours, guest, road, reference, against| Row {
        ours,
        guest,
        road,
        reference,
        against,
        target: Target::AtMost(1.0),
    };
    let first = |place, road| Source::FirstCalls {
        place,
        road,
        path: format!("{PREFIX}{FILE}"),
    };
    let contest = |id, unit, turns, count, sources, rows| Contest {
        id,
        unit,
        loaded: false,
        turns,
        manner: Manner::Each(count, 0),
        sources,
        rows,
    };
    vec![
        contest(
            "attach",
            Unit::Microseconds,
            10,
            20,
            vec![
                Source::Bound(150.0),
                first(Place::Local, Road::Client),
                first(Place::Local, Road::Libc),
            ],
            vec![
                row(1, "local", "client", 0, "150 µs"),
                row(2, "local", "preload", 0, "150 µs"),
            ],
        ),
        contest(
            "attach",
            Unit::Microseconds,
            5,
            10,
            vec![
                Source::Bound(150.0),
                first(Place::Uml, Road::Client),
                first(Place::Uml, Road::Libc),
            ],
            vec![
                row(1, "uml", "client", 0, "150 µs"),
                row(2, "uml", "preload", 0, "150 µs"),
            ],
        ),
        contest(
            "shadow-memory",
            Unit::Kibibytes,
            3,
            1,
            vec![Source::Bound(1024.0), Source::ShadowMemory],
            vec![row(1, "local", "client", 0, "1 MiB")],
        ),
        contest(
            "idle-cpu",
            Unit::Percent,
            1,
            1,
            vec![Source::Bound(0.1), Source::IdleProcessor],
            vec![row(1, "local", "client", 0, "0.1 % of a core")],
        ),
    ]
}

fn status(hostd: u32) -> Result<GuestStatus, String> {
    for stream in running() {
        let mut line = String::new();
        ask(stream, &Question::Status)
            .and_then(|mut lines| lines.read_line(&mut line))
            .map_err(|error| error.to_string())?;
        let mut status: Status = serde_json::from_str(&line).map_err(|error| error.to_string())?;
        if status.pid == hostd && !status.guests.is_empty() {
            return Ok(status.guests.remove(0));
        }
    }
    Err(format!("hostd {hostd} does not answer"))
}

/// Private KiB of a process, from `/proc/PID/smaps_rollup`.
fn private(pid: i32) -> Result<f64, String> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let lines = text
        .lines()
        .filter(|line| line.starts_with("Private_Clean:") || line.starts_with("Private_Dirty:"));
    Ok(lines
        .filter_map(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok())
        .sum())
}

/// Median over the shadows of a few processes that have made a few hundred calls each.
pub fn shadow_memory(bench: &mut Bench) -> Result<f64, String> {
    let worker = bench.worker(Place::Local)?;
    let hostd = worker.pid();
    let before: BTreeSet<i32> = status(hostd)?
        .sessions
        .iter()
        .filter_map(|session| session.shadow)
        .collect();
    worker.ask(&Task::Hold(5))?;
    let after = status(hostd)?.sessions;
    let fresh = after
        .iter()
        .filter_map(|session| session.shadow)
        .filter(|pid| !before.contains(pid));
    let sizes = fresh.map(private).collect::<Result<Vec<f64>, String>>();
    bench.worker(Place::Local)?.ask(&Task::Release)?;
    Ok(crate::contest::quantile(&sizes?, 0.5))
}

/// Nanoseconds that all threads of a process have run, from `/proc/PID/task/*/schedstat`.
fn ran(pid: i32) -> u64 {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten();
    let times =
        threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("schedstat")).ok());
    times
        .filter_map(|text| text.split_whitespace().next()?.parse::<u64>().ok())
        .sum()
}

fn parent(pid: i32) -> Option<i32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is a name that may hold anything.
    text.rsplit_once(')')?
        .1
        .split_whitespace()
        .nth(1)?
        .parse()
        .ok()
}

/// Percent of a core that hostd, its zygote and the shadows use.
pub fn idle_processor(bench: &mut Bench) -> Result<f64, String> {
    let worker = bench.worker(Place::Local)?;
    let hostd = worker.pid();
    worker.ask(&Task::Hold(SESSIONS))?;
    // Spinning and the making of spare shadows end.
    std::thread::sleep(Duration::from_secs(2));
    let shadows: Vec<i32> = status(hostd)?
        .sessions
        .iter()
        .filter_map(|session| session.shadow)
        .collect();
    let zygotes: BTreeSet<i32> = shadows
        .iter()
        .filter_map(|pid| parent(*pid))
        .filter(|pid| *pid != hostd as i32)
        .collect();
    let all: Vec<i32> = shadows
        .iter()
        .chain(&zygotes)
        .copied()
        .chain([hostd as i32])
        .collect();
    let used = || all.iter().map(|pid| ran(*pid)).sum::<u64>();
    let (before, start) = (used(), Instant::now());
    std::thread::sleep(IDLE);
    let used = used() - before;
    let elapsed = start.elapsed();
    bench.worker(Place::Local)?.ask(&Task::Release)?;
    if shadows.len() < SESSIONS as usize {
        return Err(format!("only {} sessions", shadows.len()));
    }
    Ok(used as f64 / elapsed.as_nanos() as f64 * 100.0)
}
