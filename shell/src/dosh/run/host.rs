//! Host stages: a process of the shell's that runs host programs and ends as they do, by the same library as `hrun`.
//!
//! One process sees to all neighbouring stages. The pipes between them are the host's, and here files stand for them while the
//! redirections of each stage are done: what names such a file then is the pipe.

use crate::dosh::builtins;
use crate::dosh::plan::Place;
use crate::dosh::shell::{Flow, Run, Shell};
use crate::dosh::syntax::tree::{Assignment, Bytes, Command, Kind, List};
use crate::dosh::sys;
use crate::failure::{plain, Failure, MISSING, OWN, REFUSED};
use crate::programs;
use crate::run::{self, End, Stage};
use crate::status;
use crate::streams::join::Side;
use crate::streams::kind;
use hostcall::client::Client;
use hostcall::ops::Calls;
use hostcall::types::{JobState, OpenFlags, RemoteFd};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// What stands for one end of a pipe on the host.
struct Stand {
    /// Here.
    fd: i32,
    /// There.
    remote: RemoteFd,
}

/// A pipe between two stages.
struct Joint {
    reader: Stand,
    writer: Stand,
}

impl Joint {
    fn make(host: &Client) -> Result<Joint, Failure> {
        let pipe = host
            .pipe(OpenFlags(libc::O_CLOEXEC))
            .map_err(|errno| Failure::host("a pipe on the host", errno))?;
        let stand = |remote| sys::placeholder().map(|fd| Stand { fd, remote });
        let (reader, writer) = (stand(pipe.reader), stand(pipe.writer));
        Ok(Joint {
            reader: reader.map_err(Failure::own)?,
            writer: writer.map_err(Failure::own)?,
        })
    }
}

impl Shell {
    /// Where a command of this name runs that is no function.
    pub fn place_of(&self, name: &[u8]) -> Place {
        match builtins::find(name) {
            Some(builtin) if builtin.apart => Place::Host,
            Some(_) => Place::Guest,
            None => self.host.place,
        }
    }

    /// The words of `hrun` for a command that runs on the host.
    fn words_for_host(&self, fields: &[Bytes]) -> Vec<OsString> {
        let says = builtins::find(&fields[0]).is_some();
        let before: &[&str] = if says { &[] } else { &["hrun", "--"] };
        let fields = fields.iter().cloned().map(OsString::from_vec);
        before.iter().map(OsString::from).chain(fields).collect()
    }

    /// Runs a line whose commands are the host's.
    pub fn on_host(&mut self, line: &List, last: bool) -> Run {
        if !self.has_host() {
            self.status = MISSING.into();
            return Ok(());
        }
        let before = std::mem::replace(&mut self.host.place, Place::Host);
        let result = self.list(line, last);
        self.host.place = before;
        result
    }

    /// Runs one host program in this process, which does nothing else any more; answers the status if it does not die as the
    /// program has.
    pub fn attend_one(&mut self, fields: &[Bytes], assignments: &[Assignment]) -> i32 {
        if self.refuses_substitutions(fields) {
            return REFUSED.into();
        }
        self.adopt_environment();
        kind::fill_missing();
        programs::hrun::with(self.words_for_host(fields), &crossing(assignments))
    }

    /// Whether a word names a pipe of a process substitution, which is the guest's alone; tells it then.
    fn refuses_substitutions(&self, fields: &[Bytes]) -> bool {
        let named = |fd: &i32| {
            let path = format!("/dev/fd/{fd}");
            fields
                .iter()
                .any(|field| names(field, path.as_bytes()))
                .then_some(path)
        };
        let Some(path) = self.held.iter().find_map(named) else {
            return false;
        };
        let root = self.prefix().to_guest(b"/");
        self.complain(format_args!(
            "hrun: {path}: the pipe of <( ) or >( ) is the guest's and has no name on the host; redirect a standard stream, as in \
             `< <(…)`, or name a file under {}",
            plain(&root)
        ));
        true
    }

    /// Runs neighbouring stages in this process, which does nothing else any more, and reports how each has ended.
    pub fn attend(&mut self, stages: &[Command], report: i32) -> Run {
        let ends = self.run_stages(stages);
        let raw: Vec<i32> = ends.iter().map(|end| raw(*end)).collect();
        let said: Vec<u8> = raw.iter().flat_map(|raw| raw.to_le_bytes()).collect();
        let _ = sys::write_all(report, &said);
        match ends.last() {
            Some(End::Ran(state)) => status::end(*state),
            Some(End::Failed(status)) => Err(Flow::Exit((*status).into())),
            None => Ok(()),
        }
    }

    fn run_stages(&mut self, stages: &[Command]) -> Vec<End> {
        let mut ends = vec![End::Failed(OWN); stages.len()];
        let joined = self.host.client().and_then(|host| {
            let joints = stages[1..].iter().map(|_| Joint::make(host));
            Ok((host, joints.collect::<Result<Vec<_>, _>>()?))
        });
        let (host, joints) = match joined {
            Ok(joined) => joined,
            Err(failure) => {
                failure.tell("hrun");
                return ends;
            }
        };
        let mut ready = Vec::new();
        let own = [0, 1, 2].map(|fd| sys::duplicate_above(fd, sys::PRIVATE, true).ok());
        for (at, stage) in stages.iter().enumerate() {
            let before = at.checked_sub(1).map(|at| &joints[at].reader);
            let behind = joints.get(at).map(|joint| &joint.writer);
            let given = [before, behind, None];
            for (role, fd) in [0, 1, 2].into_iter().enumerate() {
                let fd_of_stand = given[role].map(|stand| stand.fd);
                match fd_of_stand.or(own[role]) {
                    Some(from) => drop(sys::duplicate_to(from, fd)),
                    None => sys::close(fd),
                }
            }
            match self.ready(stage, &joints) {
                Ok(stage) => ready.push((at, stage)),
                Err(status) => ends[at] = End::Failed(status),
            }
        }
        self.take_ends(own, stages.len(), &mut ready);
        close_unused(host, &joints, &ready);
        let (places, ready): (Vec<usize>, Vec<Stage>) = ready.into_iter().unzip();
        let ran = run::run(host, &ready).unwrap_or_else(|failure| {
            failure.tell("hrun");
            vec![End::Failed(failure.status); ready.len()]
        });
        for (at, end) in places.into_iter().zip(ran) {
            ends[at] = end;
        }
        ends
    }

    /// Expands a stage's words and does its redirections, which hold for it alone.
    ///
    /// # Errors
    /// The status with which it ends instead, after the rest was told.
    fn ready(&mut self, stage: &Command, joints: &[Joint]) -> Result<Stage, u8> {
        let variables = self.variables.clone();
        let result = self.ready_here(stage, joints);
        self.variables = variables;
        match result {
            Ok(result) => result,
            Err(Flow::Exit(status) | Flow::Abort(status) | Flow::Return(status)) => {
                Err(u8::try_from(status).unwrap_or(OWN))
            }
            Err(Flow::Break(_) | Flow::Continue(_)) => Err(OWN),
        }
    }

    fn ready_here(&mut self, stage: &Command, joints: &[Joint]) -> Run<Result<Stage, u8>> {
        self.line = stage.line;
        let Kind::Simple(simple) = &stage.kind else {
            return Ok(Err(OWN));
        };
        let fields = self.fields(&simple.words)?;
        for assignment in &simple.assignments {
            self.assign_one(assignment)?;
            self.variables.attributes(&assignment.name).exported = true;
            self.trace_assignment(assignment)?;
        }
        self.trace(&fields)?;
        let Ok(saved) = self.redirect(&stage.redirects)? else {
            return Ok(Err(1));
        };
        let side = side(joints);
        self.restore(saved);
        if self.refuses_substitutions(&fields) {
            return Ok(Err(REFUSED));
        }
        self.adopt_environment();
        let assigned = crossing(&simple.assignments);
        Ok(match programs::hrun::read(self.words_for_host(&fields)) {
            Ok(options) if options.words.is_empty() => {
                self.complain("hrun: only programs can be joined");
                Err(OWN)
            }
            Ok(options) => Stage::here(options, &assigned, side).map_err(|failure| {
                failure.tell("hrun");
                failure.status
            }),
            Err(status) => Err(u8::try_from(status).unwrap_or(OWN)),
        })
    }

    /// Has this process's standard streams be the pipeline's, and nothing else of it but the stages hold any.
    fn take_ends(&mut self, own: [Option<i32>; 3], count: usize, ready: &mut [(usize, Stage)]) {
        let mut take = |fd: i32, at: usize| {
            let end = ready.iter_mut().find(|(place, _)| *place == at);
            match end {
                Some((_, stage)) => {
                    let number = &mut stage.side_mut().numbers[fd as usize];
                    if *number != CLOSED {
                        sys::move_to(*number as i32, fd);
                        *number = fd as usize;
                    }
                }
                None => sys::close(fd),
            }
        };
        for fd in [0, 1] {
            sys::close(fd);
        }
        take(0, 0);
        take(1, count - 1);
        match own[2] {
            Some(errors) => drop(sys::duplicate_to(errors, 2)),
            None => sys::close(2),
        }
        own.into_iter().flatten().for_each(sys::close);
        kind::fill_missing();
    }

    /// Has this process's environment be what programs find.
    fn adopt_environment(&self) {
        for (name, _) in std::env::vars_os() {
            std::env::remove_var(name);
        }
        for entry in self.variables.environment() {
            let entry = entry.to_bytes();
            // A name may begin with `=`, and has one byte at least.
            let Some(equals) = entry.iter().skip(1).position(|byte| *byte == b'=') else {
                continue;
            };
            let (name, value) = (&entry[..=equals], &entry[equals + 2..]);
            std::env::set_var(OsStr::from_bytes(name), OsStr::from_bytes(value));
        }
    }
}

/// The names of variables that are assigned for a host program. What `hrun` itself reads is meant for it.
fn crossing(assignments: &[Assignment]) -> Vec<Bytes> {
    let names = assignments.iter().map(|assignment| &assignment.name);
    names
        .filter(|name| !name.starts_with(b"HOSTCALL_"))
        .cloned()
        .collect()
}

/// Whether a text holds a path that ends with a number.
fn names(text: &[u8], path: &[u8]) -> bool {
    let ends = |rest: &[u8]| !rest.first().is_some_and(u8::is_ascii_digit);
    let mut places = text.windows(path.len()).enumerate();
    places.any(|(at, found)| found == path && ends(&text[at + path.len()..]))
}

/// Closes ends of pipes between stages that no stage has: whoever is at the other end hears of it.
fn close_unused(host: &Client, joints: &[Joint], ready: &[(usize, Stage)]) {
    let given = |end: RemoteFd| {
        let sides = ready.iter().map(|(_, stage)| stage.side());
        { sides }.any(|side| side.given.contains(&Some(end)))
    };
    let ends = joints
        .iter()
        .flat_map(|joint| [&joint.reader, &joint.writer]);
    for stand in ends.filter(|stand| !given(stand.remote)) {
        let _ = host.close(stand.remote);
    }
}

/// What the standard streams are: files of the guest, or pipes between stages.
fn side(joints: &[Joint]) -> Side {
    let stands = || {
        let ends = joints
            .iter()
            .flat_map(|joint| [&joint.reader, &joint.writer]);
        ends.map(|stand| (sys::identity(stand.fd), stand.remote))
    };
    let given = |fd: i32| {
        let identity = sys::identity(fd);
        let found = { stands }().find(|(stand, _)| identity.is_some() && *stand == identity);
        found.map(|(_, remote)| remote)
    };
    // A number that is closed stays so: what is not there is not there for the program.
    let number = |fd: i32| match sys::duplicate_above(fd, sys::PRIVATE, true) {
        Ok(number) => number as usize,
        Err(_) => CLOSED,
    };
    Side {
        numbers: [0, 1, 2].map(number),
        given: [0, 1, 2].map(given),
    }
}

/// A number that is never open.
const CLOSED: usize = i32::MAX as usize;

/// As waitpid(2) tells it.
fn raw(end: End) -> i32 {
    match end {
        End::Ran(JobState::Exited(code)) => i32::from(code) << 8,
        End::Ran(JobState::Signalled { signal, .. }) => signal.into(),
        End::Ran(_) => i32::from(OWN) << 8,
        End::Failed(status) => i32::from(status) << 8,
    }
}
