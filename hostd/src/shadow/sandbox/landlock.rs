//! Landlock: the exports once more, enforced by a part of the kernel that shares no code with mounts.
//!
//! Any Landlock domain also keeps its processes from inspecting (ptrace(2), `/proc/PID/root`, `/proc/PID/mem`) those
//! outside it, landlock(7).

use super::view::Plan;
use super::{step, Error, LayerName, Report};
use crate::config;
use landlock::{
    Access, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, Scope, ABI,
};
use std::io;
use std::path::Path;

/// The newest interface whose rights are known here; older kernels enforce what they have of it.
const KNOWN: ABI = ABI::V6;

/// Restricts the process and all that it will fork, as far as this kernel can.
///
/// With all of `/` exported read-write there is no file to deny, and a rule set of files costs each open a look-up for
/// every directory up to the root: then there are only scopes.
pub(super) fn restrict(plan: &Plan, report: &mut Report) -> Result<(), Error> {
    let strict = || Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    let has_refer = strict().handle_access(AccessFs::Refer).is_ok();
    let has_scope = strict().scope(Scope::Signal).is_ok();

    let files = if plan.is_whole_root() {
        Err("not needed: all of / is exported read-write")
    } else if has_refer {
        Ok("the exports")
    } else {
        // The first Landlock refuses every rename and link between directories: worse than none.
        Err("the kernel has none, or none that allows renames between directories (Linux 5.19)")
    };
    let scope = match has_scope {
        true => Ok("no signals to, abstract sockets of or look into other processes"),
        false => Err("the kernel has none (Linux 6.12)"),
    };
    if files.is_ok() || scope.is_ok() {
        let exports = plan.exports().filter(|_| files.is_ok());
        let nodes = plan.nodes().filter(|_| files.is_ok());
        apply(exports, nodes, files.is_ok(), scope.is_ok())
            .map_err(io::Error::other)
            .map_err(step("entering Landlock"))?;
    }
    for (layer, state) in [
        (LayerName::LandlockFiles, files),
        (LayerName::LandlockScope, scope),
    ] {
        match state {
            Ok(detail) => report.active(layer, detail),
            Err(reason) => report.inactive(layer, reason),
        }
    }
    Ok(())
}

/// Enters a domain that allows the exports. What no rule grants is denied: exec and ioctl on devices everywhere, and
/// everything but listing outside the exports.
fn apply<'p>(
    exports: impl Iterator<Item = (&'p Path, config::Access)>,
    nodes: impl Iterator<Item = &'static Path>,
    files: bool,
    scope: bool,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut ruleset = Ruleset::default();
    if files {
        ruleset = ruleset.handle_access(AccessFs::from_all(KNOWN))?;
    }
    if scope {
        ruleset = ruleset.scope(Scope::from_all(KNOWN))?;
    }
    let mut ruleset = ruleset.create()?;
    if files {
        // The directories between / and the exports hold nothing but the way there.
        ruleset = ruleset.add_rule(PathBeneath::new(PathFd::new("/")?, AccessFs::ReadDir))?;
    }
    for (path, mode) in exports {
        let mut rights = rights(mode);
        if !path.is_dir() {
            rights &= AccessFs::from_file(KNOWN);
        }
        ruleset = ruleset.add_rule(PathBeneath::new(PathFd::new(path)?, rights))?;
    }
    // /dev/null takes what is written to it, also where /dev is exported read-only. A node may be missing.
    for node in nodes.filter_map(|path| PathFd::new(path).ok()) {
        let rights = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::Truncate;
        ruleset = ruleset.add_rule(PathBeneath::new(node, rights))?;
    }
    ruleset.restrict_self()?;
    Ok(())
}

fn rights(mode: config::Access) -> BitFlags<AccessFs> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    match mode {
        config::Access::Ro => read,
        config::Access::Rw => read | (AccessFs::from_write(KNOWN) & !AccessFs::IoctlDev),
    }
}
