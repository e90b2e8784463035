//! `cd` and `pwd`: the working directory, by the path that led to it (XCU cd).

use super::{shown, Letters};
use crate::dosh::shell::{Run, Shell};
use crate::dosh::syntax::tree::Bytes;
use std::ffi::OsStr;
use std::fs::metadata;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;

/// A path from a directory, without `.`, `..` and empty components. Nothing if it leads through what is no directory; the
/// directory itself may be no more.
fn tidy(base: &[u8], path: &[u8]) -> Option<Bytes> {
    let parts = base.split(|byte| *byte == b'/');
    let mut tidy: Vec<&[u8]> = parts.filter(|part| !part.is_empty()).collect();
    let trusted = tidy.len();
    for component in path.split(|byte| *byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." => {
                let before = [b"/", &tidy.join(&b'/')[..]].concat();
                let is_directory =
                    || metadata(OsStr::from_bytes(&before)).is_ok_and(|meta| meta.is_dir());
                if tidy.len() > trusted && !is_directory() {
                    return None;
                }
                tidy.pop();
            }
            name => tidy.push(name),
        }
    }
    Some([b"/", &tidy.join(&b'/')[..]].concat())
}

/// The working directory as the kernel knows it.
fn physical() -> Option<Bytes> {
    std::env::current_dir()
        .ok()
        .map(|path| path.into_os_string().into_vec())
}

/// Whether the path names the working directory.
fn leads_here(path: &[u8]) -> bool {
    let (Ok(there), Ok(here)) = (metadata(OsStr::from_bytes(path)), metadata(".")) else {
        return false;
    };
    path.starts_with(b"/") && (there.dev(), there.ino()) == (here.dev(), here.ino())
}

impl Shell {
    /// At the beginning: `PWD` is believed if it is right.
    pub fn find_own_directory(&mut self) {
        let inherited = self.variables.get(b"PWD").filter(|path| leads_here(path));
        let dots = |path: &[u8]| {
            path.split(|byte| *byte == b'/')
                .any(|part| part == b"." || part == b"..")
        };
        let path = match inherited {
            Some(path) if !dots(path) => Some(path.to_vec()),
            _ => physical(),
        };
        if let Some(path) = path {
            self.variables.put(b"PWD", path);
        }
        self.variables.attributes(b"PWD").exported = true;
    }

    /// Where relative paths begin.
    fn own_directory(&self) -> Bytes {
        let known = self
            .variables
            .get(b"PWD")
            .filter(|path| path.starts_with(b"/"));
        known
            .map(<[u8]>::to_vec)
            .or_else(physical)
            .unwrap_or_default()
    }

    /// Moves. `physically`: links are resolved.
    ///
    /// # Errors
    /// The system's.
    fn change_directory(&mut self, path: &[u8], physically: bool) -> std::io::Result<Bytes> {
        let old = self.own_directory();
        let whole = match path.starts_with(b"/") {
            true => path.to_vec(),
            false => [&old, &b"/"[..], path].concat(),
        };
        let new = match physically {
            true => {
                std::env::set_current_dir(OsStr::from_bytes(path))?;
                physical().unwrap_or(whole)
            }
            false => {
                let missing = || std::io::Error::from_raw_os_error(libc::ENOENT);
                let base = if path.starts_with(b"/") {
                    b""
                } else {
                    &old[..]
                };
                let tidied = tidy(base, path).ok_or_else(missing)?;
                let moved = std::env::set_current_dir(OsStr::from_bytes(&tidied));
                if moved.is_err() {
                    // The path that was remembered may be no more.
                    std::env::set_current_dir(OsStr::from_bytes(path))?;
                }
                tidied
            }
        };
        self.variables.put(b"OLDPWD", old);
        self.variables.put(b"PWD", new.clone());
        for name in [&b"OLDPWD"[..], b"PWD"] {
            self.variables.attributes(name).exported = true;
        }
        Ok(new)
    }
}

pub fn cd(shell: &mut Shell, words: &[Bytes]) -> Run<i32> {
    let mut letters = Letters::new(words, b"");
    let mut physically = false;
    while let Some((letter, _)) = letters.next() {
        match letter {
            b'L' => physically = false,
            b'P' => physically = true,
            b'e' => {}
            letter => {
                let message = format!("-{}: invalid option", char::from(letter));
                return Ok(shell.refuse_with(b"cd", message, 2));
            }
        }
    }
    let operands = letters.operands();
    if operands.len() > 1 {
        return Ok(shell.refuse_with(b"cd", "too many arguments", 1));
    }
    let variable = |name: &[u8]| shell.variables.get(name).map(<[u8]>::to_vec);
    let (path, mut tells) = match operands.first().map(|path| &path[..]) {
        None => match variable(b"HOME") {
            Some(home) => (home, false),
            None => return Ok(shell.refuse_with(b"cd", "HOME not set", 1)),
        },
        Some(b"-") => match variable(b"OLDPWD") {
            Some(old) => (old, true),
            None => return Ok(shell.refuse_with(b"cd", "OLDPWD not set", 1)),
        },
        Some(path) => (path.to_vec(), false),
    };
    let relative = !matches!(
        path.split(|byte| *byte == b'/').next(),
        Some(b"" | b"." | b"..")
    );
    if let (true, Some(list)) = (relative, variable(b"CDPATH")) {
        for directory in list.split(|byte| *byte == b':') {
            let candidate = match directory {
                b"" => path.clone(),
                directory => [directory, b"/", &path].concat(),
            };
            if metadata(OsStr::from_bytes(&candidate)).is_ok_and(|meta| meta.is_dir()) {
                tells |= !directory.is_empty();
                return Ok(go(shell, &candidate, physically, tells));
            }
        }
    }
    Ok(go(shell, &path, physically, tells))
}

fn go(shell: &mut Shell, path: &[u8], physically: bool, tells: bool) -> i32 {
    if path.is_empty() {
        return 0;
    }
    match shell.change_directory(path, physically) {
        Ok(new) if tells => shell.put(b"cd", &[&new[..], b"\n"].concat()),
        Ok(_) => 0,
        Err(error) => {
            let message = format!("{}: {}", shown(path), crate::dosh::sys::reason(error));
            shell.refuse_with(b"cd", message, 1)
        }
    }
}

pub fn pwd(shell: &mut Shell, words: &[Bytes]) -> Run<i32> {
    let mut letters = Letters::new(words, b"");
    let mut physically = false;
    while let Some((letter, _)) = letters.next() {
        match letter {
            b'L' => physically = false,
            b'P' => physically = true,
            letter => {
                let message = format!("-{}: invalid option", char::from(letter));
                return Ok(shell.refuse_with(b"pwd", message, 2));
            }
        }
    }
    let known = shell
        .variables
        .get(b"PWD")
        .filter(|path| !physically && leads_here(path));
    let path = known.map(<[u8]>::to_vec).or_else(physical);
    // Of a directory that is no more the path is still known.
    let path = path.or_else(|| shell.variables.get(b"PWD").map(<[u8]>::to_vec));
    match path {
        Some(path) => Ok(shell.put(b"pwd", &[&path[..], b"\n"].concat())),
        None => Ok(shell.refuse_with(b"pwd", "the working directory is no more", 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_tidied() {
        assert_eq!(
            tidy(b"", b"/usr/./lib//../bin/"),
            Some(b"/usr/bin".to_vec())
        );
        assert_eq!(tidy(b"/usr", b".."), Some(b"/".to_vec()));
        assert_eq!(tidy(b"", b"/nothing-is-here/../usr"), None);
    }
}
