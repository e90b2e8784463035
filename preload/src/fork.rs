//! fork(2), vfork(2), clone(2), daemon(3), and _exit(2) at their end: the child gets a shadow of its own, with the same files and
//! directory.
//!
//! A child made past these hooks (by an instruction of the program's own) finds its session page wiped, lets go of what it inherited,
//! and begins a session of its own at the first host path; its parent's host files answer `EBADF` there.
#![allow(unsafe_code)]

use crate::real::{errno, set_errno, shims, sys, try_sys, Function};
use crate::symbols::own;
use crate::{materialise, observe, session};
use hostcall::access::get;
use hostcall::types::Token;
use libc::{c_int, c_long, c_void, pid_t};
use syscalls::Sysno;

/// What the child of a clone(2) by libc's function does.
pub type Act = Option<unsafe extern "C" fn(*mut c_void) -> c_int>;

/// What a child begins with.
#[derive(Clone, Copy)]
struct Prepared {
    /// The parent's session, if there is anything in it.
    session: Option<Token>,
    /// The mask of signals, which are blocked meanwhile: a handler that ran in the child before it has its session would begin an
    /// empty one.
    signals: Option<u64>,
    /// There is no other thread, which might open files before the child is made.
    alone: bool,
}

impl Prepared {
    fn new() -> Prepared {
        materialise::before_fork();
        let session = session::prepare_fork();
        Prepared {
            session,
            signals: session.map(|_| session::block_signals()),
            alone: alone(),
        }
    }

    /// In the child.
    fn begin(self) {
        observe::forked();
        session::after_fork(self.session, self.alone);
        self.end();
    }

    /// In either.
    fn end(self) {
        if let Some(signals) = self.signals {
            session::restore_signals(signals);
        }
    }
}

/// Whether libc knows that the process has one thread. Before glibc 2.32 it does not say.
fn alone() -> bool {
    static SINGLE: Function = Function::new();
    // SAFETY: libc's own variable of that name, a `char`.
    unsafe { SINGLE.get::<*const u8>(c"__libc_single_threaded") }
        // SAFETY: as above.
        .is_some_and(|single| unsafe { single.read_volatile() } != 0)
}

/// Forks by `real`, with the session prepared before and taken over or let go after.
fn fork_with(real: impl FnOnce() -> pid_t) -> pid_t {
    let prepared = Prepared::new();
    let child = real();
    let saved = errno();
    match child {
        0 => prepared.begin(),
        _ => prepared.end(),
    }
    set_errno(saved);
    child
}

/// Whether a clone(2) with these flags and this stack makes what fork(2) makes: a child with its own copy of memory, there.
/// One that shares memory has its parent's files by that, and is the kernel's.
fn is_fork(flags: u64, stack: u64) -> bool {
    flags & libc::CLONE_VM as u64 == 0 && stack == 0
}

/// Whether a system call is such a clone(2), by its first arguments.
///
/// # Safety
/// They are those of the system call.
pub unsafe fn forks(number: c_long, first: usize, second: usize) -> bool {
    /// The head of `struct clone_args`.
    #[derive(Clone, Copy)]
    #[repr(C)]
    struct Head {
        flags: u64,
        others: [u64; 4],
        stack: u64,
    }
    match number {
        libc::SYS_clone => is_fork(first as u64, second as u64),
        libc::SYS_clone3 if second >= size_of::<Head>() => {
            // SAFETY: the caller's promise.
            let head = unsafe { get(first as *const Head) };
            head.is_ok_and(|head| is_fork(head.flags, head.stack))
        }
        #[cfg(target_arch = "x86_64")]
        libc::SYS_fork => true,
        _ => false,
    }
}

/// A system call that [forks].
///
/// # Safety
/// As the system call.
pub unsafe fn by_number(number: c_long, all: [usize; 5]) -> c_int {
    let [a, b, c, d, e] = all;
    fork_with(|| {
        // SAFETY: the caller's arguments; the child comes back on its own copy of this stack.
        unsafe { sys!(Sysno::from(number as u32), a, b, c, d, e) }
    })
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
    // A vfork child borrows its parent's memory, and with it our table; so it gets a copy instead, as POSIX allows.
    fn fork() -> pid_t {
        fork_with(|| own::fork())
    }
}

shims! {
    fn _Fork() -> pid_t {
        fork_with(|| own::_Fork())
    }

    /// Ends the process without its handlers, _exit(2).
    fn _exit(status: c_int) -> c_int {
        observe::end();
        loop {
            let _ = try_sys!(Sysno::exit_group, status);
        }
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
