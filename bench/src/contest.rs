//! A contest: sources of figures that are sampled in turn, so that what disturbs one disturbs all, and the rows of
//! ratios that are made of them.

use crate::bench::Bench;
use crate::echo::{Wait, Work};
use crate::mounts::Server;
use crate::place::Place;
use crate::task::{Call, Manner, Road, Step, Task};
use crate::tree::Job;
use serde::Serialize;

/// One thing that is measured.
#[derive(Clone, Debug)]
pub enum Source {
    /// Calls of a worker.
    Calls {
        /// Where it runs.
        place: Place,
        /// Who carries the calls.
        road: Road,
        /// The call.
        call: Call,
        /// The file, as the worker names it.
        path: String,
    },
    /// Calls of a worker on the host, by libc, on a file that a server shows.
    Mounted {
        /// Who serves it.
        server: Server,
        /// The call.
        call: Call,
        /// How often.
        manner: Manner,
    },
    /// A program's run on a tree that a server shows.
    Tree {
        /// Who serves it.
        server: Server,
        /// What is done.
        job: Job,
    },
    /// A step of the script.
    Script {
        /// Where it runs.
        place: Place,
        /// Where that place shows the host's files.
        prefix: &'static str,
        /// The step.
        step: Step,
    },
    /// A program's run on a tree, by a worker.
    Program {
        /// Where it runs.
        place: Place,
        /// Where that place shows the host's files.
        prefix: &'static str,
        /// What is done.
        job: Job,
    },
    /// Runs of a program that a worker starts, one after the other.
    Runs {
        /// Where they run.
        place: Place,
        /// Program and arguments.
        words: Vec<String>,
    },
    /// Runs of a pipeline by one shell, until the first byte of each.
    FirstBytes {
        /// Where the shell runs.
        place: Place,
        /// Which.
        shell: &'static str,
        /// What it runs.
        pipeline: &'static str,
    },
    /// Runs of `true` by a connection of OpenSSH.
    Ssh,
    /// A pipeline that carries so many MiB as the manner has calls.
    Pipeline {
        /// Where it runs.
        place: Place,
        /// For sh(1), which is told the number as `$0`.
        script: String,
    },
    /// A bare round trip, with the work of a call in it or without.
    Echo(Wait, Work),
    /// First calls of fresh processes.
    FirstCalls {
        /// Where they run.
        place: Place,
        /// Who carries the call.
        road: Road,
        /// The file for libc.
        path: String,
    },
    /// Private memory of the shadow of a guest process that has made some calls, KiB.
    ShadowMemory,
    /// Processor time of hostd and its shadows while 64 guest processes are attached and idle, percent of a core.
    IdleProcessor,
    /// A bound that is not measured.
    Bound(f64),
}

/// What a source's ticks become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Nanoseconds a call.
    Nanoseconds,
    /// Microseconds a call.
    Microseconds,
    /// Milliseconds a run.
    Milliseconds,
    /// Gigabytes a second, for calls of 1 MiB.
    Gigabytes,
    /// Millions of calls a second, of all threads.
    Millions,
    /// KiB.
    Kibibytes,
    /// Percent of a core.
    Percent,
}

impl Unit {
    /// As results name it.
    pub fn name(self) -> &'static str {
        match self {
            Unit::Nanoseconds => "ns",
            Unit::Microseconds => "µs",
            Unit::Milliseconds => "ms",
            Unit::Gigabytes => "GB/s",
            Unit::Millions => "M/s",
            Unit::Kibibytes => "KiB",
            Unit::Percent => "% of a core",
        }
    }
}

/// What the ratio of ours to the reference should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// No more than.
    AtMost(f64),
    /// No less than.
    AtLeast(f64),
    /// Ours takes no more than so much longer, in the row's unit.
    Added(f64),
    /// Shown for comparison.
    None,
}

impl Target {
    /// Whether a ratio and a difference meet it; `None` without a target.
    pub fn met(self, ratio: f64, added: f64) -> Option<bool> {
        match self {
            Target::Added(bound) => Some(added <= bound),
            Target::AtMost(bound) => Some(ratio <= bound),
            Target::AtLeast(bound) => Some(ratio >= bound),
            Target::None => None,
        }
    }

    /// The number in it.
    pub fn bound(self) -> Option<f64> {
        match self {
            Target::AtMost(bound) | Target::AtLeast(bound) | Target::Added(bound) => Some(bound),
            Target::None => None,
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Target::AtMost(bound) if *bound < 0.5 => {
                write!(f, "≤ {bound:.3} ({:.0}× faster)", 1.0 / bound)
            }
            Target::AtMost(bound) => write!(f, "≤ {bound:.2}"),
            Target::AtLeast(bound) => write!(f, "≥ {bound:.2}"),
            Target::Added(bound) => write!(f, "≤ +{bound}"),
            Target::None => f.write_str("–"),
        }
    }
}

/// A row: two sources of the contest by their indices, and what they are called.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Index of ours.
    pub ours: usize,
    /// The guest.
    pub guest: &'static str,
    /// The road that ours takes.
    pub road: &'static str,
    /// Index of the reference.
    pub reference: usize,
    /// What the reference is.
    pub against: &'static str,
    /// What the ratio should be.
    pub target: Target,
}

/// Sources that are sampled in turn.
#[derive(Clone, Debug)]
pub struct Contest {
    /// Name of its rows.
    pub id: &'static str,
    /// Of the figures.
    pub unit: Unit,
    /// Whether two compiler-like jobs keep both processors busy meanwhile.
    pub loaded: bool,
    /// Turns.
    pub turns: u32,
    /// What a turn does with each source; a source that is much slower is asked less.
    pub manner: Manner,
    /// What is measured.
    pub sources: Vec<Source>,
    /// What is told.
    pub rows: Vec<Row>,
}

/// One line of `results.json`.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// What was measured.
    pub id: &'static str,
    /// The guest.
    pub guest: &'static str,
    /// The road that ours takes.
    pub road: &'static str,
    /// What the reference is.
    pub against: &'static str,
    /// Median of ours.
    pub ours: f64,
    /// Median of the reference.
    pub reference: f64,
    /// Median of the turns' ratios of ours to the reference.
    pub ratio: f64,
    /// Median of the turns' differences of ours and the reference.
    pub added: f64,
    /// Of `ours`, `reference` and `added`.
    pub unit: &'static str,
    /// Turns.
    pub runs: u32,
    /// 99th percentile of ours, where single calls were timed.
    pub ours_p99: Option<f64>,
    /// 99th percentile of the reference.
    pub reference_p99: Option<f64>,
    /// What the ratio should be.
    pub target: Option<f64>,
    /// Whether it is.
    pub met: Option<bool>,
    /// The target with its direction, for people.
    #[serde(skip)]
    pub aim: Target,
}

/// The value below which a part of the values lies; 0 of nothing.
pub fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    sorted
        .get((last as f64 * part).round() as usize)
        .copied()
        .unwrap_or_default()
}

/// What the turns of one source gave.
#[derive(Clone, Debug, Default)]
struct Series {
    turns: Vec<f64>,
    single: Vec<f64>,
}

impl Contest {
    /// Runs all turns.
    pub fn run(&self, bench: &mut Bench) -> Result<Vec<Figure>, String> {
        let mut series = vec![Series::default(); self.sources.len()];
        let _load = self.loaded.then(crate::load::Load::start).transpose()?;
        for _ in 0..self.turns {
            for (source, series) in self.sources.iter().zip(&mut series) {
                let samples = self.sample(bench, source)?;
                series.turns.push(quantile(&samples, 0.5));
                if samples.len() > 1 {
                    series.single.extend(samples);
                }
            }
        }
        Ok(self
            .rows
            .iter()
            .map(|row| self.figure(row, &series))
            .collect())
    }

    fn sample(&self, bench: &mut Bench, source: &Source) -> Result<Vec<f64>, String> {
        let ticks = match source {
            Source::Calls {
                place,
                road,
                call,
                path,
            } => {
                let task = Task::Measure {
                    call: *call,
                    road: *road,
                    path: path.clone(),
                    manner: self.manner,
                };
                bench.worker(*place)?.ask(&task)?
            }
            Source::Mounted {
                server,
                call,
                manner,
            } => {
                let path = bench.mounted_file(*server, *call)?;
                let task = Task::Measure {
                    call: *call,
                    road: Road::Libc,
                    path,
                    manner: *manner,
                };
                let ticks = bench.worker(Place::Host)?.ask(&task)?;
                return Ok(ticks
                    .into_iter()
                    .map(|ticks| self.convert(bench, ticks, *manner))
                    .collect());
            }
            Source::Tree { server, job } => {
                let took = bench.tree_job(*server, *job)?;
                return Ok(vec![took.as_secs_f64() * 1e3]);
            }
            Source::Script {
                place,
                prefix,
                step,
            } => {
                let directory = bench.ground()?.before(*step)?;
                let answer = bench.worker(*place)?.ask(&Task::Script {
                    step: *step,
                    directory: format!("{prefix}{}", directory.display()),
                })?;
                bench.ground()?.after(*step, &directory)?;
                answer
            }
            Source::Program { place, prefix, job } => {
                let tree = bench.worker_tree(*job)?;
                let (base, copy) = (tree.base().display().to_string(), tree.before(*job)?);
                let task = Task::Job {
                    job: *job,
                    base: format!("{prefix}{base}").into(),
                    copy: copy.clone(),
                };
                let answer = bench.worker(*place)?.ask(&task)?;
                bench.worker_tree(*job)?.after(*job, &copy)?;
                answer
            }
            Source::Runs { place, words } => {
                let (words, manner) = (words.clone(), self.manner);
                bench.worker(*place)?.ask(&Task::Runs { words, manner })?
            }
            Source::FirstBytes {
                place,
                shell,
                pipeline,
            } => {
                let (Manner::Together(count) | Manner::Threads(_, count) | Manner::Each(count, _)) =
                    self.manner;
                bench.worker(*place)?.ask(&Task::FirstBytes {
                    shell: (*shell).to_owned(),
                    pipeline: (*pipeline).to_owned(),
                    count,
                })?
            }
            Source::Ssh => {
                let (words, manner) = (bench.ssh()?.words(), self.manner);
                let task = Task::Runs { words, manner };
                bench.worker(Place::Host)?.ask(&task)?
            }
            Source::Pipeline { place, script } => {
                let (Manner::Together(mib) | Manner::Threads(_, mib) | Manner::Each(mib, _)) =
                    self.manner;
                let words = ["sh", "-c", script, &mib.to_string()].map(str::to_owned);
                bench.worker(*place)?.ask(&Task::Runs {
                    words: words.to_vec(),
                    manner: Manner::Together(1),
                })?
            }
            Source::Echo(wait, work) => match self.manner {
                Manner::Together(rounds) | Manner::Threads(_, rounds) => {
                    vec![bench.echo()?.together(rounds, *wait, *work)]
                }
                Manner::Each(rounds, pause) => bench.echo()?.each(rounds, pause, *wait, *work),
            },
            Source::FirstCalls { place, road, path } => {
                let (Manner::Together(count) | Manner::Threads(_, count) | Manner::Each(count, _)) =
                    self.manner;
                bench.worker(*place)?.ask(&Task::FirstCalls {
                    road: *road,
                    path: path.clone(),
                    count,
                })?
            }
            Source::ShadowMemory => return Ok(vec![crate::rows::session::shadow_memory(bench)?]),
            Source::IdleProcessor => return Ok(vec![crate::rows::session::idle_processor(bench)?]),
            Source::Bound(bound) => return Ok(vec![*bound]),
        };
        Ok(ticks
            .into_iter()
            .map(|ticks| self.convert(bench, ticks, self.manner))
            .collect())
    }

    fn convert(&self, bench: &Bench, ticks: u64, manner: Manner) -> f64 {
        let seconds = ticks as f64 / bench.ticks_per_second;
        let calls = match manner {
            Manner::Together(rounds) => f64::from(rounds),
            Manner::Each(..) => 1.0,
            Manner::Threads(threads, rounds) => f64::from(threads) * f64::from(rounds),
        };
        match self.unit {
            Unit::Nanoseconds => seconds / calls * 1e9,
            Unit::Gigabytes => calls * f64::from(1 << 20) / seconds / 1e9,
            Unit::Millions => calls / seconds / 1e6,
            Unit::Milliseconds => seconds / calls * 1e3,
            Unit::Microseconds | Unit::Kibibytes | Unit::Percent => seconds / calls * 1e6,
        }
    }

    fn figure(&self, row: &Row, series: &[Series]) -> Figure {
        let (ours, reference) = (&series[row.ours], &series[row.reference]);
        let median = |compared: fn((&f64, &f64)) -> f64| {
            let pairs = ours.turns.iter().zip(&reference.turns);
            quantile(&pairs.map(compared).collect::<Vec<f64>>(), 0.5)
        };
        let ratio = median(|(ours, reference)| ours / reference);
        let added = median(|(ours, reference)| ours - reference);
        let p99 =
            |series: &Series| (!series.single.is_empty()).then(|| quantile(&series.single, 0.99));
        Figure {
            id: self.id,
            guest: row.guest,
            road: row.road,
            against: row.against,
            ours: quantile(&ours.turns, 0.5),
            reference: quantile(&reference.turns, 0.5),
            ratio,
            added,
            unit: self.unit.name(),
            runs: self.turns,
            ours_p99: p99(ours),
            reference_p99: p99(reference),
            target: row.target.bound(),
            met: row.target.met(ratio, added),
            aim: row.target,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_and_targets() {
        assert_eq!(quantile(&[3.0, 1.0, 2.0], 0.5), 2.0);
        assert_eq!(quantile(&[1.0, 2.0], 1.0), 2.0);
        assert_eq!(quantile(&[], 0.5), 0.0);
        assert_eq!(Target::AtMost(1.3).met(1.3, 9.0), Some(true));
        assert_eq!(Target::AtLeast(0.8).met(0.7, 0.0), Some(false));
        assert_eq!(Target::Added(10.0).met(0.5, 10.5), Some(false));
        assert_eq!(Target::None.met(9.0, 9.0), None);
        assert_eq!(
            Target::AtMost(1.0 / 12.0).to_string(),
            "≤ 0.083 (12× faster)"
        );
    }
}
