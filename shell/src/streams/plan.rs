//! How the streams are joined: a pure function of what they are.

use super::kind::Kind;

/// What becomes of one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Closed for the program as well.
    Closed,
    /// `/dev/null` of the host.
    Null,
    /// The host's own file.
    HostFile,
    /// The host's terminal.
    Terminal,
    /// The guest's own pipe.
    Handed,
    /// A pipe of the host and a thread.
    Pipe,
    /// An end on the host that is there already: a neighbour's, or one that is another program's too.
    Given,
    /// Whatever standard output is.
    AsOutput,
}

/// What is known of one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Its kind.
    pub kind: Kind,
    /// Whether it is a file of the host.
    pub is_host: bool,
    /// Whether it is a pipe that the host has taken over.
    pub is_handed: bool,
    /// Whether its end on the host is there already.
    pub is_given: bool,
}

/// Whether programs are to have a terminal: those of one pipeline, whose first input and last output these are.
pub fn has_terminal(input: Kind, output: Kind, wanted: Option<bool>) -> bool {
    wanted.unwrap_or(input == Kind::Terminal && output == Kind::Terminal)
}

/// Plans all three. `terminal`: there is one on the host, and it is these streams whatever they are in the guest. `one` says
/// that standard error is the same open file as standard output.
pub fn plan(streams: &[Stream; 3], terminal: Option<[bool; 3]>, one: bool) -> [Way; 3] {
    let mut ways = streams.map(|stream| match stream.kind {
        _ if stream.is_given => Way::Given,
        _ if stream.is_host => Way::HostFile,
        _ if stream.is_handed => Way::Handed,
        Kind::Closed => Way::Closed,
        Kind::Null => Way::Null,
        Kind::Terminal | Kind::File | Kind::Pipe | Kind::Other => Way::Pipe,
    });
    for (role, way) in ways.iter_mut().enumerate() {
        let stream = streams[role];
        let is_one = stream.kind == Kind::Terminal && !stream.is_given;
        if terminal.is_some_and(|always| always[role] || is_one) {
            *way = Way::Terminal;
        }
    }
    if one && ways[1] == ways[2] && matches!(ways[1], Way::Pipe | Way::Handed | Way::HostFile) {
        ways[2] = Way::AsOutput;
    }
    ways
}

#[cfg(test)]
mod tests {
    use super::*;
    use Kind::*;

    fn streams(kinds: [Kind; 3]) -> [Stream; 3] {
        kinds.map(|kind| Stream {
            kind,
            is_host: false,
            is_handed: false,
            is_given: false,
        })
    }

    #[test]
    fn a_terminal_needs_input_and_output() {
        for (kinds, expected) in [
            ([Terminal, Terminal, Terminal], true),
            ([Terminal, Terminal, Other], true),
            ([Other, Terminal, Terminal], false),
            ([Terminal, Other, Terminal], false),
            ([Closed, Closed, Closed], false),
        ] {
            let [input, output, _] = kinds;
            let has = |wanted| has_terminal(input, output, wanted);
            assert_eq!(has(None), expected, "{kinds:?}");
            assert!(has(Some(true)) && !has(Some(false)));
        }
    }

    #[test]
    fn each_stream_goes_its_own_way() {
        let way = |kinds, terminal: bool, one| {
            let terminal = terminal.then_some([true, true, false]);
            plan(&streams(kinds), terminal, one)
        };
        for (kinds, terminal, one, expected) in [
            (
                [Other, File, Null],
                false,
                false,
                [Way::Pipe, Way::Pipe, Way::Null],
            ),
            ([Terminal; 3], true, true, [Way::Terminal; 3]),
            (
                [Terminal, Terminal, File],
                true,
                false,
                [Way::Terminal, Way::Terminal, Way::Pipe],
            ),
            (
                [Closed, Other, Other],
                false,
                true,
                [Way::Closed, Way::Pipe, Way::AsOutput],
            ),
            ([Terminal; 3], false, false, [Way::Pipe; 3]),
        ] {
            assert_eq!(way(kinds, terminal, one), expected, "{kinds:?}");
        }
    }

    #[test]
    fn files_of_the_host_are_handed_over() {
        let mut streams = streams([File, File, Other]);
        streams[0].is_host = true;
        streams[1].is_host = true;
        let both = [Way::HostFile, Way::HostFile];
        assert_eq!(plan(&streams, None, false), [both[0], both[1], Way::Pipe]);
        streams[2] = streams[1];
        assert_eq!(
            plan(&streams, None, true),
            [both[0], both[1], Way::AsOutput]
        );
    }
    #[test]
    fn pipes_are_handed_over_where_they_can_be() {
        let mut streams = streams([Other; 3]);
        streams[1].is_handed = true;
        assert_eq!(
            plan(&streams, None, false),
            [Way::Pipe, Way::Handed, Way::Pipe]
        );
        streams[2].is_handed = true;
        assert_eq!(plan(&streams, None, true)[2], Way::AsOutput);
        assert_eq!(
            plan(&streams, Some([true, true, false]), false)[1],
            Way::Terminal
        );
    }

    #[test]
    fn a_pipeline_has_one_terminal_at_both_its_ends() {
        let mut first = streams([Terminal, Closed, Terminal]);
        first[1].is_given = true;
        let ways = plan(&first, Some([true, false, false]), false);
        assert_eq!(ways, [Way::Terminal, Way::Given, Way::Terminal]);
        let mut last = streams([Closed, Other, File]);
        last[0].is_given = true;
        let ways = plan(&last, Some([false, true, false]), false);
        assert_eq!(ways, [Way::Given, Way::Terminal, Way::Pipe]);
    }
}
