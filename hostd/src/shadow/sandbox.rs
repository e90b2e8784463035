//! What a guest's shadows can reach on the host, enforced by the kernel and not by looking at strings.
//!
//! The zygote of one guest calls [`enter`] and [`confine`] once, while it has a single thread. All shadows are forked from
//! it and inherit the view, the user, Landlock, the limits and the list of system calls. Each shadow then calls [`seal`]
//! before it starts threads and before it reads a byte that the guest wrote.
//!
//! What each layer stops, from the outside in:
//! - the *view* (`view.rs`): names outside the exports do not exist, read-only exports cannot be written, device
//!   nodes cannot be opened;
//! - the *user and capabilities* (`privilege.rs`): host permission checks hold as for a login of that user;
//! - *Landlock* (`landlock.rs`): the same exports once more, by another part of the kernel; no process outside can be
//!   signalled or inspected;
//! - *seccomp* (`seccomp.rs`): a shadow whose memory the guest has corrupted has only the system calls of the op table.

mod landlock;
mod mounts;
mod privilege;
mod report;
mod seccomp;
mod view;

pub use privilege::{open_files, FILE_RIGHTS, SWITCHING_RIGHTS};
pub use report::{Layer, LayerName, Report};
pub(super) use seccomp::F_SETSIG;
pub use seccomp::{confine, seal};

use crate::config::{Export, HostUser, Limits};
use crate::idmap::IdMaps;
use nix::sched::CloneFlags;
use rustix::thread::CapabilitySet;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// What one guest's shadows may be and see.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Policy {
    /// The host user they run as.
    pub user: HostUser,
    /// How the ids of callers are mapped, if each call has the rights of its caller; `user` is root then.
    pub callers: Option<IdMaps>,
    /// The host subtrees they see.
    pub exports: Vec<Export>,
    /// What they may use.
    pub limits: Limits,
}

/// Confines the calling process and all that it will fork, for good.
///
/// On return the working directory is `/` of the view, the process leads a session without a terminal (so that
/// `/dev/tty` is not the terminal hostd was started from) and is not dumpable. The change of user clears
/// `PR_SET_PDEATHSIG`: set it afterwards.
///
/// The process must have one thread, and no descriptor that refers to a directory: from it `..` would lead out of the
/// view.
///
/// # Errors
/// An export is missing, or an essential layer cannot be had. The process is then partly confined: exit. A missing
/// extra layer is no error but stands in the report.
pub fn enter(policy: &Policy) -> Result<Report, Error> {
    let mut report = Report::default();
    let plan = view::Plan::new(&policy.exports)?;
    // Fails where this process leads its group already; then it has no terminal it could lose.
    let _ = nix::unistd::setsid();

    let namespace = namespace(&plan, &policy.user)?;
    if let Namespace::Hosts(why) = namespace {
        nix::unistd::chdir("/").map_err(step("changing to /"))?;
        report.inactive(LayerName::View, why);
        report.inactive(LayerName::Devices, why);
    } else {
        view::build(&plan)?;
        report.active(LayerName::View, plan.summary());
        report.active(LayerName::Devices, "null zero full random urandom tty only");
    }
    privilege::no_new_privs(&mut report)?;
    // After the view, for a process under Landlock cannot mount; before the change of user, who may lack the right to
    // search the way to an export.
    landlock::restrict(&plan, &mut report)?;
    privilege::limit(&policy.limits, &mut report)?;
    let ids_mapped = matches!(namespace, Namespace::OwnMapped);
    match &policy.callers {
        None => privilege::become_user(&policy.user, ids_mapped, &mut report)?,
        Some(maps) => privilege::stay_root(maps, &mut report)?,
    }
    seccomp::probe(&mut report);
    Ok(report)
}

/// The host's proc file system, to be held open while the view closes. It is for the zygote alone: each shadow keeps of
/// it the directory of its own descriptors and nothing else.
///
/// As root it is a copy of the mount that is attached nowhere, so that `..` cannot lead from it. An ordinary user cannot
/// copy mounts; there `..` is kept from the guest because it has no number for this directory and none of its paths is
/// looked up in it.
pub fn proc() -> Option<std::os::fd::OwnedFd> {
    let proc = mounts::open_at(rustix::fs::CWD, std::path::Path::new("/proc")).ok()?;
    if !mounts::is_proc_fd(&proc).unwrap_or(false) {
        return None;
    }
    Some(mounts::clone_tree(&proc).unwrap_or(proc))
}

/// Which mount namespace the shadows live in.
enum Namespace {
    /// One of their own, made by root.
    Own,
    /// One of their own inside a user namespace that maps the calling user alone.
    OwnMapped,
    /// The host's, and why that is right.
    Hosts(&'static str),
}

fn namespace(plan: &view::Plan, user: &HostUser) -> Result<Namespace, Error> {
    let capabilities = rustix::thread::capabilities(None).map_err(step("reading capabilities"))?;
    if capabilities.effective.contains(CapabilitySet::SYS_ADMIN) {
        nix::sched::unshare(CloneFlags::CLONE_NEWNS).map_err(step("making a mount namespace"))?;
        return Ok(Namespace::Own);
    }
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    if user.uid != uid.as_raw() {
        return Err(Error::OtherUser {
            name: user.name.clone(),
        });
    }
    if plan.is_whole_root() {
        // A user namespace with one mapped user would show every other owner as `nobody` and refuse chgrp to the
        // user's further groups, and there is nothing to hide from a guest that may do all that its user may. Device
        // nodes cannot be made without root, and /proc/self/mem belongs to root because the process is not dumpable.
        return Ok(Namespace::Hosts(
            "not needed: an ordinary user exports all of / read-write",
        ));
    }
    nix::sched::unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)
        .map_err(|errno| Error::UserNamespace(errno.into()))?;
    // Without `deny`, gid_map is refused: setgroups could drop a group that denies access, user_namespaces(7).
    let maps = [
        ("/proc/self/setgroups", "deny".to_owned()),
        ("/proc/self/uid_map", format!("{uid} {uid} 1")),
        ("/proc/self/gid_map", format!("{gid} {gid} 1")),
    ];
    for (file, line) in maps {
        std::fs::write(file, line).map_err(Error::UserNamespace)?;
    }
    Ok(Namespace::OwnMapped)
}

/// Why a guest's shadows cannot be confined.
#[derive(Debug)]
pub enum Error {
    /// An export cannot be used.
    Export {
        /// As configured.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// An export lies on a proc file system.
    ProcExport {
        /// As configured.
        path: PathBuf,
    },
    /// The caller holds a directory open.
    HeldDirectory {
        /// The descriptor.
        fd: i32,
        /// What it refers to.
        path: PathBuf,
    },
    /// Another user was asked for without the right to become that user.
    OtherUser {
        /// Whom.
        name: String,
    },
    /// Acting for callers was asked for without the right to take their ids.
    Callers,
    /// The kernel grants this user no user namespace.
    UserNamespace(io::Error),
    /// A step that must succeed did not.
    Step {
        /// What was tried.
        doing: String,
        /// Why it failed.
        source: io::Error,
    },
}

/// Turns a system error into the failure of a named step.
pub(super) fn step<E: Into<io::Error>>(doing: impl Into<String>) -> impl FnOnce(E) -> Error {
    move |source| Error::Step {
        doing: doing.into(),
        source: source.into(),
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Export { path, source } => {
                write!(f, "export {} cannot be used: {source}", path.display())
            }
            Error::ProcExport { path } => write!(
                f,
                "export {} lies in a proc file system, whose links to other processes lead out of the view; leave it out",
                path.display()
            ),
            Error::HeldDirectory { fd, path } => write!(
                f,
                "descriptor {fd} ({}) is a directory and would lead out of the view; close it first",
                path.display()
            ),
            Error::OtherUser { name } => {
                write!(f, "only root can run shadows as {name}; run hostd as root or as {name}")
            }
            Error::Callers => f.write_str(
                "only root with CAP_SETUID and CAP_SETGID can act for each caller of a guest; run hostd as root, or name one user",
            ),
            Error::UserNamespace(source) => write!(
                f,
                "the kernel grants no user namespace ({source}), which exports other than / need: run hostd as root, or \
                 allow it (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone=1, \
                 kernel.apparmor_restrict_unprivileged_userns=0)"
            ),
            Error::Step { doing, source } => write!(f, "{doing}: {source}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Export { source, .. }
            | Error::UserNamespace(source)
            | Error::Step { source, .. } => Some(source),
            _ => None,
        }
    }
}
