//! Options of commands, as the lines of the past have used them.

use super::scan::{scan, Mode};
use crate::dosh::plan::Place;
use crate::dosh::syntax::tree::Bytes;
use std::collections::{BTreeSet, HashMap};

/// Options by command, each system's for itself.
#[derive(Debug, Default)]
pub struct Habits {
    used: HashMap<(bool, Bytes), BTreeSet<Bytes>>,
}

impl Habits {
    /// Learns from a line.
    pub fn learn(&mut self, line: &[u8], mode: Mode) {
        let found = scan(line, mode);
        for call in 0..found.calls.len() {
            let Some(spoken) = found.spoken(call, &mode) else {
                continue;
            };
            let arguments = spoken.arguments.iter();
            let words = arguments.filter_map(|word| word.text.as_deref());
            // Behind a lone `--` nothing is an option.
            let options = words.take_while(|word| *word != b"--").filter_map(option);
            let mut options = options.peekable();
            if options.peek().is_some() {
                let key = (spoken.place == Place::Host, spoken.name.to_vec());
                self.used.entry(key).or_default().extend(options);
            }
        }
    }

    /// Options of a command that begin so.
    pub fn of(&self, place: Place, command: &[u8], begin: &[u8]) -> Vec<Bytes> {
        let key = (place == Place::Host, command.to_vec());
        let used = self.used.get(&key).into_iter().flatten();
        used.filter(|option| option.starts_with(begin))
            .cloned()
            .collect()
    }
}

/// What of a word is an option: of one with a value, what stands before the value.
fn option(word: &[u8]) -> Option<Bytes> {
    if word.len() < 2 || word[0] != b'-' || word[1].is_ascii_digit() {
        return None;
    }
    let value = word.iter().position(|byte| *byte == b'=');
    Some(word[..value.map_or(word.len(), |at| at + 1)].to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_those_that_a_command_has_had() {
        let mode = Mode {
            on_host: false,
            is_own: &|_| false,
            alias: &|_| None,
        };
        let mut habits = Habits::default();
        for line in [
            "ls -l --color=auto x | sort -n",
            "ls -a; hrun ls -Z -- -y",
            "nice -n 5 sort --key=2 -",
            "head -5 $(cut -d: f)",
            "@ make -j4",
        ] {
            habits.learn(line.as_bytes(), mode);
        }
        let of = |place, name: &str, begin: &str| -> Vec<String> {
            let found = habits
                .of(place, name.as_bytes(), begin.as_bytes())
                .into_iter();
            found
                .map(|option| String::from_utf8(option).unwrap())
                .collect()
        };
        assert_eq!(of(Place::Guest, "ls", "-"), ["--color=", "-a", "-l"]);
        assert_eq!(of(Place::Guest, "ls", "--"), ["--color="]);
        assert_eq!(of(Place::Host, "ls", "-"), ["-Z"]);
        assert_eq!(of(Place::Guest, "sort", "-"), ["--key=", "-n"]);
        assert_eq!(of(Place::Guest, "cut", "-"), ["-d:"]);
        assert_eq!(of(Place::Host, "make", "-"), ["-j4"]);
        assert_eq!(of(Place::Guest, "head", "-"), [""; 0]);
    }
}
