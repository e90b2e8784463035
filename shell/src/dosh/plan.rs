//! Where each stage of a pipeline runs: in the guest, or on the host. A pure function of what is written.

use super::syntax::tree::{Command, Kind, Pipeline, Word};

/// An operating system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Guest,
    Host,
}

/// What a shell knows when it plans.
pub struct Known<'k> {
    /// Where a command runs that says nothing of it: the mode of the shell, or of a line that begins with `@`.
    pub otherwise: Place,
    /// Whether a name is a function or a built-in of the shell, which is always in the guest.
    pub is_own: &'k dyn Fn(&[u8]) -> bool,
}

/// Where the stages of a pipeline run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan(pub Vec<Place>);

impl Plan {
    /// Plans a pipeline.
    pub fn of(pipeline: &Pipeline, known: &Known) -> Plan {
        let places = pipeline.stages.iter().map(|stage| place(stage, known));
        Plan(places.collect())
    }

    /// The stages by neighbours of one place, each with the number of its first stage: neighbours on the host are joined by
    /// a pipe of the host's, and no byte between them crosses.
    pub fn groups(&self) -> Vec<(usize, Place, usize)> {
        let mut groups: Vec<(usize, Place, usize)> = Vec::new();
        for (at, place) in self.0.iter().enumerate() {
            match groups.last_mut() {
                Some((_, last, count)) if last == place && *place == Place::Host => *count += 1,
                _ => groups.push((at, *place, 1)),
            }
        }
        groups
    }
}

fn place(stage: &Command, known: &Known) -> Place {
    let Kind::Simple(simple) = &stage.kind else {
        // The shell's own work; what it starts is planned in its turn.
        return Place::Guest;
    };
    match simple.words.first() {
        Some(Word::Plain(name)) if name == b"hrun" => Place::Host,
        Some(Word::Plain(name)) if (known.is_own)(name) => Place::Guest,
        // A name that is expanded is known when the stage runs, and is the guest's unless the mode says otherwise.
        Some(_) => known.otherwise,
        None => Place::Guest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dosh::syntax::parser::Parser;
    use Place::{Guest, Host};

    fn plan(text: &str, otherwise: Place) -> Plan {
        let list = Parser::new(text.as_bytes(), 1).program().unwrap();
        let is_own = |name: &[u8]| matches!(name, b"cd" | b"read");
        let known = Known {
            otherwise,
            is_own: &is_own,
        };
        Plan::of(&list.0[0].and_or.first, &known)
    }

    #[test]
    fn hrun_says_where_a_stage_runs() {
        let expected = Plan(vec![Guest, Host, Host, Guest]);
        assert_eq!(plan("a | hrun b | x=1 hrun c -d | e", Guest), expected);
        assert_eq!(
            plan("{ hrun a; } | 'hrun' b", Guest),
            Plan(vec![Guest, Host])
        );
    }

    #[test]
    fn a_line_for_the_host_keeps_the_shells_own_work() {
        let expected = Plan(vec![Host, Host, Guest, Guest]);
        assert_eq!(plan("make | $pager | cd x | (less)", Host), expected);
    }

    #[test]
    fn neighbours_on_the_host_are_one_group() {
        let groups = plan("a | b | hrun c | hrun d | e", Guest).groups();
        assert_eq!(
            groups,
            [(0, Guest, 1), (1, Guest, 1), (2, Host, 2), (4, Guest, 1)]
        );
    }
}
