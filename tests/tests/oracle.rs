//! Programs do in a guest, under the prefix, what they do natively: each case runs on a native directory and on a host
//! directory seen from a guest, and the two transcripts must be equal.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A file of the build, beside this test's own.
fn built(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the path of this test");
    let file = test
        .ancestors()
        .nth(2)
        .expect("the build directory")
        .join(name);
    assert!(
        file.exists(),
        "{} is missing; run `cargo build` with the same profile first",
        file.display()
    );
    file
}

/// A fresh directory with the same files for every run.
fn directory(case: &str, side: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("oracle-{case}-{side}"));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(path.join("t/u/v")).expect("a directory for the case");
    let numbers: String = (1..=3000).map(|number| format!("{number}\n")).collect();
    for (name, text) in [
        ("nums", numbers.as_str()),
        ("f", "c 1\na 2\nb 3\nb 3\n"),
        ("g", "a x\nb y\n"),
        ("fs", "a 2\nb 3\nb 3\nc 1\n"),
        ("t/u/v/leaf", "hi\n"),
    ] {
        fs::write(path.join(name), text).expect("a file for the case");
    }
    symlink("u", path.join("t/l")).expect("a link for the case");
    path
}

fn run(command: &mut Command) -> Output {
    command
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// Both output streams, with the directory's own name taken out.
fn transcript(output: Output, directory: &str) -> String {
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    format!(
        "{}{}\n",
        text.replace(directory, "DIRECTORY"),
        output.status
    )
}

/// Runs `script` natively and in a local guest, with a directory as its argument.
fn compare(case: &str, script: &str) {
    let native = directory(case, "native");
    let shell = |directory: &str| ["bash", "-c", script, case, directory].map(String::from);
    let here = native.display().to_string();
    let expected = run(Command::new("bash").args(&shell(&here)[1..]));
    let expected = transcript(expected, &here);
    let there = format!("/host{}", directory(case, "guest").display());
    let mut guest = Command::new(built("hostd"));
    built("libhostcall_preload.so");
    guest
        .args(["run", "--guest", "local", "--"])
        .args(shell(&there));
    let found = transcript(run(&mut guest), &there);
    for (line, (expected, found)) in expected.lines().zip(found.lines()).enumerate() {
        assert_eq!(found, expected, "{case}, line {}", line + 1);
    }
    assert_eq!(found, expected, "{case}");
}

/// Compiles a C case and compares its two runs.
fn compiled(case: &str) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("c/{case}.c"));
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("oracle-{case}"));
    let status = Command::new("cc")
        .args(["-pthread", "-o"])
        .arg(&program)
        .arg(source)
        .status();
    assert!(
        status.expect("cc; install gcc").success(),
        "{case}.c does not compile"
    );
    // The guest may have directories of its own where the program lies, so it is fetched over the bridge.
    let program = program.display();
    let script = format!(
        "case $1 in /host/*) bridge=/host;; esac; copy=$(mktemp); cat $bridge{program} > $copy; chmod +x $copy; mkdir $1/case; $copy $1/case; rm $copy"
    );
    compare(case, &script);
}

#[test]
fn streams_as_natively() {
    compiled("stdio");
}

#[test]
fn directories_as_natively() {
    compiled("dir");
}

#[test]
fn maps_as_natively() {
    compiled("map");
}

#[test]
fn commands_as_natively() {
    compare("commands", include_str!("../shell/commands.sh"));
}

#[test]
fn redirections_as_natively() {
    compare("redirections", include_str!("../shell/redirections.sh"));
}

#[test]
fn threads_as_natively() {
    compiled("threads");
}
