//! What is wrong with a configuration, as far as it can be known before a guest starts.

use super::parse::{self, ConfigError};
use super::programs;
use super::{Access, Attach, Config, Export, GuestConfig, Limits, Rights};
use serde::Serialize;
use std::collections::HashMap;
use std::fmt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Component, Path, PathBuf};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// hostd refuses to start with it.
    Error,
    /// Works, but probably not as meant.
    Warning,
}

/// One thing to say about a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The key it is about, such as `guests.build.exports[1].path`.
    pub key: String,
    /// What is wrong, and the cure.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        if self.key.is_empty() {
            write!(f, "{severity}: {}", self.message)
        } else {
            write!(f, "{severity}: {}: {}", self.key, self.message)
        }
    }
}

/// Judges a configuration file against itself and against the host as it is now; empty when nothing is wrong.
pub fn check(path: &Path) -> Vec<Finding> {
    let config = match parse::read(path) {
        Ok(config) => config,
        Err(ConfigError::Invalid { faults, .. }) => return faults,
        Err(error) => {
            return vec![Finding {
                severity: Severity::Error,
                key: String::new(),
                message: error.to_string(),
            }]
        }
    };
    let mut findings = validate(&config);
    let mut report = Findings::default();
    for (name, guest) in &config.guests {
        against_host(&mut report, &format!("guests.{name}"), guest);
    }
    findings.append(&mut report.all);
    findings
}

/// Judges a list of exports by itself and against the host as it is now.
///
/// # Errors
/// The first thing that is wrong, and the cure.
pub fn exports_of(list: &[Export]) -> Result<(), String> {
    let mut report = Findings::default();
    exports(&mut report, "", list);
    for export in list.iter().filter(|export| export.path.is_absolute()) {
        if let Err(error) = export.path.canonicalize() {
            report.error("", format!("{}: {error}", export.path.display()));
        }
    }
    let mut faults = report.all.into_iter();
    match faults.find(|finding| finding.severity == Severity::Error) {
        Some(fault) => Err(fault.message),
        None => Ok(()),
    }
}

/// Faults that no state of the host can cure, and users that do not exist. All of them are errors.
pub(super) fn validate(config: &Config) -> Vec<Finding> {
    let mut report = Findings::default();
    if config.guests.is_empty() {
        report.error("guests", "no guest; name at least one");
    }
    let mut taken = HashMap::new();
    for (name, guest) in &config.guests {
        let key = format!("guests.{name}");
        guest_name(&mut report, &key, name);
        attachment(&mut report, &key, &guest.attach, &mut taken);
        exports(&mut report, &key, &guest.exports);
        limits(&mut report, &key, &guest.limits);
        if let Err(error) = guest.rights() {
            report.error(&format!("{key}.{}", error.key()), error);
        }
        programs::validate(&mut report, &key, guest);
    }
    report.all
}

#[derive(Default)]
pub(super) struct Findings {
    all: Vec<Finding>,
}

impl Findings {
    fn add(&mut self, severity: Severity, key: &str, message: impl fmt::Display) {
        self.all.push(Finding {
            severity,
            key: key.to_owned(),
            message: message.to_string(),
        });
    }

    pub(super) fn error(&mut self, key: &str, message: impl fmt::Display) {
        self.add(Severity::Error, key, message);
    }

    pub(super) fn warning(&mut self, key: &str, message: impl fmt::Display) {
        self.add(Severity::Warning, key, message);
    }
}

/// A name becomes part of file names, log lines and `--guest` arguments, so it is kept to plain characters.
fn guest_name(report: &mut Findings, key: &str, name: &str) {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if !starts_well || !name.chars().all(plain) || name.len() > 64 {
        report.error(
            key,
            "a guest's name is 1 to 64 of A-Z a-z 0-9 - _ . and begins with a letter or digit",
        );
    }
}

fn attachment(
    report: &mut Findings,
    key: &str,
    attach: &Attach,
    taken: &mut HashMap<PathBuf, String>,
) {
    let paths = match attach {
        Attach::Local(path) => vec![("local", path)],
        Attach::Device(device) => vec![
            ("device.region", &device.region),
            ("device.doorbell", &device.doorbell),
        ],
    };
    for (field, path) in paths {
        let key = format!("{key}.attach.{field}");
        if !plain_path(report, &key, path) {
            continue;
        }
        // sockaddr_un.sun_path holds 108 bytes with its NUL, unix(7).
        if field != "device.region" && path.as_os_str().len() > 107 {
            report.error(
                &key,
                "longer than the 107 bytes that a socket's path can have",
            );
        }
        let path = path.components().collect::<PathBuf>();
        if let Some(other) = taken.insert(path, key.clone()) {
            report.error(&key, format!("also taken by {other}; give each its own"));
        }
    }
}

fn exports(report: &mut Findings, key: &str, exports: &[Export]) {
    if exports.is_empty() {
        report.error(
            &format!("{key}.exports"),
            "empty; leave it out to export / read-write",
        );
    }
    let mut seen = HashMap::new();
    for (index, export) in exports.iter().enumerate() {
        let key = format!("{key}.exports[{index}].path");
        if !plain_path(report, &key, &export.path) {
            continue;
        }
        let path = export.path.components().collect::<PathBuf>();
        if path.starts_with("/proc") {
            report.error(
                &key,
                "/proc cannot be exported: its links to other processes lead out of the view",
            );
        }
        if let Some(first) = seen.insert(path, index) {
            report.error(
                &key,
                format!(
                    "{} is listed twice, first as exports[{first}]",
                    export.path.display()
                ),
            );
        }
    }
}

fn limits(report: &mut Findings, key: &str, limits: &Limits) {
    let mut at_least = |name: &str, value: u64, least: u64| {
        if value < least {
            report.error(
                &format!("{key}.limits.{name}"),
                format!("{value} is too small; a guest needs at least {least}"),
            );
        }
    };
    at_least("lanes", limits.lanes.map_or(1, u64::from), 1);
    at_least("open_files", limits.open_files, Limits::MIN_OPEN_FILES);
    at_least("processes", limits.processes.into(), 1);
    at_least("memory_mib", limits.memory_mib, Limits::MIN_MEMORY_MIB);
    at_least("child_seconds", limits.child_seconds.into(), 1);
    if limits.memory_mib > u64::MAX >> 20 {
        report.error(
            &format!("{key}.limits.memory_mib"),
            "more than a 64-bit address space holds",
        );
    }
}

/// Whether a path is absolute and names its file without detours; says so if not.
pub(super) fn plain_path(report: &mut Findings, key: &str, path: &Path) -> bool {
    let text = path.as_os_str().as_encoded_bytes();
    // `Path::components` swallows `.`, which is harmless; `..` could name another place after a rename.
    let fault = if text.is_empty() {
        "empty; give an absolute path"
    } else if text.contains(&0) {
        "holds a NUL byte"
    } else if !path.is_absolute() {
        "not absolute; begin it with /"
    } else if path.components().any(|part| part == Component::ParentDir) {
        "holds `..`; write the path that is meant"
    } else {
        return true;
    };
    report.error(
        key,
        format!("{path:?} is {fault}").replace("is holds", "holds"),
    );
    false
}

/// What depends on the host as it is now, and what is allowed but seldom meant.
fn against_host(report: &mut Findings, key: &str, guest: &GuestConfig) {
    if guest.rights == Rights::Caller && guest.uid_map.is_none() {
        report.warning(
            &format!("{key}.as"),
            "without uid_map the guest's root acts as the host's root; map it to another user unless that is meant",
        );
    }
    programs::against_host(report, key, guest);
    for (index, export) in guest.exports.iter().enumerate() {
        let key = format!("{key}.exports[{index}].path");
        if !export.path.is_absolute() {
            continue;
        }
        match export.path.canonicalize() {
            Err(error) => report.error(&key, format!("{}: {error}", export.path.display())),
            Ok(real) => {
                if real != export.path.components().collect::<PathBuf>() {
                    report.warning(
                        &key,
                        format!("is a symbolic link; the guest gets {}", real.display()),
                    );
                }
                below_others(report, &key, index, &real, guest);
            }
        }
    }
    let (field, socket) = match &guest.attach {
        Attach::Local(path) => ("local", path),
        Attach::Device(device) => ("device.doorbell", &device.doorbell),
    };
    let key = format!("{key}.attach.{field}");
    let dir = socket.parent().filter(|_| socket.is_absolute());
    if let Some(dir) = dir.filter(|dir| !dir.is_dir()) {
        report.warning(
            &key,
            format!("directory {} does not exist (yet)", dir.display()),
        );
    }
    if std::fs::symlink_metadata(socket).is_ok_and(|meta| !meta.file_type().is_socket()) {
        report.error(
            &key,
            format!("{} exists and is not a socket", socket.display()),
        );
    }
}

/// Exports inside other exports: those that add nothing, and those whose protection can be lost.
fn below_others(report: &mut Findings, key: &str, index: usize, real: &Path, guest: &GuestConfig) {
    let mut nearest: Option<(PathBuf, Access)> = None;
    for (other, export) in guest.exports.iter().enumerate() {
        let Ok(outer) = export.path.canonicalize() else {
            continue;
        };
        let nearer = nearest
            .as_ref()
            .is_none_or(|(path, _)| outer.starts_with(path));
        if other != index && real.starts_with(&outer) && nearer {
            nearest = Some((outer, export.mode));
        }
    }
    let Some((outer, mode)) = nearest else { return };
    if mode == guest.exports[index].mode {
        report.warning(
            key,
            format!("adds nothing: {} is exported alike", outer.display()),
        );
    } else if mode == Access::Rw && real.is_file() {
        // A mount on a file goes when the host renames another over that file: d_invalidate and detach_mounts.
        let message = format!(
            "a read-only file inside read-write {} stops being protected when a host program replaces it \
             (as vipw replaces /etc/passwd); export its directory read-only",
            outer.display()
        );
        report.warning(key, message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(guest: &str) -> Vec<String> {
        let text = format!(r#"{{"guests": {{"g": {guest}}}}}"#);
        let config = parse::parse(Path::new("c.json"), text.as_bytes()).unwrap();
        validate(&config)
            .into_iter()
            .map(|finding| finding.to_string())
            .collect()
    }

    #[test]
    fn defaults_hold() {
        assert_eq!(faults("{}"), [""; 0]);
        assert_eq!(validate(&Config::default_for_user()), []);
        assert_eq!(
            validate(&Config::default())[0].message,
            "no guest; name at least one"
        );
    }

    #[test]
    fn paths_are_absolute_and_plain() {
        let one =
            |path: &str| faults(&format!(r#"{{"exports": [{{"path": "{path}"}}]}}"#)).join("\n");
        assert_eq!(one("/srv/../etc"), "error: guests.g.exports[0].path: \"/srv/../etc\" holds `..`; write the path that is meant");
        assert!(one("srv").contains("not absolute"));
        assert!(one("").contains("empty"));
        assert!(one("/a\\u0000b").contains("NUL"));
        assert!(one("/proc").contains("lead out of the view"));
        assert_eq!(one("/srv"), "");
        assert!(faults(r#"{"attach": {"local": "guest.sock"}}"#)[0].contains("attach.local"));
        let long = format!(r#"{{"attach": {{"local": "/{}"}}}}"#, "x".repeat(107));
        assert!(faults(&long)[0].contains("107 bytes"));
    }

    #[test]
    fn nothing_stands_twice() {
        let exports = r#"{"exports": [{"path": "/srv"}, {"path": "/srv/", "mode": "ro"}]}"#;
        assert_eq!(
            faults(exports),
            ["error: guests.g.exports[1].path: /srv/ is listed twice, first as exports[0]"]
        );
        let sockets = r#"{"guests": {"a": {"attach": {"local": "/s"}}, "b": {"attach": {"device": {"region": "/r", "doorbell": "/s"}}}}}"#;
        let config = parse::parse(Path::new("c.json"), sockets.as_bytes()).unwrap();
        let faults = validate(&config);
        assert_eq!(faults.len(), 1);
        assert_eq!(
            faults[0].message,
            "also taken by guests.a.attach.local; give each its own"
        );
    }

    #[test]
    fn limits_leave_room_to_work() {
        let zero = r#"{"limits": {"lanes": 0, "open_files": 0, "processes": 0, "memory_mib": 0, "child_seconds": 0}}"#;
        assert_eq!(faults(zero).len(), 5);
        assert_eq!(faults(r#"{"exports": []}"#).len(), 1);
        let huge = r#"{"limits": {"memory_mib": 18446744073709551615}}"#;
        assert!(faults(huge)[0].contains("64-bit"));
    }

    #[test]
    fn users_exist() {
        assert!(faults(r#"{"as": "no-such-user"}"#)[0].contains("no user"));
        assert!(faults(r#"{"as": "a\u0000b"}"#)[0].contains("user"));
        let name = crate::config::HostUser::calling().unwrap().name;
        assert_eq!(faults(&format!(r#"{{"as": "{name}"}}"#)), [""; 0]);
    }

    #[test]
    fn callers_are_mapped_by_sound_ranges_and_only_for_root() {
        let map = |key: &str, ranges: &str| {
            faults(&format!(r#"{{"as": "caller", "{key}": [{ranges}]}}"#)).join("\n")
        };
        let sound = r#"{"guest": 0, "host": 100000, "count": 65536}"#;
        let expected = match nix::unistd::geteuid().is_root() {
            true => "",
            false => "error: guests.g.as: only root can act for each caller of a guest; run hostd as root, or name one user",
        };
        assert_eq!(map("uid_map", sound), expected);
        let fault = map("gid_map", r#"{"guest": 0, "host": 0, "count": 0}"#);
        assert_eq!(
            fault,
            "error: guests.g.gid_map: range [0] is empty; give it a `count`"
        );
        let fault = map("uid_map", &format!("{sound}, {sound}"));
        assert!(
            fault.contains("[0] and [1] share ids of the guest"),
            "{fault}"
        );
        let alone = faults(&format!(r#"{{"uid_map": [{sound}]}}"#));
        assert!(
            alone[0].starts_with("error: guests.g.uid_map: has a meaning only with"),
            "{alone:?}"
        );
    }

    #[test]
    fn names_are_plain() {
        for name in ["", "-x", "a/b", "a b", "ä", &"x".repeat(65)] {
            let mut report = Findings::default();
            guest_name(&mut report, "k", name);
            assert_eq!(report.all.len(), 1, "{name:?}");
        }
    }
}
