//! `read` at a terminal.

use hostcall_tests::daemon::{eventually, program, Scratch};
use hostcall_tests::dosh::Dosh;
use hostcall_tests::screen::Screen;
use nix::sys::termios::LocalFlags;
use std::process::Command;

#[test]
fn what_is_typed_for_read_s_is_not_shown() {
    let mut dosh = Dosh::bare();
    dosh.types("read -s -p 'pass''word: ' x; echo \"${#x} bytes\"\r");
    dosh.shows("password:");
    dosh.types("secret\r");
    let shown = dosh.shows("6 bytes");
    assert!(!shown.contains("secret"), "{shown}");
    assert!(!dosh.does("stty -a").contains("-echo "));
}

#[test]
fn read_n_takes_keys_without_enter() {
    let mut dosh = Dosh::bare();
    dosh.types("read -n 2 -p 'ke''ys: ' x; echo \"<$x>\"\r");
    dosh.shows("keys:");
    dosh.types("yn");
    dosh.shows("<yn>");
    dosh.types("read -d ';' -p 'un''til: ' x; echo \"<$x>\"\r");
    dosh.shows("until:");
    dosh.types("ab;");
    dosh.shows("<ab>");
    assert!(!dosh.does("stty -a").contains("-icanon"));
}

/// The signal ends the shell itself, and whoever started it finds the terminal as it was.
#[test]
fn an_interrupted_read_leaves_the_terminal_as_it_was() {
    let home = Scratch::new();
    let mut outer = Command::new("sh");
    outer.args([
        "-c",
        "trap : INT; \"$0\" -c 'read -s -n 9 -p ready x'; echo $?; read y",
        program("dosh").to_str().unwrap(),
    ]);
    outer.current_dir(home.as_os_str());
    let mut screen = Screen::start(outer, 24, 80);
    screen.shows("ready");
    let hidden = |screen: &Screen| !screen.settings().local_flags.contains(LocalFlags::ECHO);
    eventually("no echo", || hidden(&screen));
    screen.types("\x03");
    screen.shows("130");
    let flags = screen.settings().local_flags;
    assert!(
        flags.contains(LocalFlags::ECHO | LocalFlags::ICANON),
        "{flags:?}"
    );
}
