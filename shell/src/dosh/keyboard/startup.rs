//! What a shell reads before its first command.

use super::prompt::OWN;
use crate::dosh::shell::{Flow, Run, Shell};
use crate::dosh::syntax::tree::Bytes;
use crate::dosh::{input, sys};

/// What the command line says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Startup {
    /// The shell of a session: reads the profiles.
    pub login: bool,
    /// Reads `~/.doshrc`.
    pub configured: bool,
    /// Without `+m`.
    pub controls_jobs: bool,
}

impl Shell {
    /// Of a login shell, interactive or not.
    pub fn read_profiles(&mut self) -> Run {
        self.read_file(b"/etc/profile")?;
        match self.at_home(b".profile") {
            Some(path) => self.read_file(&path),
            None => Ok(()),
        }
    }

    pub(super) fn start_up(&mut self, startup: &Startup) -> Run {
        let inherited = self
            .variables
            .lookup(b"PS1")
            .is_some_and(|variable| variable.exported);
        if !inherited {
            self.variables.put(b"PS1", OWN.to_vec());
        }
        let posix = self.options.is_on(b"posix") == Some(true);
        let path = match posix {
            true => self
                .variables
                .get(b"ENV")
                .map(<[u8]>::to_vec)
                .map(|path| self.expand_prompt(&path)),
            false => self.at_home(b".doshrc"),
        };
        if let (true, Some(path)) = (startup.configured, path) {
            self.read_file(&path)?;
        }
        // Says so if not.
        self.has_host();
        Ok(())
    }

    fn at_home(&self, name: &[u8]) -> Option<Bytes> {
        let home = self
            .variables
            .get(b"HOME")
            .filter(|home| !home.is_empty())?;
        Some([home, b"/", name].concat())
    }

    /// Runs a file's commands, if it is there. What is wrong in it ends it, and not the shell.
    fn read_file(&mut self, path: &[u8]) -> Run {
        let text = match input::file(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => {
                let path = String::from_utf8_lossy(path);
                self.complain(format_args!("{path}: {}", sys::reason(error)));
                return Ok(());
            }
        };
        self.depth += 1;
        let result = self.run_text(&text, 1);
        self.depth -= 1;
        match result {
            Err(Flow::Exit(status)) => Err(Flow::Exit(status)),
            Err(Flow::Abort(status) | Flow::Return(status)) => {
                self.status = status;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
