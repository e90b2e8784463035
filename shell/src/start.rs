//! Starting the programs of one pipeline, in one process group. Several are on their way at once, and how each fared is asked for
//! in the end: a program takes a millisecond to start, of which the host works for a part.

use crate::directory;
use crate::environment;
use crate::failure::{plain, Failure, MISSING, REFUSED};
use crate::job::Program;
use crate::policy::Policy;
use crate::run::Stage;
use crate::session::Session;
use crate::streams::join::{post_close, Joined};
use crate::words;
use hostcall::client::Client;
use hostcall::ops::Calls;
use hostcall::say::complain;
use hostcall::types::{Errno, RemoteFd};
use std::collections::VecDeque;
use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStrExt;

/// The terminal controls the program's session.
const CONTROLS: u32 = 1;
/// The program is in the background of that terminal.
const BEHIND: u32 = 2;
/// The host is not to wait with its answer until the program runs.
const LATER: u32 = 4;

/// Programs on their way at once: as many as a process may have files for their words.
const AHEAD: usize = 4;

/// Which stage, and its program or why it does not run; the streams that it was to have come back then.
pub type Outcome = (usize, Result<Program, (Failure, Joined)>);

/// One that is to be started.
struct Wanted<'s> {
    at: usize,
    stage: &'s Stage,
    streams: Joined,
    /// Its words as the host takes them.
    packed: Vec<u8>,
}

/// One that the host has been asked for.
struct Asked<'s> {
    wanted: Wanted<'s>,
    /// Whether another is to lead its group.
    joins: bool,
    start: Result<Start, Failure>,
}

/// How far a start is.
struct Start {
    words: RemoteFd,
    /// The job's number, or why there is none.
    job: Result<u32, Errno>,
}

/// Starts them, and does something else while the first are on their way. Outcomes come in the order of the stages, but for those
/// that had to wait for one to lead them.
pub fn all(
    host: &'static Client,
    policy: &Policy,
    in_front: bool,
    stages: Vec<(&Stage, Joined)>,
    meanwhile: impl FnOnce(),
) -> Vec<Outcome> {
    let mut meanwhile = Some(meanwhile);
    let (mut outcomes, mut queue) = (Vec::new(), VecDeque::new());
    for (at, (stage, streams)) in stages.into_iter().enumerate() {
        match pack(stage, policy) {
            Ok(packed) => queue.push_back(Wanted {
                at,
                stage,
                streams,
                packed,
            }),
            Err(failure) => outcomes.push((at, Err((failure, streams)))),
        }
    }
    let mut starter = Starter {
        host,
        in_front,
        leader: None,
        entered: None,
    };
    while !queue.is_empty() {
        let round = queue.drain(..queue.len().min(AHEAD)).collect();
        let mut again = Vec::new();
        let round = starter.ask(round);
        if let Some(act) = meanwhile.take() {
            act();
        }
        for asked in round {
            let joins = asked.joins;
            match starter.hear(asked) {
                // The one that was to lead it has failed, so that another does.
                Heard::NoGroup(wanted) if joins && starter.leader.is_none() => again.push(wanted),
                Heard::NoGroup(wanted) => {
                    let failure = not_started(&wanted.stage.options.words[0], Errno(libc::ESRCH));
                    outcomes.push((wanted.at, Err((failure, wanted.streams))));
                }
                Heard::Outcome(outcome) => outcomes.push(outcome),
            }
        }
        again
            .into_iter()
            .rev()
            .for_each(|wanted| queue.push_front(wanted));
    }
    outcomes
}

/// How a start fared.
enum Heard<'s> {
    /// There is no group that it could join.
    NoGroup(Wanted<'s>),
    /// In any other way.
    Outcome(Outcome),
}

/// What the starts of one pipeline's programs have in common.
struct Starter<'s> {
    host: &'static Client,
    in_front: bool,
    /// The job that leads the process group, once it runs.
    leader: Option<u32>,
    /// The session whose directory this process is in.
    entered: Option<&'s Session>,
}

impl<'s> Starter<'s> {
    /// Asks for some programs.
    fn ask(&mut self, round: Vec<Wanted<'s>>) -> Vec<Asked<'s>> {
        let mut beside = self.leader.unwrap_or(0);
        let ask = |wanted: Wanted<'s>| {
            let start = self.ask_one(&wanted, beside);
            let joins = beside != 0;
            if let (Ok(Start { job: Ok(job), .. }), 0) = (&start, beside) {
                beside = *job;
            }
            Asked {
                wanted,
                joins,
                start,
            }
        };
        round.into_iter().map(ask).collect()
    }

    fn ask_one(&mut self, wanted: &Wanted<'s>, beside: u32) -> Result<Start, Failure> {
        let host = self.host;
        let Wanted {
            stage,
            streams,
            packed,
            ..
        } = wanted;
        if self.entered != Some(&stage.session) {
            directory::enter(host, &stage.session, &stage.prefix)?;
            self.entered = Some(&stage.session);
        }
        let failed = |errno| not_started(&stage.options.words[0], errno);
        let words = words::write(host, packed).map_err(failed)?;
        let [stdin, stdout, stderr] = streams.ends;
        let flags = match (streams.terminal, beside, self.in_front) {
            (None, ..) | (Some(_), 1.., _) => 0,
            (Some(_), 0, true) => CONTROLS,
            (Some(_), 0, false) => CONTROLS | BEHIND,
        };
        let asked = host.exec(words, stdin, stdout, stderr, flags | LATER, beside);
        Ok(Start {
            words,
            job: asked.map(|reply| reply.job),
        })
    }

    /// Hears how a start fared.
    fn hear(&mut self, asked: Asked<'s>) -> Heard<'s> {
        let Asked {
            mut wanted,
            joins,
            start,
        } = asked;
        // What may have to be asked for again is given its streams once more.
        if !joins {
            wanted.streams.handed(self.host);
        }
        let started = start.and_then(|start| self.started(&wanted, start));
        match started {
            Ok(Some(number)) => {
                self.leader.get_or_insert(number);
                let streams = wanted.streams;
                Heard::Outcome((wanted.at, Ok(Program { number, streams })))
            }
            Ok(None) => Heard::NoGroup(wanted),
            Err(failure) => Heard::Outcome((wanted.at, Err((failure, wanted.streams)))),
        }
    }

    /// The number of a program's job once it runs, unless there is no group for it.
    fn started(&self, wanted: &Wanted<'s>, start: Start) -> Result<Option<u32>, Failure> {
        let Start { words, job } = start;
        let host = self.host;
        let job = job.and_then(|job| host.started(job, words).map(|_| job));
        let command = &wanted.stage.options.words[0];
        let started = match job {
            Ok(job) => Ok(Some(job)),
            Err(Errno(libc::ESRCH)) => Ok(None),
            Err(errno) => Err(match words::refusal(host, words) {
                Some(reason) => Failure {
                    status: REFUSED,
                    line: format!("{}: refused: {reason}", plain(command.as_bytes())),
                },
                None => not_started(command, errno),
            }),
        };
        post_close(host, &[words]);
        started
    }
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
        let what = format_args!(
            "{} does not cross to the host; name it in \"pass\" under \"exec\" in hostd's configuration",
            plain(name)
        );
        complain("hrun", what);
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
