//! Variables whose values the shell makes up, as long as nothing else is known of their names.

use super::shell::{Run, Shell};
use super::syntax::tree::Bytes;
use super::variables::Variable;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::time::Instant;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum MadeUp {
    BashPid,
    Directory,
    DirectoryBefore,
    Euid,
    HostName,
    LastArgument,
    Line,
    PipeStatus,
    Random,
    Seconds,
    System,
    Uid,
}

impl MadeUp {
    pub fn of(name: &[u8]) -> Option<MadeUp> {
        Some(match name {
            b"BASHPID" => MadeUp::BashPid,
            b"HPWD" => MadeUp::Directory,
            b"HOLDPWD" => MadeUp::DirectoryBefore,
            b"EUID" => MadeUp::Euid,
            b"HOSTNAME" => MadeUp::HostName,
            b"_" => MadeUp::LastArgument,
            b"LINENO" => MadeUp::Line,
            b"PIPESTATUS" => MadeUp::PipeStatus,
            b"RANDOM" => MadeUp::Random,
            b"SECONDS" => MadeUp::Seconds,
            b"OSTYPE" => MadeUp::System,
            b"UID" => MadeUp::Uid,
            _ => return None,
        })
    }

    /// Whether it is a variable like any other from when it is unset. Two are not, for each command says what they hold.
    pub fn ends_when_unset(self) -> bool {
        !matches!(self, MadeUp::LastArgument | MadeUp::PipeStatus)
    }

    /// Whether it is made up whatever is assigned.
    fn keeps_no_value(self) -> bool {
        matches!(
            self,
            MadeUp::Directory
                | MadeUp::DirectoryBefore
                | MadeUp::LastArgument
                | MadeUp::Random
                | MadeUp::Seconds
        )
    }
}

impl Shell {
    /// A variable's value.
    pub fn variable(&mut self, name: &[u8]) -> Option<Bytes> {
        if let Some(text) = self.variables.get(name) {
            return Some(text.to_vec());
        }
        if self.variables.hides_made_up(name) {
            return None;
        }
        let made_up = MadeUp::of(name)?;
        let number = match made_up {
            MadeUp::Line => i64::from(self.line),
            MadeUp::Seconds => {
                let (then, value) = self.since;
                value.saturating_add_unsigned(then.elapsed().as_secs())
            }
            MadeUp::Random => self.random() as i64,
            MadeUp::BashPid => i64::from(std::process::id()),
            MadeUp::LastArgument => return Some(self.last_argument.clone()),
            MadeUp::Directory => return self.host_directory(false),
            MadeUp::DirectoryBefore => return self.host_directory(true),
            MadeUp::PipeStatus => return self.pipe_statuses().into_iter().next(),
            constant => return constant.once_and_for_all(),
        };
        Some(number.to_string().into_bytes())
    }

    /// The variable, to be given an attribute. A constant is its value from then on: programs are to get it.
    pub fn attributed(&mut self, name: &[u8]) -> &mut Variable {
        if self.variables.lookup(name).is_none() && !self.variables.hides_made_up(name) {
            if let Some(text) = MadeUp::of(name).and_then(MadeUp::once_and_for_all) {
                self.variables.put(name, text);
            }
        }
        self.variables.attributes(name)
    }

    /// What the shell makes up keeps no value: one that was assigned says where it goes on from, if it is of that kind.
    pub fn restart_made_up(&mut self, name: &[u8]) -> Run {
        let Some(made_up) = MadeUp::of(name).filter(|made_up| made_up.keeps_no_value()) else {
            return Ok(());
        };
        let Some(known) = self.variables.lookup(name).filter(|known| !known.plain) else {
            return Ok(());
        };
        let exported = known.exported;
        let text = self.variables.get(name).unwrap_or_default().to_vec();
        let number = std::str::from_utf8(&text).ok().map(str::trim);
        let number = number.and_then(|text| text.parse().ok()).unwrap_or(0);
        match made_up {
            MadeUp::Seconds => self.since = (Instant::now(), number),
            MadeUp::Random => self.seed = spread(number),
            MadeUp::LastArgument => self.last_argument = text,
            _ => {}
        }
        if exported {
            self.variables.attributes(name).value = None;
            return Ok(());
        }
        let result = self.variables.unset(name);
        result.map_err(|error| self.refuse_readonly(&error))
    }

    /// `$RANDOM`: xorshift, 15 bits.
    fn random(&mut self) -> u64 {
        let mut seed = self.seed;
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        self.seed = seed;
        seed >> 24 & 0x7fff
    }
}

impl MadeUp {
    /// What never changes.
    fn once_and_for_all(self) -> Option<Bytes> {
        let id = match self {
            MadeUp::Uid => nix::unistd::getuid().as_raw(),
            MadeUp::Euid => nix::unistd::geteuid().as_raw(),
            MadeUp::HostName => return nix::unistd::gethostname().ok().map(OsString::into_vec),
            MadeUp::System => return Some(b"linux-gnu".to_vec()),
            _ => return None,
        };
        Some(id.to_string().into_bytes())
    }
}

/// A state of xorshift, which is never 0, of a number that may be small.
pub fn spread(number: i64) -> u64 {
    (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1
}
