//! Host programs on a terminal: somebody types in a guest's shell.

use hostcall_tests::daemon::program;
use hostcall_tests::typist::Typist;
use std::process::Command;

/// A shell in a local guest, which shows `READY` and a number for each command that it has done.
fn shell() -> Typist {
    let mut command = Command::new(program("hostd"));
    command
        .args([
            "run",
            "--guest",
            "local",
            "--",
            "bash",
            "--norc",
            "--noprofile",
        ])
        .args(["-i"])
        .env("TERM", "xterm");
    let mut typist = Typist::start(command);
    // Not the text that is typed: what is echoed must not be taken for its outcome.
    typist.types(
        "PS1='pro''mpt> '; bind 'set enable-bracketed-paste off' 2>/dev/null; stty -echo; echo RE''ADY\n",
    );
    typist.sees("READY");
    typist.sees("prompt> ");
    typist
}

/// What a line shows, up to its status.
fn does(typist: &mut Typist, line: &str) -> String {
    ends(typist, line).0
}

/// The same with the status.
fn ends(typist: &mut Typist, line: &str) -> (String, String) {
    // In one line: what is typed ahead is the program's.
    typist.types(&format!("{line}; echo \"status=$?=\"\n"));
    let shown = typist.sees("status=").trim().replace('\r', "");
    let status = typist.sees("=");
    typist.sees("prompt> ");
    (shown, status)
}

#[test]
fn a_program_has_a_terminal_if_input_and_output_are_one() {
    let mut typist = shell();
    let script = "for n in 0 1 2; do test -t $n && printf 1 || printf 0; done";
    let line = format!("hrun sh -c '{script}'");
    assert_eq!(does(&mut typist, &line), "111");
    assert_eq!(does(&mut typist, &format!("{line} | cat")), "000");
    assert_eq!(does(&mut typist, &format!("{line} < /dev/null")), "000");
    assert_eq!(does(&mut typist, &format!("{line} 2> /dev/null")), "110");
    assert_eq!(does(&mut typist, &line.replace("hrun", "hrun -T")), "000");
    assert_eq!(
        does(
            &mut typist,
            &format!("{} < /dev/null", line.replace("hrun", "hrun -t"))
        ),
        "111"
    );
    assert_eq!(does(&mut typist, "hrun tty | cat").trim(), "not a tty");
}

#[test]
fn keys_reach_the_program() {
    let mut typist = shell();
    typist.types("hrun sh -c 'echo go; read line; echo \"<$line>\"'; echo status=$?=\n");
    typist.sees("go\r\n");
    typist.types("some words\n");
    typist.sees("<some words>");
    typist.sees("status=0=");
    typist.types("hrun cat; echo status=$?=\n");
    typist.types("once\n");
    typist.sees("once\r\nonce");
    typist.types("\x04");
    typist.sees("status=0=");
}

#[test]
fn control_c_ends_the_program() {
    let mut typist = shell();
    typist.types("hrun sh -c 'echo go; sleep 100'\n");
    typist.sees("go\r\n");
    typist.types("\x03");
    typist.sees("prompt> ");
    assert_eq!(ends(&mut typist, "(exit $?)").1, "130");
    // A loop ends with it.
    typist.types("while :; do hrun sh -c 'echo go; sleep 100'; done\n");
    typist.sees("go\r\n");
    typist.types("\x03");
    typist.sees("prompt> ");
    assert_eq!(ends(&mut typist, "echo on").1, "0");
    typist.types("hrun sh -c 'trap \"echo caught; exit 3\" INT; echo go; while :; do sleep 0.1; done'; echo status=$?=\n");
    typist.sees("go\r\n");
    typist.types("\x03");
    typist.sees("caught");
    typist.sees("status=3=");
}

#[test]
fn a_stopped_program_is_a_stopped_job() {
    let mut typist = shell();
    let settings = does(&mut typist, "stty -g");
    typist.types("hrun sh -c 'echo go; kill -STOP $$; read line; echo \"<$line>\"; exit 5'\n");
    typist.sees("go\r\n");
    typist.sees("Stopped");
    typist.sees("prompt> ");
    assert!(does(&mut typist, "jobs").contains("Stopped"));
    assert_eq!(does(&mut typist, "stty -g"), settings);
    typist.types("fg; echo status=$?=\n");
    typist.sees("hrun sh");
    typist.types("and on\n");
    typist.sees("<and on>");
    typist.sees("status=5=");
}

#[test]
fn the_terminal_is_as_it_was() {
    let mut typist = shell();
    let before = does(&mut typist, "stty -g");
    for line in [
        "hrun true",
        "hrun stty raw -echo",
        "hrun sh -c 'kill -9 $$'",
        "hrun nothing-of-this-name",
        "{ sleep 1; kill -TERM $(pidof hrun); } & hrun sleep 100",
        "{ sleep 1; kill -HUP $(pidof hrun); } & hrun sleep 100",
    ] {
        ends(&mut typist, line);
        assert_eq!(does(&mut typist, "stty -g"), before, "{line}");
    }
}

#[test]
fn the_window_has_the_guests_size() {
    let mut typist = shell();
    assert_eq!(does(&mut typist, "hrun stty size").trim(), "30 100");
    typist.types("hrun sh -c 'trap \"stty size; exit 0\" WINCH; echo go; while :; do sleep 0.1; done'; echo status=$?=\n");
    typist.sees("go\r\n");
    typist.resizes(40, 120);
    typist.sees("40 120");
    typist.sees("status=0=");
}

#[test]
fn a_program_in_the_background_leaves_the_keyboard_alone() {
    let mut typist = shell();
    typist.types("hrun sh -c 'sleep 1; echo from behind' &\n");
    typist.types("read line; echo \"<$line>\"\nmine\n");
    typist.sees("<mine>");
    typist.sees("from behind");
}

#[test]
fn the_last_bytes_are_shown() {
    let mut typist = shell();
    let shown = does(&mut typist, "hrun sh -c 'seq 20000; printf end'");
    assert!(
        shown.ends_with("19999\n20000\nend"),
        "{:?}",
        &shown[shown.len().saturating_sub(40)..]
    );
    assert_eq!(shown.lines().filter(|line| !line.is_empty()).count(), 20001);
}
