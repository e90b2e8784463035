//! What names mean: `type`, `command`, `hash`, `alias`.

use super::{declare::split, shown, Letters};
use crate::dosh::shell::{Run, Shell};
use crate::dosh::syntax::quoting::quote_always;
use crate::dosh::syntax::tree::Bytes;
use crate::dosh::sys;
use std::ffi::OsStr;
use std::fs::metadata;
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;

const RESERVED: &[&str] = &[
    "!", "[[", "]]", "case", "do", "done", "elif", "else", "esac", "fi", "for", "function", "if",
    "in", "then", "time", "until", "while", "{", "}",
];

/// What a command's name stands for.
enum Meaning {
    Alias(Bytes),
    Reserved,
    Function(Bytes),
    Special,
    Builtin,
    File(Bytes),
}

fn meaning(shell: &mut Shell, name: &[u8], path: Option<&[u8]>) -> Option<Meaning> {
    if let Some(value) = shell.aliases.get(name) {
        return Some(Meaning::Alias(value.clone()));
    }
    if RESERVED.iter().any(|word| word.as_bytes() == name) {
        return Some(Meaning::Reserved);
    }
    let builtin = super::find(name);
    if builtin.is_some_and(|builtin| builtin.special) {
        return Some(Meaning::Special);
    }
    if let Some(function) = shell.functions.get(name) {
        return Some(Meaning::Function(function.written()));
    }
    if builtin.is_some() {
        return Some(Meaning::Builtin);
    }
    let found = match path {
        Some(path) => shell.search(name, path),
        None => shell.find_program(name),
    };
    found.filter(is_program).map(Meaning::File)
}

fn is_program(path: &Bytes) -> bool {
    let is_file = metadata(OsStr::from_bytes(path)).is_ok_and(|meta| meta.is_file());
    is_file && sys::may(path, libc::X_OK)
}

/// All that a name stands for, first what it means.
fn meanings(shell: &mut Shell, name: &[u8]) -> Vec<Meaning> {
    let mut all = Vec::new();
    all.extend(shell.aliases.get(name).cloned().map(Meaning::Alias));
    if RESERVED.iter().any(|word| word.as_bytes() == name) {
        all.push(Meaning::Reserved);
    }
    let function = shell.functions.get(name);
    all.extend(function.map(|function| Meaning::Function(function.written())));
    let builtin = super::find(name);
    all.extend(builtin.map(|builtin| match builtin.special {
        true => Meaning::Special,
        false => Meaning::Builtin,
    }));
    let path = shell.variables.get(b"PATH").unwrap_or_default().to_vec();
    let files: Vec<Bytes> = match name.contains(&b'/') {
        true => vec![name.to_vec()],
        false => {
            let directories = path.split(|byte| *byte == b':');
            directories
                .filter_map(|directory| shell.search(name, directory))
                .collect()
        }
    };
    all.extend(files.into_iter().filter(is_program).map(Meaning::File));
    all
}

/// `type`.
pub fn kind(shell: &mut Shell, words: &[Bytes]) -> Run<i32> {
    let mut letters = Letters::new(words, b"");
    let (mut short, mut path, mut all) = (false, false, false);
    // Which meanings do not count.
    let (mut no_functions, mut files_only) = (false, false);
    while let Some((letter, _)) = letters.next() {
        match letter {
            b't' => short = true,
            b'p' => path = true,
            b'P' => (path, files_only) = (true, true),
            b'a' => all = true,
            b'f' => no_functions = true,
            letter => {
                let message = format!("-{}: invalid option", char::from(letter));
                return Ok(shell.refuse_with(b"type", message, 2));
            }
        }
    }
    let mut status = 0;
    let mut text = Bytes::new();
    for name in letters.operands() {
        let mut found = meanings(shell, name);
        found.retain(|meaning| match meaning {
            Meaning::File(_) => true,
            Meaning::Function(_) => !no_functions && !files_only,
            _ => !files_only,
        });
        if !all {
            found.truncate(1);
        }
        if found.is_empty() {
            status = 1;
            if !short && !path {
                shell.refuse_with(b"type", format_args!("{}: not found", shown(name)), 1);
            }
        }
        for meaning in found {
            match meaning {
                meaning if short => text.extend(short_line(&meaning)),
                Meaning::File(file) if path => text.extend([&file[..], b"\n"].concat()),
                _ if path => {}
                meaning => text.extend(long_line(name, &meaning)),
            }
        }
    }
    Ok(shell.put(b"type", &text).max(status))
}

fn short_line(meaning: &Meaning) -> Bytes {
    let word = match meaning {
        Meaning::Alias(_) => "alias",
        Meaning::Reserved => "keyword",
        Meaning::Function(_) => "function",
        Meaning::Special | Meaning::Builtin => "builtin",
        Meaning::File(_) => "file",
    };
    format!("{word}\n").into_bytes()
}

fn long_line(name: &[u8], meaning: &Meaning) -> Bytes {
    match meaning {
        Meaning::Alias(value) => [name, b" is aliased to `", value, b"'\n"].concat(),
        Meaning::Reserved => [name, b" is a shell keyword\n"].concat(),
        Meaning::Function(text) => [name, b" is a function\n", text, b"\n"].concat(),
        Meaning::Special => [name, b" is a special shell builtin\n"].concat(),
        Meaning::Builtin => [name, b" is a shell builtin\n"].concat(),
        Meaning::File(path) => [name, b" is ", path, b"\n"].concat(),
    }
}

pub fn command(shell: &mut Shell, words: &[Bytes]) -> Run<i32> {
    let mut letters = Letters::new(words, b"");
    let (mut brief, mut long, mut standard) = (false, false, false);
    while let Some((letter, _)) = letters.next() {
        match letter {
            b'v' => brief = true,
            b'V' => long = true,
            b'p' => standard = true,
            letter => {
                let message = format!("-{}: invalid option", char::from(letter));
                return Ok(shell.refuse_with(b"command", message, 2));
            }
        }
    }
    let operands = letters.operands();
    let path = standard.then_some(&b"/bin:/usr/bin:/sbin:/usr/sbin"[..]);
    if operands.is_empty() {
        return Ok(0);
    }
    if !brief && !long {
        return shell.command_without_functions(operands, path);
    }
    let mut status = 0;
    let mut text = Bytes::new();
    for name in operands {
        match meaning(shell, name, path) {
            Some(meaning) if long => text.extend(long_line(name, &meaning)),
            Some(Meaning::Alias(value)) => {
                text.extend([b"alias ", &name[..], b"=", &quote_always(&value), b"\n"].concat());
            }
            Some(Meaning::File(file)) => text.extend([&file[..], b"\n"].concat()),
            Some(_) => text.extend([&name[..], b"\n"].concat()),
            None => {
                status = 1;
                if long {
                    shell.refuse_with(b"command", format_args!("{}: not found", shown(name)), 1);
                }
            }
        }
    }
    Ok(shell.put(b"command", &text).max(status))
}

pub fn builtin(shell: &mut Shell, words: &[Bytes]) -> Run<i32> {
    let words = match words {
        [_, end, rest @ ..] if end == b"--" => rest,
        words => words.get(1..).unwrap_or_default(),
    };
    let Some(name) = words.first() else {
        return Ok(0);
    };
    match super::find(name) {
        Some(builtin) => (builtin.run)(shell, words),
        None => Ok(shell.refuse_with(
            b"builtin",
            format_args!("{}: not a shell builtin", shown(name)),
            1,
        )),
    }
}

pub fn hash(shell: &mut Shell, words: &[Bytes]) -> Run<i32> {
    let mut letters = Letters::new(words, b"");
    while let Some((letter, _)) = letters.next() {
        match letter {
            b'r' => shell.hash.clear(),
            letter => {
                let message = format!("-{}: invalid option", char::from(letter));
                return Ok(shell.refuse_with(b"hash", message, 2));
            }
        }
    }
    if words.len() == 1 {
        let mut paths: Vec<&Bytes> = shell.hash.values().collect();
        paths.sort();
        let lines = paths.into_iter().flat_map(|path| [&path[..], b"\n"]);
        let text: Bytes = lines.flatten().copied().collect();
        return Ok(shell.put(b"hash", &text));
    }
    let mut status = 0;
    for name in letters.operands() {
        let known = super::find(name).is_some() || shell.functions.contains_key(name);
        if !known && shell.find_program(name).is_none() {
            status = shell.refuse_with(b"hash", format_args!("{}: not found", shown(name)), 1);
        }
    }
    Ok(status)
}

/// Whether the one option is given that the command has, and its operands.
///
/// # Errors
/// The status, after another option was refused.
fn names_after<'w>(
    shell: &Shell,
    words: &'w [Bytes],
    option: u8,
) -> Result<(bool, &'w [Bytes]), i32> {
    let mut letters = Letters::new(words, b"");
    let mut given = false;
    while let Some((letter, _)) = letters.next() {
        if letter != option {
            let message = format!("-{}: invalid option", char::from(letter));
            return Err(shell.refuse_with(&words[0], message, 2));
        }
        given = true;
    }
    Ok((given, letters.operands()))
}

pub fn alias(shell: &mut Shell, words: &[Bytes]) -> Run<i32> {
    let mut status = 0;
    let mut text = Bytes::new();
    let (whole, operands) = match names_after(shell, words, b'p') {
        Ok(found) => found,
        Err(status) => return Ok(status),
    };
    let begin = if whole { &b"alias "[..] } else { b"" };
    let line =
        |name: &[u8], value: &[u8]| [begin, name, b"=", &quote_always(value), b"\n"].concat();
    if operands.is_empty() || whole {
        let mut all: Vec<_> = shell.aliases.iter().collect();
        all.sort();
        text.extend(all.into_iter().flat_map(|(name, value)| line(name, value)));
    }
    for word in operands {
        match split(word) {
            (name, Some(value)) => {
                Rc::make_mut(&mut shell.aliases).insert(name.to_vec(), value.to_vec());
            }
            (name, None) => match shell.aliases.get(name) {
                Some(value) => text.extend(line(name, value)),
                None => {
                    status =
                        shell.refuse_with(b"alias", format_args!("{}: not found", shown(name)), 1)
                }
            },
        }
    }
    Ok(shell.put(b"alias", &text).max(status))
}

pub fn unalias(shell: &mut Shell, words: &[Bytes]) -> Run<i32> {
    let mut status = 0;
    let operands = match names_after(shell, words, b'a') {
        Ok((true, _)) => {
            shell.aliases = Rc::default();
            return Ok(0);
        }
        Ok((false, operands)) => operands,
        Err(status) => return Ok(status),
    };
    for word in operands {
        if Rc::make_mut(&mut shell.aliases).remove(word).is_none() {
            status = shell.refuse_with(b"unalias", format_args!("{}: not found", shown(word)), 1);
        }
    }
    Ok(status)
}
