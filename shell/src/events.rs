//! What the main thread waits for: signals of its own, and what other threads tell it.

use crate::signals::Signals;
use hostcall::types::{Errno, JobState};
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::os::fd::AsFd;
use std::sync::mpsc::{channel, Receiver, Sender};
use std::sync::Arc;
use std::time::Duration;

/// Something has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A signal for the program, or for us.
    Signal(i32),
    /// The program's state has changed.
    State(JobState),
    /// The program cannot be waited for any more.
    Lost(Errno),
    /// A thread carries a stream no more: its place in what is carried.
    Carried(usize),
}

/// What other threads tell.
#[derive(Debug)]
pub struct Told {
    events: Receiver<Event>,
    teller: Teller,
}

/// Where events come from.
#[derive(Debug)]
pub struct Events {
    signals: Signals,
    told: Told,
}

/// A thread's way to tell.
#[derive(Clone, Debug)]
pub struct Teller {
    sender: Sender<Event>,
    bell: Arc<EventFd>,
}

impl Teller {
    /// Tells.
    pub fn tell(&self, event: Event) {
        // The receiver lives as long as the process.
        let _ = self.sender.send(event);
        let _ = self.bell.write(1);
    }
}

impl Told {
    /// Nothing yet.
    ///
    /// # Errors
    /// eventfd(2).
    pub fn new() -> nix::Result<Told> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let bell = Arc::new(EventFd::from_flags(flags)?);
        let (sender, events) = channel();
        Ok(Told {
            events,
            teller: Teller { sender, bell },
        })
    }

    /// For another thread.
    pub fn teller(&self) -> Teller {
        self.teller.clone()
    }
}

impl Events {
    /// Begins. From here on signals wait to be taken.
    ///
    /// # Errors
    /// signalfd(2).
    pub fn start(told: Told) -> nix::Result<Events> {
        Ok(Events {
            signals: Signals::start()?,
            told,
        })
    }

    /// For another thread.
    pub fn teller(&self) -> Teller {
        self.told.teller()
    }

    /// The next event; `None` if none comes within `patience`. Signals come first.
    pub fn next(&self, patience: Option<Duration>) -> Option<Event> {
        let look = || {
            let signal = self.signals.next().map(Event::Signal);
            signal.or_else(|| self.told.events.try_recv().ok())
        };
        if let Some(event) = look() {
            return Some(event);
        }
        let patience = patience.map_or(PollTimeout::NONE, |patience| {
            PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX)
        });
        let mut sources = [
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.told.teller.bell.as_fd(), PollFlags::POLLIN),
        ];
        let _ = poll(&mut sources, patience);
        // Ahead of the look: what is told later rings again.
        let _ = self.told.teller.bell.read();
        look()
    }
}
