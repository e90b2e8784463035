//! dosh at a terminal.

use hostcall_tests::daemon::{program, Scratch};
use hostcall_tests::screen::Screen;
use std::process::Command;

/// A dosh with a home directory of its own.
struct Dosh {
    screen: Screen,
    #[allow(dead_code)]
    home: Scratch,
}

fn command(home: &Scratch) -> Command {
    let mut command = Command::new(program("dosh"));
    command.env_clear();
    command.env("PATH", "/usr/bin:/bin").env("TERM", "xterm");
    command
        .env("HOME", home.as_os_str())
        .current_dir(home.as_os_str());
    command
}

impl Dosh {
    fn start() -> Dosh {
        let home = Scratch::new();
        let screen = Screen::start(command(&home), 24, 80);
        screen.at("# ");
        Dosh { screen, home }
    }
}

#[test]
fn a_line_is_run() {
    let mut dosh = Dosh::start();
    dosh.screen.types("echo $((6 * 7))\r");
    dosh.screen.shows("\n42");
    eprintln!("{}", dosh.screen.shown());
    dosh.screen.at("# ");
    dosh.screen.types("exit 3\r");
    assert_eq!(dosh.screen.ends().code(), Some(3));
}
