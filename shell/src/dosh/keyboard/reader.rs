//! One command from the terminal, over as many lines as it needs.

use super::desk::Shared;
use super::editor::{Editor, Read};
use super::history::History;
use super::plain::{self, Typed};
use super::prompt::Prompt;
use super::sides::Sides;
use super::validator::is_incomplete;
use crate::dosh::jobs::Places;
use crate::dosh::shell::{Flow, Shell};
use crate::dosh::syntax::tree::Bytes;
use crate::dosh::sys::{self, Disposition};

/// What came.
pub enum Input {
    Line(Bytes),
    /// Ctrl-C.
    Interrupted,
    /// Ctrl-D, or the end of a file.
    End,
    /// A signal or its trap ends the shell, or the terminal is gone.
    Leaves(i32),
}

const GONE: i32 = 128 + libc::SIGHUP;

/// So many lines of the past teach options.
const LEARNT: i64 = 5000;

pub struct Reader {
    desk: Shared,
    /// Nothing where the terminal can do no more than lines.
    editor: Option<Editor>,
    history: History,
}

impl Reader {
    pub fn new(shell: &Shell) -> Reader {
        let history = match &shell.keyboard {
            Some(keyboard) => keyboard.history.clone(),
            None => History::default(),
        };
        let dumb = matches!(shell.variables.get(b"TERM"), None | Some(b"" | b"dumb"));
        let edits = !dumb && sys::is_terminal(0) && sys::is_terminal(2);
        let past = history.clone();
        let desk = Shared::new(Box::new(move || {
            let entries = past.entries("", Some(LEARNT)).into_iter();
            entries.map(|entry| entry.command_line).collect()
        }));
        Reader {
            editor: edits.then(|| Editor::new(&history, desk.clone())),
            desk,
            history,
        }
    }

    /// Reads lines until they are commands.
    pub fn command(&mut self, shell: &mut Shell) -> Input {
        let mut text = Bytes::new();
        loop {
            let first = text.is_empty();
            match self.line(shell, first) {
                Input::Line(line) => {
                    text.extend_from_slice(&line);
                    if !is_incomplete(&text, &shell.aliases) {
                        return Input::Line(text);
                    }
                    text.push(b'\n');
                }
                // What has begun ends here, and is told to be incomplete.
                Input::End if !first => return Input::Line(text),
                other => return other,
            }
        }
    }

    fn line(&mut self, shell: &mut Shell, first: bool) -> Input {
        let limit = time_limit(shell);
        let hears = hears_children(shell);
        if limit > 0 {
            sys::set_signal(libc::SIGALRM, Disposition::Note);
            sys::alarm(limit);
        }
        if hears {
            sys::set_signal(libc::SIGCHLD, Disposition::Note);
            shell.tell_of_jobs();
        }
        let input = self.line_in_time(shell, first);
        if hears {
            sys::set_signal(libc::SIGCHLD, Disposition::Default);
        }
        if limit > 0 {
            sys::alarm(0);
            sys::set_signal(libc::SIGALRM, Disposition::Default);
        }
        input
    }

    fn line_in_time(&mut self, shell: &mut Shell, first: bool) -> Input {
        let reserved = sys::reserve();
        self.desk.begin_line(shell);
        let sides = Sides::of(shell, &mut self.desk.lock().host);
        if let Some(keyboard) = &mut shell.keyboard {
            keyboard.sides = sides;
        }
        self.history.follow(shell);
        let mut begins = true;
        let input = loop {
            if sys::is_gone(0) {
                break Input::Leaves(GONE);
            }
            let read = match &mut self.editor {
                Some(editor) => match editor.typed(begins) {
                    Typed::Line(line) => break self.typed(shell, line, first),
                    Typed::End => break Input::End,
                    typed => {
                        if let Typed::Part(text) = typed {
                            editor.insert(text);
                        }
                        let (prompt, rest) = Prompt::of(shell, first);
                        editor.read(shell, &prompt, rest)
                    }
                },
                None => break self.plainly(shell, first),
            };
            match read {
                // The editor has put this in the place of bytes that are no text. Which they were is not known any more.
                Read::Line(line) if line.contains(char::REPLACEMENT_CHARACTER) => {
                    shell.complain(
                        "bytes that are not UTF-8 cannot be edited: write them as $'\\377'",
                    );
                    shell.status = 1;
                }
                Read::Line(line) => break Input::Line(line.into_bytes()),
                Read::Interrupted => break Input::Interrupted,
                Read::End => break Input::End,
                Read::Failed => break Input::Leaves(GONE),
                Read::Broken => {
                    if let Err(input) = broken(shell) {
                        break input;
                    }
                    begins = false;
                }
            }
        };
        sys::release(reserved);
        match input {
            Input::End if sys::is_gone(0) => Input::Leaves(GONE),
            input => input,
        }
    }

    /// A line that was shown where it was typed, before its prompt, is shown behind it.
    fn typed(&mut self, shell: &mut Shell, line: Bytes, first: bool) -> Input {
        let prompt = Prompt::of(shell, first).1.plain();
        let _ = sys::write_all(2, &[prompt.as_bytes(), &line, b"\n"].concat());
        self.history.enter(&line);
        Input::Line(line)
    }

    /// A line without an editor.
    fn plainly(&mut self, shell: &mut Shell, first: bool) -> Input {
        let prompt = Prompt::of(shell, first).0.plain();
        let _ = sys::write_all(2, prompt.as_bytes());
        match plain::line(shell) {
            Ok(Some(line)) => {
                self.history.enter(&line);
                Input::Line(line)
            }
            Ok(None) => Input::End,
            Err(Flow::Exit(status)) => Input::Leaves(status),
            Err(_) => {
                let _ = sys::write_all(2, b"\n");
                Input::Interrupted
            }
        }
    }

    /// After the command: where it ran and how it has ended goes into the history.
    pub fn ran(&mut self, shell: &Shell, places: Places) {
        if let Some(keyboard) = &shell.keyboard {
            self.history.ended(places, shell.status, keyboard.took);
        }
        // The terminal has shown the key that ended it, and no editor looks for the beginning of a line.
        let interrupted = shell.status == 128 + libc::SIGINT;
        if interrupted && self.editor.is_none() && sys::is_terminal(0) {
            let _ = sys::write_all(2, b"\n");
        }
    }
}

/// Sees to the signals that have broken off the reading.
fn broken(shell: &mut Shell) -> Result<(), Input> {
    if shell.has_news_of_jobs() || shell.traps.waiting().is_some() {
        // What is being typed stays where it is: the prompt comes again below what is told.
        let _ = sys::write_all(2, b"\n");
    }
    shell.tell_of_jobs();
    match shell.run_pending_traps() {
        Ok(()) => Ok(()),
        Err(Flow::Exit(status)) => Err(Input::Leaves(status)),
        Err(_) => Err(Input::Interrupted),
    }
}

/// `$TMOUT`, in seconds; 0 is none.
fn time_limit(shell: &Shell) -> u32 {
    let text = shell.variables.get(b"TMOUT");
    let text = text.and_then(|text| std::str::from_utf8(text).ok());
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// `set -b`: jobs are told of at once.
fn hears_children(shell: &Shell) -> bool {
    shell.options.is_on(b"notify") == Some(true) && shell.traps.action(libc::SIGCHLD).is_none()
}
