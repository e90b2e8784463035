//! What a child tells its parent of the program that it is about to run: nothing if it runs, or why it cannot.
//!
//! In memory that both share, since a pipe takes numbers of descriptors, of which a process may have none left. A word of it is a robust
//! futex of the child's: where its owner executes a program or ends, the kernel says so, set_robust_list(2).
#![allow(unsafe_code)]

use crate::real::try_sys;
use hostcall::doorbell::futex_wait;
use hostcall::types::Errno;
use hostcall::wait::Wakeup;
use libc::{c_long, pid_t};
use std::mem::offset_of;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use std::time::Duration;
use syscalls::Sysno;

/// `struct robust_list` of linux/futex.h.
#[repr(C)]
struct Link {
    next: *const Link,
}

/// `struct robust_list_head`: a ring of the futexes that a thread owns.
#[repr(C)]
struct Head {
    ring: Link,
    /// Where each one's word is, as seen from its link.
    offset: c_long,
    pending: *const Link,
}

/// What is shared. Zeros are one that nobody owns yet.
#[repr(C)]
struct Shared {
    head: Head,
    link: Link,
    /// The futex: its owner, and from the kernel that there is none any more.
    owner: AtomicU32,
    /// Why there is no program, or 0.
    reason: AtomicI32,
}

/// After so long without a word the child may have been killed before it could say what is its own.
const PATIENCE: Duration = Duration::from_millis(100);

/// Bits beside the owner.
const OWNER_DIED: u32 = 0x4000_0000;
const WAITERS: u32 = 0x8000_0000;

/// Shared by whoever makes it and its children. Dropped, it is no longer the former's.
pub struct Verdict(*mut Shared);

impl Verdict {
    /// # Errors
    /// `ENOMEM`.
    pub fn new() -> Result<Verdict, Errno> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        let size = size_of::<Shared>();
        // SAFETY: a fresh mapping overlaps nothing.
        let place = unsafe { try_sys!(Sysno::mmap, 0, size, protection, flags, -1isize, 0) }?;
        Ok(Verdict(place as *mut Shared))
    }

    fn shared(&self) -> &Shared {
        // SAFETY: mapped as long as this lives.
        unsafe { &*self.0 }
    }

    /// In the child: has the parent hear of this thread's end, and of its next program.
    pub fn is_mine(&self) {
        // SAFETY: the mapping is there until the program runs, and the parent looks at neither head nor link.
        unsafe {
            let (ring, link) = (&raw const (*self.0).head.ring, &raw const (*self.0).link);
            (*self.0).link = Link { next: ring };
            (*self.0).head = Head {
                ring: Link { next: link },
                offset: (offset_of!(Shared, owner) - offset_of!(Shared, link)) as c_long,
                pending: std::ptr::null(),
            };
            let thread = try_sys!(Sysno::gettid).unwrap_or(0) as u32;
            let owner = match try_sys!(Sysno::set_robust_list, self.0, size_of::<Head>()) {
                Ok(_) => thread | WAITERS,
                // Where a filter of system calls forbids it, nobody waits for what will not be told.
                Err(_) => OWNER_DIED,
            };
            self.shared().owner.store(owner, Ordering::Release);
        }
    }

    /// In the child: why there will be no program.
    pub fn refuse(&self, reason: Errno) {
        self.shared().reason.store(reason.0, Ordering::Release);
    }

    /// In the parent: waits until the child runs its program or has ended.
    ///
    /// # Errors
    /// What the child says.
    pub fn of(&self, child: pid_t) -> Result<(), Errno> {
        let owner = &self.shared().owner;
        loop {
            let seen = owner.load(Ordering::Acquire);
            if seen & OWNER_DIED != 0 {
                break;
            }
            let waited = futex_wait(owner, seen, Some(PATIENCE));
            if waited == Wakeup::TimedOut && has_ended(child) {
                break;
            }
        }
        match self.shared().reason.load(Ordering::Acquire) {
            0 => Ok(()),
            reason => Err(Errno(reason)),
        }
    }
}

impl Drop for Verdict {
    fn drop(&mut self) {
        // SAFETY: the mapping of `new`.
        let _ = unsafe { try_sys!(Sysno::munmap, self.0, size_of::<Shared>()) };
    }
}

/// Whether a child has ended; it stays to be waited for.
fn has_ended(child: pid_t) -> bool {
    let how = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    let mut told = std::mem::MaybeUninit::<libc::siginfo_t>::zeroed();
    // SAFETY: a live structure, of which zeros are one; no usage is asked for.
    unsafe {
        let found = try_sys!(Sysno::waitid, libc::P_PID, child, told.as_mut_ptr(), how, 0);
        found.is_err() || told.assume_init().si_pid() != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the parent hears of a child that does so.
    fn told(act: impl FnOnce(&Verdict)) -> Result<(), Errno> {
        let verdict = Verdict::new().unwrap();
        // SAFETY: the child does what is safe in one of a process with threads, and ends.
        let child = unsafe { libc::fork() };
        if child == 0 {
            act(&verdict);
            // SAFETY: ends the child.
            unsafe { libc::_exit(0) };
        }
        let told = verdict.of(child);
        // SAFETY: no status is asked for.
        let waited = unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
        assert_eq!(waited, child);
        told
    }

    #[test]
    fn a_parent_hears_of_a_program_an_end_and_a_refusal() {
        assert_eq!(told(Verdict::is_mine), Ok(()));
        assert_eq!(
            told(|_| ()),
            Ok(()),
            "one that could not say what is its own"
        );
        let refused = |verdict: &Verdict| {
            verdict.is_mine();
            verdict.refuse(Errno(libc::ENOENT));
        };
        assert_eq!(told(refused), Err(Errno(libc::ENOENT)));
        let (mut ends, arguments) = ([0; 2], [c"cat".as_ptr(), std::ptr::null()]);
        // SAFETY: two live integers.
        let made = unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) };
        assert_eq!(made, 0);
        let [from, to] = ends;
        // It reads until the parent has heard of it.
        let verdict = Verdict::new().unwrap();
        // SAFETY: as above; two live lists of C strings.
        unsafe {
            let child = libc::fork();
            if child == 0 {
                verdict.is_mine();
                libc::dup2(from, 0);
                libc::execv(c"/bin/cat".as_ptr(), arguments.as_ptr());
                libc::_exit(1);
            }
            assert_eq!(verdict.of(child), Ok(()));
            assert_eq!(libc::waitpid(child, std::ptr::null_mut(), libc::WNOHANG), 0);
            libc::close(to);
            libc::close(from);
            assert_eq!(libc::waitpid(child, std::ptr::null_mut(), 0), child);
        }
    }
}
