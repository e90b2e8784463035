//! Completion for interactive shells: the scripts that bash and zsh read, and what the host answers to them.

use crate::command::{Complete, Hrun, Shell};
use crate::directory;
use crate::failure::Failure;
use crate::host;
use crate::paths::Prefix;
use crate::session::Session;
use clap::CommandFactory;
use hostcall::ops::Calls;
use hostcall::types::{DirFd, Errno, Mode, OpenFlags};
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
    let slash = text.iter().rposition(|byte| *byte == b'/');
    let (parent, begin) = text.split_at(slash.map_or(0, |slash| slash + 1));
    let opened = match parent {
        b"" => b".",
        parent => parent,
    };
    let opened = CString::new(opened).map_err(|_| Errno(libc::EINVAL))?;
    let flags = OpenFlags(libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC);
    let directory = host.openat(DirFd::CWD, &opened, flags, Mode(0))?.fd;
    let mut entries = vec![0; ROOM];
    let mut found = Vec::new();
    loop {
        let filled = host.getdents(directory, Sink::new(&mut entries))?.filled.0;
        if filled == 0 {
            break;
        }
        for (name, kind) in Entries(&entries[..filled]) {
            let is_wanted =
                name.starts_with(begin) && (name[0] != b'.' || begin.first() == Some(&b'.'));
            if !is_wanted || matches!(name, b"." | b"..") {
                continue;
            }
            let is_directory = match kind {
                libc::DT_DIR => true,
                libc::DT_LNK | libc::DT_UNKNOWN => {
                    leads_to_directory(host, DirFd(directory.0), name)
                }
                _ => false,
            };
            match (is_directory, only_directories) {
                (true, _) => found.push([parent, name, b"/"].concat()),
                (false, false) => found.push([parent, name].concat()),
                (false, true) => {}
            }
        }
    }
    let _ = host.close(directory);
    Ok(found)
}

fn leads_to_directory(host: &impl Calls, directory: DirFd, name: &[u8]) -> bool {
    let flags = OpenFlags(libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC);
    let name = CString::new(name).unwrap_or_default();
    let opened = host.openat(directory, &name, flags, Mode(0));
    opened.map(|opened| host.close(opened.fd)).is_ok()
}

/// Names and types of packed `struct linux_dirent64`, getdents64(2).
struct Entries<'e>(&'e [u8]);

impl<'e> Iterator for Entries<'e> {
    type Item = (&'e [u8], u8);

    fn next(&mut self) -> Option<Self::Item> {
        // Inode and offset, 8 bytes each; length of the entry, 2; type, 1; the name and a NUL.
        const LENGTH: usize = 16;
        const NAME: usize = 19;
        let length = self.0.get(LENGTH..LENGTH + 2)?;
        let length = usize::from(u16::from_ne_bytes([length[0], length[1]]));
        let (entry, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        let name = entry.get(NAME..)?;
        let end = name.iter().position(|byte| *byte == 0)?;
        (end > 0).then_some((&name[..end], entry[NAME - 1]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &[u8], kind: u8) -> Vec<u8> {
        let length = (19 + name.len() + 1).next_multiple_of(8);
        let mut bytes = vec![0; 16];
        bytes.extend_from_slice(&(length as u16).to_ne_bytes());
        bytes.push(kind);
        bytes.extend_from_slice(name);
        bytes.resize(length, 0);
        bytes
    }

    #[test]
    fn entries_are_read_to_their_end_and_no_further() {
        let packed = [entry(b"a", libc::DT_DIR), entry(b"long name", libc::DT_REG)].concat();
        let read: Vec<_> = Entries(&packed).collect();
        assert_eq!(
            read,
            [
                (b"a".as_slice(), libc::DT_DIR),
                (b"long name", libc::DT_REG)
            ]
        );
        for cut in [1, 18, 19, packed.len() - 1] {
            assert!(Entries(&packed[..cut]).count() < 2, "{cut}");
        }
        assert_eq!(Entries(&[0; 40]).count(), 0);
    }

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
