//! What the look at a text being typed must find.

use super::scan::{scan, Kind, Mode, Role, Scan};
use crate::dosh::plan::Place::{Guest, Host};
use crate::dosh::syntax::parser::Parser;
use crate::dosh::syntax::tree;

fn is_own(name: &[u8]) -> bool {
    matches!(name, b"cd" | b"hcd" | b"command" | b"export")
}

fn look(text: &str) -> Scan {
    let mode = Mode {
        on_host: false,
        is_own: &is_own,
        alias: &|_| None,
    };
    scan(text.as_bytes(), mode)
}

/// The word at the end, and what it is.
fn open(text: &str) -> (&str, Role) {
    let open = look(text).open.expect("every text ends somewhere");
    (&text[open.start..], open.role)
}

#[test]
fn a_commands_name_is_where_one_may_begin() {
    for text in [
        "",
        "gi",
        "  gi",
        "a | gi",
        "a |& gi",
        "a && gi",
        "a || gi",
        "a; gi",
        "a & gi",
        "a\ngi",
        "(gi",
        "{ gi",
        "! gi",
        "if gi",
        "if a; then gi",
        "while gi",
        "x=$(gi",
        "echo \"$(gi",
        "echo `gi",
        "a <(gi",
        "x=1 gi",
        ">out gi",
        "2>&1 gi",
        "case x in y) gi",
        "f() { gi",
        "case x in y) a;; (z) gi",
        "for i in 1; do gi",
        "time gi",
        "sudo gi",
        "command gi",
        "sudo -u me gi",
        "a $(case x in y) gi",
        "echo ${x:-$(gi",
        "cat <<E\n$(\nE\ngi",
        "$((1)) && gi",
        "[[ -e x ]] && gi",
        "function f { gi",
        "timeout 5 gi",
        "a=(1 2) gi",
        "# x\ngi",
    ] {
        let word = if text.is_empty() { "" } else { "gi" };
        assert_eq!(open(text), (word, Role::Command(Guest)), "{text}");
    }
}

#[test]
fn host_commands_stand_behind_hrun_and_in_the_hosts_lines() {
    for text in [
        "hrun ma",
        "x=1 hrun ma",
        "@ while a; do\nma",
        "@ if a; then for i in 1; do b; done\nma",
        "a | hrun ma",
        "hrun -t ma",
        "hrun --env X ma",
        "hrun -- ma",
        "@ ma",
        "@ a | ma",
        "@ a; ma",
        "x=$(hrun ma",
        "hrun sudo ma",
        "echo `hrun ma",
        "'hrun' ma",
        "hrun --env X=1 -v ma",
        "a\n@ ma",
        "@ x=1 ma",
    ] {
        assert_eq!(open(text), ("ma", Role::Command(Host)), "{text}");
    }
    for text in ["@ a\nma", "hrun a | ma", "hrun a; ma", "a @ | ma"] {
        assert_eq!(open(text), ("ma", Role::Command(Guest)), "{text}");
    }
}

#[test]
fn words_belong_to_their_command() {
    for (text, place, name) in [
        ("ls fo", Guest, "ls"),
        ("ls -l a >x fo", Guest, "ls"),
        ("hrun ls fo", Host, "ls"),
        ("hrun -v ls -l fo", Host, "ls"),
        ("@ ls fo", Host, "ls"),
        ("@ cd fo", Guest, "cd"),
        ("hrun cd fo", Host, "cd"),
        ("hcd fo", Guest, "hcd"),
        ("sudo -u me ls fo", Guest, "ls"),
        ("sudo -u fo", Guest, "sudo"),
        ("hrun --env fo", Host, "hrun"),
        ("hrun --fo", Host, "hrun"),
        ("timeout fo", Guest, "timeout"),
        ("a; b | c $(d) fo", Guest, "c"),
        ("echo \"$(ls fo", Guest, "ls"),
        ("command ls fo", Guest, "ls"),
        ("'l's fo", Guest, "ls"),
        ("case x in y) ls fo", Guest, "ls"),
    ] {
        let found = look(text);
        let Some(Role::Argument(call)) = found.open.as_ref().map(|open| open.role.clone()) else {
            panic!("{text}: {:?}", found.open);
        };
        let mode = Mode {
            on_host: false,
            is_own: &is_own,
            alias: &|_| None,
        };
        let spoken = found.spoken(call, &mode).expect(text);
        assert_eq!(
            (spoken.place, spoken.name),
            (place, name.as_bytes()),
            "{text}"
        );
    }
}

#[test]
fn an_alias_stands_for_its_words() {
    let alias = |name: &[u8]| match name {
        b"h" => Some(b"hrun ".to_vec()),
        b"hm" => Some(b"hrun make -k".to_vec()),
        b"ls" => Some(b"ls --color".to_vec()),
        _ => None,
    };
    let mode = Mode {
        on_host: false,
        is_own: &is_own,
        alias: &alias,
    };
    for (text, role) in [
        ("h ma", Role::Command(Host)),
        ("'h' ma", Role::Argument(0)),
        ("hm a", Role::Argument(0)),
    ] {
        assert_eq!(
            scan(text.as_bytes(), mode).open.expect(text).role,
            role,
            "{text}"
        );
    }
    for (text, place, name) in [
        ("hm a", Host, "make"),
        ("@ ls a", Host, "ls"),
        ("ls a", Guest, "ls"),
    ] {
        let found = scan(text.as_bytes(), mode);
        let spoken = found.spoken(0, &mode).expect(text);
        assert_eq!(
            (spoken.place, spoken.name),
            (place, name.as_bytes()),
            "{text}"
        );
        let word = |piece: &super::scan::Piece| matches!(piece.kind, Kind::Command(Guest, _));
        assert!(found.pieces.iter().any(word), "{text}");
    }
}

#[test]
fn the_end_is_known_in_every_construct() {
    for (text, word, role) in [
        ("echo $HO", "HO", Role::Parameter { braced: false }),
        ("echo \"a $", "", Role::Parameter { braced: false }),
        ("echo ${HO", "HO", Role::Parameter { braced: true }),
        ("echo ${#HO", "HO", Role::Parameter { braced: true }),
        ("$HO", "HO", Role::Parameter { braced: false }),
        ("echo $((HO", "HO", Role::Variable),
        ("echo $(( 1 + $HO", "HO", Role::Parameter { braced: false }),
        ("a >fo", "fo", Role::Target),
        ("a 2>>fo", "fo", Role::Target),
        ("a &> ", "", Role::Target),
        ("a <<<fo", "fo", Role::Target),
        ("x=fo", "fo", Role::Value),
        ("x+=fo", "fo", Role::Value),
        ("a[1]=fo", "fo", Role::Value),
        ("x=(fo", "fo", Role::Word),
        ("for fo", "fo", Role::Variable),
        ("for i in fo", "fo", Role::Word),
        ("case fo", "fo", Role::Word),
        ("case x in fo", "fo", Role::Nothing),
        ("[[ -e fo", "fo", Role::Word),
        ("a <<fo", "fo", Role::Nothing),
        ("a <<E\nfo", "", Role::Nothing),
        ("a # fo", "", Role::Nothing),
        ("function fo", "fo", Role::Nothing),
        ("fi ", "", Role::Nothing),
    ] {
        assert_eq!(open(text), (word, role), "{text}");
    }
}

#[test]
fn pieces_tell_what_is_what() {
    let kinds = |text: &str| -> Vec<(String, Kind)> {
        let pieces = look(text).pieces;
        let shown = |range: &std::ops::Range<usize>| text[range.clone()].to_owned();
        pieces
            .iter()
            .map(|piece| (shown(&piece.range), piece.kind.clone()))
            .collect()
    };
    let command = |name: &str, place| (name.to_owned(), Kind::Command(place, name.into()));
    let is = |text: &str, kind: Kind| (text.to_owned(), kind);
    assert_eq!(
        kinds("x=1 ls -l 'a b' $x >f # y"),
        [
            is("x=", Kind::Assignment),
            command("ls", Guest),
            is("-l", Kind::Option),
            is("'a b'", Kind::Quoted),
            is("$x", Kind::Expansion),
            is(">", Kind::Redirect),
            is("# y", Kind::Comment),
        ]
    );
    assert_eq!(
        kinds("@ make | cd `x"),
        [
            is("@", Kind::Keyword),
            command("make", Host),
            is("|", Kind::Operator),
            command("cd", Guest),
            is("`", Kind::Expansion),
            command("x", Host),
        ]
    );
    assert_eq!(
        kinds("hrun -v \"make\" \"a${b:-\"c\"}d"),
        [
            command("hrun", Guest),
            is("-v", Kind::Option),
            is("\"make\"", Kind::Command(Host, b"make".to_vec())),
            is("\"a", Kind::Quoted),
            is("${b:-", Kind::Expansion),
            is("\"c\"", Kind::Quoted),
            is("}", Kind::Expansion),
            is("d", Kind::Quoted),
        ]
    );
    assert_eq!(kinds("f() { a; }")[0], is("(", Kind::Operator));
}

/// Pieces stand in order and apart, in every beginning of a text.
#[test]
fn every_beginning_is_looked_through() {
    let text = "if a 'b' \"c $d ${e:-`f`} $(g | h $((1+(2)))\"; then case x in (y|z) k=v l <<E >m;;\n$n\nE\nesac; fi & [[ a =~ (b) ]] {";
    let odd = "a ) } ;; $( ` \" $( \\";
    for text in [text, odd] {
        for end in 0..=text.len() {
            let found = look(&text[..end]);
            assert!(found.open.is_some_and(|open| open.start <= end), "{end}");
            let mut last = 0;
            for piece in found.pieces {
                assert!(
                    last <= piece.range.start && piece.range.end <= end,
                    "{end}: {piece:?}"
                );
                last = piece.range.end;
            }
        }
    }
}

/// Names of the simple commands of a script as the parser sees them.
fn parsed(text: &str) -> Option<Vec<Vec<u8>>> {
    fn list(list: &tree::List, names: &mut Vec<Vec<u8>>) {
        for item in &list.0 {
            let rest = item.and_or.rest.iter().map(|(_, pipeline)| pipeline);
            for pipeline in std::iter::once(&item.and_or.first).chain(rest) {
                pipeline
                    .stages
                    .iter()
                    .for_each(|stage| command(stage, names));
            }
        }
    }
    fn command(command_: &tree::Command, names: &mut Vec<Vec<u8>>) {
        match &command_.kind {
            tree::Kind::Simple(simple) => {
                if let Some(tree::Word::Plain(name)) = simple.words.first() {
                    names.push(name.clone());
                }
            }
            tree::Kind::Function(function) => command(&function.body, names),
            tree::Kind::Group(inner) | tree::Kind::Subshell(inner) | tree::Kind::OnHost(inner) => {
                list(inner, names)
            }
            tree::Kind::If { arms, otherwise } => {
                for (condition, body) in arms {
                    list(condition, names);
                    list(body, names);
                }
                otherwise.iter().for_each(|inner| list(inner, names));
            }
            tree::Kind::Loop {
                condition, body, ..
            } => {
                list(condition, names);
                list(body, names);
            }
            tree::Kind::For { body, .. } | tree::Kind::Count { body, .. } => list(body, names),
            tree::Kind::Case { arms, .. } => arms.iter().for_each(|arm| list(&arm.body, names)),
            tree::Kind::Arithmetic(_) | tree::Kind::Condition(_) => {}
        }
    }
    let mut names = Vec::new();
    list(&Parser::new(text.as_bytes(), 1).program().ok()?, &mut names);
    Some(names)
}

#[test]
fn the_corpus_has_the_commands_that_the_parser_finds() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/dosh");
    let (mut scripts, mut differing) = (0, Vec::new());
    for file in std::fs::read_dir(directory).expect("the corpus").flatten() {
        let text = std::fs::read_to_string(file.path()).unwrap_or_default();
        for case in text
            .split("\n--- ")
            .filter_map(|case| case.split_once('\n'))
        {
            let Some(mut expected) = parsed(case.1) else {
                continue;
            };
            // Nobody types that.
            if case.0.starts_with("lines continued in")
                || case.0 == "a line continued in a reserved word"
            {
                continue;
            }
            scripts += 1;
            let found = look(case.1);
            let names = found
                .calls
                .iter()
                .filter_map(|call| call.words.first()?.text.clone());
            let mut names: Vec<Vec<u8>> = names.collect();
            names.sort();
            expected.sort();
            // Commands within words are found too, which the names above leave out.
            if ["$(", "`", "<(", ">("]
                .iter()
                .any(|begin| case.1.contains(begin))
            {
                names.retain(|name| expected.contains(name));
                names.dedup();
                expected.dedup();
            }
            if names != expected {
                let shown =
                    |names: &[Vec<u8>]| String::from_utf8_lossy(&names.join(&b' ')).into_owned();
                differing.push(format!(
                    "{}: {} | {}",
                    case.0,
                    shown(&names),
                    shown(&expected)
                ));
            }
        }
    }
    assert!(scripts > 600, "{scripts}");
    assert!(
        differing.is_empty(),
        "{} differ: {:#?}",
        differing.len(),
        &differing[..differing.len().min(20)]
    );
}
