//! `echo`, with bash's `-n`, `-e` and `-E`.

use super::printf;
use crate::dosh::shell::{Run, Shell};
use crate::dosh::syntax::tree::Bytes;

pub fn main(shell: &mut Shell, words: &[Bytes]) -> Run<i32> {
    let mut rest = &words[1..];
    let (mut newline, mut escapes) = (true, false);
    while let Some((first, more)) = rest.split_first() {
        let [b'-', letters @ ..] = &first[..] else {
            break;
        };
        if letters.is_empty() || !letters.iter().all(|letter| b"neE".contains(letter)) {
            break;
        }
        for letter in letters {
            match letter {
                b'n' => newline = false,
                b'e' => escapes = true,
                _ => escapes = false,
            }
        }
        rest = more;
    }
    let mut text = Bytes::new();
    for (at, word) in rest.iter().enumerate() {
        if at > 0 {
            text.push(b' ');
        }
        match escapes {
            false => text.extend_from_slice(word),
            true => {
                if printf::escapes(word, &mut text) {
                    return Ok(shell.put(&words[0], &text));
                }
            }
        }
    }
    if newline {
        text.push(b'\n');
    }
    Ok(shell.put(&words[0], &text))
}
