//! Where programs are (XCU 2.9.1.4), and how one takes the shell's place.

use crate::dosh::shell::Shell;
use crate::dosh::syntax::tree::Bytes;
use crate::dosh::sys;
use std::ffi::{CString, OsStr};
use std::io::Error;
use std::os::unix::ffi::OsStrExt;

impl Shell {
    /// The program's path: as it is if it has a slash, else remembered, else along `PATH`.
    pub fn find_program(&mut self, name: &[u8]) -> Option<Bytes> {
        if name.contains(&b'/') {
            return Some(name.to_vec());
        }
        if self.hash_of != self.variables.path_changes {
            self.hash.clear();
            self.hash_of = self.variables.path_changes;
        }
        if let Some(path) = self.hash.get(name) {
            if sys::may(path, libc::X_OK) {
                return Some(path.clone());
            }
        }
        let path = self.variables.get(b"PATH").unwrap_or_default().to_vec();
        let found = self.search(name, &path)?;
        self.hash.insert(name.to_vec(), found.clone());
        Some(found)
    }

    /// Along a path. A file that may not be executed is found if no other is.
    pub fn search(&self, name: &[u8], path: &[u8]) -> Option<Bytes> {
        if name.contains(&b'/') {
            return Some(name.to_vec());
        }
        if name.is_empty() {
            return None;
        }
        let mut refused = None;
        for directory in path.split(|byte| *byte == b':') {
            let candidate = match directory {
                b"" => name.to_vec(),
                directory => [directory, b"/", name].concat(),
            };
            let is_file =
                std::fs::metadata(OsStr::from_bytes(&candidate)).is_ok_and(|meta| meta.is_file());
            if is_file && sys::may(&candidate, libc::X_OK) {
                return Some(candidate);
            }
            if is_file && refused.is_none() {
                refused = Some(candidate);
            }
        }
        refused
    }

    /// Takes the process's place; returns only if that fails.
    pub fn exec_path(&mut self, path: &[u8], fields: &[Bytes]) -> Error {
        let strings = fields.iter().map(|field| CString::new(field.clone()));
        let (Ok(file), Ok(mut arguments)) =
            (CString::new(path), strings.collect::<Result<Vec<_>, _>>())
        else {
            return Error::from_raw_os_error(libc::EINVAL);
        };
        let environment = self.variables.environment();
        let Err(errno) = nix::unistd::execve(&file, &arguments, &environment);
        if errno != nix::errno::Errno::ENOEXEC {
            return errno.into();
        }
        // A script without `#!` is one for this shell.
        arguments[0] = file;
        arguments.insert(0, c"dosh".to_owned());
        let Err(errno) = nix::unistd::execve(c"/proc/self/exe", &arguments, &environment);
        errno.into()
    }
}
