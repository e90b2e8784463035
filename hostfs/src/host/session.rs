//! Sessions with the host, each with the view of its exports that it began with, and calls made in them for somebody.

use super::HostFs;
use crate::fs::Caller;
use crate::handle::Handle;
use crate::inode::{Held, Kind, Unused};
use crate::people::Who;
use hostcall::acting::{As, Credentials};
use hostcall::client::{self, Client};
use hostcall::ops::Calls;
use hostcall::owned::Owned;
use hostcall::table::Request;
use hostcall::transfer::{self, Known};
use hostcall::types::{Errno, Mode, Offset, RemoteFd, RwFlags};
use hostcall::wire::Source;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

/// Whoever executes host calls, bulk transfers included, for the session itself or for somebody else.
pub trait Host: Send + Sync + Sized + 'static {
    /// Makes a call.
    fn call_as<R: Request>(
        &self,
        who: Option<&Credentials<'_>>,
        request: R,
    ) -> Result<R::Reply, Errno>;
    /// Reads at an offset, or at the file's own position.
    fn read_as(
        &self,
        who: Option<&Credentials<'_>>,
        fd: RemoteFd,
        known: Known,
        offset: Offset,
        buffer: &mut [u8],
    ) -> Result<usize, Errno>;
    /// Writes at an offset, at the file's own position, or with `RWF_APPEND` at its end.
    fn write_as(
        &self,
        who: Option<&Credentials<'_>>,
        fd: RemoteFd,
        known: Known,
        offset: Offset,
        flags: RwFlags,
        data: &[u8],
    ) -> Result<usize, Errno>;
    /// Has descriptors closed, 32-bit numbers in `numbers`, and does not wait until they are.
    fn post_close_as(&self, who: Option<&Credentials<'_>>, numbers: &[u8]) -> Result<(), Errno>;
    /// Whether each call is to name its caller.
    fn has_callers(&self) -> bool;
    /// Whether the host is there.
    fn alive(&self) -> bool;
    /// Whether the guest's exports have changed since the session began.
    fn is_outdated(&self) -> bool;
    /// Counts the changes to the guest's exports, as far as the session was told.
    fn view(&self) -> u32;
    /// Tells the guest's programs that what is mounted over the host's files has changed.
    fn announce_mounts(&self);
    /// Begins another session, which sees the exports as they are now.
    fn again(&self) -> Result<Self, Errno>;
}

impl Host for Owned {
    fn call_as<R: Request>(
        &self,
        who: Option<&Credentials<'_>>,
        request: R,
    ) -> Result<R::Reply, Errno> {
        match who {
            Some(who) => self.acting_as(who).call(request),
            None => self.call(request),
        }
    }

    fn read_as(
        &self,
        who: Option<&Credentials<'_>>,
        fd: RemoteFd,
        known: Known,
        offset: Offset,
        buffer: &mut [u8],
    ) -> Result<usize, Errno> {
        match who {
            Some(who) => transfer::read(self.acting_as(who), fd, known, offset, buffer),
            None => transfer::read(&**self, fd, known, offset, buffer),
        }
    }

    fn write_as(
        &self,
        who: Option<&Credentials<'_>>,
        fd: RemoteFd,
        known: Known,
        offset: Offset,
        flags: RwFlags,
        data: &[u8],
    ) -> Result<usize, Errno> {
        match who {
            Some(who) => transfer::write(self.acting_as(who), fd, known, offset, flags, data),
            None => transfer::write(&**self, fd, known, offset, flags, data),
        }
    }

    fn post_close_as(&self, who: Option<&Credentials<'_>>, numbers: &[u8]) -> Result<(), Errno> {
        let caller = who.map_or_else(|| As::from(&**self), |who| self.acting_as(who));
        caller.post_close(Source::new(numbers))
    }

    fn has_callers(&self) -> bool {
        Client::has_callers(self)
    }

    fn alive(&self) -> bool {
        Client::alive(self)
    }

    fn is_outdated(&self) -> bool {
        self.view_is_outdated()
    }

    fn view(&self) -> u32 {
        self.view_generation()
    }

    fn announce_mounts(&self) {
        self.commons().mounts.fetch_add(1, Ordering::SeqCst);
    }

    fn again(&self) -> Result<Owned, Errno> {
        attach().map_err(|error| error.errno())
    }
}

/// Begins a session. Where a mask is to be applied, each call that makes a file brings it, or the guest kernel has done so.
///
/// # Errors
/// There is no host to attach to, or it refuses.
pub fn attach() -> Result<Owned, hostcall::attach::AttachError> {
    let own = client::Options {
        resume: None,
        umask: 0,
    };
    let client = Client::attach(&own)?;
    client.gather();
    Ok(Owned::from(client))
}

/// A session, and the descriptors in it that nobody needs any more.
#[derive(Debug)]
pub(super) struct Session<H> {
    pub(super) host: H,
    pub(super) unused: Arc<Unused>,
}

impl<H> Session<H> {
    pub(super) fn new(host: H, number: u32) -> Arc<Session<H>> {
        Arc::new(Session {
            host,
            unused: Arc::new(Unused::of(number)),
        })
    }

    /// Its number; the views of higher numbers are newer.
    pub(super) fn number(&self) -> u32 {
        self.unused.session()
    }
}

/// For whom calls are made.
#[derive(Clone, Debug)]
pub(super) enum Whom {
    /// For the session itself, where all calls have one user's rights or no rights matter.
    Session,
    /// For somebody in the guest.
    Caller(Arc<Who>),
    /// For somebody of whom nothing is known: nothing is done.
    Unknown,
}

impl Whom {
    /// Who it is, where that matters.
    pub(super) fn who(self) -> Option<Arc<Who>> {
        match self {
            Whom::Caller(who) => Some(who),
            Whom::Session | Whom::Unknown => None,
        }
    }
}

/// Makes calls in a session, for somebody.
#[derive(Debug)]
pub(super) struct Acting<H> {
    pub(super) session: Arc<Session<H>>,
    whom: Whom,
    umask: Option<Mode>,
}

impl<H: Host> Acting<H> {
    /// For somebody.
    pub(super) fn new(session: &Arc<Session<H>>, whom: Whom) -> Acting<H> {
        Acting {
            session: session.clone(),
            whom,
            umask: None,
        }
    }

    /// For the session itself.
    pub(super) fn ourselves(session: &Arc<Session<H>>) -> Acting<H> {
        Acting::new(session, Whom::Session)
    }

    /// Takes over the descriptor of an open file that a call gave.
    pub(super) fn hold(&self, fd: RemoteFd) -> Arc<Held> {
        Held::new(fd, Kind::File, &self.session.unused)
    }

    /// Takes over an `O_PATH` descriptor.
    pub(super) fn hold_path(&self, fd: RemoteFd) -> Arc<Held> {
        Held::new(fd, Kind::Path, &self.session.unused)
    }

    /// Has descriptors closed, and does not wait until they are.
    pub(super) fn post_close(&self, numbers: &[u8]) -> Result<(), Errno> {
        self.with(|host, who| host.post_close_as(who, numbers))
    }

    fn with<T>(
        &self,
        call: impl FnOnce(&H, Option<&Credentials<'_>>) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        match &self.whom {
            Whom::Session => call(&self.session.host, None),
            Whom::Caller(who) => call(&self.session.host, Some(&who.credentials(self.umask))),
            Whom::Unknown => Err(Errno(libc::EACCES)),
        }
    }

    /// Reads at an offset, or at the file's own position.
    pub(super) fn read_at(
        &self,
        fd: RemoteFd,
        known: Known,
        offset: Offset,
        buffer: &mut [u8],
    ) -> Result<usize, Errno> {
        self.with(|host, who| host.read_as(who, fd, known, offset, buffer))
    }

    /// Writes at an offset, at the file's own position, or with `RWF_APPEND` at its end.
    pub(super) fn write_at(
        &self,
        fd: RemoteFd,
        known: Known,
        offset: Offset,
        flags: RwFlags,
        data: &[u8],
    ) -> Result<usize, Errno> {
        self.with(|host, who| host.write_as(who, fd, known, offset, flags, data))
    }
}

impl<H: Host> Calls for Acting<H> {
    fn call<R: Request>(&self, request: R) -> Result<R::Reply, Errno> {
        self.with(|host, who| host.call_as(who, request))
    }
}

impl<H: Host> HostFs<H> {
    /// The session with the newest view.
    pub(super) fn session(&self) -> Arc<Session<H>> {
        let sessions = self.sessions.read().unwrap_or_else(PoisonError::into_inner);
        sessions.now.clone()
    }

    /// The session that a descriptor belongs to.
    fn session_of(&self, held: &Held) -> Arc<Session<H>> {
        let sessions = self.sessions.read().unwrap_or_else(PoisonError::into_inner);
        let old = || {
            let mut old = sessions.old.iter();
            old.find(|session| session.number() == held.session())
        };
        match held.session() == sessions.now.number() {
            true => sessions.now.clone(),
            // A descriptor keeps its session from being taken out of the list.
            false => old().unwrap_or(&sessions.now).clone(),
        }
    }

    /// Whoever makes a request.
    pub(super) fn whom(&self, caller: &Caller) -> Whom {
        match self.has_callers {
            true => self.people.who(caller).map_or(Whom::Unknown, Whom::Caller),
            false => Whom::Session,
        }
    }

    /// Makes calls for a caller where a descriptor leads.
    pub(super) fn at(&self, caller: &Caller, held: &Held) -> Acting<H> {
        Acting {
            umask: caller.umask,
            ..self.at_for(self.whom(caller), held)
        }
    }

    /// Makes calls for a caller through an open file: for whoever opened it if the guest kernel itself asks, as when it
    /// writes back, or if nothing is known of the caller any more.
    pub(super) fn through(&self, caller: &Caller, handle: &Handle, held: &Held) -> Acting<H> {
        let whom = match (self.whom(caller), &handle.opener) {
            (Whom::Unknown, Some(opener)) => Whom::Caller(opener.clone()),
            (whom, _) => whom,
        };
        self.at_for(whom, held)
    }

    /// Makes calls for whoever opened a file.
    pub(super) fn for_opener(&self, handle: &Handle, held: &Held) -> Acting<H> {
        let opener = handle.opener.clone().map_or(Whom::Session, Whom::Caller);
        self.at_for(opener, held)
    }

    /// Makes calls where a descriptor leads.
    pub(super) fn at_for(&self, whom: Whom, held: &Held) -> Acting<H> {
        Acting::new(&self.session_of(held), whom)
    }

    /// Makes calls in the newest view.
    pub(super) fn now_for(&self, whom: Whom) -> Acting<H> {
        Acting::new(&self.session(), whom)
    }

    /// Ends the sessions with older views that have no descriptors any more.
    pub(super) fn end_unused(&self) {
        let mut sessions = self
            .sessions
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let all = std::mem::take(&mut sessions.old);
        let (used, unused) = all
            .into_iter()
            .partition(|session| Arc::strong_count(&session.unused) > 1);
        sessions.old = used;
        drop(sessions);
        drop::<Vec<_>>(unused);
    }
}
