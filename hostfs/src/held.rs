//! Descriptors of the host, given back when nobody needs them any more.

use hostcall::types::RemoteFd;
use std::sync::{Arc, Mutex, PoisonError};

/// Descriptors of one session with the host that nobody needs any more, to be closed together.
#[derive(Debug, Default)]
pub struct Unused {
    session: u32,
    files: Numbers,
    paths: Numbers,
}

/// What a descriptor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An open file. That it is closed may be waited for: locks go with it.
    File,
    /// An `O_PATH` descriptor, which leads to a file and holds nothing but that.
    Path,
}

#[derive(Debug, Default)]
struct Numbers(Mutex<Vec<i32>>);

impl Numbers {
    fn put(&self, number: i32) {
        let mut numbers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        numbers.push(number);
    }

    fn take(&self, count: usize) -> Vec<i32> {
        let mut numbers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match numbers.len() >= count {
            true => std::mem::take(&mut *numbers),
            false => Vec::new(),
        }
    }
}

impl Unused {
    /// Those of a session.
    pub fn of(session: u32) -> Unused {
        Unused {
            session,
            ..Unused::default()
        }
    }

    /// The session's number.
    pub fn session(&self) -> u32 {
        self.session
    }

    /// Takes all of a kind, if there are at least `count`.
    pub fn take(&self, kind: Kind, count: usize) -> Vec<i32> {
        self.numbers(kind).take(count)
    }

    fn numbers(&self, kind: Kind) -> &Numbers {
        match kind {
            Kind::File => &self.files,
            Kind::Path => &self.paths,
        }
    }
}

/// A descriptor of the host, put among the [`Unused`] when the last user lets go of it.
#[derive(Debug)]
pub struct Held {
    fd: RemoteFd,
    kind: Kind,
    unused: Arc<Unused>,
}

impl Held {
    /// Takes over a descriptor.
    pub fn new(fd: RemoteFd, kind: Kind, unused: &Arc<Unused>) -> Arc<Held> {
        Arc::new(Held {
            fd,
            kind,
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
        self.unused.numbers(self.kind).put(self.fd.0);
    }
}
