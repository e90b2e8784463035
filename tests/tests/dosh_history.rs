//! The history of dosh: what is kept of lines, and by whom it is found.

use hostcall_tests::dosh::{enter, Dosh, MARK};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

const UP: &str = "\x1b[A";
const RIGHT: &str = "\x1b[C";

fn database(dosh: &Dosh) -> PathBuf {
    dosh.home.join(".local/state/dosh/history.sqlite3")
}

/// The lines that `history` tells, without their numbers.
fn lines(shown: &str) -> Vec<String> {
    let entries = shown.lines().filter_map(|line| {
        let (number, text) = line.trim_start().split_once("  ")?;
        number.parse::<u64>().ok().map(|_| text.to_owned())
    });
    entries.collect()
}

#[test]
fn lines_come_back() {
    let mut dosh = Dosh::bare();
    dosh.does("echo first");
    dosh.does("echo second");
    dosh.types(&format!("\x0c{UP}"));
    dosh.at("% echo second");
    dosh.types(UP);
    dosh.at("% echo first");
    dosh.types("\r");
    dosh.shows("\nfirst");
    // What is typed chooses.
    dosh.types(&format!("\x0cecho s{UP}"));
    dosh.at("% echo second");
    dosh.types("\x03");
    dosh.at(MARK);
    // A new shell finds them.
    dosh.types("exit\r");
    dosh.ends();
    let mut other = dosh.beside();
    other.types(&format!("{UP}{UP}"));
    other.at("% echo first");
}

#[test]
fn a_search_finds_parts() {
    let mut dosh = Dosh::bare();
    dosh.does("echo one needle");
    dosh.does("echo two");
    dosh.types("\x12need");
    dosh.shows("(search: need) echo one needle");
    dosh.types("x");
    dosh.shows("(not found: needx)");
    dosh.types("\x7f\r");
    dosh.shows("% echo one needle");
    dosh.types("\r");
    dosh.shows("\none needle");
    dosh.at(MARK);
    dosh.types("\x12zzz\x03");
    dosh.at(MARK);
}

#[test]
fn hints_come_from_the_history() {
    let mut dosh = Dosh::bare();
    dosh.does("echo hinted word");
    dosh.types("\x0cecho h");
    dosh.shows("% echo hinted word");
    dosh.at("% echo h");
    dosh.types(&format!("{RIGHT}s\r"));
    dosh.shows("\nhinted words");
    // Those of the working directory come first.
    dosh.does("mkdir other; cd other");
    dosh.does("echo there");
    dosh.does("cd ..");
    dosh.does("echo thither");
    dosh.does("cd other");
    dosh.types("\x0cecho th");
    dosh.shows("% echo there");
}

#[test]
fn what_begins_with_a_blank_or_comes_again_is_not_kept() {
    let mut dosh = Dosh::bare();
    dosh.does(" echo secret");
    dosh.does("echo twice");
    dosh.does("echo twice");
    let shown = dosh.does("history");
    assert_eq!(lines(&shown), ["echo twice", "history"], "{shown}");
    let mut dosh = Dosh::with(|command, _| {
        command.env("TERM", "dumb").env("PS1", MARK);
    });
    dosh.at(MARK);
    dosh.types(" echo secret\n");
    dosh.shows("\nsecret");
    dosh.types("history | cat\n");
    let shown = dosh.shows("  history | cat");
    assert_eq!(lines(&shown), ["history | cat"], "{shown}");
}

#[test]
fn the_built_in_lists_finds_and_forgets() {
    let mut dosh = Dosh::bare();
    for line in ["echo a", "true", "false", "echo b"] {
        dosh.does(line);
    }
    let shown = dosh.does("history 2");
    assert_eq!(lines(&shown), ["echo b", "history 2"], "{shown}");
    let shown = dosh.does("history echo");
    assert_eq!(
        lines(&shown),
        ["echo a", "echo b", "history echo"],
        "{shown}"
    );
    // In a pipeline, in a subshell.
    let shown = dosh.does("history | grep -c echo; (history 1)");
    assert!(
        shown.contains("\n4\n") && shown.contains("  history | grep -c echo; (history 1)\n"),
        "{shown}"
    );
    let shown = dosh.does("history -v false");
    let whole = shown
        .lines()
        .find(|line| line.ends_with("  false"))
        .expect("the line");
    let words: Vec<&str> = whole.split_whitespace().collect();
    assert_eq!((words[3], words[5]), ("1", "guest"), "{whole}");
    assert!(
        words[6].ends_with(&format!(":{}", dosh.home.display())),
        "{whole}"
    );
    let number = dosh.does("history 'echo a'");
    let number = number
        .lines()
        .nth(1)
        .expect("the line")
        .trim()
        .split(' ')
        .next()
        .unwrap_or_default()
        .to_owned();
    dosh.does(&format!("history -d {number}"));
    assert!(!lines(&dosh.does("history")).contains(&"echo a".to_owned()));
    let shown = dosh.does("history -d 99999; echo $?");
    assert!(shown.contains("out of range\n1\n"), "{shown}");
    dosh.does("history -c");
    let shown = dosh.does("history");
    assert_eq!(lines(&shown), ["history"], "{shown}");
}

#[test]
fn a_line_is_of_the_system_on_which_its_commands_run() {
    let mut dosh = Dosh::bare();
    dosh.does("f() { hrun true; }");
    for (line, system) in [
        ("@ make", "host"),
        ("hrun make 2>&1 | cat", "both"),
        ("hrun a | hrun b", "host"),
        ("if true; then hrun a; fi", "both"),
        ("@ cd .", "guest"),
        ("x=1 # hrun", "guest"),
    ] {
        dosh.does(line);
        let shown = dosh.does("history -v 2");
        let whole = shown
            .lines()
            .find(|shown| shown.ends_with(&format!("  {line}")));
        let whole = whole.unwrap_or_else(|| panic!("no {line} in {shown}"));
        let words: Vec<&str> = whole.split_whitespace().collect();
        assert_eq!(words[5], system, "{whole}");
    }
}

#[test]
fn the_file_is_the_users_alone_and_where_they_want_it() {
    let mut dosh = Dosh::bare();
    dosh.does("umask 0; echo kept");
    let mode = |path: &PathBuf| fs::metadata(path).expect("a file").permissions().mode() & 0o777;
    let file = database(&dosh);
    assert_eq!(mode(&file), 0o600);
    assert_eq!(
        mode(&file.parent().expect("a directory").to_path_buf()),
        0o700
    );
    for entry in fs::read_dir(file.parent().expect("a directory")).expect("files") {
        assert_eq!(mode(&entry.expect("a file").path()), 0o600);
    }
    let elsewhere = dosh.home.join("elsewhere");
    dosh.does(&format!("HISTFILE={}", elsewhere.display()));
    dosh.does("echo elsewhere");
    assert_eq!(mode(&elsewhere), 0o600);
    let shown = dosh.does("history");
    assert_eq!(lines(&shown), ["echo elsewhere", "history"], "{shown}");
    dosh.does("HISTFILE=");
    let shown = dosh.does("history");
    assert_eq!(lines(&shown), ["history"], "{shown}");
    fs::remove_file(&elsewhere).expect("removed");
}

#[test]
fn no_more_lines_are_kept_than_wanted() {
    let mut dosh = Dosh::bare();
    dosh.does("HISTSIZE=3");
    for line in ["echo 1", "echo 2", "echo 3"] {
        dosh.does(line);
    }
    let shown = dosh.does("history");
    assert_eq!(lines(&shown), ["echo 2", "echo 3", "history"], "{shown}");
}

#[test]
fn shells_share_it() {
    let mut dosh = Dosh::bare();
    let mut others = [dosh.beside(), dosh.beside()];
    for turn in 0..10 {
        dosh.types(&format!("echo a{turn}\r"));
        for (at, other) in others.iter_mut().enumerate() {
            other.types(&format!("echo b{at}{turn}\r"));
        }
        dosh.shows(&format!("\na{turn}"));
        for (at, other) in others.iter().enumerate() {
            other.shows(&format!("\nb{at}{turn}"));
        }
    }
    let shown = enter(&mut others[0], "history | grep -c 'echo [ab]'");
    assert!(
        shown.contains("\n31\n") || shown.contains("\n30\n"),
        "{shown}"
    );
    dosh.types(&format!("\x0cecho b19{UP}"));
    dosh.at("% echo b19");
    // One that is killed takes nothing along.
    dosh.types("\x03");
    dosh.at(MARK);
    dosh.does("echo last");
    dosh.types("kill -9 $$\r");
    dosh.ends();
    let shown = enter(&mut others[1], "history 3");
    assert!(lines(&shown).contains(&"echo last".to_owned()), "{shown}");
}

#[test]
fn without_a_database_the_shell_goes_on() {
    let spoil: [fn(&PathBuf); 3] = [
        |file| {
            fs::write(
                file,
                "this is no database, but long enough to look at\n".repeat(50),
            )
            .expect("a file")
        },
        |file| fs::create_dir(file).expect("a directory"),
        |file| {
            let made = Command::new("sqlite3")
                .arg(file)
                .arg("pragma user_version = 77; create table t(x);")
                .status();
            if !made.is_ok_and(|status| status.success()) {
                fs::create_dir(file).expect("a directory");
            }
        },
    ];
    for spoil in spoil {
        let mut dosh = Dosh::with(|command, home| {
            let file = home.join("spoilt");
            spoil(&file);
            command.env("PS1", MARK).env("HISTFILE", file);
        });
        dosh.at(MARK);
        let shown = dosh.shown();
        let told: Vec<&str> = shown
            .lines()
            .filter(|line| line.contains("history"))
            .collect();
        assert!(
            shown.matches("going on without it").count() == 1 && told.len() <= 2,
            "{shown}"
        );
        assert!(!shown.contains("SqliteFailure"), "{shown}");
        dosh.does("echo works");
        dosh.types(&format!("\x0c{UP}"));
        dosh.at("% echo works");
    }
}

/// A database is open under a number of its own, which a script's redirections do not hit.
#[test]
fn redirections_leave_the_database_alone() {
    let mut dosh = Dosh::bare();
    dosh.does("for n in 3 4 5 6 7 8 9; do eval \"exec $n>out\"; echo text >&$n; done");
    let shown = dosh.does(
        "for n in 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25; do eval \"exec $n>out\"; done",
    );
    assert!(
        shown.contains("the shell itself uses this descriptor"),
        "{shown}"
    );
    dosh.does("echo kept");
    assert!(
        lines(&dosh.does("history 2")).contains(&"echo kept".to_owned()),
        "{shown}"
    );
    let mut head = [0; 15];
    std::io::Read::read_exact(
        &mut fs::File::open(database(&dosh)).expect("the file"),
        &mut head,
    )
    .expect("its head");
    assert_eq!(&head, b"SQLite format 3");
    // Programs get nothing of it.
    let shown = dosh.does("ls -l /proc/self/fd | grep -c history");
    assert!(shown.contains("\n0\n"), "{shown}");
}
