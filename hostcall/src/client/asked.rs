//! Asking the host for a session before it is needed: the host makes ready while the program starts.

use super::Client;
use crate::attach::{knock, AttachError, Attaching, Knock, Link};
use crate::region::Claim;
use crate::types::Token;
use std::mem::MaybeUninit;
use std::os::fd::RawFd;

/// How to attach.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// A session to take over: the child's side of `fork_session`, or the new image's of `hold_session`.
    pub resume: Option<Token>,
    /// The process's file mode creation mask; a resumed session keeps its own.
    pub umask: u32,
}

impl Options {
    pub(super) fn claim(&self) -> Claim {
        Claim {
            process: Token::NONE,
            resume: self.resume.unwrap_or(Token::NONE),
            umask: self.umask,
        }
    }
}

/// A session that the host has been asked for. Dropped, it is given back.
#[derive(Debug)]
pub struct Asked {
    knock: Knock,
    options: Options,
}

impl Asked {
    /// Asks a host on the same kernel, and does not wait. `None` if there is nobody to ask.
    pub fn begin(options: Options) -> Option<Asked> {
        let knock = knock(&options.claim())?;
        Some(Asked { knock, options })
    }

    /// How it was asked for.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Itself, if its descriptor is still what it was.
    pub fn untouched(self) -> Option<Asked> {
        let options = self.options;
        let knock = self.knock.untouched()?;
        Some(Asked { knock, options })
    }

    /// Its descriptor.
    pub fn fd(&self) -> RawFd {
        self.knock.fd()
    }

    /// The session, in the place where the client stays. Waits until it is there.
    ///
    /// # Errors
    /// As of [`Client::attach`]; the place is as it was.
    pub fn receive_in<'p>(
        self,
        place: &'p mut MaybeUninit<Client>,
        attaching: &mut dyn Attaching,
    ) -> Result<&'p mut Client, AttachError> {
        let found = Link::welcomed(self.knock, attaching)?;
        Ok(Client::begin_in(place, &self.options, found))
    }
}
