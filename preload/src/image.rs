//! The program files that this process is about to execute.
#![allow(unsafe_code)]

use crate::real::try_sys;
pub use hostcall::image::Image;
use hostcall::image::{self, Program};
use libc::{c_char, c_int};
use syscalls::Sysno;

/// What the program at `dirfd`, `path` is.
///
/// # Safety
/// `path` is a C string.
pub unsafe fn of(dirfd: c_int, path: *const c_char, flags: c_int) -> Image {
    // SAFETY: the caller's promise.
    let opened = unsafe { open(dirfd, path, flags & libc::AT_EMPTY_PATH) };
    // SAFETY: a C string.
    image::of(opened, |path| unsafe {
        open(libc::AT_FDCWD, path.as_ptr(), 0)
    })
}

/// A file that is closed when dropped.
struct File(c_int);

impl Program for File {
    fn read(&self, room: &mut [u8], offset: u64) -> usize {
        // SAFETY: a live buffer and its length.
        let read = unsafe {
            try_sys!(
                Sysno::pread64,
                self.0,
                room.as_mut_ptr(),
                room.len(),
                offset
            )
        };
        read.unwrap_or(0) as usize
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // SAFETY: opened by `open`, and nobody else knows it.
        let _ = unsafe { try_sys!(Sysno::close, self.0) };
    }
}

/// # Safety
/// `path` is a C string.
unsafe fn open(dirfd: c_int, path: *const c_char, flags: c_int) -> Option<File> {
    let how = libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NOCTTY | libc::O_NONBLOCK;
    // SAFETY: the caller's promise.
    let opened = unsafe {
        match flags != 0 && *path == 0 {
            true => try_sys!(Sysno::fcntl, dirfd, libc::F_DUPFD_CLOEXEC, 3),
            false => try_sys!(Sysno::openat, dirfd, path, how, 0),
        }
    };
    opened.ok().map(|fd| File(fd as c_int))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_judged_by_its_path_and_a_script_by_its_interpreter() {
        // SAFETY: NUL-terminated paths.
        let look = |path: &std::ffi::CStr| unsafe { of(libc::AT_FDCWD, path.as_ptr(), 0) };
        assert_eq!(look(c"/proc/self/exe"), Image::Loads);
        assert_eq!(look(c"/no such"), Image::Loads);
        let script = std::env::temp_dir().join(format!("hostcall-image-{}", std::process::id()));
        let name = std::ffi::CString::new(script.as_os_str().as_encoded_bytes()).unwrap();
        std::fs::write(&script, format!("#! {}\n", script.display())).unwrap();
        assert_eq!(look(&name), Image::Loads, "a script of itself");
        std::fs::remove_file(&script).unwrap();
    }
}
