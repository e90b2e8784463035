//! What the runner asks of a worker, one JSON document a line in each direction.

use crate::tree::Job;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The call to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Call {
    /// Nothing at all; only the client has it.
    Nop,
    /// getppid(2), the least that the kernel beneath can be asked; libc alone has it.
    Getppid,
    /// stat(2) of the path.
    Stat,
    /// open(2), read-only, and close(2).
    OpenClose,
    /// pread(2) of the first 4 KiB.
    Pread4k,
    /// pread(2) of 1 MiB, block after block.
    Read1m,
    /// pwrite(2) of 1 MiB, block after block.
    Write1m,
    /// read(2) of one byte of a pipe, which the path has nothing to do with.
    PipeRead,
}

/// Who carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Road {
    /// libc, as any program calls it; whether it ends in this kernel or on the host is the path's matter.
    Libc,
    /// libc's own functions, beneath whatever a library in between has put in their place.
    Beneath,
    /// The typed client.
    Client,
}

/// How often, and what is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Manner {
    /// The clock is read once around so many calls in a row: one sample, ticks of all.
    Together(u32),
    /// Each of so many calls is timed, after a pause of so many microseconds: a sample each.
    Each(u32, u32),
    /// So many threads make so many calls at the same time: one sample, ticks of all.
    Threads(u32, u32),
}

/// A step of the script.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// touch(1) makes the files.
    Touch,
    /// ls(1) lists them with their metadata.
    List,
    /// find(1) looks at each one's type and size.
    Find,
    /// rm(1) removes them and their directory.
    Remove,
}

/// A request to a worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Task {
    /// Measure calls.
    Measure {
        /// The call.
        call: Call,
        /// Who carries it.
        road: Road,
        /// The file, as the worker names it.
        path: String,
        /// How often.
        manner: Manner,
    },
    /// Have so many fresh processes, one after the other, make their first host call: a sample each.
    FirstCalls {
        /// By the typed client (attach, then a call that does nothing) or by libc (stat of the path).
        road: Road,
        /// The file for libc.
        path: String,
        /// How many.
        count: u32,
    },
    /// Run a step of the script on a directory: one sample.
    Script {
        /// The step.
        step: Step,
        /// The directory, as the worker names it.
        directory: String,
    },
    /// Do a job where `base` shows the tree: one sample.
    Job {
        /// The job.
        job: Job,
        /// The directory that holds the tree, as the worker names it.
        base: PathBuf,
        /// Name of the copy that it makes or removes.
        copy: String,
    },
    /// Run a program again and again, one run after the other.
    Runs {
        /// Program and arguments.
        words: Vec<String>,
        /// How often, and what is timed; of several threads, one.
        manner: Manner,
    },
    /// Have a shell run a pipeline so many times: a sample each, until its first byte.
    FirstBytes {
        /// The shell.
        shell: String,
        /// What it runs.
        pipeline: String,
        /// How often.
        count: u32,
    },
    /// Start so many processes that attach, make a few calls and then stay.
    Hold(u32),
    /// End them.
    Release,
}

/// A worker's answer: ticks of the processor's counter, or why not.
pub type Answer = Result<Vec<u64>, String>;
