//! Paths of the host in directories that take long to read, completed by dosh in a guest.

use hostcall_tests::daemon::{descendants, eventually, program, Scratch};
use hostcall_tests::screen::Screen;
use hostcall_tests::shell::{can_be, UML};
use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const MARK: &str = "ready> ";

/// More entries than are read in one piece.
const LONG: usize = 6000;

/// A dosh in a guest, whose session on the host is in `home`.
struct Dosh {
    screen: Screen,
    home: Scratch,
}

impl Dosh {
    fn within(kind: &str) -> Dosh {
        let home = Scratch::new();
        let mut command = Command::new(program("hostd"));
        command
            .args(["run", "--guest", kind, "--"])
            .arg(format!("/host{}", program("dosh").display()))
            .env("TERM", "xterm")
            .env("HOME", home.as_os_str())
            .env("ENV", "")
            .current_dir(home.as_os_str());
        let mut screen = Screen::start(command, 24, 100);
        screen.types(&format!("PS1='re''ady> '; hcd {}\r", home.display()));
        screen.at(MARK);
        Dosh { screen, home }
    }

    /// A directory with entries that have numbers in their names.
    fn filled(&self, name: &str, entries: usize) -> PathBuf {
        let path = self.home.join(name);
        fs::create_dir(&path).expect("a directory");
        for number in 0..entries {
            fs::write(path.join(format!("entry-{number:06}")), "").expect("a file");
        }
        path
    }

    /// Types and waits until it stands there: keys that come in a burst are pasted text.
    fn types(&mut self, text: &str) {
        self.screen.types(text);
        eventually(&format!("{text:?} is shown"), || {
            self.screen.line().ends_with(text)
        });
    }

    /// Types the word of a host path and a Tab, waits for the line, and gives it up.
    fn completes(&mut self, word: &str, wanted: &str) {
        self.types(&format!("hrun cat {word}"));
        self.screen.types("\t");
        self.screen.at(&format!("{MARK}hrun cat {wanted}"));
        self.clears();
    }

    /// The same where nothing comes of it, but the next key.
    fn stays(&mut self, word: &str) {
        self.types(&format!("hrun cat {word}"));
        self.screen.types("\t!");
        self.screen.at(&format!("{MARK}hrun cat {word}!"));
        self.clears();
    }

    /// Gives up the line. Of an empty one it could not be seen when that has happened.
    fn clears(&mut self) {
        if self.screen.line() != MARK {
            self.screen.types("\x03");
            self.screen.at(MARK);
        }
    }
}

fn remove(path: &Path) {
    fs::remove_file(path).expect("removed");
}

#[test]
fn what_changes_between_two_tabs_is_seen() {
    sees_changes(&mut Dosh::within("local"));
}

#[test]
fn what_changes_between_two_tabs_is_seen_in_a_guest_with_its_own_kernel() {
    if !can_be(UML) {
        return;
    }
    sees_changes(&mut Dosh::within("uml"));
}

fn sees_changes(dosh: &mut Dosh) {
    let long = dosh.filled("long", LONG);
    dosh.completes("long/en", "long/entry-00");
    dosh.completes("long/entry-000042", "long/entry-000042 ");
    for round in 0..3 {
        let (new, newer) = (format!("new-{round}"), format!("newer-{round}"));
        fs::write(long.join(&new), "").expect("a file");
        dosh.completes("long/ne", &format!("long/{new} "));
        fs::rename(long.join(&new), long.join(&newer)).expect("a name");
        dosh.completes("long/ne", &format!("long/{newer} "));
        fs::rename(long.join(&newer), dosh.home.join("away")).expect("a name");
        dosh.stays("long/ne");
        fs::rename(dosh.home.join("away"), long.join(&new)).expect("a name");
        dosh.completes("long/ne", &format!("long/{new} "));
        remove(&long.join(&new));
        fs::create_dir(long.join(&new)).expect("a directory");
        dosh.completes("long/ne", &format!("long/{new}/"));
        fs::remove_dir(long.join(&new)).expect("removed");
        dosh.stays("long/ne");
    }
    // Another directory in its place.
    fs::rename(&long, dosh.home.join("old")).expect("a name");
    dosh.stays("long/en");
    fs::create_dir(&long).expect("a directory");
    fs::write(long.join("enter"), "").expect("a file");
    dosh.completes("long/en", "long/enter ");
    dosh.completes("old/en", "old/entry-00");
    // In the same line, a moment later.
    dosh.types("hrun cat old/ne");
    dosh.screen.types("\t");
    dosh.screen.shows("NO RECORDS FOUND");
    fs::write(dosh.home.join("old/new"), "").expect("a file");
    eventually("the new file", || {
        dosh.screen.types("\t");
        // Another Tab behind the name would list the files of the next word, and leave the line as it is.
        let within = Duration::from_secs(1);
        dosh.screen
            .comes_to(&format!("{MARK}hrun cat old/new "), within)
    });
    dosh.clears();
}

#[test]
fn links_in_a_long_directory_lead_where_they_lead_at_the_tab() {
    let mut dosh = Dosh::within("local");
    let long = dosh.filled("long", LONG);
    let end = dosh.home.join("end");
    std::os::unix::fs::symlink("../end", long.join("link")).expect("a link");
    dosh.completes("long/li", "long/link ");
    fs::create_dir(&end).expect("a directory");
    dosh.completes("long/li", "long/link/");
    fs::remove_dir(&end).expect("removed");
    dosh.completes("long/li", "long/link ");
}

#[test]
fn names_that_are_no_text_are_found_among_many() {
    let mut dosh = Dosh::within("local");
    let long = dosh.filled("long", LONG);
    for (name, begin, written) in [
        (&b"odd\n\xff"[..], "odd", "$'odd\\n\\377' "),
        (b"esc\x1b[31m", "esc", "$'esc\\033[31m' "),
        (b"lat\xe9n", "lat", "$'lat\\351n' "),
    ] {
        let path = long.join(OsStr::from_bytes(name));
        fs::write(&path, "").expect("a file");
        dosh.completes(&format!("long/{begin}"), &format!("long/{written}"));
    }
    fs::write(long.join(".hidden"), "").expect("a file");
    dosh.completes("long/.h", "long/.hidden ");
    dosh.completes("long/", "long/");
}

#[test]
fn of_a_hundred_thousand_names_all_are_counted_and_each_is_found() {
    let mut dosh = Dosh::within("local");
    let long = dosh.filled("long", 100_000);
    dosh.completes("long/entry-099999", "long/entry-099999 ");
    dosh.types("hrun cat long/e");
    dosh.screen.types("\t");
    dosh.screen.at(&format!("{MARK}hrun cat long/entry-0"));
    // The last of the list comes before its first.
    dosh.screen.types("\t");
    dosh.screen.shows("entry-000001");
    dosh.screen.types_until("\x1b[Z", "… 99500 more");
    dosh.clears();
    fs::write(long.join("f"), "").expect("a file");
    dosh.types("hrun cat long/");
    // What all have in common is nothing, though the first 500 have much.
    dosh.screen.types("\t");
    dosh.screen.shows("entry-000001");
    dosh.screen.at(&format!("{MARK}hrun cat long/"));
}

/// The process that asks the host for the shell: a dosh that is the child of one.
fn asking(dosh: &Dosh) -> Option<Pid> {
    let read = |pid: i32, name: &str| fs::read_to_string(format!("/proc/{pid}/{name}"));
    let is_dosh = |pid: &i32| read(*pid, "comm").is_ok_and(|name| name.trim() == "dosh");
    let family = descendants(dosh.screen.pid()).into_iter();
    let shells: Vec<i32> = family.filter(is_dosh).collect();
    let parent = |pid: i32| -> Option<i32> {
        let stat = read(pid, "stat").ok()?;
        stat.rsplit(") ").next()?.split(' ').nth(1)?.parse().ok()
    };
    let child = shells
        .iter()
        .find(|pid| parent(**pid).is_some_and(|parent| shells.contains(&parent)));
    child.map(|pid| Pid::from_raw(*pid))
}

#[test]
fn a_directory_that_does_not_answer_when_it_is_typed_holds_up_nothing_for_long() {
    let mut dosh = Dosh::within("local");
    fs::create_dir(dosh.home.join("directory")).expect("a directory");
    dosh.completes("direc", "directory/");
    let asking = asking(&dosh).expect("a process that asks");
    kill(asking, Signal::SIGSTOP).expect("stopped");
    // Merely to type its name asks for it.
    dosh.types("hrun cat directory/");
    dosh.types("x/y/z");
    dosh.clears();
    // Who does not answer then is replaced.
    eventually("the completion of another", || {
        dosh.clears();
        dosh.types("hrun cat direc");
        dosh.screen.types("\t");
        let within = Duration::from_millis(300);
        dosh.screen
            .comes_to(&format!("{MARK}hrun cat directory/"), within)
    });
    assert!(kill(asking, None).is_err(), "it is still there");
}

/// Milliseconds from a Tab until the screen shows the line, over many turns. `before` happens when the line stands there.
fn times_of_a_tab(
    dosh: &mut Dosh,
    what: &str,
    lines: impl Fn(usize) -> (String, String),
    before: impl Fn(usize),
) {
    let mut times = Vec::new();
    for turn in 0..100 {
        let (typed, wanted) = lines(turn);
        dosh.types(&typed);
        before(turn);
        let took = dosh.screen.takes("\t", &format!("{MARK}{wanted}"));
        times.push(took.as_secs_f64() * 1e3);
        dosh.clears();
    }
    times.sort_by(f64::total_cmp);
    eprintln!(
        "{what}: {:.2} ms median, {:.2} ms the 95th, {:.2} ms longest",
        times[50], times[95], times[99]
    );
}

/// What somebody waits for at a key, in directories of 10,000 and of 100,000 entries.
#[test]
#[ignore = "a measurement"]
fn time_of_a_tab() {
    let mut dosh = Dosh::within("local");
    let nothing = |_| {};
    for count in [10_000, 100_000] {
        let many = dosh.filled(&format!("many{count}"), count);
        let name = |turn: usize| format!("many{count}/entry-{:06}", turn * 97);
        let one = |turn| {
            let word = format!("hrun cat {}", name(turn));
            (word.clone(), word + " ")
        };
        times_of_a_tab(&mut dosh, &format!("one name of {count}"), one, nothing);
        let changes = |turn| fs::write(many.join(format!("new-{turn}")), "").expect("a file");
        let what = format!("one name of {count}, changed since it was typed");
        times_of_a_tab(&mut dosh, &what, one, changes);
        let common = &format!("{:06}", count - 1);
        let common = &common[..common.len() - common.trim_start_matches('0').len()];
        let all = |_| {
            let word = format!("hrun cat many{count}/e");
            (word.clone(), format!("{word}ntry-{common}"))
        };
        times_of_a_tab(&mut dosh, &format!("all names of {count}"), all, nothing);
    }
    let home = dosh.home.display().to_string();
    let by_preload = |turn: usize| {
        let word = format!("cat /host{home}/many10000/entry-{:06}", turn * 97);
        (word.clone(), word + " ")
    };
    times_of_a_tab(
        &mut dosh,
        "one name of 10000 by the preload",
        by_preload,
        nothing,
    );
}
