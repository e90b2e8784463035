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
}

/// Whether the program is to have a terminal.
pub fn has_terminal(streams: &[Stream; 3], wanted: Option<bool>) -> bool {
    let both = streams[..2]
        .iter()
        .all(|stream| stream.kind == Kind::Terminal);
    wanted.unwrap_or(both)
}

/// Plans all three; `one` says that standard error is the same open file as standard output.
pub fn plan(streams: &[Stream; 3], terminal: bool, one: bool) -> [Way; 3] {
    let mut ways = streams.map(|stream| match stream.kind {
        _ if stream.is_host => Way::HostFile,
        _ if stream.is_handed => Way::Handed,
        Kind::Closed => Way::Closed,
        Kind::Null => Way::Null,
        Kind::Terminal | Kind::File | Kind::Pipe | Kind::Other => Way::Pipe,
    });
    if terminal {
        ways[0] = Way::Terminal;
        ways[1] = Way::Terminal;
        if streams[2].kind == Kind::Terminal {
            ways[2] = Way::Terminal;
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
            let streams = streams(kinds);
            assert_eq!(has_terminal(&streams, None), expected, "{kinds:?}");
            assert!(has_terminal(&streams, Some(true)) && !has_terminal(&streams, Some(false)));
        }
    }

    #[test]
    fn each_stream_goes_its_own_way() {
        let way = |kinds, terminal, one| plan(&streams(kinds), terminal, one);
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
        assert_eq!(plan(&streams, false, false), [both[0], both[1], Way::Pipe]);
        streams[2] = streams[1];
        assert_eq!(
            plan(&streams, false, true),
            [both[0], both[1], Way::AsOutput]
        );
    }
    #[test]
    fn pipes_are_handed_over_where_they_can_be() {
        let mut streams = streams([Other; 3]);
        streams[1].is_handed = true;
        assert_eq!(
            plan(&streams, false, false),
            [Way::Pipe, Way::Handed, Way::Pipe]
        );
        streams[2].is_handed = true;
        assert_eq!(plan(&streams, false, true)[2], Way::AsOutput);
        assert_eq!(plan(&streams, true, false)[1], Way::Terminal);
    }
}
