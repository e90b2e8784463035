//! `kill`.

use super::{number, shown};
use crate::dosh::shell::{Run, Shell};
use crate::dosh::syntax::tree::Bytes;
use crate::dosh::{signals, sys};

pub fn main(shell: &mut Shell, words: &[Bytes]) -> Run<i32> {
    let mut rest = &words[1..];
    let mut signal = libc::SIGTERM;
    if let Some((first, more)) = rest.split_first() {
        let name: Option<&[u8]> = match &first[..] {
            b"-l" | b"-L" => return Ok(list(shell, more)),
            b"--" => {
                rest = more;
                None
            }
            b"-s" | b"-n" => {
                let Some((name, more)) = more.split_first() else {
                    return Ok(shell.refuse_with(b"kill", "-s: option requires an argument", 2));
                };
                rest = more;
                Some(name)
            }
            [b'-', name @ ..] if !name.is_empty() => {
                rest = more;
                Some(
                    name.strip_prefix(b"s")
                        .filter(|name| signals::number(name).is_some())
                        .unwrap_or(name),
                )
            }
            _ => None,
        };
        if let Some(name) = name {
            let Some(number) = signals::number(name) else {
                let message = format!("{}: invalid signal specification", shown(name));
                return Ok(shell.refuse_with(b"kill", message, 1));
            };
            signal = number;
            if rest.first().is_some_and(|word| word == b"--") {
                rest = &rest[1..];
            }
        }
    }
    if rest.is_empty() {
        return Ok(shell.refuse_with(
            b"kill",
            "usage: kill [-s signal | -signal] pid | %job ... or kill -l",
            2,
        ));
    }
    // One that has ended is no more.
    shell.jobs.reap();
    let mut status = 0;
    for word in rest {
        if let Err(why) = send(shell, word, signal) {
            status = shell.refuse_with(b"kill", format_args!("{}: {why}", shown(word)), 1);
        }
    }
    Ok(status)
}

fn send(shell: &mut Shell, word: &[u8], signal: i32) -> Result<(), String> {
    if let Some(name) = word.strip_prefix(b"%") {
        let number = shell.jobs.find(name)?;
        let job = shell.jobs.get(number).ok_or("no such job")?;
        if !job.signal(signal) {
            return Err("no such process".to_owned());
        }
        // A stopped job would hear it only when it goes on.
        if matches!(signal, libc::SIGTERM | libc::SIGHUP) {
            job.signal(libc::SIGCONT);
        }
        return Ok(());
    }
    let (sign, digits) = match word {
        [b'-', digits @ ..] => (-1, digits),
        digits => (1, digits),
    };
    let pid = number(digits).and_then(|pid| i32::try_from(pid).ok());
    let pid = pid.ok_or("arguments must be process or job IDs")?;
    sys::kill(sign * pid, signal).map_err(sys::reason)
}

fn list(shell: &Shell, words: &[Bytes]) -> i32 {
    if words.is_empty() {
        let names: Vec<&str> = signals::all().map(|(_, name)| name).collect();
        return shell.put(b"kill", format!("{}\n", names.join("\n")).as_bytes());
    }
    let mut status = 0;
    let mut text = String::new();
    for word in words {
        // A status above 128 names the signal that it tells of.
        let line = match number(word) {
            Some(number) => {
                let signal = if number > 128 { number - 128 } else { number };
                Some(signals::name(signal as i32)).filter(|name| name.parse::<i64>().is_err())
            }
            None => signals::number(word).map(|number| number.to_string()),
        };
        match line {
            Some(line) => text.push_str(&format!("{line}\n")),
            None => {
                let message = format!("{}: invalid signal specification", shown(word));
                status = shell.refuse_with(b"kill", message, 1);
            }
        }
    }
    shell.put(b"kill", text.as_bytes()).max(status)
}
