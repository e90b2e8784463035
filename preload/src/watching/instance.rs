//! One inotify instance that watches host files: what belongs to it, how it begins and ends, and its watches.
#![allow(unsafe_code)]

use super::numbers::Numbers;
use super::pump;
use super::queue::{self, Event};
use crate::lock::Lock;
use crate::real::try_sys;
use crate::report::Line;
use crate::session;
use hostcall::attach::out_of_the_way;
use hostcall::client::Client;
use hostcall::doorbell::{futex_wait, futex_wake};
use hostcall::ops::Calls;
use hostcall::types::{Errno, RemoteFd};
use libc::c_int;
use std::fmt::Write;
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, Ordering};
use std::time::{Duration, Instant};
use syscalls::Sysno;

/// The right to change what belongs to instances.
pub static LOCK: Lock = Lock::new();

/// What the bell's events are made of: a write and a read, in turn, so that two of them are never taken for one.
pub const RUNG: u32 = libc::IN_MODIFY | libc::IN_ACCESS;

/// Longest wait for the thread: longer than any it needs, unless the host hangs.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often a thread that is to end, or to bring all that there is, is interrupted.
const AGAIN: Duration = Duration::from_millis(1);

/// An instance, or room for one.
#[derive(Debug)]
pub struct Instance {
    /// Descriptors that the program has of it.
    pub descriptors: AtomicU32,
    /// A descriptor of our own; -1: there is no such instance, and all else is meaningless.
    pub own: AtomicI32,
    /// The pipe that is the bell, both ends.
    bell: AtomicI32,
    /// The kernel's descriptor of the watch on it, which is that of the first watch on a host file as well.
    pub bell_watch: AtomicI32,
    /// The queue's entrance and exit.
    pub entrance: AtomicI32,
    pub exit: AtomicI32,
    /// Events that the thread has put into the queue and nobody has taken.
    pub queued: AtomicU32,
    /// The instance on the host, if this process has one, and the session that it belongs to.
    pub remote: AtomicI32,
    client: AtomicPtr<Client>,
    pub numbers: Numbers,
    /// Changes when the thread has ended a watch, cannot go on or has ended itself; a futex.
    pub progress: AtomicU32,
    pub thread: pump::Thread,
}

impl Instance {
    /// Room.
    pub const fn new() -> Instance {
        Instance {
            descriptors: AtomicU32::new(0),
            own: AtomicI32::new(-1),
            bell: AtomicI32::new(-1),
            bell_watch: AtomicI32::new(-1),
            entrance: AtomicI32::new(-1),
            exit: AtomicI32::new(-1),
            queued: AtomicU32::new(0),
            remote: AtomicI32::new(-1),
            client: AtomicPtr::new(std::ptr::null_mut()),
            numbers: Numbers::new(),
            progress: AtomicU32::new(0),
            thread: pump::Thread::new(),
        }
    }

    /// Whether there is no instance here.
    pub fn is_free(&self) -> bool {
        self.own.load(Ordering::Acquire) < 0
    }

    fn files(&self) -> [&AtomicI32; 4] {
        [&self.own, &self.bell, &self.entrance, &self.exit]
    }

    /// Whether a descriptor is one of the instance's own.
    pub fn owns(&self, fd: c_int) -> bool {
        let mut files = self.files().into_iter();
        fd >= 0 && files.any(|file| file.load(Ordering::Relaxed) == fd)
    }

    /// Makes an instance of the kernel's one that watches a first host file. Under the lock.
    pub fn begin(&'static self, fd: c_int, target: RemoteFd, mask: u32) -> Result<c_int, Errno> {
        self.make(fd)
            .and_then(|()| self.add(target, mask))
            .inspect_err(|_| self.end_unlocked())
    }

    fn make(&self, fd: c_int) -> Result<(), Errno> {
        // SAFETY: plain system calls; the pairs are live, and their descriptors ours.
        unsafe {
            let own = try_sys!(Sysno::fcntl, fd, libc::F_DUPFD_CLOEXEC, 3)? as c_int;
            self.own.store(out_of_the_way(own)?, Ordering::Release);
            let mut pair = [-1; 2];
            let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
            try_sys!(Sysno::socketpair, libc::AF_UNIX, kind, 0, pair.as_mut_ptr())?;
            let placed = pair.map(out_of_the_way);
            for (file, placed) in [&self.entrance, &self.exit].into_iter().zip(placed) {
                file.store(placed?, Ordering::Release);
            }
            let flags = libc::O_CLOEXEC | libc::O_NONBLOCK;
            try_sys!(Sysno::pipe2, pair.as_mut_ptr(), flags)?;
            let both = libc::O_RDWR | flags;
            let path = link(pair[0]);
            let bell = try_sys!(
                Sysno::openat,
                libc::AT_FDCWD,
                path.bytes().as_ptr(),
                both,
                0
            );
            pair.into_iter().for_each(close);
            self.bell
                .store(out_of_the_way(bell? as c_int)?, Ordering::Release);
        }
        self.queued.store(0, Ordering::Release);
        Ok(())
    }

    /// Watches a further host file. Under the lock.
    pub fn add(&'static self, target: RemoteFd, mask: u32) -> Result<c_int, Errno> {
        // A thread that ends says so last: until then nothing may be begun in its place.
        let remote = match self.thread.runs() {
            true => RemoteFd(self.remote.load(Ordering::Acquire)),
            false => self.connect()?,
        };
        let client = self.client()?;
        let host = client.watch_add(remote, target, mask)?.descriptor;
        if let Some(known) = self.numbers.guest(host) {
            return Ok(known);
        }
        let entered = self
            .watch()
            .and_then(|guest| match self.numbers.insert(host, guest) {
                true => Ok(guest),
                false => Err(Errno(libc::ENOSPC)),
            });
        entered.inspect_err(|_| {
            let _ = client.watch_remove(remote, host);
        })
    }

    /// Makes the instance on the host, and the thread that reads from it.
    fn connect(&'static self) -> Result<RemoteFd, Errno> {
        let client = session::client()?;
        let opened = client.watch_open(libc::IN_CLOEXEC);
        // This call knows no limit of instances; whoever meets it does without watches.
        let remote = opened.map_err(|errno| match errno {
            Errno(libc::EMFILE) => Errno(libc::ENOSPC),
            errno => errno,
        })?;
        // Those of a session that the host has ended are silent, and their numbers given anew.
        self.numbers.clear();
        self.client
            .store(std::ptr::from_ref(client).cast_mut(), Ordering::Release);
        self.remote.store(remote.fd.0, Ordering::Release);
        self.thread.start(self).inspect_err(|_| {
            let _ = client.close(remote.fd);
            self.remote.store(-1, Ordering::Release);
        })?;
        Ok(remote.fd)
    }

    /// The session of the instance on the host: the process may have another by now.
    pub fn client(&self) -> Result<&'static Client, Errno> {
        // SAFETY: null, or a client that stays where it is as long as this process has not forked.
        unsafe { self.client.load(Ordering::Acquire).as_ref() }.ok_or(Errno(libc::ENOTCONN))
    }

    /// A watch of the kernel's that nothing ever happens to, or the one on the bell.
    fn watch(&self) -> Result<c_int, Errno> {
        let own = self.own.load(Ordering::Relaxed);
        if self.bell_watch.load(Ordering::Acquire) < 0 {
            let bell = self.bell.load(Ordering::Relaxed);
            let watch = watch_open_file(own, bell, RUNG)?;
            self.bell_watch.store(watch, Ordering::Release);
            return Ok(watch);
        }
        // SAFETY: plain system call; the socket is ours.
        unsafe {
            let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
            let socket = try_sys!(Sysno::socket, libc::AF_UNIX, kind, 0)? as c_int;
            // The watch keeps its inode, and no name that could be moved leads to one.
            let watch = watch_open_file(own, socket, libc::IN_MOVE_SELF);
            close(socket);
            watch
        }
    }

    /// Rings the bell: the instance has one event more.
    pub fn ring(&self) {
        let bell = self.bell.load(Ordering::Relaxed);
        let mut byte = 0u8;
        // SAFETY: a live byte. The pipe holds one byte or none, and does not block.
        unsafe {
            if try_sys!(Sysno::read, bell, &raw mut byte, 1) != Ok(1) {
                let _ = try_sys!(Sysno::write, bell, &raw const byte, 1);
            }
        }
    }

    /// Ends a watch of the program's.
    pub fn remove(&self, guest: c_int) -> Option<Result<(), Errno>> {
        let Some(host) = self.numbers.host(guest) else {
            let ended = guest == self.bell_watch.load(Ordering::Acquire);
            return ended.then_some(Err(Errno(libc::EINVAL)));
        };
        let remote = RemoteFd(self.remote.load(Ordering::Acquire));
        let removed = self
            .client()
            .and_then(|client| client.watch_remove(remote, host));
        match removed {
            // A program finds what came before, and the end, when it looks next.
            Ok(_) => self.wait(|| self.numbers.guest(host).is_none() || self.thread.is_stuck()),
            Err(Errno(libc::EINVAL)) => return Some(Err(Errno(libc::EINVAL))),
            Err(_) => {
                self.numbers.remove(host);
                if !self.ended(guest) {
                    queue::put(self, &Event::ended(guest));
                }
            }
        }
        Some(Ok(()))
    }

    /// Has the kernel tell the program, behind all that is queued, that a watch has ended; whether it does. It cannot for
    /// the one on the bell, which stays.
    pub fn ended(&self, guest: c_int) -> bool {
        let own = self.own.load(Ordering::Relaxed);
        // SAFETY: plain system call.
        guest != self.bell_watch.load(Ordering::Acquire)
            && unsafe { try_sys!(Sysno::inotify_rm_watch, own, guest) }.is_ok()
    }

    /// Says that something has changed for [`wait`](Instance::wait).
    pub fn proceed(&self) {
        self.progress.fetch_add(1, Ordering::AcqRel);
        futex_wake(&self.progress, i32::MAX);
    }

    /// Has the thread bring what has happened up to now, as far as there is room for it.
    pub fn catch_up(&self) {
        if !self.thread.runs() {
            return;
        }
        let (start, time) = (Instant::now(), self.thread.ask());
        let is_over = || {
            let thread = &self.thread;
            let is_full = || thread.is_stuck() && queue::holds_any(self);
            thread.has_answered(time) || is_full() || !thread.runs()
        };
        while !is_over() && start.elapsed() < PATIENCE {
            let seen = self.progress.load(Ordering::Acquire);
            if let Ok(client) = self.client() {
                client.interrupt(self.thread.interrupt());
            }
            if !is_over() {
                futex_wait(&self.progress, seen, Some(AGAIN));
            }
        }
    }

    /// Waits for the thread, but not for ever.
    fn wait(&self, done: impl Fn() -> bool) {
        let start = Instant::now();
        loop {
            let seen = self.progress.load(Ordering::Acquire);
            if done() || !self.thread.runs() || start.elapsed() > PATIENCE {
                return;
            }
            futex_wait(&self.progress, seen, Some(PATIENCE));
        }
    }

    /// The program has closed its last descriptor.
    pub fn end(&self) {
        let _locked = LOCK.take();
        self.end_unlocked();
    }

    fn end_unlocked(&self) {
        let start = Instant::now();
        self.thread.stop();
        while self.thread.runs() {
            let seen = self.progress.load(Ordering::Acquire);
            if let Ok(client) = self.client() {
                client.interrupt(self.thread.interrupt());
            }
            if !self.thread.runs() {
                break;
            }
            if start.elapsed() > PATIENCE {
                // The thread still knows our descriptors; the place is lost.
                return;
            }
            futex_wait(&self.progress, seen, Some(AGAIN));
        }
        self.numbers.clear();
        self.bell_watch.store(-1, Ordering::Release);
        self.remote.store(-1, Ordering::Release);
        // The first says whether there is an instance.
        for file in self.files().into_iter().rev() {
            match file.swap(-1, Ordering::AcqRel) {
                -1 => {}
                fd => close(fd),
            }
        }
    }

    /// In a fork child.
    pub fn orphan(&self) {
        self.thread.forget();
        self.numbers.clear();
        self.remote.store(-1, Ordering::Release);
        self.client.store(std::ptr::null_mut(), Ordering::Release);
    }
}

fn close(fd: c_int) {
    // SAFETY: ours, and nobody uses it any more.
    let _ = unsafe { try_sys!(Sysno::close, fd) };
}

/// The name of an open file, NUL-terminated.
fn link(fd: c_int) -> Line<40> {
    let mut path = Line::new();
    let _ = write!(path, "/proc/self/fd/{fd}\0");
    path
}

fn watch_open_file(instance: c_int, fd: c_int, mask: u32) -> Result<c_int, Errno> {
    let path = link(fd);
    // SAFETY: a NUL-terminated path.
    unsafe {
        try_sys!(
            Sysno::inotify_add_watch,
            instance,
            path.bytes().as_ptr(),
            mask
        )
    }
    .map(|watch| watch as c_int)
}
