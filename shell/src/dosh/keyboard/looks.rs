//! What each part of a line is to look like.

use super::desk::Desk;
use super::paths;
use super::scan::{scan, Kind};
use crate::dosh::plan::Place;
use std::ops::Range;
use std::time::Duration;

/// How a part looks. What is nothing in particular is in no part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    Keyword,
    /// A command that this system has, or may have.
    Command(Place),
    /// A command that this system does not have.
    Unknown(Place),
    Option,
    Assignment,
    Quoted,
    Expansion,
    Operator,
    Redirect,
    Comment,
}

/// A part of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub range: Range<usize>,
    pub look: Option<Look>,
    /// It belongs to the path of a file that is there.
    pub exists: bool,
}

/// The parts of a line, in their order; what is between them is nothing in particular. The host is waited for at most so long,
/// once.
pub fn looks(desk: &mut Desk, line: &str, patience: Duration) -> Vec<Part> {
    let text = line.as_bytes();
    let (pieces, paths) = desk.scene.with_mode(|mode| {
        let found = scan(text, mode);
        let paths = paths::existing(&found, &mode, text, &desk.scene);
        (found.pieces, paths)
    });
    let mut patience = patience;
    let mut looks = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let look = match piece.kind {
            Kind::Keyword => Look::Keyword,
            Kind::Option => Look::Option,
            Kind::Assignment => Look::Assignment,
            Kind::Quoted => Look::Quoted,
            Kind::Expansion => Look::Expansion,
            Kind::Operator => Look::Operator,
            Kind::Redirect => Look::Redirect,
            Kind::Comment => Look::Comment,
            Kind::Command(place, name) => match desk.knows(place, &name, patience) {
                Some(false) => Look::Unknown(place),
                Some(true) => Look::Command(place),
                None => {
                    patience = Duration::ZERO;
                    Look::Command(place)
                }
            },
        };
        looks.push((piece.range, look));
    }
    parts(&looks, &paths)
}

/// Cuts a line where a look or a path begins or ends. Both are in order and apart from each other.
fn parts(looks: &[(Range<usize>, Look)], paths: &[Range<usize>]) -> Vec<Part> {
    let ranges = looks.iter().map(|(range, _)| range).chain(paths);
    let mut cuts: Vec<usize> = ranges.flat_map(|range| [range.start, range.end]).collect();
    cuts.sort_unstable();
    cuts.dedup();
    let (mut looks, mut paths) = (looks.iter().peekable(), paths.iter().peekable());
    let mut parts = Vec::with_capacity(cuts.len());
    for cut in cuts.windows(2) {
        let (start, end) = (cut[0], cut[1]);
        while looks.next_if(|(range, _)| range.end <= start).is_some() {}
        while paths.next_if(|range| range.end <= start).is_some() {}
        let look = looks.peek().filter(|(range, _)| range.start <= start);
        let exists = paths.peek().is_some_and(|range| range.start <= start);
        if look.is_some() || exists {
            parts.push(Part {
                range: start..end,
                look: look.map(|(_, look)| *look),
                exists,
            });
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dosh::keyboard::host::{Host, Question};

    fn desk(programs: &[&str]) -> Desk {
        let mut desk = Desk::default();
        desk.scene
            .variables
            .insert(b"PATH".to_vec(), b"/bin:/usr/bin".to_vec());
        desk.scene.functions.insert(b"greet".to_vec());
        desk.scene.aliases.insert(b"ll".to_vec(), b"ls -l".to_vec());
        desk.host = Host::told(&[(Question::Programs(Vec::new()), programs)]);
        desk
    }

    fn commands(desk: &mut Desk, line: &str) -> Vec<Look> {
        let looks = looks(desk, line, Duration::ZERO).into_iter();
        let looks = looks.filter_map(|part| part.look);
        looks
            .filter(|look| matches!(look, Look::Command(_) | Look::Unknown(_)))
            .collect()
    }

    #[test]
    fn paths_that_are_there_are_marked_whatever_they_are_written_in() {
        let mut desk = desk(&["cat"]);
        desk.scene
            .variables
            .insert(b"HOME".to_vec(), b"/usr".to_vec());
        for (line, marked) in [
            ("cat /usr/bin", "/usr/bin"),
            ("cat /usr/nothing ~/bin", "~/bin"),
            ("cat '/usr'/\"bin\" -x", "'/usr'/\"bin\""),
            ("cat $HOME/bin; cat >/usr", "$HOME/bin"),
            ("hrun cat /usr/bin", ""),
            ("@ cat /usr/bin", ""),
            ("cat /host/usr /usr/../host/usr", ""),
            ("cat $(echo /usr) /etc/$x", "/usr"),
        ] {
            let found = looks(&mut desk, line, Duration::ZERO).into_iter();
            let found = found.filter(|part| part.exists);
            let text: String = found.map(|part| &line[part.range]).collect();
            assert_eq!(text, marked, "{line}");
        }
    }

    #[test]
    fn commands_are_known_to_the_system_they_run_on() {
        use Look::{Command, Unknown};
        use Place::{Guest, Host};
        let mut desk = desk(&["only-there", "sh"]);
        for (line, expected) in [
            ("sh", vec![Command(Guest)]),
            ("greet | ll; cd", vec![Command(Guest); 3]),
            ("only-there", vec![Unknown(Guest)]),
            ("hrun only-there", vec![Command(Guest), Command(Host)]),
            ("hrun greet", vec![Command(Guest), Unknown(Host)]),
            (
                "@ only-there | cd | not-there",
                vec![Command(Host), Command(Guest), Unknown(Host)],
            ),
            ("/bin/sh", vec![Command(Guest)]),
            ("/bin/no-such-thing", vec![Unknown(Guest)]),
            ("greet() { sh; }", vec![Command(Guest)]),
        ] {
            assert_eq!(commands(&mut desk, line), expected, "{line}");
        }
    }

    #[test]
    fn without_a_host_nothing_of_it_is_unknown() {
        let mut desk = desk(&[]);
        desk.host = Host::told(&[]);
        let expected = [Look::Command(Place::Guest), Look::Command(Place::Host)];
        assert_eq!(commands(&mut desk, "hrun no-such-thing"), expected);
    }

    /// A line of 2,000 characters, looked at again at each key.
    #[test]
    #[ignore = "a measurement"]
    fn time_of_a_long_line() {
        let mut desk = desk(&["make", "sort"]);
        let part = "x=1 sort -n \"a $HOME\" 'b' >out | hrun make -j4 $(sh -c :); ";
        let line: String = part.chars().cycle().take(2000).collect();
        let mut times = Vec::new();
        for _ in 0..1000 {
            let begun = std::time::Instant::now();
            std::hint::black_box(looks(&mut desk, &line, Duration::ZERO));
            times.push(begun.elapsed());
        }
        times.sort();
        eprintln!("{:?} median, {:?} longest", times[500], times[999]);
    }
}
