//! What hostd waits for: descriptors, each with the reason why.

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::collections::HashMap;
use std::io::Result;
use std::os::fd::AsFd;

/// Why a descriptor is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Somebody asked the server to stop.
    Stop,
    /// A command-line tool connects.
    Admin,
    /// A command-line tool says something or leaves.
    Tool,
    /// A guest process connects to this guest's socket.
    Listener {
        /// Index of the guest.
        guest: usize,
    },
    /// A guest process that connected introduces itself.
    Hello {
        /// Index of the guest.
        guest: usize,
    },
    /// A zygote says something or ends.
    Zygote {
        /// Index of the guest.
        guest: usize,
    },
    /// The zygote of a view in the making says something or ends.
    Successor {
        /// Index of the guest.
        guest: usize,
    },
    /// A shadow says something or ends.
    Shadow {
        /// Index of the guest.
        guest: usize,
        /// Its place on the board.
        slot: u32,
    },
    /// A guest process on the same kernel ends.
    Process {
        /// Index of the guest.
        guest: usize,
        /// Its shadow's place on the board.
        slot: u32,
    },
    /// A launcher of host programs says something or ends.
    Launcher {
        /// Index of the guest.
        guest: usize,
    },
    /// A guest kernel's doorbell line rings.
    Line {
        /// Index of the guest.
        guest: usize,
    },
}

/// Names a registration, so that a late event of a closed descriptor is not taken for a new one's.
pub type Key = u64;

/// The epoll instance and what its keys mean.
#[derive(Debug)]
pub struct Poller {
    epoll: Epoll,
    sources: HashMap<Key, Source>,
    next: Key,
}

impl Poller {
    /// An empty poller.
    pub fn new() -> Result<Poller> {
        Ok(Poller {
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            sources: HashMap::new(),
            next: 0,
        })
    }

    /// Watches a descriptor for input or its end. It is forgotten by closing it and [`forget`](Poller::forget).
    pub fn watch(&mut self, fd: &impl AsFd, source: Source) -> Result<Key> {
        let key = self.next;
        self.next += 1;
        self.epoll
            .add(fd, EpollEvent::new(EpollFlags::EPOLLIN, key))?;
        self.sources.insert(key, source);
        Ok(key)
    }

    /// Says anew what a watched descriptor stands for.
    pub fn rename(&mut self, key: Key, source: Source) {
        self.sources.insert(key, source);
    }

    /// Waits from now on until a watched descriptor takes output, and no longer for input.
    pub fn await_room(&mut self, fd: &impl AsFd, key: Key) -> Result<()> {
        let mut event = EpollEvent::new(EpollFlags::EPOLLOUT, key);
        Ok(self.epoll.modify(fd, &mut event)?)
    }

    /// Looks away from a watched descriptor until [`heed`](Poller::heed).
    pub fn ignore(&mut self, fd: &impl AsFd, key: Key) -> Result<()> {
        let mut event = EpollEvent::new(EpollFlags::empty(), key);
        Ok(self.epoll.modify(fd, &mut event)?)
    }

    /// Watches for input again.
    pub fn heed(&mut self, fd: &impl AsFd, key: Key) -> Result<()> {
        let mut event = EpollEvent::new(EpollFlags::EPOLLIN, key);
        Ok(self.epoll.modify(fd, &mut event)?)
    }

    /// Stops watching; the descriptor must still be open.
    pub fn forget(&mut self, fd: &impl AsFd, key: Key) {
        self.sources.remove(&key);
        // Fails only if it was never watched.
        let _ = self.epoll.delete(fd);
    }

    /// Waits for events, at most `timeout` milliseconds.
    pub fn wait(&mut self, timeout: Option<u16>) -> Result<Vec<(Key, Source)>> {
        let mut events = [EpollEvent::empty(); 64];
        let timeout = timeout.map_or(EpollTimeout::NONE, EpollTimeout::from);
        match self.epoll.wait(&mut events, timeout) {
            Err(nix::errno::Errno::EINTR) => Ok(Vec::new()),
            Err(error) => Err(error.into()),
            Ok(n) => {
                let keys = events[..n].iter().map(EpollEvent::data);
                Ok(keys
                    .filter_map(|key| Some((key, *self.sources.get(&key)?)))
                    .collect())
            }
        }
    }

    /// What a key stands for, if it is still watched.
    pub fn source(&self, key: Key) -> Option<Source> {
        self.sources.get(&key).copied()
    }
}
