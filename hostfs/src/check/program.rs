//! What the kernel executes when a program is named: the file along `PATH`, and the interpreter of a script.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Interpreters that scripts may go through.
const DEPTH: usize = 4;

/// The file of a program: a path as it is, a mere name along `PATH`.
///
/// # Errors
/// There is none, for people.
pub fn find(name: &OsStr) -> Result<PathBuf, String> {
    if name.as_bytes().contains(&b'/') {
        return Ok(PathBuf::from(name));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let candidates = std::env::split_paths(&path).map(|directory| directory.join(name));
    candidates
        .chain([PathBuf::from(name)])
        .find(|candidate| fs::metadata(candidate).is_ok_and(|file| file.is_file()))
        .ok_or_else(|| "no such program along PATH".to_owned())
}

/// What is executed.
#[derive(Clone, Debug)]
pub struct Executed {
    /// The file that the kernel loads.
    pub file: PathBuf,
    /// Its bytes.
    pub data: Vec<u8>,
    /// The interpreters on the way there; none for a program.
    pub by: Vec<PathBuf>,
    /// Whether it runs with more rights than whoever starts it, and by what.
    pub privileged: Option<&'static str>,
}

/// Follows a script to the program that reads it.
///
/// # Errors
/// A file on the way cannot be read, for people.
pub fn executed(path: &Path) -> Result<Executed, String> {
    let mut file = path.to_owned();
    let mut by = Vec::new();
    loop {
        let data = load(&file)?;
        let Some((interpreter, argument)) = interpreter(&data) else {
            let privileged = privileges(&file);
            return Ok(Executed {
                file,
                data,
                by,
                privileged,
            });
        };
        if by.len() == DEPTH {
            return Err("a script whose interpreters are scripts without end".to_owned());
        }
        // `#!/usr/bin/env NAME` runs NAME along PATH.
        let of_env = interpreter.file_name() == Some(OsStr::new("env"));
        file =
            match argument.filter(|name| of_env && !name.starts_with('-') && !name.contains('=')) {
                Some(name) => find(OsStr::new(&name))
                    .map_err(|error| format!("interpreter {name}: {error}"))?,
                None => interpreter,
            };
        by.push(file.clone());
    }
}

fn load(file: &Path) -> Result<Vec<u8>, String> {
    let told = |error: std::io::Error| format!("{}: {}", file.display(), reason(&error));
    let metadata = fs::metadata(file).map_err(told)?;
    if metadata.is_dir() {
        return Err(format!("{}: a directory", file.display()));
    }
    if !metadata.is_file() {
        return Err(format!("{}: not a regular file", file.display()));
    }
    fs::read(file).map_err(told)
}

/// The error in the system's words, without its number.
fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error")
        .next()
        .unwrap_or_default()
        .to_lowercase()
}

/// The interpreter in a script's first line, and the first word after it.
fn interpreter(data: &[u8]) -> Option<(PathBuf, Option<String>)> {
    let line = data
        .strip_prefix(b"#!")?
        .split(|&byte| byte == b'\n')
        .next()?;
    let mut words = line
        .split(|byte| b" \t\r".contains(byte))
        .filter(|word| !word.is_empty());
    let path = PathBuf::from(OsStr::from_bytes(words.next()?));
    let argument = words
        .next()
        .map(|word| String::from_utf8_lossy(word).into_owned());
    Some((path, argument))
}

fn privileges(file: &Path) -> Option<&'static str> {
    let mode = fs::metadata(file).map_or(0, |file| file.permissions().mode());
    let mut value = [0u8; 64];
    if mode & 0o4000 != 0 {
        Some("set-user-ID")
    } else if mode & 0o2010 == 0o2010 {
        Some("set-group-ID")
    } else {
        let capable = rustix::fs::getxattr(file, "security.capability", &mut value);
        capable
            .is_ok_and(|len| len > 0)
            .then_some("file capabilities")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_lines_are_read_as_the_kernel_reads_them() {
        let read = |text: &str| interpreter(text.as_bytes());
        assert_eq!(read("#!/bin/sh\nx"), Some(("/bin/sh".into(), None)));
        assert_eq!(
            read("#! /usr/bin/env  python3 -u\n"),
            Some(("/usr/bin/env".into(), Some("python3".into())))
        );
        assert_eq!(read("#!\n"), None);
        assert_eq!(read("\x7fELF"), None);
    }
}
