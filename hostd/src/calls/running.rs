//! Files that the guest's kernel executes ([`running`](crate::running)): who would write to them is told `ETXTBSY`.
#![allow(unsafe_code)]

use super::link::identity;
use super::Caller;
use crate::running::EXECUTE;
use crate::shadow::session::Session;
use hostcall::types::Errno;
use std::ffi::CStr;
use std::time::{Duration, Instant};

/// A guest kernel tells of a program's end after it has let others know, so an end may be on its way for so long.
const LATE: Duration = Duration::from_millis(500);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(1);

impl Session {
    /// Whatever else ends with a descriptor that is about to be closed.
    pub(crate) fn before_close(&self, fd: i32) {
        self.end_watches(fd);
        if let Some(len) = self.scratches.close(fd) {
            self.board.give_scratch(self.slot, len);
        }
        self.streams.close(fd);
        self.board.head().running.leave(self.slot, fd);
    }
}

impl Caller {
    /// Notes that the guest's kernel executes a file that was opened with these flags, if it was opened for that.
    pub(super) fn note_execution(&self, fd: i32, flags: i32) {
        if flags & EXECUTE == 0 {
            return;
        }
        // SAFETY: a live stat.
        if let Ok(file) = identity(|data| unsafe { libc::fstat(fd, data) }) {
            let running = &self.session.board.head().running;
            running.enter(self.session.slot, fd, file);
        }
    }

    /// Waits for the end of the program that a path leads to, if it is to be opened for writing.
    ///
    /// # Errors
    /// `ETXTBSY` if it goes on; what opening it answers, if that is more than this one is told.
    pub(super) fn not_running(&self, dirfd: i32, path: &CStr, flags: i32) -> Result<(), Errno> {
        let running = &self.session.board.head().running;
        let writes = flags & (libc::O_ACCMODE | libc::O_TRUNC) != libc::O_RDONLY;
        // What is there already is not opened by it.
        let makes = flags & (libc::O_CREAT | libc::O_EXCL) == libc::O_CREAT | libc::O_EXCL;
        if !writes || makes || flags & libc::O_PATH != 0 || !running.any() {
            return Ok(());
        }
        let follow = match flags & libc::O_NOFOLLOW {
            0 => 0,
            _ => libc::AT_SYMLINK_NOFOLLOW,
        };
        let start = Instant::now();
        loop {
            // SAFETY: a NUL-terminated private path and a live stat.
            let file =
                identity(|data| unsafe { libc::fstatat(dirfd, path.as_ptr(), data, follow) });
            if !file.is_ok_and(|file| running.holds(self.session.slot, file)) {
                return Ok(());
            }
            if start.elapsed() > LATE {
                break;
            }
            std::thread::sleep(PAUSE);
        }
        // Those who may not write are told that before.
        let harmless = flags & !(libc::O_CREAT | libc::O_TRUNC) | libc::O_CLOEXEC;
        // SAFETY: a NUL-terminated private path; the descriptor is nobody else's.
        unsafe {
            let opened = Errno::result(libc::openat(dirfd, path.as_ptr(), harmless).into())?;
            libc::close(opened as i32);
        }
        Err(Errno(libc::ETXTBSY))
    }
}
