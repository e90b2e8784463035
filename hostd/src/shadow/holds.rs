//! A session held over execve(2): by how many threads of the old program image, and under which token.
//!
//! Each of them may still fail, and all others go on calling until the kernel ends them, which changes nothing here.

use super::hostd::Hostd;
use crate::message::FromShadow;
use hostcall::types::{Errno, Token};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The holds of one session.
#[derive(Debug)]
pub struct Holds {
    /// Count and token; locked while hostd is asked.
    current: Mutex<(u32, Token)>,
    /// Whether the count is not 0, for the main thread, which delivers hostd's answers and so must not wait.
    any: AtomicBool,
}

impl Holds {
    /// None.
    pub fn new() -> Holds {
        Holds {
            current: Mutex::new((0, Token::NONE)),
            any: AtomicBool::new(false),
        }
    }

    fn current(&self) -> MutexGuard<'_, (u32, Token)> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the session waits for a new image.
    pub fn any(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    /// A thread is about to execve; the new image attaches with the token.
    pub fn add(&self, hostd: &Hostd) -> Result<Token, Errno> {
        let mut current = self.current();
        let (count, token) = &mut *current;
        if *count == 0 {
            *token = Token::random()?;
            let token = (*token).into();
            hostd.ask(&FromShadow::Hold { token }, &[])?;
            self.any.store(true, Ordering::Relaxed);
        }
        *count = count.saturating_add(1);
        Ok(*token)
    }

    /// An execve failed; after the last, the old image goes on.
    pub fn withdraw(&self, hostd: &Hostd) -> Result<(), Errno> {
        let mut current = self.current();
        if current.0 == 1 {
            self.any.store(false, Ordering::Relaxed);
            hostd.tell(&FromShadow::Unhold, &[])?;
        }
        current.0 = current.0.saturating_sub(1);
        Ok(())
    }

    /// The new image has come, and with it the end of all that the old one was about to do. No call is being executed.
    pub fn end(&self) {
        self.any.store(false, Ordering::Relaxed);
        *self.current() = (0, Token::NONE);
    }
}

impl Default for Holds {
    fn default() -> Holds {
        Holds::new()
    }
}
