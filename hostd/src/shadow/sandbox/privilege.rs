//! Whose rights a shadow has: limits, user and groups, capabilities.

use super::{step, Error, LayerName, Report};
use crate::config::{HostUser, Limits};
use crate::idmap::IdMaps;
use nix::sys::prctl;
use nix::sys::resource::{getrlimit, setrlimit, Resource};
use nix::unistd::{setgroups, setresgid, setresuid, Gid, Uid};
use rustix::thread::{self, CapabilitySet, CapabilitySets};

/// What a shadow that stays root keeps: the checks that root's own file operations pass.
///
/// Not kept, of those that touch files: `CAP_DAC_READ_SEARCH`, because with it open_by_handle_at(2) reaches every inode
/// of a file system whatever the view shows (the "shocker" escape), and `CAP_DAC_OVERRIDE` reads and searches as well;
/// `CAP_LEASE`, which stalls other users' opens; `CAP_LINUX_IMMUTABLE` and `CAP_SYS_RESOURCE`, which undo what the
/// administrator set up; `CAP_SYS_ADMIN`, at the price of `trusted.` attributes. `CAP_MKNOD` stays: a node made in the
/// view cannot be opened there, and whoever may make set-user-id files of root gains nothing by it.
pub const FILE_RIGHTS: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::MKNOD)
    .union(CapabilitySet::SETFCAP);

/// What a shadow keeps that takes its callers' ids.
pub const SWITCHING_RIGHTS: CapabilitySet = CapabilitySet::SETUID.union(CapabilitySet::SETGID);

/// What a shadow has above the guest's numbers: the way to its own descriptors, the instance of whoever follows changes, and what
/// ties it to hostd's life.
const OWN: u64 = 3;

/// How many open files a confined process leaves to its guest: fewer than configured where the host grants no more.
///
/// # Errors
/// The limit cannot be read.
pub fn open_files() -> Result<u64, Error> {
    let (most, _) =
        getrlimit(Resource::RLIMIT_NOFILE).map_err(step("reading the limit of open files"))?;
    Ok(most.saturating_sub(OWN))
}

/// Bounds what one process can use. Must precede the change of user, who may lack the right to raise a hard limit.
pub(super) fn limit(limits: &Limits, report: &mut Report) -> Result<(), Error> {
    let mut note = String::new();
    let (_, hard) =
        getrlimit(Resource::RLIMIT_NOFILE).map_err(step("reading the limit of open files"))?;
    let mut open_files = limits.open_files.saturating_add(OWN);
    if setrlimit(Resource::RLIMIT_NOFILE, open_files, open_files).is_err() {
        // An ordinary user cannot go beyond the hard limit of their login; fewer files are a working guest still.
        open_files = open_files.min(hard);
        note = format!(" (not {}: the hard limit)", limits.open_files);
        setrlimit(Resource::RLIMIT_NOFILE, open_files, open_files)
            .map_err(step(format!("limiting open files to {open_files}")))?;
    }
    let bounds = [
        (Resource::RLIMIT_AS, limits.memory_mib << 20, "memory"),
        // A core file would carry one guest's data, and hostd's, into a directory of the guest's choice.
        (Resource::RLIMIT_CORE, 0, "core files"),
        (Resource::RLIMIT_MEMLOCK, 0, "locked memory"),
    ];
    for (resource, value, name) in bounds {
        let (_, hard) =
            getrlimit(resource).map_err(step(format!("reading the limit of {name}")))?;
        let value = value.min(hard);
        setrlimit(resource, value, value)
            .map_err(step(format!("limiting {name} to {value} bytes")))?;
    }
    let detail = format!(
        "{} open files{note}, {} MiB of memory",
        open_files.saturating_sub(OWN),
        limits.memory_mib
    );
    report.active(LayerName::Limits, detail);
    Ok(())
}

/// Becomes the user (where ids are those of the host and not mapped) and gives up every right that file operations do
/// not need.
pub(super) fn become_user(
    user: &HostUser,
    ids_mapped: bool,
    report: &mut Report,
) -> Result<(), Error> {
    let doing = |what: &str| format!("{what} of {}", user.name);
    let held = thread::capabilities(None).map_err(step("reading capabilities"))?;
    drop_bounding_set(FILE_RIGHTS);
    if !ids_mapped && held.effective.contains(SWITCHING_RIGHTS) {
        // Groups before the user, whose change takes the right to set them.
        let groups: Vec<Gid> = user.groups.iter().copied().map(Gid::from_raw).collect();
        let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
        setgroups(&groups).map_err(step(doing("taking the groups")))?;
        setresgid(gid, gid, gid).map_err(step(doing("taking the group")))?;
        setresuid(uid, uid, uid).map_err(step(doing("taking the user id")))?;
    } else if Uid::effective().as_raw() != user.uid {
        return Err(Error::OtherUser {
            name: user.name.clone(),
        });
    }
    let kept = match user.uid {
        0 => held.permitted & FILE_RIGHTS,
        _ => CapabilitySet::empty(),
    };
    keep(kept)?;
    report.active(
        LayerName::User,
        format!(
            "{} with {} capabilities",
            user.name,
            kept.bits().count_ones()
        ),
    );
    Ok(())
}

/// Stays root with the right to take the ids of callers, and gives up every right that neither this nor file operations
/// need. Those that root has on files stay where a user of the guest stands for root.
///
/// The threads that execute calls give up more, each for itself. `CAP_DAC_OVERRIDE` stays with the first one, which
/// enters the working directory that a child inherits, whoever may search the way to it.
pub(super) fn stay_root(maps: &IdMaps, report: &mut Report) -> Result<(), Error> {
    let held = thread::capabilities(None).map_err(step("reading capabilities"))?;
    if !Uid::effective().is_root() || !held.effective.contains(SWITCHING_RIGHTS) {
        return Err(Error::Callers);
    }
    let kept = match maps.reaches_root() {
        true => SWITCHING_RIGHTS | FILE_RIGHTS,
        false => SWITCHING_RIGHTS | CapabilitySet::DAC_OVERRIDE,
    };
    drop_bounding_set(kept);
    setgroups(&[]).map_err(step("leaving all groups"))?;
    keep(held.permitted & kept)?;
    let whom = match maps.reaches_root() {
        true => "each call's caller, root among them",
        false => "each call's caller, never root",
    };
    report.active(LayerName::User, whom);
    Ok(())
}

/// Gives up all capabilities but these, and hides from other processes.
fn keep(kept: CapabilitySet) -> Result<(), Error> {
    let sets = CapabilitySets {
        effective: kept,
        permitted: kept,
        inheritable: CapabilitySet::empty(),
    };
    // A kernel without ambient capabilities has none to clear.
    let _ = thread::clear_ambient_capability_set();
    thread::set_capabilities(None, sets).map_err(step("dropping capabilities"))?;
    // Shadows of one guest share a user. Not being dumpable keeps each out of the other's /proc/PID/{mem,fd,root}, and
    // gives /proc/self/mem, by which a process overwrites its own code, to root. Last: changing ids resets it.
    prctl::set_dumpable(false).map_err(step("hiding from other processes"))
}

/// Gives up set-user-id and file capabilities at exec for good. Landlock and seccomp ask for it, so it comes first.
pub(super) fn no_new_privs(report: &mut Report) -> Result<(), Error> {
    prctl::set_no_new_privs().map_err(step("setting no_new_privs"))?;
    report.active(LayerName::NoNewPrivs, "set");
    Ok(())
}

/// Empties the bounding set but for what is kept. Only exec uses it, and shadows have neither exec nor `no_new_privs`
/// off, so that a container which lacks `CAP_SETPCAP` loses nothing.
fn drop_bounding_set(kept: CapabilitySet) {
    for bit in 0..64 {
        let one = CapabilitySet::from_bits_retain(1 << bit);
        let known = thread::capability_is_in_bounding_set(one);
        if known.is_err() {
            break;
        }
        if !kept.contains(one) {
            let _ = thread::remove_capability_from_bounding_set(one);
        }
    }
}
