//! The system calls that a shadow has: those of the op table and those that threads, memory and waiting need.
//!
//! A call beyond the list kills the shadow (`SECCOMP_RET_KILL_PROCESS`) and does not raise a signal to be handled: no
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
    apply_filter, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule,
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

/// What pthread_create(3) always sets. Without them clone(2) makes a process.
const THREAD: u64 = (libc::CLONE_VM | libc::CLONE_SIGHAND | libc::CLONE_THREAD) as u64;

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
const F_SETSIG: i32 = 10;
const F_SETOWN_EX: i32 = 15;

/// Limits the calling process, and the threads that it starts later, to the system calls of the op table and the base
/// set. Only a shadow that acts for its callers can change its ids, and only to those that its maps name.
///
/// Takes effect for the calling thread, so it comes before other threads are started. A kernel without seccomp is no
/// error: [`enter`](super::enter) has reported it.
///
/// # Errors
/// The kernel refuses a filter.
pub fn seal(callers: Option<&IdMaps>) -> Result<(), Error> {
    if !available() {
        return Ok(());
    }
    let served = |op| op != Op::Impersonate || callers.is_some();
    let syscalls = hostcall::ops::syscalls_of(served);
    for program in programs(&syscalls, callers, std::process::id())
        .map_err(io::Error::other)
        .map_err(step("building the seccomp filter"))?
    {
        apply_filter(&program)
            .map_err(io::Error::other)
            .map_err(step("installing the seccomp filter"))?;
    }
    Ok(())
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

/// Three filters, of which the kernel takes the strictest answer: each knows one answer besides "allow" or "kill".
fn programs(
    syscalls: &[i64],
    callers: Option<&IdMaps>,
    pid: u32,
) -> Result<[BpfProgram; 3], seccompiler::BackendError> {
    // The list comes last: once it is in force, no further filter can be installed.
    Ok([
        filter(
            BTreeMap::from([(libc::SYS_fcntl, denied_fcntl()?)]),
            SeccompAction::Allow,
            errno(libc::EPERM),
        )?,
        // clone3(2) takes its flags by pointer, which no filter can follow. Told that the kernel has none, glibc and
        // Rust use clone(2), whose flags can be judged.
        filter(
            BTreeMap::from([(libc::SYS_clone3, Vec::new())]),
            SeccompAction::Allow,
            errno(libc::ENOSYS),
        )?,
        filter(
            allowed(syscalls, callers, pid)?,
            SeccompAction::KillProcess,
            SeccompAction::Allow,
        )?,
    ])
}

fn errno(errno: i32) -> SeccompAction {
    SeccompAction::Errno(errno as u32)
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

fn filter(
    rules: Rules,
    otherwise: SeccompAction,
    matched: SeccompAction,
) -> Result<BpfProgram, seccompiler::BackendError> {
    // Also kills a call that comes by the 32-bit entry, where numbers mean other calls.
    let arch = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, otherwise, matched, arch)?.try_into()
}

fn allowed(
    syscalls: &[i64],
    callers: Option<&IdMaps>,
    pid: u32,
) -> Result<Rules, seccompiler::BackendError> {
    let mut rules: Rules = BASE
        .iter()
        .chain(BASE_OF_ARCH)
        .chain(syscalls)
        .map(|&number| (number, Vec::new()))
        .collect();
    rules.insert(libc::SYS_clone3, Vec::new());
    // The masked bits of the flags are the thread's and no namespace's.
    let thread = (SeccompCmpOp::MaskedEq(THREAD | NAMESPACES), THREAD);
    rules.insert(libc::SYS_clone, vec![rule(0, thread)?]);
    // No memory can be executed that was not when the filter came: a corrupted shadow can only reuse code.
    let no_exec = || (SeccompCmpOp::MaskedEq(libc::PROT_EXEC as u64), 0);
    rules.insert(libc::SYS_mmap, vec![rule(2, no_exec())?]);
    rules.insert(libc::SYS_mprotect, vec![rule(2, no_exec())?]);
    let name = (SeccompCmpOp::Eq, libc::PR_SET_NAME as u64);
    rules.insert(libc::SYS_prctl, vec![rule(0, name)?]);
    if let Some(maps) = callers {
        rules.insert(libc::SYS_setfsuid, taking(maps.uids.host_ranges())?);
        rules.insert(libc::SYS_setfsgid, taking(maps.gids.host_ranges())?);
        // A mask and a working directory of a thread's own; any other flag would be a namespace or leave the session.
        let own = (SeccompCmpOp::Eq, libc::CLONE_FS as u64);
        rules.insert(libc::SYS_unshare, vec![rule(0, own)?]);
    }
    // Interrupting a lane's blocked call, and abort(3).
    rules.insert(
        libc::SYS_tgkill,
        vec![rule(0, (SeccompCmpOp::Eq, pid.into()))?],
    );
    Ok(rules)
}

/// The ids that a thread may take: those of the host that the guest's stand for, nobody's, and none, which only asks.
fn taking(
    ranges: impl Iterator<Item = (u32, u32)>,
) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
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

fn denied_fcntl() -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    DENIED_FCNTL
        .iter()
        .map(|&command| rule(1, (SeccompCmpOp::Eq, command as u64)))
        .collect()
}

/// One comparison of the low 32 bits of an argument, which is all that the kernel reads of an int.
fn rule(
    argument: u8,
    (operator, value): (SeccompCmpOp, u64),
) -> Result<SeccompRule, seccompiler::BackendError> {
    let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)?;
    SeccompRule::new(vec![condition])
}
