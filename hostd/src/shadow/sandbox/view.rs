//! The file-system view of a guest's shadows: a root that holds the exports, each at its own host path.
//!
//! The view is made in a mount namespace of its own. Every mount of an export is *copied* first, given its flags
//! while nobody can see it, and then put in its place, parents before children. What is not exported is not hidden but
//! absent: the old root is unmounted, so that neither `..` nor a name leads to it.

use super::mounts::{self, clone_tree, open_at};
use super::{step, Error};
use crate::config::{Access, Export};
use rustix::fs::{FileType, CWD};
use rustix::mount::{MountAttrFlags, MountPropagationFlags, UnmountFlags};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// The device nodes that stay usable where `/dev` lies in the view, with their numbers (`admin-guide/devices.txt`). A
/// path that holds another device, or a link, is left alone.
const NODES: [(&str, u32, u32); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];

/// One export as it is on the host now.
struct Source {
    /// Its path without symbolic links.
    path: PathBuf,
    mode: Access,
    is_dir: bool,
}

/// What a view will hold, found out while the whole host can still be seen.
pub(super) struct Plan {
    /// Outer exports before those inside them; one that adds nothing to the export around it is left out.
    exports: Vec<Source>,
    /// Symbolic links on the way to an export, and where they lead. The view has them too, so that a path means what it
    /// means on the host.
    links: Vec<(PathBuf, PathBuf)>,
}

impl Plan {
    /// Resolves the exports.
    pub(super) fn new(exports: &[Export]) -> Result<Plan, Error> {
        let mut sources = Vec::new();
        let mut links = Vec::new();
        for export in exports {
            let fail = |source| Error::Export {
                path: export.path.clone(),
                source,
            };
            if !export.path.is_absolute() {
                return Err(fail(io::Error::other("not an absolute path")));
            }
            links.extend(links_on_the_way(&export.path).map_err(fail)?);
            let path = export.path.canonicalize().map_err(fail)?;
            if mounts::is_proc(&path).map_err(fail)? {
                return Err(Error::ProcExport {
                    path: export.path.clone(),
                });
            }
            let is_dir = path.is_dir();
            sources.push(Source {
                path,
                mode: export.mode,
                is_dir,
            });
        }
        sources.sort_by(|a, b| a.path.cmp(&b.path));
        let mut plan = Plan {
            exports: Vec::new(),
            links,
        };
        for source in sources {
            match plan.governing(&source.path) {
                Some(outer) if outer.path == source.path && outer.mode != source.mode => {
                    let why = "two exports lead to this place, one rw and one ro";
                    return Err(Error::Export {
                        path: source.path,
                        source: io::Error::other(why),
                    });
                }
                Some(outer) if outer.mode == source.mode => {}
                _ => plan.exports.push(source),
            }
        }
        Ok(plan)
    }

    /// Whether the guest may do all that its host user may: everything is exported and nothing is read-only.
    pub(super) fn is_whole_root(&self) -> bool {
        self.exports.len() == 1 && self.root().is_some_and(|root| root.mode == Access::Rw)
    }

    /// The exports' real paths.
    pub(super) fn exports(&self) -> impl Iterator<Item = (&Path, Access)> {
        self.exports
            .iter()
            .map(|export| (export.path.as_path(), export.mode))
    }

    /// The usable device nodes that the exports hold, if the host has them.
    pub(super) fn nodes(&self) -> impl Iterator<Item = &'static Path> + '_ {
        NODES
            .iter()
            .map(|(path, ..)| Path::new(*path))
            .filter(|path| self.governing(path).is_some())
    }

    /// The exports in words, for the report.
    pub(super) fn summary(&self) -> String {
        let words = self
            .exports
            .iter()
            .map(|export| format!("{} {}", export.path.display(), export.mode));
        words.collect::<Vec<_>>().join(", ")
    }

    fn root(&self) -> Option<&Source> {
        self.exports
            .first()
            .filter(|export| export.path == Path::new("/"))
    }

    /// The innermost export that holds a real path.
    fn governing(&self, path: &Path) -> Option<&Source> {
        self.exports
            .iter()
            .rfind(|export| path.starts_with(&export.path))
    }
}

/// The symbolic links that resolving a path meets, outermost first, with their targets resolved.
fn links_on_the_way(path: &Path) -> io::Result<Vec<(PathBuf, PathBuf)>> {
    let mut links = Vec::new();
    let mut rest: Vec<_> = path.iter().rev().collect();
    let mut at = PathBuf::new();
    while let Some(name) = rest.pop() {
        at.push(name);
        if at.symlink_metadata()?.is_symlink() {
            let target = at.canonicalize()?;
            links.push((at, target.clone()));
            at = target;
        }
    }
    Ok(links)
}

/// Turns the process's (new) mount namespace into the view, with `/` as working directory.
pub(super) fn build(plan: &Plan) -> Result<(), Error> {
    let whole = plan.is_whole_root();
    if !whole {
        refuse_held_directories()?;
    }
    let procs = mounts::proc_mounts().map_err(step("reading /proc/self/mountinfo"))?;
    // What the host mounts later arrives without nodev and read-only. Only a guest that may do everything anyway
    // follows the host; its following also lets the host unmount.
    let propagation = match whole {
        true => MountPropagationFlags::DOWNSTREAM,
        false => MountPropagationFlags::PRIVATE,
    };
    rustix::mount::mount_change("/", propagation | MountPropagationFlags::REC)
        .map_err(step("separating the view's mounts from the host's"))?;

    let nodes = clone_nodes(plan)?;
    let mut trees = Vec::new();
    for export in plan
        .exports
        .iter()
        .filter(|export| export.path != Path::new("/"))
    {
        trees.push((export, clone_export(export)?));
    }
    let root = match plan.root() {
        Some(root) => host_root(root)?,
        None => empty_root(plan)?,
    };
    for (export, tree) in &trees {
        attach(&root, &export.path, tree)?;
    }
    for (path, node) in &nodes {
        attach(&root, path, node)?;
    }
    for path in procs.iter().filter(|path| plan.governing(path).is_some()) {
        confine_proc(&root, path, whole)?;
    }
    if plan.root().is_none() {
        leave_host(&root)?;
    }
    nix::unistd::chdir("/").map_err(step("changing to the view's /"))
}

/// From a directory that the process holds open, `..` would lead out of the view. The one that [`proc`](super::proc)
/// opened is known: it says what keeps it from the guest.
fn refuse_held_directories() -> Result<(), Error> {
    let doing = || step::<io::Error>("reading /proc/self/fd");
    let entries = std::fs::read_dir("/proc/self/fd").map_err(doing())?;
    for entry in entries.flatten() {
        let Some(fd) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let Ok(target) = std::fs::read_link(entry.path()) else {
            continue;
        };
        // The directory being read is in its own list.
        let own = target.starts_with("/proc") && target.ends_with("fd");
        let root = target == Path::new("/proc") || target == Path::new("/");
        let proc = root && mounts::is_proc(&entry.path()).unwrap_or(false);
        if !own && !proc && entry.path().is_dir() {
            return Err(Error::HeldDirectory { fd, path: target });
        }
    }
    Ok(())
}

/// Copies of the usable device nodes that lie in the view, taken before anything is made `nodev`.
fn clone_nodes(plan: &Plan) -> Result<Vec<(&'static Path, OwnedFd)>, Error> {
    let mut nodes = Vec::new();
    for (path, major, minor) in NODES {
        let path = Path::new(path);
        let Some(export) = plan.governing(path) else {
            continue;
        };
        // Absent, or a link that someone put in its place: nothing that should be made usable.
        let Ok(node) = open_at(CWD, path) else {
            continue;
        };
        let stat = rustix::fs::fstat(&node).map_err(step(path.display().to_string()))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::CharacterDevice
            || stat.st_rdev != rustix::fs::makedev(major, minor)
        {
            continue;
        }
        let clone = clone_tree(&node).map_err(step(format!("copying {}", path.display())))?;
        if export.mode == Access::Ro {
            // Writing to the device is still possible; chmod and chown are not.
            set(&clone, MountAttrFlags::MOUNT_ATTR_RDONLY, path)?;
        }
        nodes.push((path, clone));
    }
    Ok(nodes)
}

/// A copy of an export's mounts with its flags, not yet to be seen anywhere.
fn clone_export(export: &Source) -> Result<OwnedFd, Error> {
    let fail = |source: io::Error| Error::Export {
        path: export.path.clone(),
        source,
    };
    // The path was free of links when the plan was made. If it is not now, someone is swapping names.
    let source = open_at(CWD, &export.path).map_err(|errno| fail(errno.into()))?;
    let tree = clone_tree(&source).map_err(|errno| fail(errno.into()))?;
    set(&tree, flags(export.mode), &export.path)?;
    Ok(tree)
}

fn flags(mode: Access) -> MountAttrFlags {
    match mode {
        Access::Rw => MountAttrFlags::MOUNT_ATTR_NODEV,
        Access::Ro => MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_RDONLY,
    }
}

/// Takes the namespace's root as it is: `/` is exported, so there is nothing to leave out.
fn host_root(export: &Source) -> Result<OwnedFd, Error> {
    let root = open_at(CWD, Path::new("/")).map_err(step("opening /"))?;
    set(&root, flags(export.mode), &export.path)?;
    Ok(root)
}

/// Puts a small file system over the old root, with the directories that lead to the exports.
fn empty_root(plan: &Plan) -> Result<OwnedFd, Error> {
    let root = mounts::new_tmpfs().map_err(step("making the view's root"))?;
    mounts::attach(&root, CWD, "/").map_err(step("mounting the view's root"))?;
    for export in &plan.exports {
        // What lies inside another export is there already.
        if outermost(plan, &export.path) {
            mounts::make_mount_point(&root, &export.path, export.is_dir).map_err(step(format!(
                "making {} in the view",
                export.path.display()
            )))?;
        }
    }
    for (link, target) in &plan.links {
        if plan.governing(link).is_none() {
            mounts::make_link(&root, link, target)
                .map_err(step(format!("making {} in the view", link.display())))?;
        }
    }
    Ok(root)
}

fn outermost(plan: &Plan, path: &Path) -> bool {
    path.parent()
        .is_none_or(|parent| plan.governing(parent).is_none())
}

fn attach(root: &OwnedFd, path: &Path, tree: &OwnedFd) -> Result<(), Error> {
    let doing = || format!("mounting {} in the view", path.display());
    let place = open_at(root.as_fd(), path).map_err(step(doing()))?;
    mounts::attach(tree, place.as_fd(), "").map_err(step(doing()))
}

/// Disarms a proc file system in the view.
///
/// In a view with limits it is covered by an empty directory. Its links lead out: `/proc/self/exe` names hostd's program
/// on the host's own mount, to be changed there by chmod(2) under any read-only export (the road of CVE-2019-5736), and
/// `/proc/PID/root` of another process of the same user names the host's root.
///
/// Where the guest may write everywhere it is made read-only, for by `/proc/self/mem` a process writes its own code, which
/// no page protection and no seccomp filter stops.
fn confine_proc(root: &OwnedFd, path: &Path, whole: bool) -> Result<(), Error> {
    let doing = || format!("covering {} in the view", path.display());
    let at = match open_at(root.as_fd(), path) {
        Ok(at) => at,
        // Another mount lies over the way to it.
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(()),
        Err(errno) => return Err(step(doing())(errno)),
    };
    if !mounts::is_proc_fd(&at).map_err(step(doing()))? {
        return Ok(());
    }
    let stat = rustix::fs::fstat(&at).map_err(step(doing()))?;
    let is_dir = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    if whole || !is_dir {
        // A single file of proc, bound by the host, holds no links.
        return set(&at, MountAttrFlags::MOUNT_ATTR_RDONLY, path);
    }
    let cover = mounts::new_tmpfs().map_err(step(doing()))?;
    set(&cover, MountAttrFlags::MOUNT_ATTR_RDONLY, path)?;
    mounts::attach(&cover, at.as_fd(), "").map_err(step(doing()))
}

/// Makes the new root the only one, pivot_root(2): the old one is stacked on it and unmounted with all it holds.
fn leave_host(root: &OwnedFd) -> Result<(), Error> {
    mounts::set_flags(root, MountAttrFlags::MOUNT_ATTR_RDONLY, false)
        .map_err(step("making the view's root read-only"))?;
    nix::unistd::fchdir(root).map_err(step("entering the view"))?;
    rustix::process::pivot_root(".", ".").map_err(step("making the view the root"))?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).map_err(step("leaving the host's root"))
}

fn set(tree: &OwnedFd, flags: MountAttrFlags, path: &Path) -> Result<(), Error> {
    mounts::set_flags(tree, flags, true)
        .map_err(step(format!("restricting {} in the view", path.display())))
}
