//! Host programs on a terminal: somebody types in a guest's shell.

use hostcall_tests::daemon::Scratch;
use hostcall_tests::shell::Shell;
use std::fs;
use std::time::Duration;

hostcall_tests::in_each_guest![
    hostcall_tests::shell::Shell::start:
    a_program_has_a_terminal_if_input_and_output_are_one,
    keys_reach_the_program,
    the_window_has_the_guests_size,
    the_terminal_is_as_it_was,
    the_terminal_is_as_it_was_after_hrun_was_killed,
    the_last_bytes_are_shown,
    programs_that_take_the_whole_screen_work,
    keys_that_another_program_of_the_pipeline_takes_are_its_own,
];

fn a_program_has_a_terminal_if_input_and_output_are_one(shell: &mut Shell) {
    let script = "for n in 0 1 2; do test -t $n && printf 1 || printf 0; done";
    let line = format!("hrun sh -c '{script}'");
    let (with, without) = (
        line.replace("hrun", "hrun -t"),
        line.replace("hrun", "hrun -T"),
    );
    for (line, expected) in [
        (line.clone(), "111"),
        (format!("{line} | cat"), "000"),
        (format!("{line} < /dev/null"), "000"),
        (format!("{line} 2> /dev/null"), "110"),
        (without, "000"),
        (format!("{with} < /dev/null"), "111"),
    ] {
        assert_eq!(shell.does(&line), expected, "{line}");
    }
    assert_eq!(shell.does("hrun tty | cat").trim(), "not a tty");
}

fn keys_reach_the_program(shell: &mut Shell) {
    shell.begins("hrun sh -c 'echo go; read line; echo \"<$line>\"'");
    shell.sees("go\r\n");
    shell.types("some words\n");
    shell.sees("<some words>");
    assert_eq!(shell.ends(), "0");
    shell.begins("hrun cat");
    shell.types("once\n");
    shell.sees("once\r\nonce");
    shell.types("\x04");
    assert_eq!(shell.ends(), "0");
}

fn the_window_has_the_guests_size(shell: &mut Shell) {
    shell.resizes(30, 100);
    assert_eq!(shell.does("hrun stty size").trim(), "30 100");
    shell.begins(
        "hrun sh -c 'trap \"stty size; exit 0\" WINCH; echo go; while :; do sleep 0.1; done'",
    );
    shell.sees("go\r\n");
    shell.resizes(40, 120);
    shell.sees("40 120");
    assert_eq!(shell.ends(), "0");
}

fn the_terminal_is_as_it_was(shell: &mut Shell) {
    let before = shell.does("stty -g");
    for line in [
        "hrun true",
        "hrun stty raw -echo",
        "hrun sh -c 'kill -9 $$'",
        "hrun nothing-of-this-name",
        "{ sleep 0.5; kill -TERM $(pidof hrun); } & hrun sleep 100",
        "{ sleep 0.5; kill -HUP $(pidof hrun); } & hrun sleep 100",
    ] {
        shell.does(line);
        shell.does("wait");
        assert_eq!(shell.does("stty -g"), before, "{line}");
    }
}

fn the_terminal_is_as_it_was_after_hrun_was_killed(shell: &mut Shell) {
    let before = shell.does("stty -g");
    // A script, for this shell would see to a job of its own; and one that goes on for a moment, for a shell that has made the
    // terminal its own by then is left alone.
    let script = "until pidof hrun > /dev/null && stty -a < /dev/tty | grep -q -e -icanon; do sleep 0.1; done; kill -KILL $(pidof hrun)";
    shell.does(&format!("set +m; {{ {script}; }} & set -m"));
    let shown = shell.does("sh -c 'hrun sleep 100; sleep 0.3; echo ended'");
    assert!(shown.contains("ended"), "{shown}");
    shell.does("wait");
    // The one who puts it back hears of the end when the shell does.
    let again = "until [ $(stty -g) = $before ] || [ $((tries += 1)) -gt 50 ]; do sleep 0.1; done";
    shell.does(&format!("before={before}; tries=0; {again}"));
    assert_eq!(shell.does("stty -g"), before);
}

fn the_last_bytes_are_shown(shell: &mut Shell) {
    let shown = shell.does("hrun sh -c 'seq 20000; printf end'");
    assert!(
        shown.ends_with("19999\n20000\nend"),
        "{:?}",
        &shown[shown.len().saturating_sub(40)..]
    );
    assert_eq!(shown.lines().filter(|line| !line.is_empty()).count(), 20001);
}

fn programs_that_take_the_whole_screen_work(shell: &mut Shell) {
    let directory = Scratch::new();
    let notes = directory.join("notes.txt");
    fs::write(&notes, "old\n").expect("a file");
    let before = shell.does("stty -g");
    shell.begins(&format!("hrun vim -u NONE -i NONE -n {}", notes.display()));
    shell.sees("old");
    shell.types("ihello ");
    shell.sees("hello ");
    shell.types("\x1b");
    shell.types(":wq\r");
    assert_eq!(shell.ends(), "0");
    assert_eq!(fs::read_to_string(&notes).expect("a file"), "hello old\n");
    shell.begins("hrun busybox top");
    shell.sees("PID");
    shell.types("q");
    assert_eq!(shell.ends(), "0");
    assert_eq!(shell.does("stty -g"), before);
}

fn keys_that_another_program_of_the_pipeline_takes_are_its_own(shell: &mut Shell) {
    let reads = "stty -icanon -echo < /dev/tty; echo go
        for n in 1 2 3 4 5 6 7 8 9 10 11 12; do read -n 1 < /dev/tty; done
        stty icanon < /dev/tty; echo got $n";
    let script = "hrun sh -c 'while :; do echo; sleep 0.1; done' | bash -c";
    shell.begins(&format!("{script} '{}'", reads.replace('\n', ";")));
    shell.sees("go\r\n");
    for _ in 0..12 {
        shell.types("x");
        std::thread::sleep(Duration::from_millis(30));
    }
    shell.sees("got 12");
    assert_eq!(shell.ends(), "0");
    // As in `hrun make 2> err.log | less`.
    let directory = Scratch::new();
    let makefile = "all:\n\t@seq 100\n\t@echo oops >&2\n";
    fs::write(directory.join("Makefile"), makefile).expect("a file");
    let make = format!("hrun make -sC {} 2> /tmp/err.log", directory.display());
    shell.begins(&format!("{make} | less"));
    shell.sees("29\r\n");
    shell.types("G");
    shell.sees("100\r\n");
    shell.types("q");
    assert_eq!(shell.ends(), "0");
    assert_eq!(shell.does("cat /tmp/err.log"), "oops");
    assert_eq!(shell.does("x=$(hrun seq 3); echo $x"), "1 2 3");
}
