//! Parameter expansion (XCU 2.6.2).

use super::value::Value;
use super::{pattern, Place, Sink};
use crate::dosh::shell::{Flow, Run, Shell};
use crate::dosh::syntax::tree::{
    Action, Arithmetic, Bytes, Index, Instead, Name, Parameter, Which, Word,
};

impl Shell {
    pub fn parameter(&mut self, parameter: &Parameter, place: Place, out: &mut dyn Sink) -> Run {
        // What most words are is done without a copy of the value.
        if let (Name::Variable(name), None, Action::Value, false) = (
            &parameter.name,
            &parameter.index,
            &parameter.action,
            parameter.indirect,
        ) {
            if let Some(text) = self.variables.get(name) {
                match place {
                    Place::Quoted => out.quoted(text),
                    _ => out.expanded(text),
                }
                return Ok(());
            }
        }
        let value = self.parameter_value(parameter)?;
        let Some(value) = value else {
            return Err(self.fail(format_args!(
                "{}: invalid indirect expansion",
                told(parameter)
            )));
        };
        self.act(parameter, value, place, out)
    }

    fn parameter_value(&mut self, parameter: &Parameter) -> Run<Option<Value>> {
        let value = self.value_of(&parameter.name, parameter.index.as_ref())?;
        if !parameter.indirect {
            return Ok(Some(value));
        }
        let Value::One(name) = value else {
            return Ok(None);
        };
        match self.named(&name) {
            Some(name) => self.value_of(&name, None).map(Some),
            None => Ok(None),
        }
    }

    fn act(
        &mut self,
        parameter: &Parameter,
        value: Value,
        place: Place,
        out: &mut dyn Sink,
    ) -> Run {
        let quoted = place == Place::Quoted;
        let replaces = matches!(parameter.action, Action::Instead { .. });
        let listed = matches!(value, Value::Many { .. });
        if value.is_unset() && !replaces && !listed && self.options.nounset() {
            let name = told(parameter);
            return Err(self.fail(format_args!("{name}: unbound variable")));
        }
        let value = match &parameter.action {
            Action::Value => value,
            Action::Length => {
                let length = match &value {
                    Value::Unset => 0,
                    Value::One(text) => text.len(),
                    Value::Many { list, .. } => list.len(),
                };
                Value::One(length.to_string().into_bytes())
            }
            Action::Indices => self.indices(parameter),
            Action::Instead { kind, empty, word } => {
                let missing = match empty {
                    true => value.is_empty(self.variables.ifs().first),
                    false => value.is_unset(),
                };
                match (kind, missing) {
                    (Instead::Default, true) | (Instead::Alternative, false) => {
                        return self.expand_operand(word, place, out)
                    }
                    (Instead::Alternative, true) => {
                        if quoted && !listed {
                            out.quoted(b"");
                        }
                        return Ok(());
                    }
                    (Instead::Assign, true) => self.assign_default(parameter, word)?,
                    (Instead::Error, true) => return Err(self.missing(parameter, *empty, word)?),
                    (_, false) => value,
                }
            }
            Action::Remove {
                suffix,
                longest,
                pattern,
            } => {
                let pattern = self.pattern(pattern)?;
                value.map(|text| remove(text, &pattern, *suffix, *longest))
            }
            Action::Replace {
                which,
                pattern,
                with,
            } => {
                let pattern = self.pattern(pattern)?;
                let with = self.text(with)?;
                value.map(|text| replace(&text, &pattern, &with, *which))
            }
            Action::Slice { offset, length } => self.slice(parameter, value, offset, length)?,
            Action::Case {
                upper,
                all,
                pattern,
            } => {
                let pattern = match pattern {
                    Some(pattern) => self.pattern(pattern)?,
                    None => b"?".to_vec(),
                };
                value.map(|text| change_case(text, &pattern, *upper, *all))
            }
        };
        self.emit(value, quoted, out);
        Ok(())
    }

    fn emit(&mut self, value: Value, quoted: bool, out: &mut dyn Sink) {
        match value {
            Value::Unset if quoted => out.quoted(b""),
            Value::Unset => {}
            Value::One(text) if quoted => out.quoted(&text),
            Value::One(text) => out.expanded(&text),
            Value::Many { list, star: true } if quoted => {
                let first = self.variables.ifs().first;
                let joiner = first.as_slice();
                out.quoted(&list.join(joiner));
            }
            Value::Many { list, star } => {
                for (at, text) in list.iter().enumerate() {
                    if at > 0 {
                        out.boundary(star);
                    }
                    match quoted {
                        true => out.quoted(text),
                        false => out.expanded(text),
                    }
                }
            }
        }
    }

    fn indices(&self, parameter: &Parameter) -> Value {
        let elements = match &parameter.name {
            Name::Variable(name) => self.variables.elements(name),
            _ => Vec::new(),
        };
        Value::Many {
            list: elements
                .iter()
                .map(|(at, _)| at.to_string().into_bytes())
                .collect(),
            star: matches!(parameter.index, Some(Index::Star)),
        }
    }

    fn assign_default(&mut self, parameter: &Parameter, word: &Word) -> Run<Value> {
        let text = self.text(word)?;
        match (&parameter.name, &parameter.index) {
            (Name::Variable(name), None) => self.assign(name, text.clone())?,
            (Name::Variable(name), Some(Index::Number(index))) => {
                let index = self.arithmetic(index)?;
                self.assign_element(name, index, text.clone())?;
            }
            _ => {
                let name = told(parameter);
                return Err(self.fail(format_args!("${name}: cannot assign in this way")));
            }
        }
        Ok(Value::One(text))
    }

    fn missing(&mut self, parameter: &Parameter, empty: bool, word: &Word) -> Run<Flow> {
        let message = self.text(word)?;
        let message = match (message.is_empty(), empty) {
            (false, _) => String::from_utf8_lossy(&message).into_owned(),
            (true, true) => "parameter null or not set".to_owned(),
            (true, false) => "parameter not set".to_owned(),
        };
        Ok(self.fail(format_args!("{}: {message}", told(parameter))))
    }

    fn slice(
        &mut self,
        parameter: &Parameter,
        value: Value,
        offset: &Arithmetic,
        length: &Option<Arithmetic>,
    ) -> Run<Value> {
        let offset = self.arithmetic(offset)?;
        let length = match length {
            Some(length) => Some(self.arithmetic(length)?),
            None => None,
        };
        Ok(match value {
            Value::Unset => Value::Unset,
            Value::One(text) => match range(text.len(), offset, length) {
                Some((start, end)) => Value::One(text[start..end].to_vec()),
                None => return Err(self.fail("substring expression < 0")),
            },
            Value::Many { mut list, star } => {
                // The positional parameters are counted from 1; number 0 is the shell's name.
                if matches!(parameter.name, Name::Special(_)) {
                    list.insert(0, self.zero.clone());
                }
                match range(list.len(), offset, length.map(|length| length.max(0))) {
                    Some((start, end)) => Value::Many {
                        list: list[start..end].to_vec(),
                        star,
                    },
                    None => return Err(self.fail("substring expression < 0")),
                }
            }
        })
    }
}

/// The parameter as messages name it.
fn told(parameter: &Parameter) -> String {
    match &parameter.name {
        Name::Variable(name) => String::from_utf8_lossy(name).into_owned(),
        Name::Positional(at) => at.to_string(),
        Name::Special(byte) => char::from(*byte).to_string(),
    }
}

/// Where a slice begins and ends; nothing if it would end before it begins.
fn range(whole: usize, offset: i64, length: Option<i64>) -> Option<(usize, usize)> {
    let whole = whole as i64;
    let start = match offset < 0 {
        true => whole + offset,
        false => offset,
    };
    if start < 0 || start > whole {
        return Some((0, 0));
    }
    let end = match length {
        None => whole,
        Some(length) if length < 0 => whole + length,
        Some(length) => start.saturating_add(length).min(whole),
    };
    (end >= start).then_some((start as usize, end as usize))
}

fn remove(mut text: Bytes, pattern: &[u8], suffix: bool, longest: bool) -> Bytes {
    match suffix {
        true => {
            if let Some(start) = pattern::suffix(pattern, &text, longest) {
                text.truncate(start);
            }
        }
        false => {
            if let Some(end) = pattern::prefix(pattern, &text, longest) {
                text.drain(..end);
            }
        }
    }
    text
}

fn replace(text: &[u8], pattern: &[u8], with: &[u8], which: Which) -> Bytes {
    if pattern.is_empty() && matches!(which, Which::First | Which::All) {
        return text.to_vec();
    }
    match which {
        Which::Prefix => match pattern::prefix(pattern, text, true) {
            Some(end) => [with, &text[end..]].concat(),
            None => text.to_vec(),
        },
        Which::Suffix => match pattern::suffix(pattern, text, true) {
            Some(start) => [&text[..start], with].concat(),
            None => text.to_vec(),
        },
        Which::First | Which::All if text.is_empty() && pattern::matches(pattern, text) => {
            with.to_vec()
        }
        Which::First | Which::All => {
            let mut result = Bytes::with_capacity(text.len());
            let mut at = 0;
            while at < text.len() {
                match pattern::prefix(pattern, &text[at..], true) {
                    Some(length) if length > 0 => {
                        result.extend_from_slice(with);
                        at += length;
                        if which == Which::First {
                            break;
                        }
                    }
                    _ => {
                        result.push(text[at]);
                        at += 1;
                    }
                }
            }
            result.extend_from_slice(&text[at..]);
            result
        }
    }
}

fn change_case(mut text: Bytes, pattern: &[u8], upper: bool, all: bool) -> Bytes {
    let count = if all { text.len() } else { 1 };
    for byte in text.iter_mut().take(count) {
        if pattern::matches(pattern, std::slice::from_ref(byte)) {
            match upper {
                true => byte.make_ascii_uppercase(),
                false => byte.make_ascii_lowercase(),
            }
        }
    }
    text
}
