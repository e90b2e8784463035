//! inotify(7) for host files.
//!
//! A program's inotify descriptor stays the kernel's own, so that poll(2), epoll(7), dup(2) and fork(2) are right by
//! themselves. To an instance that watches host files belong an instance on the host, a thread that reads from it (the
//! [`pump`]), a *queue* (a pair of sockets) into which the thread puts each event of the host as one packet, and a *bell* (a
//! pipe), which the instance itself watches: the thread rings it after each packet. So the instance's own queue holds one
//! event of the bell for each of the host's, in its place among the others, and whoever reads takes the bell's events for
//! what lies in the queue ([`read`]).
//!
//! **Numbers.** Each watch on a host file is one of the kernel too, on an inode that nothing ever happens to. So its
//! descriptor is the next one, as programs have it that count them, cannot be met by another's, and ends with an
//! `IN_IGNORED` of the kernel's own, behind all events before it. The first such inode is the bell.
//!
//! **Fork.** A child shares the instance, the queue and the bell with its parent, and reads what the parent's thread puts
//! there as long as the parent lives; what it begins to watch itself, a thread of its own reports. An image after execve(2)
//! has the kernel's instance only.

mod instance;
mod numbers;
mod pump;
mod queue;
mod read;

use crate::fds::MOST;
use hostcall::types::Errno;
use instance::Instance;
use libc::c_int;
pub use read::{read, read_vectors, unread};
use std::sync::atomic::{AtomicU32, AtomicU8, Ordering};

/// Instances that watch host files at a time; the host grants a process no more.
const INSTANCES: usize = 4;

static ALL: [Instance; INSTANCES] = [const { Instance::new() }; INSTANCES];
/// By descriptor: 0, or the instance's place and one.
static TABLE: [AtomicU8; MOST] = [const { AtomicU8::new(0) }; MOST];
/// Descriptors of such instances.
static COUNT: AtomicU32 = AtomicU32::new(0);

/// The instance behind a descriptor, if it watches host files. One load where there is none in the process.
#[inline]
fn of(fd: c_int) -> Option<&'static Instance> {
    if !any() {
        return None;
    }
    let place = TABLE.get(fd as u32 as usize)?.load(Ordering::Acquire);
    ALL.get(usize::from(place).checked_sub(1)?)
}

/// Whether the process has such instances. One load.
#[inline]
pub fn any() -> bool {
    COUNT.load(Ordering::Acquire) != 0
}

/// Whether a descriptor is such an instance.
#[inline]
pub fn is(fd: c_int) -> bool {
    of(fd).is_some()
}

fn enter(fd: c_int, instance: &'static Instance) {
    let place = ALL.iter().position(|one| std::ptr::eq(one, instance));
    let (Some(place), Some(slot)) = (place, TABLE.get(fd as u32 as usize)) else {
        return;
    };
    instance.descriptors.fetch_add(1, Ordering::AcqRel);
    COUNT.fetch_add(1, Ordering::AcqRel);
    slot.store(place as u8 + 1, Ordering::Release);
}

/// To be called with a descriptor and its duplicate, which is handed through.
#[inline]
pub fn duplicated(old: c_int, new: c_int) -> c_int {
    if let (Some(instance), true) = (of(old), new >= 0) {
        enter(new, instance);
    }
    new
}

/// To be called when a descriptor is closed by whatever way, or is given another file. With the last one of an instance
/// ends what is behind it. One load where there is none in the process.
#[inline]
pub fn closed(fd: c_int) {
    if any() {
        close(fd);
    }
}

#[cold]
fn close(fd: c_int) {
    let Some(instance) = of(fd) else {
        return;
    };
    if TABLE[fd as usize].swap(0, Ordering::AcqRel) == 0 {
        return;
    }
    COUNT.fetch_sub(1, Ordering::AcqRel);
    if instance.descriptors.fetch_sub(1, Ordering::AcqRel) == 1 {
        instance.end();
    }
}

/// [`closed`] for all descriptors of a range, ends included.
pub fn closed_between(first: c_int, last: c_int) {
    if any() {
        (first.max(0)..=last.min(MOST as c_int - 1)).for_each(close);
    }
}

/// Whether a descriptor belongs to the machinery, and not to the program.
pub fn owns(fd: c_int) -> bool {
    any() && ALL.iter().any(|instance| instance.owns(fd))
}

/// In a fork child, which has no threads but its own and no instance on the host.
pub fn after_fork() {
    instance::LOCK.reset();
    if any() {
        ALL.iter().for_each(Instance::orphan);
    }
}

/// Watches an open file of the host, inotify_add_watch(2).
///
/// # Errors
/// Those of inotify_add_watch(2); `ENOSPC` also where the host has no instance left.
pub fn add(fd: c_int, target: hostcall::types::RemoteFd, mask: u32) -> Result<c_int, Errno> {
    let _locked = instance::LOCK.take();
    match of(fd) {
        Some(instance) => instance.add(target, mask),
        None => {
            if fd as u32 as usize >= MOST {
                return Err(Errno(libc::ENOSPC));
            }
            let free = ALL.iter().find(|instance| instance.is_free());
            let instance = free.ok_or(Errno(libc::ENOSPC))?;
            let watch = instance.begin(fd, target, mask)?;
            enter(fd, instance);
            Ok(watch)
        }
    }
}

/// Ends a watch, inotify_rm_watch(2); `None` if it is the kernel's to end.
pub fn remove(fd: c_int, watch: c_int) -> Option<Result<(), Errno>> {
    of(fd)?.remove(watch)
}
