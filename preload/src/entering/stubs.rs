//! Stubs: a way into the kernel for each instruction that was one. They are executable memory of their own, made once.
#![allow(unsafe_code)]

use super::sites::{Site, SYSCALL};
use crate::real::try_sys;
use std::slice;
use std::sync::atomic::{AtomicUsize, Ordering};
use syscalls::Sysno;

/// Enters the kernel as the instruction would have that it stands for, and goes on behind that.
#[repr(C)]
pub struct Stub {
    code: [u8; 8],
    behind: usize,
}

/// `syscall`, and `jmp [rip]`: to the address that follows.
const CODE: [u8; 8] = [SYSCALL[0], SYSCALL[1], 0xff, 0x25, 0, 0, 0, 0];

/// As many as there can be. Of their memory only what is written to is taken.
const MOST: usize = 1 << 16;

/// Where they are, in ascending order of what they stand for, and how many.
static FIRST: AtomicUsize = AtomicUsize::new(0);
static COUNT: AtomicUsize = AtomicUsize::new(0);

impl Stub {
    /// Where the program has the instruction.
    pub fn entry(&self) -> usize {
        self.behind - SYSCALL.len()
    }

    /// Where the program goes on.
    pub fn behind(&self) -> usize {
        self.behind
    }

    /// Where the stub begins.
    pub fn enter(&self) -> usize {
        self.code.as_ptr().addr()
    }
}

/// Makes one for each site. Whether there are any.
pub fn make(sites: impl Iterator<Item = Site>) -> bool {
    let mut sites = sites.peekable();
    sites.peek().is_some() && fill(sites).is_some()
}

fn fill(sites: impl Iterator<Item = Site>) -> Option<()> {
    let size = MOST * size_of::<Stub>();
    let written = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a fresh mapping, which is never unmapped and not written to once it is known to others.
    unsafe {
        let first = try_sys!(Sysno::mmap, 0, size, written, flags, -1isize, 0).ok()? as *mut Stub;
        let mut count = 0;
        for site in sites.take(MOST) {
            let behind = site.address + SYSCALL.len();
            first.add(count).write(Stub { code: CODE, behind });
            count += 1;
        }
        let runs = libc::PROT_READ | libc::PROT_EXEC;
        try_sys!(Sysno::mprotect, first, size, runs).ok()?;
        COUNT.store(count, Ordering::Relaxed);
        // Whoever finds them finds their number.
        FIRST.store(first.addr(), Ordering::Release);
    }
    Some(())
}

/// All of them.
pub fn all() -> &'static [Stub] {
    let first = FIRST.load(Ordering::Acquire) as *const Stub;
    match first.is_null() {
        true => &[],
        // SAFETY: as many have been written there, and stay.
        false => unsafe { slice::from_raw_parts(first, COUNT.load(Ordering::Relaxed)) },
    }
}

/// The one for the instruction at an address.
pub fn of(entry: usize) -> Option<&'static Stub> {
    let stubs = all();
    let found = stubs.binary_search_by_key(&entry, Stub::entry).ok()?;
    Some(&stubs[found])
}
