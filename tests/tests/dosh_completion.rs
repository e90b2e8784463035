//! Completion and colours of dosh, at a terminal in a guest.

use hostcall_tests::daemon::{program, Scratch};
use hostcall_tests::screen::Screen;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// A dosh at a terminal, and a directory that the guest and the host both see.
struct Dosh {
    screen: Screen,
    home: Scratch,
}

fn executable(path: &Path) {
    fs::write(path, "#!/bin/sh\necho \"ran with $#\"\n").expect("a program");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("a mode");
}

fn environment(command: &mut Command, home: &Scratch) {
    command
        .env("TERM", "xterm")
        .env("HOME", home.as_os_str())
        .env("ENV", "")
        .env_remove("NO_COLOR")
        .current_dir(home.as_os_str());
}

impl Dosh {
    fn begin(command: Command, home: Scratch) -> Dosh {
        let mut screen = Screen::start(command, 24, 100);
        screen.types("PS1='re''ady> '\r");
        screen.at("ready> ");
        Dosh { screen, home }
    }

    /// Without a host.
    fn alone() -> Dosh {
        let home = Scratch::new();
        let mut command = Command::new(program("dosh"));
        command.env_clear().env("PATH", "/usr/bin:/bin");
        environment(&mut command, &home);
        Dosh::begin(command, home)
    }

    /// In a local guest. Only the host's path has the directory `programs`.
    fn in_guest() -> Dosh {
        let home = Scratch::new();
        let programs = home.join("programs");
        fs::create_dir_all(&programs).expect("a directory");
        executable(&programs.join("unmistakable-tool"));
        fs::create_dir_all(home.join("host side/deeper")).expect("a directory");
        fs::write(home.join("host side/letter"), "dear reader\n").expect("a file");
        let mut command = Command::new(program("hostd"));
        let own = std::env::var("PATH").expect("a path");
        command
            .args(["run", "--guest", "local", "--"])
            .arg(format!("/host{}", program("dosh").display()));
        environment(&mut command, &home);
        command.env("PATH", format!("{}:{own}", programs.display()));
        Dosh::begin(command, home)
    }

    fn file(&self, name: &str) {
        fs::write(self.home.join(name), "").expect("a file");
    }

    /// Types, one part after the other is shown.
    fn becomes(&mut self, keys: &str, line: &str) {
        self.screen.types(keys);
        self.screen.at(&format!("ready> {line}"));
    }

    /// Gives up the line.
    fn clears(&mut self) {
        self.screen.types("\x03");
        self.screen.at("ready> ");
    }
}

#[test]
fn tab_completes_what_is_the_guests() {
    let mut dosh = Dosh::alone();
    for name in ["plain file", "plan", "it's", "Ünïcode"] {
        dosh.file(name);
    }
    fs::create_dir(dosh.home.join("folder")).expect("a directory");
    executable(&dosh.home.join("run-me"));
    for (keys, line) in [
        ("cat it\t", "cat it\\'s "),
        ("cat 'plai\t", "cat 'plain file' "),
        ("cat \"plai\t", "cat \"plain file\" "),
        ("cat pla\t", "cat pla"),
        ("cat Ü\t", "cat Ünïcode "),
        ("cat fo\t", "cat folder/"),
        ("cat ~/fol\t", "cat ~/folder/"),
        ("cat <pl\t", "cat <pla"),
        ("./ru\t", "./run-me "),
        ("xarg\t", "xargs "),
        ("true && xarg\t", "true && xargs "),
        ("echo \"$(xarg\t", "echo \"$(xargs "),
        ("expor\t", "export "),
        ("echo $HOM\t", "echo $HOME"),
        ("echo \"${HOM\t", "echo \"${HOME}"),
        ("cat $HOME/fol\t", "cat $HOME/folder/"),
        ("cd pla\t", "cd pla"),
    ] {
        dosh.becomes(keys, line);
        dosh.clears();
    }
}

#[test]
fn names_that_are_no_text_become_words_that_name_them() {
    use std::os::unix::ffi::OsStrExt;
    let mut dosh = Dosh::alone();
    let name = std::ffi::OsStr::from_bytes(b"odd\n\xff");
    fs::write(dosh.home.join(name), "found it\n").expect("a file");
    dosh.becomes("cat od\t", "cat $'odd\\n\\377' ");
    dosh.screen.types("\r");
    dosh.screen.shows("\nfound it");
}

#[test]
fn a_choice_is_listed_and_goes_on_where_names_differ() {
    let mut dosh = Dosh::alone();
    for name in ["alpha one", "alpha two"] {
        dosh.file(name);
    }
    dosh.becomes("cat al\t", "cat alpha\\ ");
    dosh.becomes("o\t", "cat alpha\\ one ");
    dosh.clears();
    dosh.becomes("cat al\t", "cat alpha\\ ");
    dosh.screen.types("\t");
    dosh.screen.shows("alpha two");
}

#[test]
fn jobs_and_options_of_the_past_complete() {
    let mut dosh = Dosh::alone();
    dosh.screen.types("sleep 100 &\r");
    dosh.screen.shows("[1]");
    dosh.screen.at("ready> ");
    dosh.becomes("kill %\t", "kill %1 ");
    dosh.screen.types("\r");
    dosh.screen.at("ready> ");
    dosh.screen.types("sort --reverse /dev/null\r");
    dosh.screen.at("ready> ");
    dosh.becomes("sort --re\t", "sort --reverse ");
}

#[test]
fn tab_completes_what_is_the_hosts() {
    let mut dosh = Dosh::in_guest();
    let home = dosh.home.display().to_string();
    dosh.screen.types(&format!("hcd {home}\r"));
    dosh.screen.at("ready> ");
    for (keys, line) in [
        ("hrun unmis\t", "hrun unmistakable-tool "),
        ("@ unmis\t", "@ unmistakable-tool "),
        ("unmis\t", "unmis"),
        ("hrun cat host\t", "hrun cat host\\ side/"),
        ("hrun cat 'host side/l\t", "hrun cat 'host side/letter' "),
        ("hcd host\t", "hcd host\\ side/"),
        ("hcd 'host side/\t", "hcd 'host side/deeper/"),
        ("hrun --transl\t", "hrun --translate "),
    ] {
        dosh.becomes(keys, line);
        dosh.clears();
    }
    // Where the guest's directory is another, names are the host's still.
    dosh.screen.types("cd /\r");
    dosh.screen.at("ready> ");
    dosh.becomes("hrun cat host\t", "hrun cat host\\ side/");
    dosh.becomes("le\t", "hrun cat host\\ side/letter ");
    dosh.screen.types("\r");
    dosh.screen.shows("\ndear reader");
}
