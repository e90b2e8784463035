//! `set` and `shift`.

use super::{declare::written, number, shown};
use crate::dosh::shell::{Flow, Run, Shell};
use crate::dosh::syntax::tree::Bytes;

pub fn set(shell: &mut Shell, words: &[Bytes]) -> Run<i32> {
    if words.len() == 1 {
        return Ok(list_variables(shell));
    }
    let mut rest = &words[1..];
    while let Some((word, more)) = rest.split_first() {
        let (on, letters) = match &word[..] {
            b"--" => {
                shell.arguments = more.to_vec();
                return Ok(0);
            }
            b"-" => {
                shell.options.set_letter(b'x', false);
                shell.options.set_letter(b'v', false);
                if !more.is_empty() {
                    shell.arguments = more.to_vec();
                }
                return Ok(0);
            }
            [b'-', letters @ ..] => (true, letters),
            [b'+', letters @ ..] => (false, letters),
            _ => {
                shell.arguments = rest.to_vec();
                return Ok(0);
            }
        };
        rest = more;
        for letter in letters {
            if *letter != b'o' {
                if !shell.set_option_letter(*letter, on) {
                    let sign = if on { '-' } else { '+' };
                    return Err(refuse(shell, &format!("{sign}{}", char::from(*letter))));
                }
                continue;
            }
            match rest.split_first() {
                None => return Ok(list_options(shell, on)),
                Some((name, more)) => {
                    if !shell.set_option_name(name, on) {
                        return Err(refuse(shell, &shown(name)));
                    }
                    rest = more;
                }
            }
        }
    }
    Ok(0)
}

fn refuse(shell: &mut Shell, option: &str) -> Flow {
    shell.fail_with(b"set", format_args!("{option}: invalid option"), 2)
}

impl Shell {
    pub fn set_option_letter(&mut self, letter: u8, on: bool) -> bool {
        let known = self.options.set_letter(letter, on);
        self.follow_monitor();
        known
    }

    pub fn set_option_name(&mut self, name: &[u8], on: bool) -> bool {
        let known = self.options.set_name(name, on);
        self.follow_monitor();
        known
    }
}

fn list_variables(shell: &Shell) -> i32 {
    let mut text = Bytes::new();
    for (name, variable) in shell.variables.sorted() {
        if let Some(value) = &variable.value {
            text.extend([&name[..], b"=", &written(value), b"\n"].concat());
        }
    }
    shell.put(b"set", &text)
}

/// `set -o` for people, `set +o` for the shell to read back.
fn list_options(shell: &Shell, for_people: bool) -> i32 {
    let line = |(name, on): (&str, bool)| match (for_people, on) {
        (true, true) => format!("{name:<15}\ton\n"),
        (true, false) => format!("{name:<15}\toff\n"),
        (false, true) => format!("set -o {name}\n"),
        (false, false) => format!("set +o {name}\n"),
    };
    let text: String = shell.options.all().into_iter().map(line).collect();
    shell.put(b"set", text.as_bytes())
}

pub fn shift(shell: &mut Shell, words: &[Bytes]) -> Run<i32> {
    let count = match words.get(1) {
        None => 1,
        Some(word) => match number(word) {
            Some(count) => count as usize,
            None => {
                let message = format!("{}: numeric argument required", shown(word));
                return Err(shell.fail_with(b"shift", message, 1));
            }
        },
    };
    if count > shell.arguments.len() {
        return Ok(shell.refuse_with(b"shift", "there are not so many arguments", 1));
    }
    shell.arguments.drain(..count);
    Ok(0)
}
