//! `fc` of dosh: lines that were entered, listed, edited and run again.

use hostcall_tests::daemon::program;
use hostcall_tests::dosh::Dosh;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// Lists with numbers, as `number line`.
fn listed(shown: &str) -> Vec<String> {
    let words = shown.lines().map(|line| line.split_whitespace());
    let entries = words.filter(|words| {
        let number = words.clone().next();
        number.is_some_and(|number| number.parse::<u64>().is_ok())
    });
    entries
        .map(|words| words.collect::<Vec<_>>().join(" "))
        .collect()
}

/// A shell in which three lines were entered.
fn after_three() -> Dosh {
    let mut dosh = Dosh::bare();
    for line in ["echo a=1", "true", "echo b=2"] {
        dosh.does(line);
    }
    dosh
}

#[test]
fn lines_are_listed_by_number_distance_and_beginning() {
    let (one, two, three) = ("1 echo a=1", "2 true", "3 echo b=2");
    for (line, wanted) in [
        ("fc -l", &[one, two, three][..]),
        ("fc -lr", &[three, two, one]),
        ("fc -l -1", &[three]),
        ("fc -l 2", &[two, three]),
        ("fc -l 1 +2", &[one, two]),
        ("fc -l 2 1", &[two, one]),
        ("fc -lr 2 1", &[two, one]),
        ("fc -l tr echo", &[two, three]),
        ("fc -l -100 1", &[one]),
        ("fc -l 1 100", &[one, two, three]),
        ("fc -l; (fc -l -1)", &[one, two, three, three]),
        ("fc -l nothing; echo $?", &["1"]),
        ("fc -l 1 2 3; echo $?", &["2"]),
        ("fc -lx; echo $?", &["2"]),
    ] {
        let shown = after_three().does(line);
        assert_eq!(listed(&shown), wanted, "{line}");
    }
    let shown = after_three().does("fc -ln -2");
    assert!(
        shown.contains("\n        true\n        echo b=2\n"),
        "{shown}"
    );
}

#[test]
fn a_line_runs_again_in_the_place_of_the_one_that_asks() {
    for (line, shown_line, output) in [
        ("fc -s", "echo b=2", "b=2"),
        ("fc -s b=c", "echo c=2", "c=2"),
        ("fc -s a=cc 1", "echo cc=1", "cc=1"),
        ("fc -s echo", "echo b=2", "b=2"),
        ("fc -s -3", "echo a=1", "a=1"),
        ("fc -e - b=d", "echo d=2", "d=2"),
    ] {
        let mut dosh = after_three();
        let shown = dosh.does(line);
        assert!(
            shown.contains(&format!("\n{shown_line}\n{output}")),
            "{line}: {shown}"
        );
        let shown = dosh.does("fc -l -1");
        assert!(listed(&shown)[0].ends_with(shown_line), "{line}: {shown}");
    }
    let shown = after_three().does("fc -s nothing; echo $?");
    assert!(shown.ends_with("no such line\n1\n%"), "{shown}");
}

#[test]
fn lines_are_edited_before_they_run() {
    let mut dosh = after_three();
    let editor = dosh.home.join("my editor");
    fs::write(&editor, "#!/bin/sh\nsed -i 's/echo/& edited/' \"$2\"\n").expect("a file");
    fs::set_permissions(&editor, fs::Permissions::from_mode(0o755)).expect("a mode");
    dosh.does("TMPDIR=$HOME FCEDIT='\"$HOME/my editor\" -x' EDITOR=false");
    let shown = dosh.does("fc 1 3");
    assert!(shown.contains("\nedited a=1\nedited b=2\n"), "{shown}");
    let shown = dosh.does("fc -ln -1; ls");
    assert!(
        shown.contains("\n        echo edited a=1\n        true\n"),
        "{shown}"
    );
    assert!(!shown.contains("dosh-fc"), "{shown}");
    // Nor is anything run if nothing is left.
    let shown = dosh.does("fc -e 'cp /dev/null'; echo $?");
    assert!(shown.ends_with("echo $?\n0\n%"), "{shown}");
    // What the editor refuses does not run.
    let shown = dosh.does("fc -e false; echo $?");
    assert!(shown.ends_with("echo $?\n1\n%"), "{shown}");
}

#[test]
fn a_script_has_no_lines() {
    let output = Command::new(program("dosh"))
        .args(["-c", "fc -l; echo $?"])
        .output()
        .expect("dosh");
    assert_eq!(output.stdout, b"1\n");
    assert!(!output.stderr.is_empty());
}
