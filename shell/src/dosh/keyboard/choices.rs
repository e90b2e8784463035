//! What stands at the cursor, and what it could become: which names belong where.

use super::desk::Desk;
use super::files::{files, Wanted};
use super::host::{Answer, Question};
use super::host_paths::Found;
use super::names;
use super::offer::{Candidate, Offer, Then};
use super::scan::{scan, Open, Role, Scan};
use super::scan_call::{self, Spoken};
use super::typed::{Component, Typed};
use crate::dosh::plan::Place;
use crate::dosh::syntax::tree::Bytes;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// What could stand at the cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choices {
    Offer(Offer),
    /// The host has not answered yet.
    Waiting,
}

/// What a word names.
enum Names {
    Files(Wanted),
    HostFiles { only_directories: bool },
    HostPrograms { and_own: bool },
    Commands,
    Variables,
    Aliases,
    Jobs,
    Options(Vec<Candidate>),
}

/// Commands whose arguments are directories.
const INTO_DIRECTORIES: &[&[u8]] = &[b"cd", b"rmdir", b"pushd"];
/// Whose arguments are jobs, if they begin with `%`.
const ON_JOBS: &[&[u8]] = &[b"fg", b"bg", b"jobs", b"kill", b"wait", b"disown"];
/// Whose arguments are variables.
const ON_VARIABLES: &[&[u8]] = &[
    b"declare",
    b"export",
    b"getopts",
    b"local",
    b"read",
    b"readonly",
    b"typeset",
    b"unset",
];
/// Whose arguments are commands.
const ON_COMMANDS: &[&[u8]] = &[b"hash", b"man", b"type", b"whatis", b"which"];

/// Has the host read the directory into which the text up to the cursor leads, so that a Tab need not wait for that.
pub fn ahead(desk: &mut Desk, text: &[u8]) {
    let chooser = Chooser {
        waits: false,
        untold: 0,
        patience: Duration::ZERO,
        desk,
    };
    chooser.look_ahead(text);
}

/// Looks for what the text up to the cursor could go on with. The host is waited for at most so long.
pub fn choices(desk: &mut Desk, text: &[u8], patience: Duration) -> Choices {
    let mut chooser = Chooser {
        waits: false,
        untold: 0,
        patience,
        desk,
    };
    let offer = chooser.choose(text).unwrap_or_default();
    match chooser.waits {
        true => Choices::Waiting,
        false => Choices::Offer(offer),
    }
}

struct Chooser<'d> {
    desk: &'d mut Desk,
    patience: Duration,
    /// An answer is missing.
    waits: bool,
    /// So many names more there are than are told.
    untold: usize,
}

impl Chooser<'_> {
    fn choose(&mut self, text: &[u8]) -> Option<Offer> {
        let found = self.desk.scene.with_mode(|mode| scan(text, mode));
        let Open { start, role } = found.open.clone()?;
        let raw = &text[start..];
        if let Role::Parameter { .. } | Role::Variable = role {
            let braced = role == Role::Parameter { braced: true };
            let then = if braced { Then::Blank } else { Then::More };
            let candidates = names::variables(&self.desk.scene, raw, then);
            return Some(Offer::of_parameters(start, raw.len(), braced, candidates));
        }
        // In an assignment each part of a list of paths is a word of its own.
        let (start, raw) = match role {
            Role::Value => self.last_part(start, raw),
            _ => (start, raw),
        };
        let typed = Typed::undo(raw, &self.desk.scene)?;
        if typed.is_user && role != Role::Nothing {
            let users = names::users(&typed.text);
            // The tilde is none if it is quoted: it is left as it stands.
            let users = users.into_iter().map(|user| Candidate {
                name: user.name[1..].to_vec(),
                ..user
            });
            let typed = raw.len().saturating_sub(1);
            return Some(Offer::of_parameters(
                start + 1,
                typed,
                false,
                users.collect(),
            ));
        }
        let names = self.names(&found, &role, &typed)?;
        let offer = self.offer(start, &typed, &typed.component(), names);
        if !offer.candidates.is_empty() || !matches!(role, Role::Argument(_)) {
            return Some(offer);
        }
        // `if=file` and `--output=file`.
        let value = typed.behind(b"=")?;
        let start = start + typed.written(value);
        let typed = Typed::undo(&text[start..], &self.desk.scene)?;
        let names = match self.place(&found, &role) {
            Place::Guest => Names::Files(Wanted::Any),
            Place::Host => Names::HostFiles {
                only_directories: false,
            },
        };
        Some(self.offer(start, &typed, &typed.component(), names))
    }

    fn look_ahead(mut self, text: &[u8]) -> Option<()> {
        let found = self.desk.scene.with_mode(|mode| scan(text, mode));
        let Open { start, role } = found.open.clone()?;
        if !matches!(role, Role::Argument(_) | Role::Command(Place::Host)) {
            return None;
        }
        let typed = Typed::undo(&text[start..], &self.desk.scene)?;
        // Options are nothing that the host is asked for.
        if typed.is_user || typed.text.starts_with(b"-") {
            return None;
        }
        if let Names::HostFiles { .. } = self.names(&found, &role, &typed)? {
            self.desk.host.ahead(typed.component().parent);
        }
        Some(())
    }

    fn last_part<'t>(&self, start: usize, raw: &'t [u8]) -> (usize, &'t [u8]) {
        let typed = Typed::undo(raw, &self.desk.scene);
        let at = typed.and_then(|typed| Some(typed.written(typed.behind(b":")?)));
        let at = at.unwrap_or(0);
        (start + at, &raw[at..])
    }

    fn place(&self, found: &Scan, role: &Role) -> Place {
        let Role::Argument(call) = role else {
            return Place::Guest;
        };
        let spoken = self
            .desk
            .scene
            .with_mode(|mode| found.spoken(*call, &mode).map(|spoken| spoken.place));
        spoken.unwrap_or(Place::Guest)
    }

    fn names(&mut self, found: &Scan, role: &Role, typed: &Typed) -> Option<Names> {
        let is_path = typed.text.contains(&b'/');
        match role {
            Role::Command(Place::Guest) if is_path => Some(Names::Files(Wanted::Programs)),
            Role::Command(Place::Guest) => Some(Names::Commands),
            Role::Command(Place::Host) if is_path => Some(Names::HostFiles {
                only_directories: false,
            }),
            Role::Command(Place::Host) => {
                // In a line for the host the shell's own commands are still there.
                let is_first = found.calls.last().is_none_or(|call| call.words.is_empty());
                Some(Names::HostPrograms { and_own: is_first })
            }
            Role::Target | Role::Value | Role::Word => Some(Names::Files(Wanted::Any)),
            Role::Argument(call) => self.argument(found, *call, typed),
            Role::Parameter { .. } | Role::Variable | Role::Nothing => None,
        }
    }

    fn argument(&mut self, found: &Scan, call: usize, typed: &Typed) -> Option<Names> {
        let begin = &typed.text[..];
        let start = found.open.as_ref().map_or(0, |open| open.start);
        let (place, name, arguments, is_starter) = self.desk.scene.with_mode(|mode| {
            let Spoken {
                place,
                name,
                arguments,
                is_starter,
            } = found.spoken(call, &mode)?;
            let before = arguments.iter().filter(|word| word.range.end <= start);
            let arguments: Vec<Bytes> = before.filter_map(|word| word.text.clone()).collect();
            Some((place, name.to_vec(), arguments, is_starter))
        })?;
        let name = &name[..];
        let last = arguments.last().map(|last| &last[..]);
        if (name, place) == (b"set", Place::Guest) && matches!(last, Some(b"-o" | b"+o")) {
            return Some(Names::Options(names::options(begin)));
        }
        if begin.starts_with(b"-") && !arguments.iter().any(|word| word == b"--") {
            let options = self.options(place, name, begin);
            if !options.is_empty() {
                return Some(Names::Options(options));
            }
        }
        if place == Place::Host && !is_starter {
            return Some(Names::HostFiles {
                only_directories: false,
            });
        }
        Some(match name {
            b"hrun" if arguments.last().is_some_and(|last| last == b"--env") => Names::Variables,
            b"hcd" => Names::HostFiles {
                only_directories: true,
            },
            b"hpath"
                if arguments
                    .iter()
                    .any(|word| word == b"-g" || word == b"--guest") =>
            {
                Names::HostFiles {
                    only_directories: false,
                }
            }
            name if ON_JOBS.contains(&name) && begin.starts_with(b"%") => Names::Jobs,
            b"fg" | b"bg" | b"jobs" if begin.is_empty() => Names::Jobs,
            name if INTO_DIRECTORIES.contains(&name) => Names::Files(Wanted::Directories),
            name if ON_VARIABLES.contains(&name) && !begin.contains(&b'=') => Names::Variables,
            name if ON_COMMANDS.contains(&name) && !begin.contains(&b'/') => Names::Commands,
            b"alias" | b"unalias" => Names::Aliases,
            _ => Names::Files(Wanted::Any),
        })
    }

    fn options(&mut self, place: Place, name: &[u8], begin: &[u8]) -> Vec<Candidate> {
        let mut options: BTreeSet<Bytes> = self
            .desk
            .habits()
            .of(place, name, begin)
            .into_iter()
            .collect();
        if name == b"hrun" {
            let own = scan_call::options()
                .iter()
                .map(|(option, _)| option.clone().into_bytes());
            options.extend(own.filter(|option| option.starts_with(begin)));
        }
        let mut found: Vec<Candidate> = options.into_iter().map(option).collect();
        if name == b"kill" {
            found.extend(names::signals(begin));
        }
        found
    }

    fn offer(&mut self, base: usize, typed: &Typed, component: &Component, names: Names) -> Offer {
        // Names that are no paths have no components.
        let whole = typed.from(0);
        let (component, candidates) = match names {
            Names::Files(wanted) => (component, files(component, wanted)),
            Names::HostFiles { only_directories } => {
                (component, self.host_files(component, only_directories))
            }
            Names::HostPrograms { and_own } => (&whole, self.host_programs(&whole, and_own)),
            Names::Commands => (&whole, self.commands(&whole)),
            Names::Variables => (
                &whole,
                names::variables(&self.desk.scene, whole.begin, Then::Blank),
            ),
            Names::Jobs => (&whole, names::jobs(&self.desk.scene, whole.begin)),
            Names::Options(options) => (&whole, options),
            Names::Aliases => {
                let aliases = self.desk.scene.aliases.keys();
                let aliases = aliases.filter(|name| name.starts_with(whole.begin));
                (
                    &whole,
                    aliases
                        .map(|name| Candidate::new(name.clone(), Then::Blank))
                        .collect(),
                )
            }
        };
        let mut offer = Offer::of_component(base, component, typed.quote, candidates);
        offer.untold = std::mem::take(&mut self.untold);
        offer
    }

    fn commands(&mut self, word: &Component) -> Vec<Candidate> {
        let desk = &mut *self.desk;
        let mut found = names::commands(&desk.scene, word.begin);
        found.extend(
            desk.programs
                .beginning(desk.scene.text(b"PATH"), word.begin),
        );
        found
            .into_iter()
            .map(|name| Candidate::new(name, Then::Blank))
            .collect()
    }

    fn host_programs(&mut self, word: &Component, and_own: bool) -> Vec<Candidate> {
        let answer = self.desk.host.programs(word.begin, self.patience);
        let mut found: BTreeSet<Bytes> = self.found(answer).names.iter().cloned().collect();
        if and_own {
            let own = names::commands(&self.desk.scene, word.begin);
            found.extend(own);
        }
        found
            .into_iter()
            .map(|name| Candidate::new(name, Then::Blank))
            .collect()
    }

    fn host_files(&mut self, component: &Component, only_directories: bool) -> Vec<Candidate> {
        let path = [component.parent, component.begin].concat();
        let question = match only_directories {
            true => Question::Directories(path),
            false => Question::Paths(path),
        };
        let answer = self.desk.host.ask(&question, self.patience);
        let found = self.found(answer);
        self.untold = found.left_out;
        let candidate = |path: &Bytes| {
            let then = match path.ends_with(b"/") {
                true => Then::More,
                false => Then::Blank,
            };
            Candidate::new(path.get(component.parent.len()..).unwrap_or_default(), then)
        };
        found.names.iter().map(candidate).collect()
    }

    fn found(&mut self, answer: Answer) -> Arc<Found> {
        match answer {
            Answer::Names(found) => found,
            Answer::Nothing => Arc::default(),
            Answer::Waiting => {
                self.waits = true;
                Arc::default()
            }
        }
    }
}

/// An option, behind which its value follows at once if it ends in `=`.
fn option(name: Bytes) -> Candidate {
    let then = match name.ends_with(b"=") {
        true => Then::More,
        false => Then::Blank,
    };
    Candidate::new(name, then)
}
