//! Descriptors of the host, given back when nobody needs them any more.

use hostcall::types::RemoteFd;
use std::sync::{Arc, Mutex, PoisonError};

/// Descriptors of one session with the host that nobody needs any more, to be closed together.
#[derive(Debug, Default)]
pub struct Unused {
    session: u32,
    numbers: Mutex<Vec<i32>>,
}

impl Unused {
    /// Those of a session.
    pub fn of(session: u32) -> Unused {
        Unused {
            session,
            numbers: Mutex::default(),
        }
    }

    /// The session's number.
    pub fn session(&self) -> u32 {
        self.session
    }

    /// Takes them all, if there are at least `count`.
    pub fn take(&self, count: usize) -> Vec<i32> {
        let mut numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        match numbers.len() >= count {
            true => std::mem::take(&mut *numbers),
            false => Vec::new(),
        }
    }
}

/// A descriptor of the host, put among the [`Unused`] when the last user lets go of it.
#[derive(Debug)]
pub struct Held {
    fd: RemoteFd,
    unused: Arc<Unused>,
}

impl Held {
    /// Takes over a descriptor.
    pub fn new(fd: RemoteFd, unused: &Arc<Unused>) -> Arc<Held> {
        Arc::new(Held {
            fd,
            unused: unused.clone(),
        })
    }

    /// Its number.
    pub fn fd(&self) -> RemoteFd {
        self.fd
    }

    /// The session that it belongs to.
    pub fn session(&self) -> u32 {
        self.unused.session
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let numbers = &self.unused.numbers;
        let mut numbers = numbers.lock().unwrap_or_else(PoisonError::into_inner);
        numbers.push(self.fd.0);
    }
}
