//! `hrun`: from the command line to the end of the program, or of all the programs of a pipeline.

use crate::command::Hrun;
use crate::directory;
use crate::environment::{self, Named};
use crate::events::Events;
use crate::failure::{plain, Failure, MISSING, OWN, REFUSED};
use crate::job::{Job, Program};
use crate::paths::Prefix;
use crate::policy::Policy;
use crate::session::Session;
use crate::streams::guest;
use crate::streams::join::{refused, Joined, Side};
use crate::terminal;
use crate::words;
use hostcall::client::Client;
use hostcall::ops::Calls;
use hostcall::transfer::{self, Known};
use hostcall::types::{Errno, JobState, Offset, RemoteFd, RwFlags};
use std::collections::BTreeSet;
use std::ffi::{CString, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// The terminal controls the program's session.
const CONTROLS: u32 = 1;
/// The program is in the background of that terminal.
const BEHIND: u32 = 2;

/// A program that is to run on the host, and what it finds around it in the guest.
#[derive(Debug)]
pub struct Stage {
    options: Hrun,
    /// The guest's variables.
    variables: Vec<(Vec<u8>, Vec<u8>)>,
    /// Those of them that are to cross because somebody has named them.
    named: Vec<Named>,
    session: Session,
    prefix: Prefix,
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
    let mut ends = vec![End::Failed(OWN); stages.len()];
    let (mut programs, mut started) = (Vec::new(), Vec::new());
    let mut entered = None;
    for (at, (stage, streams)) in stages.iter().zip(joined).enumerate() {
        let starter = Starter {
            host,
            policy: &policy,
            in_front,
            beside: programs.first().map_or(0, |first: &Program| first.number),
        };
        match starter.start(stage, &streams, &mut entered) {
            Ok(number) => {
                started.push(at);
                programs.push(Program { number, streams });
            }
            Err(failure) if stages.len() == 1 => return Err(failure),
            Err(failure) => {
                stage.complain(host, &failure);
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
    for end in given {
        let _ = host.close(RemoteFd(end));
    }
    if programs.is_empty() {
        return Ok(ends);
    }
    // Not before: whoever is tired of waiting for a start may end this process, and the host then ends the program.
    let events = Events::start()
        .map_err(|errno| Failure::own(format_args!("cannot wait for signals: {errno}")))?;
    programs
        .iter()
        .for_each(|program| program.streams.handed(host));
    let ended = Job::new(host, programs, events, in_front).attend()?;
    if stages.iter().any(|stage| stage.options.verbose) {
        eprint!("{}", ended.streams);
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

/// What the starts of one pipeline's programs have in common.
struct Starter<'s> {
    host: &'static Client,
    policy: &'s Policy,
    in_front: bool,
    /// The job in whose process group it is started; 0 for one of its own.
    beside: u32,
}

impl Starter<'_> {
    /// Starts a program; answers its job's number. `entered`: the session whose directory this process is in.
    fn start<'p>(
        &self,
        stage: &'p Stage,
        joined: &Joined,
        entered: &mut Option<&'p Session>,
    ) -> Result<u32, Failure> {
        let Starter { host, .. } = *self;
        let command = &stage.options.words[0];
        if *entered != Some(&stage.session) {
            directory::enter(host, &stage.session, &stage.prefix)?;
            *entered = Some(&stage.session);
        }
        let packed = pack(stage, self.policy)?;
        let failed = |errno| not_started(command, errno);
        let arguments = words::write(host, &packed).map_err(failed)?;
        let [stdin, stdout, stderr] = joined.ends;
        let flags = match (joined.terminal, self.beside, self.in_front) {
            (None, ..) | (Some(_), 1.., _) => 0,
            (Some(_), 0, true) => CONTROLS,
            (Some(_), 0, false) => CONTROLS | BEHIND,
        };
        let started = host.exec(arguments, stdin, stdout, stderr, flags, self.beside);
        let started = started.map_err(|errno| match words::refusal(host, arguments) {
            Some(reason) => Failure {
                status: REFUSED,
                line: format!("{}: refused: {reason}", plain(command.as_bytes())),
            },
            None => not_started(command, errno),
        });
        let _ = host.close(arguments);
        Ok(started?.job)
    }
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

fn pack(stage: &Stage, policy: &Policy) -> Result<Vec<u8>, Failure> {
    let Stage {
        options,
        variables,
        named,
        prefix,
        ..
    } = stage;
    let own = std::env::current_dir().unwrap_or_default();
    let own = own.as_os_str().as_bytes();
    let word =
        |word: Vec<u8>| CString::new(word).map_err(|_| Failure::own("an argument holds a NUL"));
    let translated = |given: &OsString| {
        let given = given.as_bytes();
        // A relative path means the same on both sides, or nothing on the host.
        let host = options.translate && given.starts_with(b"/");
        let host = host.then(|| prefix.to_host(own, given)).flatten();
        word(host.unwrap_or_else(|| given.to_vec()))
    };
    let arguments: Vec<CString> = options
        .words
        .iter()
        .map(translated)
        .collect::<Result<_, _>>()?;
    let offer = environment::offer(&policy.pass, variables, named, prefix, own);
    for name in &offer.refused {
        eprintln!(
            "hrun: {} does not cross to the host; name it in \"pass\" under \"exec\" in hostd's configuration",
            plain(name)
        );
    }
    Ok(words::pack(&arguments, &offer.variables))
}

/// Why the host did not start the program.
fn not_started(command: &OsString, errno: Errno) -> Failure {
    let (status, why) = match errno.0 {
        libc::ENOTCONN => return Failure::host("", errno),
        libc::ENOENT | libc::ENOTDIR => (
            MISSING,
            "not found on the host; name a program of its PATH, or a path of the host",
        ),
        libc::EACCES | libc::EPERM => (
            REFUSED,
            "not executable for the host's user; name another program, or see to its permissions on the host",
        ),
        libc::ENOEXEC => (
            REFUSED,
            "not a program that the host can execute; begin a script with #! and its interpreter",
        ),
        libc::E2BIG => (
            REFUSED,
            "arguments and environment are too long for the host; pass less, or by a file",
        ),
        libc::EAGAIN => (
            REFUSED,
            "the host has no room for one more program just now; try again, or see to the limits of its user there",
        ),
        libc::EISDIR => (REFUSED, "a directory; name a program"),
        _ => {
            return Failure {
                status: REFUSED,
                line: format!("{}: {errno}", plain(command.as_bytes())),
            }
        }
    };
    Failure {
        status,
        line: format!("{}: {why}", plain(command.as_bytes())),
    }
}
