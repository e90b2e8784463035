//! The session's own context, and what it hands to other sessions of its guest.
#![allow(unsafe_code)]

use super::{done, Caller};
use crate::message::{FromShadow, MOST_FDS};
use hostcall::ops::{reply, request, SessionCalls};
use hostcall::types::{Errno, Mode, RemoteFd, Token};
use hostcall::wire::Filled;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::sync::atomic::Ordering;

/// The calling lane's working directory, to be handed on.
pub(super) fn working_directory() -> Result<OwnedFd, Errno> {
    let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
    // SAFETY: a NUL-terminated path; the descriptor that comes back is ours.
    unsafe {
        let fd = Errno::result(libc::open(c".".as_ptr(), flags).into())?;
        Ok(OwnedFd::from_raw_fd(fd as i32))
    }
}

impl SessionCalls for Caller {
    fn nop(&mut self, _: request::Nop) -> Result<reply::Nop, Errno> {
        Ok(reply::Nop {})
    }

    fn share(&mut self, request: request::Share) -> Result<reply::Share, Errno> {
        let token = Token::random()?;
        let share = FromShadow::Share {
            token: token.into(),
        };
        let hostd = &self.session.hostd;
        let turn = hostd.turn();
        self.hand_on(|number| hostd.tell(&share, &[number(request.fd)?]))?;
        hostd.answer(turn)?;
        Ok(reply::Share { token })
    }

    fn redeem(&mut self, request: request::Redeem) -> Result<reply::Redeem, Errno> {
        let granted = self.session.hostd.ask(
            &FromShadow::Redeem {
                token: request.token.into(),
            },
            &[],
        )?;
        let fd = granted.file.ok_or(Errno(libc::ENOENT))?.into_raw_fd();
        let cloexec = request.flags.0 & libc::O_CLOEXEC != 0;
        // SAFETY: plain system call on a descriptor that has just arrived for the guest.
        unsafe {
            libc::fcntl(
                fd,
                libc::F_SETFD,
                if cloexec { libc::FD_CLOEXEC } else { 0 },
            )
        };
        Ok(reply::Redeem {
            fd: self.session.fds.insert(fd),
        })
    }

    fn fork_session(&mut self, _: request::ForkSession) -> Result<reply::ForkSession, Errno> {
        let token = Token::random()?;
        let cwd = working_directory()?;
        let files: Vec<(i32, bool)> = self
            .session
            .fds
            .all()
            .into_iter()
            .filter_map(|fd| {
                // SAFETY: plain system call.
                let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
                (flags != -1).then_some((fd, flags & libc::FD_CLOEXEC != 0))
            })
            .collect();
        let umask = self.session.umask.load(Ordering::Relaxed);
        let hostd = &self.session.hostd;
        let turn = hostd.turn();
        hostd.tell(
            &FromShadow::Fork {
                token: token.into(),
                umask,
            },
            &[cwd.as_raw_fd()],
        )?;
        for batch in files.chunks(MOST_FDS) {
            self.hand_on(|number| {
                let may_go = |(fd, _): &&(i32, bool)| number(RemoteFd(*fd)).is_ok();
                let batch: Vec<(i32, bool)> = batch.iter().filter(may_go).copied().collect();
                hostd.tell_files(&batch)
            })?;
        }
        hostd.tell_no_more_files()?;
        hostd.answer(turn)?;
        Ok(reply::ForkSession { token })
    }

    fn hold_session(&mut self, _: request::HoldSession) -> Result<reply::HoldSession, Errno> {
        let token = self.session.holds.add(&self.session.hostd)?;
        Ok(reply::HoldSession { token })
    }

    fn unhold_session(&mut self, _: request::UnholdSession) -> Result<reply::UnholdSession, Errno> {
        self.session.holds.withdraw(&self.session.hostd)?;
        Ok(reply::UnholdSession {})
    }

    fn settle(&mut self, _: request::Settle) -> Result<reply::Settle, Errno> {
        self.session.hostd.ask(&FromShadow::Settle, &[])?;
        Ok(reply::Settle {})
    }

    fn limit_size(&mut self, request: request::LimitSize) -> Result<reply::LimitSize, Errno> {
        // SAFETY: rlimit is valid when zeroed, and lives through the calls. By their numbers: libc has another call for both,
        // which could change other processes.
        unsafe {
            let mut limit: libc::rlimit = std::mem::zeroed();
            done(libc::syscall(libc::SYS_getrlimit, libc::RLIMIT_FSIZE, &raw mut limit) as i32)?;
            limit.rlim_cur = request.most.min(limit.rlim_max);
            done(libc::syscall(libc::SYS_setrlimit, libc::RLIMIT_FSIZE, &raw const limit) as i32)?;
        }
        Ok(reply::LimitSize {})
    }

    fn chdir(&mut self, request: request::Chdir) -> Result<reply::Chdir, Errno> {
        // SAFETY: a NUL-terminated private path.
        done(unsafe { libc::chdir(request.path.as_ptr()) })?;
        Ok(reply::Chdir {})
    }

    fn fchdir(&mut self, request: request::Fchdir) -> Result<reply::Fchdir, Errno> {
        let fd = self.session.fds.get(request.fd)?;
        // SAFETY: plain system call.
        done(unsafe { libc::fchdir(fd) })?;
        Ok(reply::Fchdir {})
    }

    fn getcwd(&mut self, request: request::Getcwd) -> Result<reply::Getcwd, Errno> {
        let mut path = [0u8; libc::PATH_MAX as usize];
        // SAFETY: pointer and length are those of a live buffer. The raw call returns the length with the NUL.
        let len = unsafe { libc::syscall(libc::SYS_getcwd, path.as_mut_ptr(), path.len()) };
        let path = &path[..(Errno::result(len)? as usize).saturating_sub(1)];
        if !path.starts_with(b"/") {
            // "(unreachable)/…": outside the view, which only a removed export can cause.
            return Err(Errno(libc::ENOENT));
        }
        if path.len() > request.sink.len() {
            return Err(Errno(libc::ERANGE));
        }
        Ok(reply::Getcwd {
            filled: Filled(request.sink.fill(path).0),
        })
    }

    fn umask(&mut self, request: request::Umask) -> Result<reply::Umask, Errno> {
        let mask = request.mask.0 & 0o777;
        self.session.umask.store(mask, Ordering::Relaxed);
        // SAFETY: plain system call; the mask is the process's, which all lanes of the guest process share as its threads do.
        let old = unsafe { libc::umask(mask) };
        Ok(reply::Umask { old: Mode(old) })
    }

    fn impersonate(&mut self, request: request::Impersonate) -> Result<reply::Impersonate, Errno> {
        let (Some(maps), Some(identity)) = (&self.session.callers, &mut self.identity) else {
            return Err(Errno(libc::EPERM));
        };
        let mask = self.session.umask.load(Ordering::Relaxed);
        identity.become_caller(maps, &request, mask)?;
        Ok(reply::Impersonate {})
    }
}
