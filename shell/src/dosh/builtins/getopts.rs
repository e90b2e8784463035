//! `getopts` (XCU getopts).

use super::shown;
use crate::dosh::shell::{Flow, Run, Shell};
use crate::dosh::syntax::token::is_name;
use crate::dosh::syntax::tree::Bytes;

pub fn main(shell: &mut Shell, words: &[Bytes]) -> Run<i32> {
    let status = match next_option(shell, words) {
        Err(Flow::Abort(_)) => return Ok(2),
        result => result?,
    };
    match words.get(2).filter(|name| !is_name(name)) {
        Some(name) => {
            let message = format!("`{}': not a valid identifier", shown(name));
            Ok(shell.refuse_with(b"getopts", message, 1))
        }
        None => Ok(status),
    }
}

fn next_option(shell: &mut Shell, words: &[Bytes]) -> Run<i32> {
    let [_, letters, name, given @ ..] = words else {
        return Ok(shell.refuse_with(b"getopts", "usage: getopts optstring name [arg ...]", 2));
    };
    let arguments = match given {
        [] => shell.arguments.clone(),
        given => given.to_vec(),
    };
    let index = shell
        .variables
        .get(b"OPTIND")
        .and_then(super::number)
        .unwrap_or(1)
        .max(1) as usize;
    let offset = shell.option_offset.max(1);
    let word = arguments.get(index - 1).map(|word| &word[..]);
    let over = match word {
        Some(b"--") => Some(index + 1),
        Some([b'-', _, ..]) => None,
        // There may be fewer words than before.
        _ => Some(index.min(arguments.len() + 1)),
    };
    if let Some(index) = over {
        finish(shell, name, b"?", None, index, 0)?;
        return Ok(1);
    }
    let word = word.unwrap_or_default();
    let Some(letter) = word.get(offset).copied() else {
        // The words have been changed in between.
        finish(shell, name, b"?", None, index + 1, 0)?;
        return Ok(1);
    };
    let silent = letters.first() == Some(&b':');
    let known = letters
        .iter()
        .position(|known| *known == letter && letter != b':');
    let takes = known.is_some_and(|at| letters.get(at + 1) == Some(&b':'));
    let at_end = offset + 1 >= word.len();
    let (next, next_offset) = match at_end {
        true => (index + 1, 0),
        false => (index, offset + 1),
    };
    if known.is_none() {
        let argument = silent.then(|| vec![letter]);
        if !silent {
            complain(shell, "illegal option", letter);
        }
        finish(shell, name, b"?", argument, next, next_offset)?;
        return Ok(0);
    }
    if !takes {
        finish(shell, name, &[letter], None, next, next_offset)?;
        return Ok(0);
    }
    let (argument, next) = match at_end {
        false => (Some(word[offset + 1..].to_vec()), index + 1),
        true => (arguments.get(index).cloned(), index + 2),
    };
    match (argument, silent) {
        (Some(argument), _) => finish(shell, name, &[letter], Some(argument), next, 0)?,
        (None, true) => finish(shell, name, b":", Some(vec![letter]), index + 1, 0)?,
        (None, false) => {
            complain(shell, "option requires an argument", letter);
            finish(shell, name, b"?", None, index + 1, 0)?;
        }
    }
    Ok(0)
}

fn complain(shell: &Shell, what: &str, letter: u8) {
    if shell.variables.get(b"OPTERR") != Some(b"0") {
        shell.complain(format_args!("{what} -- {}", shown(&[letter])));
    }
}

fn finish(
    shell: &mut Shell,
    name: &[u8],
    letter: &[u8],
    argument: Option<Bytes>,
    index: usize,
    offset: usize,
) -> Run {
    if is_name(name) {
        shell.assign(name, letter.to_vec())?;
    }
    match argument {
        Some(argument) => shell.assign(b"OPTARG", argument)?,
        None => drop(shell.variables.unset(b"OPTARG")),
    }
    shell.assign(b"OPTIND", index.to_string().into_bytes())?;
    shell.option_offset = offset;
    Ok(())
}
