//! `hrun`: from the command line to the end of the program, or of all the programs of a pipeline.

use crate::command::Hrun;
use crate::environment::{self, Named};
use crate::events::{Events, Told};
use crate::failure::{Failure, OWN};
use crate::job::{self, Job};
use crate::paths::Prefix;
use crate::policy::Policy;
use crate::session::Session;
use crate::start;
use crate::streams::guest;
use crate::streams::join::{post_close, refused, Joined, Side};
use crate::terminal;
use crate::waiter::Waiter;
use hostcall::client::Client;
use hostcall::say::complain;
use hostcall::transfer::{self, Known};
use hostcall::types::{Errno, JobState, Offset, RemoteFd, RwFlags};
use std::collections::BTreeSet;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// A program that is to run on the host, and what it finds around it in the guest.
#[derive(Debug)]
pub struct Stage {
    pub(crate) options: Hrun,
    /// The guest's variables.
    pub(crate) variables: Vec<(Vec<u8>, Vec<u8>)>,
    /// Those of them that are to cross because somebody has named them.
    pub(crate) named: Vec<Named>,
    pub(crate) session: Session,
    pub(crate) prefix: Prefix,
    side: Side,
}

/// What has become of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It has run.
    Ran(JobState),
    /// It was not started, which has been told: the status that says so.
    Failed(u8),
}

impl Stage {
    /// One in the environment of this process, with these standard streams. Of that environment the variables `assigned` are
    /// to cross as those of `--env` do.
    ///
    /// # Errors
    /// No program is named, or the environment says what cannot be.
    pub fn here(options: Hrun, assigned: &[Vec<u8>], side: Side) -> Result<Stage, Failure> {
        if options.words.is_empty() {
            return Err(Failure::own("no program is named; see hrun --help"));
        }
        let variables =
            std::env::vars_os().map(|(name, value)| (name.into_vec(), value.into_vec()));
        Ok(Stage {
            named: named(assigned, &options)?,
            variables: variables.collect(),
            session: Session::find().map_err(Failure::own)?,
            prefix: Prefix::of_environment(),
            options,
            side,
        })
    }

    /// Tells why it was not started, where it would have told it.
    fn complain(&self, host: &Client, failure: &Failure) {
        let line = format!("hrun: {}\n", failure.line).into_bytes();
        // Nobody is left to hear of a failure.
        let _ = match self.side.given[2] {
            Some(end) => transfer::write(
                host,
                end,
                Known::Nothing,
                Offset::CURRENT,
                RwFlags(0),
                &line,
            ),
            None => nix::unistd::write(guest(self.side.numbers[2]), &line)
                .map_err(|errno| Errno(errno as i32)),
        };
    }

    /// Its standard streams.
    pub fn side(&self) -> &Side {
        &self.side
    }

    /// Its standard streams.
    pub fn side_mut(&mut self) -> &mut Side {
        &mut self.side
    }
}

/// Runs the programs of one pipeline, in one process group; answers how each ended.
///
/// # Errors
/// None was started, or the host was lost.
pub fn run(host: &'static Client, stages: &[Stage]) -> Result<Vec<End>, Failure> {
    let policy = Policy::ask(host).map_err(|errno| Failure::host("the policy", errno))?;
    if !policy.allowed {
        return Err(refused());
    }
    let in_front = terminal::is_ours(0);
    let sides: Vec<Side> = stages.iter().map(|stage| stage.side).collect();
    let joined = Joined::make(host, &sides, wanted(stages))?;
    let told = Told::new().map_err(|errno| Failure::own(format_args!("cannot wait: {errno}")))?;
    let lookout = joined.first().map(|joined| joined.lookout);
    let mut waiter = None;
    let meanwhile = || waiter = lookout.map(|lookout| Waiter::start(host, lookout, told.teller()));
    let mut ends = vec![End::Failed(OWN); stages.len()];
    let (mut programs, mut started) = (Vec::new(), Vec::new());
    let stages_and_streams = stages.iter().zip(joined).collect();
    for (at, outcome) in start::all(host, &policy, in_front, stages_and_streams, meanwhile) {
        match outcome {
            Ok(program) => {
                started.push(at);
                programs.push(program);
            }
            Err((failure, _)) if stages.len() == 1 => return Err(failure),
            Err((failure, mut streams)) => {
                stages[at].complain(host, &failure);
                ends[at] = End::Failed(failure.status);
                streams.handed(host);
            }
        }
    }
    // The programs have the pipes between them.
    let given: BTreeSet<i32> = sides
        .iter()
        .flat_map(|side| side.given)
        .flatten()
        .map(|end| end.0)
        .collect();
    let given: Vec<RemoteFd> = given.into_iter().map(RemoteFd).collect();
    post_close(host, &given);
    if programs.is_empty() {
        return Ok(ends);
    }
    // Not before: whoever is tired of waiting for a start may end this process, and the host then ends the program.
    let events = Events::start(told)
        .map_err(|errno| Failure::own(format_args!("cannot wait for signals: {errno}")))?;
    for program in &mut programs {
        program.streams.handed(host);
    }
    if let Some(waiter) = waiter {
        let waiter =
            waiter.map_err(|error| Failure::own(format_args!("cannot start a thread: {error}")))?;
        let numbers = programs.iter().map(|program| program.number);
        waiter.wait_for(numbers.collect(), job::are_done_with(&programs));
    }
    let ended = Job::new(host, programs, events, in_front).attend()?;
    if stages.iter().any(|stage| stage.options.verbose) {
        let lines = ended.streams.lines();
        lines.for_each(|line| complain("hrun", line));
    }
    for (at, state) in started.into_iter().zip(ended.states) {
        ends[at] = End::Ran(state);
    }
    Ok(ends)
}

/// Whether the programs are to have a terminal, if anybody has said so.
fn wanted(stages: &[Stage]) -> Option<bool> {
    let said = stages.iter().map(|stage| &stage.options);
    let said = said.filter(|options| options.terminal || options.no_terminal);
    said.map(|options| options.terminal).next()
}

/// The variables that assignments, `$HOSTCALL_ENV` and the command line name; a later one says how the value is translated.
fn named(assigned: &[Vec<u8>], options: &Hrun) -> Result<Vec<Named>, Failure> {
    let list = std::env::var_os("HOSTCALL_ENV").unwrap_or_default();
    let list = environment::parse_list(list.as_bytes())
        .map_err(|error| Failure::own(format_args!("HOSTCALL_ENV: {error}")))?;
    let assigned = assigned.iter().cloned().map(Named::guests);
    Ok(assigned
        .chain(list)
        .chain(options.env.iter().cloned())
        .collect())
}
