//! Bells inside a guest that has its own kernel: a word for each lane, in a file of the guest, on which its threads
//! sleep.
//!
//! The host cannot wake a thread of another kernel, and a futex wait on the device is `EFAULT`. So the host names the
//! lane on the serial line, and one process of the guest, the *resident*, reads the line and rings that lane's word.
//! Without a resident, or when it has died, sleepers look by themselves: nobody ever waits for a ring alone.
#![allow(unsafe_code)]

use super::device::LINE;
use crate::clock;
use crate::doorbell::{futex_wake, sleep_as_a_call};
use crate::region::{Region, MOST_LANES};
use crate::shm::Mapping;
use crate::types::Errno;
use crate::wait::{Wakeup, SLEEPING};
use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{fence, AtomicPtr, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// The file. The resident holds an open-file-description lock on its first byte as long as it lives.
pub const PATH: &CStr = c"/run/hostcall/bells";

/// Bytes of the file.
const SIZE: usize = 4096;
/// Every user of the guest sleeps on the bells. None but the resident's may write: to cut the file off would end all sleepers by
/// SIGBUS.
const MODE: libc::mode_t = 0o644;
const OTHERS_WRITE: libc::mode_t = 0o022;
const _: () = assert!(MOST_LANES as usize * size_of::<AtomicU32>() <= SIZE);

/// Sleeps without a look at the lane: what a lost ring costs. They grow, so that hundreds who wait for long cost nothing.
const LOOK: Duration = Duration::from_millis(20);
/// The longest of them.
const LONGEST_LOOK: Duration = Duration::from_millis(320);
/// Rings that must have been lost in a row before the resident is suspected.
const SUSPICION: u32 = 2;
/// How long sleepers do without a resident that they found dead, or that they did not find, in milliseconds.
const REST: u64 = 1000;

/// The bells of this process's guest, mapped at the first need and kept: a base address, or null.
static WORDS: AtomicPtr<AtomicU32> = AtomicPtr::new(std::ptr::null_mut());
/// Lost rings in a row.
static LOST: AtomicU32 = AtomicU32::new(0);
/// When to look for a resident again, by the coarse monotonic clock, milliseconds.
static AGAIN: AtomicU64 = AtomicU64::new(0);

/// Sleeps until the lane's bell rings because the host has taken back `SLEEPING` from `word`; at most `limit`.
/// `wanted` tells the host that its ring will be heard; `restarts` is as for [`sleep_as_a_call`]. `None` if there is nobody to ring: look by yourself.
pub fn await_ring(
    word: &AtomicU32,
    wanted: &AtomicU32,
    lane: u32,
    limit: Option<Duration>,
    restarts: bool,
) -> Option<Wakeup> {
    let bell = bell(lane)?;
    wanted.store(1, Ordering::Relaxed);
    // [B1] Orders the wish before the look at the word; pairs with [B2] of whoever rings for the host: it takes SLEEPING
    // back before it looks for the wish. So the look here sees that, or the look there sees the wish.
    fence(Ordering::SeqCst);
    let (mut slept, mut look) = (Duration::ZERO, LOOK);
    let woken = loop {
        let seen = bell.load(Ordering::Acquire);
        // After `seen`: a ring for a change that this look misses changes the bell's word afterwards.
        if word.load(Ordering::Acquire) != SLEEPING {
            break Wakeup::Rung;
        }
        let left = limit.map_or(look, |limit| limit.saturating_sub(slept));
        if left.is_zero() {
            break Wakeup::TimedOut;
        }
        let nap = left.min(look);
        match sleep_as_a_call(bell, seen, Some(nap), restarts) {
            Wakeup::Interrupted => break Wakeup::Interrupted,
            Wakeup::Rung => LOST.store(0, Ordering::Relaxed),
            Wakeup::TimedOut => {
                slept += nap;
                look = (look * 2).min(LONGEST_LOOK);
                if word.load(Ordering::Acquire) != SLEEPING {
                    suspect();
                    break Wakeup::Rung;
                }
            }
        }
    };
    wanted.store(0, Ordering::Relaxed);
    Some(woken)
}

/// Wakes a thread of this process that sleeps on its bell. One that is just about to sleep does so for one nap, of
/// [`LONGEST_LOOK`] at most.
pub fn ring(lane: u32) {
    let words = WORDS.load(Ordering::Acquire);
    if !words.is_null() && lane < MOST_LANES {
        // SAFETY: as in `bell`.
        let bell = unsafe { &*words.add(lane as usize) };
        futex_wake(bell, i32::MAX);
    }
}

/// The word of a lane, if somebody rings it.
fn bell(lane: u32) -> Option<&'static AtomicU32> {
    let now = now();
    if now < AGAIN.load(Ordering::Relaxed) || lane >= MOST_LANES {
        return None;
    }
    let mut words = WORDS.load(Ordering::Acquire);
    if words.is_null() {
        match map_living() {
            Some(mapping) => {
                let fresh = mapping.base().as_ptr().cast();
                // Kept for the life of the process; of two threads that map at once one keeps a page too many.
                std::mem::forget(mapping);
                WORDS.store(fresh, Ordering::Release);
                words = fresh;
            }
            None => {
                AGAIN.store(now + REST, Ordering::Relaxed);
                return None;
            }
        }
    }
    // SAFETY: mapped for good, aligned to a page, with room for every lane, and never looked at but as atomics, nor written.
    Some(unsafe { &*words.add(lane as usize) })
}

/// A ring has not come. After some, the resident's lock tells whether it lives.
fn suspect() {
    if LOST.fetch_add(1, Ordering::Relaxed) + 1 >= SUSPICION {
        LOST.store(0, Ordering::Relaxed);
        if map_living().is_none() {
            AGAIN.store(now() + REST, Ordering::Relaxed);
        }
    }
}

fn now() -> u64 {
    clock::coarse().as_millis() as u64
}

fn first_byte(kind: i32) -> libc::flock {
    // SAFETY: flock is valid when zeroed.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    (lock.l_type, lock.l_whence, lock.l_len) = (kind as i16, libc::SEEK_SET as i16, 1);
    lock
}

fn open(flags: i32) -> Result<OwnedFd, Errno> {
    let flags = flags | libc::O_CLOEXEC | libc::O_NOFOLLOW;
    // SAFETY: a NUL-terminated path; the descriptor that comes back is ours.
    unsafe {
        let fd = Errno::result(libc::open(PATH.as_ptr(), flags, MODE).into())?;
        Ok(OwnedFd::from_raw_fd(fd as i32))
    }
}

/// Makes the resident's file what sleepers take it for, and locks it. The lock comes last: whoever sees it maps the file, and
/// a word behind its end would be SIGBUS.
fn prepare(file: &OwnedFd) -> Result<(), Errno> {
    let lock = first_byte(libc::F_WRLCK);
    // SAFETY: plain system calls, and a live lock. The mode is set again, for the umask has taken from it. The bells of another
    // resident stay as they are.
    unsafe {
        let fd = file.as_raw_fd();
        Errno::result(libc::fchmod(fd, MODE).into())?;
        Errno::result(libc::ftruncate(fd, SIZE as i64).into())?;
        Errno::result(libc::fcntl(fd, libc::F_OFD_SETLK, &lock).into())?;
    }
    Ok(())
}

/// The bells, to be looked at and slept on, if a resident holds its lock on them.
fn map_living() -> Option<Mapping> {
    living(&open(libc::O_RDONLY).ok()?)
}

fn living(file: &OwnedFd) -> Option<Mapping> {
    // With which the lock of a resident is at odds, and not what others who may only read can lock.
    let mut lock = first_byte(libc::F_RDLCK);
    // SAFETY: a live lock, which the call fills in.
    let asked = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_GETLK, &mut lock) };
    let held = asked == 0 && lock.l_type != libc::F_UNLCK as i16;
    // SAFETY: stat is valid when zeroed, and lives through the call; the other is a plain system call.
    let (stat, own) = unsafe {
        let mut stat: libc::stat = std::mem::zeroed();
        libc::fstat(file.as_raw_fd(), &mut stat);
        (stat, libc::geteuid())
    };
    let root = owner_of_root().unwrap_or(0);
    let trusted = [0, own, root].contains(&stat.st_uid) && stat.st_mode & OTHERS_WRITE == 0;
    let whole = stat.st_size >= SIZE as i64;
    (held && trusted && whole).then(|| Mapping::read_only(file.as_fd(), SIZE).ok())?
}

/// Whose `/` is. In a user namespace without the guest's root its files show the user that stands for all who are missing there, and
/// so does `/`. Whoever owns `/` can put any file in the place of the bells, so to trust them makes nobody mightier. Others who
/// are missing show the same user, but have no way to the place: its directories are root's.
fn owner_of_root() -> Option<libc::uid_t> {
    // SAFETY: stat is valid when zeroed, and lives through the call; a NUL-terminated path.
    unsafe {
        let mut stat: libc::stat = std::mem::zeroed();
        (libc::stat(c"/".as_ptr(), &mut stat) == 0).then_some(stat.st_uid)
    }
}

/// The resident's part: it owns the bells and the line's other direction.
#[derive(Debug)]
pub struct Resident {
    /// Keeps the lock.
    _file: OwnedFd,
    words: Mapping,
    line: OwnedFd,
}

impl Resident {
    /// Becomes the guest's resident; `EAGAIN` if it has one.
    ///
    /// # Errors
    /// open(2) of the bells or of the line, mmap(2).
    pub fn new(region: &Region) -> Result<Resident, Errno> {
        let file = open(libc::O_RDWR | libc::O_CREAT)?;
        prepare(&file)?;
        let words = Mapping::new(file.as_fd(), SIZE)?;
        let flags = libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NOCTTY | libc::O_NONBLOCK;
        // SAFETY: a NUL-terminated path; the descriptor that comes back is ours.
        let line = unsafe {
            let fd = Errno::result(libc::open(LINE.as_ptr(), flags).into())?;
            OwnedFd::from_raw_fd(fd as i32)
        };
        let resident = Resident {
            _file: file,
            words,
            line,
        };
        // What an earlier resident left: its count is lost, so the line is taken for empty once it is.
        while resident.read()?.1 > 0 {}
        let header = region.header();
        let rung = header.rung.load(Ordering::Acquire);
        header.heard.store(rung, Ordering::Release);
        Ok(resident)
    }

    /// Waits for rings, at most `limit`, and passes them on.
    ///
    /// # Errors
    /// poll(2), read(2): the line is gone, and with it the host.
    pub fn attend(&self, region: &Region, limit: Duration) -> Result<(), Errno> {
        let mut poll = libc::pollfd {
            fd: self.line.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one live pollfd.
        let ready = unsafe { libc::poll(&mut poll, 1, limit.as_millis() as i32) };
        match Errno::result(ready.into()) {
            Ok(0) | Err(Errno(libc::EINTR)) => return Ok(()),
            ready => ready?,
        };
        let (lanes, len) = self.read()?;
        // Before anybody is woken, so that the host knows the line's room.
        region
            .header()
            .heard
            .fetch_add(len as u32, Ordering::AcqRel);
        for lane in &lanes[..len] {
            if u32::from(*lane) >= MOST_LANES {
                continue;
            }
            // SAFETY: mapped while `self` lives, with room for every lane, and never looked at but as atomics.
            let word = unsafe {
                self.words
                    .base()
                    .cast::<AtomicU32>()
                    .add((*lane).into())
                    .as_ref()
            };
            word.fetch_add(1, Ordering::AcqRel);
            futex_wake(word, i32::MAX);
        }
        Ok(())
    }

    /// The bytes on the line and how many there are.
    fn read(&self) -> Result<([u8; 256], usize), Errno> {
        let mut bytes = [0u8; 256];
        // SAFETY: a live buffer and its length.
        let len = unsafe { libc::read(self.line.as_raw_fd(), bytes.as_mut_ptr().cast(), 256) };
        match Errno::result(len as i64) {
            Ok(len) => Ok((bytes, len as usize)),
            Err(Errno(libc::EAGAIN | libc::EINTR)) => Ok((bytes, 0)),
            Err(errno) => Err(errno),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bells() -> (OwnedFd, OwnedFd) {
        // SAFETY: a NUL-terminated name; the descriptor that comes back is ours.
        let resident = unsafe {
            let fd = libc::memfd_create(c"bells".as_ptr(), libc::MFD_CLOEXEC);
            OwnedFd::from_raw_fd(Errno::result(fd.into()).unwrap() as i32)
        };
        let path = format!("/proc/self/fd/{}", resident.as_raw_fd());
        let sleeper = std::fs::File::open(path).unwrap();
        (resident, sleeper.into())
    }

    #[test]
    fn bells_that_are_found_can_be_rung() {
        let (resident, sleeper) = bells();
        assert!(living(&sleeper).is_none());
        prepare(&resident).unwrap();
        let mapping = living(&sleeper).unwrap();
        // SAFETY: a mapped page of words.
        let word = unsafe { mapping.base().cast::<AtomicU32>().as_ref() };
        assert_eq!(word.load(Ordering::Relaxed), 0);
        drop(resident);
        assert!(living(&sleeper).is_none());
    }

    /// As every user of a guest may read them.
    #[test]
    fn who_only_reads_bells_sleeps_on_them_and_feigns_none() {
        let (resident, sleeper) = bells();
        let lock = first_byte(libc::F_RDLCK);
        // SAFETY: a live lock.
        let locked = unsafe { libc::fcntl(sleeper.as_raw_fd(), libc::F_OFD_SETLK, &lock) };
        assert_eq!(locked, 0);
        // SAFETY: a plain system call.
        unsafe { libc::fchmod(resident.as_raw_fd(), MODE) };
        assert!(
            living(&sleeper).is_none(),
            "a reader's lock is no resident's"
        );
        let lock = first_byte(libc::F_UNLCK);
        // SAFETY: a live lock.
        unsafe { libc::fcntl(sleeper.as_raw_fd(), libc::F_OFD_SETLK, &lock) };
        prepare(&resident).unwrap();
        let heard = living(&sleeper).unwrap();
        let rung = Mapping::new(resident.as_fd(), SIZE).unwrap();
        // SAFETY: mapped pages of words, one of them never written.
        let [heard, rung] =
            [&heard, &rung].map(|mapping| unsafe { mapping.base().cast::<AtomicU32>().as_ref() });
        let lost = Duration::from_secs(60);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(5));
                rung.store(1, Ordering::Release);
                futex_wake(rung, 1);
            });
            while heard.load(Ordering::Acquire) == 0 {
                assert_ne!(
                    sleep_as_a_call(heard, 0, Some(lost), true),
                    Wakeup::TimedOut
                );
            }
        });
    }

    /// Who could cut them off could end whoever sleeps on them.
    #[test]
    fn bells_that_others_may_write_are_none() {
        let (resident, sleeper) = bells();
        prepare(&resident).unwrap();
        for (mode, trusted) in [(0o644, true), (0o646, false), (0o664, false), (MODE, true)] {
            // SAFETY: a plain system call.
            assert_eq!(unsafe { libc::fchmod(resident.as_raw_fd(), mode) }, 0);
            assert_eq!(living(&sleeper).is_some(), trusted, "{mode:o}");
        }
    }

    /// There the guest's root is not known by its number. Needs to be root, to whom the bells belong then.
    #[test]
    fn who_has_a_user_namespace_sleeps_on_the_bells_of_root() {
        // SAFETY: a plain system call.
        if unsafe { libc::geteuid() } != 0 || owner_of_root() != Some(0) {
            return eprintln!("skipped: needs root");
        }
        const USER: libc::uid_t = 12345;
        const REFUSED: i32 = 77;
        let (resident, sleeper) = bells();
        prepare(&resident).unwrap();
        // SAFETY: plain system calls; the child has one thread and ends here.
        let (child, status) = unsafe {
            let child = libc::fork();
            if child == 0 {
                let alone = libc::setresuid(USER, USER, USER) == 0
                    && libc::unshare(libc::CLONE_NEWUSER) == 0
                    && libc::prctl(libc::PR_SET_DUMPABLE, 1) == 0
                    && std::fs::write("/proc/self/uid_map", format!("0 {USER} 1")).is_ok();
                libc::_exit(match alone {
                    true => living(&sleeper).is_none().into(),
                    false => REFUSED,
                });
            }
            let mut status = -1;
            libc::waitpid(child, &mut status, 0);
            (child, status)
        };
        assert!(child > 0 && libc::WIFEXITED(status), "{status}");
        match libc::WEXITSTATUS(status) {
            REFUSED => eprintln!("skipped: user namespaces are refused here"),
            untrusted => assert_eq!(untrusted, 0),
        }
    }

    /// A word behind the end of the file would be SIGBUS.
    #[test]
    fn bells_that_are_cut_off_are_none() {
        let (resident, sleeper) = bells();
        prepare(&resident).unwrap();
        for len in [SIZE as i64 - 1, 1, 0] {
            // SAFETY: plain system calls.
            assert_eq!(unsafe { libc::ftruncate(resident.as_raw_fd(), len) }, 0);
            assert!(living(&sleeper).is_none(), "{len}");
        }
    }
}
