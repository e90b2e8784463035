//! Keys of dosh that come many at once: pasted without brackets, sent by a program, or typed while the editor was busy.

use hostcall_tests::dosh::{Dosh, MARK};
use std::fs;

/// What the lines have written, once the last of them has.
fn written(dosh: &Dosh, last: &str) -> String {
    let out = dosh.home.join("out");
    let read = || fs::read_to_string(&out).unwrap_or_default();
    dosh.until("the last line", |_| read().ends_with(last));
    read()
}

#[test]
fn lines_that_come_at_once_run_one_after_the_other() {
    for end in ["\r", "\n"] {
        let mut dosh = Dosh::bare();
        let numbers = 0..90;
        let line = |number| format!("echo the line of number {number} >>out{end}");
        // More than the editor reads in one go, less than a terminal holds.
        let lines: String = numbers.clone().map(line).collect();
        dosh.types(&lines);
        let line = |number| format!("the line of number {number}\n");
        let wanted: String = numbers.map(line).collect();
        assert_eq!(written(&dosh, &line(89)), wanted, "{end:?}");
        dosh.at(MARK);
    }
}

#[test]
fn lines_that_come_with_a_line_run_before_those_that_are_typed_behind_it() {
    let mut dosh = Dosh::bare();
    dosh.types(": >begun; until [ -e go ]; do sleep 0.02; done\recho 1 >>out\recho 2 >>o");
    let begun = dosh.home.join("begun");
    dosh.until("the first line", |_| begun.exists());
    dosh.types("ut\recho 3 >>out\r");
    fs::write(dosh.home.join("go"), "").expect("a file");
    assert_eq!(written(&dosh, "3\n"), "1\n2\n3\n");
}

#[test]
fn keys_that_need_an_editor_come_to_it() {
    let mut dosh = Dosh::bare();
    dosh.types("echo one >>out\r\x1b[A\x7f\x7f\x7ft\x7fout; echo two >>out\r\x01# ");
    assert_eq!(written(&dosh, "two\n"), "one\none\ntwo\n");
    dosh.at("% # ");
}

#[test]
fn a_burst_in_vi_mode_is_done_key_by_key() {
    let mut dosh = Dosh::bare();
    dosh.types("set -o vi\recho one two\x1bbcwthree\x1b0xibecho four; e\x1bA >>out\r");
    dosh.types("echo five\x1b0wixx\x1b$aend >>out\recho six >>out\x1b\r");
    assert_eq!(written(&dosh, "six\n"), "one three\nxxfiveend\nsix\n");
}

#[test]
fn keys_behind_that_which_makes_a_line_the_hosts_are_its_own() {
    let mut dosh = Dosh::bare();
    dosh.types("echo a\x1bhb\recho next >>out\r");
    dosh.shows("% @ echo ab");
    assert_eq!(written(&dosh, "next\n"), "next\n");
    dosh.at(MARK);
    dosh.types("\x0cecho x\x1bhyz");
    dosh.shows("% @ echo xyz");
}

#[test]
fn a_tab_in_a_burst_completes() {
    let mut dosh = Dosh::bare();
    fs::write(dosh.home.join("a-long-name"), "").expect("a file");
    dosh.types("echo a-l\t>>out; echo two >>out\recho a-l\t >>out\necho end >>out\r");
    let wanted = "a-long-name\ntwo\na-long-name\nend\n";
    assert_eq!(written(&dosh, "end\n"), wanted);
}

#[test]
fn an_interrupt_in_a_burst_takes_what_is_before_it() {
    let mut dosh = Dosh::bare();
    dosh.types("echo a >>out\recho no\x03echo b >>out\r\x1b[A\x03echo c >>out\r");
    assert_eq!(written(&dosh, "c\n"), "a\nb\nc\n");
}

#[test]
fn a_signal_amid_keys_holds_none_of_them_up() {
    let mut dosh = Dosh::bare();
    for number in 0..200 {
        dosh.types(&format!("echo {number}"));
        let shell = nix::unistd::Pid::from_raw(dosh.pid());
        nix::sys::signal::kill(shell, nix::sys::signal::Signal::SIGWINCH).expect("a signal");
        dosh.types(" >>out\r");
    }
    let wanted: String = (0..200).map(|number| format!("{number}\n")).collect();
    assert_eq!(written(&dosh, "199\n"), wanted);
}

#[test]
fn lines_that_come_in_pieces_run_one_after_the_other() {
    let mut dosh = Dosh::bare();
    let lines: String = (0..60)
        .map(|number| format!("echo zeile-€ü-{number} >>out\n"))
        .collect();
    let mut rest = lines.as_str();
    for length in [1, 3, 50, 300].into_iter().cycle() {
        let ends = (length..rest.len()).find(|at| rest.is_char_boundary(*at));
        let (piece, behind) = rest.split_at(ends.unwrap_or(rest.len()));
        dosh.types(piece);
        rest = behind;
        if rest.is_empty() {
            break;
        }
    }
    let wanted: String = (0..60)
        .map(|number| format!("zeile-€ü-{number}\n"))
        .collect();
    assert_eq!(written(&dosh, "59\n"), wanted);
}
