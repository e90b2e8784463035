//! `hrun`: from the command line to the program's end.

use crate::command::Hrun;
use crate::directory;
use crate::environment::{self, Named};
use crate::events::Events;
use crate::failure::{plain, Failure, MISSING, REFUSED};
use crate::host;
use crate::job::Job;
use crate::paths::Prefix;
use crate::policy::Policy;
use crate::session::Session;
use crate::streams::join::{refused, Joined};
use crate::terminal;
use crate::words;
use hostcall::ops::Calls;
use hostcall::types::{Errno, JobState};
use std::ffi::{CString, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// The terminal controls the program's session.
const CONTROLS: u32 = 1;
/// The program is in the background of that terminal.
const BEHIND: u32 = 2;

/// Runs a program; answers how it ended.
///
/// # Errors
/// It was not started, or the host was lost.
pub fn run(options: &Hrun) -> Result<JobState, Failure> {
    let Some(command) = options.words.first() else {
        return Err(Failure::own("no program is named; see hrun --help"));
    };
    let named = named(options)?;
    let session = Session::find().map_err(Failure::own)?;
    let prefix = Prefix::of_environment();
    let host = host::attach()?;
    directory::enter(host, &session, &prefix)?;
    let policy = Policy::ask(host).map_err(|errno| Failure::host("the policy", errno))?;
    if !policy.allowed {
        return Err(refused());
    }
    let packed = pack(options, &named, &policy, &prefix)?;
    let in_front = terminal::is_ours(0);
    let start = |joined: &Joined| -> Result<u32, Failure> {
        let failed = |errno| not_started(command, errno);
        let arguments = words::write(host, &packed).map_err(failed)?;
        let [stdin, stdout, stderr] = joined.ends;
        let behind = if in_front { 0 } else { BEHIND };
        let flags = joined.terminal.map_or(0, |_| CONTROLS | behind);
        let started = host.exec(arguments, stdin, stdout, stderr, flags);
        let started = started.map_err(|errno| match words::refusal(host, arguments) {
            Some(reason) => Failure {
                status: REFUSED,
                line: format!("{}: refused: {reason}", plain(command.as_bytes())),
            },
            None => not_started(command, errno),
        });
        let _ = host.close(arguments);
        Ok(started?.job)
    };
    let wanted = match (options.terminal, options.no_terminal) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        _ => None,
    };
    let joined = Joined::make(host, wanted)?;
    let number = start(&joined)?;
    // Not before: whoever is tired of waiting for a start may end this process, and the host then ends the program.
    let events = Events::start()
        .map_err(|errno| Failure::own(format_args!("cannot wait for signals: {errno}")))?;
    joined.handed(host);
    let ended = Job::new(host, number, joined, events, in_front).attend()?;
    if options.verbose {
        eprint!("{}", ended.streams);
    }
    Ok(ended.state)
}

/// The variables that the command line and `$HOSTCALL_ENV` name.
fn named(options: &Hrun) -> Result<Vec<Named>, Failure> {
    let list = std::env::var_os("HOSTCALL_ENV").unwrap_or_default();
    let mut named = environment::parse_list(list.as_bytes())
        .map_err(|error| Failure::own(format_args!("HOSTCALL_ENV: {error}")))?;
    named.extend(options.env.iter().cloned());
    Ok(named)
}

fn pack(
    options: &Hrun,
    named: &[Named],
    policy: &Policy,
    prefix: &Prefix,
) -> Result<Vec<u8>, Failure> {
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
    let guest: Vec<(Vec<u8>, Vec<u8>)> = std::env::vars_os()
        .map(|(name, value)| (name.into_vec(), value.into_vec()))
        .collect();
    let offer = environment::offer(&policy.pass, &guest, named, prefix, own);
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
            "too many host programs at once; wait for some, or raise \"processes\" under \"exec\" in hostd's configuration",
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
