//! What `hrun` and its kin say and answer where the host's policy is in the way.

use hostcall_tests::daemon::{program, Daemon};
use serde_json::{json, Value};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// Status and errors of a program of the shell crate in a guest process with this `exec` in the configuration.
fn told(exec: &Value, words: &[&str]) -> (Option<i32>, String) {
    let daemon = Daemon::configured(|_| {
        let mut config = json!({"exports": [{"path": "/"}]});
        if !exec.is_null() {
            config["exec"] = exec.clone();
        }
        config
    });
    let output = Command::new(program("hrun"))
        .arg0(words[0])
        .args(&words[1..])
        .env("HOSTCALL_ATTACH", daemon.socket())
        .env("HOSTCALL_SESSION", "refused")
        .stdin(Stdio::null())
        .output()
        .expect("it runs");
    let errors = String::from_utf8(output.stderr).expect("text");
    (output.status.code(), errors)
}

#[test]
fn a_guest_without_host_programs_is_told_so() {
    for exec in [Value::Null, json!({"allow": []})] {
        for words in [&["hrun", "true"][..], &["hrun", "-t", "true"], &["true"]] {
            let (status, errors) = told(&exec, words);
            assert_eq!(status, Some(126), "{exec} {words:?}: {errors}");
            assert_eq!(errors.lines().count(), 1, "{errors}");
            assert!(errors.contains("allow them under \"exec\""), "{errors}");
        }
    }
    let (status, errors) = told(&Value::Null, &["hcd", "/tmp"]);
    assert_eq!(status, Some(1), "{errors}");
    assert!(errors.contains("allow them under \"exec\""), "{errors}");
}

#[test]
fn a_refusal_names_its_rule() {
    let exec = json!({"allow": ["*"], "deny": ["touch"]});
    let (status, errors) = told(&exec, &["hrun", "touch", "/tmp/nothing"]);
    assert_eq!(status, Some(126), "{errors}");
    assert_eq!(errors.lines().count(), 1, "{errors}");
    assert!(errors.starts_with("hrun: touch: refused: "), "{errors}");
    assert!(errors.contains("deny"), "{errors}");
}
