//! `fc`: lines that were entered, listed, or edited and run again (XCU fc).

use super::{number, shown, Letters};
use crate::dosh::keyboard::history::{Entry, History};
use crate::dosh::shell::{Run, Shell};
use crate::dosh::syntax::quoting::quote;
use crate::dosh::syntax::tree::Bytes;
use crate::dosh::sys;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// So many lines are listed where nothing is said of it.
const LISTED: usize = 16;

/// What the words ask for.
#[derive(Default)]
struct Asked<'w> {
    lists: bool,
    /// Without numbers.
    bare: bool,
    newest_first: bool,
    /// As they are, without an editor.
    again: bool,
    editor: Option<&'w [u8]>,
    operands: &'w [Bytes],
}

impl<'w> Asked<'w> {
    fn read(words: &'w [Bytes]) -> Result<Asked<'w>, String> {
        // A negative number is no option.
        let is_number = |word: &Bytes| matches!(&word[..], [b'-', b'0'..=b'9', ..]);
        let end = words.iter().position(is_number).unwrap_or(words.len());
        let mut letters = Letters::new(&words[..end], b"e");
        let mut asked = Asked::default();
        while let Some((letter, operand)) = letters.next() {
            match letter {
                b'l' => asked.lists = true,
                b'n' => asked.bare = true,
                b'r' => asked.newest_first = true,
                b's' => asked.again = true,
                // As in other shells, which had no other letter for it.
                b'e' if operand == b"-" => asked.again = true,
                b'e' => asked.editor = Some(operand),
                letter => return Err(format!("-{}: invalid option", char::from(letter))),
            }
        }
        asked.operands = &words[end - letters.operands().len()..];
        let most = if asked.again && !asked.lists { 1 } else { 2 };
        let replaced = usize::from(asked.again && is_replacement(asked.operands.first()));
        match asked.operands.len() <= most + replaced {
            true => Ok(asked),
            false => Err("too many arguments".to_owned()),
        }
    }
}

fn is_replacement(word: Option<&Bytes>) -> bool {
    word.is_some_and(|word| word.contains(&b'='))
}

pub fn main(shell: &mut Shell, words: &[Bytes]) -> Run<i32> {
    let asked = match Asked::read(words) {
        Ok(asked) => asked,
        Err(message) => return Ok(shell.refuse_with(b"fc", message, 2)),
    };
    let Some(history) = History::of(shell) else {
        return Ok(shell.refuse_with(b"fc", "there are no lines: none are entered here", 1));
    };
    let mut past = history.entries("", None);
    // The line with this command is none of the past.
    let own = shell.keyboard.as_ref().and_then(|it| it.history.running());
    past.retain(|entry| entry.id != own);
    match asked {
        _ if past.is_empty() && asked.lists => Ok(0),
        Asked { lists: true, .. } => Ok(list(shell, &asked, &past)),
        Asked { again: true, .. } => again(shell, &asked, &past),
        asked => edit(shell, &asked, &past),
    }
}

/// The entry that a word names.
fn find(past: &[Entry], word: &[u8], lists: bool) -> Result<usize, String> {
    let last = past.len().checked_sub(1);
    let found = match word {
        [b'-', digits @ ..] if number(digits).is_some() => {
            let back = number(digits).unwrap_or(0).max(1) as usize;
            match past.len().checked_sub(back) {
                None if lists => Some(0),
                found => found,
            }
        }
        word if number(word.strip_prefix(b"+").unwrap_or(word)).is_some() => {
            let wanted = number(word.strip_prefix(b"+").unwrap_or(word)).unwrap_or(0);
            let id = |entry: &Entry| entry.id.map_or(0, |id| id.0);
            let at = past.partition_point(|entry| id(entry) < wanted);
            match past.get(at) {
                Some(entry) if lists || id(entry) == wanted => Some(at),
                None if lists => last,
                _ => None,
            }
        }
        begin => past
            .iter()
            .rposition(|entry| entry.command_line.as_bytes().starts_with(begin)),
    };
    found.ok_or_else(|| format!("{}: no such line", shown(word)))
}

/// The lines from the first to the last that are named, in the order that is asked for.
fn range<'p>(past: &'p [Entry], asked: &Asked) -> Result<Vec<&'p Entry>, String> {
    let find = |word: &Bytes| find(past, word, asked.lists);
    let newest = past.len().checked_sub(1).ok_or("there are no lines")?;
    let (first, last) = match asked.operands {
        [] if asked.lists => (past.len().saturating_sub(LISTED), newest),
        [] => (newest, newest),
        [first] if asked.lists => (find(first)?, newest),
        [one] => (find(one)?, find(one)?),
        [first, last, ..] => (find(first)?, find(last)?),
    };
    let mut found: Vec<&Entry> = past[first.min(last)..=first.max(last)].iter().collect();
    if asked.newest_first || first > last {
        found.reverse();
    }
    Ok(found)
}

fn list(shell: &mut Shell, asked: &Asked, past: &[Entry]) -> i32 {
    let found = match range(past, asked) {
        Ok(found) => found,
        Err(message) => return shell.refuse_with(b"fc", message, 1),
    };
    let line = |entry: &&Entry| {
        let number = entry.id.filter(|_| !asked.bare);
        let number = number.map(|id| id.0.to_string()).unwrap_or_default();
        format!("{number}\t{}\n", entry.command_line.replace('\n', "\n\t"))
    };
    let text: String = found.iter().map(line).collect();
    shell.put(b"fc", text.as_bytes())
}

fn again(shell: &mut Shell, asked: &Asked, past: &[Entry]) -> Run<i32> {
    let (replacement, operands) = match asked.operands {
        [word, rest @ ..] if is_replacement(Some(word)) => (Some(shown(word)), rest),
        operands => (None, operands),
    };
    let one = Asked {
        operands,
        ..Asked::default()
    };
    let line = match range(past, &one) {
        Ok(found) => found[0].command_line.clone(),
        Err(message) => return Ok(shell.refuse_with(b"fc", message, 1)),
    };
    let replacement = replacement.as_deref().and_then(|text| text.split_once('='));
    let line = match replacement {
        Some((old, new)) => line.replacen(old, new, 1),
        None => line,
    };
    run(shell, line.as_bytes())
}

fn edit(shell: &mut Shell, asked: &Asked, past: &[Entry]) -> Run<i32> {
    let found = match range(past, asked) {
        Ok(found) => found,
        Err(message) => return Ok(shell.refuse_with(b"fc", message, 1)),
    };
    let lines = found.iter().map(|entry| entry.command_line.clone() + "\n");
    let file = match File::with(shell, &lines.collect::<String>()) {
        Ok(file) => file,
        Err(error) => return Ok(shell.refuse_with(b"fc", sys::reason(error), 1)),
    };
    let named = |name| shell.variables.get(name).filter(|text| !text.is_empty());
    let editor = asked.editor.or(named(b"FCEDIT")).or(named(b"EDITOR"));
    let path = file.0.as_os_str().as_bytes();
    let command = [editor.unwrap_or(b"ed"), b" ", &quote(path)].concat();
    shell.run_text(&command, 1)?;
    if shell.status != 0 {
        return Ok(shell.status);
    }
    let text = match fs::read(&file.0) {
        Ok(text) => text,
        Err(error) => return Ok(shell.refuse_with(b"fc", sys::reason(error), 1)),
    };
    drop(file);
    match text.trim_ascii_end() {
        b"" => Ok(0),
        text => run(shell, text),
    }
}

/// Runs lines as if they had been entered in the place of the one that asks for them, and shows them.
fn run(shell: &mut Shell, lines: &[u8]) -> Run<i32> {
    let _ = sys::write_all(2, &[lines, b"\n"].concat());
    if let (Some(keyboard), false) = (&mut shell.keyboard, shell.subshell) {
        keyboard.history.replace(lines);
    }
    shell.run_text(lines, 1)?;
    Ok(shell.status)
}

/// A file with lines that are edited, removed when dropped.
struct File(PathBuf);

impl File {
    fn with(shell: &Shell, lines: &str) -> std::io::Result<File> {
        let directory = shell.variables.get(b"TMPDIR").filter(|it| !it.is_empty());
        let directory = Path::new(OsStr::from_bytes(directory.unwrap_or(b"/tmp")));
        // Nobody else can read it, nor have made it (mkstemp(3)).
        let (fd, path) = nix::unistd::mkstemp(&directory.join("dosh-fc.XXXXXX"))?;
        let file = File(path);
        drop(fd);
        fs::write(&file.0, lines)?;
        Ok(file)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
