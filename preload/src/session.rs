//! This process's session with the host: attached at the first need, by whatever thread comes first.
//!
//! The client lies in a static; one that is begun after the host had ended the first lies in a map of its own, since other
//! threads may still be in calls of the old one. A page that the kernel wipes in a fork child holds the pointer to it, so that a child
//! never takes its parent's session for its own, whichever way it was forked, and a call costs two loads to be sure of it.
#![allow(unsafe_code)]

use crate::first::FIRST;
use crate::lock::Lock;
use crate::observe::summary;
use crate::real::try_sys;
use crate::room::Room;
use crate::route::Prefix;
use crate::{covers, early, entering, faults, fds, kept, limits, observe, placeholder, report};
use hostcall::attach::{AttachError, Attaching};
use hostcall::cancellation::Held;
use hostcall::client::{Client, Options};
use hostcall::clock;
use hostcall::types::{Errno, Token};
use libc::c_int;
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicPtr, AtomicU32, Ordering};
use syscalls::Sysno;

/// What the wiped page holds.
#[repr(C)]
struct Page {
    /// The session's client; null before it is attached and in a child.
    client: AtomicPtr<Client>,
    /// 1 in the process that made the page.
    owner: AtomicU32,
}

/// Stands in until there is a page.
static NO_PAGE: Page = Page {
    client: AtomicPtr::new(std::ptr::null_mut()),
    owner: AtomicU32::new(0),
};
static PAGE: AtomicPtr<Page> = AtomicPtr::new((&raw const NO_PAGE).cast_mut());

struct Slot(UnsafeCell<MaybeUninit<Client>>);
// SAFETY: written only by the thread that holds `ATTACHING`, before the pointer to it is published.
unsafe impl Sync for Slot {}
static CLIENT: Slot = Slot(UnsafeCell::new(MaybeUninit::uninit()));

/// The client that was attached last and has not been abandoned.
static CURRENT: AtomicPtr<Client> = AtomicPtr::new(std::ptr::null_mut());
/// Whether `CLIENT` has been written to.
static FILLED: AtomicBool = AtomicBool::new(false);
/// A thread is attaching.
static ATTACHING: Lock = Lock::new();
/// When attaching failed last, milliseconds of the monotonic clock; 0 for never.
static FAILED_AT: AtomicI64 = AtomicI64::new(0);
/// The loss of host files has been reported.
static BEREFT: AtomicBool = AtomicBool::new(false);
/// The failure has been reported.
static REPORTED: AtomicBool = AtomicBool::new(false);

/// A filter of system calls lets this process have no socket: paths below the prefix are the mount's.
static BARRED: AtomicBool = AtomicBool::new(false);
/// The process has changed its root.
static LEFT: AtomicBool = AtomicBool::new(false);

/// After a failure the host is looked for again no sooner than this, milliseconds.
const RETRY: i64 = 1000;

/// The file mode creation mask as the hooks have seen it; `UNKNOWN` before the first look.
static UMASK: AtomicU32 = AtomicU32::new(UNKNOWN);
const UNKNOWN: u32 = u32::MAX;

/// Threads of this process may differ in their ids.
static IDS_VARY: AtomicBool = AtomicBool::new(false);

struct PrefixCell(UnsafeCell<Prefix>);
// SAFETY: written by the constructor only, before other threads exist.
unsafe impl Sync for PrefixCell {}
static PREFIX: PrefixCell = PrefixCell(UnsafeCell::new(Prefix::DEFAULT));

/// Where host files appear in the guest.
#[inline]
pub fn prefix() -> &'static Prefix {
    // SAFETY: never written after the constructor.
    unsafe { &*PREFIX.0.get() }
}

/// Sets the prefix.
///
/// # Safety
/// From the constructor only, while nobody else reads it.
pub unsafe fn set_prefix(prefix: Prefix) {
    FIRST.marks.set(prefix.inward());
    // SAFETY: the caller's promise.
    unsafe { *PREFIX.0.get() = prefix };
}

/// The session, which is begun if there is none.
///
/// # Errors
/// `ENOTCONN` if there is no host to be found (reported once on standard error), or what the host refuses with.
#[inline]
pub fn client() -> Result<&'static Client, Errno> {
    match attached() {
        Some(client) => Ok(client),
        None => attach(None),
    }
}

/// The session, if there is one.
#[inline]
pub fn attached() -> Option<&'static Client> {
    // SAFETY: the page is never unmapped; a published client stays in its static until the process abandons it.
    unsafe {
        let page = &*PAGE.load(Ordering::Acquire);
        page.client.load(Ordering::Acquire).as_ref()
    }
}

/// Whether host files have to be found on the mount, because this process may not attach, because something is mounted over
/// them, or because it has another root, by which the prefix may be anything. Begins the session otherwise, anew if the
/// host has ended it.
pub fn barred() -> bool {
    match attached() {
        _ if LEFT.load(Ordering::Relaxed) => true,
        Some(client) if client.lost() => {
            begin_anew();
            false
        }
        Some(client) => covers::any(client),
        None => match client() {
            Ok(client) => covers::any(client),
            Err(_) => BARRED.load(Ordering::Relaxed),
        },
    }
}

/// The host has ended the session: begins another, unless this process has host files or its directory there, which no other
/// session could give back to it. They answer `ENOTCONN` until the program closes them.
#[cold]
fn begin_anew() {
    if !fds::any() && !kept::any() && !crate::cwd::on_host() {
        let _ = attach(None);
    } else if !BEREFT.swap(true, Ordering::Relaxed) {
        report::say(
            &"the host has ended this program's session, and its open host files are lost: until they are closed, \
              calls on the host fail (ENOTCONN)",
        );
    }
}

/// Paths below the prefix are the guest kernel's from now on.
pub fn leave_prefix() {
    LEFT.store(true, Ordering::Relaxed);
}

/// Whether `fd` belongs to the client.
pub fn owns(fd: c_int) -> bool {
    early::owns(fd) || attached().is_some_and(|client| client.owns_fd(fd))
}

/// Whether this process is a child that was forked past the hooks and still carries its parent's session.
fn stale() -> bool {
    let page = PAGE.load(Ordering::Acquire).cast_const();
    // SAFETY: the page is never unmapped.
    page != &raw const NO_PAGE && unsafe { (*page).owner.load(Ordering::Acquire) } == 0
}

/// Begins the session, or takes over the one that `resume` names.
#[cold]
pub fn attach(resume: Option<Token>) -> Result<&'static Client, Errno> {
    if stale() {
        crate::fork::arrive();
        if let Some(client) = attached() {
            return Ok(client);
        }
    }
    let failed_at = FAILED_AT.load(Ordering::Relaxed);
    if failed_at != 0 && now() - failed_at < RETRY {
        return Err(Errno(libc::ENOTCONN));
    }
    // Where the host is looked for is below the prefix, so that a hook of this very attaching wants the host.
    if ATTACHING.is_own() {
        return Err(Errno(libc::ENOTCONN));
    }
    let saved = crate::real::errno();
    let result = {
        let _held = Held::begin();
        let _attaching = ATTACHING.take();
        match attached() {
            Some(client) if !client.lost() => Ok(client),
            _ => {
                let start = observe::now();
                begin(resume)
                    .inspect(|_| summary::attached(resume.is_some(), observe::now() - start))
            }
        }
    };
    crate::real::set_errno(saved);
    result
}

/// Asks for the session that [`attach`] will begin, or take over, and does not wait for it.
///
/// # Safety
/// From the constructor only.
pub unsafe fn ask(resume: Option<Token>) {
    fds::touch();
    // A child that is forked past the hooks knows by the page that it was asked for by its parent.
    if page().is_ok() {
        let umask = mask_for(resume);
        // SAFETY: the caller's promise.
        unsafe { early::ask(Options { resume, umask }) };
    }
}

fn begin(resume: Option<Token>) -> Result<&'static Client, Errno> {
    fds::touch();
    let page = page()?;
    let umask = mask_for(resume);
    let place = Place::free()?;
    match place.attach(&Options { resume, umask }) {
        Ok(client) => {
            CURRENT.store(client, Ordering::Relaxed);
            page.client.store(client, Ordering::SeqCst);
            // After it, so that a change which found no client is found here.
            if IDS_VARY.load(Ordering::SeqCst) {
                client.ids_changed(true);
            }
            limits::tell(client);
            faults::begin();
            entering::begin();
            FAILED_AT.store(0, Ordering::Relaxed);
            // What this one loses is another loss.
            BEREFT.store(false, Ordering::Relaxed);
            Ok(client)
        }
        // A handed-over session that is gone is not the host's absence.
        Err(error) if resume.is_some() => Err(error.errno()),
        Err(error) => {
            FAILED_AT.store(now().max(1), Ordering::Relaxed);
            // What filters answer to socket(2).
            let barred = matches!(
                error,
                AttachError::NoAnswer(_, Errno(libc::ENOSYS | libc::EPERM))
            );
            BARRED.store(barred, Ordering::Relaxed);
            if !barred && !REPORTED.swap(true, Ordering::Relaxed) {
                report::say(&error);
            }
            Err(error.errno())
        }
    }
}

/// Where a client stays: the static, or beside a client that may be in use there.
///
/// A lost client stays too, with its mapping and descriptors: another thread, or the call that a signal handler has
/// interrupted, may hold it and not have looked yet whether it is lost. To know that nobody does, each call would have to count itself in
/// and out, two locked operations on a word that all threads share, for what happens when a host is started anew.
struct Place {
    room: &'static mut MaybeUninit<Client>,
    beside: bool,
}

impl Place {
    const SIZE: usize = size_of::<Client>();

    /// One that nobody has. To be called by whoever holds `ATTACHING`.
    fn free() -> Result<Place, Errno> {
        let beside = FILLED.load(Ordering::Relaxed);
        // SAFETY: nothing is published from the static, so nobody else looks at it; or a fresh mapping of the client's size,
        // aligned to a page, that is never unmapped once there is a client in it.
        let room = unsafe {
            match beside {
                false => &mut *CLIENT.0.get(),
                true => {
                    let protection = libc::PROT_READ | libc::PROT_WRITE;
                    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
                    let place =
                        try_sys!(Sysno::mmap, 0, Place::SIZE, protection, flags, -1isize, 0)?;
                    &mut *(place as *mut MaybeUninit<Client>)
                }
            }
        };
        Ok(Place { room, beside })
    }

    /// Begins a session there: the one that was asked for if there is one.
    fn attach(self, options: &Options) -> Result<&'static mut Client, AttachError> {
        let start = self.room.as_mut_ptr();
        let mut preparing = Preparing {
            client: start.addr(),
            resumes: options.resume.is_some(),
            room: Room::default(),
        };
        // SAFETY: whoever has the place holds `ATTACHING`.
        let received = unsafe { early::receive(self.room, options, &mut preparing) };
        let attached = match received {
            // SAFETY: there is no client in the place, nor anybody else who has it.
            None => unsafe { Client::attach_in(&mut *start.cast(), options, &mut preparing) },
            Some(attached) => attached,
        };
        let attached = match attached {
            // Not even the socket, or a device, has found a number.
            Err(
                AttachError::NoAnswer(_, Errno(libc::EMFILE))
                | AttachError::Named(Errno(libc::EMFILE)),
            ) if preparing.make_room() => {
                // SAFETY: as above.
                unsafe { Client::attach_in(&mut *start.cast(), options, &mut preparing) }
            }
            attached => attached,
        };
        drop(preparing);
        match &attached {
            Ok(_) => FILLED.store(true, Ordering::Relaxed),
            Err(_) if self.beside => {
                // SAFETY: the mapping is ours, and there is no client in it.
                let _ = unsafe { try_sys!(Sysno::munmap, start, Place::SIZE) };
            }
            Err(_) => {}
        }
        attached
    }
}

/// What is done for a client that is about to be in a place.
struct Preparing {
    client: usize,
    resumes: bool,
    room: Room,
}

impl Attaching for Preparing {
    fn meanwhile(&mut self) {
        make_ready(self.client);
    }

    fn make_room(&mut self) -> bool {
        // A session is taken over while there is one thread, and all that the process has is at stake.
        self.resumes && self.room.make()
    }
}

/// What the client and the first file need, done while the host wakes: it would be waited for afterwards. What fails is done again
/// where it is wanted.
fn make_ready(client: usize) {
    let _ = placeholder::get();
    let first = client & !4095;
    let len = client + Place::SIZE - first;
    // SAFETY: pages of this library's own or of a mapping of its own, whose contents do not change.
    let _ = unsafe { try_sys!(Sysno::madvise, first, len, libc::MADV_POPULATE_WRITE) };
}

/// The wiped page, made at the first need.
fn page() -> Result<&'static Page, Errno> {
    let known = PAGE.load(Ordering::Acquire);
    if known.cast_const() != &raw const NO_PAGE {
        // SAFETY: the page is never unmapped.
        return Ok(unsafe { &*known });
    }
    let size = 4096usize;
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a fresh mapping overlaps nothing; zeroed memory is a valid `Page`.
    unsafe {
        let page = try_sys!(Sysno::mmap, 0, size, protection, flags, -1isize, 0)? as *mut Page;
        try_sys!(Sysno::madvise, page, size, libc::MADV_WIPEONFORK)?;
        (*page).owner.store(1, Ordering::Release);
        PAGE.store(page, Ordering::Release);
        Ok(&*page)
    }
}

/// Lets go of the session without a word to the host, which takes it for the process's end unless it is the parent's.
/// Nobody else may be in a call: this is for the child of a fork, and for a program's start.
pub fn leave() {
    // SAFETY: there is one thread.
    unsafe { early::give_back() };
    let client = CURRENT.swap(std::ptr::null_mut(), Ordering::Relaxed);
    if !client.is_null() {
        // SAFETY: there is one thread, and the client, which is never unmapped, is not used after this.
        unsafe { (*client).abandon() };
        // Its place may be used again.
        FILLED.store(false, Ordering::Relaxed);
    }
    ATTACHING.reset();
    let page = PAGE.load(Ordering::Acquire).cast_const();
    if page != &raw const NO_PAGE {
        // SAFETY: the page is never unmapped.
        unsafe {
            (*page)
                .client
                .store(std::ptr::null_mut(), Ordering::Relaxed);
            (*page).owner.store(1, Ordering::Release);
        }
    }
}

/// The process has changed its ids or groups, or one of its threads has changed that thread's.
pub fn ids_changed(of_one_thread: bool) {
    if of_one_thread {
        IDS_VARY.store(true, Ordering::SeqCst);
    }
    if let Some(client) = attached() {
        client.ids_changed(of_one_thread);
    }
}

/// umask(2): sets the mask on both sides and answers the old one.
pub fn set_umask(mask: u32) -> u32 {
    use hostcall::ops::Calls;
    // SAFETY: plain system call that cannot fail.
    let old = unsafe { try_sys!(Sysno::umask, mask) }.unwrap_or(0) as u32;
    UMASK.store(mask & 0o777, Ordering::Relaxed);
    if let Some(client) = attached() {
        let _ = client.umask(hostcall::types::Mode(mask & 0o777));
    }
    old
}

/// The mask to begin a session with.
fn mask_for(resume: Option<Token>) -> u32 {
    match resume {
        // A resumed session has the mask already.
        Some(_) => UMASK.load(Ordering::Relaxed) & 0o7777,
        None => umask(),
    }
}

/// The current mask. The kernel tells it only by changing it; in that instant nothing is made more open.
fn umask() -> u32 {
    let known = UMASK.load(Ordering::Relaxed);
    if known != UNKNOWN {
        return known;
    }
    // SAFETY: plain system calls that cannot fail.
    unsafe {
        let mask = try_sys!(Sysno::umask, 0o777).unwrap_or(0o22) as u32;
        let _ = try_sys!(Sysno::umask, mask);
        UMASK.store(mask, Ordering::Relaxed);
        mask
    }
}

fn now() -> i64 {
    clock::monotonic().as_millis() as i64
}
