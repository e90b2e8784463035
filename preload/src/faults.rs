//! Faults that are the library's own: what the kernel answers with `EFAULT` where it touches a program's memory is SIGSEGV or SIGBUS in
//! a program, and SIGILL where the program [enters](entering) it.
//!
//! From the first session on the kernel knows one handler for these signals, [`handle`]. It has a thread whose [access] has faulted go on
//! behind that, and hands everything else on to what the program has set: flags, mask and stack are those that it asked for (of
//! SIGILL not the stack, nor that its handler is deferred), and it is shown no other handler than its own. SIGSEGV and SIGBUS that it ignores are left alone, for an ignored
//! signal is inherited by what it executes; a fault then ends it.
#![allow(unsafe_code)]

use crate::entering;
use crate::real::try_sys;
use crate::symbols::own;
use hostcall::access::{self, Registers};
use libc::{c_int, c_void, siginfo_t, ucontext_t};
use std::mem::zeroed;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering};
use syscalls::Sysno;

/// What the program has set for a signal, as far as the kernel is told something else.
struct Disposition {
    signal: c_int,
    handler: AtomicUsize,
    flags: AtomicI32,
    /// The first word of the mask, all that the kernel has.
    mask: AtomicU64,
    /// Whether the kernel has been told.
    told: AtomicBool,
}

impl Disposition {
    const fn of(signal: c_int) -> Disposition {
        Disposition {
            signal,
            handler: AtomicUsize::new(libc::SIG_DFL),
            flags: AtomicI32::new(0),
            mask: AtomicU64::new(0),
            told: AtomicBool::new(false),
        }
    }

    fn set(&self, action: &libc::sigaction) {
        self.flags.store(action.sa_flags, Ordering::Relaxed);
        // SAFETY: a set is made of words.
        let mask = unsafe { *(&raw const action.sa_mask).cast() };
        self.mask.store(mask, Ordering::Relaxed);
        self.handler.store(action.sa_sigaction, Ordering::Release);
    }
}

impl Disposition {
    /// Blocks in a handler what the program wants blocked in its own, where the kernel has not: until the handler returns, when the mask
    /// is that of the context again.
    ///
    /// # Safety
    /// `context` is that of the handler.
    unsafe fn block(&self, context: *const ucontext_t) {
        if self.signal != libc::SIGILL {
            return;
        }
        // SAFETY: the caller's promise, and a live mask of the size that is passed; a set is made of words.
        unsafe {
            let before: u64 = *(&raw const (*context).uc_sigmask).cast();
            let mask = before | self.mask.load(Ordering::Relaxed);
            let how = libc::SIG_SETMASK;
            let _ = try_sys!(Sysno::rt_sigprocmask, how, &raw const mask, 0, 8);
        }
    }
}

static DISPOSITIONS: [Disposition; 3] = [
    Disposition::of(libc::SIGSEGV),
    Disposition::of(libc::SIGBUS),
    Disposition::of(libc::SIGILL),
];

/// The bit of `sa_flags` by which libc tells the kernel of the code that ends a handler, and which it does not hide.
const RESTORER: c_int = if cfg!(target_arch = "x86_64") {
    0x0400_0000
} else {
    0
};

fn disposition(signal: c_int) -> Option<&'static Disposition> {
    DISPOSITIONS.iter().find(|entry| entry.signal == signal)
}

/// Begins to handle faults of memory, once in a process and for its children.
pub fn begin() {
    begin_with(libc::SIGSEGV);
    begin_with(libc::SIGBUS);
}

/// Begins to handle instructions that there are none of ([`entering`](crate::entering)).
pub fn begin_illegal() {
    begin_with(libc::SIGILL);
}

fn begin_with(signal: c_int) {
    let Some(disposition) = disposition(signal) else {
        return;
    };
    if disposition.told.swap(true, Ordering::Relaxed) {
        return;
    }
    // SAFETY: live structures; the handler is a function of this kind.
    unsafe {
        let mut set = zeroed();
        // Another thread's handler may be called at any time, so it is known before it is replaced.
        if own::sigaction(signal, null(), &mut set) == 0 {
            disposition.set(&set);
            own::sigaction(signal, &for_kernel(signal, &set), null_mut());
        }
    }
}

/// Whether the dispositions of a signal are those of this module.
pub fn owns(signal: c_int) -> bool {
    disposition(signal).is_some_and(|entry| entry.told.load(Ordering::Relaxed))
}

/// What the kernel is told instead of what the program has set.
fn for_kernel(signal: c_int, set: &libc::sigaction) -> libc::sigaction {
    let mut told = *set;
    let illegal = signal == libc::SIGILL;
    if set.sa_sigaction == libc::SIG_IGN && !illegal {
        return told;
    }
    told.sa_sigaction = handle as *const () as usize;
    told.sa_flags = libc::SA_SIGINFO
        | match set.sa_sigaction {
            libc::SIG_DFL => libc::SA_ONSTACK | libc::SA_RESTART,
            _ => set.sa_flags & !libc::SA_RESETHAND,
        };
    if illegal {
        // Whole calls are made in the handler: with room for them, by signals interrupted as ever, and again by a handler in the midst of
        // one.
        told.sa_flags = told.sa_flags & !libc::SA_ONSTACK | libc::SA_NODEFER;
        // SAFETY: a live set.
        unsafe { libc::sigemptyset(&mut told.sa_mask) };
    }
    told
}

/// sigaction(2) for a signal that is [owned](owns).
///
/// # Safety
/// As sigaction(2).
pub unsafe fn action(
    signal: c_int,
    new: *const libc::sigaction,
    old: *mut libc::sigaction,
) -> c_int {
    let Some(disposition) = disposition(signal) else {
        // SAFETY: the caller's promise.
        return unsafe { own::sigaction(signal, new, old) };
    };
    let (handler, flags) = (
        disposition.handler.load(Ordering::Acquire),
        disposition.flags.load(Ordering::Relaxed),
    );
    let mask = disposition.mask.load(Ordering::Relaxed);
    // SAFETY: the caller's structures, and live ones.
    unsafe {
        let told = new.as_ref().map(|new| {
            let mut new = *new;
            new.sa_flags |= RESTORER;
            disposition.set(&new);
            for_kernel(signal, &new)
        });
        let mut seen: libc::sigaction = zeroed();
        let done = own::sigaction(signal, told.as_ref().map_or(null(), |told| told), &mut seen);
        if let (0, Some(old)) = (done, old.as_mut()) {
            *old = seen;
            if seen.sa_sigaction == handle as *const () as usize {
                old.sa_sigaction = handler;
                old.sa_flags = flags;
                // SAFETY: a set is made of words.
                *(&raw mut old.sa_mask).cast() = mask;
            }
        }
        done
    }
}

/// The handler that the kernel knows.
unsafe extern "C" fn handle(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let Some(disposition) = disposition(signal) else {
        return;
    };
    // SAFETY: the kernel's structures.
    let (faulted, landed) = unsafe {
        // Codes above zero are the kernel's own, of an instruction of this thread.
        let faulted = (*info).si_code > 0;
        (faulted, faulted && goes_on(signal, context.cast()))
    };
    if landed {
        return;
    }
    match disposition.handler.load(Ordering::Acquire) {
        // A fault ends the program however it is set; any other has been sent before the program began to ignore it.
        libc::SIG_IGN if !faulted => {}
        // SAFETY: the kernel's structure.
        libc::SIG_DFL | libc::SIG_IGN => unsafe { fall(signal, info, faulted) },
        handler => {
            if disposition.flags.load(Ordering::Relaxed) & libc::SA_RESETHAND != 0 {
                disposition.handler.store(libc::SIG_DFL, Ordering::Release);
            }
            // SAFETY: the program has set it; one that takes the signal alone does not look at the rest.
            unsafe {
                disposition.block(context.cast());
                let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) =
                    std::mem::transmute(handler);
                handler(signal, info, context);
            }
        }
    }
}

/// Has the thread go on, if the fault is none of the program's.
///
/// # Safety
/// `context` is that of a handler.
unsafe fn goes_on(signal: c_int, context: *mut ucontext_t) -> bool {
    // SAFETY: the caller's promise.
    unsafe {
        match signal {
            libc::SIGILL => entering::resume(context),
            _ => land(context),
        }
    }
}

/// Has the thread go on where an access that faulted says.
///
/// # Safety
/// `context` is that of a handler.
#[cfg(target_arch = "x86_64")]
unsafe fn land(context: *mut ucontext_t) -> bool {
    // SAFETY: the caller's promise.
    let registers = unsafe { &mut (*context).uc_mcontext.gregs };
    let of = |register: c_int| registers[register as usize] as usize;
    let landing = access::landing(Registers {
        instruction: of(libc::REG_RIP),
        stack: of(libc::REG_RSP),
        before: of(libc::REG_R12),
        landing: of(libc::REG_R13),
    });
    if let Some((instruction, stack)) = landing {
        registers[libc::REG_RIP as usize] = instruction as i64;
        registers[libc::REG_RSP as usize] = stack as i64;
    }
    landing.is_some()
}

#[cfg(not(target_arch = "x86_64"))]
unsafe fn land(_context: *mut ucontext_t) -> bool {
    false
}

/// Lets the signal do to the process what it does by itself: at the same instruction again, or sent once more.
///
/// # Safety
/// `info` is that of a handler.
unsafe fn fall(signal: c_int, info: *mut siginfo_t, faulted: bool) {
    // SAFETY: live structures, plain system calls.
    unsafe {
        own::sigaction(signal, &zeroed(), null_mut());
        if !faulted {
            let process = libc::getpid();
            let Ok(thread) = try_sys!(Sysno::gettid) else {
                return;
            };
            let _ = try_sys!(Sysno::rt_tgsigqueueinfo, process, thread, signal, info);
        }
    }
}
