//! `trap` (XCU 2.14).

use super::{number, shown};
use crate::dosh::shell::{Run, Shell};
use crate::dosh::signals;
use crate::dosh::syntax::quoting::quote_always;
use crate::dosh::syntax::tree::Bytes;
use crate::dosh::traps::{ERR, EXIT};

pub fn trap(shell: &mut Shell, words: &[Bytes]) -> Run<i32> {
    let mut rest = &words[1..];
    match rest.first().map(|word| &word[..]) {
        None => return Ok(list(shell, None)),
        Some(b"-p") => return list_some(shell, &rest[1..]),
        Some(b"-l") => {
            let names: Vec<String> = signals::all()
                .map(|(number, name)| format!("{number}) SIG{name}"))
                .collect();
            return Ok(shell.put(b"trap", format!("{}\n", names.join("\n")).as_bytes()));
        }
        Some(b"--") => rest = &rest[1..],
        Some(option @ [b'-', _, ..]) => {
            let message = format!("{}: invalid option", shown(option));
            return Err(shell.fail_with(b"trap", message, 2));
        }
        Some(_) => {}
    }
    let Some((first, conditions)) = rest.split_first() else {
        return Ok(list(shell, None));
    };
    // A number first means that all words are conditions, to be reset.
    let (action, conditions) = match &first[..] {
        word if number(word).is_some() || conditions.is_empty() => (None, rest),
        b"-" => (None, conditions),
        action => (Some(action.to_vec()), conditions),
    };
    let mut status = 0;
    for word in conditions {
        match condition(word) {
            // By it the editor is woken, for every other signal too.
            Some(libc::SIGWINCH) if shell.interactive => {
                if action.is_some() {
                    let message = format!("{}: is the line editor's at a terminal", shown(word));
                    status = shell.refuse_with(b"trap", message, 1);
                }
            }
            Some(condition) => {
                if condition == ERR {
                    shell.traps.error_depth = shell.depth;
                }
                shell.traps.set(condition, action.clone());
            }
            None => {
                let message = format!("{}: invalid signal specification", shown(word));
                status = shell.refuse_with(b"trap", message, 1);
            }
        }
    }
    Ok(status)
}

fn condition(word: &[u8]) -> Option<i32> {
    match word.to_ascii_uppercase().as_slice() {
        b"EXIT" => Some(EXIT),
        b"ERR" => Some(ERR),
        _ => signals::number(word),
    }
}

fn list_some(shell: &mut Shell, words: &[Bytes]) -> Run<i32> {
    if words.is_empty() {
        return Ok(list(shell, None));
    }
    let conditions: Vec<i32> = words.iter().filter_map(|word| condition(word)).collect();
    Ok(list(shell, Some(&conditions)))
}

fn list(shell: &Shell, only: Option<&[i32]>) -> i32 {
    let mut lines: Vec<(i32, Bytes)> = Vec::new();
    for (condition, action) in shell.traps.listed() {
        if only.is_some_and(|only| !only.contains(condition)) {
            continue;
        }
        let name = match *condition {
            EXIT => "EXIT".to_owned(),
            ERR => "ERR".to_owned(),
            signal => signals::name(signal).to_owned(),
        };
        let line = [
            b"trap -- ",
            &quote_always(action)[..],
            b" ",
            name.as_bytes(),
            b"\n",
        ]
        .concat();
        lines.push((*condition, line));
    }
    lines.sort();
    let text: Bytes = lines.into_iter().flat_map(|(_, line)| line).collect();
    shell.put(b"trap", &text)
}
