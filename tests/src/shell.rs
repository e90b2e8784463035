//! Shells of guests that tests use: one that a person types into, and one that is given scripts.

use crate::daemon::{program, Scratch, PATIENCE};
use crate::guest::Guest;
use crate::typist::Typist;
use std::fs;
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::process::{Command, ExitStatus, Output};

/// A guest on the same kernel.
pub const LOCAL: &str = "local";
/// A guest with a kernel of its own.
pub const UML: &str = "uml";

/// Whether there can be a guest of this kind here; says so if not.
pub fn can_be(kind: &str) -> bool {
    let can = kind != UML || Path::new("/usr/bin/linux.uml").exists();
    if !can {
        eprintln!("skipped: user-mode-linux is not installed");
    }
    can
}

/// The kinds of guests that there can be here.
pub fn kinds() -> impl Iterator<Item = &'static str> {
    [LOCAL, UML].into_iter().filter(|kind| can_be(kind))
}

/// A command that runs a program in a guest.
pub fn guest(kind: &str, words: &[&str]) -> Command {
    let mut command = Command::new(program("hostd"));
    command.args(["run", "--guest", kind, "--"]).args(words);
    command.env("TERM", "xterm");
    command
}

/// An interactive shell on a terminal, in a guest.
#[derive(Debug)]
pub struct Shell(Typist);

impl Shell {
    /// Boots the guest, and bash in it.
    pub fn start(kind: &str) -> Shell {
        let words = ["bash", "--norc", "--noprofile", "-i"];
        Shell::of(
            guest(kind, &words),
            "bind 'set enable-bracketed-paste off' 2>/dev/null",
        )
    }

    /// The same with dosh, which reads lines as they come there.
    pub fn dosh(kind: &str) -> Shell {
        let words = ["env", "TERM=dumb", "dosh", "--norc", "-i"];
        Shell::of(guest(kind, &words), ":")
    }

    fn of(command: Command, first: &str) -> Shell {
        let mut typist = Typist::start(command);
        // Not the text that is typed: what is echoed must not be taken for its outcome.
        typist.types(&format!(
            "PS1='pro''mpt> '; {first}; stty -echo; echo RE''ADY\n"
        ));
        typist.sees("READY");
        typist.sees("prompt> ");
        Shell(typist)
    }

    /// What a line shows, up to its status.
    pub fn does(&mut self, line: &str) -> String {
        self.ends_with(line).0
    }

    /// The same with the status.
    pub fn ends_with(&mut self, line: &str) -> (String, String) {
        // In one line: what is typed ahead is the program's.
        self.types(&format!("{line}; echo \"status=$?=\"\n"));
        let shown = self.sees("status=").trim().replace('\r', "");
        (shown, self.status())
    }

    /// The status that is being shown, and the next prompt.
    fn status(&mut self) -> String {
        let status = self.sees("=");
        self.sees("prompt> ");
        status
    }

    /// Types a line and lets it run.
    pub fn begins(&mut self, line: &str) {
        self.types(&format!("{line}; echo \"status=$?=\"\n"));
    }

    /// Has a line run in the background.
    pub fn leaves(&mut self, line: &str) {
        self.types(&format!("{line} &\n"));
        self.prompts();
    }

    /// Waits for the end of what has begun: its status.
    pub fn ends(&mut self) -> String {
        self.sees("status=");
        self.status()
    }

    /// Waits for the shell, whose job has been taken from the foreground.
    pub fn prompts(&mut self) {
        self.sees("prompt> ");
    }
}

impl Deref for Shell {
    type Target = Typist;
    fn deref(&self) -> &Typist {
        &self.0
    }
}

impl DerefMut for Shell {
    fn deref_mut(&mut self) -> &mut Typist {
        &mut self.0
    }
}

/// Runs scripts in one guest, all in one session.
#[derive(Debug)]
pub struct Scripts {
    guest: Guest,
    directory: Scratch,
    count: u32,
    /// The guest's kind.
    pub kind: &'static str,
}

/// Without programs but the scripts' own: where booting takes long, starting one does too.
const RUNNER: &str = "while read -r script; do
    ( . \"$script\" ) < /dev/null > /tmp/said 2> /tmp/complained; status=$?
    for what in said complained; do
        IFS= read -r -d '' text < /tmp/$what
        printf %s \"$text\" > \"$script.$what\"
    done
    echo \"ended $status\"
done";

impl Scripts {
    /// Boots the guest.
    pub fn start(kind: &'static str) -> Scripts {
        Scripts {
            guest: Guest::run(guest(kind, &["bash", "-c", RUNNER])),
            directory: Scratch::new(),
            count: 0,
            kind,
        }
    }

    /// Runs a script.
    ///
    /// # Panics
    /// It does not end.
    pub fn run(&mut self, script: &str) -> Output {
        use std::os::unix::process::ExitStatusExt;
        self.count += 1;
        let file = |ending: &str| self.directory.join(format!("{}{ending}", self.count));
        fs::write(file(""), script).expect("a script");
        self.guest.tell(&format!("/host{}", file("").display()));
        let status = self.guest.expect("ended ", PATIENCE);
        let status: i32 = status.parse().expect("a status");
        let read = |ending| fs::read(file(ending)).expect("what it has written");
        Output {
            status: ExitStatus::from_raw(status << 8),
            stdout: read(".said"),
            stderr: read(".complained"),
        }
    }

    /// What a script says; it must have nothing to complain about.
    ///
    /// # Panics
    /// It has.
    pub fn say(&mut self, script: &str) -> String {
        let output = self.run(script);
        assert_eq!(text(&output.stderr), "", "{script}");
        assert!(output.status.success(), "{script}: {:?}", output.status);
        text(&output.stdout)
    }
}

/// Bytes for people.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Has functions be tests that take a guest, made by `$start`: each is a test in a local guest of its own; in one with its own
/// kernel, where booting takes long, all are one test.
#[macro_export]
macro_rules! in_each_guest {
    ($start:path: $($check:ident,)*) => {
        mod local {
            $(#[test]
            fn $check() {
                super::$check(&mut $start($crate::shell::LOCAL));
            })*
        }

        #[test]
        fn all_in_a_guest_with_its_own_kernel() {
            if $crate::shell::can_be($crate::shell::UML) {
                let mut guest = $start($crate::shell::UML);
                let start = std::time::Instant::now();
                $(eprintln!("{:5.1} s: {}", start.elapsed().as_secs_f32(), stringify!($check));
                $check(&mut guest);)*
            }
        }
    };
}
