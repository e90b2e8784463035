//! What the shell knows while a line is typed: a copy, made before each line, because the line editor has a hand of its own.

use super::scan::Mode;
use super::typed::Values;
use crate::dosh::builtins;
use crate::dosh::plan::Place;
use crate::dosh::shell::Shell;
use crate::dosh::syntax::tree::Bytes;
use crate::dosh::variables::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStringExt;

/// The shell's names and values.
#[derive(Debug, Default)]
pub struct Scene {
    pub functions: BTreeSet<Bytes>,
    pub aliases: BTreeMap<Bytes, Bytes>,
    pub variables: BTreeMap<Bytes, Bytes>,
    /// Numbers of jobs, and what they run.
    pub jobs: Vec<(usize, Bytes)>,
    /// Commands run on the host unless the line says otherwise.
    pub on_host: bool,
}

impl Scene {
    pub fn of(shell: &Shell) -> Scene {
        let variables = shell.variables.sorted().into_iter();
        let variables = variables.filter_map(|(name, variable)| {
            let value = match variable.value.as_ref()? {
                Value::Text(text) => text.clone(),
                Value::Array(array) => array.get(&0).cloned().unwrap_or_default(),
            };
            Some((name.clone(), value))
        });
        let aliases = shell.aliases.iter();
        let jobs = shell.jobs.all().iter().filter(|job| !job.is_ended());
        Scene {
            functions: shell.functions.keys().cloned().collect(),
            aliases: aliases
                .map(|(name, text)| (name.clone(), text.clone()))
                .collect(),
            variables: variables.collect(),
            jobs: jobs.map(|job| (job.number, job.text.to_vec())).collect(),
            on_host: shell.host.place == Place::Host,
        }
    }

    /// Whether a name is the shell's own.
    pub fn is_own(&self, name: &[u8]) -> bool {
        builtins::find(name).is_some() || self.functions.contains(name)
    }

    /// Runs with the mode that commands are typed in.
    pub fn with_mode<T>(&self, run: impl FnOnce(Mode) -> T) -> T {
        let is_own = |name: &[u8]| self.is_own(name);
        let alias = |name: &[u8]| self.aliases.get(name).cloned();
        run(Mode {
            on_host: self.on_host,
            is_own: &is_own,
            alias: &alias,
        })
    }

    pub fn text(&self, name: &[u8]) -> &[u8] {
        self.variables.get(name).map_or(b"", |value| &value[..])
    }
}

impl Values for Scene {
    fn variable(&self, name: &[u8]) -> Option<Bytes> {
        self.variables.get(name).cloned()
    }

    fn home(&self, user: &[u8]) -> Option<Bytes> {
        let home = match user {
            b"" => self.variables.get(&b"HOME"[..]),
            b"+" => self.variables.get(&b"PWD"[..]),
            b"-" => self.variables.get(&b"OLDPWD"[..]),
            _ => None,
        };
        if let Some(home) = home {
            return Some(home.clone());
        }
        let found = match user {
            b"" => nix::unistd::User::from_uid(nix::unistd::getuid()),
            _ => nix::unistd::User::from_name(std::str::from_utf8(user).ok()?),
        };
        let user = found.ok()??;
        Some(user.dir.into_os_string().into_vec())
    }
}
