//! system(3), where the shell has to be started by this library.
#![allow(unsafe_code)]

use crate::lock::Lock;
use crate::real::{errno, try_sys};
use crate::spawn::shell;
use hostcall::types::Errno;
use libc::{c_char, c_int, c_void, pid_t, sigset_t};
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use syscalls::Sysno;

/// What the process ignores while commands run.
const IGNORED: [c_int; 2] = [libc::SIGINT, libc::SIGQUIT];

/// The commands that run now, of all threads, and what was to be done before the first.
struct Running {
    count: u32,
    before: [MaybeUninit<libc::sigaction>; 2],
}

struct Shared(UnsafeCell<Running>);
// SAFETY: touched by whoever holds `HELD`.
unsafe impl Sync for Shared {}

static RUNNING: Shared = Shared(UnsafeCell::new(Running {
    count: 0,
    before: [MaybeUninit::uninit(); 2],
}));
/// A thread has [`RUNNING`].
static HELD: Lock = Lock::new();

fn held<T>(work: impl FnOnce(&mut Running) -> T) -> T {
    let _held = HELD.take();
    // SAFETY: nobody else has it.
    work(unsafe { &mut *RUNNING.0.get() })
}

/// Ignores the signals of a keyboard, if no other thread has; answers those that the command is not to ignore.
fn ignore() -> sigset_t {
    held(|running| {
        // SAFETY: structures that are valid when zeroed; `before` has been written to by the first.
        unsafe {
            let mut ignore: libc::sigaction = std::mem::zeroed();
            ignore.sa_sigaction = libc::SIG_IGN;
            let mut heeded = std::mem::zeroed();
            libc::sigemptyset(&mut heeded);
            for (signal, before) in IGNORED.into_iter().zip(&mut running.before) {
                if running.count == 0 {
                    libc::sigaction(signal, &ignore, before.as_mut_ptr());
                }
                if before.assume_init_ref().sa_sigaction != libc::SIG_IGN {
                    libc::sigaddset(&mut heeded, signal);
                }
            }
            running.count += 1;
            heeded
        }
    })
}

/// Has those signals do what they did, unless another thread's command runs on.
fn heed() {
    held(|running| {
        running.count -= 1;
        for (signal, before) in IGNORED.into_iter().zip(&running.before) {
            if running.count == 0 {
                // SAFETY: `before` has been written to by the first.
                unsafe { libc::sigaction(signal, before.as_ptr(), std::ptr::null_mut()) };
            }
        }
    });
}

/// In a fork's child: the parent's commands are not its own.
pub fn forked() {
    // SAFETY: there is one thread.
    unsafe { (*RUNNING.0.get()).count = 0 };
    HELD.reset();
}

/// What pthread_cleanup_push(3) keeps, `struct _pthread_cleanup_buffer` of glibc's.
#[repr(C)]
struct Cleanup([usize; 4]);

extern "C" {
    fn _pthread_cleanup_push(
        place: *mut Cleanup,
        act: unsafe extern "C" fn(*mut c_void),
        argument: *mut c_void,
    );
    fn _pthread_cleanup_pop(place: *mut Cleanup, act: c_int);
}

/// Waits for the command, a cancellation point; its status.
fn wait(child: pid_t) -> c_int {
    let (mut status, mut place) = (0, Cleanup([0; 4]));
    // SAFETY: live variables; the place is left to libc until it is taken back.
    unsafe {
        _pthread_cleanup_push(&mut place, give_up, child as usize as *mut c_void);
        while libc::waitpid(child, &mut status, 0) == -1 {
            if errno() != Errno(libc::EINTR) {
                status = -1;
                break;
            }
        }
        _pthread_cleanup_pop(&mut place, 0);
    }
    status
}

/// The thread that waits for the command `child` is cancelled.
///
/// # Safety
/// For `_pthread_cleanup_push`, with the child's number for an address.
unsafe extern "C" fn give_up(child: *mut c_void) {
    let child = child as usize as pid_t;
    // SAFETY: our own child, which nobody else waits for.
    unsafe {
        let _ = try_sys!(Sysno::kill, child, libc::SIGKILL);
        while try_sys!(Sysno::wait4, child, 0, 0, 0) == Err(Errno(libc::EINTR)) {}
    }
    heed();
}

/// Interrupt and quit are ignored and SIGCHLD is blocked while the command runs, which ends with a thread that is cancelled.
///
/// # Safety
/// `command` is a C string.
pub unsafe fn run(command: *const c_char) -> c_int {
    let heeded = ignore();
    // SAFETY: all structures are live locals, valid when zeroed.
    let status = unsafe {
        let (mut block, mut mask) = (std::mem::zeroed(), std::mem::zeroed());
        libc::sigemptyset(&mut block);
        libc::sigaddset(&mut block, libc::SIGCHLD);
        libc::sigprocmask(libc::SIG_BLOCK, &block, &mut mask);

        let mut attributes = std::mem::zeroed();
        libc::posix_spawnattr_init(&mut attributes);
        libc::posix_spawnattr_setsigmask(&mut attributes, &mask);
        libc::posix_spawnattr_setsigdefault(&mut attributes, &heeded);
        let flags = libc::POSIX_SPAWN_SETSIGDEF | libc::POSIX_SPAWN_SETSIGMASK;
        libc::posix_spawnattr_setflags(&mut attributes, flags as _);
        let mut status = 127 << 8;
        if let Ok(child) = shell(command, &[], &attributes) {
            status = wait(child);
        }
        libc::posix_spawnattr_destroy(&mut attributes);
        libc::sigprocmask(libc::SIG_SETMASK, &mask, std::ptr::null_mut());
        status
    };
    heed();
    status
}
