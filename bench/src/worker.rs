//! `hostcall-bench worker`: does tasks, on the host or inside a guest, until its input ends.

use crate::task::{Answer, Call, Manner, Road, Task};
use crate::workload::Workload;
use hostcall::client::{Client, Options};
use hostcall::clock::ticks;
use hostcall::ops::Calls;
use hostcall::types::Errno;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Barrier, OnceLock};
use std::time::Duration;

/// Argument that makes this program a worker.
pub const WORKER: &str = "worker";
/// Argument that makes it a process whose first host call is timed.
pub const FIRST_CALL: &str = "first-call";
/// Argument that makes it a process which holds a session.
pub const HOLDER: &str = "holder";

/// Calls before the clock starts: whoever sleeps on the other side is awake then.
const WARM_UP: u32 = 64;

static CLIENT: OnceLock<Result<Client, String>> = OnceLock::new();

fn client() -> Result<&'static Client, String> {
    let attach = || {
        Client::attach(&Options {
            resume: None,
            umask: 0o22,
        })
        .map_err(|error| error.to_string())
    };
    CLIENT.get_or_init(attach).as_ref().map_err(Clone::clone)
}

/// Answers tasks until the input ends.
pub fn serve() -> Result<(), String> {
    let mut held = Vec::new();
    for line in std::io::stdin().lines() {
        let line = line.map_err(|error| error.to_string())?;
        let task: Task = serde_json::from_str(&line).map_err(|error| error.to_string())?;
        let answer: Answer = perform(task, &mut held);
        let mut text = serde_json::to_vec(&answer).map_err(|error| error.to_string())?;
        text.push(b'\n');
        let mut out = std::io::stdout().lock();
        out.write_all(&text)
            .and_then(|()| out.flush())
            .map_err(|error| error.to_string())?;
    }
    release(&mut held);
    Ok(())
}

fn perform(task: Task, held: &mut Vec<Child>) -> Answer {
    match task {
        Task::Measure {
            call,
            road,
            path,
            manner,
        } => measure(call, road, &path, manner),
        Task::FirstCalls { road, path, count } => (0..count)
            .map(|_| first_call_of_a_process(road, &path))
            .collect(),
        Task::Script { step, directory } => {
            let start = ticks();
            crate::script::run(step, &directory)?;
            Ok(vec![ticks() - start])
        }
        Task::Job { job, base, copy } => {
            let start = ticks();
            job.perform(&base, &copy)?;
            Ok(vec![ticks() - start])
        }
        Task::Runs { words, manner } => runs(&words, manner),
        Task::FirstBytes {
            shell,
            pipeline,
            count,
        } => crate::first_byte::times(&shell, &pipeline, count),
        Task::Hold(count) => {
            for _ in 0..count {
                held.push(hold()?);
            }
            Ok(Vec::new())
        }
        Task::Release => {
            release(held);
            Ok(Vec::new())
        }
    }
}

fn measure(call: Call, road: Road, path: &str, manner: Manner) -> Answer {
    let client = match road {
        Road::Client => Some(client()?),
        Road::Libc | Road::Beneath => None,
    };
    let failed = |errno: Errno| {
        format!(
            "{call:?} {path}: {}",
            std::io::Error::from_raw_os_error(errno.0)
        )
    };
    let begin = || Workload::new(call, road, path, client);
    match manner {
        Manner::Together(rounds) => {
            let mut workload = begin()?;
            (0..WARM_UP.min(rounds))
                .try_for_each(|_| workload.once())
                .map_err(failed)?;
            let start = ticks();
            (0..rounds)
                .try_for_each(|_| workload.once())
                .map_err(failed)?;
            Ok(vec![ticks() - start])
        }
        Manner::Each(rounds, pause) => {
            let mut workload = begin()?;
            let mut samples = Vec::with_capacity(rounds as usize);
            for _ in 0..rounds {
                if pause > 0 {
                    std::thread::sleep(Duration::from_micros(pause.into()));
                }
                let start = ticks();
                workload.once().map_err(failed)?;
                samples.push(ticks() - start);
            }
            Ok(samples)
        }
        Manner::Threads(threads, rounds) => {
            let start_line = Barrier::new(threads as usize);
            let run = || {
                let workload = begin();
                start_line.wait();
                let mut workload = workload?;
                (0..WARM_UP.min(rounds))
                    .try_for_each(|_| workload.once())
                    .map_err(failed)?;
                let start = ticks();
                (0..rounds)
                    .try_for_each(|_| workload.once())
                    .map_err(failed)?;
                Ok::<_, String>((start, ticks()))
            };
            let times: Vec<_> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
                threads
                    .into_iter()
                    .map(|thread| thread.join().map_err(|_| "a thread panicked".to_owned())?)
                    .collect()
            });
            let times = times.into_iter().collect::<Result<Vec<_>, _>>()?;
            let first = times
                .iter()
                .map(|(start, _)| *start)
                .min()
                .unwrap_or_default();
            let last = times.iter().map(|(_, end)| *end).max().unwrap_or_default();
            Ok(vec![last - first])
        }
    }
}

fn this_program(role: &str) -> Result<Command, String> {
    let mut command = Command::new(std::env::current_exe().map_err(|error| error.to_string())?);
    command.arg(role);
    Ok(command)
}

fn first_call_of_a_process(road: Road, path: &str) -> Result<u64, String> {
    let mut command = this_program(FIRST_CALL)?;
    if road != Road::Client {
        command.arg(path);
    }
    let output = command.output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().map_err(|_| {
        format!(
            "a fresh process failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )
    })
}

/// Times this process's first host call: with a path, a stat of it by libc (which the preload library attaches for);
/// without, attaching by the typed client and a call that does nothing. Prints ticks.
pub fn first_call(path: Option<&str>) -> Result<(), String> {
    let start = ticks();
    match path {
        Some(path) => {
            std::fs::metadata(path).map_err(|error| error.to_string())?;
        }
        None => {
            let client = client()?;
            client.nop().map_err(|errno| errno.to_string())?;
        }
    }
    println!("{}", ticks() - start);
    Ok(())
}

fn runs(words: &[String], manner: Manner) -> Answer {
    let timed = |count: u32| {
        let start = ticks();
        (0..count).try_for_each(|_| run_once(words))?;
        Ok(ticks() - start)
    };
    match manner {
        Manner::Together(count) | Manner::Threads(_, count) => timed(count).map(|all| vec![all]),
        Manner::Each(count, _) => (0..count).map(|_| timed(1)).collect(),
    }
}

fn run_once(words: &[String]) -> Result<(), String> {
    let (program, arguments) = words.split_first().ok_or("no program")?;
    let status = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .map_err(|error| format!("{program}: {error}"))?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("{words:?}: {status}")),
    }
}

fn hold() -> Result<Child, String> {
    let mut child = this_program(HOLDER)?
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let mut ready = String::new();
    if let Some(out) = child.stdout.take() {
        let _ = BufReader::new(out).read_line(&mut ready);
    }
    match ready.is_empty() {
        true => {
            let _ = child.wait();
            Err("a process could not attach".to_owned())
        }
        false => Ok(child),
    }
}

/// Attaches, makes a few calls of each kind, and stays until its input ends.
pub fn holder() -> Result<(), String> {
    let client = client()?;
    for call in [Call::Nop, Call::Stat, Call::OpenClose, Call::Pread4k] {
        let mut workload = Workload::new(call, Road::Client, crate::rows::FILE, Some(client))?;
        (0..100)
            .try_for_each(|_| workload.once())
            .map_err(|errno| errno.to_string())?;
    }
    println!("ready");
    let _ = std::io::stdin().read(&mut [0]);
    Ok(())
}

fn release(held: &mut Vec<Child>) {
    for mut child in held.drain(..) {
        drop(child.stdin.take());
        let _ = child.wait();
    }
}
