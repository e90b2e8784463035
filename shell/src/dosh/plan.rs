//! Where each stage of a pipeline runs: in the guest, or on the host. A pure function of what is written.

use super::syntax::contains;
use super::syntax::tree::{Command, Kind, Word};

/// An operating system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    #[default]
    Guest,
    Host,
}

/// What a shell knows when it plans.
pub struct Known<'k> {
    /// Where a command runs that says nothing of it: the mode of the shell, or of a line that begins with `@`.
    pub otherwise: Place,
    /// Where a command of this name runs, if its name says that: what is the shell's own is always in the guest.
    pub place_of: &'k dyn Fn(&[u8]) -> Option<Place>,
}

impl Known<'_> {
    /// The same in a line for the host.
    pub fn on_host(&self) -> Known<'_> {
        Known {
            otherwise: Place::Host,
            place_of: self.place_of,
        }
    }
}

/// Where the stages of a pipeline run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan(pub Vec<Stage>);

/// A stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage {
    pub place: Place,
    /// It can share a pipe of the host's with a neighbour behind it.
    pub leads: bool,
    /// And with one before it.
    pub follows: bool,
}

impl Stage {
    const GUEST: Stage = Stage {
        place: Place::Guest,
        leads: false,
        follows: false,
    };
}

/// Neighbouring stages that one process of the shell sees to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    pub place: Place,
    /// The number of its first stage.
    pub first: usize,
    pub count: usize,
}

impl Plan {
    /// Plans a pipeline.
    pub fn of(stages: &[Command], known: &Known) -> Plan {
        Plan(stages.iter().map(|stage| plan(stage, known)).collect())
    }

    /// The stages by neighbours: those on the host are joined by a pipe of the host's, and no byte between them crosses.
    pub fn groups(&self) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        let mut before = Stage::GUEST;
        for (first, stage) in self.0.iter().copied().enumerate() {
            match groups.last_mut() {
                Some(group) if before.leads && stage.follows => group.count += 1,
                _ => groups.push(Group {
                    place: stage.place,
                    first,
                    count: 1,
                }),
            }
            before = stage;
        }
        groups
    }
}

fn plan(stage: &Command, known: &Known) -> Stage {
    let Kind::Simple(simple) = &stage.kind else {
        // The shell's own work; what it starts is planned in its turn.
        return Stage::GUEST;
    };
    let (place, is_sure) = match simple.words.first() {
        Some(Word::Plain(name)) => ((known.place_of)(name).unwrap_or(known.otherwise), true),
        // A name that is expanded is known when the stage runs, and may be one of the shell's own then.
        Some(_) => (known.otherwise, false),
        None => (Place::Guest, true),
    };
    match place {
        Place::Guest => Stage::GUEST,
        Place::Host => {
            let leads = is_sure && starts_a_program(&simple.words);
            Stage {
                place,
                leads,
                // What a command in its words reads is the pipe from the neighbour, which only a process of its own has.
                follows: leads && !contains::commands(stage),
            }
        }
    }
}

/// Whether the words are a program's and not for `hrun` itself, as `hrun --help` is.
fn starts_a_program(words: &[Word]) -> bool {
    let mut words = words.iter().map(|word| match word {
        Word::Plain(text) => &text[..],
        _ => b"",
    });
    if words.next() != Some(b"hrun") {
        return true;
    }
    loop {
        match words.next() {
            None => return false,
            Some(b"--") => return words.next().is_some(),
            Some(b"--env") => drop(words.next()),
            Some(
                b"-t" | b"-T" | b"-v" | b"--terminal" | b"--no-terminal" | b"--verbose"
                | b"--translate",
            ) => {}
            Some(option) if option.starts_with(b"--env=") => {}
            Some(word) => return !word.starts_with(b"-"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dosh::syntax::parser::Parser;
    use Place::{Guest, Host};

    fn plan(text: &str, otherwise: Place) -> Plan {
        let list = Parser::new(text.as_bytes(), 1).program().unwrap();
        let place_of = |name: &[u8]| match name {
            b"hrun" => Some(Host),
            b"cd" | b"read" => Some(Guest),
            _ => None,
        };
        let known = Known {
            otherwise,
            place_of: &place_of,
        };
        Plan::of(&list.0[0].and_or.first.stages, &known)
    }

    fn places(text: &str, otherwise: Place) -> Vec<Place> {
        let stages = plan(text, otherwise).0;
        stages.iter().map(|stage| stage.place).collect()
    }

    /// Where groups begin, and how many stages each has.
    fn groups(text: &str, otherwise: Place) -> Vec<(usize, usize)> {
        let groups = plan(text, otherwise).groups();
        groups
            .iter()
            .map(|group| (group.first, group.count))
            .collect()
    }

    #[test]
    fn hrun_says_where_a_stage_runs() {
        let expected = [Guest, Host, Host, Guest];
        assert_eq!(places("a | hrun b | x=1 hrun c -d | e", Guest), expected);
        assert_eq!(places("{ hrun a; } | 'hrun' b", Guest), [Guest, Host]);
    }

    #[test]
    fn a_line_for_the_host_keeps_the_shells_own_work() {
        let expected = [Host, Host, Guest, Guest, Guest];
        assert_eq!(
            places("make | $pager | cd x | (less) | x=1", Host),
            expected
        );
    }

    #[test]
    fn neighbours_on_the_host_are_one_group() {
        let expected = [(0, 1), (1, 1), (2, 2), (4, 1)];
        assert_eq!(groups("a | b | hrun c | hrun d | e", Guest), expected);
        assert_eq!(groups("make 2>&1 |& grep $x >f | less", Host), [(0, 3)]);
        assert_eq!(
            groups("hrun -v -T a | hrun --env X=$x -- b", Guest),
            [(0, 2)]
        );
    }

    #[test]
    fn what_must_see_its_neighbours_pipe_is_alone() {
        for text in [
            "hrun a | hrun b $(cat)",
            "hrun a | hrun b \"x${y:-`cat`}\"",
            "hrun a | hrun b < <(cat)",
            "hrun a | x=$(cat) hrun b",
            "hrun a | hrun b <<E\n$(cat)\nE\n",
            "hrun a | hrun b $((1 + $(cat)))",
            "hrun a | hrun --help",
            "hrun --completion bash | hrun cat",
            "hrun | hrun a",
        ] {
            assert_eq!(groups(text, Guest), [(0, 1), (1, 1)], "{text}");
        }
        assert_eq!(groups("hrun a $(cat) | hrun b", Guest), [(0, 2)]);
        // What it turns out to be may be the shell's own.
        assert_eq!(groups("a | $b | c", Host), [(0, 1), (1, 1), (2, 1)]);
    }
}
