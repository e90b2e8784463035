//! Whose words a simple command's are: the rule of `plan.rs`, for commands that are still being typed.

use super::scan::{place_of, Call, Mode, Word};
use crate::command::Hrun;
use crate::dosh::plan::Place;
use clap::CommandFactory;
use std::sync::OnceLock;

/// What the next word of a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// The name of a command.
    Command(Place),
    /// A word for the command whose name is this word of the call.
    Argument(usize),
}

/// A command that is known by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spoken<'c> {
    pub place: Place,
    pub name: &'c [u8],
    /// Its words, behind the name.
    pub arguments: &'c [Word],
    /// Another command is to follow, as behind `hrun` or `sudo`.
    pub is_starter: bool,
}

/// Commands whose first argument that is no option is another command, with those of their options behind which a value
/// stands.
const STARTERS: &[(&[u8], &[u8])] = &[
    (b"builtin", b""),
    (b"command", b""),
    (b"doas", b"Cu"),
    (b"env", b"CSu"),
    (b"exec", b"a"),
    (b"guest", b""),
    (b"ionice", b"cn"),
    (b"nice", b"n"),
    (b"nohup", b""),
    (b"setsid", b""),
    (b"stdbuf", b"eio"),
    (b"strace", b"eopsu"),
    (b"sudo", b"CDghprtu"),
    (b"time", b"fo"),
    (b"timeout", b"ks"),
    (b"watch", b"n"),
    (b"xargs", b"EILPadns"),
];

/// What would come next.
pub fn expected(call: &Call, mode: &Mode) -> Expected {
    walk(call, mode).expected
}

/// The command that a call has come to, or the one whose options are being typed; none as long as its name is missing.
pub fn spoken<'c>(call: &'c Call, mode: &Mode) -> Option<Spoken<'c>> {
    let walk = walk(call, mode);
    let at = match walk.expected {
        Expected::Argument(at) => at,
        Expected::Command(_) => walk.starter?,
    };
    Some(Spoken {
        place: walk.place,
        name: call.words.get(at)?.text.as_deref()?,
        arguments: &call.words[at + 1..],
        is_starter: walk.starter == Some(at),
    })
}

/// Whether a word that would be the call's next is the shell's own command.
pub fn is_own(call: &Call, name: &[u8], mode: &Mode) -> bool {
    let starter = walk(call, mode).starter;
    match starter.and_then(|at| call.words[at].text.as_deref()) {
        None | Some(b"builtin" | b"command" | b"time") => name == b"hrun" || (mode.is_own)(name),
        Some(_) => false,
    }
}

struct Walk {
    expected: Expected,
    place: Place,
    /// The word that starts the command, such as `hrun`.
    starter: Option<usize>,
}

fn walk(call: &Call, mode: &Mode) -> Walk {
    let mut place = place_of(call.on_host);
    let mut starter = None;
    let mut through_hrun = false;
    let mut at = 0;
    loop {
        let expected = match call.words.len() {
            count if at < count => Expected::Argument(at),
            count if at == count => Expected::Command(place),
            // A word that the starter needs for itself is missing.
            _ => Expected::Argument(starter.unwrap_or(0)),
        };
        let walk = Walk {
            expected,
            place,
            starter,
        };
        let Some(word) = call.words.get(at) else {
            return walk;
        };
        let name = word.text.as_deref().unwrap_or_default();
        let known = STARTERS.iter().find(|(starter, _)| *starter == name);
        if name == b"hrun" && !through_hrun {
            (place, starter, through_hrun) = (Place::Host, Some(at), true);
            at = behind_options(call, at + 1, takes_value, false);
            continue;
        }
        if starter.is_none() && (name == b"guest" || (mode.is_own)(name)) {
            place = Place::Guest;
        }
        let Some((_, valued)) = known else {
            return Walk { place, ..walk };
        };
        starter = Some(at);
        let takes = |option: &[u8]| matches!(option, [b'-', letter] if valued.contains(letter));
        let assigns = matches!(name, b"env" | b"sudo" | b"doas");
        at = behind_options(call, at + 1, takes, assigns) + usize::from(name == b"timeout");
    }
}

/// The first word from there that is neither an option nor one's value nor, where those can be, an assignment.
fn behind_options(
    call: &Call,
    from: usize,
    takes_value: impl Fn(&[u8]) -> bool,
    assigns: bool,
) -> usize {
    let mut at = from;
    while let Some(word) = call.words.get(at) {
        let text = word.text.as_deref().unwrap_or_default();
        match text {
            b"--" => return at + 1,
            [b'-', _, ..] => at += 1 + usize::from(takes_value(text)),
            _ if assigns && text.contains(&b'=') => at += 1,
            _ => return at,
        }
    }
    at
}

/// Whether the word behind this option of hrun's belongs to it.
pub fn takes_value(option: &[u8]) -> bool {
    options()
        .iter()
        .any(|(name, value)| *value && name.as_bytes() == option)
}

/// hrun's options, and whether a value follows.
pub fn options() -> &'static [(String, bool)] {
    static OPTIONS: OnceLock<Vec<(String, bool)>> = OnceLock::new();
    OPTIONS.get_or_init(|| {
        let mut command = Hrun::command();
        command.build();
        let offered = command
            .get_arguments()
            .filter(|option| !option.is_positional() && !option.is_hide_set());
        offered
            .filter_map(|option| {
                let name = format!("--{}", option.get_long()?);
                Some((name, option.get_action().takes_values()))
            })
            .collect()
    })
}
