//! system(3), where the shell has to be started by this library.
#![allow(unsafe_code)]

use crate::real::errno;
use crate::spawn::shell;
use hostcall::types::Errno;
use libc::{c_char, c_int};

/// Interrupt and quit are ignored and SIGCHLD is blocked while the command runs.
///
/// # Safety
/// `command` is a C string.
pub unsafe fn run(command: *const c_char) -> c_int {
    // SAFETY: all structures are live locals, valid when zeroed.
    unsafe {
        let mut ignore: libc::sigaction = std::mem::zeroed();
        ignore.sa_sigaction = libc::SIG_IGN;
        let mut old: [libc::sigaction; 2] = std::mem::zeroed();
        let mut defaults = std::mem::zeroed();
        libc::sigemptyset(&mut defaults);
        for (signal, old) in [libc::SIGINT, libc::SIGQUIT].into_iter().zip(&mut old) {
            libc::sigaction(signal, &ignore, old);
            if old.sa_sigaction != libc::SIG_IGN {
                libc::sigaddset(&mut defaults, signal);
            }
        }
        let (mut block, mut mask) = (std::mem::zeroed(), std::mem::zeroed());
        libc::sigemptyset(&mut block);
        libc::sigaddset(&mut block, libc::SIGCHLD);
        libc::sigprocmask(libc::SIG_BLOCK, &block, &mut mask);

        let mut attributes = std::mem::zeroed();
        libc::posix_spawnattr_init(&mut attributes);
        libc::posix_spawnattr_setsigmask(&mut attributes, &mask);
        libc::posix_spawnattr_setsigdefault(&mut attributes, &defaults);
        let flags = libc::POSIX_SPAWN_SETSIGDEF | libc::POSIX_SPAWN_SETSIGMASK;
        libc::posix_spawnattr_setflags(&mut attributes, flags as _);
        let mut status = 127 << 8;
        if let Ok(child) = shell(command, &[], &attributes) {
            while libc::waitpid(child, &mut status, 0) == -1 {
                if errno() != Errno(libc::EINTR) {
                    status = -1;
                    break;
                }
            }
        }
        libc::posix_spawnattr_destroy(&mut attributes);
        libc::sigprocmask(libc::SIG_SETMASK, &mask, std::ptr::null_mut());
        for (signal, old) in [libc::SIGINT, libc::SIGQUIT].into_iter().zip(&old) {
            libc::sigaction(signal, old, std::ptr::null_mut());
        }
        status
    }
}
