//! The thread that brings an instance the host's events.
//!
//! It begins with the first watch on a host file and ends with the instance's last descriptor. All signals of the program's
//! are blocked in it; the two that libc needs to change the ids of all threads, setuid(2), are not.
#![allow(unsafe_code)]

use super::instance::{Instance, LOCK};
use super::queue::{self, Event};
use super::ALL;
use crate::real::try_sys;
use crate::report;
use hostcall::client::{interruptible, Interrupt};
use hostcall::ops::Calls;
use hostcall::types::{Errno, Offset, RemoteFd, RwFlags};
use hostcall::wire::Sink;
use libc::{c_int, c_void};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use syscalls::Sysno;

/// Bytes of the host's events that are fetched at a time.
const ROOM: usize = 4096;
/// The thread's stack: a call to the host and the room for events.
const STACK: usize = 128 << 10;
/// The signals by which libc has all threads act, `SIGCANCEL` and `SIGSETXID`, as bits of a mask.
const LIBCS: u64 = 1 << 31 | 1 << 32;

/// What others know of the thread.
#[derive(Debug)]
pub struct Thread {
    runs: AtomicU32,
    is_to_end: AtomicBool,
    stuck: AtomicBool,
    /// How often it was asked to bring all that there is, and up to which time it has.
    asked: AtomicU32,
    answered: AtomicU32,
    interrupt: Interrupt,
}

impl Thread {
    /// No thread.
    pub const fn new() -> Thread {
        Thread {
            runs: AtomicU32::new(0),
            is_to_end: AtomicBool::new(false),
            stuck: AtomicBool::new(false),
            asked: AtomicU32::new(0),
            answered: AtomicU32::new(0),
            interrupt: Interrupt::new(),
        }
    }

    /// Whether there is one, and it uses what belongs to the instance.
    pub fn runs(&self) -> bool {
        self.runs.load(Ordering::Acquire) != 0
    }

    /// Whether it waits for the program to read.
    pub fn is_stuck(&self) -> bool {
        self.stuck.load(Ordering::Acquire)
    }

    /// By what its calls are ended.
    pub fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }

    /// Has it end when it looks next.
    pub fn stop(&self) {
        self.is_to_end.store(true, Ordering::SeqCst);
    }

    /// Asks it to bring all that there is; by which time it has.
    pub fn ask(&self) -> u32 {
        self.asked.fetch_add(1, Ordering::SeqCst).wrapping_add(1)
    }

    /// Whether it has brought all that there was at a time.
    pub fn has_answered(&self, time: u32) -> bool {
        self.answered.load(Ordering::SeqCst).wrapping_sub(time) as i32 >= 0
    }

    fn is_to_end(&self) -> bool {
        self.is_to_end.load(Ordering::SeqCst)
    }

    /// In a fork child, which does not have it.
    pub fn forget(&self) {
        self.runs.store(0, Ordering::Release);
    }

    /// Starts it. Signals are blocked, which it takes over.
    pub fn start(&'static self, instance: &'static Instance) -> Result<(), Errno> {
        let place = ALL.iter().position(|one| std::ptr::eq(one, instance));
        let place = place.unwrap_or_default() as *mut c_void;
        self.is_to_end.store(false, Ordering::SeqCst);
        self.stuck.store(false, Ordering::Release);
        self.interrupt.reset();
        self.runs.store(1, Ordering::Release);
        // SAFETY: an attribute that is initialised before it is used; the function has the type that is asked for.
        let started = unsafe {
            let mut attributes = std::mem::zeroed();
            libc::pthread_attr_init(&mut attributes);
            libc::pthread_attr_setdetachstate(&mut attributes, libc::PTHREAD_CREATE_DETACHED);
            // Refused where thread-local data need more; then it is libc's own size.
            libc::pthread_attr_setstacksize(&mut attributes, STACK);
            let mut thread = std::mem::zeroed();
            let started = libc::pthread_create(&mut thread, &attributes, run, place);
            libc::pthread_attr_destroy(&mut attributes);
            started
        };
        if started != 0 {
            self.runs.store(0, Ordering::Release);
            return Err(Errno(libc::ENOMEM));
        }
        Ok(())
    }
}

extern "C" fn run(place: *mut c_void) -> *mut c_void {
    let instance = &ALL[place as usize % ALL.len()];
    let mask = !LIBCS;
    // SAFETY: a live mask of the size that is passed, and a NUL-terminated name.
    unsafe {
        let _ = try_sys!(
            Sysno::rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const mask,
            0,
            8
        );
        let _ = try_sys!(Sysno::prctl, libc::PR_SET_NAME, c"hostcall-watch".as_ptr());
    }
    interruptible(&instance.thread.interrupt);
    let remote = RemoteFd(instance.remote.load(Ordering::Acquire));
    let ended = pump(instance, remote);
    let _ = instance.client().and_then(|client| client.close(remote));
    if !instance.thread.is_to_end() {
        if let Err(errno) = ended {
            report::say(&format_args!(
                "the host no longer tells of changes to its files (errno {}): watches on them stay silent",
                errno.0
            ));
        }
    }
    instance.remote.store(-1, Ordering::Release);
    instance.thread.runs.store(0, Ordering::Release);
    instance.proceed();
    std::ptr::null_mut()
}

/// Brings events until it is to end. Who asks for all that there is ends its wait for more.
fn pump(instance: &Instance, remote: RemoteFd) -> Result<(), Errno> {
    let client = instance.client()?;
    let thread = &instance.thread;
    let mut room = [0u8; ROOM];
    let mut last = Event::NONE;
    let mut waits = true;
    while !thread.is_to_end() {
        let asked = thread.asked.load(Ordering::SeqCst);
        if waits != thread.has_answered(asked) {
            waits = !waits;
            let flags = if waits { 0 } else { libc::O_NONBLOCK };
            client.fcntl(remote, libc::F_SETFL, flags as u64)?;
        }
        let sink = Sink::new(&mut room);
        let filled = match client.read(remote, Offset::CURRENT, RwFlags(0), sink) {
            Ok(reply) => reply.filled.0,
            Err(Errno(libc::EAGAIN)) => {
                thread.answered.store(asked, Ordering::SeqCst);
                instance.proceed();
                continue;
            }
            Err(Errno(libc::EINTR)) => {
                // Whoever wants it to end says so again.
                thread.interrupt.reset();
                continue;
            }
            Err(errno) => return Err(errno),
        };
        let mut rest = &room[..filled];
        while let Some((event, next)) = Event::first(rest) {
            forward(instance, event, &mut last);
            rest = next;
        }
    }
    Ok(())
}

fn forward(instance: &Instance, mut event: Event, last: &mut Event) {
    if event.is_of_a_watch() {
        let host = event.watch();
        let Some(guest) = guest(instance, host) else {
            return;
        };
        if event.ends_the_watch() {
            instance.numbers.remove(host);
            if instance.ended(guest) {
                *last = Event::NONE;
                instance.proceed();
                return;
            }
        }
        event.becomes(guest);
    }
    // As the kernel does with events that nobody has read yet.
    if event == *last && queue::holds_any(instance) {
        return;
    }
    while !queue::put(instance, &event) {
        instance.thread.stuck.store(true, Ordering::Release);
        instance.proceed();
        queue::await_room(instance);
        instance.thread.stuck.store(false, Ordering::Release);
        if instance.thread.is_to_end() {
            return;
        }
    }
    if event.ends_the_watch() {
        instance.proceed();
    }
    *last = event;
}

/// The kernel's number for one of the host's. The event may be here before whoever began the watch has entered it.
fn guest(instance: &Instance, host: c_int) -> Option<c_int> {
    loop {
        let began = LOCK.is_taken();
        if let Some(guest) = instance.numbers.guest(host) {
            return Some(guest);
        }
        if !began || instance.thread.is_to_end() {
            return None;
        }
        // SAFETY: no arguments.
        let _ = unsafe { try_sys!(Sysno::sched_yield) };
    }
}
