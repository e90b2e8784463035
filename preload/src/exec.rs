//! execve(2) and its relatives: the new program image takes the session over.
#![allow(unsafe_code)]

use crate::environment::{Brings, Environment};
use crate::image::{self, Image};
use crate::place::{self, PathBuffer, Place};
use crate::real::{finish, kernel, set_errno, shims, try_sys};
use crate::symbols::{own, Row};
use crate::{fds, materialise, observe, session};
use hostcall::access;
use hostcall::ops::Calls;
use hostcall::types::{AtFlags, Errno};
use libc::{c_char, c_int};
use std::convert::Infallible;
use std::ffi::CStr;
use syscalls::Sysno;

/// A NULL-terminated array of C strings, as execve(2) takes it.
pub type Strings = *const *const c_char;

extern "C" {
    static environ: Strings;
}

/// The program's environment.
pub fn current() -> Strings {
    // SAFETY: libc's variable; a program that changes it while another thread execs has a race of its own.
    unsafe { environ }
}

/// What the guest kernel says of a file's type and rights, if it finds the file.
unsafe fn mode(dirfd: c_int, path: *const c_char, flags: c_int) -> Option<libc::mode_t> {
    let mut stats = std::mem::MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: the caller's path; the structure is ours for the call, and zeros are a stat.
    unsafe {
        let at = crate::shims::stat::STAT_AT;
        let found = try_sys!(
            at,
            dirfd,
            path,
            stats.as_mut_ptr(),
            flags & libc::AT_EMPTY_PATH
        );
        found.is_ok().then(|| stats.assume_init().st_mode)
    }
}

/// A program that runs with more rights than its caller gets nothing of ours.
unsafe fn privileged(dirfd: c_int, path: *const c_char, flags: c_int) -> bool {
    // SAFETY: the caller's path.
    let mode = unsafe { mode(dirfd, path, flags) };
    mode.is_some_and(|mode| mode & (libc::S_ISUID | libc::S_ISGID) != 0)
}

/// The environment for a program that will not take the session over: the session is not held for it, and whatever it
/// starts is told of none. `None` for all others.
///
/// # Safety
/// The arguments are those of execveat(2).
unsafe fn without_session(
    (dirfd, path): (c_int, *const c_char),
    given: Strings,
    edited: &Environment,
    flags: c_int,
    privileged: bool,
) -> Option<Environment> {
    // SAFETY: the caller's promise.
    let image = unsafe { image::of(dirfd, path, flags) };
    let alone = privileged || materialise::filtered() || image != Image::Loads;
    if alone && edited.hands_over() {
        materialise::prepare();
        // Without a host there is nothing held.
        let _ = session::client().and_then(|client| client.unhold_session());
    } else if image != Image::Refuses && !materialise::confined() {
        return None;
    }
    // SAFETY: the caller's promise.
    unsafe { Environment::new(given, brings(image)) }.ok()
}

/// What an image is given that does not take the session over.
pub fn brings(image: Image) -> Brings {
    match image {
        _ if materialise::confined() => Brings::Settings,
        Image::Refuses => Brings::Settings,
        Image::Loads | Image::Static => Brings::Library,
    }
}

/// Executes a file by its path. Comes back only with an error.
///
/// # Safety
/// The arguments are those of execveat(2).
unsafe fn execute(
    (dirfd, path): (c_int, *const c_char),
    arguments: Strings,
    given: Strings,
    edited: &Environment,
    flags: c_int,
) -> Result<Infallible, Errno> {
    let mut buffer = PathBuffer::new();
    // SAFETY: the caller's promise.
    unsafe {
        match place::at(dirfd, path, &mut buffer)? {
            Place::Guest { dirfd, path } => {
                let privileged = privileged(dirfd, path, flags);
                let alone = without_session((dirfd, path), given, edited, flags, privileged);
                let environment = match privileged {
                    true => given,
                    false => alone.as_ref().unwrap_or(edited).as_ptr(),
                };
                observe::before_exec(dirfd, path);
                let failed = match flags == 0 && dirfd == libc::AT_FDCWD {
                    true => kernel(syscalls::raw_syscall!(
                        Sysno::execve,
                        path,
                        arguments,
                        environment
                    )),
                    false => try_sys!(Sysno::execveat, dirfd, path, arguments, environment, flags),
                };
                Err(failed.err().unwrap_or(Errno(libc::EINVAL)))
            }
            // The guest kernel finds a program of the host on the mount, if there is one: by the path as it was given,
            // for it stands where the shadow stands. Without one it cannot map what it does not have.
            Place::Host { dir, path: found } => {
                let at = flags & (libc::AT_EMPTY_PATH | libc::AT_SYMLINK_NOFOLLOW);
                let how = AtFlags(libc::AT_EACCESS | at);
                session::client()?.faccessat2(dir, found, libc::X_OK, how)?;
                // By its descriptor alone, or from a directory that the guest kernel knows only by a placeholder.
                let by_descriptor = access::first(path) != b'/' && fds::host(dirfd).is_some();
                let dirfd = match by_descriptor {
                    true => materialise::to_execute(dirfd)?,
                    false => dirfd,
                };
                let alone = without_session((dirfd, path), given, edited, flags, false);
                let environment = alone.as_ref().unwrap_or(edited);
                observe::before_exec(dirfd, path);
                let failed = try_sys!(
                    Sysno::execveat,
                    dirfd,
                    path,
                    arguments,
                    environment.as_ptr(),
                    flags
                );
                match failed {
                    // What is not there is the interpreter: the file is.
                    Err(Errno(libc::ENOENT)) if mode(dirfd, path, flags).is_some() => {
                        Err(Errno(libc::ENOENT))
                    }
                    Err(Errno(libc::ENOENT | libc::EBADF)) | Ok(_) => Err(Errno(libc::EACCES)),
                    Err(errno) => Err(errno),
                }
            }
        }
    }
}

/// execveat(2) with everything that is to be inherited.
unsafe fn execute_file(
    at: (c_int, *const c_char),
    arguments: Strings,
    given: Strings,
    flags: c_int,
) -> c_int {
    fds::release_reserved();
    // SAFETY: the calling program's arguments.
    let result = unsafe {
        Environment::new(given, Brings::Session)
            .and_then(|edited| execute(at, arguments, given, &edited, flags))
    };
    finish(result.map(|never| match never {}))
}

/// What becomes of a file that has no format the kernel knows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Formatless {
    /// execvp(3): the shell reads it.
    Interpreted,
    /// posix_spawnp(3): `ENOEXEC`.
    Refused,
}

/// execvpe(3): looks along `PATH`.
///
/// # Safety
/// The arguments are those of execvpe(3).
pub unsafe fn execute_search(
    file: *const c_char,
    arguments: Strings,
    given: Strings,
    formatless: Formatless,
) -> c_int {
    fds::release_reserved();
    // SAFETY: the calling program's arguments.
    let result = unsafe {
        Environment::new(given, Brings::Session).and_then(|edited| {
            search(CStr::from_ptr(file), &|path| {
                let found = path.as_ptr();
                match execute((libc::AT_FDCWD, found), arguments, given, &edited, 0) {
                    Err(Errno(libc::ENOEXEC)) if formatless == Formatless::Interpreted => {
                        interpret(found, arguments, given, &edited)
                    }
                    failed => failed,
                }
            })
        })
    };
    finish(result.map(|never| match never {}))
}

fn search(
    file: &CStr,
    execute: &dyn Fn(&CStr) -> Result<Infallible, Errno>,
) -> Result<Infallible, Errno> {
    let name = file.to_bytes();
    if name.is_empty() {
        return Err(Errno(libc::ENOENT));
    }
    if name.contains(&b'/') {
        return execute(file);
    }
    let mut refused = false;
    let found = along_path(name, &mut |candidate| {
        match execute(candidate) {
            Err(Errno(libc::EACCES)) => refused = true,
            Err(Errno(
                libc::ENOENT | libc::ENOTDIR | libc::ESTALE | libc::ENODEV | libc::ETIMEDOUT,
            )) => {}
            result => return Some(result),
        }
        None
    });
    found.unwrap_or(Err(Errno(if refused {
        libc::EACCES
    } else {
        libc::ENOENT
    })))
}

/// The first answer about a file of this name in a directory of `PATH`.
fn along_path<T>(name: &[u8], ask: &mut dyn FnMut(&CStr) -> Option<T>) -> Option<T> {
    // SAFETY: the program's environment.
    let path = unsafe { crate::environment::entries(current()) }
        .find_map(|entry| crate::environment::value(entry.to_bytes(), b"PATH"))
        .unwrap_or(b"/bin:/usr/bin");
    for directory in path.split(|&byte| byte == b':') {
        let mut candidate = [0u8; libc::PATH_MAX as usize];
        let slash: &[u8] = if directory.is_empty() { b"" } else { b"/" };
        let mut len = 0;
        for part in [directory, slash, name] {
            let Some(room) = candidate.get_mut(len..len + part.len()) else {
                break;
            };
            room.copy_from_slice(part);
            len += part.len();
        }
        if len != directory.len() + slash.len() + name.len() {
            continue;
        }
        // As long as its room: no path at all.
        let Ok(candidate) = CStr::from_bytes_until_nul(&candidate) else {
            continue;
        };
        if let Some(answer) = ask(candidate) {
            return Some(answer);
        }
    }
    None
}

/// What the program is that posix_spawnp(3) finds.
///
/// # Safety
/// `file` is a C string.
pub unsafe fn image_along_path(file: *const c_char) -> Image {
    // SAFETY: the caller's promise.
    let (name, cwd) = (unsafe { CStr::from_ptr(file) }.to_bytes(), libc::AT_FDCWD);
    if name.contains(&b'/') {
        // SAFETY: as above.
        return unsafe { image::of(cwd, file, 0) };
    }
    let found = along_path(name, &mut |candidate| {
        let path = candidate.as_ptr();
        // SAFETY: a C string.
        unsafe {
            let executable = try_sys!(Sysno::faccessat, cwd, path, libc::X_OK).is_ok();
            executable.then(|| image::of(cwd, path, 0))
        }
    });
    found.unwrap_or(Image::Loads)
}

/// Whether posix_spawnp(3) may find a program by the working directory.
///
/// # Safety
/// `file` is a C string.
pub unsafe fn is_relative_along_path(file: *const c_char) -> bool {
    // SAFETY: the caller's promise.
    let name = unsafe { CStr::from_ptr(file) }.to_bytes();
    let is_relative = |path: &[u8]| path.first() != Some(&b'/');
    match name.contains(&b'/') {
        true => is_relative(name),
        false => along_path(name, &mut |candidate| {
            is_relative(candidate.to_bytes()).then_some(())
        })
        .is_some(),
    }
}

/// Arguments that a shell script without `#!` may have here.
const SCRIPT_ARGUMENTS: usize = 4096;

/// Has the shell read a file.
unsafe fn interpret(
    path: *const c_char,
    arguments: Strings,
    given: Strings,
    edited: &Environment,
) -> Result<Infallible, Errno> {
    // SAFETY: the caller's arguments.
    unsafe {
        let mut list = [std::ptr::null::<c_char>(); SCRIPT_ARGUMENTS];
        list[0] = c"/bin/sh".as_ptr();
        list[1] = path;
        let rest = crate::environment::entries(arguments).skip(1);
        let mut count = 2;
        for argument in rest {
            let slot = list.get_mut(count).ok_or(Errno(libc::E2BIG))?;
            *slot = argument.as_ptr();
            count += 1;
        }
        if count == SCRIPT_ARGUMENTS {
            return Err(Errno(libc::E2BIG));
        }
        execute((libc::AT_FDCWD, list[0]), list.as_ptr(), given, edited, 0)
    }
}

shims! {
    fn execve(path: *const c_char, arguments: Strings, given: Strings) -> c_int {
        execute_file((libc::AT_FDCWD, path), arguments, given, 0)
    }

    fn execv(path: *const c_char, arguments: Strings) -> c_int {
        execute_file((libc::AT_FDCWD, path), arguments, current(), 0)
    }

    fn execvp(file: *const c_char, arguments: Strings) -> c_int {
        execute_search(file, arguments, current(), Formatless::Interpreted)
    }

    fn execvpe(file: *const c_char, arguments: Strings, given: Strings) -> c_int {
        execute_search(file, arguments, given, Formatless::Interpreted)
    }

    fn execveat(dirfd: c_int, path: *const c_char, arguments: Strings, given: Strings, flags: c_int) -> c_int {
        execute_file((dirfd, path), arguments, given, flags)
    }

    fn fexecve(fd: c_int, arguments: Strings, given: Strings) -> c_int {
        if arguments.is_null() || given.is_null() {
            set_errno(Errno(libc::EINVAL));
            return -1;
        }
        execute_file((fd, c"".as_ptr()), arguments, given, libc::AT_EMPTY_PATH)
    }
}

unsafe extern "C" fn list_execl(path: *const c_char, arguments: Strings) -> c_int {
    // SAFETY: the arguments of execl(3), made an array by its trampoline.
    unsafe {
        observe::around(
            Row::execl,
            || execute_file((libc::AT_FDCWD, path), arguments, current(), 0),
            || own::execv(path, arguments),
        )
    }
}

unsafe extern "C" fn list_execlp(file: *const c_char, arguments: Strings) -> c_int {
    // SAFETY: as above, of execlp(3).
    unsafe {
        observe::around(
            Row::execlp,
            || execute_search(file, arguments, current(), Formatless::Interpreted),
            || own::execvp(file, arguments),
        )
    }
}

unsafe extern "C" fn list_execle(path: *const c_char, arguments: Strings) -> c_int {
    // SAFETY: as above, of execle(3): the environment follows the NULL that ends the arguments.
    unsafe {
        let count = crate::environment::entries(arguments).count();
        let given = *arguments.add(count + 1).cast::<Strings>();
        observe::around(
            Row::execle,
            || execute_file((libc::AT_FDCWD, path), arguments, given, 0),
            || own::execve(path, arguments, given),
        )
    }
}

/// The variadic ones: the arguments in registers are stored just below those on the stack, which makes one array.
macro_rules! variadic {
    ($($name:ident => $target:path),*) => { $(
        #[unsafe(naked)]
        #[no_mangle]
        pub unsafe extern "C" fn $name() -> c_int {
            #[cfg(target_arch = "x86_64")]
            std::arch::naked_asm!(
                // The return address makes room for the fifth register, and comes below the array, which aligns the stack.
                "pop r10",
                "push r9", "push r8", "push rcx", "push rdx", "push rsi",
                "push r10",
                "lea rsi, [rsp + 8]",
                "call {target}",
                "pop r10",
                "add rsp, 40",
                "push r10",
                "ret",
                target = sym $target,
            );
            #[cfg(target_arch = "aarch64")]
            std::arch::naked_asm!(
                "sub sp, sp, #80",
                "str x30, [sp]",
                "str x1, [sp, #24]",
                "stp x2, x3, [sp, #32]",
                "stp x4, x5, [sp, #48]",
                "stp x6, x7, [sp, #64]",
                "add x1, sp, #24",
                "bl {target}",
                "ldr x30, [sp]",
                "add sp, sp, #80",
                "ret",
                target = sym $target,
            );
        }
    )* };
}

variadic! { execl => list_execl, execlp => list_execlp, execle => list_execle }
