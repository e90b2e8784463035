//! Calls on behalf of somebody: whom a lane acts for, and making it act for another.
//!
//! Where the host gives each call the rights of its caller, a call that finds its lane acting for another sends
//! [`impersonate`](crate::ops::request::Impersonate) ahead on the same lane. Both are in flight together, and the call
//! is linked: it is not executed if the other failed. Where all calls have one user's rights, nothing is sent.
#![allow(unsafe_code)]

use crate::client::{Client, Guard};
use crate::ids::{Groups, GuestGid, GuestUid, MOST_GROUPS};
use crate::ops::{request, Calls, Op};
use crate::table::Request;
use crate::types::{Errno, Mode};
use crate::wire::{flags, Source};

/// On the wire, the mask that leaves the session's in force.
const SESSIONS_MASK: u32 = u32::MAX;

/// Groups that a lane remembers. Whoever is in more is named again before each call.
const REMEMBERED: usize = 32;

/// Whom a call acts for, as the guest numbers them: what the guest's kernel knows of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials<'g> {
    /// File-system user id.
    pub uid: GuestUid,
    /// File-system group id.
    pub gid: GuestGid,
    /// Supplementary groups, at most [`MOST_GROUPS`].
    pub groups: &'g [GuestGid],
    /// File mode creation mask, if the caller has one that is not the session's.
    pub umask: Option<Mode>,
}

impl Credentials<'_> {
    fn mask(&self) -> u32 {
        self.umask.map_or(SESSIONS_MASK, |mask| mask.0 & 0o777)
    }
}

/// Makes calls for somebody: for whom it is told, or for the process itself.
#[derive(Clone, Copy)]
pub struct As<'c> {
    pub(crate) client: &'c Client,
    who: Option<&'c Credentials<'c>>,
}

/// The process itself: each thread with the file-system ids that it has.
impl<'c> From<&'c Client> for As<'c> {
    fn from(client: &'c Client) -> As<'c> {
        As { client, who: None }
    }
}

impl<'c> As<'c> {
    /// On behalf of somebody else.
    pub(crate) fn other(client: &'c Client, who: &'c Credentials<'c>) -> As<'c> {
        let who = Some(who);
        As { client, who }
    }

    /// Has descriptors closed, 32-bit numbers in `source`, and does not wait until they are: whoever uses the lane next
    /// takes the reply.
    ///
    /// # Errors
    /// The host is gone, or calls for nobody of this kind; nothing is closed then.
    pub fn post_close(&self, numbers: Source<'_>) -> Result<(), Errno> {
        if self.client.lost() {
            return Err(Errno(libc::ENOTCONN));
        }
        let mut lane = self.client.lane()?;
        lane.settle()?;
        let approach = self.approach(&mut lane)?;
        let sent = lane.send(&request::CloseMany { numbers }, approach.flags());
        lane.arrive(approach, usize::from(sent.is_ok()))?;
        sent
    }

    /// Makes a lane act for this caller, if it does not already.
    pub(crate) fn approach(self, lane: &mut Guard<'_>) -> Result<Approach, Errno> {
        if !self.client.has_callers() {
            return Ok(Approach::Done);
        }
        match self.who {
            Some(who) => name(lane, who, Remembered::of(who)),
            None => self.own(lane),
        }
    }

    /// Apart, for the groups take a page of the stack, which a signal's handler or a thread may have little of.
    #[inline(never)]
    fn own(self, lane: &mut Guard<'_>) -> Result<Approach, Errno> {
        let version = self.client.own_version();
        if version.is_some_and(|version| *lane.acts_for() == ActsFor::Process(version)) {
            return Ok(Approach::Done);
        }
        let mut groups = [GuestGid::NONE; MOST_GROUPS];
        let who = own(&mut groups)?;
        match version {
            Some(version) => name(lane, &who, ActsFor::Process(version)),
            None => name(lane, &who, Remembered::of(&who)),
        }
    }
}

impl Calls for As<'_> {
    #[inline]
    fn call<R: Request>(&self, request: R) -> Result<R::Reply, Errno> {
        if self.client.lost() {
            return Err(Errno(libc::ENOTCONN));
        }
        let mut lane = self.client.lane()?;
        let approach = self.approach(&mut lane)?;
        let sent = lane.send(&request, approach.flags());
        // The reply comes first, and must be taken even if nothing follows it.
        lane.arrive(approach, usize::from(sent.is_ok()))?;
        sent?;
        let answer = lane.receive(R::OP)?;
        lane.finish(&request, answer)
    }
}

/// What stands before a call.
#[must_use]
pub(crate) enum Approach {
    /// The lane acts for the caller.
    Done,
    /// It will, once the reply in flight says so.
    Flying(ActsFor),
}

impl Approach {
    /// Flags of the call that follows.
    pub(crate) fn flags(&self) -> u32 {
        match self {
            Approach::Done => 0,
            Approach::Flying(_) => flags::LINK,
        }
    }
}

impl Guard<'_> {
    /// Takes the reply of an approach. If the host refuses, those of the linked calls `behind` it are taken as well.
    pub(crate) fn arrive(&mut self, approach: Approach, behind: usize) -> Result<(), Errno> {
        let Approach::Flying(whom) = approach else {
            return Ok(());
        };
        let answer = self.receive(Op::Impersonate)?;
        if answer.code == 0 {
            *self.acts_for() = whom;
            return Ok(());
        }
        for _ in 0..behind {
            // ECANCELED, and nothing of it is wanted.
            self.receive(Op::Impersonate)?;
        }
        Err(Errno(answer.code as i32))
    }
}

/// Whom a lane acts for, as far as its own half knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ActsFor {
    /// Nobody, or nobody known.
    #[default]
    Unknown,
    /// The process itself, as it was at this version of its ids.
    Process(u32),
    /// Somebody.
    Caller(Remembered),
}

/// Credentials that fit a lane's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Remembered {
    uid: GuestUid,
    gid: GuestGid,
    mask: u32,
    count: usize,
    groups: [GuestGid; REMEMBERED],
}

impl Remembered {
    fn of(who: &Credentials<'_>) -> ActsFor {
        let mut groups = [GuestGid::NONE; REMEMBERED];
        let Some(room) = groups.get_mut(..who.groups.len()) else {
            return ActsFor::Unknown;
        };
        room.copy_from_slice(who.groups);
        ActsFor::Caller(Remembered {
            uid: who.uid,
            gid: who.gid,
            mask: who.mask(),
            count: who.groups.len(),
            groups,
        })
    }
}

/// Names a caller on a lane, unless the lane is known to act for them.
fn name(lane: &mut Guard<'_>, who: &Credentials<'_>, whom: ActsFor) -> Result<Approach, Errno> {
    if whom != ActsFor::Unknown && *lane.acts_for() == whom {
        return Ok(Approach::Done);
    }
    let request = request::Impersonate {
        uid: who.uid,
        gid: who.gid,
        mask: who.mask(),
        groups: Groups::new(who.groups),
    };
    lane.send(&request, 0)?;
    // Whatever becomes of it: the lane acts for nobody until the reply says otherwise.
    *lane.acts_for() = ActsFor::Unknown;
    Ok(Approach::Flying(whom))
}

/// What the calling thread is, credentials(7).
fn own(groups: &mut [GuestGid; MOST_GROUPS]) -> Result<Credentials<'_>, Errno> {
    // SAFETY: -1 is no id: these calls change nothing and answer the current one. The list has the length given with it.
    let (uid, gid, count) = unsafe {
        (
            libc::syscall(libc::SYS_setfsuid, u32::MAX),
            libc::syscall(libc::SYS_setfsgid, u32::MAX),
            libc::syscall(libc::SYS_getgroups, groups.len(), groups.as_mut_ptr()),
        )
    };
    let count = Errno::result(count)? as usize;
    Ok(Credentials {
        uid: GuestUid(uid as u32),
        gid: GuestGid(gid as u32),
        groups: groups.get(..count).unwrap_or_default(),
        umask: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_fits_is_remembered_exactly() {
        let groups: Vec<GuestGid> = (0..=REMEMBERED as u32).map(GuestGid).collect();
        let who = |uid, groups| Credentials {
            uid: GuestUid(uid),
            gid: GuestGid(1),
            groups,
            umask: None,
        };
        assert_eq!(Remembered::of(&who(1, &groups)), ActsFor::Unknown);
        let most = Remembered::of(&who(1, &groups[1..]));
        assert_eq!(most, Remembered::of(&who(1, &groups[1..])));
        let others = [
            who(2, &groups[1..]),
            who(1, &groups[..REMEMBERED]),
            who(1, &groups[2..]),
            who(1, &[]),
            Credentials {
                umask: Some(Mode(0o22)),
                ..who(1, &groups[1..])
            },
        ];
        for other in others {
            assert_ne!(most, Remembered::of(&other), "{other:?}");
        }
    }

    #[test]
    fn a_thread_knows_its_own_ids() {
        let mut groups = [GuestGid::NONE; MOST_GROUPS];
        let who = own(&mut groups).unwrap();
        // SAFETY: plain calls.
        let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
        assert_eq!((who.uid, who.gid), (GuestUid(uid), GuestGid(gid)));
        assert!(who.groups.iter().all(|group| *group != GuestGid::NONE));
    }
}
