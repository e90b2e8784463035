//! Whose rights a lane's calls have, where each call acts for its caller in the guest.
//!
//! A lane's thread takes the caller's file-system ids and groups by system calls of its own: libc's functions would have
//! every thread of the shadow take them. Rights that belong to file-system user 0 come and go with that id: most by
//! setfsuid(2) itself, capabilities(7), and `CAP_SETFCAP`, which it leaves alone, by capset(2).
#![allow(unsafe_code)]

use crate::idmap::{IdMaps, OVERFLOW};
use crate::shadow::sandbox::{FILE_RIGHTS, SWITCHING_RIGHTS};
use hostcall::ids::{GuestGid, HostGid, HostUid};
use hostcall::ops::request;
use hostcall::say::complain;
use hostcall::types::Errno;
use rustix::thread::{set_capabilities, CapabilitySet, CapabilitySets};

/// The mask that leaves the session's in force.
const SESSIONS_MASK: u32 = u32::MAX;

/// What a lane's thread is, as the kernel sees it.
#[derive(Debug)]
pub struct Identity {
    /// Whether the ids below are a caller's. Calls are refused otherwise.
    known: bool,
    uid: HostUid,
    gid: HostGid,
    groups: Vec<HostGid>,
    /// The next groups while they are translated.
    wanted: Vec<HostGid>,
    /// What the thread can take when its user is the host's root.
    permitted: CapabilitySet,
    /// The mask, once it is the thread's own.
    mask: Option<u32>,
}

impl Identity {
    /// Nobody, in no group: what a lane's thread is before its guest has said whom it acts for.
    pub fn nobody(maps: &IdMaps) -> Identity {
        let permitted = match maps.reaches_root() {
            true => SWITCHING_RIGHTS | FILE_RIGHTS,
            false => SWITCHING_RIGHTS,
        };
        let mut identity = Identity {
            known: false,
            uid: HostUid::NONE,
            gid: HostGid::NONE,
            groups: vec![HostGid::NONE],
            wanted: Vec::new(),
            permitted,
            mask: None,
        };
        // A failure is not lost: no call is executed before all this has succeeded for a caller.
        if let Err(errno) = identity.take(HostUid(OVERFLOW), HostGid(OVERFLOW)) {
            let what = format_args!("a lane cannot change its user: {errno}");
            complain("hostd", what);
        }
        identity
    }

    /// Whether the lane acts for somebody.
    pub fn is_known(&self) -> bool {
        self.known
    }

    /// Becomes the caller that a guest names.
    ///
    /// # Errors
    /// `EPERM` for an id that no host id stands behind, `EINVAL` for too many groups. The lane then acts for nobody.
    pub fn become_caller(
        &mut self,
        maps: &IdMaps,
        request: &request::Impersonate<'_>,
        sessions_mask: u32,
    ) -> Result<(), Errno> {
        self.known = false;
        let refused = Errno(libc::EPERM);
        let uid = maps.uids.to_host(request.uid).ok_or(refused)?;
        let gid = |gid: GuestGid| maps.gids.to_host(gid).ok_or(refused);
        request.groups.count()?;
        self.wanted.clear();
        for group in request.groups.iter() {
            self.wanted.push(gid(group)?);
        }
        self.take(uid, gid(request.gid)?)?;
        self.set_mask(request.mask, sessions_mask)?;
        self.known = true;
        Ok(())
    }

    /// Takes ids and the wanted groups, as far as they differ. What has been taken is remembered only once it is certain.
    fn take(&mut self, uid: HostUid, gid: HostGid) -> Result<(), Errno> {
        if self.groups != self.wanted {
            self.groups.clear();
            self.groups.push(HostGid::NONE);
            // SAFETY: pointer and number are those of a live list of transparent integers.
            Errno::result(unsafe {
                libc::syscall(libc::SYS_setgroups, self.wanted.len(), self.wanted.as_ptr())
            })?;
            std::mem::swap(&mut self.groups, &mut self.wanted);
        }
        if self.gid != gid {
            self.gid = HostGid::NONE;
            switch(libc::SYS_setfsgid, gid.0)?;
            self.gid = gid;
        }
        if self.uid != uid {
            self.uid = HostUid::NONE;
            switch(libc::SYS_setfsuid, uid.0)?;
            let effective = match uid {
                HostUid(0) => self.permitted,
                _ => SWITCHING_RIGHTS,
            };
            let sets = CapabilitySets {
                effective,
                permitted: self.permitted,
                inheritable: CapabilitySet::empty(),
            };
            set_capabilities(None, sets).map_err(|errno| Errno(errno.raw_os_error()))?;
            self.uid = uid;
        }
        Ok(())
    }

    fn set_mask(&mut self, wanted: u32, sessions: u32) -> Result<(), Errno> {
        let mask = match (wanted, self.mask) {
            (SESSIONS_MASK, None) => return Ok(()),
            (SESSIONS_MASK, Some(_)) => sessions,
            (own, _) => own & 0o777,
        };
        if self.mask.is_none() {
            // SAFETY: plain system call: working directory and mask become the thread's own.
            Errno::result(unsafe { libc::syscall(libc::SYS_unshare, libc::CLONE_FS) })?;
        }
        if self.mask != Some(mask) {
            // SAFETY: plain system call that cannot fail.
            unsafe { libc::umask(mask) };
            self.mask = Some(mask);
        }
        Ok(())
    }
}

/// Sets a file-system id of the calling thread and asks for it, for the call itself never tells of a refusal.
fn switch(number: i64, id: u32) -> Result<(), Errno> {
    // SAFETY: plain system calls on the calling thread; -1 is no id and changes nothing.
    let now = unsafe {
        libc::syscall(number, id);
        libc::syscall(number, u32::MAX)
    };
    match now as u32 == id {
        true => Ok(()),
        false => Err(Errno(libc::EPERM)),
    }
}
