//! User namespaces: which ids a new one has, and what stands in the way of making one.

use super::plan::Context;
use nix::unistd::{getegid, geteuid, Pid};
use std::fmt::Write as _;
use std::fs;

/// Gives the new user namespace of process `pid` its ids, from its parent namespace.
///
/// A privileged caller passes every id it has through unchanged, so that owners of files look as they
/// do on the host; anyone else becomes the guest's root, with the one id that the kernel lets it map.
///
/// # Errors
/// One line.
pub fn map_ids(pid: Pid) -> Result<(), String> {
    if geteuid().is_root() {
        let every = |kind: &str| -> Result<(), String> {
            let own =
                fs::read_to_string(format!("/proc/self/{kind}")).context("read the id map")?;
            fs::write(format!("/proc/{pid}/{kind}"), identity(&own))
                .context(format_args!("write the guest's {kind}"))
        };
        if every("gid_map").and_then(|()| every("uid_map")).is_ok() {
            return Ok(());
        }
    }
    // Without privilege a group map wants setgroups(2) off, or dropping a group could gain access
    // (user_namespaces(7)).
    fs::write(format!("/proc/{pid}/setgroups"), "deny").context("deny setgroups in the guest")?;
    fs::write(format!("/proc/{pid}/gid_map"), format!("0 {} 1", getegid()))
        .context("write the guest's gid_map")?;
    fs::write(format!("/proc/{pid}/uid_map"), format!("0 {} 1", geteuid()))
        .context("write the guest's uid_map")
}

/// The map that gives each id of this namespace the same number in the next.
fn identity(own: &str) -> String {
    let mut map = String::new();
    for line in own.lines() {
        let mut fields = line.split_ascii_whitespace();
        if let (Some(inside), Some(_), Some(count)) = (fields.next(), fields.next(), fields.next())
        {
            let _ = writeln!(map, "{inside} {inside} {count}");
        }
    }
    map
}

/// Says what to do when the kernel refuses a user namespace.
pub fn cure(error: &std::io::Error) -> String {
    let number = |path: &str| {
        fs::read_to_string(path)
            .ok()
            .and_then(|text| text.trim().parse::<u64>().ok())
    };
    let cure = if number("/proc/sys/user/max_user_namespaces") == Some(0) {
        "allow them: sysctl user.max_user_namespaces=10000"
    } else if number("/proc/sys/kernel/unprivileged_userns_clone") == Some(0) {
        "allow them: sysctl kernel.unprivileged_userns_clone=1"
    } else if number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == Some(1) {
        "allow them: sysctl kernel.apparmor_restrict_unprivileged_userns=0"
    } else {
        "a container that hostd runs in must allow user namespaces"
    };
    format!("no user namespace for the guest ({error}); {cure}")
}

#[cfg(test)]
mod tests {
    #[test]
    fn identity_keeps_every_extent() {
        assert_eq!(
            super::identity("         0          0 4294967295\n"),
            "0 0 4294967295\n"
        );
        assert_eq!(
            super::identity("0 100000 65536\n70000 5 1\n"),
            "0 0 65536\n70000 70000 1\n"
        );
    }
}
