//! The limit of the size of files, `RLIMIT_FSIZE` of setrlimit(2). The host keeps it for host files: it alone knows at which
//! position a write is made. Beyond the limit its calls answer `EFBIG`, and the signal is sent here.
#![allow(unsafe_code)]

use crate::real::{signal_self, try_sys};
use crate::session;
use hostcall::client::Client;
use hostcall::ops::Calls;
use std::sync::atomic::{AtomicBool, Ordering};
use syscalls::Sysno;

/// Whether there is a limit, as far as the host was told.
static LIMITED: AtomicBool = AtomicBool::new(false);

/// Tells the host this process's limit, where it has one or had one.
pub fn tell(client: &Client) {
    let mut limit = libc::rlimit {
        rlim_cur: libc::RLIM_INFINITY,
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: a live structure; nothing is set.
    let known = unsafe { try_sys!(Sysno::prlimit64, 0, libc::RLIMIT_FSIZE, 0, &raw mut limit) };
    let limited = known.is_ok() && limit.rlim_cur != libc::RLIM_INFINITY;
    if limited | LIMITED.swap(limited, Ordering::Relaxed) {
        let _ = client.limit_size(limit.rlim_cur);
    }
}

/// The process has changed its limit.
pub fn changed() {
    // A session that begins later is told as it begins.
    if let Some(client) = session::attached() {
        tell(client);
    }
}

/// Sends the calling thread the signal of a call on a host file that went beyond the limit.
#[cold]
pub fn beyond() {
    // Without a limit, the file would be larger than its file system can hold, which is no signal's business.
    if LIMITED.load(Ordering::Relaxed) {
        signal_self(libc::SIGXFSZ);
    }
}
