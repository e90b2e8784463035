//! Built-ins that give variables their attributes: export, readonly, local, unset.

use super::{shown, Letters};
use crate::dosh::made_up::MadeUp;
use crate::dosh::shell::{Run, Shell};
use crate::dosh::syntax::quoting::quote;
use crate::dosh::syntax::token::is_name;
use crate::dosh::syntax::tree::Bytes;
use crate::dosh::variables::{Value, Variable};

/// `name=value` apart.
pub fn split(word: &[u8]) -> (&[u8], Option<&[u8]>) {
    match word.iter().position(|byte| *byte == b'=') {
        Some(at) => (&word[..at], Some(&word[at + 1..])),
        None => (word, None),
    }
}

pub fn export(shell: &mut Shell, words: &[Bytes]) -> Run<i32> {
    attribute(shell, words, |variable| &mut variable.exported)
}

pub fn readonly(shell: &mut Shell, words: &[Bytes]) -> Run<i32> {
    attribute(shell, words, |variable| &mut variable.readonly)
}

fn attribute(
    shell: &mut Shell,
    words: &[Bytes],
    which: fn(&mut Variable) -> &mut bool,
) -> Run<i32> {
    let mut letters = Letters::new(words, b"");
    let mut on = true;
    let mut functions = false;
    while let Some((letter, _)) = letters.next() {
        match letter {
            b'n' if words[0] == b"export" => on = false,
            b'f' => functions = true,
            b'p' | b'a' => {}
            letter => return Err(invalid(shell, &words[0], letter)),
        }
    }
    let operands = letters.operands();
    if functions {
        return Ok(0);
    }
    if operands.is_empty() {
        return Ok(list(shell, &words[0], which));
    }
    for word in operands {
        let (name, value) = split(word);
        if !is_name(name) {
            let message = format!("`{}': not a valid identifier", shown(word));
            return Err(shell.fail_with(&words[0], message, 1));
        }
        if let Some(value) = value {
            shell.assign(name, value.to_vec())?;
        }
        *which(shell.attributed(name)) = on;
    }
    Ok(0)
}

fn invalid(shell: &mut Shell, name: &[u8], letter: u8) -> crate::dosh::shell::Flow {
    shell.fail_with(
        name,
        format_args!("-{}: invalid option", char::from(letter)),
        2,
    )
}

/// All variables with the attribute, as the shell reads them back.
fn list(shell: &mut Shell, command: &[u8], which: fn(&mut Variable) -> &mut bool) -> i32 {
    let mut text = Bytes::new();
    for (name, variable) in shell.variables.sorted() {
        if !*which(&mut variable.clone()) {
            continue;
        }
        text.extend_from_slice(command);
        text.push(b' ');
        text.extend_from_slice(name);
        if let Some(value) = &variable.value {
            text.push(b'=');
            text.extend(written(value));
        }
        text.push(b'\n');
    }
    shell.put(command, &text)
}

/// A value as the shell reads it back.
pub fn written(value: &Value) -> Bytes {
    match value {
        Value::Text(text) => quote(text),
        Value::Array(array) => {
            let element = |(at, text): (&i64, &Bytes)| {
                [b"[", at.to_string().as_bytes(), b"]=", &quote(text)].concat()
            };
            let elements: Vec<Bytes> = array.iter().map(element).collect();
            [b"(", &elements.join(&b' ')[..], b")"].concat()
        }
    }
}

/// `local`, and `declare` and `typeset`, which outside of functions concern the whole shell.
pub fn local(shell: &mut Shell, words: &[Bytes]) -> Run<i32> {
    let mut letters = Letters::new(words, b"");
    let (mut exported, mut readonly, mut global) = (false, false, false);
    let (mut functions, mut named, mut shows) = (false, false, false);
    while let Some((letter, _)) = letters.next() {
        match letter {
            b'x' => exported = true,
            b'r' => readonly = true,
            b'g' => global = true,
            b'f' => functions = true,
            b'F' => (functions, named) = (true, true),
            b'p' if words[0] != b"local" => shows = true,
            b'a' => {}
            letter => {
                let message = format!("-{}: invalid option", char::from(letter));
                return Ok(shell.refuse_with(&words[0], message, 2));
            }
        }
    }
    if functions {
        return Ok(show_functions(shell, &words[0], letters.operands(), named));
    }
    if shows {
        return Ok(show(shell, &words[0], letters.operands()));
    }
    let inside = shell.depth > 0 && !global;
    if words[0] == b"local" && shell.depth == 0 {
        return Ok(shell.refuse_with(&words[0], "can only be used in a function", 1));
    }
    let mut status = 0;
    for word in letters.operands() {
        let (name, value) = split(word);
        let (name, index) = match element(name) {
            Some((name, index)) if value.is_some() => (name, Some(index)),
            _ => (name, None),
        };
        if !is_name(name) {
            let message = format!("`{}': not a valid identifier", shown(word));
            status = shell.refuse_with(&words[0], message, 1);
            continue;
        }
        if inside {
            let outer = shell.variables.lookup(name).cloned().unwrap_or_default();
            if outer.readonly {
                let message = format!("{}: readonly variable", shown(name));
                status = shell.refuse_with(&words[0], message, 1);
                continue;
            }
            let new = shell.variables.make_local(name);
            // What was assigned in front of the call is meant for the function.
            if new && !outer.passed {
                let _ = shell.variables.unset(name);
            }
            let variable = shell.variables.attributes(name);
            variable.exported = outer.exported;
            variable.passed &= !new;
            variable.plain = true;
        }
        if let Some(value) = value {
            let assigned = match index {
                Some(index) => shell
                    .arithmetic_text(index, 0)
                    .and_then(|index| shell.assign_element(name, index, value.to_vec())),
                None => shell.assign(name, value.to_vec()),
            };
            let failed = super::settled(assigned, 0)?;
            if failed != 0 {
                status = failed;
                continue;
            }
        }
        let variable = shell.attributed(name);
        variable.exported |= exported;
        variable.readonly |= readonly;
    }
    Ok(status)
}

/// `declare -p`: these variables, or all, each as a command that makes it anew.
fn show(shell: &mut Shell, command: &[u8], names: &[Bytes]) -> i32 {
    let (mut text, mut unknown) = (Bytes::new(), Vec::new());
    if names.is_empty() {
        for (name, variable) in shell.variables.sorted() {
            text.extend(declaration(name, variable));
        }
    }
    for name in names {
        match shell.variables.lookup(name) {
            Some(variable) => text.extend(declaration(name, variable)),
            None => unknown.push(name),
        }
    }
    let written = shell.put(command, &text);
    for name in &unknown {
        shell.refuse_with(command, format!("{}: not found", shown(name)), 1);
    }
    written.max(i32::from(!unknown.is_empty()))
}

fn declaration(name: &[u8], variable: &Variable) -> Bytes {
    let is_array = matches!(variable.value, Some(Value::Array(_)));
    let letters = [
        (is_array, b'a'),
        (variable.readonly, b'r'),
        (variable.exported, b'x'),
    ];
    let mut letters: Bytes = letters
        .iter()
        .filter_map(|(has, letter)| has.then_some(*letter))
        .collect();
    if letters.is_empty() {
        letters.push(b'-');
    }
    let mut text = [b"declare -", &letters[..], b" ", name].concat();
    if let Some(value) = &variable.value {
        text.push(b'=');
        text.extend(written(value));
    }
    text.push(b'\n');
    text
}

/// Those of the names that are functions', or without names all: as they were defined, or `named` only.
fn show_functions(shell: &Shell, command: &[u8], names: &[Bytes], named: bool) -> i32 {
    let mut all: Vec<&Bytes> = shell.functions.keys().collect();
    all.sort();
    let asked = match names {
        [] => all,
        names => names.iter().collect(),
    };
    let mut text = Bytes::new();
    let mut status = 0;
    for name in asked {
        match shell.functions.get(name) {
            Some(function) if !named => text.extend([&function.written()[..], b"\n"].concat()),
            Some(_) if names.is_empty() => text.extend([b"declare -f ", &name[..], b"\n"].concat()),
            Some(_) => text.extend([&name[..], b"\n"].concat()),
            None => status = 1,
        }
    }
    shell.put(command, &text).max(status)
}

pub fn unset(shell: &mut Shell, words: &[Bytes]) -> Run<i32> {
    let mut letters = Letters::new(words, b"");
    let (mut variables, mut functions) = (false, false);
    while let Some((letter, _)) = letters.next() {
        match letter {
            b'v' => variables = true,
            b'f' => functions = true,
            letter => return Err(invalid(shell, &words[0], letter)),
        }
    }
    let mut status = 0;
    for word in letters.operands() {
        if functions {
            shell.functions.remove(word);
            continue;
        }
        if let Some((name, index)) = element(word) {
            let index = shell.arithmetic_text(index, 0)?;
            let result = shell.variables.unset_element(name, index);
            result.map_err(|error| shell.refuse_readonly(&error))?;
            continue;
        }
        if !is_name(word) {
            status = shell.refuse_with(
                &words[0],
                format_args!("`{}': not a valid identifier", shown(word)),
                1,
            );
            continue;
        }
        let known = shell.variables.lookup(word).is_some();
        if let Err(error) = shell.variables.unset(word) {
            return Err(shell.refuse_readonly(&error));
        }
        if MadeUp::of(word).is_some_and(MadeUp::ends_when_unset) {
            shell.variables.make_plain(word);
        }
        // Without an option, a name that is no variable is a function's.
        if !known && !variables {
            shell.functions.remove(word);
        }
    }
    Ok(status)
}

/// `name[index]` apart.
pub fn element(word: &[u8]) -> Option<(&[u8], &[u8])> {
    let open = word.iter().position(|byte| *byte == b'[')?;
    let inner = word[open + 1..].strip_suffix(b"]")?;
    is_name(&word[..open]).then_some((&word[..open], inner))
}
