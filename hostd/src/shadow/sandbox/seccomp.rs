//! The system calls that a shadow has: those of the op table and those that threads, memory and waiting need.
//!
//! The list is in force in two steps. The zygote takes it for itself and all that it will fork, with the few calls more
//! that it needs ([`confine`]); each shadow then gives those up ([`seal`]). So the long filter is judged and compiled once
//! a guest, which takes the kernel a quarter of a millisecond, and not once a shadow.
//!
//! A call beyond the list kills the process (`SECCOMP_RET_KILL_PROCESS`) and does not raise a signal to be handled: no
//! honest shadow makes such a call, so whoever makes it runs in a shadow whose memory is lost, handlers included. The
//! shadow's parent sees death by `SIGSYS`; the kernel's audit log names the call.
//!
//! Order in the list does not matter for speed: the kernel keeps a bitmap of the calls that are allowed whatever their
//! arguments (Linux 5.11, `seccomp_cache_check`) and runs no filter for them. Only calls whose arguments are
//! examined (fcntl, mmap, mprotect, clone, prctl, tgkill, setfsuid, setfsgid) pay for the walk.

use super::{step, Error, LayerName, Report};
use crate::idmap::{IdMaps, OVERFLOW};
use hostcall::ops::Op;
use seccompiler::{
    apply_filter, BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp,
    SeccompCondition, SeccompFilter, SeccompRule,
};
use std::collections::BTreeMap;
use std::io;

/// Calls that a shadow needs whatever the op table says: waiting, memory, threads, its doorbells.
const BASE: &[i64] = &[
    libc::SYS_futex,
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_close,
    libc::SYS_close_range,
    // recv(3) of a client's attention byte.
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_sendmsg,
    libc::SYS_ppoll,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_eventfd2,
    libc::SYS_dup3,
    libc::SYS_fcntl,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_setaffinity,
    libc::SYS_getcpu,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_gettid,
    libc::SYS_getrandom,
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// The same under the names that only older architectures have.
#[cfg(target_arch = "x86_64")]
const BASE_OF_ARCH: &[i64] = &[libc::SYS_poll, libc::SYS_epoll_wait];
#[cfg(not(target_arch = "x86_64"))]
const BASE_OF_ARCH: &[i64] = &[];

/// What a zygote and a shadow that has just been forked need besides: processes.
const ZYGOTE: &[i64] = &[libc::SYS_pidfd_open, libc::SYS_wait4, libc::SYS_waitid];

/// What pthread_create(3) always sets. Without them clone(2) makes a process.
const THREAD: [u64; 3] = [
    libc::CLONE_VM as u64,
    libc::CLONE_SIGHAND as u64,
    libc::CLONE_THREAD as u64,
];

/// New namespaces, which would give back capabilities to an ordinary user.
const NAMESPACES: u64 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u64;

/// Commands of fcntl(2) that make the kernel send signals to others or stall their opens. An op may pass a guest's
/// command on, so these are refused and do not kill.
const DENIED_FCNTL: [i32; 5] = [
    libc::F_SETOWN,
    F_SETOWN_EX,
    F_SETSIG,
    libc::F_SETLEASE,
    libc::F_NOTIFY,
];
/// From `asm-generic/fcntl.h`; libc has them for some targets only.
pub(in crate::shadow) const F_SETSIG: i32 = 10;
const F_SETOWN_EX: i32 = 15;

/// Limits the calling process, a zygote, and all that it forks to the system calls of the op table, the base set and its
/// own. Only shadows that act for their callers can change their ids, and only to those that the maps name.
///
/// Takes effect for the calling thread, so it comes before other threads are started. A kernel without seccomp is no
/// error: [`enter`](super::enter) has reported it.
///
/// # Errors
/// The kernel refuses a filter.
pub fn confine(callers: Option<&IdMaps>) -> Result<(), Error> {
    if !available() {
        return Ok(());
    }
    let served = |op| op != Op::Impersonate || callers.is_some();
    let syscalls = hostcall::ops::syscalls_of(served);
    // The list comes last: once it is in force, only a process that may use seccomp(2) can add another.
    install(denied_fcntl().and_then(|rules| filter(rules, errno(libc::EPERM))))?;
    // clone3(2) takes its flags by pointer, which no filter can follow. Told that the kernel has none, glibc and
    // Rust use clone(2), whose flags can be judged.
    let clone3 = Rules::from([(libc::SYS_clone3, Vec::new())]);
    install(filter(clone3, errno(libc::ENOSYS)))?;
    install(allowed(&syscalls, callers))
}

/// Takes from the calling process, a shadow, what only its zygote needs: it makes threads and no processes, signals itself
/// alone, and cannot change its filters.
///
/// Before other threads are started, and before a byte is read that the guest wrote.
///
/// # Errors
/// The kernel refuses a filter.
pub fn seal() -> Result<(), Error> {
    match available() {
        true => install(given_up(std::process::id())),
        false => Ok(()),
    }
}

fn install(program: Result<BpfProgram, BackendError>) -> Result<(), Error> {
    let program = program
        .map_err(io::Error::other)
        .map_err(step("building a seccomp filter"))?;
    apply_filter(&program)
        .map_err(io::Error::other)
        .map_err(step("installing a seccomp filter"))
}

/// Reports whether [`seal`] will work.
pub(super) fn probe(report: &mut Report) {
    if available() {
        report.active(LayerName::Seccomp, "the op table's calls only");
    } else {
        report.inactive(
            LayerName::Seccomp,
            "the kernel lacks it (CONFIG_SECCOMP_FILTER)",
        );
    }
}

fn available() -> bool {
    rustix::thread::secure_computing_mode().is_ok()
}

fn errno(errno: i32) -> SeccompAction {
    SeccompAction::Errno(errno as u32)
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// A filter that gives one answer to what its rules name and lets everything else pass. The kernel takes the strictest
/// answer of all filters.
fn filter(rules: Rules, answer: SeccompAction) -> Result<BpfProgram, BackendError> {
    compile(rules, SeccompAction::Allow, answer)
}

fn compile(
    rules: Rules,
    otherwise: SeccompAction,
    matched: SeccompAction,
) -> Result<BpfProgram, BackendError> {
    // Also kills a call that comes by the 32-bit entry, where numbers mean other calls.
    let arch = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, otherwise, matched, arch)?.try_into()
}

/// The list.
fn allowed(syscalls: &[i64], callers: Option<&IdMaps>) -> Result<BpfProgram, BackendError> {
    let mut rules: Rules = BASE
        .iter()
        .chain(BASE_OF_ARCH)
        .chain(ZYGOTE)
        .chain(&[libc::SYS_clone3, libc::SYS_seccomp, libc::SYS_tgkill])
        .chain(syscalls)
        .map(|&number| (number, Vec::new()))
        .collect();
    let no_namespace = (SeccompCmpOp::MaskedEq(NAMESPACES), 0);
    rules.insert(libc::SYS_clone, vec![rule(0, no_namespace)?]);
    // No memory can be executed that was not when the filter came: a corrupted shadow can only reuse code.
    let no_exec = || (SeccompCmpOp::MaskedEq(libc::PROT_EXEC as u64), 0);
    rules.insert(libc::SYS_mmap, vec![rule(2, no_exec())?]);
    rules.insert(libc::SYS_mprotect, vec![rule(2, no_exec())?]);
    // A name for a thread; and what a shadow does as it installs its own filter.
    let known = [
        libc::PR_SET_NAME,
        libc::PR_SET_NO_NEW_PRIVS,
        libc::PR_GET_SECCOMP,
    ];
    let known = known.map(|option| rule(0, (SeccompCmpOp::Eq, option as u64)));
    rules.insert(
        libc::SYS_prctl,
        known.into_iter().collect::<Result<_, _>>()?,
    );
    // The size of a terminal, and nothing else that a device can be told.
    let size = (SeccompCmpOp::Eq, libc::TIOCSWINSZ);
    rules.insert(libc::SYS_ioctl, vec![rule(1, size)?]);
    if let Some(maps) = callers {
        rules.insert(libc::SYS_setfsuid, taking(maps.uids.host_ranges())?);
        rules.insert(libc::SYS_setfsgid, taking(maps.gids.host_ranges())?);
        // A mask and a working directory of a thread's own; any other flag would be a namespace or leave the session.
        let own = (SeccompCmpOp::Eq, libc::CLONE_FS as u64);
        rules.insert(libc::SYS_unshare, vec![rule(0, own)?]);
    }
    compile(rules, SeccompAction::KillProcess, SeccompAction::Allow)
}

/// What a shadow may not do although its zygote may.
fn given_up(pid: u32) -> Result<BpfProgram, BackendError> {
    let mut rules: Rules = ZYGOTE
        .iter()
        .chain(&[libc::SYS_seccomp])
        .map(|&number| (number, Vec::new()))
        .collect();
    // A process: one of the flags that make a thread is missing.
    let missing = THREAD.map(|flag| rule(0, (SeccompCmpOp::MaskedEq(flag), 0)));
    let missing = missing.into_iter().collect::<Result<_, _>>()?;
    rules.insert(libc::SYS_clone, missing);
    // Its own threads only: interrupting a lane's blocked call, and abort(3).
    let other = (SeccompCmpOp::Ne, pid.into());
    rules.insert(libc::SYS_tgkill, vec![rule(0, other)?]);
    let name = (SeccompCmpOp::Ne, libc::PR_SET_NAME as u64);
    rules.insert(libc::SYS_prctl, vec![rule(0, name)?]);
    let another = (SeccompCmpOp::Ne, 0);
    rules.insert(libc::SYS_sched_setaffinity, vec![rule(0, another)?]);
    filter(rules, SeccompAction::KillProcess)
}

/// The ids that a thread may take: those of the host that the guest's stand for, nobody's, and none, which only asks.
fn taking(ranges: impl Iterator<Item = (u32, u32)>) -> Result<Vec<SeccompRule>, BackendError> {
    ranges
        .chain([(OVERFLOW, OVERFLOW), (u32::MAX, u32::MAX)])
        .map(|(first, last)| {
            let bound = |operator, id: u32| {
                SeccompCondition::new(0, SeccompCmpArgLen::Dword, operator, id.into())
            };
            SeccompRule::new(vec![
                bound(SeccompCmpOp::Ge, first)?,
                bound(SeccompCmpOp::Le, last)?,
            ])
        })
        .collect()
}

fn denied_fcntl() -> Result<Rules, BackendError> {
    let denied = DENIED_FCNTL
        .iter()
        .map(|&command| rule(1, (SeccompCmpOp::Eq, command as u64)));
    Ok(Rules::from([(
        libc::SYS_fcntl,
        denied.collect::<Result<_, _>>()?,
    )]))
}

/// One comparison of the low 32 bits of an argument, which is all that the kernel reads of an int.
fn rule(argument: u8, (operator, value): (SeccompCmpOp, u64)) -> Result<SeccompRule, BackendError> {
    let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)?;
    SeccompRule::new(vec![condition])
}
