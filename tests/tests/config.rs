//! The configuration's document agrees with the code that reads it.

use hostd::config::{
    check, Access, Attach, Config, DeviceAttach, ExecConfig, Export, GuestConfig, Limits,
    ProgramLimits, Rights, Rule, Severity,
};
use hostd::idmap::Range;
use serde_json::{json, Value};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

fn document() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/CONFIG.md");
    std::fs::read_to_string(path).unwrap()
}

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

/// Every key that serde writes; guests' names are not keys.
fn keys(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                found.insert(key.clone());
                keys(value, found);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| keys(value, found)),
        _ => {}
    }
}

/// One guest with every option set, attached either way.
fn complete() -> Config {
    let device = DeviceAttach {
        region: PathBuf::from("/r"),
        doorbell: PathBuf::from("/d"),
    };
    let limits = ProgramLimits {
        cpu_seconds: Some(1),
        memory_mib: Some(1),
        open_files: Some(1),
        file_mib: Some(1),
        core_mib: Some(1),
        user_processes: Some(1),
    };
    let rule = Rule {
        program: "git".to_owned(),
        arguments: Some(vec!["status".to_owned()]),
    };
    let exec = ExecConfig {
        allow: vec![rule],
        user: Some("root".to_owned()),
        directories: Some(vec![PathBuf::from("/")]),
        seconds: Some(1),
        audit: Some(PathBuf::from("/log")),
        limits,
        ..ExecConfig::default()
    };
    let guest = |attach| GuestConfig {
        attach,
        rights: Rights::User("root".to_owned()),
        uid_map: Some(vec![Range::ALL]),
        gid_map: Some(vec![Range::ALL]),
        exports: vec![Export::default()],
        limits: Limits {
            lanes: Some(1),
            ..Limits::default()
        },
        exec: Some(exec.clone()),
    };
    let guests = [
        ("guests", guest(Attach::Local(PathBuf::from("/s")))),
        ("exports", guest(Attach::Device(device))),
    ];
    Config {
        guests: guests.map(|(name, guest)| (name.to_owned(), guest)).into(),
    }
}

#[test]
fn every_key_stands_in_the_document() {
    let document = document();
    let mut found = BTreeSet::new();
    keys(&serde_json::to_value(complete()).unwrap(), &mut found);
    assert_eq!(found.len(), 36, "{found:?}");
    for key in found {
        let heading = format!("`{key}`\n");
        let row = format!("| `{key}` |");
        assert!(
            document.contains(&heading) || document.contains(&row),
            "docs/CONFIG.md does not explain {key}"
        );
    }
}

#[test]
fn the_documents_defaults_are_the_codes() {
    let limits = serde_json::to_value(Limits::default()).unwrap();
    let document = document();
    for (key, least) in [
        ("open_files", Limits::MIN_OPEN_FILES),
        ("processes", 1),
        ("memory_mib", Limits::MIN_MEMORY_MIB),
        ("child_seconds", 1),
    ] {
        let row = format!("| `{key}` | {} | {least} |", limits[key]);
        assert!(document.contains(&row), "docs/CONFIG.md lacks {row}");
    }
    let default = GuestConfig::default();
    for (key, value) in [
        ("attach", serde_json::to_value(default.attach).unwrap()),
        ("exports", serde_json::to_value(default.exports).unwrap()),
        ("pass", json!(ExecConfig::default().pass)),
    ] {
        let cell = value.to_string().replace(':', ": ").replace(',', ", ");
        let row = format!("| `{key}` | `{cell}` |");
        let other = row.replace(
            r#""mode": "rw", "path": "/""#,
            r#""path": "/", "mode": "rw""#,
        );
        assert!(
            document.contains(&row) || document.contains(&other),
            "docs/CONFIG.md lacks {row}"
        );
    }
}

#[test]
fn the_documents_example_can_be_loaded() {
    let document = document();
    let example = document.split("```json\n").nth(1).unwrap();
    let example = example.split("```").next().unwrap();
    // The host need not have the example's user.
    let here = example.replace("builder", "root");
    let config = Config::load(file(&here).path());
    if nix::unistd::geteuid().is_root() {
        let config = config.unwrap();
        assert_eq!(config.guests["build"].limits.lanes, Some(8));
        assert_eq!(config.guests["vm"].exports[0].mode, Access::Ro);
    } else {
        let fault = config.unwrap_err().to_string();
        assert!(fault.contains("only root can run shadows as root") && !fault.contains('\n'));
    }
}

#[test]
fn load_names_the_file_the_key_and_the_cure() {
    let missing = Config::load(Path::new("/nonexistent/hostd.json")).unwrap_err();
    assert_eq!(
        missing.to_string(),
        "/nonexistent/hostd.json: cannot be read: No such file or directory (os error 2)"
    );
    let endless = Config::load(Path::new("/dev/zero")).unwrap_err();
    assert_eq!(
        endless.to_string(),
        "/dev/zero: cannot be read: more than 1048576 bytes is too long for a configuration"
    );
    let bad =
        file(r#"{"guests": {"a": {"exports": [{"path": "srv"}], "limits": {"processes": 0}}}}"#);
    let faults = Config::load(bad.path()).unwrap_err().to_string();
    let name = bad.path().display();
    let expected = format!(
        "{name}: guests.a.exports[0].path: \"srv\" is not absolute; begin it with /\n\
         {name}: guests.a.limits.processes: 0 is too small; a guest needs at least 1"
    );
    assert_eq!(faults, expected);
}

#[test]
fn check_looks_at_the_host() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    std::fs::create_dir(at("dir")).unwrap();
    std::fs::write(at("dir/file"), "").unwrap();
    std::os::unix::fs::symlink(at("dir"), at("link")).unwrap();
    let text = format!(
        r#"{{"guests": {{"g": {{"attach": {{"local": "{}"}}, "exports": [
            {{"path": "{}"}}, {{"path": "{}"}}, {{"path": "{}", "mode": "ro"}}, {{"path": "{}"}}]}}}}}}"#,
        at("no-such-dir/socket"),
        at("dir"),
        at("absent"),
        at("dir/file"),
        at("link")
    );
    let findings = check(file(&text).path());
    let found = |severity, key: &str, words: &str| {
        findings.iter().any(|finding| {
            finding.severity == severity
                && finding.key == format!("guests.g.{key}")
                && finding.message.contains(words)
        })
    };
    assert!(found(Severity::Error, "exports[1].path", "No such file"));
    assert!(found(Severity::Warning, "exports[2].path", "vipw"));
    assert!(found(Severity::Warning, "exports[3].path", "symbolic link"));
    assert!(found(Severity::Warning, "exports[3].path", "adds nothing"));
    assert!(found(Severity::Warning, "attach.local", "does not exist"));
    assert_eq!(
        check(file(r#"{"guests": {"g": {}}}"#).path())
            .iter()
            .filter(|f| f.severity == Severity::Error)
            .count(),
        0
    );
    let typo = check(file(r#"{"gusts": {}}"#).path());
    assert!(typo[0].to_string().contains("did you mean `guests`?"));
}

#[test]
fn a_relative_socket_is_told_of_once() {
    let file = file(r#"{"guests": {"a": {"attach": {"local": "x.sock"}}}}"#);
    let findings = check(file.path());
    let [finding] = &findings[..] else {
        panic!("{findings:?}");
    };
    assert!(finding.to_string().contains("is not absolute"));
}
