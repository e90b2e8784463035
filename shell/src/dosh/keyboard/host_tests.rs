//! What is known of the host while it answers, and while it does not.

use super::*;
use std::io::{Read, Write};

const SOON: Duration = Duration::from_secs(10);
const AT_ONCE: Duration = Duration::from_millis(1);

/// A host, and the end at which its questions arrive.
fn pair() -> (Host, UnixStream) {
    let (own, other) = UnixStream::pair().expect("a pair");
    let line = Line {
        fd: own.into_raw_fd(),
        child: None,
        asked: None,
        since: Instant::now(),
        called: false,
        next: None,
        received: Bytes::new(),
    };
    let mut host = Host::default();
    host.line = Some(line);
    (host, other)
}

/// The next question's number and text.
fn hears(other: &mut UnixStream) -> (u32, Question) {
    let mut length = [0; 4];
    other.read_exact(&mut length).expect("a length");
    let mut body = vec![0; u32::from_le_bytes(length) as usize];
    other.read_exact(&mut body).expect("a question");
    let (number, asked) = host_child::read_question(&body).expect("a question");
    (number, asked.question)
}

fn paths(text: &str) -> Question {
    Question::Paths(text.into())
}

fn found(names: &[&str]) -> Found {
    let names = names.iter().map(|name| name.as_bytes().to_vec());
    Found::from(names.collect::<Vec<Bytes>>())
}

#[test]
fn nobody_waits_for_a_host_that_does_not_answer() {
    let (mut host, mut other) = pair();
    assert_eq!(host.ask(&paths("a"), AT_ONCE), Answer::Waiting);
    assert_eq!(host.ask(&paths("ab"), AT_ONCE), Answer::Waiting);
    assert_eq!(host.ask(&paths("abc"), AT_ONCE), Answer::Waiting);
    let (number, question) = hears(&mut other);
    assert_eq!(question, paths("a"));
    // Late, and the last of those that came up meanwhile is the next.
    let sent = host_child::answer(number, Some(&found(&["a1"])));
    other.write_all(&sent).expect("an answer");
    host.hear();
    let (number, question) = hears(&mut other);
    assert_eq!(question, paths("abc"));
    let sent = host_child::answer(number, Some(&found(&["abcd"])));
    other.write_all(&sent).expect("an answer");
    assert_eq!(
        host.ask(&paths("abc"), SOON),
        Answer::Names(found(&["abcd"]).into())
    );
    assert!(!host.waits());
    assert_eq!(
        host.ask(&paths("a"), AT_ONCE),
        Answer::Names(found(&["a1"]).into())
    );
}

#[test]
fn another_line_asks_again() {
    let (mut host, mut other) = pair();
    assert_eq!(host.ask(&paths("a"), AT_ONCE), Answer::Waiting);
    host.begin_line(There::default());
    let (number, _) = hears(&mut other);
    other
        .write_all(&host_child::answer(number, None))
        .expect("an answer");
    // That was the answer to the line before.
    assert_eq!(host.ask(&paths("a"), AT_ONCE), Answer::Waiting);
    let (number, _) = hears(&mut other);
    other
        .write_all(&host_child::answer(number, None))
        .expect("an answer");
    assert_eq!(host.ask(&paths("a"), SOON), Answer::Nothing);
}

#[test]
fn a_name_that_is_not_listed_is_none_unless_the_list_is_cut() {
    let (mut host, mut other) = pair();
    assert_eq!(host.runs(b"make", AT_ONCE), None);
    let (number, question) = hears(&mut other);
    assert_eq!(question, Question::Programs(Bytes::new()));
    let sent = host_child::answer(number, Some(&found(&["cc", "make"])));
    other.write_all(&sent).expect("an answer");
    host.hear();
    assert_eq!(host.runs(b"make", AT_ONCE), Some(true));
    assert_eq!(host.runs(b"mak", AT_ONCE), Some(false));
    let many: Vec<Bytes> = (0..20_000)
        .map(|n| format!("program-{n:05}").into())
        .collect();
    host.programs = Some((Instant::now(), Found::from(many).into()));
    assert_eq!(host.runs(b"program-00007", AT_ONCE), Some(true));
    assert_eq!(host.runs(b"make", AT_ONCE), None);
}

#[test]
fn who_hangs_up_is_not_called_at_once() {
    let (mut host, other) = pair();
    drop(other);
    assert_eq!(host.ask(&paths("a"), SOON), Answer::Nothing);
    assert!(host.line.is_none());
    assert_eq!(host.ask(&paths("a"), SOON), Answer::Nothing);
    assert_eq!(host.runs(b"make", SOON), None);
}

#[test]
fn what_is_asked_ahead_is_asked_once_and_displaces_no_question() {
    let (mut host, mut other) = pair();
    let ahead = |directory: &str| Question::Ahead(directory.into());
    host.ahead(b"a/");
    host.ahead(b"a/");
    assert_eq!(hears(&mut other).1, ahead("a/"));
    // A question waits for its turn already.
    assert_eq!(host.ask(&paths("a/x"), AT_ONCE), Answer::Waiting);
    host.ahead(b"b/");
    let sent = host_child::answer(host.number, Some(&Found::default()));
    other.write_all(&sent).expect("an answer");
    host.hear();
    let (number, question) = hears(&mut other);
    assert_eq!(question, paths("a/x"));
    let sent = host_child::answer(number, Some(&found(&["a/x1"])));
    other.write_all(&sent).expect("an answer");
    host.ahead(b"b/");
    assert_eq!(hears(&mut other).1, ahead("b/"));
}

#[test]
fn who_hangs_at_what_was_asked_for_a_line_is_let_go_at_the_next_one() {
    let aged = |host: &mut Host| {
        let line = host.line.as_mut().expect("a line");
        line.since = Instant::now() - HANGS;
    };
    for (question, stays) in [
        (Question::Ahead(b"a/".to_vec()), false),
        (paths("a"), false),
        (Question::Side, true),
    ] {
        let (mut host, _other) = pair();
        host.send(&question);
        host.begin_line(There::default());
        assert!(host.line.is_some(), "{question:?} has only been sent");
        aged(&mut host);
        host.begin_line(There::default());
        assert_eq!(host.line.is_some(), stays, "{question:?}");
        assert!(host.silent_since.is_none());
    }
}

#[test]
fn names_of_files_are_asked_for_again_after_a_tab() {
    let (mut host, mut other) = pair();
    for name in ["a1", "a2"] {
        assert_eq!(host.ask(&paths("a"), AT_ONCE), Answer::Waiting);
        let (number, _) = hears(&mut other);
        let sent = host_child::answer(number, Some(&found(&[name])));
        other.write_all(&sent).expect("an answer");
        for _ in 0..2 {
            let known = host.ask(&paths("a"), AT_ONCE);
            assert_eq!(known, Answer::Names(found(&[name]).into()));
        }
        for (since, _) in host.answers.values_mut() {
            *since = Instant::now() - TAB;
        }
    }
}
