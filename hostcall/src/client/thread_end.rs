//! Something that a thread does when it ends, without the allocation that a destructor of thread-local storage takes.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::sync::atomic::{AtomicU32, Ordering};

/// Keys whose values glibc keeps in the thread itself; for one beyond them it allocates (`PTHREAD_KEY_2NDLEVEL_SIZE`).
const INLINE: u32 = 32;
/// No key has been asked for.
const UNKNOWN: u32 = u32::MAX;
/// There is none to be had.
const NONE: u32 = u32::MAX - 1;

/// What each thread does at its end that has asked for it.
#[derive(Debug)]
pub(super) struct ThreadEnd {
    key: AtomicU32,
    act: extern "C" fn(*mut c_void),
}

impl ThreadEnd {
    pub(super) const fn new(act: extern "C" fn(*mut c_void)) -> ThreadEnd {
        let key = AtomicU32::new(UNKNOWN);
        ThreadEnd { key, act }
    }

    /// Has the calling thread act when it ends, if that is possible.
    pub(super) fn ask(&self) {
        let key = self.key();
        if key < INLINE {
            // SAFETY: the key is ours; its value, any but null, is passed to `act`, which ignores it.
            unsafe { libc::pthread_setspecific(key, std::ptr::from_ref(self).cast()) };
        }
    }

    fn key(&self) -> libc::pthread_key_t {
        let known = self.key.load(Ordering::Relaxed);
        if known != UNKNOWN {
            return known;
        }
        let mut key = NONE;
        let act: unsafe extern "C" fn(*mut c_void) = self.act;
        // SAFETY: a live local; the function is this program's for as long as it runs.
        unsafe {
            if libc::pthread_key_create(&mut key, Some(act)) != 0 {
                key = NONE;
            } else if key >= INLINE {
                libc::pthread_key_delete(key);
                key = NONE;
            }
        }
        match self
            .key
            .compare_exchange(UNKNOWN, key, Ordering::Relaxed, Ordering::Relaxed)
        {
            Ok(_) => key,
            Err(other) => {
                if key != NONE {
                    // SAFETY: ours, and nobody else has seen it.
                    unsafe { libc::pthread_key_delete(key) };
                }
                other
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_have_asked_act_at_their_end() {
        static ACTED: AtomicU32 = AtomicU32::new(0);
        extern "C" fn act(_: *mut c_void) {
            ACTED.fetch_add(1, Ordering::Relaxed);
        }
        static END: ThreadEnd = ThreadEnd::new(act);
        let run = |asks: bool| {
            let thread = std::thread::spawn(move || {
                if asks {
                    END.ask();
                    END.ask();
                }
            });
            thread.join().unwrap();
        };
        for (asks, acted) in [(false, 0), (true, 1), (false, 1), (true, 2)] {
            run(asks);
            assert_eq!(ACTED.load(Ordering::Relaxed), acted);
        }
    }
}
