//! Stretches in which a pipe of the guest is busy: its bytes are carried where they lie ([`hostcall::flow`]), until the pipe or the
//! program has been silent for a while, or the thread has something else to mind.

use super::guest;
use super::kind::{self, Kind};
use super::pump::Pump;
use hostcall::client::Client;
use hostcall::flow::{self, Inflow, Outflow};
use hostcall::shm::Window;
use hostcall::types::{Errno, RemoteFd};
use nix::fcntl::{open, OFlag};
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::sys::stat::Mode;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// How long a lane is kept for whoever is at the other end of the guest's pipe, milliseconds: as long as for a silent program.
const PATIENCE: u8 = 200;

/// A pipe of the guest by an open file of our own, which does not wait. (That it waits is the other's whom we share it with.)
#[derive(Debug)]
pub struct Pipe(OwnedFd);

impl Pipe {
    /// `None` if it is no pipe, or not to be had so.
    pub fn open(number: usize, access: OFlag) -> Option<Pipe> {
        if kind::of(number) != Kind::Pipe {
            return None;
        }
        let path = format!("/proc/self/fd/{}", guest(number).as_raw_fd());
        let flags = access | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        open(path.as_str(), flags, Mode::empty()).ok().map(Pipe)
    }

    /// Whether it is ready, after a while at most.
    fn wait(&self, events: PollFlags) -> bool {
        let ready = poll(
            &mut [PollFd::new(self.0.as_fd(), events)],
            PollTimeout::from(PATIENCE),
        );
        ready != Ok(0)
    }

    /// Whether all of it has been written and there may be more, while `goes_on`. What has not goes to `left`.
    fn put_all(
        &self,
        mut data: Window<'_>,
        pump: &Pump,
        goes_on: impl Fn() -> bool,
        left: &mut Vec<u8>,
    ) -> Result<bool, Errno> {
        while !data.is_empty() {
            match flow::put(self.0.as_fd(), data) {
                Ok(written) => {
                    pump.count(written);
                    data = data.behind(written);
                }
                Err(Errno(libc::EINTR)) => {}
                Err(Errno(libc::EAGAIN)) if goes_on() && self.wait(PollFlags::POLLOUT) => {}
                Err(Errno(libc::EAGAIN)) => break,
                Err(errno) => return Err(errno),
            }
        }
        data.append_to(left);
        Ok(data.is_empty() && goes_on())
    }
}

/// Carries from the host. What has been read and not written goes to `left`.
///
/// # Errors
/// The guest's pipe failed.
pub fn output(
    host: &Client,
    remote: RemoteFd,
    pipe: &Pipe,
    pump: &Pump,
    left: &mut Vec<u8>,
) -> Result<(), Errno> {
    let Ok(mut flow) = Outflow::begin(host, remote) else {
        return Ok(());
    };
    let put = loop {
        let Ok(Some(data)) = flow.receive() else {
            break Ok(());
        };
        let goes_on = || !pump.is_called() && !flow.is_in_the_way();
        match pipe.put_all(data, pump, goes_on, left) {
            Ok(true) => {}
            Ok(false) => break Ok(()),
            Err(errno) => break Err(errno),
        }
    };
    // A host that is gone has nothing more to say.
    let _ = flow.end(left);
    put
}

/// Carries to the host. What has been read and not written goes to `left`.
pub fn input(host: &Client, remote: RemoteFd, pipe: &Pipe, pump: &Pump, left: &mut Vec<u8>) {
    let Ok(mut flow) = Inflow::begin(host, remote) else {
        return;
    };
    while let Ok(written) = flow.settle(!flow.has_room(), left) {
        pump.count(written);
        if !left.is_empty() || pump.is_called() || flow.is_in_the_way() {
            break;
        }
        if !flow.has_room() {
            continue;
        }
        match flow.feed(pipe.0.as_fd()) {
            Ok(1..) | Err(Errno(libc::EINTR)) => {}
            Err(Errno(libc::EAGAIN)) if pipe.wait(PollFlags::POLLIN) => {}
            // The end, or a failure: whoever reads next hears of it.
            _ => break,
        }
    }
    pump.count(flow.end(left).unwrap_or(0));
}
