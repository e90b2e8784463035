//! fork(2), vfork(2), clone(2), daemon(3), and _exit(2) at their end: the child gets a shadow of its own, with the same files and
//! directory.
//!
//! libc's fork, by whomever it is called, says when by pthread_atfork(3): the handlers of this library are the first to be registered,
//! so that of a program's own those before the fork have run when the session is copied, and those in the child find it there.
//!
//! A child made past these hooks (by an instruction of the program's own) finds its session page wiped, lets go of what it inherited,
//! and begins a session of its own at the first host path; its parent's host files answer `EBADF` there.
#![allow(unsafe_code)]

use crate::fds::Age;
use crate::real::{errno, failed, set_errno, shims, sys, try_sys};
use crate::symbols::own;
use crate::{cwd, fds, materialise, observe, report, session, signals, spawn, system, watching};
use hostcall::access::get;
use hostcall::ops::Calls;
use hostcall::types::{Errno, Token};
use libc::{c_char, c_int, c_long, c_void, pid_t};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use syscalls::Sysno;

/// What the child of a clone(2) by libc's function does.
pub type Act = Option<unsafe extern "C" fn(*mut c_void) -> c_int>;

/// A fork between its two ends.
#[derive(Clone, Copy)]
struct Prepared {
    /// The mask of signals, which are blocked meanwhile if the child is to have a session: a handler that ran in the child before it has
    /// that would begin an empty one.
    signals: Option<u64>,
    /// The child's session, if it is to have one, or why there is to be no child: the host has no room for another.
    session: Result<Option<Handed>, Errno>,
}

/// A thread's fork.
#[derive(Clone, Copy)]
enum Fork {
    /// It makes none.
    None,
    /// One is under way.
    Prepared(Prepared),
    /// The kernel has made a child that must not be. It ends before it does anything.
    Refused(Errno),
}

thread_local! {
    static FORK: Cell<Fork> = const { Cell::new(Fork::None) };
}

/// Whether libc calls the handlers.
static REGISTERED: AtomicBool = AtomicBool::new(false);

/// Has libc say when it forks. To be called as a program starts.
pub fn register() {
    // SAFETY: functions that are there as long as the process.
    let refused = unsafe { libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child)) };
    REGISTERED.store(refused == 0, Ordering::Relaxed);
}

extern "C" fn before() {
    materialise::before_fork();
    let wanted = session::attached().is_some() && spawn::hands_on();
    let signals = wanted.then(signals::block);
    let session = match wanted {
        true => ask(),
        false => Ok(None),
    };
    FORK.set(Fork::Prepared(Prepared { signals, session }));
}

extern "C" fn in_parent() {
    let saved = errno();
    if let Fork::Prepared(prepared) = FORK.replace(Fork::None) {
        if let Err(errno) = prepared.session {
            FORK.set(Fork::Refused(errno));
        }
        prepared.end();
    }
    set_errno(saved);
}

extern "C" fn in_child() {
    let saved = errno();
    if let Fork::Prepared(prepared) = FORK.replace(Fork::None) {
        prepared.begin();
    }
    set_errno(saved);
}

/// In a child that still carries its parent's session: it was made past the hooks, or somebody else's handler calls the host before
/// this library's has run.
#[cold]
pub fn arrive() {
    match FORK.replace(Fork::None) {
        Fork::Prepared(prepared) => prepared.begin(),
        _ => take_over(None),
    }
}

impl Prepared {
    fn begin(self) {
        let Ok(handed) = self.session else {
            end(REFUSED);
        };
        observe::forked();
        system::forked();
        take_over(handed);
        self.end();
    }

    fn end(self) {
        if let Some(signals) = self.signals {
            signals::restore(signals);
        }
    }
}

/// Exit status of a child that was refused, for whoever forks past the hooks: that of a program that cannot be executed.
const REFUSED: c_int = 126;

/// Ends the process at once.
fn end(status: c_int) -> ! {
    loop {
        // SAFETY: plain system call, after which there is no process.
        let _ = unsafe { try_sys!(Sysno::exit_group, status) };
    }
}

/// Forks past libc's handlers by `real`.
fn fork_with(real: impl FnOnce() -> pid_t) -> pid_t {
    before();
    if let Fork::Prepared(Prepared {
        session: Err(_), ..
    }) = FORK.get()
    {
        in_parent();
        return -1;
    }
    let child = real();
    match child {
        0 => in_child(),
        _ => in_parent(),
    }
    child
}

/// The answer of a fork that is over: -1 with the host's reason if the host refused the child.
fn answered(child: pid_t) -> pid_t {
    let Fork::Refused(reason) = FORK.get() else {
        return child;
    };
    FORK.set(Fork::None);
    let nothing = std::ptr::null_mut::<c_void>();
    // SAFETY: the child that ends at once, if there is one; nothing is asked back.
    let reap = || unsafe { try_sys!(Sysno::wait4, child, nothing, 0, nothing) };
    while child > 0 && reap() == Err(Errno(libc::EINTR)) {}
    failed(reason)
}

/// What a child takes over.
#[derive(Clone, Copy)]
struct Handed {
    token: Token,
    /// When the parent asked for it.
    since: Age,
    /// Whether the parent had no other thread, which might have been in the midst of a call.
    alone: bool,
}

extern "C" {
    /// Not 0 as long as the process certainly has one thread only, sys/single_threaded.h.
    static __libc_single_threaded: c_char;
}

/// Asks for a session for a child, which has none of its parent's host files if there is none to be had.
///
/// # Errors
/// What fork(2) fails with where there is no room for another process, `EAGAIN` or `ENOMEM`: the host has none.
fn ask() -> Result<Option<Handed>, Errno> {
    let since = Age::now();
    // SAFETY: libc's variable, which other threads would only write to if there were any.
    let alone = unsafe { __libc_single_threaded } != 0;
    let asked = session::client().and_then(|client| match client.fork_session() {
        // Processes that have ended may still count.
        Err(Errno(libc::EAGAIN)) => client.settle().and_then(|_| client.fork_session()),
        asked => asked,
    });
    match asked {
        Ok(reply) => Ok(Some(Handed {
            token: reply.token,
            since,
            alone,
        })),
        Err(Errno(libc::ENOMEM)) => Err(Errno(libc::ENOMEM)),
        Err(Errno(libc::EAGAIN | libc::ENFILE | libc::EMFILE)) => Err(Errno(libc::EAGAIN)),
        Err(errno) => {
            say_bereft(errno);
            Ok(None)
        }
    }
}

/// In a child: lets go of the parent's session, and takes over what it was handed instead. Otherwise it has no host files.
fn take_over(handed: Option<Handed>) {
    session::leave();
    watching::after_fork();
    let since = handed.map_or_else(Age::now, |handed| handed.since);
    // Before attaching, which makes descriptors.
    fds::forget_changed(since);
    let attached = handed.map(|handed| session::attach(Some(handed.token)));
    if let Some(Ok(client)) = attached {
        if handed.is_some_and(|handed| !handed.alone) {
            fds::close_others(client);
        }
        return;
    }
    fds::forget_all();
    cwd::forget();
    if let Some(Err(errno)) = attached {
        say_bereft(errno);
    }
}

/// A child has to go without its parent's host files. That the host itself is gone is said elsewhere.
fn say_bereft(Errno(errno): Errno) {
    if errno != libc::ENOTCONN {
        report::say(&format_args!(
            "a child process goes without its parent's open host files: the host gives it no session (errno {errno})"
        ));
    }
}

/// What a clone(2) is asked for.
#[derive(Clone, Copy)]
struct Wanted {
    flags: u64,
    stack: u64,
}

/// Whether there are such calls of this number.
pub fn may_fork(number: c_long) -> bool {
    #[cfg(target_arch = "x86_64")]
    let old = matches!(number, libc::SYS_fork | libc::SYS_vfork);
    #[cfg(not(target_arch = "x86_64"))]
    let old = false;
    old || matches!(number, libc::SYS_clone | libc::SYS_clone3)
}

impl Wanted {
    /// That of a system call with these first arguments, if it is one.
    ///
    /// # Safety
    /// They are those of the system call.
    unsafe fn by(number: c_long, first: usize, second: usize) -> Option<Wanted> {
        /// The head of `struct clone_args`.
        #[derive(Clone, Copy)]
        #[repr(C)]
        struct Head {
            flags: u64,
            others: [u64; 4],
            stack: u64,
        }
        let (flags, stack) = match number {
            libc::SYS_clone => (first as u64, second as u64),
            libc::SYS_clone3 if second >= size_of::<Head>() => {
                // SAFETY: the caller's promise.
                let head = unsafe { get(first as *const Head) }.ok()?;
                (head.flags, head.stack)
            }
            #[cfg(target_arch = "x86_64")]
            libc::SYS_fork | libc::SYS_vfork => (0, 0),
            _ => return None,
        };
        Some(Wanted { flags, stack })
    }

    fn has(self, flag: c_int) -> bool {
        self.flags & flag as u64 != 0
    }

    /// Whether it makes what fork(2) makes: a child with its own copy of memory, there. One that shares memory has its parent's files
    /// by that, and is the kernel's.
    fn is_fork(self) -> bool {
        !self.has(libc::CLONE_VM) && self.stack == 0
    }

    /// Whether it makes a process that would have its parent's table of descriptors, and its own copy of what this library knows of them:
    /// each would close the other's session, and take a number for a file that the other has closed.
    fn parts_what_is_one(self) -> bool {
        self.has(libc::CLONE_FILES) && !self.has(libc::CLONE_VM) && fds::touched()
    }
}

/// Whether a system call is a clone(2) that [`by_number`] has to do with, by its first arguments.
///
/// # Safety
/// They are those of the system call.
pub unsafe fn forks(number: c_long, first: usize, second: usize) -> bool {
    // SAFETY: the caller's promise.
    let wanted = unsafe { Wanted::by(number, first, second) };
    wanted.is_some_and(|wanted| wanted.is_fork() || wanted.parts_what_is_one())
}

/// A system call that [forks].
///
/// # Safety
/// As the system call.
pub unsafe fn by_number(number: c_long, all: [usize; 5]) -> c_int {
    let [a, b, c, d, e] = all;
    // SAFETY: the caller's promise.
    if unsafe { Wanted::by(number, a, b) }.is_some_and(Wanted::parts_what_is_one) {
        report::say(
            &"a process that shares descriptors but no memory with its parent cannot have host files: clone(2) is refused (EINVAL)",
        );
        return failed(Errno(libc::EINVAL));
    }
    // A child of vfork(2) would come back on this very stack.
    #[cfg(target_arch = "x86_64")]
    let number = match number {
        libc::SYS_vfork => libc::SYS_fork,
        other => other,
    };
    answered(fork_with(|| {
        // SAFETY: the caller's arguments; the child comes back on its own copy of this stack.
        unsafe { sys!(Sysno::from(number as u32), a, b, c, d, e) }
    }))
}

shims! {
    /// clone(2) by libc's function, which has the child call one. With memory of its own the child can do so on its copy of this stack,
    /// and begins on it: the one that it is given may be small.
    fn clone(act: Act, stack: *mut c_void, flags: c_int, argument: *mut c_void, parent: usize, local: usize, child: usize) -> c_int {
        let act = match act {
            Some(act) if !stack.is_null() && flags & libc::CLONE_VM == 0 => act,
            _ => return own::clone(act, stack, flags, argument, parent, local, child),
        };
        let words = match cfg!(target_arch = "x86_64") {
            true => [parent, child, local],
            false => [parent, local, child],
        };
        match by_number(libc::SYS_clone, [flags as usize, 0, words[0], words[1], words[2]]) {
            0 => {
                let status = act(argument);
                observe::end();
                loop {
                    let _ = try_sys!(Sysno::exit, status);
                }
            }
            made => made,
        }
    }
}

shims! {
    // A vfork child borrows its parent's memory, and with it our table; so it gets a copy instead, as POSIX allows, and the program's own
    // handlers run.
    fn fork() -> pid_t {
        answered(match REGISTERED.load(Ordering::Relaxed) {
            true => own::fork(),
            false => fork_with(|| own::fork()),
        })
    }
}

shims! {
    fn _Fork() -> pid_t {
        answered(fork_with(|| own::_Fork()))
    }

    /// Ends the process without its handlers, _exit(2).
    fn _exit(status: c_int) -> c_int {
        observe::end();
        end(status)
    }

    fn daemon(stay: c_int, keep: c_int) -> c_int {
        match fork() {
            -1 => return -1,
            0 => {}
            _ => libc::_exit(0),
        }
        if libc::setsid() == -1 {
            return -1;
        }
        if stay == 0 {
            let _ = crate::shims::working::change(c"/".as_ptr());
        }
        if keep == 0 {
            let null = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR);
            if null == -1 {
                return -1;
            }
            (0..3).for_each(|stream| {
                libc::dup2(null, stream);
            });
            if null > 2 {
                libc::close(null);
            }
        }
        0
    }
}
