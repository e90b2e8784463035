//! `HOSTCALL_REPORT`: what the hooks did in the life of a program image, for whoever asks why it was slow.
//!
//! All counts are fixed-size statics, so a report can be written wherever a program may end.
#![allow(unsafe_code)]

use super::now;
use super::output::REPORT;
use crate::real::try_sys;
use crate::report::Line;
use crate::symbols::{Row, ROWS};
use libc::c_char;
use std::cell::UnsafeCell;
use std::fmt::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use syscalls::Sysno;

/// The counts of one row of the symbol table.
struct Counts {
    /// Calls that made host calls.
    hosted: AtomicU64,
    /// Calls that made none: passed on to the guest, or answered from what is known here.
    guest: AtomicU64,
    /// Host calls.
    calls: AtomicU64,
    /// Nanoseconds of the calls that made host calls.
    time: AtomicU64,
}

static COUNTS: [Counts; ROWS] = [const {
    Counts {
        hosted: AtomicU64::new(0),
        guest: AtomicU64::new(0),
        calls: AtomicU64::new(0),
        time: AtomicU64::new(0),
    }
}; ROWS];

/// Host calls of no hook: to begin a session, to let go of a file's locks.
static ASIDE: AtomicU64 = AtomicU64::new(0);

/// Why a host file became a file of the guest kernel, or the like.
#[derive(Clone, Copy)]
pub enum Reason {
    /// It is mapped for sharing.
    Mapped,
    /// It is passed on over a socket.
    Passed,
    /// libc transfers it by threads of its own.
    Asynchronous,
    /// The guest kernel executes it.
    Executed,
    /// A program inherits it that does not load this library, or may not attach.
    Inherited,
}

const REASONS: [(Reason, &str); 5] = [
    (Reason::Mapped, "to be mapped for sharing"),
    (Reason::Passed, "to be passed over a socket"),
    (Reason::Asynchronous, "for asynchronous transfers"),
    (Reason::Executed, "to be executed"),
    (
        Reason::Inherited,
        "for a program or child that cannot attach",
    ),
];

static MATERIALISED: [AtomicU64; REASONS.len()] = [const { AtomicU64::new(0) }; REASONS.len()];
static REFUSED: AtomicU64 = AtomicU64::new(0);
/// Private mappings, which are filled by reading, and their bytes.
static COPIED: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];
/// How often a session was begun, how often one was taken over, and the nanoseconds of both.
static ATTACHED: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];

/// When the image, or the child of a fork, began.
static START: AtomicU64 = AtomicU64::new(0);
/// This is the child of a fork, in the image of its parent.
static CHILD: AtomicBool = AtomicBool::new(false);
/// There was a report, after which counting began anew.
static REPORTED: AtomicBool = AtomicBool::new(false);

/// Its command line, cut.
struct Command(UnsafeCell<Line<160>>);
// SAFETY: written by the constructor only, before other threads exist.
unsafe impl Sync for Command {}
static COMMAND: Command = Command(UnsafeCell::new(Line::new()));

/// Begins to count.
///
/// # Safety
/// From the constructor only; the arguments are the program's.
pub unsafe fn begin(arguments: *const *const c_char) {
    START.store(now(), Ordering::Relaxed);
    // SAFETY: the caller's promise.
    let (command, arguments) = unsafe {
        (
            &mut *COMMAND.0.get(),
            crate::environment::entries(arguments),
        )
    };
    let mut separator = "";
    for argument in arguments {
        let _ = write!(command, "{separator}{}", argument.to_bytes().escape_ascii());
        separator = " ";
    }
}

fn add(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

/// Counts a call of a hook, which made some host calls and took some nanoseconds.
pub fn count(row: Row, calls: u64, took: u64) {
    let counts = &COUNTS[row as usize];
    match calls {
        0 => add(&counts.guest, 1),
        calls => {
            add(&counts.hosted, 1);
            add(&counts.calls, calls);
            add(&counts.time, took);
        }
    }
}

/// Counts a host call of no hook.
pub fn aside() {
    add(&ASIDE, 1);
}

/// Counts a file that became one of the guest kernel, or did not.
pub fn materialised(reason: Reason, done: bool) {
    add(
        if done {
            &MATERIALISED[reason as usize]
        } else {
            &REFUSED
        },
        1,
    );
}

/// Counts a private mapping.
pub fn copied(bytes: usize) {
    add(&COPIED[0], 1);
    add(&COPIED[1], bytes as u64);
}

/// Counts a session that was begun, or taken over from the image or process before.
pub fn attached(resumed: bool, nanoseconds: u64) {
    add(&ATTACHED[usize::from(resumed)], 1);
    add(&ATTACHED[2], nanoseconds);
}

fn forget() {
    let counts = COUNTS
        .iter()
        .flat_map(|counts| [&counts.hosted, &counts.guest, &counts.calls, &counts.time]);
    let others = MATERIALISED
        .iter()
        .chain(&COPIED)
        .chain(&ATTACHED)
        .chain([&ASIDE, &REFUSED]);
    counts
        .chain(others)
        .for_each(|counter| counter.store(0, Ordering::Relaxed));
}

/// In a child of fork(2), before it has a session of its own.
pub fn forked() {
    // By a thread that the child does not have.
    WRITING.store(false, Ordering::Relaxed);
    forget();
    CHILD.store(true, Ordering::Relaxed);
    REPORTED.store(false, Ordering::Relaxed);
    START.store(now(), Ordering::Relaxed);
}

/// A report is being written.
static WRITING: AtomicBool = AtomicBool::new(false);

/// Writes the report and counts anew. The child of a fork that did nothing on the host has none.
pub fn write() {
    let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let sum =
        |of: fn(&Counts) -> &AtomicU64| COUNTS.iter().map(|counts| get(of(counts))).sum::<u64>();
    let hosted = sum(|counts| &counts.hosted);
    let quiet = CHILD.load(Ordering::Relaxed) || REPORTED.load(Ordering::Relaxed);
    if quiet && hosted == 0 {
        return;
    }
    if WRITING.swap(true, Ordering::Acquire) {
        return;
    }
    struct Text(UnsafeCell<Line<24576>>);
    // SAFETY: only whoever has set `WRITING` touches it.
    unsafe impl Sync for Text {}
    static TEXT: Text = Text(UnsafeCell::new(Line::new()));
    // SAFETY: as above.
    let text = unsafe { &mut *TEXT.0.get() };
    text.clear();
    describe(text, hosted, sum(|counts| &counts.guest));
    REPORT.write(text.bytes());
    forget();
    REPORTED.store(true, Ordering::Relaxed);
    WRITING.store(false, Ordering::Release);
}

fn describe(text: &mut dyn Write, hosted: u64, guest: u64) {
    let time: u64 = COUNTS.iter().map(|counts| get(&counts.time)).sum();
    // SAFETY: plain system calls; the command is never written after the constructor.
    let (process, parent, command) = unsafe {
        let id = |answer: Result<isize, _>| answer.unwrap_or(0);
        (
            id(try_sys!(Sysno::getpid)),
            id(try_sys!(Sysno::getppid)),
            (*COMMAND.0.get()).bytes(),
        )
    };
    let command = std::str::from_utf8(command).unwrap_or_default();
    let kind = if CHILD.load(Ordering::Relaxed) {
        "fork of "
    } else {
        ""
    };
    let lived = now() - START.load(Ordering::Relaxed);
    let _ = writeln!(text, "hostcall report: {kind}{command}");
    let _ = writeln!(
        text,
        "  process {process}, child of {parent}, {} ms: {hosted} calls on the host took {} ms, {guest} needed none",
        Ms(lived),
        Ms(time),
    );
    describe_rest(text);
    if hosted > 0 {
        list_hosted(text);
    }
    if guest > 0 {
        list_guests(text);
    }
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// What happened beside the program's calls.
fn describe_rest(text: &mut dyn Write) {
    let [begun, resumed, took] = [&ATTACHED[0], &ATTACHED[1], &ATTACHED[2]].map(get);
    if begun + resumed > 0 {
        let how = if begun == 0 { "taken over" } else { "begun" };
        let _ = writeln!(
            text,
            "  session {how} in {} ms; {} host calls aside",
            Ms(took),
            get(&ASIDE)
        );
    }
    for (reason, why) in REASONS {
        match get(&MATERIALISED[reason as usize]) {
            0 => {}
            files => {
                let _ = writeln!(text, "  {files} made a file of the mount {why}");
            }
        }
    }
    if get(&REFUSED) > 0 {
        let _ = writeln!(
            text,
            "  {} could not be made a file of the mount: is there one?",
            get(&REFUSED)
        );
    }
    if get(&COPIED[0]) > 0 {
        let _ = writeln!(
            text,
            "  {} private mappings filled by reading {} bytes",
            get(&COPIED[0]),
            get(&COPIED[1])
        );
    }
}

/// The symbols with host calls, the one that took longest first.
fn list_hosted(text: &mut dyn Write) {
    let _ = writeln!(
        text,
        "     calls  host calls          ms    us each  symbol"
    );
    let mut rows: [Row; ROWS] = Row::ALL;
    rows.sort_unstable_by_key(|row| std::cmp::Reverse(get(&COUNTS[*row as usize].time)));
    for row in rows {
        let counts = &COUNTS[row as usize];
        let [hosted, calls, time] = [&counts.hosted, &counts.calls, &counts.time].map(get);
        let Some(each) = (time * 1000).checked_div(hosted).map(Ms) else {
            continue;
        };
        let _ = writeln!(
            text,
            "{hosted:10}  {calls:10}  {:>10}  {each:>9}  {}",
            Ms(time),
            row.name()
        );
    }
}

/// The symbols with calls that needed none, the one with most first.
fn list_guests(text: &mut dyn Write) {
    let _ = text.write_str("  without a host call:");
    let mut rows: [Row; ROWS] = Row::ALL;
    rows.sort_unstable_by_key(|row| std::cmp::Reverse(get(&COUNTS[*row as usize].guest)));
    for row in rows {
        match get(&COUNTS[row as usize].guest) {
            0 => break,
            calls => {
                let _ = write!(text, " {} {calls}", row.name());
            }
        }
    }
    let _ = text.write_str("\n");
}

/// Nanoseconds as milliseconds.
struct Ms(u64);

impl std::fmt::Display for Ms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = Line::<32>::new();
        write!(text, "{}.{:03}", self.0 / 1_000_000, self.0 / 1000 % 1000)?;
        f.pad(std::str::from_utf8(text.bytes()).unwrap_or_default())
    }
}
