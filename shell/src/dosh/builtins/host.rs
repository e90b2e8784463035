//! `hrun`, `hcd`, `hpwd`, `hpath`: as the programs of these names; `host` and `guest`: where commands run that do not say.

use super::shown;
use crate::command::{Hcd, Hpath, Hpwd};
use crate::directory::{self, Goal};
use crate::dosh::plan::Place;
use crate::dosh::shell::{Flow, Run, Shell};
use crate::dosh::syntax::tree::Bytes;
use crate::failure::{plain, Failure};
use crate::programs;
use clap::Parser;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::rc::Rc;

/// The words as clap takes them.
fn strings(words: &[Bytes]) -> Vec<OsString> {
    words.iter().cloned().map(OsString::from_vec).collect()
}

/// Reads a command line.
///
/// # Errors
/// The status, after the rest was told, in one line but for the help that was asked for.
fn read<P: Parser>(shell: &Shell, words: &[Bytes]) -> Result<P, i32> {
    P::try_parse_from(strings(words)).map_err(|error| match error.exit_code() {
        0 => shell.put(&words[0], error.render().to_string().as_bytes()),
        status => {
            let text = error.to_string();
            let lines = text.lines().take_while(|line| !line.is_empty());
            let line = lines.map(str::trim).collect::<Vec<_>>().join(" ");
            let line = line.strip_prefix("error: ").unwrap_or(&line);
            shell.refuse_with(&words[0], line, status)
        }
    })
}

pub fn hrun(shell: &mut Shell, words: &[Bytes]) -> Run<i32> {
    let text: Rc<[u8]> = words.join(&b' ').into();
    let run = |shell: &mut Shell| Err(Flow::Exit(shell.execute(words, None)));
    shell.in_child_for(Place::Host, &text, run)?;
    Ok(shell.status)
}

pub fn hcd(shell: &mut Shell, words: &[Bytes]) -> Run<i32> {
    let options: Hcd = match read(shell, words) {
        Ok(options) => options,
        Err(status) => return Ok(status),
    };
    if let Err(status) = shell.need_host(b"hcd") {
        return Ok(status);
    }
    let goal = Goal::of(options.directory.as_deref());
    Ok(match go(shell, goal) {
        Ok(Some(path)) => shell.put(b"hcd", format!("{}\n", plain(&path)).as_bytes()),
        Ok(None) => 0,
        Err(failure) => shell.refuse_with(b"hcd", failure.line, 1),
    })
}

/// Moves the session; answers what the user does not know of it.
fn go(shell: &mut Shell, goal: Goal<'_>) -> Result<Option<Bytes>, Failure> {
    let mut session = shell.session()?;
    if session.kept().is_none() {
        // Nobody leads the session that the shell is in, so it begins one that its children find.
        let name = format!("dosh:{}", shell.pid).into_bytes();
        shell.variables.put(b"HOSTCALL_SESSION", name);
        shell.variables.attributes(b"HOSTCALL_SESSION").exported = true;
        session = shell.session()?;
    }
    let prefix = shell.prefix();
    let client = shell.host.client()?;
    directory::go(client, &session, &prefix, goal)?;
    // As cd sets PWD.
    for name in [&b"HPWD"[..], b"HOLDPWD"] {
        shell.variables.make_up(name);
    }
    match goal {
        Goal::Before => directory::path(client).map(Some),
        Goal::Home | Goal::To(_) => Ok(None),
    }
}

pub fn hpwd(shell: &mut Shell, words: &[Bytes]) -> Run<i32> {
    if let Err(status) = read::<Hpwd>(shell, words) {
        return Ok(status);
    }
    if let Err(status) = shell.need_host(b"hpwd") {
        return Ok(status);
    }
    let path = || -> Result<Bytes, Failure> {
        let session = shell.session()?;
        let prefix = shell.prefix();
        let client = shell.host.client()?;
        directory::enter(client, &session, &prefix)?;
        directory::path(client)
    };
    Ok(match { path }() {
        Ok(path) => shell.put(b"hpwd", &[&path[..], b"\n"].concat()),
        Err(failure) => shell.refuse_with(b"hpwd", failure.line, 1),
    })
}

pub fn hpath(shell: &mut Shell, words: &[Bytes]) -> Run<i32> {
    Ok(match read::<Hpath>(shell, words) {
        Ok(options) => {
            let put = |lines: &[u8]| shell.put(b"hpath", lines);
            programs::hpath::with(&options, &shell.prefix(), put)
        }
        Err(status) => status,
    })
}

/// `host`: commands that do not say where run on the host from here on, or in the guest again; without a word it tells which.
pub fn host(shell: &mut Shell, words: &[Bytes]) -> Run<i32> {
    let words: Vec<&[u8]> = words[1..].iter().map(|word| &word[..]).collect();
    match words[..] {
        [] => {
            let mode: &[u8] = match shell.host.place {
                Place::Host => b"on\n",
                Place::Guest => b"off\n",
            };
            return Ok(shell.put(b"host", mode));
        }
        [b"on"] => {
            if let Err(status) = shell.need_host(b"host") {
                return Ok(status);
            }
            shell.host.place = Place::Host;
        }
        [b"off"] => shell.host.place = Place::Guest,
        _ => {
            let message = format!("{}: say on or off", shown(&words.join(&b' ')));
            return Ok(shell.refuse_with(b"host", message, 2));
        }
    }
    Ok(0)
}

/// `guest`: the opposite of `host on`; with a command, for that alone.
pub fn guest(shell: &mut Shell, words: &[Bytes]) -> Run<i32> {
    let before = std::mem::replace(&mut shell.host.place, Place::Guest);
    if words.len() == 1 {
        return Ok(0);
    }
    let result = shell.command_without_functions(&words[1..], None);
    shell.host.place = before;
    result
}
