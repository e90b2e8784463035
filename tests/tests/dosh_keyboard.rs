//! dosh at a terminal: lines, keys and the prompt.

use hostcall_tests::dosh::{Dosh, MARK};
use std::fs;
use std::time::Duration;

const UP: &str = "\x1b[A";
const LEFT: &str = "\x1b[D";
const ALT_H: &str = "\x1bh";

/// The last line of the screen that is not empty.
fn last(dosh: &Dosh) -> String {
    dosh.shown().lines().last().unwrap_or_default().to_owned()
}

#[test]
fn the_prompt_tells_where_and_how() {
    let mut dosh = Dosh::with(|_, home| {
        fs::create_dir(home.join("work")).expect("a directory");
    });
    let name = nix::unistd::gethostname().expect("a name");
    let name = name.to_string_lossy().into_owned();
    let end = if nix::unistd::geteuid().is_root() {
        "# "
    } else {
        "$ "
    };
    dosh.at(end);
    assert!(dosh
        .shown()
        .ends_with(&format!("\n{name}:~\n{}", end.trim_end())));
    dosh.types("cd work; (exit 3)\r");
    dosh.shows(&format!("\n{name}:~/work [3]\n"));
    // Behind a line, of its prompt only the mark is left.
    let shown = dosh.shown();
    assert!(
        shown.contains(&format!("\n{end}cd work; (exit 3)\n{name}:~/work [3]\n")),
        "{shown}"
    );
    dosh.types("sleep 2.1\r");
    let shown = dosh.shows(&format!("\n{name}:~/work 2."));
    assert!(!shown.contains(&format!("\n{name}:~/work [")), "{shown}");
    assert!(dosh.formatted().contains("\x1b[32m"));
}

#[test]
fn a_host_that_is_not_there_is_told_of_once() {
    let dosh = Dosh::bare();
    assert_eq!(
        dosh.shown()
            .matches("there is no host to attach to")
            .count(),
        1
    );
}

#[test]
fn in_a_narrow_window_the_prompt_gets_shorter_and_the_line_goes_on_below() {
    let deep = "a-directory/another-directory/the-last-one";
    for columns in [60, 40, 24, 12, 6] {
        let mut dosh = Dosh::sized(24, columns, |command, home| {
            fs::create_dir_all(home.join(deep)).expect("directories");
            command.current_dir(home.join(deep));
        });
        let line = "echo abcdefghijklmnop";
        dosh.until("a prompt", |shown| shown.ends_with(['#', '$']));
        let shown = dosh.shown();
        let where_ = shown.lines().rev().nth(1).unwrap_or_default().to_owned();
        match columns {
            60 => assert!(where_.ends_with(deep), "{shown}"),
            40 => assert!(where_.ends_with("~/a/a/the-last-one"), "{shown}"),
            24 => assert!(where_.ends_with("/the-last-one"), "{shown}"),
            _ => assert!(!where_.contains("last"), "{shown}"),
        }
        dosh.types(line);
        // Rows of the screen, joined.
        let joined = |shown: &str| shown.replace('\n', "").contains(line);
        dosh.until("the line", joined);
        dosh.types("\r");
        let printed =
            |shown: &str| shown.replace('\n', "").matches("abcdefghijklmnop").count() == 2;
        dosh.until("its output", printed);
    }
}

#[test]
fn a_window_that_changes_is_followed() {
    let mut dosh = Dosh::bare();
    dosh.resizes(20, 40);
    std::thread::sleep(Duration::from_millis(100));
    assert!(dosh.does("echo $COLUMNS $LINES").contains("\n40 20"));
    dosh.types("\x0cecho one two three four five six seven");
    dosh.shows("seven");
    dosh.resizes(20, 60);
    dosh.types(" eight\r");
    dosh.shows("\none two three four five six seven eight");
    dosh.at(MARK);
    // The signal of it is nobody else's.
    for action in ["'echo x'", "''"] {
        let shown = dosh.does(&format!("trap {action} WINCH; echo \"<$?>\"; trap - WINCH"));
        assert!(shown.contains("\n<1>"), "{shown}");
    }
    dosh.resizes(20, 50);
    std::thread::sleep(Duration::from_millis(100));
    assert!(dosh.does("echo $COLUMNS").contains("\n50"));
}

#[test]
fn a_dumb_terminal_gets_no_escapes() {
    let mut dosh = Dosh::with(|command, _| {
        command.env("TERM", "dumb");
    });
    // What is typed ahead of a prompt stands before it.
    let at_a_prompt = |dosh: &Dosh| dosh.until("a prompt", |shown| shown.ends_with(['#', '$']));
    at_a_prompt(&dosh);
    dosh.types("if true; then\n");
    dosh.shows("\n>");
    dosh.types("echo in''side; fi\n");
    dosh.shows("\ninside");
    at_a_prompt(&dosh);
    dosh.types("cat <<E\nin a here-document\nE\n");
    dosh.until("output", |shown| {
        shown.matches("in a here-document").count() == 2 && shown.ends_with(['#', '$'])
    });
    dosh.types("typed in vain\x03");
    dosh.until("a prompt", |shown| shown.contains("[130]"));
    at_a_prompt(&dosh);
    dosh.types("echo aft''er=$?\n");
    dosh.shows("\nafter=130");
    at_a_prompt(&dosh);
    dosh.types("history 2\n");
    dosh.shows("  echo aft''er=$?\n");
    at_a_prompt(&dosh);
    dosh.types("echo be''gun; sleep 100\n");
    dosh.shows("\nbegun");
    dosh.types("\x03");
    dosh.until("a prompt in a line of its own", |shown| {
        let last = shown.lines().last().unwrap_or_default();
        shown.contains("\n^C\n") && !last.contains("^C") && last.ends_with(['#', '$'])
    });
    dosh.types("echo e''nd\n");
    dosh.shows("\nend");
    dosh.types("\x04");
    assert!(dosh.ends().success());
    assert!(!dosh.raw().contains('\x1b'), "{:?}", dosh.raw());
}

#[test]
fn without_colours_there_are_none() {
    for (value, coloured) in [("1", false), ("", true)] {
        let mut dosh = Dosh::with(|command, _| {
            command.env("NO_COLOR", value);
        });
        dosh.until("a prompt", |shown| shown.ends_with(['#', '$']));
        dosh.types("echo one\r");
        dosh.shows("\none");
        dosh.types("ec");
        dosh.until("what is typed", |shown| {
            shown
                .lines()
                .last()
                .is_some_and(|line| line.contains(" ec"))
        });
        std::thread::sleep(Duration::from_millis(100));
        // A hint that looks as if it were typed is none.
        assert_eq!(last(&dosh).contains("echo one"), coloured);
        let colours = (30..38).any(|colour| dosh.raw().contains(&format!("\x1b[{colour}m")));
        assert_eq!(colours, coloured, "{:?}", dosh.raw());
    }
}

#[test]
fn own_prompts_are_used() {
    let mut dosh = Dosh::bare();
    dosh.types("PS1='<$x:\\W:\\$> '\r");
    dosh.shows("<:");
    dosh.types("x=5\r");
    let end = if nix::unistd::geteuid().is_root() {
        "#"
    } else {
        "$"
    };
    let directory = "~";
    dosh.at(&format!("<5:{directory}:{end}> "));
    dosh.types("PS2='more? '; PS4='[trace] '\r");
    dosh.until("it to be run", |shown| shown.matches("<5:").count() == 2);
    dosh.types("if true\r");
    dosh.at("more? ");
    dosh.types("then set -x; :; fi\r");
    dosh.shows("[trace] :");
    dosh.types("set +x; PS1='\\p'\r");
    dosh.shows(":~\n");
}

#[test]
fn children_complain_as_the_shell_does() {
    let mut dosh = Dosh::bare();
    for line in [
        "no-such-command",
        "(no-such-command)",
        "no-such-command | cat",
        "x=$(no-such-command)",
        "no-such-command & wait",
    ] {
        let shown = dosh.does(line);
        let told = "\ndosh: no-such-command: command not found";
        assert!(shown.contains(told), "{line}: {shown}");
    }
}

#[test]
fn the_prompt_command_runs_before_each_prompt() {
    let mut dosh = Dosh::bare();
    dosh.types("PROMPT_COMMAND='n=$((n + 1)); PS1=\"$n% \"; false'; n=0; (exit 7)\r");
    dosh.at("1% ");
    dosh.types("echo status=$?\r");
    dosh.shows("\nstatus=7");
    dosh.at("2% ");
}

#[test]
fn a_command_goes_on_over_lines() {
    let mut dosh = Dosh::bare();
    dosh.types("for i in 1 2\r");
    dosh.at("> ");
    dosh.types("do echo \"<$i\r");
    dosh.at("> ");
    dosh.types(">\"; done\r");
    dosh.shows("\n<1\n>\n<2\n>");
    // All of it is one entry, which comes back as it was.
    dosh.at(MARK);
    dosh.types(&format!("\x0c{UP}"));
    dosh.shows("do echo \"<$i\n");
    dosh.types("\r");
    dosh.shows("\n<1\n>\n<2\n>");
    // An alias can begin what an editor sees as whole.
    dosh.does("alias begin='if true; then'");
    dosh.types("\x0cbegin\r");
    dosh.at("> ");
    dosh.types("echo in''side; fi\r");
    dosh.shows("\ninside");
    dosh.at(MARK);
    dosh.types("\x0ccat <<E\rtext\rE\r");
    dosh.until("output", |shown| shown.matches("text").count() == 2);
    dosh.at(MARK);
    dosh.types("\x0cecho \\\ra''b\r");
    dosh.shows("\nab");
    dosh.at(MARK);
    dosh.types("\x0cecho 'open\r");
    dosh.at("> ");
    dosh.types("\x03");
    dosh.at(MARK);
    assert!(dosh.does("echo $?").contains("\n130"));
    assert!(dosh.does(") ; echo never").contains("syntax error"));
}

#[test]
fn pasted_text_waits_for_enter() {
    let mut dosh = Dosh::bare();
    dosh.until("bracketed paste", |_| true);
    assert!(dosh.raw().contains("\x1b[?2004h"));
    dosh.types("\x1b[200~echo pas''ted\necho tw''ice\n\x1b[201~");
    dosh.shows("echo tw''ice");
    std::thread::sleep(Duration::from_millis(200));
    assert!(!dosh.shown().contains("\npasted"));
    dosh.types("\r");
    dosh.shows("\npasted\ntwice");
    assert!(dosh.raw().contains("\x1b[?2004l"));
}

#[test]
fn bytes_that_are_no_text_are_taken_as_they_are_or_refused() {
    let mut dosh = Dosh::bare();
    dosh.sends(b"\x1b[200~echo a\xff\xc3b\x1b[201~");
    dosh.shows("echo a");
    dosh.types("\r");
    dosh.shows("dosh: bytes that are not UTF-8 cannot be edited");
    dosh.at(MARK);
    assert!(dosh.does("echo \"<$?>\"").contains("\n<1>"));
    // As single keys they are none.
    dosh.sends(b"\x0cec\xffho f\x80ine\r");
    dosh.shows("\nfine");
    dosh.at(MARK);
    // No editor has read what was typed ahead.
    dosh.types("\x0cecho be''gun; sleep 0.5\r");
    dosh.shows("\nbegun");
    dosh.sends(b"printf '\xff' | od -An -tx1\r");
    dosh.shows("\n ff\n");
}

#[test]
fn emacs_and_vi_keys() {
    let mut dosh = Dosh::bare();
    dosh.types("cho typed\x01e\x05 more\r");
    dosh.shows("\ntyped more");
    dosh.at(MARK);
    dosh.types(&format!("\x0cecho ac{LEFT}b\r"));
    dosh.shows("\nabc");
    dosh.does("set -o vi");
    dosh.types("\x0cecho vi key");
    dosh.types("\x1b");
    dosh.until("normal mode", |shown| shown.contains(":% "));
    dosh.types("0cw");
    dosh.types("printf");
    dosh.until("insert mode", |shown| !shown.contains(":% "));
    dosh.types("\r");
    dosh.shows("\nvi");
    dosh.at(&format!("vi{MARK}").replace("vi", ""));
    // A line that is given up in normal mode leaves the next one insert mode.
    dosh.types("\x0cecho given up\x1b");
    dosh.until("normal mode", |shown| shown.contains(":% "));
    dosh.types("\x03");
    dosh.at(MARK);
    dosh.types("echo ins''erted\r");
    dosh.shows("\ninserted");
    dosh.does("set -o emacs");
    dosh.types("\x0ccho emacs\x01e\r");
    dosh.shows("\nemacs");
}

#[test]
fn an_empty_line_leaves_the_status() {
    let mut dosh = Dosh::bare();
    dosh.does("(exit 5)");
    dosh.does("# nothing");
    dosh.types("\r\r");
    dosh.until("prompts", |shown| shown.matches('%').count() >= 4);
    assert!(dosh.does("echo \"<$?>\"").contains("\n<5>"));
}

#[test]
fn one_key_ends_a_loop_of_programs_that_end_at_once() {
    let mut dosh = Dosh::bare();
    for (turn, line) in [
        "while :; do /bin/true; done",
        "while :; do /bin/true | /bin/true; done",
    ]
    .iter()
    .cycle()
    .take(40)
    .enumerate()
    {
        dosh.types(&format!("\x0cecho be''gun; {line}\r"));
        dosh.shows("\nbegun");
        // Not each time in the same place of a turn.
        std::thread::sleep(Duration::from_micros(20_000 + 137 * turn as u64));
        dosh.types("\x03");
        dosh.at(MARK);
        let shown = dosh.does("echo \"<$?>\"");
        assert!(shown.contains("\n<130>"), "{shown}");
    }
}

#[test]
fn a_program_that_takes_the_key_for_itself_goes_on_with_its_loop() {
    let mut dosh = Dosh::bare();
    let program = "sh -c 'trap \"echo caught\" INT; echo ready; sleep 1; sleep 1'";
    dosh.types(&format!(
        "\x0cfor i in 1 2; do {program}; echo be''hind $i; done\r"
    ));
    dosh.shows("\nready");
    dosh.types("\x03");
    dosh.shows("\nbehind 2");
}

#[test]
fn control_c_at_the_prompt_gives_up_the_line() {
    let mut dosh = Dosh::bare();
    dosh.types("echo never");
    dosh.shows("echo never");
    dosh.types("\x03");
    dosh.until("two prompts", |shown| shown.matches('%').count() == 2);
    assert!(!dosh.shown().contains("\nnever"));
    assert!(dosh.does("echo $?").contains("\n130"));
}

#[test]
fn control_d_ends_the_shell() {
    let mut dosh = Dosh::bare();
    dosh.types("(exit 6)\r");
    dosh.until("two prompts", |shown| shown.matches('%').count() == 2);
    dosh.types("\x04");
    assert_eq!(dosh.ends().code(), Some(6));

    let mut dosh = Dosh::bare();
    dosh.does("set -o ignoreeof");
    dosh.types("\x04");
    dosh.shows("Use \"exit\" to leave the shell.");
    dosh.at(MARK);
    dosh.types("trap 'echo go''ne' EXIT; exit 5\r");
    assert_eq!(dosh.ends().code(), Some(5));
    assert!(dosh.raw().contains("gone"));
}

#[test]
fn a_key_says_that_a_line_is_the_hosts() {
    let mut dosh = Dosh::bare();
    dosh.types(&format!("make x{LEFT}{ALT_H}"));
    dosh.at("% @ make ");
    dosh.types("t");
    dosh.at("% @ make t");
    dosh.types(ALT_H);
    dosh.at("% make t");
    dosh.types("\x03");
    dosh.at(MARK);
    dosh.types(ALT_H);
    dosh.at("% @ ");
}

#[test]
fn a_line_typed_ahead_leaves_the_next_to_its_command() {
    let mut dosh = Dosh::bare();
    dosh.types("\x0csleep 0.5; echo slept\r");
    std::thread::sleep(Duration::from_millis(150));
    dosh.types("read -r x; echo \"<$x>\"\nthis is for read\nech");
    dosh.shows("\n<this is for read>");
    dosh.at("% ech");
    dosh.types("o done\r");
    dosh.shows("\ndone");
}

#[test]
fn files_are_read_when_a_shell_begins() {
    let configured = |words: &[&str], variables: &[(&str, &str)]| {
        Dosh::with(|command, home| {
            let say = |what: &str| format!("echo \"is {what}\"\n");
            fs::write(
                home.join(".doshrc"),
                say("configured") + "PS1='% '\nreturn\necho never\n",
            )
            .expect("a file");
            fs::write(home.join(".profile"), say("profiled")).expect("a file");
            fs::write(home.join("env"), say("posix")).expect("a file");
            command.args(words).env("PS1", MARK);
            for (name, value) in variables {
                command.env(name, value);
            }
        })
    };
    let shown = |dosh: Dosh| {
        dosh.at(MARK);
        dosh.shown()
    };
    let all = shown(configured(&[], &[]));
    assert!(
        all.contains("is configured") && !all.contains("never") && !all.contains("profiled"),
        "{all}"
    );
    assert!(!shown(configured(&["--norc"], &[])).contains("configured"));
    let login = shown(configured(&["-l"], &[]));
    assert!(
        login.find("is profiled") < login.find("is configured"),
        "{login}"
    );
    let posix = shown(configured(&["--posix"], &[("ENV", "$HOME/env")]));
    assert!(
        posix.contains("is posix") && !posix.contains("configured"),
        "{posix}"
    );
    // What is wrong in it ends the file.
    let broken = Dosh::with(|command, home| {
        fs::write(home.join(".doshrc"), "PS1='% '\nfi\necho never\n").expect("a file");
        command.env("PS1", MARK);
    });
    let broken = shown(broken);
    assert!(
        broken.contains("syntax error") && !broken.contains("\nnever"),
        "{broken}"
    );
}

#[test]
fn nothing_entered_in_time_ends_the_shell() {
    for term in ["xterm", "dumb"] {
        let mut dosh = Dosh::with(|command, _| {
            command.env("TERM", term).env("PS1", MARK);
        });
        dosh.at(MARK);
        dosh.types("TMOUT=1\r");
        dosh.shows("for $TMOUT seconds");
        assert!(dosh.ends().success());
    }
}
