//! The host, as the shell itself deals with it: its session there, and the directory that this has.
//!
//! Host programs are processes' of their own ([`super::run`]); the shell attaches when it is asked for the first time where its
//! session is.

use super::builtins;
use super::plan::Place;
use super::shell::Shell;
use super::syntax::tree::Bytes;
use crate::directory;
use crate::failure::Failure;
use crate::host;
use crate::paths::Prefix;
use crate::session::Session;
use hostcall::client::Client;
use hostcall::ops::Calls;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// What a shell knows of the host.
pub struct Host {
    /// Its own session with it.
    client: Option<&'static Client>,
    /// Where a command runs that does not say where.
    pub place: Place,
    /// Whether the user knows that there is none.
    told: bool,
}

impl Default for Host {
    fn default() -> Host {
        Host {
            client: None,
            place: Place::Guest,
            told: false,
        }
    }
}

impl Host {
    /// In a child: the parent's session is not its own.
    pub fn leave(&mut self) {
        if let Some(client) = self.client.take() {
            host::leave(client);
        }
    }

    /// The shell's session.
    ///
    /// # Errors
    /// One line.
    pub fn client(&mut self) -> Result<&'static Client, Failure> {
        match self.client.filter(|client| !client.lost()) {
            Some(client) => Ok(client),
            None => {
                let client = host::attach()?;
                Ok(self.client.insert(client))
            }
        }
    }
}

/// With the cure.
const NO_HOST: &str = "there is no host to attach to; start the guest with `hostd run`";

impl Shell {
    /// Where a command of this name runs, if its name says that.
    pub fn known_place(&self, name: &[u8]) -> Option<Place> {
        if self.functions.contains_key(name) {
            return Some(Place::Guest);
        }
        let builtin = builtins::find(name)?;
        Some(match builtin.apart {
            true => Place::Host,
            false => Place::Guest,
        })
    }

    /// Whether there is a host.
    fn finds_host(&self) -> bool {
        host::is_there(self.variables.get(b"HOSTCALL_ATTACH").is_some())
    }

    /// Whether there is a host; says once if not.
    pub fn has_host(&mut self) -> bool {
        let has = self.finds_host();
        if !has && !std::mem::replace(&mut self.host.told, true) {
            self.complain(format_args!("host commands are unavailable: {NO_HOST}"));
        }
        has
    }

    /// The same for a built-in, which says so each time: it is about the host itself.
    ///
    /// # Errors
    /// The status, after it was told that there is none.
    pub fn need_host(&mut self, name: &[u8]) -> Result<(), i32> {
        match self.finds_host() {
            true => Ok(()),
            false => {
                self.host.told = true;
                Err(self.refuse_with(name, NO_HOST, 1))
            }
        }
    }

    /// The session that the shell and its children have.
    ///
    /// # Errors
    /// `$HOSTCALL_SESSION` is too long.
    pub fn session(&self) -> Result<Session, Failure> {
        let chosen = self.variables.get(b"HOSTCALL_SESSION");
        Session::named(chosen.map(OsStr::from_bytes)).map_err(Failure::own)
    }

    /// Where host files appear.
    pub fn prefix(&self) -> Prefix {
        Prefix::named(self.variables.get(b"HOSTCALL_PREFIX"))
    }

    /// `$HPWD`, or `$HOLDPWD`: others of the session may have moved it.
    pub fn host_directory(&mut self, before: bool) -> Option<Bytes> {
        if !self.finds_host() {
            return None;
        }
        let session = self.session().ok()?;
        let client = self.host.client().ok()?;
        match before {
            false => directory::enter(client, &session, &self.prefix()).ok()?,
            true => {
                let name = session.before()?;
                let found = client.enter_session(&name).ok()?;
                (found.kept != 0).then_some(())?;
            }
        }
        directory::path(client).ok()
    }
}
