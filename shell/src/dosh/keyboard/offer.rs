//! What a word could become, and how it is written into the line.

use super::quoted::{self, Quote, Setting};
use super::typed::Component;
use crate::dosh::syntax::tree::Bytes;
use crate::failure::plain;

/// So many names are listed. An editor sees to each of them at every key.
pub const MOST: usize = 500;

/// What follows a name that has been chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The next word.
    Blank,
    /// More of this word.
    More,
}

/// A name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub name: Bytes,
    pub then: Then,
    /// What it is, for people.
    pub about: Option<String>,
}

impl Candidate {
    pub fn new(name: impl Into<Bytes>, then: Then) -> Candidate {
        Candidate {
            name: name.into(),
            then,
            about: None,
        }
    }
}

/// Names that could stand at the cursor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// Where in the line the text begins that they replace. It ends at the cursor.
    pub start: usize,
    pub candidates: Vec<Candidate>,
    /// How many more there are that nobody lists.
    pub untold: usize,
    /// How much of each name stands before the start, given by an expansion.
    given: usize,
    /// How much of it has been typed.
    typed: usize,
    /// How they are quoted; not at all where no quotes can be, as in `${…}`.
    setting: Option<Setting>,
    /// What closes the word apart from quotes.
    closing: &'static str,
}

/// A name as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    pub text: String,
    /// As it is shown in a list.
    pub shown: String,
    pub about: Option<String>,
    pub blank: bool,
}

impl Offer {
    /// Names in the place of a word's component. The word begins at `base` of the line.
    pub fn of_component(
        base: usize,
        component: &Component,
        wanted: Quote,
        candidates: Vec<Candidate>,
    ) -> Offer {
        Offer {
            start: base + component.start,
            candidates,
            untold: 0,
            given: component.given,
            typed: component.begin.len(),
            setting: Some(Setting {
                outer: component.outer,
                wanted,
                begins_word: component.start == 0,
            }),
            closing: "",
        }
    }

    /// Names of parameters.
    pub fn of_parameters(
        start: usize,
        typed: usize,
        braced: bool,
        candidates: Vec<Candidate>,
    ) -> Offer {
        Offer {
            start,
            candidates,
            untold: 0,
            given: 0,
            typed,
            setting: None,
            closing: if braced { "}" } else { "" },
        }
    }

    /// The names as text, where `behind` follows the cursor: as many as somebody could look through.
    pub fn written(&self, behind: &str) -> Vec<Written> {
        let candidates = self.candidates.iter().take(MOST);
        candidates
            .map(|candidate| self.write(candidate, behind))
            .collect()
    }

    /// How many names are not written.
    pub fn left_out(&self) -> usize {
        self.candidates.len().saturating_sub(MOST) + self.untold
    }

    fn write(&self, candidate: &Candidate, behind: &str) -> Written {
        let (mut text, quote) = self.quoted(&candidate.name[self.given..]);
        let ends = candidate.then == Then::Blank;
        // Quotes that only the name itself has needed are closed even if the word goes on.
        let own = self.setting.is_some_and(|setting| setting.wanted != quote);
        let closed = !quote.closing().is_empty() && behind.starts_with(quote.closing());
        if own || (ends && !closed) {
            text.push_str(quote.closing());
        }
        if ends && !behind.starts_with('}') {
            text.push_str(self.closing);
        }
        Written {
            text,
            shown: plain(&candidate.name),
            about: candidate.about.clone(),
            blank: ends && !closed && self.setting.is_some() && !behind.starts_with([' ', '\t']),
        }
    }

    fn quoted(&self, name: &[u8]) -> (String, Quote) {
        match self.setting {
            Some(setting) => quoted::write(name, setting),
            None => (String::from_utf8_lossy(name).into_owned(), Quote::None),
        }
    }

    /// What all names share, if that is more than is typed.
    pub fn shared(&self) -> Option<String> {
        let names = self.candidates.iter().map(|candidate| &candidate.name[..]);
        let shared = quoted::common(names);
        let more = shared.len() > self.typed;
        more.then(|| self.quoted(&shared[self.given..]).0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dosh::keyboard::scene::Scene;
    use crate::dosh::keyboard::typed::Typed;

    /// The line after a word's only completion.
    fn completed(raw: &str, names: &[(&str, Then)], behind: &str) -> (Vec<String>, Option<String>) {
        let typed = Typed::undo(raw.as_bytes(), &Scene::default()).expect(raw);
        let component = typed.component();
        let names = names.iter();
        let candidates = names
            .map(|(name, then)| Candidate::new(*name, *then))
            .collect();
        let offer = Offer::of_component(0, &component, typed.quote, candidates);
        let line = |text: &str| format!("{}{text}", &raw[..offer.start]);
        let written = offer.written(behind).into_iter();
        let lines = written.map(|written| {
            let blank = if written.blank { " " } else { "" };
            line(&written.text) + blank
        });
        (lines.collect(), offer.shared().map(|text| line(&text)))
    }

    #[test]
    fn a_word_is_completed_in_its_own_quotes() {
        use Then::{Blank, More};
        for (raw, name, then, expected) in [
            ("fi", "file", Blank, "file "),
            ("a/fi", "file", Blank, "a/file "),
            ("di", "dir/", More, "dir/"),
            ("a\\ ", "a b", Blank, "a\\ b "),
            ("a", "a b", Blank, "a\\ b "),
            ("\"a", "a b", Blank, "\"a b\" "),
            ("'a", "a b/", More, "'a b/"),
            ("x/'a", "a b", Blank, "x/'a b' "),
            ("a", "a\nb", Blank, "$'a\\nb' "),
            ("a", "a\nb/", More, "$'a\\nb/'"),
            ("\"x/a", "a\nb/", More, "\"x/\"$'a\\nb/'"),
            ("", "~x", Blank, "\\~x "),
        ] {
            assert_eq!(completed(raw, &[(name, then)], "").0, [expected], "{raw}");
        }
    }

    #[test]
    fn of_many_names_some_are_listed_and_all_are_compared() {
        let typed = Typed::undo(b"n", &Scene::default()).expect("a word");
        let names = (0..MOST + 7).map(|number| format!("name{number:04}").into_bytes());
        let mut candidates: Vec<_> = names
            .map(|name| Candidate::new(name, Then::Blank))
            .collect();
        candidates.push(Candidate::new(b"nap".to_vec(), Then::Blank));
        let offer = Offer::of_component(0, &typed.component(), typed.quote, candidates);
        assert_eq!((offer.written("").len(), offer.left_out()), (MOST, 8));
        assert_eq!(offer.shared().as_deref(), Some("na"));
    }

    #[test]
    fn what_stands_behind_the_cursor_stays_right() {
        let one = [("a b", Then::Blank)];
        assert_eq!(completed("\"a", &one, "\"").0, ["\"a b"]);
        assert_eq!(completed("a", &one, " c").0, ["a\\ b"]);
    }

    #[test]
    fn names_that_share_a_beginning_are_written_as_far() {
        let names = [("a b1", Then::Blank), ("a b2", Then::Blank)];
        assert_eq!(completed("a", &names, "").1.as_deref(), Some("a\\ b"));
        assert_eq!(completed("x/\"a", &names, "").1.as_deref(), Some("x/\"a b"));
        assert_eq!(completed("a\\ b", &names, "").1, None);
    }
}
