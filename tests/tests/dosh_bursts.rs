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
    dosh.does("set -o vi");
    dosh.types("echo one two\x1bbcwthree\x1b0xibecho four; e\x1bA >>out\r");
    dosh.shows("becho four; echo one three >>out");
    dosh.at(MARK);
    dosh.types("echo five\x1b0wixx\x1b$aend >>out\r");
    dosh.shows("xxfiveend");
    assert_eq!(written(&dosh, "xxfiveend\n"), "one three\nxxfiveend\n");
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
