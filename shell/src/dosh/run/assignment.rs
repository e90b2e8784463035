//! Assignments, and `name=value` arguments of built-ins that declare (XCU 2.9.1).

use crate::dosh::shell::{Run, Shell};
use crate::dosh::syntax::tree::{Assigned, Assignment, Bytes, Word};
use crate::dosh::variables::Value;
use std::collections::BTreeMap;

impl Shell {
    /// Carries out one assignment; answers its text for the trace.
    pub fn assign_one(&mut self, assignment: &Assignment) -> Run {
        match &assignment.value {
            Assigned::Scalar(word) => {
                let text = self.text(word)?;
                self.assign_text(assignment, text)
            }
            Assigned::Array(elements) => {
                let mut array = match assignment.append {
                    true => self.array(&assignment.name),
                    false => BTreeMap::new(),
                };
                let mut next = array.keys().next_back().map_or(0, |last| last + 1);
                for (index, word) in elements {
                    if let Some(index) = index {
                        next = self.arithmetic(index)?;
                        array.insert(next, self.text(word)?);
                        next += 1;
                        continue;
                    }
                    for text in self.fields(std::slice::from_ref(word))? {
                        array.insert(next, text);
                        next += 1;
                    }
                }
                let result = self.variables.set_array(&assignment.name, array);
                self.assigned(&assignment.name, result)
            }
        }
    }

    pub fn assign_text(&mut self, assignment: &Assignment, text: Bytes) -> Run {
        let name = &assignment.name[..];
        let index = match &assignment.index {
            Some(index) => Some(self.arithmetic(index)?),
            None => None,
        };
        let text = match (assignment.append, index) {
            (false, _) => text,
            (true, None) => [self.variables.get(name).unwrap_or_default(), &text].concat(),
            (true, Some(index)) => [self.element(name, index), text].concat(),
        };
        match index {
            Some(index) => self.assign_element(name, index, text),
            None => self.assign(name, text),
        }
    }

    fn element(&self, name: &[u8], index: i64) -> Bytes {
        let elements = self.variables.elements(name);
        let found = elements.into_iter().find(|(at, _)| *at == index);
        found.map_or(Bytes::new(), |(_, text)| text.to_vec())
    }

    fn array(&self, name: &[u8]) -> BTreeMap<i64, Bytes> {
        match self
            .variables
            .lookup(name)
            .and_then(|variable| variable.value.as_ref())
        {
            Some(Value::Array(array)) => array.clone(),
            Some(Value::Text(text)) => BTreeMap::from([(0, text.clone())]),
            None => BTreeMap::new(),
        }
    }

    /// The argument that `name=value` is. Of an array it is the name: its elements are assigned behind the command.
    pub fn declared(&mut self, assignment: &Assignment) -> Run<Bytes> {
        match &assignment.value {
            Assigned::Array(_) => Ok(assignment.name.clone()),
            Assigned::Scalar(word) => {
                let text = self.text(word)?;
                let name = &assignment.name[..];
                let Some(index) = &assignment.index else {
                    let old = match assignment.append {
                        true => self.variables.get(name).unwrap_or_default(),
                        false => b"",
                    };
                    return Ok([name, b"=", old, &text].concat());
                };
                let index = self.arithmetic(index)?;
                let old = match assignment.append {
                    true => self.element(name, index),
                    false => Bytes::new(),
                };
                Ok([name, format!("[{index}]=").as_bytes(), &old, &text].concat())
            }
        }
    }

    /// Assigns the arrays among the arguments of a built-in that has declared them.
    pub fn assign_declared(&mut self, words: &[Word]) -> Run {
        for word in words {
            if let Word::Declares(assignment) = word {
                if matches!(assignment.value, Assigned::Array(_)) {
                    self.assign_one(assignment)?;
                }
            }
        }
        Ok(())
    }
}
