//! What is wrong with the `exec` of a guest.

use super::check::{plain_path, Findings};
use super::{Access, ExecConfig, Export, GuestConfig, HostUser, Rights, Rule};
use nix::unistd::Uid;
use std::path::{Path, PathBuf};

/// Programs that a guest can have at once: hostd keeps a place for each.
const MOST_PROCESSES: u32 = 65_536;

/// Faults that no state of the host can cure, and users that do not exist.
pub(super) fn validate(report: &mut Findings, guest_key: &str, guest: &GuestConfig) {
    let Some(exec) = &guest.exec else {
        return;
    };
    let key = |name: &str| format!("{guest_key}.exec.{name}");
    for (list, rules) in [("allow", &exec.allow), ("deny", &exec.deny)] {
        for (index, each) in rules.iter().enumerate() {
            rule(report, &format!("{}[{index}]", key(list)), each);
        }
    }
    user(report, &key("user"), guest, exec);
    for (name, value) in &exec.environment {
        if let Some(fault) = name_fault(name) {
            report.error(&key("environment"), format!("{name:?} {fault}"));
        } else if value.contains('\0') {
            report.error(
                &key("environment"),
                format!("the value of {name} holds a NUL"),
            );
        }
    }
    for (index, name) in exec.pass.iter().enumerate() {
        if let Some(fault) = name_fault(name) {
            report.error(
                &format!("{}[{index}]", key("pass")),
                format!("{name:?} {fault}"),
            );
        }
    }
    for (index, path) in exec.directories.iter().flatten().enumerate() {
        plain_path(report, &format!("{}[{index}]", key("directories")), path);
    }
    if let Some(path) = &exec.audit {
        plain_path(report, &key("audit"), path);
    }
    for (name, value) in [
        ("seconds", exec.seconds),
        ("processes", Some(exec.processes)),
    ] {
        if value == Some(0) {
            report.error(
                &key(name),
                "0 lets no program run; leave `exec` out for that",
            );
        }
    }
    if exec.processes > MOST_PROCESSES {
        let message = format!("{} is too large; at most {MOST_PROCESSES}", exec.processes);
        report.error(&key("processes"), message);
    }
    let sizes = [
        ("memory_mib", exec.limits.memory_mib),
        ("file_mib", exec.limits.file_mib),
        ("core_mib", exec.limits.core_mib),
    ];
    for (name, size) in sizes {
        if size.is_some_and(|size| size > u64::MAX >> 20) {
            report.error(&key(&format!("limits.{name}")), "more than 64 bits hold");
        }
    }
}

fn rule(report: &mut Findings, key: &str, rule: &Rule) {
    let program = rule.program.as_str();
    if program.is_empty() || program.contains('\0') {
        report.error(key, "names no program");
    } else if program.contains('/') && !program.starts_with('/') {
        report.error(
            key,
            format!("{program:?} is neither a name nor an absolute path"),
        );
    } else if program.contains('*') && program != "*" && !program.starts_with('/') {
        let message = format!("{program:?}: a pattern is one for absolute paths, such as /opt/tools/*, or * for every program");
        report.error(key, message);
    }
    let arguments = rule.arguments.iter().flatten();
    let inner = rule
        .arguments
        .as_ref()
        .map_or(0, |all| all.len().saturating_sub(1));
    if arguments.take(inner).any(|pattern| pattern == "**") {
        report.error(
            key,
            "`**` stands for all further arguments and can only be the last",
        );
    }
}

fn user(report: &mut Findings, key: &str, guest: &GuestConfig, exec: &ExecConfig) {
    match &exec.user {
        None if guest.rights == Rights::Caller => report.error(
            key,
            "needed with \"as\": \"caller\": programs run as one host user, whoever of the guest starts them",
        ),
        None => {}
        Some(name) => match HostUser::named(name) {
            Err(error) => report.error(key, error),
            Ok(user) if !Uid::effective().is_root() && user.uid != Uid::effective().as_raw() => {
                report.error(key, format!("only root can run programs as {name}"));
            }
            Ok(_) => {}
        },
    }
}

fn name_fault(name: &str) -> Option<&'static str> {
    match name {
        "" => Some("is empty"),
        name if name.contains(['=', '\0']) => Some("is no name of a variable"),
        _ => None,
    }
}

/// Whether all of the host is exported, where files are what their owners and modes make of them.
fn is_whole(export: &Export) -> bool {
    export.path == Path::new("/")
}

/// What is allowed but seldom meant.
pub(super) fn against_host(report: &mut Findings, guest_key: &str, guest: &GuestConfig) {
    let Some(exec) = &guest.exec else {
        return;
    };
    let writable = |export: &&Export| export.mode == Access::Rw;
    let exports = guest.exports.iter().filter(writable);
    let inside = |audit: &PathBuf| {
        exports
            .clone()
            .any(|export| audit.starts_with(&export.path))
    };
    if exec.audit.as_ref().is_some_and(inside) && !guest.exports.iter().any(is_whole) {
        let key = format!("{guest_key}.exec.audit");
        let message = "lies where the guest may write; keep it outside the exports, or export its directory read-only";
        report.warning(&key, message);
    }
    if exec.allow.is_empty() {
        let key = format!("{guest_key}.exec.allow");
        report.warning(
            &key,
            "empty: the guest may start nothing, as without `exec`",
        );
    }
    let unbounded = |rule: &&Rule| rule.program == "*" && rule.arguments.is_none();
    if exec.allow.iter().any(|rule| unbounded(&rule)) && !exec.deny.is_empty() {
        let key = format!("{guest_key}.exec.deny");
        let message = "with `*` allowed, what is denied can be done by another program or a copy; allow what is meant instead";
        report.warning(&key, message);
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::validate;
    use super::super::parse;
    use std::path::Path;

    fn faults(exec: &str) -> Vec<String> {
        let text = format!(r#"{{"guests": {{"g": {{"exec": {exec}}}}}}}"#);
        let config = parse::parse(Path::new("c.json"), text.as_bytes()).unwrap();
        validate(&config).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn sound_ones_hold() {
        assert_eq!(faults("{}"), [""; 0]);
        let all = r#"{"allow": ["git", "/opt/*/bin/**", "*", {"program": "make", "arguments": ["-j*", "**"]}],
            "deny": ["rm"], "environment": {"A": "b"}, "pass": ["LC_*"], "directories": ["/srv"], "seconds": 1,
            "processes": 1, "limits": {"open_files": 10}, "audit": "/var/log/x"}"#;
        assert_eq!(faults(all), [""; 0]);
    }

    #[test]
    fn others_are_refused_with_their_key() {
        let one = |exec: &str, key: &str| {
            let faults = faults(exec);
            let head = format!("error: guests.g.exec.{key}: ");
            assert!(
                faults.len() == 1 && faults[0].starts_with(&head),
                "{exec}: {faults:?}"
            );
        };
        one(r#"{"allow": [""]}"#, "allow[0]");
        one(r#"{"deny": ["git", "bin/ls"]}"#, "deny[1]");
        one(r#"{"allow": ["g*"]}"#, "allow[0]");
        one(
            r#"{"allow": [{"program": "a", "arguments": ["**", "b"]}]}"#,
            "allow[0]",
        );
        one(r#"{"environment": {"A=B": ""}}"#, "environment");
        one(r#"{"environment": {"A": "\u0000"}}"#, "environment");
        one(r#"{"pass": [""]}"#, "pass[0]");
        one(r#"{"directories": ["srv"]}"#, "directories[0]");
        one(r#"{"audit": "log"}"#, "audit");
        one(r#"{"seconds": 0}"#, "seconds");
        one(r#"{"processes": 0}"#, "processes");
        one(r#"{"processes": 65537}"#, "processes");
        one(r#"{"user": "no-such-user"}"#, "user");
        one(
            r#"{"limits": {"file_mib": 18446744073709551615}}"#,
            "limits.file_mib",
        );
    }
}
