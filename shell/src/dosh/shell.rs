//! The shell's state, and how its commands end (XCU 2.12).

use super::host::Host;
use super::jobs::Jobs;
use super::keyboard::{self, Keyboard};
use super::made_up::spread;
use super::options::Options;
use super::syntax::parser::Parser;
use super::syntax::source::Feed;
use super::syntax::tree::{Bytes, Function, List};
use super::syntax::{Aliases, SyntaxError};
use super::sys;
use super::traps::Traps;
use super::variables::{ReadOnly, Variables};
use std::collections::HashMap;
use std::fmt::Display;
use std::rc::Rc;
use std::time::Instant;

/// Why a command does not simply go on to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// `break` out of so many loops.
    Break(u32),
    Continue(u32),
    Return(i32),
    Exit(i32),
    /// An error that ends a script, and at a terminal the command line.
    Abort(i32),
}

pub type Run<T = ()> = Result<T, Flow>;

/// An execution environment.
pub struct Shell {
    pub variables: Variables,
    pub functions: HashMap<Bytes, Rc<Function>>,
    pub aliases: Rc<Aliases>,
    pub options: Options,
    /// `$0`.
    pub zero: Bytes,
    /// The positional parameters, from `$1`.
    pub arguments: Vec<Bytes>,
    /// `$?`.
    pub status: i32,
    /// The statuses of the last pipeline's stages.
    pub pipe_status: Vec<i32>,
    /// The status of the last command substitution of a command.
    pub substituted: Option<i32>,
    /// `$!`.
    pub background: Option<i32>,
    /// `$$`: also in subshells.
    pub pid: i32,
    pub jobs: Jobs,
    pub host: Host,
    pub traps: Traps,
    /// Where commands were found.
    pub hash: HashMap<Bytes, Bytes>,
    /// The state of `PATH` for which that holds.
    pub hash_of: u32,
    /// Loops around the command, within its function.
    pub loops: u32,
    /// Those of them that are around the subshell.
    pub outer_loops: u32,
    /// Functions and sourced files around the command.
    pub depth: u32,
    /// Conditions around the command: there a failure ends nothing.
    pub guard: u32,
    pub line: u32,
    pub interactive: bool,
    /// Commands are not run, but told of.
    pub explains: bool,
    /// The letter of `$-` that tells where commands come from.
    pub source_letter: Option<u8>,
    /// While a trap runs: the status before it, and how deep that was. `exit` without a number ends with it, and so does a
    /// `return` that ends the trap.
    pub trapped: Option<(i32, u32)>,
    /// A job in the foreground has been stopped: the loops around it end.
    pub suspended: bool,
    /// Within a forked part of a script.
    pub subshell: bool,
    /// The controlling terminal, while jobs are controlled.
    pub terminal: Option<i32>,
    /// Ends of process substitutions that are still open.
    pub held: Vec<i32>,
    /// Where `getopts` is within an argument.
    pub option_offset: usize,
    /// `$_`: the last word of the simple command before.
    pub last_argument: Bytes,
    /// When `SECONDS` had this value.
    pub since: (Instant, i64),
    /// What standard error was before the redirections of a command that is about to begin.
    pub trace_to: Option<i32>,
    /// What a shell at a terminal has beside the others.
    pub keyboard: Option<Box<Keyboard>>,
    pub seed: u64,
}

impl Shell {
    pub fn new() -> Shell {
        let pid = std::process::id() as i32;
        let mut shell = Shell {
            variables: Variables::from_environment(),
            functions: HashMap::new(),
            aliases: Rc::default(),
            options: Options::default(),
            zero: b"dosh".to_vec(),
            arguments: Vec::new(),
            status: 0,
            pipe_status: vec![0],
            substituted: None,
            background: None,
            pid,
            jobs: Jobs::default(),
            host: Host::default(),
            traps: Traps::at_entry(),
            hash: HashMap::new(),
            hash_of: 0,
            loops: 0,
            outer_loops: 0,
            depth: 0,
            guard: 0,
            line: 1,
            interactive: false,
            explains: false,
            source_letter: None,
            trapped: None,
            suspended: false,
            subshell: false,
            terminal: None,
            held: Vec::new(),
            option_offset: 0,
            last_argument: Bytes::new(),
            since: (Instant::now(), 0),
            trace_to: None,
            keyboard: None,
            seed: spread(pid.into()),
        };
        shell.set_standard_variables();
        shell
    }

    fn set_standard_variables(&mut self) {
        let parent = std::os::unix::process::parent_id().to_string();
        self.variables.put(b"PPID", parent.into_bytes());
        self.variables.put(b"OPTIND", b"1".to_vec());
        for (name, value) in [(&b"PS1"[..], &b"$ "[..]), (b"PS2", b"> "), (b"PS4", b"+ ")] {
            if self.variables.get(name).is_none() {
                self.variables.put(name, value.to_vec());
            }
        }
        if self.variables.get(b"PATH").is_none() {
            let path = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
            self.variables.put(b"PATH", path.to_vec());
        }
        for name in [&b"HPWD"[..], b"HOLDPWD"] {
            // That of another shell does not follow this one.
            let _ = self.variables.unset(name);
        }
        self.find_own_directory();
    }

    /// Tells an error. At a terminal, in the shell and its children, it is that of the line just entered.
    pub fn complain(&self, message: impl Display) {
        let line = match self.keyboard.is_some() {
            true => format!("dosh: {message}\n"),
            false => {
                let name = String::from_utf8_lossy(&self.zero);
                format!("{name}: line {}: {message}\n", self.line)
            }
        };
        let _ = sys::write_all(2, line.as_bytes());
    }

    /// Tells an error that ends a script.
    pub fn fail(&mut self, message: impl Display) -> Flow {
        self.complain(message);
        Flow::Abort(1)
    }

    /// Forks. In the child, which answers nothing, the environment is a subshell's, without job control: what it starts is in its
    /// own group. A signal that is sent to the child at once finds it so.
    pub fn fork(&mut self) -> Run<Option<i32>> {
        let forked = sys::blocking_signals(|_| {
            let forked = sys::fork();
            if let Ok(None) = forked {
                self.enter_subshell();
            }
            forked
        });
        forked.map_err(|error| self.fail(format_args!("cannot fork: {}", sys::reason(error))))
    }

    fn enter_subshell(&mut self) {
        self.subshell = true;
        self.outer_loops = self.loops;
        self.trapped = None;
        self.seed ^= spread(std::process::id().into());
        if std::mem::take(&mut self.interactive) {
            keyboard::signals::leave(&self.traps);
        }
        self.options.set_name(b"monitor", false);
        self.terminal = None;
        self.jobs.leave();
        self.host.leave();
        self.traps.enter_subshell(self.options.errtrace());
    }

    pub fn pipe(&mut self) -> Run<(i32, i32)> {
        sys::pipe()
            .map_err(|error| self.fail(format_args!("cannot make a pipe: {}", sys::reason(error))))
    }

    /// All that a child does.
    pub fn run_child(&mut self, run: impl FnOnce(&mut Shell) -> Run) -> ! {
        let result = run(self);
        let status = self.conclude(result);
        sys::exit_now(status)
    }

    /// The status to end with, after the trap on EXIT has run.
    pub fn conclude(&mut self, result: Run) -> i32 {
        self.status = match result {
            Ok(()) | Err(Flow::Break(_) | Flow::Continue(_)) => self.status,
            Err(Flow::Return(status) | Flow::Exit(status) | Flow::Abort(status)) => status,
        };
        let _ = self.run_pending_traps();
        match self.traps.take_exit() {
            None => self.status,
            Some(action) => {
                let status = self.status;
                self.guard = 0;
                self.trapped = Some((status, self.depth));
                match self.run_text(&action, 1) {
                    Err(Flow::Exit(status) | Flow::Abort(status)) => status,
                    _ => status,
                }
            }
        }
    }

    /// Runs a text's commands, one complete command after another. Without any, the status is 0.
    pub fn run_text(&mut self, text: &[u8], line: u32) -> Run {
        if !self.run_commands(text, line)? {
            self.status = 0;
        }
        Ok(())
    }

    /// The same, but without any command the status stays. Whether there was one.
    pub fn run_commands(&mut self, text: &[u8], line: u32) -> Run<bool> {
        let mut parser = Parser::new(text, line);
        let mut any = false;
        while let Some(list) = self.next_command(&mut parser)? {
            any = true;
            self.list(&list, false)?;
        }
        Ok(any)
    }

    /// The same where the text is all there is to do: its last command can take the shell's place.
    pub fn run_whole(&mut self, text: &[u8]) -> Run {
        let mut parser = Parser::new(text, 1);
        while let Some(list) = self.next_command(&mut parser)? {
            let last = parser.at_end();
            self.list(&list, last)?;
        }
        Ok(())
    }

    /// Runs commands as they come.
    pub fn run_feed(&mut self, feed: Box<dyn Feed>) -> Run {
        let mut parser = Parser::fed(feed);
        while let Some(list) = self.next_command(&mut parser)? {
            self.list(&list, false)?;
        }
        Ok(())
    }

    pub fn next_command(&mut self, parser: &mut Parser) -> Run<Option<List>> {
        let aliases = Rc::clone(&self.aliases);
        let parsed = parser.next(&aliases);
        if self.options.verbose() {
            let _ = sys::write_all(2, parser.taken());
        }
        parsed.map_err(|error| self.refuse(&error))
    }

    /// Tells what is wrong with a text.
    pub fn refuse(&mut self, error: &SyntaxError) -> Flow {
        self.line = error.line;
        self.complain(&error.message);
        Flow::Abort(2)
    }

    /// Assigns, and exports under `set -a`.
    pub fn assign(&mut self, name: &[u8], text: Bytes) -> Run {
        let result = self.variables.set(name, text);
        self.assigned(name, result)
    }

    pub fn assign_element(&mut self, name: &[u8], index: i64, text: Bytes) -> Run {
        let index = match index {
            index if index < 0 => {
                let last = self
                    .variables
                    .elements(name)
                    .last()
                    .map_or(0, |(at, _)| at + 1);
                last + index
            }
            index => index,
        };
        if index < 0 {
            return Err(self.fail("bad array subscript"));
        }
        let result = self.variables.set_element(name, index, text);
        self.assigned(name, result)
    }

    pub fn assigned(&mut self, name: &[u8], result: Result<(), ReadOnly>) -> Run {
        result.map_err(|error| self.refuse_readonly(&error))?;
        if self.options.allexport() {
            self.variables.attributes(name).exported = true;
        }
        if name == b"OPTIND" {
            self.option_offset = 0;
        }
        self.restart_made_up(name)
    }

    pub fn refuse_readonly(&mut self, error: &ReadOnly) -> Flow {
        let name = String::from_utf8_lossy(&error.0).into_owned();
        self.fail(format_args!("{name}: readonly variable"))
    }
}
