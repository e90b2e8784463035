//! The zygote of one guest: a small single-threaded process, confined once, that forks the guest's shadows.
//!
//! It is a fresh image of hostd's program (`hostd zygote GUEST`), so it has no thread that a fork could lose and little
//! memory that a shadow would pay for. Descriptor 0 is its socket to hostd.
#![allow(unsafe_code)]

use super::follow::Follow;
use super::lifeline::Lifeline;
use super::sandbox;
use super::session::{self, Start};
use super::title::Title;
use crate::board::Board;
use crate::calls::exec::Places;
use crate::idmap::IdMaps;
use crate::message::{self, FromZygote, ToZygote};
use hostcall::region::{self, Region};
use hostcall::shm::Mapping;
use nix::errno::Errno;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{waitpid, WaitPidFlag, WaitStatus};
use nix::unistd::{fork, ForkResult};
use std::collections::BTreeMap;
use std::ffi::CString;
use std::io::ErrorKind;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

/// Runs a zygote until hostd is gone.
pub fn run() -> ! {
    let code = match serve() {
        Ok(()) => 0,
        // hostd was killed with something left to read.
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
            ) =>
        {
            0
        }
        Err(error) => {
            log::error!("zygote: {error}");
            1
        }
    };
    std::process::exit(code)
}

/// What every shadow of the guest is forked with, but for its slot.
struct Mould {
    guest: String,
    lanes: u32,
    view: u32,
    region: Option<Arc<Region>>,
    board: Arc<Board>,
    follow: Option<Arc<Follow>>,
    lifeline: Lifeline,
    open_files: u64,
    callers: Option<IdMaps>,
    proc: Option<OwnedFd>,
    places: Places,
    title: Title,
    /// Places of the living ones by their process ids.
    shadows: BTreeMap<i32, u32>,
}

fn serve() -> std::io::Result<()> {
    // A guest names its files by their numbers here, so whatever hostd's starter left open would be one of them.
    crate::guest::sys::close_all_but(&[]);
    // SAFETY: descriptor 0 is the socket for the life of the process.
    let socket = unsafe { BorrowedFd::borrow_raw(0) };
    let title = Title::of_zygote();
    // One arena for all threads of a shadow: an arena of its own for each would reserve 64 MiB a lane.
    // SAFETY: sets a parameter of this process's allocator before any thread exists.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
    let mut ends = SigSet::empty();
    ends.add(Signal::SIGCHLD);
    ends.thread_block()?;
    let ends = SignalFd::with_flags(&ends, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    let (
        ToZygote::Begin {
            guest,
            policy,
            lanes,
            device,
            view,
            jobs,
            home,
            programs,
        },
        fds,
    ) = message::receive_by_file(&socket)?
    else {
        return Err(std::io::Error::other("the first message is not a policy"));
    };
    let home = CString::new(home.into_os_string().into_encoded_bytes())?;
    let places = Places {
        home,
        bare: None,
        policy: programs,
    };
    let mut mould = Mould::make(
        guest,
        title,
        &policy,
        (lanes, view, jobs),
        device,
        places,
        fds,
    )?;
    let confined = sandbox::enter(&policy).and_then(|report| {
        // The host may grant fewer than configured; above them stands what the shadows keep for themselves.
        mould.open_files = sandbox::open_files()?;
        let moved = mould.lifeline.move_above(mould.open_files);
        moved.map_err(sandbox::step("moving a descriptor"))?;
        sandbox::confine(policy.callers.as_ref())?;
        Ok(report)
    });
    let is_root = |export: &crate::config::Export| export.path == Path::new("/");
    if !policy.exports.iter().any(is_root) {
        mould.places.bare = std::fs::metadata("/").ok().map(|root| root.dev());
    }
    match confined {
        Ok(report) => message::send(&socket, &FromZygote::Ready { report }, &[])?,
        Err(error) => {
            return message::send(
                &socket,
                &FromZygote::Failed {
                    error: error.to_string(),
                },
                &[],
            )
        }
    }
    mould.listen(socket, &ends)
}

impl Mould {
    /// Forks shadows as hostd asks for them, until it hangs up.
    fn listen(&mut self, socket: BorrowedFd<'_>, ends: &SignalFd) -> std::io::Result<()> {
        loop {
            let mut ready = [
                PollFd::new(socket, PollFlags::POLLIN),
                PollFd::new(ends.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut ready, PollTimeout::NONE) {
                Err(Errno::EINTR) => continue,
                polled => polled?,
            };
            if ready[1].any() == Some(true) {
                while ends.read_signal()?.is_some() {}
                self.reap(socket)?;
            }
            let (message, fds) = match message::receive(&socket) {
                Ok(received) => received,
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(()),
                Err(error) => return Err(error),
            };
            if let (ToZygote::Spawn { slot }, Some(control)) = (message, fds.into_iter().next()) {
                self.spawn(socket, slot, control, ends)?;
            }
        }
    }

    /// Takes leave of the shadows that have ended. hostd has seen the hang-up; only their parent can tell how they died.
    fn reap(&mut self, socket: BorrowedFd<'_>) -> std::io::Result<()> {
        loop {
            let (pid, signal) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, _)) => (pid, 0),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, signal as i32),
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(()),
                // No other change of state is asked for, but a real-time signal has no name.
                Ok(_) | Err(_) => continue,
            };
            let pid = pid.as_raw();
            if let (Some(slot), Some(follow)) = (self.shadows.remove(&pid), &self.follow) {
                follow.ended(slot);
            }
            message::send(&socket, &FromZygote::Ended { pid, signal }, &[])?;
        }
    }

    fn make(
        guest: String,
        title: Title,
        policy: &sandbox::Policy,
        (lanes, view, jobs): (u32, u32, u32),
        device: bool,
        places: Places,
        fds: Vec<OwnedFd>,
    ) -> std::io::Result<Mould> {
        let errno = |errno: hostcall::types::Errno| std::io::Error::from_raw_os_error(errno.0);
        let mut fds = fds.into_iter();
        let mut next = || {
            fds.next()
                .ok_or(std::io::Error::other("a descriptor is missing"))
        };
        let lifeline = Lifeline::hold(next()?)?;
        let slots = policy.limits.processes + super::SPARES;
        let board = Arc::new(Board::open(next()?.as_fd(), slots, jobs).map_err(errno)?);
        let region = match device {
            true => {
                let mapping = Mapping::new(next()?.as_fd(), region::size(lanes)).map_err(errno)?;
                // Not `open`: a later zygote would believe what the guest has written into the header.
                Some(Arc::new(
                    Region::own(mapping, lanes).map_err(std::io::Error::other)?,
                ))
            }
            false => None,
        };
        Ok(Mould {
            guest,
            lanes,
            view,
            region,
            board,
            // Without it, what the shim changes shows on the mount a little later.
            follow: Follow::create(slots).ok().map(Arc::new),
            lifeline,
            open_files: policy.limits.open_files,
            callers: policy.callers.clone(),
            proc: sandbox::proc(),
            places,
            title,
            shadows: BTreeMap::new(),
        })
    }

    fn spawn(
        &mut self,
        socket: BorrowedFd<'_>,
        slot: u32,
        control: OwnedFd,
        ends: &SignalFd,
    ) -> std::io::Result<()> {
        // The shadow before it in this place may not have been reaped yet, and its end must not be taken for this one's.
        self.shadows.retain(|_, place| *place != slot);
        if let Some(follow) = &self.follow {
            follow.ended(slot);
        }
        // SAFETY: this process has one thread, so the child may do anything.
        match unsafe { fork()? } {
            ForkResult::Parent { child } => {
                self.shadows.insert(child.as_raw(), slot);
                // SAFETY: plain system call; the number is the child's until it is reaped, which only `reap` does.
                let pidfd = unsafe { libc::syscall(libc::SYS_pidfd_open, child.as_raw(), 0) };
                let spawned = FromZygote::Spawned {
                    slot,
                    pid: child.as_raw(),
                };
                let pidfd = (pidfd >= 0).then(|| {
                    // SAFETY: the kernel has just given us this descriptor.
                    unsafe { OwnedFd::from_raw_fd(pidfd as RawFd) }
                });
                let fds: Vec<RawFd> = pidfd.iter().map(AsRawFd::as_raw_fd).collect();
                message::send(&socket, &spawned, &fds)
            }
            ForkResult::Child => {
                // SAFETY: 0 and 1 are ours to set; 1 stays /dev/null until a client's socket takes it. The zygote's
                // signalfd and its proc are taken from under their owners, which this copy of the process never comes
                // back to.
                let proc = unsafe {
                    libc::dup3(control.as_raw_fd(), 0, 0);
                    libc::close(ends.as_fd().as_raw_fd());
                    let proc = self.proc.as_ref().map(AsRawFd::as_raw_fd);
                    proc.map(|proc| OwnedFd::from_raw_fd(proc))
                };
                self.title.become_shadow();
                SigSet::all().thread_unblock()?;
                drop(control);
                let (guest, region, board) =
                    (self.guest.clone(), self.region.clone(), self.board.clone());
                session::run(Start {
                    proc,
                    guest,
                    slot,
                    lanes: self.lanes,
                    view: self.view,
                    region,
                    board,
                    follow: self.follow.clone(),
                    open_files: self.open_files,
                    callers: self.callers.clone(),
                    places: self.places.clone(),
                })
            }
        }
    }
}
