//! What a command's words hold.

use super::tree::*;

/// Whether expanding the words of a simple command runs commands: a substitution.
pub fn commands(command: &Command) -> bool {
    let simple = match &command.kind {
        Kind::Simple(simple) => simple,
        _ => return true,
    };
    simple.words.iter().any(word)
        || simple.assignments.iter().any(assignment)
        || command.redirects.iter().any(redirect)
}

fn redirect(redirect: &Redirect) -> bool {
    match &redirect.target {
        Target::File(_, target)
        | Target::Both(_, target)
        | Target::Duplicate(target)
        | Target::HereString(target) => word(target),
        Target::Here(body) => body.get().is_some_and(word),
    }
}

fn assignment(assignment: &Assignment) -> bool {
    let index = assignment.index.as_ref().is_some_and(arithmetic);
    index
        || match &assignment.value {
            Assigned::Scalar(value) => word(value),
            Assigned::Array(elements) => elements
                .iter()
                .any(|(index, value)| index.as_ref().is_some_and(arithmetic) || word(value)),
        }
}

fn word(whole: &Word) -> bool {
    match whole {
        Word::Plain(_) => false,
        Word::Parts(parts) => parts.iter().any(part),
        Word::Declares(declared) => assignment(declared),
    }
}

fn part(one: &Part) -> bool {
    match one {
        Part::Literal(_) | Part::Quoted(_) | Part::Tilde(_) => false,
        Part::Command(_) | Part::Process { .. } => true,
        Part::Double(parts) => parts.iter().any(part),
        Part::Shared(shared) => part(shared),
        Part::Arithmetic(inner) => arithmetic(inner),
        Part::Parameter(parameter) => {
            let indexed =
                matches!(&parameter.index, Some(Index::Number(index)) if arithmetic(index));
            indexed || action(&parameter.action)
        }
    }
}

fn action(what: &Action) -> bool {
    match what {
        Action::Value | Action::Length | Action::Indices => false,
        Action::Instead { word: with, .. } => word(with),
        Action::Remove { pattern, .. } => word(pattern),
        Action::Replace { pattern, with, .. } => word(pattern) || word(with),
        Action::Slice { offset, length } => {
            arithmetic(offset) || length.as_ref().is_some_and(arithmetic)
        }
        Action::Case { pattern, .. } => pattern.as_ref().is_some_and(word),
    }
}

fn arithmetic(expression: &Arithmetic) -> bool {
    match expression {
        Arithmetic::Parsed(_) => false,
        Arithmetic::Text(text) => word(text),
    }
}
