//! Watches: inotify on host files.
//!
//! inotify_add_watch(2) takes a path and nothing else, so a watch goes the way to an open file by its path of the
//! moment, and then looks whether that was the file.
#![allow(unsafe_code)]

use super::link::{identity, identity_at};
use super::{done, Caller};
use crate::shadow::follow::Change;
use crate::shadow::session::Session;
use hostcall::ops::{reply, request, WatchCalls};
use hostcall::types::Errno;
use hostcall::wire::Sink;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Watches of one guest, over all of its processes. The kernel counts them for the host's user
/// (`fs.inotify.max_user_watches`), so one guest must not take them all.
pub const MOST_WATCHES: u32 = 8192;
/// inotify instances of one guest process; the kernel grants its user 128 (`fs.inotify.max_user_instances`).
pub const MOST_INSTANCES: usize = 4;
/// How often a file that is being renamed is gone after.
const ATTEMPTS: u32 = 8;

/// The inotify instances of a session and the watches that each has. They are never duplicated nor shared, so closing
/// an instance is known to give back its watches.
#[derive(Debug, Default)]
pub struct Instances {
    by_number: Mutex<BTreeMap<i32, Instance>>,
    /// How many there are, for those who have none: closing a file asks.
    count: AtomicUsize,
}

/// One of them.
#[derive(Debug, Default)]
pub(super) struct Instance {
    /// The highest watch descriptor so far: the kernel numbers new watches upwards, and answers an old number for a
    /// file that is watched already.
    last: i32,
    /// Whether it is the one of the guest's follower.
    follows: bool,
    /// Watches made whose end has not been seen.
    watches: u32,
    /// Watches whose removal has been seen and whose last event has not. One that ended with its file is known by that
    /// event alone.
    removed: u32,
}

impl Instances {
    /// Looks at them or changes them.
    pub(super) fn with<T>(&self, f: impl FnOnce(&mut BTreeMap<i32, Instance>) -> T) -> T {
        let mut instances = self
            .by_number
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let answer = f(&mut instances);
        self.count.store(instances.len(), Ordering::Relaxed);
        answer
    }

    /// Whether a descriptor is an instance: it is not to be duplicated or handed on.
    pub fn holds(&self, fd: i32) -> bool {
        self.count.load(Ordering::Relaxed) != 0 && self.with(|all| all.contains_key(&fd))
    }

    /// Forgets a descriptor that is being closed; says what it was.
    fn close(&self, fd: i32) -> Instance {
        if self.count.load(Ordering::Relaxed) == 0 {
            return Instance::default();
        }
        let closed = self.with(|all| all.remove(&fd));
        closed.unwrap_or_default()
    }
}

impl Session {
    /// A change of files begins; it ends when the returned value is dropped, and is seen on the guest's mount then.
    pub(crate) fn change(&self) -> Option<Change<'_>> {
        self.follow.as_deref()?.change(self.slot)
    }

    /// Books the end of a descriptor's watches, if it is an inotify instance: it is about to be closed.
    pub(crate) fn end_watches(&self, fd: i32) {
        let instance = self.instances.close(fd);
        if instance.watches > 0 {
            self.give_watches(instance.watches);
        }
        if let Some(follow) = self.follow.as_ref().filter(|_| instance.follows) {
            follow.end(self.slot);
        }
    }

    /// Takes one of the guest's watches; `ENOSPC` if it has them all.
    fn take_watch(&self) -> Result<(), Errno> {
        let own = &self.board.slot(self.slot).watches;
        own.fetch_add(1, Ordering::Relaxed);
        match self.board.watches() <= MOST_WATCHES {
            true => Ok(()),
            false => {
                self.give_watches(1);
                Err(Errno(libc::ENOSPC))
            }
        }
    }

    /// Gives watches back to the guest.
    fn give_watches(&self, count: u32) {
        let own = &self.board.slot(self.slot).watches;
        own.fetch_sub(count, Ordering::Relaxed);
    }
}

impl Instance {
    /// So many watches have ended; says how many of them have not been given back yet.
    fn saw_ends(&mut self, ended: u32) -> u32 {
        let known = ended.min(self.removed);
        self.removed -= known;
        let given = (ended - known).min(self.watches);
        self.watches -= given;
        given
    }
}

/// How many of packed events are the last of a watch.
fn ends(events: &[u8]) -> u32 {
    const HEAD: usize = size_of::<libc::inotify_event>();
    let (mut rest, mut count) = (events, 0);
    while let Some((head, tail)) = rest.split_at_checked(HEAD) {
        let word = |at: usize| u32::from_ne_bytes([0, 1, 2, 3].map(|byte| head[at + byte]));
        count += u32::from(word(4) & libc::IN_IGNORED != 0);
        rest = tail.get(word(12) as usize..).unwrap_or_default();
    }
    count
}

impl WatchCalls for Caller {
    fn watch_open(&mut self, request: request::WatchOpen) -> Result<reply::WatchOpen, Errno> {
        self.session.instances.with(|instances| {
            if instances.len() >= MOST_INSTANCES {
                return Err(Errno(libc::EMFILE));
            }
            // SAFETY: plain system call.
            let fd = Errno::result(unsafe { libc::inotify_init1(request.flags) }.into())? as i32;
            instances.insert(fd, Instance::default());
            Ok(reply::WatchOpen {
                fd: self.session.fds.insert(fd),
            })
        })
    }

    fn watch_add(&mut self, request: request::WatchAdd) -> Result<reply::WatchAdd, Errno> {
        let request::WatchAdd { fd, target, mask } = request;
        let (fd, target) = (self.session.fds.get(fd)?, self.session.fds.get(target)?);
        if mask == 0 {
            return Err(Errno(libc::EINVAL));
        }
        // SAFETY: a live stat.
        let wanted = identity(|data| unsafe { libc::fstat(target, data) })?;
        for _ in 0..ATTEMPTS {
            let path = self.path_of_link(target)?;
            if identity_at(&path) != Ok(wanted) {
                continue;
            }
            self.session.take_watch()?;
            // The file itself is meant, so its last component is not followed.
            let mask = mask | libc::IN_DONT_FOLLOW;
            // Under the lock, so that the numbers are seen in the order in which the kernel gave them.
            let added = self.session.instances.with(|instances| {
                let instance = instances.get_mut(&fd).ok_or(Errno(libc::EINVAL))?;
                // SAFETY: a NUL-terminated private path.
                let added = unsafe { libc::inotify_add_watch(fd, path.as_ptr(), mask) };
                let descriptor = Errno::result(added.into())? as i32;
                let new = descriptor > instance.last;
                if new {
                    instance.last = descriptor;
                    instance.watches += 1;
                }
                if let Some(follow) = self.session.follow.as_ref().filter(|_| instance.follows) {
                    follow.watched(descriptor);
                }
                Ok((descriptor, new))
            });
            if !matches!(added, Ok((_, true))) {
                self.session.give_watches(1);
            }
            let (descriptor, _) = added?;
            if identity_at(&path) == Ok(wanted) {
                return Ok(reply::WatchAdd { descriptor });
            }
            // Renamed in between: this may be a watch on what has taken its name.
            let _ = self.remove_watch(fd, descriptor);
        }
        Err(Errno(libc::ENOENT))
    }

    fn watch_remove(&mut self, request: request::WatchRemove) -> Result<reply::WatchRemove, Errno> {
        let fd = self.session.fds.get(request.fd)?;
        self.remove_watch(fd, request.descriptor)?;
        Ok(reply::WatchRemove {})
    }

    fn watch_follow(&mut self, _: request::WatchFollow) -> Result<reply::WatchFollow, Errno> {
        let follow = self
            .session
            .follow
            .as_ref()
            .ok_or(Errno(libc::EOPNOTSUPP))?;
        follow.begin(self.session.slot)?;
        self.session.instances.with(|instances| {
            // SAFETY: plain system call. 3: the numbers below are the shadow's own.
            let fd = unsafe { libc::fcntl(follow.instance(), libc::F_DUPFD_CLOEXEC, 3) };
            let fd = Errno::result(fd.into()).inspect_err(|_| follow.end(self.session.slot))?;
            let follows = Instance {
                follows: true,
                ..Instance::default()
            };
            instances.insert(fd as i32, follows);
            Ok(reply::WatchFollow {
                fd: self.session.fds.insert(fd as i32),
            })
        })
    }

    fn watch_heed(&mut self, request: request::WatchHeed) -> Result<reply::WatchHeed, Errno> {
        let request::WatchHeed { fd, sink } = request;
        let fd = self.session.fds.get(fd)?;
        let follows = |all: &mut BTreeMap<i32, Instance>| all.get(&fd).is_some_and(|it| it.follows);
        let follow = self.session.follow.clone();
        let follow = follow.filter(|_| self.session.instances.with(follows));
        let follow = follow.ok_or(Errno(libc::EINVAL))?;
        follow.acted();
        loop {
            follow.gather()?;
            match self.read_events(fd, &sink) {
                // What was there has been read by another lane.
                Err(Errno(libc::EAGAIN)) => follow.acted(),
                read => {
                    let filled = read.inspect_err(|_| follow.acted())?.filled;
                    let near = follow.is_near().into();
                    return Ok(reply::WatchHeed { near, filled });
                }
            }
        }
    }
}

impl Caller {
    /// Reads events into a private buffer, sees which watches have ended, and hands them on.
    pub(super) fn read_events(&mut self, fd: i32, sink: &Sink<'_>) -> Result<reply::Read, Errno> {
        let mut events = vec![0u8; sink.len()];
        // SAFETY: a live buffer and its length.
        let read = unsafe { libc::read(fd, events.as_mut_ptr().cast(), events.len()) };
        let read = Errno::result(read as i64)? as usize;
        events.truncate(read);
        let ended = ends(&events);
        if ended > 0 {
            let given = self.session.instances.with(|instances| {
                instances
                    .get_mut(&fd)
                    .map_or(0, |instance| instance.saw_ends(ended))
            });
            self.session.give_watches(given);
        }
        self.complete = read == sink.len();
        Ok(reply::Read {
            filled: sink.fill(&events),
        })
    }

    fn remove_watch(&self, fd: i32, descriptor: i32) -> Result<(), Errno> {
        let counted = self.session.instances.with(|instances| {
            // SAFETY: plain system call.
            done(unsafe { libc::inotify_rm_watch(fd, descriptor) })?;
            let counted = instances
                .get_mut(&fd)
                .is_some_and(|instance| instance.watches > 0);
            if let Some(instance) = instances.get_mut(&fd) {
                instance.watches -= u32::from(counted);
                instance.removed += u32::from(counted);
            }
            Ok(counted)
        })?;
        if counted {
            self.session.give_watches(1);
        }
        Ok(())
    }
}
