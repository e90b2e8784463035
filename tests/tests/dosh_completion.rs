//! Completion and colours of dosh, at a terminal in a guest.

use hostcall_tests::daemon::{descendants, eventually, program, Scratch};
use hostcall_tests::screen::{Look, Screen};
use hostcall_tests::shell::{can_be, UML};
use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;
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
        Dosh::within("local")
    }

    /// The same in a guest of this kind.
    fn within(kind: &str) -> Dosh {
        let home = Scratch::new();
        let programs = home.join("programs");
        fs::create_dir_all(&programs).expect("a directory");
        executable(&programs.join("unmistakable-tool"));
        fs::create_dir_all(home.join("host side/deeper")).expect("a directory");
        fs::write(home.join("host side/letter"), "dear reader\n").expect("a file");
        let mut command = Command::new(program("hostd"));
        let own = std::env::var("PATH").expect("a path");
        command
            .args(["run", "--guest", kind, "--"])
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
        // A burst of keys would be taken for pasted text, whose Tabs open nothing.
        if let Some(text) = keys.strip_suffix('\t').filter(|text| !text.is_empty()) {
            self.screen.types(text);
            eventually(&format!("{text:?} is shown"), || {
                self.screen.line().ends_with(text)
            });
            self.screen.types("\t");
        } else {
            self.screen.types(keys);
        }
        self.screen.at(&format!("ready> {line}"));
    }

    /// Gives up the line.
    fn clears(&mut self) {
        // Keys that come in one piece with a Ctrl-C go with the line that it gives up, and of an empty line it is not to be
        // seen when that has happened.
        if self.screen.line().trim_end() != "ready>" {
            self.screen.types("\x03");
            self.screen.at("ready> ");
        }
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
fn of_very_many_names_it_is_told_how_many_more_there_are() {
    let mut dosh = Dosh::alone();
    for number in 0..1000 {
        dosh.file(&format!("entry-{number:03}"));
    }
    dosh.becomes("cat en\t", "cat entry-");
    // The last of the list comes before its first.
    dosh.screen.types("\t");
    dosh.screen.shows("entry-000");
    // Keys that come while the list is painted are done before anything in it is chosen.
    dosh.screen.types_until("\x1b[Z", "… 500 more");
    dosh.screen.types("\r");
    dosh.becomes("999\t", "cat entry-999 ");
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
    completes_the_hosts(&mut Dosh::in_guest());
}

#[test]
fn tab_completes_what_is_the_hosts_in_a_guest_with_its_own_kernel() {
    if !can_be(UML) {
        return;
    }
    completes_the_hosts(&mut Dosh::within("uml"));
}

fn completes_the_hosts(dosh: &mut Dosh) {
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

/// Whether a process runs dosh.
fn is_dosh(pid: i32) -> bool {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    name.trim() == "dosh"
}

/// The process that asks the host for a shell.
fn asking(dosh: &Dosh) -> Option<Pid> {
    let family = descendants(dosh.screen.pid()).into_iter();
    let shells: Vec<i32> = family.filter(|pid| is_dosh(*pid)).collect();
    let child = shells.iter().find(|pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let parent = stat
            .rsplit(") ")
            .next()
            .and_then(|rest| rest.split(' ').nth(1)?.parse().ok());
        parent.is_some_and(|parent| shells.contains(&parent))
    });
    child.map(|pid| Pid::from_raw(*pid))
}

#[test]
fn a_host_that_does_not_answer_holds_up_no_key() {
    let mut dosh = Dosh::in_guest();
    let home = dosh.home.display().to_string();
    dosh.screen.types(&format!("hcd {home}\r"));
    dosh.screen.at("ready> ");
    dosh.becomes("hrun cat host\t", "hrun cat host\\ side/");
    dosh.clears();
    let asking = asking(&dosh).expect("a process that asks");
    kill(asking, Signal::SIGSTOP).expect("stopped");
    // Nor a prompt.
    dosh.screen.types("echo aft''er\r");
    dosh.screen.shows("\nafter\nready>");
    dosh.becomes("hrun cat host\t", "hrun cat host");
    dosh.becomes("\x7f\x7f", "hrun cat ho");
    dosh.becomes("st\t", "hrun cat host");
    kill(asking, Signal::SIGCONT).expect("continued");
    dosh.screen.at("ready> hrun cat host\\ side/");
    dosh.clears();
    // One that dies is replaced.
    kill(asking, Signal::SIGKILL).expect("killed");
    eventually("the completion of another", || {
        dosh.clears();
        dosh.becomes("hrun cat host", "hrun cat host");
        dosh.screen.types("	");
        std::thread::sleep(std::time::Duration::from_millis(300));
        dosh.screen.line().ends_with(r"host\ side/")
    });
}

const GREEN: Look = look(2, false);
const YELLOW: Look = look(3, false);
/// Red, and underlined for who sees no colours.
const UNKNOWN: Look = look(1, true);

/// A path that is there.
const PATH: Look = Look {
    colour: vt100::Color::Default,
    underlined: true,
};

const fn look(colour: u8, underlined: bool) -> Look {
    Look {
        colour: vt100::Color::Idx(colour),
        underlined,
    }
}

/// Types, until the words look so. What the host knows is seen at the next key once it has answered.
fn looks(dosh: &mut Dosh, keys: &str, wanted: &[(&str, Look)]) {
    dosh.becomes(keys, keys);
    for (word, look) in wanted {
        eventually(&format!("{word} of {keys} as {look:?}"), || {
            let found = dosh.screen.look(word);
            dosh.screen.types(" \x7f");
            found == Some(*look)
        });
    }
    dosh.clears();
}

#[test]
fn commands_have_the_colour_of_their_system() {
    let mut dosh = Dosh::in_guest();
    looks(&mut dosh, "xargs", &[("xargs", GREEN)]);
    looks(&mut dosh, "no-such-thing", &[("no-such-thing", UNKNOWN)]);
    // On the host alone.
    looks(&mut dosh, "unmistakable-tool", &[("unmis", UNKNOWN)]);
    let host = [("hrun", GREEN), ("unmis", YELLOW)];
    looks(&mut dosh, "hrun unmistakable-tool", &host);
    looks(
        &mut dosh,
        "@ unmistakable-tool | cd",
        &[("unmis", YELLOW), ("cd", GREEN)],
    );
    looks(
        &mut dosh,
        "cat /usr/bin | cat /usr/nothing",
        &[("/usr/bin", PATH)],
    );
    looks(&mut dosh, "hrun unmistakable-tools", &[("unmis", UNKNOWN)]);
    looks(
        &mut dosh,
        "hrun no-such-thing | xargs",
        &[("no-such", UNKNOWN), ("xargs", GREEN)],
    );
}

#[test]
fn without_a_host_its_commands_are_neither_known_nor_unknown() {
    let mut dosh = Dosh::alone();
    looks(&mut dosh, "hrun no-such-thing", &[("no-such", YELLOW)]);
    dosh.becomes("hrun no-such\t", "hrun no-such");
    dosh.becomes("\x7f", "hrun no-suc");
}

#[test]
fn who_wants_no_colours_gets_none() {
    let home = Scratch::new();
    let mut command = Command::new(program("dosh"));
    command.env_clear().env("PATH", "/usr/bin:/bin");
    environment(&mut command, &home);
    command.env("NO_COLOR", "1");
    let mut dosh = Dosh::begin(command, home);
    dosh.becomes("no-such-thing 'x'", "no-such-thing 'x'");
    let plain = Look {
        colour: vt100::Color::Default,
        underlined: false,
    };
    assert_eq!(dosh.screen.look("no-such"), Some(plain));
    assert_eq!(dosh.screen.look("'x'"), Some(plain));
}
