//! Where scripts come from: files, and standard input by lines.

use super::shell::Shell;
use super::syntax::source::Feed;
use super::syntax::tree::Bytes;
use super::sys;
use std::ffi::OsStr;
use std::io::Result;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The text of a file that `.` names: along `PATH` if there is no slash in it.
pub fn script(shell: &Shell, name: &[u8]) -> Result<Bytes> {
    let mut path = name.to_vec();
    if !name.contains(&b'/') {
        let list = shell.variables.get(b"PATH").unwrap_or_default();
        let mut candidates = list
            .split(|byte| *byte == b':')
            .map(|directory| match directory {
                b"" => name.to_vec(),
                directory => [directory, b"/", name].concat(),
            });
        if let Some(found) = candidates.find(|path| is_readable_file(path)) {
            path = found;
        }
    }
    file(&path)
}

fn is_readable_file(path: &[u8]) -> bool {
    sys::may(path, libc::R_OK) && !Path::new(OsStr::from_bytes(path)).is_dir()
}

pub fn file(path: &[u8]) -> Result<Bytes> {
    let fd = sys::raise(sys::open(path, libc::O_RDONLY | libc::O_CLOEXEC)?);
    let text = sys::read_all(fd);
    sys::close(fd);
    text
}

/// Standard input: what follows a line belongs to the command that the line runs.
pub struct Lines {
    /// Blocks can be read, because what is too much can be given back.
    seekable: bool,
}

impl Lines {
    pub fn new() -> Lines {
        Lines {
            seekable: sys::rewind(0, 0),
        }
    }

    fn block(&mut self, line: &mut Bytes) -> Option<bool> {
        let mut block = [0; 4096];
        let size = if self.seekable { block.len() } else { 1 };
        let count = loop {
            match sys::read(0, &mut block[..size]) {
                Ok(count) => break count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => break 0,
            }
        };
        let read = &block[..count];
        let end = read
            .iter()
            .position(|byte| *byte == b'\n')
            .map_or(count, |at| at + 1);
        line.extend_from_slice(&read[..end]);
        if end < count {
            sys::rewind(0, count - end);
        }
        (count > 0).then(|| line.ends_with(b"\n"))
    }
}

impl Feed for Lines {
    fn line(&mut self) -> Option<Bytes> {
        let mut line = Bytes::new();
        while let Some(false) = self.block(&mut line) {}
        (!line.is_empty()).then_some(line)
    }
}
