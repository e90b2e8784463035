//! The two systems that the shell stands in, as the prompt and the history name them.

use crate::dosh::plan::Place;
use crate::dosh::shell::Shell;
use crate::dosh::syntax::tree::Bytes;

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
    /// Asks the host: another shell of the session may have moved it.
    pub fn of(shell: &mut Shell) -> Sides {
        let name = nix::unistd::gethostname().unwrap_or_default();
        let host = shell.host_directory(false).map(|directory| {
            let policy = shell.host.policy().unwrap_or_default();
            let home = Some(policy.home.as_bytes()).filter(|home| !home.is_empty());
            Side {
                name: policy.host.clone(),
                directory,
                home: home.map(<[u8]>::to_vec),
            }
        });
        Sides {
            guest: Side {
                name: name.to_string_lossy().into_owned(),
                directory: shell.variables.get(b"PWD").unwrap_or(b".").to_vec(),
                home: shell.variables.get(b"HOME").map(<[u8]>::to_vec),
            },
            host,
            place: shell.host.place,
        }
    }
}
