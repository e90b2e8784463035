//! Host programs by the typed client: words, pipes, and what becomes of them.

use crate::daemon::Daemon;
use crate::witness::c;
use hostcall::ops::Calls;
use hostcall::types::{Errno, JobState, Offset, OpenFlags, RemoteFd, RwFlags};
use hostcall::wire::{Sink, Source};
use serde_json::{json, Value};

/// No file: `/dev/null`.
pub const NONE: RemoteFd = RemoteFd(-1);
/// The flag of `exec` whose answer does not wait until the program runs.
pub const LATER: u32 = 4;

/// A hostd whose guest sees everything and may start everything.
pub fn daemon() -> Daemon {
    Daemon::configured(|_| json!({"exports": [{"path": "/"}], "exec": {"allow": ["*"]}}))
}

/// Makes hostd's directory of the test that of the programs.
///
/// # Panics
/// The host refuses.
pub fn enter(daemon: &Daemon, calls: &impl Calls) {
    calls.chdir(&c(&daemon.export(""))).expect("it is there");
}

/// The lines of the audit log, in the file `audit` of hostd's directory, that are about this event.
///
/// # Panics
/// There is no such log.
pub fn audited(daemon: &Daemon, event: &str) -> Vec<Value> {
    let log = std::fs::read_to_string(daemon.directory.join("audit")).expect("an audit log");
    let lines = log.lines();
    let lines = lines.map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    lines.filter(|line| line["event"] == event).collect()
}

/// What `exec` reads: counts, arguments, offered variables.
pub fn words(arguments: &[&[u8]], offered: &[&[u8]]) -> Vec<u8> {
    let counts = [arguments.len() as u32, offered.len() as u32];
    let mut bytes: Vec<u8> = counts.into_iter().flat_map(u32::to_le_bytes).collect();
    for word in arguments.iter().chain(offered) {
        bytes.extend_from_slice(word);
        bytes.push(0);
    }
    bytes
}

/// The same of text.
pub fn words_of(arguments: &[&str], offered: &[&str]) -> Vec<u8> {
    fn bytes<'w>(words: &[&'w str]) -> Vec<&'w [u8]> {
        words.iter().map(|word| word.as_bytes()).collect()
    }
    words(&bytes(arguments), &bytes(offered))
}

/// Starts a program with words that are given as they stand in the scratch file.
pub fn start_raw(
    calls: &impl Calls,
    words: &[u8],
    [stdin, stdout, stderr]: [RemoteFd; 3],
    flags: u32,
) -> Result<u32, Errno> {
    start_beside(calls, words, [stdin, stdout, stderr], flags, 0)
}

/// The same in the process group of another job, unless that is 0.
pub fn start_beside(
    calls: &impl Calls,
    words: &[u8],
    [stdin, stdout, stderr]: [RemoteFd; 3],
    flags: u32,
    beside: u32,
) -> Result<u32, Errno> {
    // The empty words of a test are refused as what they are.
    let scratch = calls.scratch(words.len().max(1) as u64)?.fd;
    let started = put(calls, scratch, words)
        .and_then(|()| calls.exec(scratch, stdin, stdout, stderr, flags, beside));
    calls.close(scratch)?;
    Ok(started?.job)
}

/// Writes all of it into a scratch file.
pub fn put(calls: &impl Calls, scratch: RemoteFd, words: &[u8]) -> Result<(), Errno> {
    for (n, piece) in words.chunks(64 << 10).enumerate() {
        let at = Offset((n * (64 << 10)) as i64);
        let written = calls
            .write(scratch, at, RwFlags(0), Source::new(piece))?
            .written;
        assert_eq!(written as usize, piece.len());
    }
    Ok(())
}

/// Starts a program.
pub fn start(calls: &impl Calls, arguments: &[&str], streams: [RemoteFd; 3]) -> Result<u32, Errno> {
    start_with(calls, arguments, &[], streams)
}

/// Starts a program and offers variables.
pub fn start_with(
    calls: &impl Calls,
    arguments: &[&str],
    offered: &[&str],
    streams: [RemoteFd; 3],
) -> Result<u32, Errno> {
    start_raw(calls, &words_of(arguments, offered), streams, 0)
}

/// A pipe: reader, writer.
pub fn pipe(calls: &impl Calls) -> (RemoteFd, RemoteFd) {
    let pipe = calls.pipe(OpenFlags(libc::O_CLOEXEC)).expect("a pipe");
    (pipe.reader, pipe.writer)
}

/// Waits for the end, and lets go.
pub fn finish(calls: &impl Calls, job: u32) -> JobState {
    let state = calls.wait(job, 0).expect("its end").state;
    calls.forget(job).expect("it has ended");
    state
}

/// Reads to the end, or to an error such as a terminal gives when nobody has it open any more.
pub fn read_all(calls: &impl Calls, fd: RemoteFd) -> Vec<u8> {
    let (mut all, mut room) = (Vec::new(), vec![0; 64 << 10]);
    loop {
        match calls.read(fd, Offset::CURRENT, RwFlags(0), Sink::new(&mut room)) {
            Ok(reply) if reply.filled.0 > 0 => all.extend_from_slice(&room[..reply.filled.0]),
            _ => return all,
        }
    }
}

/// Writes all.
pub fn write_all(calls: &impl Calls, fd: RemoteFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        let piece = &bytes[..bytes.len().min(64 << 10)];
        let written = calls
            .write(fd, Offset::CURRENT, RwFlags(0), Source::new(piece))?
            .written;
        bytes = &bytes[written as usize..];
    }
    Ok(())
}

/// Runs a program to its end: standard output, and how it ended.
pub fn output(calls: &impl Calls, arguments: &[&str]) -> Result<(String, JobState), Errno> {
    let (reader, writer) = pipe(calls);
    let job = start(calls, arguments, [NONE, writer, NONE]);
    calls.close(writer).expect("open");
    let text = job.map(|job| (job, read_all(calls, reader)));
    calls.close(reader).expect("open");
    let (job, text) = text?;
    Ok((
        String::from_utf8_lossy(&text).into_owned(),
        finish(calls, job),
    ))
}
