//! Built-ins that say where execution goes on.

use super::{number, shown, Letters};
use crate::dosh::keyboard::signals;
use crate::dosh::shell::{Flow, Run, Shell};
use crate::dosh::syntax::tree::Bytes;
use crate::dosh::timing::minutes;
use crate::dosh::{input, sys};

pub fn colon(_: &mut Shell, _: &[Bytes]) -> Run<i32> {
    Ok(0)
}

pub fn yes(_: &mut Shell, _: &[Bytes]) -> Run<i32> {
    Ok(0)
}

pub fn no(_: &mut Shell, _: &[Bytes]) -> Run<i32> {
    Ok(1)
}

/// How many loops `break` and `continue` concern; nothing outside of loops.
fn loops(shell: &mut Shell, words: &[Bytes]) -> Run<Option<u32>> {
    let count = match words.get(1) {
        None => 1,
        Some(word) => match number(word) {
            Some(count) if count > 0 => count,
            _ => {
                let word = shown(word);
                return Err(shell.fail_with(
                    &words[0],
                    format_args!("{word}: loop count out of range"),
                    1,
                ));
            }
        },
    };
    // A subshell's own; without any, one of those around it, whose end the subshell does not outlive.
    let most = match shell.loops - shell.outer_loops {
        0 => i64::from(shell.loops.min(1)),
        own => i64::from(own),
    };
    Ok((most > 0).then(|| count.min(most) as u32))
}

pub fn leave(shell: &mut Shell, words: &[Bytes]) -> Run<i32> {
    match loops(shell, words)? {
        Some(count) => {
            shell.status = 0;
            Err(Flow::Break(count))
        }
        None => Ok(0),
    }
}

pub fn go_on(shell: &mut Shell, words: &[Bytes]) -> Run<i32> {
    match loops(shell, words)? {
        Some(count) => {
            shell.status = 0;
            Err(Flow::Continue(count))
        }
        None => Ok(0),
    }
}

/// The status that `exit` and `return` are given; else the last one, or that before the trap which they end.
fn status(shell: &mut Shell, words: &[Bytes], trap_ends: bool) -> Result<i32, i32> {
    let Some(word) = words.get(1) else {
        let before = shell.trapped.filter(|_| trap_ends);
        return Ok(before.map_or(shell.status, |(status, _)| status));
    };
    let (sign, digits) = match &word[..] {
        [b'-', digits @ ..] => (-1, digits),
        digits => (1, digits),
    };
    match number(digits) {
        Some(number) => Ok(((sign * number) & 0xff) as i32),
        None => {
            let word = shown(word);
            Err(shell.refuse_with(
                &words[0],
                format_args!("{word}: numeric argument required"),
                2,
            ))
        }
    }
}

pub fn exit(shell: &mut Shell, words: &[Bytes]) -> Run<i32> {
    if shell.refuses_to_leave() {
        return Ok(1);
    }
    match status(shell, words, true) {
        Ok(status) | Err(status) => Err(Flow::Exit(status)),
    }
}

pub fn go_back(shell: &mut Shell, words: &[Bytes]) -> Run<i32> {
    let trap_ends = shell.trapped.is_some_and(|(_, depth)| depth == shell.depth);
    let status = match status(shell, words, trap_ends) {
        Ok(status) => status,
        Err(status) => return Err(Flow::Abort(status)),
    };
    match shell.depth {
        0 => Ok(shell.refuse_with(
            &words[0],
            "can only return from a function or sourced script",
            2,
        )),
        _ => Err(Flow::Return(status)),
    }
}

pub fn eval(shell: &mut Shell, words: &[Bytes]) -> Run<i32> {
    let words = match words {
        [_, end, rest @ ..] if end == b"--" => rest,
        words => words.get(1..).unwrap_or_default(),
    };
    shell.run_text(&words.join(&b' '), shell.line)?;
    Ok(shell.status)
}

/// `.`.
pub fn dot(shell: &mut Shell, words: &[Bytes]) -> Run<i32> {
    match script(shell, words) {
        Ok(script) => run_script(shell, script),
        Err(status) => Err(Flow::Abort(status)),
    }
}

/// `source`, and `.` where its own errors are to end nothing.
pub fn source(shell: &mut Shell, words: &[Bytes]) -> Run<i32> {
    match script(shell, words) {
        Ok(script) => run_script(shell, script),
        Err(status) => Ok(status),
    }
}

/// The text that is named, and the arguments for it.
///
/// # Errors
/// The status, after it was told why there is none.
fn script<'w>(shell: &Shell, words: &'w [Bytes]) -> Result<(Bytes, &'w [Bytes]), i32> {
    let operands = match words.get(1..) {
        Some([first, rest @ ..]) if first == b"--" => rest,
        operands => operands.unwrap_or_default(),
    };
    let Some((name, arguments)) = operands.split_first() else {
        return Err(shell.refuse_with(&words[0], "filename argument required", 2));
    };
    match input::script(shell, name) {
        Ok(text) => Ok((text, arguments)),
        Err(error) => {
            let message = format!("{}: {}", shown(name), sys::reason(error));
            Err(shell.refuse_with(&words[0], message, 1))
        }
    }
}

fn run_script(shell: &mut Shell, (text, arguments): (Bytes, &[Bytes])) -> Run<i32> {
    let arguments = Some(arguments).filter(|more| !more.is_empty());
    let saved = arguments.map(|more| std::mem::replace(&mut shell.arguments, more.to_vec()));
    shell.depth += 1;
    let line = shell.line;
    let result = shell.run_text(&text, 1);
    shell.line = line;
    shell.depth -= 1;
    if let Some(saved) = saved {
        shell.arguments = saved;
    }
    match result {
        Ok(()) => Ok(shell.status),
        Err(Flow::Return(status)) => Ok(status),
        Err(flow) => Err(flow),
    }
}

/// Takes the shell's place. Without a command, the caller keeps the redirections.
pub fn exec(shell: &mut Shell, words: &[Bytes]) -> Run<i32> {
    let mut letters = Letters::new(words, b"a");
    let (mut name, mut login) = (None, false);
    while let Some((letter, operand)) = letters.next() {
        match letter {
            b'a' => name = Some(operand),
            b'l' => login = true,
            letter => {
                let message = format!("-{}: invalid option", char::from(letter));
                return Err(shell.fail_with(&words[0], message, 2));
            }
        }
    }
    let command = letters.operands();
    let Some(first) = command.first() else {
        return Ok(0);
    };
    let found = shell.find_program(first);
    let dash = if login { &b"-"[..] } else { b"" };
    let name = [dash, name.unwrap_or(first)].concat();
    if !shell.interactive {
        return Err(Flow::Exit(shell.execute_as(name, command, found)));
    }
    signals::leave(&shell.traps);
    signals::be_stoppable(&shell.traps);
    let status = shell.execute_as(name, command, found);
    signals::take_back(&shell.traps);
    Ok(status)
}

pub fn times(shell: &mut Shell, words: &[Bytes]) -> Run<i32> {
    let [user, system, their_user, their_system] = sys::times().map(minutes);
    let text = format!("{user} {system}\n{their_user} {their_system}\n");
    Ok(shell.put(&words[0], text.as_bytes()))
}
