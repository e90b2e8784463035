//! The command line of `dosh` (XCU sh).

use super::explain::{explain, places};
use super::input::{self, Lines};
use super::jobs::Places;
use super::keyboard::{self, Startup};
use super::manual;
use super::plan::Known;
use super::shell::{Flow, Run, Shell};
use super::stack;
use super::syntax::parser::Parser;
use super::syntax::tree::Bytes;
use super::sys::{self, Disposition};
use crate::failure::plain;
use hostcall::missing;
use hostcall::say::{complain, say};
use std::os::unix::ffi::OsStringExt;

/// Where commands come from.
enum Commands {
    Text(Bytes),
    File(Bytes),
    Input,
}

/// The whole program; answers its status.
pub fn main() -> i32 {
    let words: Vec<Bytes> = std::env::args_os().map(OsStringExt::into_vec).collect();
    stack::measure();
    let mut shell = Shell::new();
    let (commands, startup) = match parse(&mut shell, &words) {
        Ok(parsed) => parsed,
        Err(status) => return status,
    };
    match shell.interactive {
        true => keyboard::begin(&mut shell, &startup),
        false => shell.follow_monitor(),
    }
    if !matches!(commands, Commands::Input) {
        missing::close();
    }
    let result = run(&mut shell, commands, &startup);
    // Not as the trap on EXIT has left it.
    shell.status = shell.conclude(result);
    shell.leave_terminal();
    shell.status
}

fn parse(shell: &mut Shell, words: &[Bytes]) -> Result<(Commands, Startup), i32> {
    let mut startup = Startup {
        login: false,
        configured: true,
        controls_jobs: true,
    };
    if let Some(name) = words.first() {
        shell.zero = name.clone();
        startup.login = name.starts_with(b"-");
    }
    let mut rest = words.get(1..).unwrap_or_default();
    let (mut text, mut input) = (false, false);
    while let Some((word, more)) = rest.split_first() {
        let (on, letters) = match &word[..] {
            b"--help" => {
                let help = manual::command().render_long_help();
                return Err(answer(&help.to_string()));
            }
            b"--version" => return Err(answer(concat!("dosh ", env!("CARGO_PKG_VERSION"), "\n"))),
            b"--" | b"-" => {
                rest = more;
                break;
            }
            b"--explain" => {
                shell.explains = true;
                rest = more;
                continue;
            }
            b"--posix" | b"--login" | b"--norc" => {
                match &word[..] {
                    b"--posix" => drop(shell.options.set_name(b"posix", true)),
                    b"--login" => startup.login = true,
                    _ => startup.configured = false,
                }
                rest = more;
                continue;
            }
            [b'-', b'-', ..] => {
                let word = plain(word);
                return Err(refuse(&format!("{word}: invalid option")));
            }
            [b'-', letters @ ..] => (true, letters),
            [b'+', letters @ ..] if !letters.is_empty() => (false, letters),
            _ => break,
        };
        rest = more;
        for letter in letters {
            match letter {
                b'c' => text = true,
                b's' => input = true,
                b'i' => shell.interactive = on,
                b'l' => startup.login = on,
                b'o' => {
                    let Some((name, more)) = rest.split_first() else {
                        return Err(refuse("-o: option requires an argument"));
                    };
                    if !shell.options.set_name(name, on) {
                        let name = String::from_utf8_lossy(name);
                        return Err(refuse(&format!("{name}: invalid option name")));
                    }
                    if name == b"monitor" {
                        startup.controls_jobs = on;
                    }
                    rest = more;
                }
                letter => {
                    if !shell.options.set_letter(*letter, on) {
                        return Err(refuse(&format!("-{}: invalid option", char::from(*letter))));
                    }
                    if *letter == b'm' {
                        startup.controls_jobs = on;
                    }
                }
            }
        }
    }
    if text {
        let Some((commands, more)) = rest.split_first() else {
            return Err(refuse("-c: option requires an argument"));
        };
        shell.source_letter = Some(b'c');
        take_arguments(shell, more);
        return Ok((Commands::Text(commands.clone()), startup));
    }
    let commands = match rest.first() {
        Some(script) if !input => {
            take_arguments(shell, rest);
            Commands::File(script.clone())
        }
        _ => {
            shell.source_letter = Some(b's');
            shell.arguments = rest.to_vec();
            shell.interactive |= sys::is_terminal(0) && sys::is_terminal(2);
            Commands::Input
        }
    };
    Ok((commands, startup))
}

/// `$0` and what follows it.
fn take_arguments(shell: &mut Shell, words: &[Bytes]) {
    if let Some((zero, arguments)) = words.split_first() {
        shell.zero = zero.clone();
        shell.arguments = arguments.to_vec();
    }
}

/// Writes what dosh tells of itself; answers the status.
fn answer(text: &str) -> i32 {
    match say(text) {
        Ok(_) => 0,
        Err(error) => {
            complain("dosh", error);
            1
        }
    }
}

fn refuse(message: &str) -> i32 {
    complain("dosh", format_args!("{message}; see dosh --help"));
    2
}

fn run(shell: &mut Shell, commands: Commands, startup: &Startup) -> Run {
    if startup.login {
        shell.read_profiles()?;
    }
    match commands {
        Commands::Text(text) if shell.explains => shell.explain(&text),
        Commands::Text(text) => shell.run_whole(&text),
        Commands::File(path) => match input::file(&path) {
            Ok(text) if shell.explains => shell.explain(&text),
            Ok(text) => shell.run_whole(&text),
            Err(error) => {
                let missing = error.kind() == std::io::ErrorKind::NotFound;
                let cure = match missing && path.contains(&b' ') {
                    true => "; commands follow -c",
                    false => "",
                };
                let path = String::from_utf8_lossy(&path);
                let told = format!("dosh: {path}: {}{cure}\n", sys::reason(error));
                let _ = sys::write_all(2, told.as_bytes());
                Err(Flow::Exit(if missing { 127 } else { 126 }))
            }
        },
        Commands::Input if shell.interactive => shell.converse(startup),
        Commands::Input => shell.run_feed(Box::new(Lines::new())),
    }
}

impl Shell {
    /// Tells where a script's pipelines would run.
    fn explain(&mut self, text: &[u8]) -> Run {
        let mut parser = Parser::new(text, 1);
        while let Some(list) = self.next_command(&mut parser)? {
            let known = Known {
                otherwise: self.host.place,
                place_of: &|name| self.known_place(name),
            };
            self.status = self.put(b"dosh", explain(&list, &known).as_bytes());
        }
        Ok(())
    }

    /// The systems that a line's commands run on; those of a line without any are where they would.
    pub fn places_of(&self, text: &[u8]) -> Places {
        let known = Known {
            otherwise: self.host.place,
            place_of: &|name| self.known_place(name),
        };
        let mut parser = Parser::new(text, 1);
        let mut found = Vec::new();
        while let Ok(Some(list)) = parser.next(&self.aliases) {
            found.extend(places(&list, &known));
        }
        if found.is_empty() {
            found.push(self.host.place);
        }
        Places::of(found.into_iter())
    }

    /// Job control begins or ends with the option `monitor`.
    pub fn follow_monitor(&mut self) {
        match (self.options.monitor(), self.terminal) {
            (true, None) => {
                let terminal = sys::open(b"/dev/tty", libc::O_RDWR | libc::O_CLOEXEC);
                self.terminal = terminal.ok().map(sys::raise);
                if self.terminal.is_some() {
                    sys::set_signal(libc::SIGTTOU, Disposition::Ignore);
                }
            }
            (false, Some(terminal)) => {
                sys::close(terminal);
                self.terminal = None;
            }
            _ => {}
        }
    }
}
