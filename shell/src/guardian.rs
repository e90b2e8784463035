//! Who gives the terminal its settings back when this process cannot, for SIGKILL leaves it no time: a child that waits for nothing
//! but this process's end.
//!
//! It touches the settings only if they are still those that this process has made: a shell that has put its own in order by
//! then, as bash does for its own jobs, is left alone. It holds no file of ours but the terminal, belongs to no job, hears no
//! signal, and does not go by our name: who kills all that are called so does not mean it.
#![allow(unsafe_code)]

use nix::sys::termios::Termios;
use std::ffi::{c_char, c_int};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Mutex, PoisonError};

/// A terminal's settings as the kernel has them, `struct termios` of asm-generic/termbits.h. libc's begins in the same way.
type Settings = [u8; 36];

/// No settings: no terminal has these.
const NONE: Settings = [0; 36];

/// What the guardian is told: the settings that are ours, and those to go back to; none while the terminal is not ours.
type Message = [Settings; 2];

/// The line to the guardian; it ends with this process.
static LINE: Mutex<Option<File>> = Mutex::new(None);

/// Where this process's name stands, as pidof(1) and ps(1) read it.
static NAME: AtomicPtr<c_char> = AtomicPtr::new(std::ptr::null_mut());

/// The arguments of `main`, which libc hands to initialisers too.
#[used]
#[link_section = ".init_array"]
static LOOK: extern "C" fn(c_int, *const *mut c_char) = look;

extern "C" fn look(_: c_int, arguments: *const *mut c_char) {
    // SAFETY: an array that ends with a null pointer.
    NAME.store(unsafe { *arguments }, Ordering::Relaxed);
}

fn as_kernel_has_them(settings: &Termios) -> Settings {
    let settings: libc::termios = settings.clone().into();
    // SAFETY: the beginning of a live structure of numbers without gaps.
    unsafe { *std::ptr::from_ref(&settings).cast() }
}

/// Has the guardian know that the terminal is about to be ours, with these settings after others.
pub fn watch(ours: &Termios, before: &Termios) {
    tell(&[ours, before].map(as_kernel_has_them));
}

/// Has it know that the terminal is ours no more.
pub fn release() {
    tell(&[NONE; 2]);
}

/// Without a guardian the terminal is less safe, and everything else as it should be.
fn tell(message: &Message) {
    let mut line = LINE.lock().unwrap_or_else(PoisonError::into_inner);
    if line.is_none() {
        *line = start();
    }
    if let Some(line) = &mut *line {
        // Less than PIPE_BUF: all of it or nothing.
        let _ = line.write_all(message.as_flattened());
    }
}

fn start() -> Option<File> {
    let pipe = || nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).ok();
    let ((reader, writer), (ready, is_ready)) = (pipe()?, pipe()?);
    // By the system call itself, as everything in the child: other threads may hold whatever locks, and the preload library
    // is not to follow a process that has no files.
    // SAFETY: a child with a copy of this process's memory, in which `guard` allocates nothing and never returns.
    unsafe {
        match libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) {
            0 => guard(reader.as_raw_fd(), is_ready.as_raw_fd()),
            -1 => return None,
            _ => {}
        }
    }
    drop(is_ready);
    // Until it has a name of its own, whoever kills us by ours kills it too.
    let _ = File::from(ready).read(&mut [0]);
    Some(File::from(writer))
}

/// The guardian.
///
/// # Safety
/// To be called in a child with one thread.
unsafe fn guard(line: RawFd, ready: RawFd) -> ! {
    let mut message: Message = [NONE; 2];
    // SAFETY: plain system calls on live arrays of the kernel's sizes; the other descriptors, and the name up to its NUL, are copies that nobody uses.
    unsafe {
        let all = [u64::MAX; 1];
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            all.as_ptr(),
            0,
            8,
        );
        libc::syscall(libc::SYS_setpgid, 0, 0);
        libc::syscall(libc::SYS_prctl, libc::PR_SET_NAME, c"guardian".as_ptr());
        let mut name = NAME.load(Ordering::Relaxed);
        while !name.is_null() && *name != 0 {
            *name = b'-' as c_char;
            name = name.add(1);
        }
        libc::syscall(libc::SYS_write, ready, c"r".as_ptr(), 1);
        // The terminal is 0, the line 1.
        libc::syscall(libc::SYS_dup3, line, 1, 0);
        libc::syscall(libc::SYS_close_range, 2, u32::MAX, 0);
        loop {
            let mut told: Message = [NONE; 2];
            match libc::syscall(libc::SYS_read, 1, told.as_mut_ptr(), size_of::<Message>()) {
                1.. => message = told,
                _ => break,
            }
        }
        let [ours, before] = &message;
        let mut now = NONE;
        let asked = libc::syscall(libc::SYS_ioctl, 0, libc::TCGETS, now.as_mut_ptr());
        if asked == 0 && now == *ours {
            libc::syscall(libc::SYS_ioctl, 0, libc::TCSETS, before.as_ptr());
        }
        libc::syscall(libc::SYS_exit_group, 0);
    }
    unreachable!("it has ended")
}
