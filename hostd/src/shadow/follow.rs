//! Following: whoever changes a file of which hostfs has told the guest's kernel is answered when hostfs has acted on that, so
//! that shim and mount show the same at any time.
//!
//! The zygote makes one inotify instance, which all its shadows inherit. One of them, hostfs's, puts its watches there and
//! reads the events. Any other that has changed something looks whether there are events: there are none unless hostfs
//! watches what was changed, which the kernel knows best, and then nothing is waited for. Otherwise the shadow sleeps
//! until hostfs begins another read, by which it says that it has acted on what it was told before.
#![allow(unsafe_code)]

use hostcall::clock::monotonic;
use hostcall::doorbell::{futex_wait, futex_wake};
use hostcall::shm::{sealed_memfd, Mapping};
use hostcall::types::Errno;
use std::os::fd::{AsFd, RawFd};
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, AtomicU8, Ordering};
use std::time::{Duration, Instant};

/// The longest wait for hostfs, whose promise is worth no more to a guest that has stopped it.
const LONGEST: Duration = Duration::from_millis(250);
/// Events are gathered so long where nobody waits, so that a burst costs one look at each file.
const GATHER: Duration = Duration::from_millis(5);
/// How long after a host program has begun all changes may be its. hostfs takes a change for its mount's own for as long after one
/// of those (`OWN` in `hostfs/src/watch.rs`): a change of the program's must not be taken for one that the mount made before. Own
/// ones that are taken for the program's cost the guest what it has cached, so it is no longer than that.
const NEAR: Duration = Duration::from_millis(50);

/// What the shadows of a zygote share, and after it two bytes for each: how many of its lanes are changing something, and how many
/// wait for the follower. They are each shadow's own, for one that is killed takes nothing back. Zeroed memory is the beginning. All
/// orders are the strongest: a look at two words here and at the kernel's queue is only worth something if the others see the same
/// order.
#[derive(Debug)]
#[repr(C)]
struct Page {
    /// 1 + the place of the session that follows, or 0.
    by: AtomicU32,
    /// 1 while it has events that it has not acted on.
    told: AtomicU32,
    /// Counts the times that it had acted on all it was told. Those who wait sleep on it.
    acted: AtomicU32,
    /// Counts the times that one began to wait. The follower sleeps on it while it gathers.
    calls: AtomicU32,
    /// The highest number of a watch.
    last: AtomicI32,
    /// Until when changes may be those of a host program that has begun, by CLOCK_MONOTONIC, nanoseconds.
    near_until: AtomicU64,
}

/// The instance and the memory beside it.
#[derive(Debug)]
pub struct Follow {
    mapping: Mapping,
    slots: usize,
    /// In the memory of each process, and so its own number.
    instance: AtomicI32,
}

impl Follow {
    /// For so many sessions.
    ///
    /// # Errors
    /// The host's user has no inotify instance left, or there is no memory.
    pub fn create(slots: u32) -> Result<Follow, Errno> {
        let slots = slots as usize;
        let size = (size_of::<Page>() + 2 * slots).next_multiple_of(4096);
        let memory = sealed_memfd(c"hostcall-follow", size)?;
        let mapping = Mapping::new(memory.as_fd(), size)?;
        // SAFETY: plain system call.
        let made = unsafe { libc::inotify_init1(libc::IN_NONBLOCK | libc::IN_CLOEXEC) };
        let instance = AtomicI32::new(Errno::result(made.into())? as RawFd);
        Ok(Follow {
            mapping,
            slots,
            instance,
        })
    }

    /// Moves the instance above the numbers of the guest. For a new shadow.
    ///
    /// # Errors
    /// There is no such number.
    pub fn move_above(&self, most: u64) -> Result<(), Errno> {
        let old = self.instance();
        // SAFETY: plain system calls; the old number is this object's.
        unsafe {
            let moved = libc::fcntl(old, libc::F_DUPFD_CLOEXEC, most as i32);
            self.instance
                .store(Errno::result(moved.into())? as RawFd, Ordering::Relaxed);
            libc::close(old);
        }
        Ok(())
    }

    /// The instance's number in this process.
    pub fn instance(&self) -> RawFd {
        self.instance.load(Ordering::Relaxed)
    }

    fn page(&self) -> &Page {
        // SAFETY: the mapping has at least a page's bytes, is aligned to one, and `Page` is made of atomics.
        unsafe { self.mapping.base().cast::<Page>().as_ref() }
    }

    /// How many lanes of each session are changing something, and how many of them wait for the follower.
    fn lanes(&self) -> (&[AtomicU8], &[AtomicU8]) {
        // SAFETY: twice so many bytes lie behind the page by `create`; atomics.
        let all = unsafe {
            let first = self.mapping.base().add(size_of::<Page>());
            std::slice::from_raw_parts(first.cast::<AtomicU8>().as_ptr(), 2 * self.slots)
        };
        all.split_at(self.slots)
    }

    /// Whether somebody waits for the follower.
    fn is_awaited(&self) -> bool {
        any(self.lanes().1)
    }

    /// A session is to follow; `EBUSY` if another does. Watches and events of one that has ended are cleared away.
    pub fn begin(&self, slot: u32) -> Result<(), Errno> {
        let (order, mine) = (Ordering::SeqCst, slot + 1);
        let page = self.page();
        let taken = page.by.compare_exchange(0, mine, order, order);
        taken.map_err(|_| Errno(libc::EBUSY))?;
        self.clear();
        Ok(())
    }

    fn clear(&self) {
        let instance = self.instance();
        for watch in 1..=self.page().last.swap(0, Ordering::SeqCst) {
            // SAFETY: plain system call; most of these numbers have ended.
            unsafe { libc::inotify_rm_watch(instance, watch) };
        }
        let mut room = [0u8; 4096];
        // SAFETY: a live buffer and its length. The instance does not block.
        while unsafe { libc::read(instance, room.as_mut_ptr().cast(), room.len()) } > 0 {}
    }

    /// The follower has made a watch.
    pub fn watched(&self, descriptor: i32) {
        self.page().last.fetch_max(descriptor, Ordering::SeqCst);
    }

    /// The follower closes its instance.
    pub fn end(&self, slot: u32) {
        let (order, page) = (Ordering::SeqCst, self.page());
        if page.by.load(order) == slot + 1 {
            // No process's end ends these watches: the instance is everybody's.
            self.clear();
            page.by.store(0, order);
            self.acted();
        }
    }

    /// A session has ended: nobody is to wait for it, nor for what it was doing.
    pub fn ended(&self, slot: u32) {
        let (changing, waiting) = self.lanes();
        for lanes in [changing, waiting] {
            if let Some(lanes) = lanes.get(slot as usize) {
                lanes.store(0, Ordering::SeqCst);
            }
        }
        self.end(slot);
    }

    /// The follower has acted on all that it was told.
    pub fn acted(&self) {
        let page = self.page();
        page.told.store(0, Ordering::SeqCst);
        page.acted.fetch_add(1, Ordering::SeqCst);
        if self.is_awaited() {
            futex_wake(&page.acted, i32::MAX);
        }
    }

    /// Waits for events and for more of them, until somebody waits for the follower, and has it told.
    ///
    /// # Errors
    /// `EINTR`, as poll(2).
    pub fn gather(&self) -> Result<(), Errno> {
        self.poll(-1)?;
        let page = self.page();
        let calls = page.calls.load(Ordering::SeqCst);
        // After that: who begins to wait behind this look has changed the count.
        if !self.is_awaited() {
            futex_wait(&page.calls, calls, Some(GATHER));
        }
        page.told.store(1, Ordering::SeqCst);
        Ok(())
    }

    /// A host program begins, whose changes the guest is to see when it hears of its end.
    pub fn program_begins(&self) {
        let until = (monotonic() + NEAR).as_nanos() as u64;
        self.page().near_until.fetch_max(until, Ordering::SeqCst);
    }

    /// Whether what the follower was told last may be the doing of the guest's other sessions, which are not answered yet, or that of a
    /// host program that has just begun.
    pub fn is_near(&self) -> bool {
        any(self.lanes().0) || {
            let near_until = self.page().near_until.load(Ordering::SeqCst);
            monotonic() < Duration::from_nanos(near_until)
        }
    }

    fn poll(&self, timeout: i32) -> Result<bool, Errno> {
        let mut poll = libc::pollfd {
            fd: self.instance(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one live structure.
        Errno::result(unsafe { libc::poll(&mut poll, 1, timeout) }.into()).map(|ready| ready > 0)
    }

    /// A session is about to change something; the change is complete when the returned value is dropped.
    pub fn change(&self, slot: u32) -> Option<Change<'_>> {
        let by = self.page().by.load(Ordering::SeqCst);
        let (changing, waiting) = self.lanes();
        let lanes = changing.get(slot as usize)?;
        let waiting = waiting.get(slot as usize)?;
        if by == 0 || by == slot + 1 {
            return None;
        }
        lanes.fetch_add(1, Ordering::SeqCst);
        Some(Change {
            follow: self,
            lanes,
            waiting,
        })
    }

    /// Whether there is nothing that the follower has not acted on. In this order: it is told before the queue is emptied.
    fn is_quiet(&self) -> bool {
        !self.poll(0).unwrap_or(true) && self.page().told.load(Ordering::SeqCst) == 0
    }

    /// Waits until the follower has acted on all that there is now. It may be in the middle of what it was told before;
    /// then it is told the rest.
    fn settle(&self, waiting: &AtomicU8) {
        if self.is_quiet() {
            return;
        }
        let page = self.page();
        let (start, first) = (Instant::now(), page.acted.load(Ordering::SeqCst));
        waiting.fetch_add(1, Ordering::SeqCst);
        page.calls.fetch_add(1, Ordering::SeqCst);
        futex_wake(&page.calls, 1);
        loop {
            let acted = page.acted.load(Ordering::SeqCst);
            let left = LONGEST.saturating_sub(start.elapsed());
            let followed = page.by.load(Ordering::SeqCst) != 0;
            if acted.wrapping_sub(first) >= 2 || !followed || left.is_zero() || self.is_quiet() {
                break;
            }
            futex_wait(&page.acted, acted, Some(left));
        }
        waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

fn any(lanes: &[AtomicU8]) -> bool {
    lanes.iter().any(|lanes| lanes.load(Ordering::SeqCst) != 0)
}

/// A change that is being made.
#[derive(Debug)]
pub struct Change<'f> {
    follow: &'f Follow,
    lanes: &'f AtomicU8,
    waiting: &'f AtomicU8,
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        self.follow.settle(self.waiting);
        self.lanes.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CString;
    use std::os::unix::ffi::OsStrExt;
    use std::path::{Path, PathBuf};

    /// A directory that is removed with all it holds.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Scratch {
            let name = format!("hostcall-follow-{}-{name}", std::process::id());
            let path = std::env::temp_dir().join(name);
            std::fs::create_dir(&path).unwrap();
            Scratch(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn watching(follow: &Follow, directory: &Path) {
        let path = CString::new(directory.as_os_str().as_bytes()).unwrap();
        // SAFETY: a NUL-terminated path.
        let watch =
            unsafe { libc::inotify_add_watch(follow.instance(), path.as_ptr(), libc::IN_CREATE) };
        assert!(watch > 0);
        follow.watched(watch);
    }

    #[test]
    fn a_change_waits_for_the_follower_where_it_watches() {
        let follow = Follow::create(4).unwrap();
        let directory = Scratch::new("waits");
        assert!(follow.change(1).is_none(), "nobody follows");
        follow.begin(0).unwrap();
        assert_eq!(follow.begin(2), Err(Errno(libc::EBUSY)));
        watching(&follow, &directory.0);
        assert!(follow.change(0).is_none(), "its own");
        drop(follow.change(1).expect("a change that nobody watches"));
        let seen = AtomicU32::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                follow.gather().unwrap();
                assert!(follow.is_near());
                follow.clear();
                std::thread::sleep(Duration::from_millis(20));
                seen.store(1, Ordering::SeqCst);
                follow.acted();
            });
            let change = follow.change(1).unwrap();
            std::fs::write(directory.0.join("f"), "").unwrap();
            drop(change);
            assert_eq!(seen.load(Ordering::SeqCst), 1);
        });
        assert!(!follow.is_near());
    }

    #[test]
    fn a_session_that_is_killed_waits_no_more() {
        let follow = Follow::create(4).unwrap();
        let directory = Scratch::new("killed");
        follow.begin(0).unwrap();
        watching(&follow, &directory.0);
        std::fs::write(directory.0.join("f"), "").unwrap();
        // SAFETY: the child makes system calls only, and does not live for ever.
        let child = unsafe { libc::fork() };
        if child == 0 {
            (0..100).for_each(|_| drop(follow.change(1)));
            // SAFETY: a plain system call.
            unsafe { libc::_exit(0) };
        }
        assert!(child > 0);
        while !follow.is_awaited() {
            std::thread::yield_now();
        }
        // SAFETY: plain system calls; the child is ours.
        unsafe {
            libc::kill(child, libc::SIGKILL);
            assert_eq!(libc::waitpid(child, std::ptr::null_mut(), 0), child);
        }
        follow.ended(1);
        assert!(!follow.is_awaited() && !follow.is_near());
    }

    #[test]
    fn a_host_program_is_near_for_a_moment_only() {
        let follow = Follow::create(4).unwrap();
        assert!(!follow.is_near());
        // The machine may be busy for longer than that.
        let near = |_| {
            follow.program_begins();
            follow.is_near()
        };
        assert!((0..100).any(near));
        std::thread::sleep(NEAR);
        assert!(!follow.is_near());
    }

    #[test]
    fn nobody_waits_for_a_follower_that_has_ended() {
        let follow = Follow::create(4).unwrap();
        let directory = Scratch::new("ended");
        follow.begin(0).unwrap();
        watching(&follow, &directory.0);
        let change = follow.change(1).unwrap();
        std::fs::write(directory.0.join("f"), "").unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| drop(change));
            std::thread::sleep(Duration::from_millis(20));
            follow.ended(0);
        });
        // The next one is told nothing of what the last one watched.
        follow.begin(3).unwrap();
        assert!(follow.is_quiet());
        std::fs::write(directory.0.join("g"), "").unwrap();
        assert!(follow.is_quiet());
    }
}
