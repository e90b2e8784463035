//! Which descriptors are host files, and the kernel numbers reserved for them.
//!
//! A host descriptor is a real kernel descriptor, a duplicate of one `O_PATH` placeholder, so its number, its
//! close-on-exec flag and "the lowest free number" are the kernel's own, and a call that no hook covers fails with
//! `EBADF`. The [table] says which number stands for which descriptor of the shadow.
//!
//! **Reserved numbers.** A guest system call can cost a hundred host calls, so closing a host file may keep its number
//! in a small pool for the next host open. That stays invisible: a number is kept only while all numbers below it
//! are known to be taken ([`FLOOR`]), so it is what open(2) would give next, and whoever makes a descriptor in the guest
//! kernel hands the pool back first ([`release_reserved`]).
#![allow(unsafe_code)]

mod entry;
mod table;

pub use entry::Entry;
pub use table::{adopt, all, any, entry, forget, host, note_ready, Age};

use crate::first::FIRST;
use crate::observe::output;
use crate::real::{apart, errno, sys, try_sys};
use crate::{kept, placeholder, session, watching};
use hostcall::client::Client;
use hostcall::ops::Calls;
use hostcall::types::{Errno, RemoteFd};
use hostcall::wire::Source;
use libc::c_int;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use syscalls::Sysno;
use table::{changed, enter, note_cloexec, recount};

/// Descriptor numbers that can be host files; a number above is refused with `EMFILE`.
pub const MOST: usize = 65536;

/// Most reserved numbers at a time.
const POOL: u32 = 4;

/// Of the reserved numbers, those whose placeholder is close-on-exec.
static RESERVED_CLOEXEC: AtomicU64 = AtomicU64::new(0);
/// Every number below this one is taken in the kernel.
static FLOOR: AtomicI32 = AtomicI32::new(0);
/// `HOSTCALL_EXACT_FDS`: no pool.
static EXACT: AtomicBool = AtomicBool::new(false);

/// Turns the pool off (`HOSTCALL_EXACT_FDS=1`).
pub fn set_exact(exact: bool) {
    EXACT.store(exact, Ordering::Relaxed);
}

/// Whether any number was ever a host file, reserved or internal. One load, and all that those programs pay for that
/// which have nothing to do with the host.
#[inline]
pub fn touched() -> bool {
    FIRST.touched.load(Ordering::Relaxed)
}

/// To be called before the library makes a descriptor that it keeps.
pub fn touch() {
    FIRST.touched.store(true, Ordering::Relaxed);
}

/// Gives up the number of a host file, which is none meanwhile. There is one thread.
pub fn lend() -> Option<(c_int, Entry)> {
    // The highest: nothing of the library's may pass for a standard stream meanwhile.
    let (fd, entry) = all().last()?;
    forget(fd);
    // SAFETY: a placeholder, for which another will be opened there.
    let _ = unsafe { try_sys!(Sysno::close, fd) };
    Some((fd, entry))
}

/// Makes a number that was [lent](lend) the host file's again.
pub fn restore((fd, entry): (c_int, Entry)) -> Result<(), Errno> {
    let opened = placeholder::open()?;
    if opened == fd {
        set_kernel_cloexec(fd, entry.cloexec);
    } else {
        let flags = if entry.cloexec { libc::O_CLOEXEC } else { 0 };
        // SAFETY: the first number is ours, and nobody else has seen it; the other is free.
        let placed = unsafe { try_sys!(Sysno::dup3, opened, fd, flags) };
        // SAFETY: as above.
        let _ = unsafe { try_sys!(Sysno::close, opened) };
        placed?;
    }
    enter(fd, entry);
    Ok(())
}

/// Whether `fd` is a descriptor of the shim itself, which the program is not to see or close.
pub fn internal(fd: c_int) -> bool {
    let in_use = |fd| output::owns(fd) || session::owns(fd) || watching::owns(fd);
    fd >= 0 && (placeholder::owns(fd) || in_use(fd))
}

/// The lowest internal descriptor from `first` on.
pub fn internal_from(first: u32) -> Option<u32> {
    const SEARCHED: u32 = 4096;
    (first..first.saturating_add(SEARCHED).min(SEARCHED)).find(|&fd| internal(fd as c_int))
}

/// Gives `remote` the lowest free number, as open(2) does. If there is none, `remote` is closed: `EMFILE`.
pub fn install(remote: RemoteFd, cloexec: bool) -> Result<c_int, Errno> {
    install_from(remote, cloexec, 0)
}

/// [`install`] with the lowest number to be considered, as `F_DUPFD` has it.
pub fn install_from(remote: RemoteFd, cloexec: bool, minimum: c_int) -> Result<c_int, Errno> {
    let fits = remote.0 < entry::BEYOND;
    let fd = match (minimum == 0 && fits).then(take_reserved).flatten() {
        _ if !fits => Err(Errno(libc::EMFILE)),
        Some((fd, was_cloexec)) => {
            if was_cloexec != cloexec {
                set_kernel_cloexec(fd, cloexec);
            }
            Ok(fd)
        }
        None => duplicate(minimum, cloexec),
    };
    fd.inspect(|&fd| {
        enter(fd, Entry::new(remote, cloexec));
    })
    .inspect_err(|_| {
        let _ = session::client().and_then(|client| client.close(remote));
    })
}

/// A fresh duplicate of the placeholder.
fn duplicate(minimum: c_int, cloexec: bool) -> Result<c_int, Errno> {
    if minimum != 0 {
        release_reserved();
    }
    let source = placeholder::get()?;
    let command = match cloexec {
        true => libc::F_DUPFD_CLOEXEC,
        false => libc::F_DUPFD,
    };
    // SAFETY: plain system call.
    let fd = unsafe { try_sys!(Sysno::fcntl, source, command, minimum) }? as c_int;
    if fd as usize >= MOST {
        // SAFETY: ours, and nobody else has seen it.
        let _ = unsafe { try_sys!(Sysno::close, fd) };
        return Err(Errno(libc::EMFILE));
    }
    if minimum == 0 {
        // The kernel gave the lowest free number, so all below are taken.
        FLOOR.fetch_max(fd + 1, Ordering::Relaxed);
    }
    Ok(fd)
}

fn set_kernel_cloexec(fd: c_int, cloexec: bool) {
    let flag = if cloexec { libc::FD_CLOEXEC } else { 0 };
    // SAFETY: plain system call.
    let _ = unsafe { try_sys!(Sysno::fcntl, fd, libc::F_SETFD, flag) };
}

/// Notes a change of close-on-exec, in the guest kernel and the table; the caller tells the host.
pub fn set_cloexec(fd: c_int, cloexec: bool) {
    if note_cloexec(fd, cloexec) {
        set_kernel_cloexec(fd, cloexec);
    }
}

/// Makes `fd` a host file, whatever it was, as dup3(2) does.
pub fn install_at(fd: c_int, remote: RemoteFd, cloexec: bool) -> Result<(), Errno> {
    let placed = (|| {
        if fd as u32 as usize >= MOST {
            return Err(Errno(libc::EBADF));
        }
        if remote.0 >= entry::BEYOND {
            return Err(Errno(libc::EMFILE));
        }
        if internal(fd) {
            return Err(Errno(libc::EBUSY));
        }
        let source = placeholder::get()?;
        let flags = if cloexec { libc::O_CLOEXEC } else { 0 };
        kept::closed(fd);
        watching::closed(fd);
        // The pool must not think that it still owns the number.
        FIRST.reserved.fetch_and(!bit(fd), Ordering::AcqRel);
        // SAFETY: plain system call.
        unsafe { try_sys!(Sysno::dup3, source, fd, flags) }
    })();
    let client = session::client()?;
    if let Err(errno) = placed {
        let _ = client.close(remote);
        return Err(errno);
    }
    if let Some(old) = enter(fd, Entry::new(remote, cloexec)) {
        let _ = client.close(old.remote);
    }
    Ok(())
}

/// Ends a host file: the table's entry, the shadow's descriptor and the number, which may stay reserved.
pub fn close(fd: c_int) -> Result<(), Errno> {
    // Before the entry is gone: another thread may then begin another session, whose files have other numbers.
    let client = session::client();
    let Some(old) = forget(fd) else {
        return Err(Errno(libc::EBADF));
    };
    keep_or_close(fd, old.cloexec);
    client?.close(old.remote).map(|_| ())
}

/// Gives up a number without telling the host, whose session it was of is over.
pub fn abandon(fd: c_int) {
    if forget(fd).is_some() {
        close_kernel(fd);
    }
}

/// Ends a host file whose number has already been given another meaning in the guest kernel.
pub fn displaced(fd: c_int) {
    kept::closed(fd);
    watching::closed(fd);
    FIRST.reserved.fetch_and(!bit(fd), Ordering::AcqRel);
    // As in `close`.
    if let (client, Some(old)) = (session::attached(), forget(fd)) {
        let _ = client.map(|client| client.close(old.remote));
    }
}

fn bit(fd: c_int) -> u64 {
    match fd {
        0..64 => 1 << fd,
        _ => 0,
    }
}

fn keep_or_close(fd: c_int, cloexec: bool) {
    let keep = (3..64).contains(&fd)
        && fd < FLOOR.load(Ordering::Relaxed)
        && !EXACT.load(Ordering::Relaxed)
        && FIRST.reserved.load(Ordering::Relaxed).count_ones() < POOL;
    if !keep {
        close_kernel(fd);
        // A reserved number above it is no longer the lowest free one.
        if FIRST.reserved.load(Ordering::Relaxed) >> (fd & 63) != 0 && fd < 64 {
            release_reserved();
        }
        return;
    }
    match cloexec {
        true => RESERVED_CLOEXEC.fetch_or(bit(fd), Ordering::Relaxed),
        false => RESERVED_CLOEXEC.fetch_and(!bit(fd), Ordering::Relaxed),
    };
    FIRST.reserved.fetch_or(bit(fd), Ordering::AcqRel);
}

fn close_kernel(fd: c_int) {
    lower_floor(fd);
    // SAFETY: the number is ours to close: its host file has just been taken from the table, or it left the pool.
    let _ = unsafe { try_sys!(Sysno::close, fd) };
}

/// The lowest reserved number and its close-on-exec flag, no longer reserved.
fn take_reserved() -> Option<(c_int, bool)> {
    let mut pool = FIRST.reserved.load(Ordering::Acquire);
    while pool != 0 {
        let lowest = pool & pool.wrapping_neg();
        match FIRST.reserved.compare_exchange_weak(
            pool,
            pool & !lowest,
            Ordering::AcqRel,
            Ordering::Acquire,
        ) {
            Ok(_) => {
                let cloexec = RESERVED_CLOEXEC.load(Ordering::Relaxed) & lowest != 0;
                return Some((lowest.trailing_zeros() as c_int, cloexec));
            }
            Err(now) => pool = now,
        }
    }
    None
}

/// Hands all reserved numbers back to the kernel. To be called before anything that makes a guest descriptor, and
/// before exec. One load when there is none.
#[inline]
pub fn release_reserved() {
    if FIRST.reserved.load(Ordering::Relaxed) != 0 {
        release_all();
    }
}

#[cold]
fn release_all() {
    let saved = errno();
    while let Some((fd, _)) = take_reserved() {
        close_kernel(fd);
    }
    crate::real::set_errno(saved);
}

fn lower_floor(fd: c_int) {
    if fd < FLOOR.load(Ordering::Relaxed) {
        FLOOR.fetch_min(fd, Ordering::Relaxed);
    }
}

/// To be called when a guest descriptor is closed by whatever way: a reserved number above it would no longer be
/// the lowest free one.
#[inline]
pub fn note_local_close(fd: c_int) {
    kept::closed(fd);
    watching::closed(fd);
    if fd < FLOOR.load(Ordering::Relaxed) {
        FLOOR.fetch_min(fd, Ordering::Relaxed);
        release_reserved();
    }
}

/// close(2) for any descriptor.
pub fn close_any(fd: c_int) -> c_int {
    if touched() {
        return apart(move || close_some(fd));
    }
    // SAFETY: plain system call on the program's own descriptor.
    unsafe { sys!(Sysno::close, fd) }
}

fn close_some(fd: c_int) -> c_int {
    if host(fd).is_some() {
        return crate::real::done(close(fd));
    }
    if internal(fd) || (bit(fd) & FIRST.reserved.load(Ordering::Acquire) != 0) {
        crate::real::set_errno(Errno(libc::EBADF));
        return -1;
    }
    note_local_close(fd);
    // SAFETY: plain system call on the program's own descriptor.
    unsafe { sys!(Sysno::close, fd) }
}

/// Whether a reserved number stands at `fd`: for the program it is closed.
pub fn is_reserved(fd: c_int) -> bool {
    bit(fd) & FIRST.reserved.load(Ordering::Acquire) != 0
}

/// In a child that has no shadow of its own for the inherited files: none of them is a host file any more.
pub fn forget_all() {
    for (fd, _) in all() {
        forget(fd);
    }
    kept::forget_all();
}

/// In a fork's child, before anything is opened there: ends what other threads have changed since. The kernel copies descriptors
/// before memory, so such a number may stand for nothing, or for a placeholder without an entry.
pub fn forget_changed(since: Age) {
    release_reserved();
    for fd in changed(since) {
        forget(fd);
        if placeholder::is_one(fd) {
            close_kernel(fd);
        }
    }
    recount();
    kept::forget_changed(since);
}

/// In a fork's child: has those of its shadow's files closed that stand for no number. Other threads were just opening, closing or
/// replacing them.
pub fn close_others(client: &Client) {
    let mut kept = [0u8; MOST / 8];
    let remotes = || {
        let numbered = all().map(|(_, entry)| entry.remote);
        numbered.chain(kept::all())
    };
    let mut len = 0;
    for RemoteFd(remote) in remotes() {
        let at = remote as usize / 8;
        // There may be more files than numbers for them while some are being replaced; then what is too much stays.
        let Some(bits) = kept.get_mut(at) else {
            return;
        };
        *bits |= 1 << (remote % 8);
        len = len.max(at + 1);
    }
    let _ = client.close_others(Source::new(&kept[..len]));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_no_word_can_name_takes_no_number() {
        let next = || {
            let fd = duplicate(0, true).unwrap();
            close_kernel(fd);
            fd
        };
        let before = next();
        let beyond = install_from(RemoteFd(entry::BEYOND), false, 0);
        assert_eq!(beyond, Err(Errno(libc::EMFILE)));
        assert_eq!((next(), host(before)), (before, None));
        let named = install_from(RemoteFd(entry::BEYOND - 1), false, before);
        let named = named.expect("the last that can be named");
        assert_eq!(host(named), Some(RemoteFd(entry::BEYOND - 1)));
        abandon(named);
    }
}
