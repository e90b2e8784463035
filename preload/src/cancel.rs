//! Cancelled threads, pthreads(7): where they end.
//!
//! libc's own functions end a cancelled thread where they would wait in the kernel. A call on a host file waits in this library, and
//! does for libc what that does for itself: once any thread has been cancelled, each hook of a [cancellation
//! point](Row::is_point) asks libc on entry; and who waits for the host is woken, gives its call up
//! ([`cancellation`](hostcall::cancellation)) and asks again at the end of the hook, where the failure is told ([`interrupted`]). By
//! then the hook has nothing in hand, and the frames above are none that have anything to do: libc unwinds them as
//! if they were not there.
//!
//! A thread that may be cancelled at any instant is not while it is in a hook: it would leave lanes and tables as they were
//! at that instant.
#![allow(unsafe_code)]

use crate::real::shims;
use crate::symbols::own;
use crate::{observe, session};
use hostcall::{cancellation, stack};
use libc::{c_int, pthread_t};
use std::cell::Cell;
use std::ptr::null_mut;

/// `PTHREAD_CANCEL_DEFERRED`
const DEFERRED: c_int = 0;
/// `PTHREAD_CANCEL_ASYNCHRONOUS`
const ASYNCHRONOUS: c_int = 1;

thread_local! {
    /// Where the outermost hook stands on the thread's stack; 0 if there is none. Only compared: a handler that leaves by longjmp(3)
    /// leaves it behind.
    static OUTERMOST: Cell<usize> = const { Cell::new(0) };
}

/// Has the calling thread end if it was cancelled and lets itself be.
fn ask() {
    // It ends where that call does.
    if cancellation::is_noted() && is_amid_a_call() {
        return;
    }
    // Before the question: a note that was made after it stays.
    if cancellation::is_noted() && cancellation::is_enabled() {
        cancellation::forget();
    }
    cancellation::test();
}

/// Whether a handler has interrupted a call of its thread, which has that call's lane in hand.
fn is_amid_a_call() -> bool {
    session::attached().is_some_and(|client| client.is_amid_a_call())
}

/// Where a hook that is a cancellation point begins.
pub fn point() {
    if observe::is_cancelling() && !cancellation::is_deaf() {
        ask();
    }
}

/// Where a hook tells its program that it was interrupted: perhaps because the thread is cancelled.
#[cold]
pub fn interrupted() {
    point();
}

/// A hook, once any thread has been cancelled or may be at any instant.
pub fn around<T>(is_point: bool, call: impl FnOnce() -> T) -> T {
    let here = stack::here();
    let outer = OUTERMOST.get();
    // The library calls its own hooks too: what closes a descriptor on the way is no cancellation point for that.
    let is_outermost = outer == 0 || here > outer;
    let deferral = Deferral::begin(is_outermost);
    // Left behind by a handler that has left a call by longjmp(3), as is a type that was put off.
    let deaf = is_outermost.then(|| cancellation::set_deaf(false));
    if is_outermost {
        OUTERMOST.set(here);
        if is_point {
            point();
        } else if cancellation::is_noted() && !is_amid_a_call() {
            // Perhaps meant for a thread before this one. If not, the next point asks libc all the same.
            cancellation::forget();
        }
    }
    let answer = call();
    if let Some(deaf) = deaf {
        OUTERMOST.set(0);
        cancellation::set_deaf(deaf);
    }
    deferral.end();
    answer
}

/// A time in which the calling thread is cancelled at cancellation points only.
struct Deferral(c_int);

impl Deferral {
    fn begin(is_outermost: bool) -> Deferral {
        let mut before = DEFERRED;
        if observe::is_sudden() {
            // SAFETY: a live integer.
            unsafe { own::pthread_setcanceltype(DEFERRED, &mut before) };
        }
        if is_outermost && cancellation::is_sudden() {
            before = ASYNCHRONOUS;
        }
        if before == ASYNCHRONOUS {
            cancellation::set_sudden(true);
        }
        Deferral(before)
    }

    /// Here the thread ends if it was cancelled meanwhile.
    fn end(self) {
        if self.0 == ASYNCHRONOUS {
            cancellation::set_sudden(false);
            // SAFETY: a null pointer asks for nothing back.
            unsafe { own::pthread_setcanceltype(ASYNCHRONOUS, null_mut()) };
        }
    }
}

shims! {
    fn pthread_cancel(thread: pthread_t) -> c_int {
        // Before all: whoever enters a hook from now on asks for itself.
        observe::cancelling();
        let answer = own::pthread_cancel(thread);
        if answer == 0 {
            cancellation::note(thread as usize);
            if let Some(client) = session::attached() {
                client.cancelled(thread as usize);
            }
        }
        answer
    }

    fn pthread_setcanceltype(kind: c_int, old: *mut c_int) -> c_int {
        if kind == ASYNCHRONOUS {
            observe::sudden();
        }
        own::pthread_setcanceltype(kind, old)
    }
}
