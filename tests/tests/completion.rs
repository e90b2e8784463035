//! Completion of host programs and host paths, in real shells on a terminal.

use hostcall_tests::daemon::{program, Scratch};
use hostcall_tests::typist::Typist;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// A directory of the host with a program, and a path of many parts.
fn host() -> Scratch {
    let directory = Scratch::new();
    let at = |name: &str| directory.join(name);
    fs::create_dir_all(at("programs")).expect("a directory");
    fs::create_dir_all(at("some folder/deeper")).expect("a directory");
    fs::write(at("some folder/deeper/letter"), "dear reader\n").expect("a file");
    fs::write(at("some folder/deep"), "").expect("a file");
    let tool = at("programs/unmistakable-tool");
    fs::write(&tool, "#!/bin/sh\necho \"ran with $#\"\n").expect("a program");
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).expect("a mode");
    directory
}

/// A guest in which a shell is at a terminal. Programs are those of the directory beside the host's own.
fn guest(host: &Path, shell: &str) -> Typist {
    let mut command = Command::new(program("hostd"));
    let own = std::env::var("PATH").expect("a path");
    command
        .args(["run", "--guest", "local", "--", shell])
        .env("PATH", format!("{}:{own}", host.join("programs").display()))
        .env("TERM", "dumb");
    Typist::start(command)
}

/// Types lines with tabs in them into a shell, each after the answer to the one before.
fn completes(shell: &str) {
    let host = host();
    let mut shell = guest(&host, shell);
    shell.types("PS1='rea''dy> ' PROMPT_EOL_MARK=\n");
    shell.sees("ready> ");
    for (keys, answer) in [
        ("hrun unmis\tone\n", "\nran with 1"),
        ("hrun -v --env X unmis\tone two\n", "\nran with 2"),
        ("hrun cat HERE/some\tdeeper/l\t\n", "\ndear reader"),
        ("hrun HERE/pro\tunm\t\n", "\nran with 0"),
        ("hcd HERE/so\tdee\t && hpwd\n", "/some folder/deeper"),
        // Where the session is by now.
        ("hrun cat le\t\n", "\ndear reader"),
        ("hrun --transl\techo translated\n", "\ntranslated"),
    ] {
        // One part after the other, as a person would: what is typed ahead of an answer is another line to some shells.
        let keys = keys.replace("HERE", &host.display().to_string());
        for part in keys.split_inclusive('\t') {
            shell.types(part);
        }
        shell.sees(answer);
        shell.sees("ready> ");
    }
    shell.types("exit\n");
    assert!(shell.ends().success());
}

#[test]
fn bash_completes_what_is_the_hosts() {
    completes("bash");
}

#[test]
fn zsh_completes_what_is_the_hosts() {
    completes("zsh");
}

#[test]
fn the_manual_is_in_the_guest() {
    let script = "for page in hrun hcd hpwd hpath; do man -w $page || exit; done; man hrun | grep -c -- --translate";
    let mut command = Command::new(program("hostd"));
    command.args(["run", "--guest", "local", "--", "sh", "-c", script]);
    let output = command.output().expect("hostd runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert_eq!(
        said.matches("/run/hostcall/share/man/").count(),
        4,
        "{said}"
    );
}

/// `su`, `sudo` and `env -i` start shells along a path of their own.
#[test]
fn a_shell_that_does_not_find_hrun_says_nothing_of_it() {
    let script = "PATH=/usr/bin:/bin HOME=/root bash -i -c 'echo began'";
    let mut command = Command::new(program("hostd"));
    command.args(["run", "--guest", "local", "--", "sh", "-c", script]);
    let output = command.output().expect("hostd runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "began\n", "{said}");
    assert!(!said.contains("hrun"), "{said}");
}
