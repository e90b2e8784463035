//! hostd's side of a guest's launcher: starting it, hearing it, seeing it end.

use super::guest::Guest;
use super::offspring;
use super::poller::{Key, Poller, Source};
use crate::exec::launcher::LAUNCHER;
use crate::exec::message::{FromLauncher, ToLauncher};
use crate::exec::Policy;
use crate::message;
use nix::sys::socket::{shutdown, Shutdown};
use std::io::Result;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::process::Child;
use std::time::{Duration, Instant};

/// How long hostd waits for the programs of its guests when it ends itself: longer than a launcher's guard waits to kill them.
const PATIENCE: Duration = Duration::from_secs(8);

/// The launcher's process and line.
#[derive(Debug)]
pub struct Launcher {
    child: Child,
    line: OwnedFd,
    /// Its registration, and its name.
    pub(super) key: Key,
}

impl Launcher {
    fn start(guest: &Guest, policy: &Policy, poller: &mut Poller) -> Result<Launcher> {
        let (child, line) = offspring::start(&guest.program, LAUNCHER, &guest.name)?;
        let policy = Box::new(policy.clone());
        message::send_by_file(&line, &ToLauncher::Begin { policy }, &[])?;
        let key = poller.watch(&line, Source::Launcher { guest: guest.index })?;
        Ok(Launcher { child, line, key })
    }

    /// Tells it something, unless it is behind.
    pub(super) fn tell(&self, message: &ToLauncher, fds: &[RawFd]) -> Result<()> {
        message::try_send(&self.line, message, fds)
    }

    fn hear(&self, wait: bool) -> Result<(FromLauncher, Vec<OwnedFd>)> {
        message::receive_long(&self.line, wait)
    }

    /// Has it end all programs and then itself. What becomes of them it still tells.
    pub(super) fn dismiss(&self) {
        let _ = shutdown(self.line.as_raw_fd(), Shutdown::Write);
    }

    fn bury(mut self, poller: &mut Poller) {
        poller.forget(&self.line, self.key);
        // It has hung up; should it hang all the same, nobody waits for it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Guest {
    /// The launcher, started if there is none.
    pub(super) fn launcher(&mut self, poller: &mut Poller) -> Result<&Launcher> {
        if self.jobs.launcher.is_none() {
            let policy = self.jobs.policy.as_ref();
            let policy = policy.ok_or(std::io::ErrorKind::PermissionDenied)?;
            self.jobs.launcher = Some(Launcher::start(self, policy, poller)?);
        }
        let launcher = self.jobs.launcher.as_ref();
        launcher.ok_or(std::io::ErrorKind::NotFound.into())
    }

    /// Hears a launcher, the present one or one that has been dismissed.
    pub fn hear_launcher(&mut self, key: Key, poller: &mut Poller) -> Result<()> {
        let Some(launcher) = self.jobs.launcher(key) else {
            return Ok(());
        };
        match launcher.hear(false) {
            Ok((FromLauncher::Failed { error }, _)) => {
                self.complaints.about(&self.name, error);
                Ok(())
            }
            Ok((message, fds)) => {
                self.hear_of_job(message, fds, poller);
                Ok(())
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(()),
            Err(_) => {
                self.lose_launcher(key, poller);
                Ok(())
            }
        }
    }

    fn lose_launcher(&mut self, key: Key, poller: &mut Poller) {
        let current = self.jobs.launcher.take_if(|launcher| launcher.key == key);
        let dismissed = &mut self.jobs.dismissed;
        let at = dismissed.iter().position(|launcher| launcher.key == key);
        let launcher = current.or_else(|| at.map(|at| dismissed.swap_remove(at)));
        if let Some(launcher) = launcher {
            launcher.bury(poller);
        }
        self.lose_jobs(key, poller);
    }

    /// Ends all programs of the guest, those that have made themselves daemons too.
    pub(super) fn dismiss_launcher(&mut self) {
        if let Some(launcher) = self.jobs.launcher.take() {
            launcher.dismiss();
            self.jobs.dismissed.push(launcher);
        }
    }

    /// Waits until no program of the guest is left.
    pub(super) fn await_launchers(&mut self, poller: &mut Poller) {
        use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
        use std::os::fd::AsFd;
        let due = Instant::now() + PATIENCE;
        while let Some(launcher) = self.jobs.dismissed.first() {
            let key = launcher.key;
            let left = due.saturating_duration_since(Instant::now());
            let mut ready = [PollFd::new(launcher.line.as_fd(), PollFlags::POLLIN)];
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            match poll(&mut ready, timeout) {
                Err(nix::errno::Errno::EINTR) => continue,
                Ok(1..) if self.hear_launcher(key, poller).is_ok() => {}
                _ => self.lose_launcher(key, poller),
            }
        }
    }
}
