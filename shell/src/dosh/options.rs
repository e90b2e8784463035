//! The options of `set` (XCU 2.14, set).

use super::syntax::tree::Bytes;

/// Letter, name. A blank is no letter.
const NAMES: &[(u8, &str)] = &[
    (b'a', "allexport"),
    (b'e', "errexit"),
    (b'm', "monitor"),
    (b'C', "noclobber"),
    (b'n', "noexec"),
    (b'f', "noglob"),
    (b'b', "notify"),
    (b'u', "nounset"),
    (b' ', "pipefail"),
    (b'v', "verbose"),
    (b'x', "xtrace"),
    (b'h', "hashall"),
    (b' ', "huponexit"),
    (b' ', "ignoreeof"),
    (b' ', "nolog"),
    (b' ', "vi"),
    (b' ', "emacs"),
    (b' ', "posix"),
    (b'E', "errtrace"),
];

/// Which options are on.
#[derive(Clone, Debug, Default)]
pub struct Options {
    on: [bool; NAMES.len()],
}

macro_rules! option {
    ($($name:ident = $at:expr),* $(,)?) => {
        $(pub fn $name(&self) -> bool { self.on[$at] })*
    };
}

impl Options {
    option! {
        allexport = 0, errexit = 1, monitor = 2, noclobber = 3, noexec = 4, noglob = 5, nounset = 7, pipefail = 8, verbose = 9, xtrace = 10,
        errtrace = 18,
    }

    /// Sets by letter; whether there is such an option.
    pub fn set_letter(&mut self, letter: u8, on: bool) -> bool {
        let at = NAMES
            .iter()
            .position(|(known, _)| *known == letter && letter != b' ');
        at.is_some_and(|at| {
            self.on[at] = on;
            true
        })
    }

    /// Sets by name; whether there is such an option.
    pub fn set_name(&mut self, name: &[u8], on: bool) -> bool {
        let at = NAMES.iter().position(|(_, known)| known.as_bytes() == name);
        at.is_some_and(|at| {
            self.on[at] = on;
            true
        })
    }

    pub fn is_on(&self, name: &[u8]) -> Option<bool> {
        let at = NAMES
            .iter()
            .position(|(_, known)| known.as_bytes() == name)?;
        Some(self.on[at])
    }

    /// The letters of `$-`.
    pub fn letters(&self) -> Bytes {
        let on = NAMES.iter().zip(&self.on).filter(|(_, on)| **on);
        on.map(|((letter, _), _)| *letter)
            .filter(|letter| *letter != b' ')
            .collect()
    }

    /// Every option by name.
    pub fn all(&self) -> Vec<(&'static str, bool)> {
        let mut all: Vec<_> = NAMES
            .iter()
            .zip(&self.on)
            .map(|((_, name), on)| (*name, *on))
            .collect();
        all.sort();
        all
    }
}
