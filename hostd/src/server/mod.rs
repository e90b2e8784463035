//! The daemon: one thread that accepts guests, starts and ends their shadows, and answers the command line.
//!
//! It is on no call's way. What it waits for is in [`poller`]; a guest's state and transitions are in [`guest`],
//! [`attach`] (processes come) and [`requests`] (their shadows ask); tools are served by [`admin`].

pub mod admin;
mod aside;
pub mod attach;
pub mod audit;
pub mod complaints;
pub mod exports;
pub mod guest;
pub mod jobs;
pub mod launcher;
pub mod named;
pub mod news;
mod offspring;
pub mod parting;
pub mod passing;
pub mod poller;
pub mod requests;
pub mod settle;
pub mod zygote;

use crate::config::GuestConfig;
use crate::shadow::sandbox::Policy;
use admin::Tools;
use aside::Aside;
use complaints::Complaints;
use guest::{Door, Guest, PATIENCE};
use poller::{Key, Poller, Source};
use std::collections::HashMap;
use std::io::{ErrorKind, Result};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// An errno as an I/O error.
pub(crate) fn io(errno: hostcall::types::Errno) -> std::io::Error {
    std::io::Error::from_raw_os_error(errno.0)
}

/// Whether it failed for want of descriptors or memory, which passes.
fn is_shortage(error: &std::io::Error) -> bool {
    let errno = error.raw_os_error();
    matches!(
        errno,
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM)
    )
}

/// Kills the process behind a pidfd.
#[allow(unsafe_code)]
fn kill(pidfd: &OwnedFd) {
    // SAFETY: plain system call without a siginfo; a process that has ended is ESRCH.
    unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            libc::SIGKILL,
            std::ptr::null::<()>(),
            0,
        )
    };
}

/// A guest to serve.
#[derive(Debug)]
pub struct Opening {
    /// Name.
    pub name: String,
    /// Configuration.
    pub config: GuestConfig,
    /// What its shadows may see and use.
    pub policy: Policy,
    /// How it reaches us.
    pub door: Door,
}

/// Connections of one guest that have not introduced themselves. A client sends its introduction as soon as it has
/// connected, so that who is pushed out by a flood of others has had its time.
const MOST_STRANGERS: usize = 128;

/// How long a listener is left alone when there is no descriptor for who connects.
const REST: Duration = Duration::from_millis(100);

/// A connection whose introduction is still to come.
#[derive(Debug)]
struct Stranger {
    guest: usize,
    connection: OwnedFd,
    due: Instant,
}

/// The running daemon.
#[derive(Debug)]
pub struct Server {
    poller: Poller,
    guests: Vec<Guest>,
    tools: Tools,
    aside: Aside,
    /// Connections whose introduction is still to come.
    strangers: HashMap<Key, Stranger>,
    /// Listeners that are not watched for want of descriptors, and until when.
    resting: Vec<(Instant, Key, Source)>,
    /// What is logged about tools.
    complaints: Complaints,
    stop: OwnedFd,
}

impl Server {
    /// Opens the doors and starts the zygotes. `program` is hostd's own, for the zygotes; a byte on (or the end of) `stop` ends the server.
    pub fn new(openings: Vec<Opening>, program: PathBuf, stop: OwnedFd) -> Result<Server> {
        raise_open_files();
        let mut poller = Poller::new()?;
        poller.watch(&stop, Source::Stop)?;
        let tools = Tools::listen(&mut poller)?;
        let mut guests = Vec::new();
        for (
            index,
            Opening {
                name,
                config,
                policy,
                door,
            },
        ) in openings.into_iter().enumerate()
        {
            guests.push(Guest::new(
                index,
                name,
                config,
                policy,
                door,
                program.clone(),
                &mut poller,
            )?);
        }
        Ok(Server {
            poller,
            guests,
            tools,
            aside: Aside::new(),
            strangers: HashMap::new(),
            resting: Vec::new(),
            complaints: Complaints::default(),
            stop,
        })
    }

    /// Serves until told to stop.
    pub fn run(mut self) -> Result<()> {
        loop {
            let timeout = self.expire();
            for (key, source) in self.poller.wait(timeout)? {
                // An earlier event of this turn may have closed it.
                if self.poller.source(key) != Some(source) {
                    continue;
                }
                if source == Source::Stop {
                    self.close();
                    return Ok(());
                }
                if let Err(error) = self.handle(key, source) {
                    self.rest(key, source, &error);
                    self.complain(source, &error);
                }
            }
        }
    }

    /// Turns away from a listener while there is no descriptor or memory for who connects: epoll would name it again
    /// and again. Who connects waits in the kernel's queue.
    fn rest(&mut self, key: Key, source: Source, error: &std::io::Error) {
        if is_shortage(error) && self.attend(key, source, false) {
            self.resting.push((Instant::now() + REST, key, source));
        }
    }

    /// Watches a listener or looks away from it; whether it is one.
    fn attend(&mut self, key: Key, source: Source, watch: bool) -> bool {
        let listener = match source {
            Source::Admin => Some(self.tools.listener()),
            Source::Listener { guest } => self.guests[guest].door.listener(),
            _ => None,
        };
        let changed = listener.map(|listener| match watch {
            true => self.poller.heed(listener, key),
            false => self.poller.ignore(listener, key),
        });
        changed.is_some_and(|changed| changed.is_ok())
    }

    fn complain(&mut self, source: Source, error: &std::io::Error) {
        let (guest, doing) = match source {
            Source::Stop | Source::Admin | Source::Tool => {
                return self
                    .complaints
                    .of(format_args!("a command-line tool: {error}"))
            }
            // It has ended before it came to that.
            Source::Listener { .. } | Source::Hello { .. }
                if error.kind() == ErrorKind::UnexpectedEof =>
            {
                return
            }
            Source::Listener { guest } => (guest, "a process that connects"),
            Source::Hello { guest } => (guest, "a process that introduces itself"),
            Source::Zygote { guest } => (guest, "its zygote"),
            Source::Successor { guest } => (guest, "the zygote of its new view"),
            Source::Shadow { guest, .. } => (guest, "a shadow"),
            Source::Process { guest, .. } => (guest, "the end of a process"),
            Source::Line { guest } => (guest, "its doorbell line"),
            Source::Launcher { guest } => (guest, "its launcher"),
        };
        let guest = &mut self.guests[guest];
        guest
            .complaints
            .about(&guest.name, format_args!("{doing}: {error}"));
    }

    fn handle(&mut self, key: Key, source: Source) -> Result<()> {
        let poller = &mut self.poller;
        match source {
            Source::Stop => {}
            Source::Admin => self.tools.accept(poller)?,
            Source::Tool => self.hear_tool(key),
            Source::Listener { guest } => return self.accept(guest),
            Source::Hello { guest } => {
                let Some(stranger) = self.strangers.get(&key) else {
                    return Ok(());
                };
                let hello = Guest::introduction(&stranger.connection);
                if let Ok(None) = hello {
                    return Ok(());
                }
                if let Some(Stranger { connection, .. }) = self.strangers.remove(&key) {
                    poller.forget(&connection, key);
                    if let Some(hello) = hello? {
                        let guest = &mut self.guests[guest];
                        self.aside.meet(hello.sent, guest.board.clock());
                        guest.welcome(connection, hello, poller)?;
                    }
                }
            }
            Source::Zygote { guest } => self.guests[guest].hear_zygote(poller)?,
            Source::Successor { guest } => {
                if let Some((tool, outcome)) = self.guests[guest].hear_successor(poller)? {
                    self.tools.answer(tool, &outcome, &self.guests, poller);
                }
            }
            Source::Shadow { guest, slot } => {
                if let Some(line) = self.guests[guest].hear_shadow(slot, poller)? {
                    let guests = &self.guests;
                    self.tools.trace(&guests[guest], &line, guests, poller);
                }
            }
            Source::Launcher { guest } => self.guests[guest].hear_launcher(key, poller)?,
            Source::Process { guest, slot } => {
                self.guests[guest].part(slot, poller);
                self.guests[guest].breed(poller)?;
            }
            Source::Line { guest } => {
                if !self.guests[guest].hear_line(poller)? {
                    self.guests[guest].hang_up(key, poller);
                    self.guests[guest].breed(poller)?;
                }
            }
        }
        Ok(())
    }

    /// A tool says something. What it asks to be changed is begun at once; most answers come later.
    fn hear_tool(&mut self, key: Key) {
        let poller = &mut self.poller;
        let Some(request) = self.tools.hear(key, &self.guests, poller) else {
            return;
        };
        let named = |guest: &&mut Guest| guest.name == request.guest;
        let begun = match self.guests.iter_mut().find(named) {
            Some(guest) => guest.change_exports(&request, key, poller),
            None => Err(format!("no guest {} is served here", request.guest)),
        };
        if let Err(error) = begun {
            let outcome: exports::Outcome = Err(error);
            self.tools.answer(key, &outcome, &self.guests, poller);
        }
    }

    fn accept(&mut self, guest: usize) -> Result<()> {
        let Some(listener) = self.guests[guest].door.listener() else {
            return Ok(());
        };
        let connection = match listener.accept() {
            Ok((connection, _)) => OwnedFd::from(connection),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        if let Door::Device { line, .. } = &mut self.guests[guest].door {
            // A machine has one line; a second connection is closed at once.
            if line.is_none() {
                crate::serve::set_nonblocking(&connection)?;
                self.poller.watch(&connection, Source::Line { guest })?;
                *line = Some(connection);
            }
            return Ok(());
        }
        match Guest::introduction(&connection)? {
            Some(hello) => {
                let guest = &mut self.guests[guest];
                self.aside.meet(hello.sent, guest.board.clock());
                guest.welcome(connection, hello, &mut self.poller)
            }
            None => {
                let key = self.poller.watch(&connection, Source::Hello { guest })?;
                self.strangers.insert(
                    key,
                    Stranger {
                        guest,
                        connection,
                        due: Instant::now() + PATIENCE,
                    },
                );
                self.bound_strangers(guest);
                Ok(())
            }
        }
    }

    /// Keeps a flood of connections from using up our descriptors: the oldest of that guest goes.
    fn bound_strangers(&mut self, guest: usize) {
        let own = || {
            self.strangers
                .iter()
                .filter(|(_, stranger)| stranger.guest == guest)
        };
        if own().count() <= MOST_STRANGERS {
            return;
        }
        let oldest = own().map(|(key, _)| *key).min();
        if let Some((key, stranger)) =
            oldest.and_then(|key| Some((key, self.strangers.remove(&key)?)))
        {
            self.poller.forget(&stranger.connection, key);
        }
    }

    /// Ends what waited too long; milliseconds until the next look.
    fn expire(&mut self) -> Option<u16> {
        let now = Instant::now();
        let (rested, resting): (Vec<_>, Vec<_>) = std::mem::take(&mut self.resting)
            .into_iter()
            .partition(|(due, ..)| *due <= now);
        self.resting = resting;
        for (_, key, source) in rested {
            self.attend(key, source, true);
        }
        let poller = &mut self.poller;
        let late: Vec<Key> = self
            .strangers
            .iter()
            .filter(|(_, stranger)| stranger.due <= now)
            .map(|(key, _)| *key)
            .collect();
        for key in late {
            if let Some(stranger) = self.strangers.remove(&key) {
                poller.forget(&stranger.connection, key);
            }
        }
        let strangers = self.strangers.values().map(|stranger| stranger.due).min();
        let sessions = self
            .guests
            .iter_mut()
            .filter_map(|guest| guest.expire(now, poller))
            .min();
        let rests = self.resting.iter().map(|(due, ..)| *due).min();
        let next = strangers.into_iter().chain(sessions).chain(rests).min()?;
        Some((next - now).as_millis().clamp(1, 60_000) as u16)
    }

    fn close(&mut self) {
        let poller = &mut self.poller;
        self.guests.iter_mut().for_each(|guest| guest.close(poller));
        let guests = self.guests.iter_mut();
        guests.for_each(|guest| guest.await_launchers(poller));
        let _ = &self.stop;
    }
}

/// Sessions cost hostd a few descriptors each; the default soft limit would end at some hundred.
fn raise_open_files() {
    use nix::sys::resource::{getrlimit, setrlimit, Resource};
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let wanted = hard.min(1 << 20);
        if soft < wanted && setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).is_err() {
            log::warn!("the limit of open files stays at {soft}");
        }
    }
}
