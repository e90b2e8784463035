//! The two systems that the shell stands in, as the prompt and the history name them.

use super::host::{Answer, Host, Question};
use crate::dosh::plan::Place;
use crate::dosh::shell::Shell;
use crate::dosh::syntax::tree::Bytes;
use std::time::Duration;

/// A prompt waits so long for the host, and not at all for one that has been silent for so long.
const PATIENCE: Duration = Duration::from_secs(1);

/// One system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Side {
    /// Its host name.
    pub name: String,
    /// The shell's working directory there.
    pub directory: Bytes,
    /// The home directory there, if that is known.
    pub home: Option<Bytes>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sides {
    pub guest: Side,
    /// Nothing if there is no host to attach to.
    pub host: Option<Side>,
    /// Where a command runs that says nothing of it.
    pub place: Place,
}

impl Sides {
    /// As they are; the host's as far as it says so in time.
    pub fn of(shell: &Shell, host: &mut Host) -> Sides {
        let name = nix::unistd::gethostname().unwrap_or_default();
        Sides {
            guest: Side {
                name: name.to_string_lossy().into_owned(),
                directory: shell.variables.get(b"PWD").unwrap_or(b".").to_vec(),
                home: shell.variables.get(b"HOME").map(<[u8]>::to_vec),
            },
            host: host.side(),
            place: shell.host.place,
        }
    }
}

impl Host {
    /// Where the session is there, as last known if the host does not answer in time. It is asked each time, for another shell
    /// of the session may have moved it.
    fn side(&mut self) -> Option<Side> {
        let patience = match self.hangs(PATIENCE) {
            true => Duration::ZERO,
            false => PATIENCE,
        };
        match self.ask(&Question::Side, patience) {
            Answer::Names(told) => self.side = side(&told.names),
            Answer::Nothing => self.side = None,
            Answer::Waiting => {}
        }
        self.side.clone()
    }
}

/// What the host has told: its name, the directory, and the home directory, which can be empty.
fn side(told: &[Bytes]) -> Option<Side> {
    let [name, directory, home] = told else {
        return None;
    };
    Some(Side {
        name: String::from_utf8_lossy(name).into_owned(),
        directory: directory.clone(),
        home: Some(home.clone()).filter(|home| !home.is_empty()),
    })
}
