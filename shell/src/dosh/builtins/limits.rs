//! `umask` and `ulimit`.

use super::{number, shown, Letters};
use crate::dosh::shell::{Run, Shell};
use crate::dosh::syntax::tree::Bytes;
use crate::dosh::sys;

pub fn umask(shell: &mut Shell, words: &[Bytes]) -> Run<i32> {
    let mut letters = Letters::new(words, b"");
    let (mut symbolic, mut as_command) = (false, false);
    while let Some((letter, _)) = letters.next() {
        match letter {
            b'S' => symbolic = true,
            b'p' => as_command = true,
            letter => {
                let message = format!("-{}: invalid option", char::from(letter));
                return Ok(shell.refuse_with(b"umask", message, 2));
            }
        }
    }
    let old = sys::umask(0o077);
    sys::umask(old);
    let Some(word) = letters.operands().first() else {
        let text = match symbolic {
            false => format!("{old:04o}\n"),
            true => {
                let class = |shift: u32| {
                    let granted = !old >> shift;
                    let letters = [(4, 'r'), (2, 'w'), (1, 'x')].into_iter();
                    letters
                        .filter(|(bit, _)| granted & bit != 0)
                        .map(|(_, letter)| letter)
                        .collect::<String>()
                };
                format!("u={},g={},o={}\n", class(6), class(3), class(0))
            }
        };
        let head = match (as_command, symbolic) {
            (false, _) => "",
            (true, false) => "umask ",
            (true, true) => "umask -S ",
        };
        return Ok(shell.put(b"umask", format!("{head}{text}").as_bytes()));
    };
    let mask = match word.first().is_some_and(u8::is_ascii_digit) {
        true => std::str::from_utf8(word)
            .ok()
            .and_then(|word| u32::from_str_radix(word, 8).ok()),
        false => symbolic_mask(word, old),
    };
    match mask.filter(|mask| *mask <= 0o777) {
        Some(mask) => {
            sys::umask(mask);
            Ok(0)
        }
        None => Ok(shell.refuse_with(b"umask", format_args!("{}: invalid mode", shown(word)), 1)),
    }
}

/// The mask that is left when a mode as `chmod` takes it is applied to what the old one grants.
fn symbolic_mask(text: &[u8], old: u32) -> Option<u32> {
    let mut granted = !old & 0o777;
    for clause in text.split(|byte| *byte == b',') {
        let who_end = clause.iter().position(|byte| !b"ugoa".contains(byte))?;
        let mut who = 0;
        for letter in &clause[..who_end] {
            who |= match letter {
                b'u' => 0o700,
                b'g' => 0o070,
                b'o' => 0o007,
                _ => 0o777,
            };
        }
        if who == 0 {
            who = 0o777;
        }
        let mut rest = &clause[who_end..];
        while let Some((op, more)) = rest.split_first() {
            let end = more
                .iter()
                .position(|byte| b"+-=".contains(byte))
                .unwrap_or(more.len());
            let mut bits = 0;
            for letter in &more[..end] {
                bits |= match letter {
                    b'r' => 0o444,
                    b'w' => 0o222,
                    b'x' => 0o111,
                    b'u' => (granted >> 6 & 7) * 0o111,
                    b'g' => (granted >> 3 & 7) * 0o111,
                    b'o' => (granted & 7) * 0o111,
                    b'X' | b's' | b't' => 0,
                    _ => return None,
                };
            }
            granted = match op {
                b'+' => granted | (bits & who),
                b'-' => granted & !(bits & who),
                b'=' => (granted & !who) | (bits & who),
                _ => return None,
            };
            rest = &more[end..];
        }
    }
    Some(!granted & 0o777)
}

/// Letter, resource, unit in bytes (1 if it is a count), what it limits.
const LIMITS: &[(u8, u32, u64, &str)] = &[
    (
        b'c',
        libc::RLIMIT_CORE,
        512,
        "core file size              (blocks, -c)",
    ),
    (
        b'd',
        libc::RLIMIT_DATA,
        1024,
        "data seg size               (kbytes, -d)",
    ),
    (
        b'e',
        libc::RLIMIT_NICE,
        1,
        "scheduling priority                 (-e)",
    ),
    (
        b'f',
        libc::RLIMIT_FSIZE,
        512,
        "file size                   (blocks, -f)",
    ),
    (
        b'i',
        libc::RLIMIT_SIGPENDING,
        1,
        "pending signals                     (-i)",
    ),
    (
        b'l',
        libc::RLIMIT_MEMLOCK,
        1024,
        "max locked memory           (kbytes, -l)",
    ),
    (
        b'm',
        libc::RLIMIT_RSS,
        1024,
        "max memory size             (kbytes, -m)",
    ),
    (
        b'n',
        libc::RLIMIT_NOFILE,
        1,
        "open files                          (-n)",
    ),
    (
        b'q',
        libc::RLIMIT_MSGQUEUE,
        1,
        "POSIX message queues         (bytes, -q)",
    ),
    (
        b'r',
        libc::RLIMIT_RTPRIO,
        1,
        "real-time priority                  (-r)",
    ),
    (
        b's',
        libc::RLIMIT_STACK,
        1024,
        "stack size                  (kbytes, -s)",
    ),
    (
        b't',
        libc::RLIMIT_CPU,
        1,
        "cpu time                   (seconds, -t)",
    ),
    (
        b'u',
        libc::RLIMIT_NPROC,
        1,
        "max user processes                  (-u)",
    ),
    (
        b'v',
        libc::RLIMIT_AS,
        1024,
        "virtual memory              (kbytes, -v)",
    ),
    (
        b'x',
        libc::RLIMIT_LOCKS,
        1,
        "file locks                          (-x)",
    ),
];

pub fn ulimit(shell: &mut Shell, words: &[Bytes]) -> Run<i32> {
    let mut letters = Letters::new(words, b"");
    let (mut soft, mut hard, mut all) = (false, false, false);
    let mut chosen = Vec::new();
    while let Some((letter, _)) = letters.next() {
        match letter {
            b'S' => soft = true,
            b'H' => hard = true,
            b'a' => all = true,
            letter => match LIMITS.iter().find(|(known, ..)| *known == letter) {
                Some(limit) => chosen.push(limit),
                None => {
                    let message = format!("-{}: invalid option", char::from(letter));
                    return Ok(shell.refuse_with(b"ulimit", message, 2));
                }
            },
        }
    }
    if all {
        chosen = LIMITS.iter().collect();
    } else if chosen.is_empty() {
        chosen.extend(LIMITS.iter().find(|(letter, ..)| *letter == b'f'));
    }
    let operands = letters.operands();
    let mut text = String::new();
    for (_, resource, unit, what) in &chosen {
        let (old_soft, old_hard) = match sys::limit(*resource) {
            Ok(limit) => limit,
            Err(error) => return Ok(shell.refuse_with(b"ulimit", sys::reason(error), 1)),
        };
        let Some(word) = operands.first() else {
            let value = if hard && !soft { old_hard } else { old_soft };
            let value = match value {
                libc::RLIM_INFINITY => "unlimited".to_owned(),
                value => (value / unit).to_string(),
            };
            match chosen.len() {
                1 => text.push_str(&format!("{value}\n")),
                _ => text.push_str(&format!("{what} {value}\n")),
            }
            continue;
        };
        let value = match &word[..] {
            b"unlimited" => Some(libc::RLIM_INFINITY),
            b"hard" => Some(old_hard),
            b"soft" => Some(old_soft),
            word => number(word).and_then(|number| (number as u64).checked_mul(*unit)),
        };
        let Some(value) = value else {
            return Ok(shell.refuse_with(
                b"ulimit",
                format_args!("{}: invalid number", shown(word)),
                1,
            ));
        };
        let both = soft == hard;
        let new_soft = if soft || both { value } else { old_soft };
        let new_hard = if hard || both { value } else { old_hard };
        if let Err(error) = sys::set_limit(*resource, new_soft, new_hard) {
            let message = format!("cannot modify limit: {}", sys::reason(error));
            return Ok(shell.refuse_with(b"ulimit", message, 1));
        }
    }
    Ok(shell.put(b"ulimit", text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbolic_masks_grant_and_refuse() {
        assert_eq!(symbolic_mask(b"u=rwx,g=rx,o=", 0), Some(0o027));
        assert_eq!(symbolic_mask(b"g+w", 0o022), Some(0o002));
        assert_eq!(symbolic_mask(b"a-x", 0), Some(0o111));
        assert_eq!(symbolic_mask(b"z=r", 0), None);
    }
}
