//! Cancelled threads, pthreads(7): whose calls end because another thread has cancelled them.
//!
//! libc knows who is cancelled, but answers nobody who asks: pthread_testcancel(3) does not come back from a yes. So whoever
//! cancels a thread notes that here as well, after libc knows, and wakes the thread. One that is about to sleep in a call looks
//! here, and gives the call up as after a signal handler; what the call has moved by then it tells. Acting on it is left to those who
//! have nothing in hand any more.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::ffi::c_int;
use std::sync::atomic::{fence, AtomicBool, AtomicUsize, Ordering};

extern "C" {
    fn pthread_setcancelstate(state: c_int, old: *mut c_int) -> c_int;
    fn pthread_testcancel();
}

/// Has the calling thread end if it was cancelled and lets itself be. No frame between this one and the program's may have anything
/// to drop: libc unwinds them as if they were not there.
pub fn test() {
    // Not `C-unwind`, by which the compiler would have frames refuse to be unwound, through a runtime that is not the one
    // that unwinds: the preload library has its own.
    // SAFETY: no arguments; the caller's promise.
    unsafe { pthread_testcancel() };
}

/// `PTHREAD_CANCEL_ENABLE`
const ENABLED: c_int = 0;
/// `PTHREAD_CANCEL_DISABLE`
const DISABLED: c_int = 1;

/// More than are cancelled at a time and wait for the host.
const MOST: usize = 1024;

/// The threads that were cancelled last, 0 for none. One that acts on it elsewhere stays here until a later thread of the same
/// name finds that it is not meant, or others need the room.
static CANCELLED: [AtomicUsize; MOST] = [const { AtomicUsize::new(0) }; MOST];
/// Where the next is noted if there is no room.
static NEXT: AtomicUsize = AtomicUsize::new(0);
/// Whether any ever was.
static ANY: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// Calls of this thread go on though it is cancelled.
    static DEAF: Cell<bool> = const { Cell::new(false) };
    /// This thread may be cancelled anywhere.
    static SUDDEN: Cell<bool> = const { Cell::new(false) };
}

/// The calling thread.
pub fn this_thread() -> usize {
    // SAFETY: no arguments.
    unsafe { libc::pthread_self() as usize }
}

fn place_of(thread: usize) -> Option<&'static AtomicUsize> {
    CANCELLED
        .iter()
        .find(|noted| noted.load(Ordering::Relaxed) == thread)
}

/// A thread has been cancelled, as libc knows already. Whoever sleeps is to be woken after this.
pub fn note(thread: usize) {
    ANY.store(true, Ordering::Relaxed);
    if place_of(thread).is_none() {
        let take = |free: &AtomicUsize| {
            let (none, order) = (0, Ordering::Relaxed);
            free.compare_exchange(none, thread, order, order).is_ok()
        };
        if !CANCELLED.iter().any(take) {
            let at = NEXT.fetch_add(1, Ordering::Relaxed) % MOST;
            CANCELLED[at].store(thread, Ordering::Relaxed);
        }
    }
    // [K1] Orders the note before the search for the sleeper; pairs with [K2] of who is about to sleep: one of the two sees
    // what the other has written.
    fence(Ordering::SeqCst);
}

/// Whether the calling thread has been noted.
pub fn is_noted() -> bool {
    ANY.load(Ordering::Relaxed) && place_of(this_thread()).is_some()
}

/// Takes the note about the calling thread away. To be followed by a question to libc, for the note may be of this moment.
pub fn forget() {
    if let Some(noted) = place_of(this_thread()) {
        noted.store(0, Ordering::SeqCst);
    }
}

/// Whether the calling thread lets itself be cancelled.
pub fn is_enabled() -> bool {
    Held::begin().before == ENABLED
}

/// Whether the calling thread is to give up the call in which it waits.
pub fn is_wanted() -> bool {
    !is_deaf() && is_noted() && is_enabled()
}

/// Whether calls of this thread go on though it is cancelled.
pub fn is_deaf() -> bool {
    DEAF.get()
}

/// Says whether the calling thread may be cancelled anywhere: then all that waits is given up.
pub fn set_sudden(sudden: bool) {
    SUDDEN.set(sudden);
}

/// Whether the calling thread may be cancelled anywhere, as [`set_sudden`] has it.
pub fn is_sudden() -> bool {
    SUDDEN.get()
}

/// Has calls of this thread go on, or not, though it is cancelled; answers whether they did before.
pub fn set_deaf(deaf: bool) -> bool {
    DEAF.replace(deaf)
}

/// Does what is no cancellation point though it may wait.
pub fn passed<T>(work: impl FnOnce() -> T) -> T {
    let before = DEAF.replace(!SUDDEN.get());
    let done = work();
    DEAF.set(before);
    done
}

/// The calling thread is not cancelled while this lives, not in libc's own cancellation points either: it has what others need.
pub struct Held {
    before: c_int,
}

impl Held {
    /// From now on.
    pub fn begin() -> Held {
        let mut before = ENABLED;
        // SAFETY: a live integer.
        unsafe { pthread_setcancelstate(DISABLED, &mut before) };
        Held { before }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.before == ENABLED {
            // SAFETY: a null pointer asks for nothing back.
            unsafe { pthread_setcancelstate(ENABLED, std::ptr::null_mut()) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_noted_gives_its_waits_up_unless_it_holds_out() {
        assert!(!is_noted() && !is_wanted());
        std::thread::spawn(|| {
            note(this_thread());
            note(this_thread());
            assert!(is_noted() && is_wanted());
            assert!(!passed(is_wanted) && is_wanted());
            set_sudden(true);
            assert!(passed(is_wanted));
            set_sudden(false);
            {
                let _held = Held::begin();
                let _inner = Held::begin();
                assert!(is_noted() && !is_wanted());
            }
            assert!(is_wanted());
            forget();
            assert!(!is_noted() && !is_wanted());
        })
        .join()
        .unwrap();
        assert!(!is_noted());
    }
}
