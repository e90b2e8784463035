//! Whether a line is a whole command.

use crate::dosh::syntax::parser::{Aliases, Parser};
use reedline::ValidationResult;
use std::collections::HashMap;
use std::rc::Rc;

/// Tells the editor that Enter begins another line, where the command goes on.
pub struct Validator {
    /// A copy: the editor can be given to another thread.
    aliases: Aliases,
}

impl Validator {
    pub fn new(aliases: &Aliases) -> Validator {
        let copied = aliases.iter();
        Validator {
            aliases: copied
                .map(|(name, text)| (name.clone(), text.clone()))
                .collect::<HashMap<_, _>>(),
        }
    }
}

impl reedline::Validator for Validator {
    fn validate(&self, line: &str) -> ValidationResult {
        match is_incomplete(line.as_bytes(), &Rc::new(self.aliases.clone())) {
            true => ValidationResult::Incomplete,
            false => ValidationResult::Complete,
        }
    }
}

/// Whether more text is needed to make this commands.
pub fn is_incomplete(text: &[u8], aliases: &Rc<Aliases>) -> bool {
    if goes_on(text) {
        return true;
    }
    // Enter ends a word that is missing: there the text is wrong, and no more of it would help.
    let mut parser = Parser::new(&[text, b"\n"].concat(), 1);
    loop {
        match parser.next(aliases) {
            Ok(Some(_)) => {}
            Ok(None) => return parser.unfinished,
            Err(error) => return error.incomplete,
        }
    }
}

/// Whether the last newline would be taken away by a backslash.
fn goes_on(text: &[u8]) -> bool {
    let backslashes = text.iter().rev().take_while(|byte| **byte == b'\\');
    backslashes.count() % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_is_incomplete() {
        let aliases = Rc::new(Aliases::from([(
            b"begin".to_vec(),
            b"if true; then".to_vec(),
        )]));
        for text in [
            "if true",
            "for x in a; do",
            "echo 'a",
            "echo \"a",
            "echo a |",
            "a &&",
            "{ a;",
            "( a",
            "$(a",
            "f() {",
            "cat <<E",
            "cat <<E\na",
            "echo \\",
            "case x in",
            "begin",
            "a; begin b",
            "`a",
            "$((1 +",
        ] {
            assert!(is_incomplete(text.as_bytes(), &aliases), "{text}");
        }
        for text in [
            "",
            "true",
            "if true; then a; fi",
            "cat <<E\na\nE",
            "cat <<E\na\nE\n",
            "echo \\\\",
            "a )",
            "fi",
            "begin a; fi",
            "# it's",
            "a; # {",
            ";;",
            "echo a <",
            "if true; then a > ",
        ] {
            assert!(!is_incomplete(text.as_bytes(), &aliases), "{text}");
        }
    }
}
