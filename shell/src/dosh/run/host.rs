//! Host stages: a process of the shell's that runs host programs and ends as they do, by the same library as `hrun`.

use crate::dosh::builtins;
use crate::dosh::plan::Place;
use crate::dosh::shell::Shell;
use crate::dosh::syntax::tree::Bytes;
use crate::programs;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

impl Shell {
    /// Where a command of this name runs that is no function.
    pub fn place_of(&self, name: &[u8]) -> Place {
        match builtins::find(name) {
            Some(builtin) if builtin.apart => Place::Host,
            Some(_) => Place::Guest,
            None => self.host.place,
        }
    }

    /// The words of `hrun` for a command that runs on the host.
    fn words_for_host(&self, fields: &[Bytes]) -> Vec<OsString> {
        let says = builtins::find(&fields[0]).is_some();
        let before: &[&str] = if says { &[] } else { &["hrun", "--"] };
        let fields = fields.iter().cloned().map(OsString::from_vec);
        before.iter().map(OsString::from).chain(fields).collect()
    }

    /// Runs one host program in this process, which does nothing else any more; answers the status if it does not die as the
    /// program has.
    pub fn attend_one(&mut self, fields: &[Bytes]) -> i32 {
        self.adopt_environment();
        programs::hrun::with(self.words_for_host(fields))
    }

    /// Has this process's environment be what programs find.
    fn adopt_environment(&self) {
        for (name, _) in std::env::vars_os() {
            std::env::remove_var(name);
        }
        for entry in self.variables.environment() {
            let entry = entry.to_bytes();
            // A name may begin with `=`, and has one byte at least.
            let Some(equals) = entry.iter().skip(1).position(|byte| *byte == b'=') else {
                continue;
            };
            let (name, value) = (&entry[..=equals], &entry[equals + 2..]);
            std::env::set_var(OsStr::from_bytes(name), OsStr::from_bytes(value));
        }
    }
}
