//! Completion for interactive shells: the scripts that bash and zsh read, and what the host answers to them.

use crate::command::{Complete, Hrun, Shell};
use crate::directory;
use crate::failure::Failure;
use crate::host;
use crate::listing::{self, split, Entry, Listing, Onward};
use crate::paths::Prefix;
use crate::session::Session;
use clap::CommandFactory;
use hostcall::ops::Calls;
use hostcall::types::Errno;
use hostcall::wire::Sink;
use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;

const BASH: &str = include_str!("../completion/hrun.bash");
const ZSH: &str = include_str!("../completion/hrun.zsh");

/// Bytes of names that are offered at most.
const ROOM: usize = 128 << 10;

/// The script for a shell, with hrun's options as they are.
pub fn script(shell: Shell) -> String {
    let text = match shell {
        Shell::Bash => BASH,
        Shell::Zsh => ZSH,
    };
    let mut command = Hrun::command();
    command.build();
    let is_offered = |option: &&clap::Arg| !option.is_positional() && !option.is_hide_set();
    let options = || command.get_arguments().filter(is_offered);
    let long = |option: &clap::Arg| option.get_long().map(|name| format!("--{name}"));
    let takes_value = |option: &&clap::Arg| option.get_action().takes_values();
    let valued: Vec<String> = options().filter(takes_value).filter_map(long).collect();
    let all: Vec<String> = options().filter_map(long).collect();
    text.replace("@VALUED@", &valued.join(" | "))
        .replace("@OPTIONS@", &all.join(" "))
}

/// What a word that begins so could become, a line each. What holds a line feed is not offered.
///
/// # Errors
/// One line.
pub fn candidates(kind: Complete, text: &OsStr) -> Result<Vec<u8>, Failure> {
    let session = Session::find().map_err(Failure::own)?;
    let host = host::attach()?;
    let found = match kind {
        Complete::Program => programs(host, text.as_bytes()),
        Complete::Path | Complete::Directory => {
            directory::enter(host, &session, &Prefix::of_environment())?;
            paths(host, text.as_bytes(), kind == Complete::Directory)
        }
    };
    let mut found = found.map_err(|errno| Failure::host("completion", errno))?;
    found.retain(|name| !name.contains(&b'\n'));
    found.sort();
    Ok(found
        .into_iter()
        .flat_map(|name| [name, b"\n".to_vec()].concat())
        .collect())
}

/// Programs whose names begin so, sorted.
///
/// # Errors
/// The call's.
pub fn programs(host: &impl Calls, text: &[u8]) -> Result<Vec<Vec<u8>>, Errno> {
    let text = CString::new(text).map_err(|_| Errno(libc::EINVAL))?;
    let mut list = vec![0; ROOM];
    let filled = host.complete(&text, Sink::new(&mut list))?.filled.0;
    let names = list[..filled].split(|byte| *byte == 0);
    Ok(names
        .filter(|name| !name.is_empty())
        .map(<[u8]>::to_vec)
        .collect())
}

/// The entries of the host directory that the text leads into. Directories end in a slash. Hidden files come if their dot stands
/// there.
///
/// # Errors
/// The calls'.
pub fn paths(
    host: &impl Calls,
    text: &[u8],
    only_directories: bool,
) -> Result<Vec<Vec<u8>>, Errno> {
    let (parent, begin) = split(text);
    let directory = listing::open(host, parent)?;
    let path = |(name, entry): (&[u8], Entry)| match (
        entry.is_directory(host, directory, name),
        only_directories,
    ) {
        (true, _) => Some([parent, name, b"/"].concat()),
        (false, false) => Some([parent, name].concat()),
        (false, true) => None,
    };
    let listing = Listing::read(host, directory, || Onward::On);
    let found = listing.map(|listing| {
        let found = listing.beginning(begin).into_iter();
        found.filter_map(path).collect()
    });
    let _ = host.close(directory);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_know_the_options() {
        for shell in [Shell::Bash, Shell::Zsh] {
            let script = script(shell);
            assert!(script.contains("--translate") && script.contains("--env | --install-link"));
            assert!(!script.contains("@OPTIONS@") && script.contains("--help"));
            // What only the scripts use is not offered.
            assert!(!script.contains("--completion --complete"));
        }
    }
}
