//! Stubs: a way into the kernel for each instruction that was one. They are executable memory of their own, made once.
#![allow(unsafe_code)]

use super::sites::{Site, SYSCALL};
use crate::real::try_sys;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};
use syscalls::Sysno;

/// Enters the kernel as the instruction would have that it stands for, and goes on behind that.
#[repr(C)]
pub struct Stub {
    code: [u8; 8],
    behind: usize,
}

/// `syscall`, and `jmp [rip]`: to the address that follows.
const CODE: [u8; 8] = [SYSCALL[0], SYSCALL[1], 0xff, 0x25, 0, 0, 0, 0];

/// All of them, in ascending order of what they stand for.
#[repr(C)]
struct Table {
    count: usize,
    padding: usize,
    stubs: [Stub; MOST],
}

/// As many as there can be. Of their memory only what is written to is taken.
const MOST: usize = 1 << 16;

/// The table, once there is one.
static TABLE: AtomicPtr<Table> = AtomicPtr::new(null_mut());

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
    const SIZE: usize = size_of::<Table>();
    let written = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a fresh mapping, of which zeros are a table, and which is not written to once it is known to others.
    unsafe {
        let place = try_sys!(Sysno::mmap, 0, SIZE, written, flags, -1isize, 0).ok()?;
        let table = place as *mut Table;
        for site in sites.take(MOST) {
            let behind = site.address + SYSCALL.len();
            (*table).stubs[(*table).count] = Stub { code: CODE, behind };
            (*table).count += 1;
        }
        let runs = libc::PROT_READ | libc::PROT_EXEC;
        let made = try_sys!(Sysno::mprotect, place, SIZE, runs).is_ok();
        // Whoever finds it finds it filled. Who comes second, as a handler may let him, may have found instructions changed already.
        let order = (Ordering::Release, Ordering::Relaxed);
        let first = made
            && TABLE
                .compare_exchange(null_mut(), table, order.0, order.1)
                .is_ok();
        if !first {
            let _ = try_sys!(Sysno::munmap, place, SIZE);
        }
        made.then_some(())
    }
}

/// All of them.
pub fn all() -> &'static [Stub] {
    // SAFETY: a table stays, and is not written to.
    match unsafe { TABLE.load(Ordering::Acquire).as_ref() } {
        None => &[],
        Some(table) => &table.stubs[..table.count],
    }
}

/// The one for the instruction at an address.
pub fn of(entry: usize) -> Option<&'static Stub> {
    let stubs = all();
    let found = stubs.binary_search_by_key(&entry, Stub::entry).ok()?;
    Some(&stubs[found])
}
