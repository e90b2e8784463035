//! `set -x`.

use crate::dosh::shell::{Run, Shell};
use crate::dosh::syntax::parser::Parser;
use crate::dosh::syntax::quoting::quote;
use crate::dosh::syntax::tree::{Assigned, Assignment, Bytes};
use crate::dosh::sys;

impl Shell {
    /// Shows the expanded words of a command, which begins then.
    pub fn trace(&mut self, fields: &[Bytes]) -> Run {
        let result = self.trace_words(fields);
        self.trace_to = None;
        result
    }

    fn trace_words(&mut self, fields: &[Bytes]) -> Run {
        if !self.options.xtrace() {
            return Ok(());
        }
        let words: Vec<Bytes> = fields.iter().map(|field| quote(field)).collect();
        self.show(words.join(&b' '))
    }

    pub fn trace_assignment(&mut self, assignment: &Assignment) -> Run {
        if !self.options.xtrace() {
            return Ok(());
        }
        let value = match &assignment.value {
            Assigned::Scalar(_) => self
                .variables
                .get(&assignment.name)
                .unwrap_or_default()
                .to_vec(),
            Assigned::Array(_) => b"(...)".to_vec(),
        };
        let value = match value.is_empty() {
            true => value,
            false => quote(&value),
        };
        self.show([&assignment.name[..], b"=", &value].concat())
    }

    fn show(&mut self, text: Bytes) -> Run {
        let prompt = self.variables.get(b"PS4").unwrap_or_default().to_vec();
        let mut line = self.expand_prompt(&prompt);
        line.extend(text);
        line.push(b'\n');
        let _ = sys::write_all(self.trace_to.unwrap_or(2), &line);
        Ok(())
    }

    /// A prompt variable's value with its parameters expanded; as it stands if that fails.
    pub fn expand_prompt(&mut self, text: &[u8]) -> Bytes {
        if !text.iter().any(|byte| matches!(byte, b'$' | b'`' | b'\\')) {
            return text.to_vec();
        }
        let status = self.status;
        let traces = self.options.xtrace();
        self.options.set_name(b"xtrace", false);
        let expanded = match Parser::new(text, self.line).template() {
            Ok(word) => self.text(&word).ok(),
            Err(_) => None,
        };
        self.options.set_name(b"xtrace", traces);
        self.status = status;
        expanded.unwrap_or_else(|| text.to_vec())
    }
}
