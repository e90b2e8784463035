//! A server of files in a guest with its own kernel that has two sessions at once: exports have changed under it.

use hostcall_tests::daemon::{self, eventually, program, Scratch, PATIENCE};
use hostcall_tests::guest::Guest;
use hostcall_tests::shell::{can_be, UML};
use hostd::server::admin::GuestStatus;
use std::fs;
use std::path::Path;
use std::process::Command;

fn status_of(run: &Guest) -> GuestStatus {
    let status = daemon::status_of(run.pid());
    status.expect("the guest's hostd").guests.remove(0)
}

fn export(run: &Guest, arguments: &[&str]) {
    let output = Command::new(program("hostd"))
        .arg("export")
        .args(arguments)
        .args(["--hostd", &run.pid().to_string()])
        .output()
        .expect("hostd runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
}

/// Only programs without the preload, so that the sessions are those of hostfs; `$1` and `$2` are two directories on the mount.
const SCRIPT: &str = r#"
first=$1 second=$2
wait_for() { until eval "$1"; do /bin/busybox sleep 0.1; done; }
exec 7<> $first/open
read line <&7; echo "first $line"
read _
wait_for '[ -e $second/file ]'
read line < $second/file; echo "added $line"
read line <&7; echo "second $line"
echo third >&7
echo here > $first/made; echo there > $second/made
read _
exec 7<&-
echo closed
read _
wait_for '! [ -e $second/file ]'
read line < $first/made; echo "still $line"
"#;

#[test]
fn a_mount_of_another_kernel_keeps_its_files_while_exports_come_and_go() {
    if !can_be(UML) {
        return;
    }
    let scratch = Scratch::new();
    let (first, second) = (scratch.join("first"), scratch.join("second"));
    for directory in [&first, &second] {
        fs::create_dir(directory).expect("a directory");
    }
    fs::write(first.join("open"), "one\ntwo\n").expect("a file");
    fs::write(second.join("file"), "new\n").expect("a file");
    let mounted = |path: &Path| format!("/host{}", path.display());
    let mut command = Command::new(program("hostd"));
    command
        .args(["run", "--guest", "uml", "--export"])
        .arg(&first)
        .args(["--", "/bin/busybox", "sh", "-c", SCRIPT, "sh"])
        .args([mounted(&first), mounted(&second)]);
    let mut run = Guest::run(command);
    assert_eq!(run.expect("first", PATIENCE), "one");
    assert_eq!(status_of(&run).sessions.len(), 1, "that of the mount");

    export(&run, &["add", second.to_str().expect("a plain path")]);
    run.poke();
    assert_eq!(run.expect("added", PATIENCE), "new");
    assert_eq!(run.expect("second", PATIENCE), "two");
    eventually("what was written is on the host", || {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        read(first.join("open")) == "one\ntwo\nthird\n"
            && read(first.join("made")) == "here\n"
            && read(second.join("made")) == "there\n"
    });
    let status = status_of(&run);
    let mut views: Vec<u32> = status.sessions.iter().map(|own| own.view).collect();
    views.sort_unstable();
    assert_eq!(views, [0, 1], "one for the open file and one for the names");
    assert!(status.sessions.iter().all(|own| own.lanes > 0));

    run.poke();
    run.expect("closed", PATIENCE);
    eventually("the old session ends with its file", || {
        status_of(&run).sessions.len() == 1
    });
    export(&run, &["remove", second.to_str().expect("a plain path")]);
    run.poke();
    assert_eq!(run.expect("still", PATIENCE), "here");
    assert!(run.ended(PATIENCE).success());
}
