//! posix_spawn(3) and system(3).
//!
//! libc's own fork and open past any hook. So as soon as the process has anything on the host, or a file action names
//! something there, the child is made by the hooked fork and does the actions through the hooked calls.
#![allow(unsafe_code)]

mod actions;
mod verdict;

pub use actions::Action;

use crate::environment::Environment;
use crate::exec::{current, execute_search, Formatless, Strings};
use crate::fork::fork;
use crate::image::{self, Image};
use crate::place::{self, PathBuffer, Place};
use crate::real::{errno, shims, try_sys};
use crate::symbols::own;
use crate::{cwd, exec, fds, materialise, signals};
use actions::{check, list};
use hostcall::cancellation::Held;
use hostcall::types::Errno;
use libc::{c_char, c_int, pid_t, posix_spawn_file_actions_t, posix_spawnattr_t};
use std::ffi::CStr;
use syscalls::Sysno;
use verdict::Verdict;

unsafe fn leads_to_host(path: *const c_char) -> bool {
    let mut buffer = PathBuffer::new();
    // SAFETY: the program's path.
    let place = unsafe { place::of(path, &mut buffer) };
    matches!(place, Ok(Place::Host { .. }))
}

/// Whether a child is to inherit anything of the host.
pub fn hands_on() -> bool {
    fds::any() || cwd::on_host()
}

/// Whether the hooked calls are needed.
unsafe fn concerns_us(path: *const c_char, find: Find, actions: &[Action]) -> bool {
    // SAFETY: a path of the program's.
    let leads_there = |path| unsafe { leads_to_host(path) };
    // Which program it is there, and whether that can load the library, is seen from there alone.
    // SAFETY: the program's path.
    let is_found_there = || unsafe {
        match find {
            Find::Path => *path.cast::<u8>() != b'/',
            Find::Search => exec::is_relative_along_path(path),
        }
    };
    hands_on()
        || actions.iter().filter_map(Action::path).any(leads_there)
        || leads_there(path)
        || actions.iter().any(Action::moves) && is_found_there()
}

/// What system(3) and popen(3) start.
const SHELL: &CStr = c"/bin/sh";

/// How the new program is found.
#[derive(Clone, Copy)]
enum Find {
    /// posix_spawn: by its path.
    Path,
    /// posix_spawnp: along `PATH`.
    Search,
}

/// What is to be started.
struct Program {
    file: *const c_char,
    arguments: Strings,
    environment: Strings,
    find: Find,
}

/// Starts a shell with a command line; its process id, or an error number.
///
/// # Safety
/// `command` is a C string; the attributes are null or were made by posix_spawnattr_init(3).
pub unsafe fn shell(
    command: *const c_char,
    actions: &[Action],
    attributes: *const posix_spawnattr_t,
) -> Result<pid_t, Errno> {
    let arguments = [c"sh".as_ptr(), c"-c".as_ptr(), command, std::ptr::null()];
    let program = Program {
        file: SHELL.as_ptr(),
        arguments: arguments.as_ptr(),
        environment: current(),
        find: Find::Path,
    };
    let mut child = 0;
    // SAFETY: a live variable, and the caller's promise.
    match unsafe { spawn(&mut child, &program, actions, attributes) } {
        0 => Ok(child),
        failure => Err(Errno(failure)),
    }
}

/// Spawns by fork; the child says what fails. Answers an error number.
unsafe fn spawn(
    child: *mut pid_t,
    program: &Program,
    actions: &[Action],
    attributes: *const posix_spawnattr_t,
) -> c_int {
    fds::release_reserved();
    let verdict = match Verdict::new() {
        Ok(verdict) => verdict,
        Err(errno) => return errno.0,
    };
    // Until the program is about to run, no handler does, no terminal stops the child, and nobody cancels its thread.
    let mask = signals::block();
    let held = Held::begin();
    // SAFETY: the child runs on in this function and ends in it.
    let pid = unsafe { fork() };
    if pid == 0 {
        verdict.is_mine();
        // SAFETY: the program's arguments.
        let failure = unsafe {
            prepare(actions, attributes, mask)
                .err()
                .unwrap_or_else(|| start(program))
        };
        verdict.refuse(failure);
        // SAFETY: the child ends without the parent's exit handlers.
        unsafe { libc::_exit(127) }
    }
    let failure = errno();
    let result = match pid {
        -1 => Err(failure),
        // SAFETY: null or the program's variable. A handler of SIGCHLD finds it written.
        pid => heard(&verdict, pid, mask).inspect(|()| unsafe {
            if let Some(child) = child.as_mut() {
                *child = pid;
            }
        }),
    };
    if result.is_err() && pid != -1 {
        // SAFETY: our own child, which nobody else knows.
        unsafe { while try_sys!(Sysno::wait4, pid, 0, 0, 0) == Err(Errno(libc::EINTR)) {} };
    }
    drop(held);
    signals::restore(mask);
    result.map_or_else(|Errno(errno)| errno, |()| 0)
}

/// Waits until the child runs its program, or says why it cannot. A terminal that stops the child stops the parent too, in which no
/// handler runs by that.
fn heard(verdict: &Verdict, child: pid_t, mask: u64) -> Result<(), Errno> {
    let stops = [libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];
    let bits = stops
        .into_iter()
        .filter(|signal| disposition(*signal) == Some(libc::SIG_DFL));
    let let_in = bits.fold(0, |bits, signal| bits | 1 << (signal - 1)) & !mask;
    signals::restore(!let_in);
    verdict.of(child)
}

/// In the child, whose signals are blocked: attributes, then actions, in the order of posix_spawn(3), then the mask of signals, `mask`
/// unless the attributes have another.
unsafe fn prepare(
    actions: &[Action],
    attributes: *const posix_spawnattr_t,
    mask: u64,
) -> Result<(), Errno> {
    let mut given = None;
    if !attributes.is_null() {
        // SAFETY: the program's attributes; all others are live locals.
        unsafe {
            let mut flags = 0;
            libc::posix_spawnattr_getflags(attributes, &mut flags);
            let has = |flag: c_int| flags as c_int & flag != 0;
            if has(libc::POSIX_SPAWN_SETSIGDEF) {
                let mut set = std::mem::zeroed();
                libc::posix_spawnattr_getsigdefault(attributes, &mut set);
                for signal in (1..=64).filter(|&signal| libc::sigismember(&set, signal) == 1) {
                    libc::signal(signal, libc::SIG_DFL);
                }
            }
            if has(libc::POSIX_SPAWN_SETSCHEDPARAM) || has(libc::POSIX_SPAWN_SETSCHEDULER) {
                let mut parameters = std::mem::zeroed();
                libc::posix_spawnattr_getschedparam(attributes, &mut parameters);
                let mut policy = libc::sched_getscheduler(0);
                if has(libc::POSIX_SPAWN_SETSCHEDULER) {
                    libc::posix_spawnattr_getschedpolicy(attributes, &mut policy);
                }
                check(libc::sched_setscheduler(0, policy, &parameters))?;
            }
            const POSIX_SPAWN_SETSID: c_int = 0x80;
            if has(POSIX_SPAWN_SETSID) {
                check(libc::setsid())?;
            }
            if has(libc::POSIX_SPAWN_SETPGROUP) {
                let mut group = 0;
                libc::posix_spawnattr_getpgroup(attributes, &mut group);
                check(libc::setpgid(0, group))?;
            }
            if has(libc::POSIX_SPAWN_RESETIDS) {
                check(libc::setegid(libc::getgid()))?;
                check(libc::seteuid(libc::getuid()))?;
            }
            if has(libc::POSIX_SPAWN_SETSIGMASK) {
                let mut set = std::mem::zeroed();
                libc::posix_spawnattr_getsigmask(attributes, &mut set);
                given = Some(set);
            }
        }
    }
    for action in actions {
        // SAFETY: the tag says which detail is there; the calls are this library's own.
        unsafe { action.perform() }?;
    }
    forget_handlers();
    match given {
        // SAFETY: a live set.
        Some(given) => unsafe {
            libc::sigprocmask(libc::SIG_SETMASK, &given, std::ptr::null_mut());
        },
        None => signals::restore(mask),
    }
    Ok(())
}

/// What a signal does here, if it is one.
fn disposition(signal: c_int) -> Option<libc::sighandler_t> {
    // SAFETY: a structure that is valid when zeroed; nothing is changed.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        let known = libc::sigaction(signal, std::ptr::null(), &mut action) == 0;
        known.then_some(action.sa_sigaction)
    }
}

/// The parent's handlers are not the child's, which is about to be another program: they would act on what the two share.
fn forget_handlers() {
    let is_handled = |signal: &c_int| {
        disposition(*signal).is_some_and(|done| ![libc::SIG_DFL, libc::SIG_IGN].contains(&done))
    };
    for signal in (1..=64).filter(is_handled) {
        // SAFETY: the child's own.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

unsafe fn start(program: &Program) -> Errno {
    // SAFETY: the program's arguments.
    unsafe {
        match program.find {
            Find::Path => exec::execve(program.file, program.arguments, program.environment),
            Find::Search => execute_search(
                program.file,
                program.arguments,
                program.environment,
                Formatless::Refused,
            ),
        };
    }
    errno()
}

/// `environment` for libc's own posix_spawn, which needs the settings but no session.
unsafe fn kept(environment: Strings, image: Image, run: impl FnOnce(Strings) -> c_int) -> c_int {
    // SAFETY: the program's environment.
    match unsafe { Environment::new(environment, exec::brings(image)) } {
        Ok(edited) => run(edited.as_ptr()),
        Err(_) => run(environment),
    }
}

/// Whether the shell has to be started here, for what it inherits or because it cannot load the library, or may not.
pub fn shell_concerns_us() -> bool {
    // SAFETY: a C string.
    hands_on()
        || materialise::confined()
        || unsafe { image::of(libc::AT_FDCWD, SHELL.as_ptr(), 0) } == Image::Refuses
}

shims! {
    fn posix_spawn(child: *mut pid_t, file: *const c_char, actions: *const posix_spawn_file_actions_t, attributes: *const posix_spawnattr_t, arguments: Strings, environment: Strings) -> c_int {
        if concerns_us(file, Find::Path, list(actions)) {
            let program = Program { file, arguments, environment, find: Find::Path };
            return spawn(child, &program, list(actions), attributes);
        }
        let image = image::of(libc::AT_FDCWD, file, 0);
        kept(environment, image, |environment| own::posix_spawn(child, file, actions, attributes, arguments, environment))
    }

    fn posix_spawnp(child: *mut pid_t, file: *const c_char, actions: *const posix_spawn_file_actions_t, attributes: *const posix_spawnattr_t, arguments: Strings, environment: Strings) -> c_int {
        if concerns_us(file, Find::Search, list(actions)) {
            let program = Program { file, arguments, environment, find: Find::Search };
            return spawn(child, &program, list(actions), attributes);
        }
        kept(environment, exec::image_along_path(file), |environment| own::posix_spawnp(child, file, actions, attributes, arguments, environment))
    }

    fn system(command: *const c_char) -> c_int {
        if command.is_null() || !shell_concerns_us() {
            return own::system(command);
        }
        crate::system::run(command)
    }
}
