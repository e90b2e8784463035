//! Looking on at the hooks: the [report](summary) at the end of a program image, the [trace] of its calls, and the programs
//! in which they are passed by ([`bypass`](crate::bypass)).
//!
//! All hooks are made to ask [`armed`] first, which is all that looking on costs while it is off. What a hook does through
//! other hooks is its own: only the outermost call of a thread is counted.
#![allow(unsafe_code)]

pub mod output;
pub mod summary;
pub mod trace;

use crate::cancel;
use crate::first::FIRST;
use crate::real::{errno, try_sys};
use crate::report::Line;
use crate::symbols::Row;
use hostcall::clock;
use hostcall::observer::{self, Observer};
use hostcall::types::Errno;
use libc::{c_char, c_int, c_void};
use std::cell::{Cell, UnsafeCell};
use std::fmt::{self, Write};
use std::sync::atomic::Ordering;
use syscalls::Sysno;

const COUNTED: u8 = 1;
const TRACED: u8 = 2;
const BYPASSED: u8 = 4;
/// Some thread was cancelled.
const CANCELLING: u8 = 8;
/// Some thread may be cancelled at any instant.
const SUDDEN: u8 = 16;

/// Whether anybody looks on, hooks are passed by, or threads are [cancelled](cancel). One load.
#[inline]
pub fn armed() -> bool {
    FIRST.armed.load(Ordering::Relaxed) != 0
}

/// Whether the hooks are passed by.
pub fn bypassed() -> bool {
    is(BYPASSED)
}

fn is(what: u8) -> bool {
    FIRST.armed.load(Ordering::Relaxed) & what != 0
}

fn arm(what: u8) {
    FIRST.armed.fetch_or(what, Ordering::Relaxed);
}

/// Has the hooks passed by from now on.
pub fn bypass() {
    arm(BYPASSED);
}

/// Has the hooks of cancellation points ask for cancelled threads from now on.
pub fn cancelling() {
    arm(CANCELLING);
}

/// Whether they do.
pub fn is_cancelling() -> bool {
    is(CANCELLING)
}

/// Has the hooks put off cancellations that come at any instant.
pub fn sudden() {
    arm(SUDDEN);
}

/// Whether they do.
pub fn is_sudden() -> bool {
    is(SUDDEN)
}

/// Looks on from now on, as far as the settings say so.
///
/// # Safety
/// From the constructor only; the arguments are the program's.
pub unsafe fn start(report: Option<&[u8]>, trace: Option<&[u8]>, arguments: *const *const c_char) {
    let counted = report.is_some_and(|wanted| output::REPORT.open("HOSTCALL_REPORT", wanted));
    let traced = trace.is_some_and(|wanted| output::TRACE.open("HOSTCALL_TRACE", wanted));
    if !counted && !traced {
        return;
    }
    if counted {
        // SAFETY: the caller's promise.
        unsafe { summary::begin(arguments) };
        at_quick_exit();
    }
    if traced {
        trace::resolve();
    }
    static ANSWERED: Observer = answered;
    observer::observe(&ANSWERED);
    arm(if counted { COUNTED } else { 0 } | if traced { TRACED } else { 0 });
}

/// Has quick_exit(3) report, after the program's own handlers.
fn at_quick_exit() {
    extern "C" {
        fn __cxa_at_quick_exit(act: extern "C" fn(*mut c_void), library: *mut c_void) -> c_int;
    }
    extern "C" fn report(_: *mut c_void) {
        end();
    }
    // SAFETY: a function that lives as long as the program.
    unsafe { __cxa_at_quick_exit(report, std::ptr::null_mut()) };
}

/// exit(3) comes here after the program's handlers, which may have closed its standard error.
#[used]
#[link_section = ".fini_array"]
static END: extern "C" fn() = end;

/// The program image ends.
pub extern "C" fn end() {
    if is(COUNTED) {
        summary::write();
    }
}

/// The program image may be about to be replaced, as execve(2) would do it from a calling hook. A report that comes too soon,
/// because the new image is refused after all, is followed by another.
///
/// # Safety
/// `path` is a C string.
pub unsafe fn before_exec(dirfd: c_int, path: *const c_char) {
    if !is(COUNTED | TRACED) {
        return;
    }
    // SAFETY: the caller's promise.
    let refused =
        unsafe { *path != 0 && try_sys!(Sysno::faccessat, dirfd, path, libc::X_OK).is_err() };
    if refused {
        return;
    }
    if is(TRACED) {
        THREAD.with(|thread| thread.show(&"?"));
    }
    if is(COUNTED) {
        summary::write();
    }
}

/// In a child of fork(2): it counts anew, and the fork is its parent's.
pub fn forked() {
    if is(COUNTED | TRACED) {
        THREAD.with(|thread| thread.place.set(0));
        summary::forked();
    }
}

/// What a hook answers its program.
pub trait Answer {
    /// Writes it as a trace shows it, with the errno that came with it.
    fn show(&self, errno: Errno, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

macro_rules! answers {
    ($($number:ty),*) => { $(
        impl Answer for $number {
            fn show(&self, errno: Errno, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match *self as i64 {
                    -1 => write!(f, "-1 {}", trace::Name(errno)),
                    number => write!(f, "{number}"),
                }
            }
        }
    )* };
}
answers!(i32, i64, isize, u32, usize);

impl<T> Answer for *mut T {
    fn show(&self, errno: Errno, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self as isize {
            0 | -1 => write!(f, "{self:p} {}", trace::Name(errno)),
            _ => write!(f, "{self:p}"),
        }
    }
}

impl Answer for () {
    fn show(&self, _: Errno, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("done")
    }
}

/// A hook while somebody looks on, where it is passed by, or where threads are cancelled.
#[cold]
#[inline(never)]
pub fn around<T: Answer>(row: Row, shim: impl FnOnce() -> T, own: impl FnOnce() -> T) -> T {
    if bypassed() {
        return own();
    }
    let call = || match is(COUNTED | TRACED) {
        true => watched(row, shim),
        false => shim(),
    };
    match row {
        // Which changes what is put off around the others.
        Row::pthread_setcanceltype => call(),
        _ => cancel::around(row.is_point(), call),
    }
}

fn watched<T: Answer>(row: Row, shim: impl FnOnce() -> T) -> T {
    let place = Place(Cell::new(0));
    let outermost = enter(row, &place);
    let answer = shim();
    if outermost {
        leave(&place, &answer);
    }
    answer
}

#[inline(never)]
fn enter(row: Row, place: &Place) -> bool {
    THREAD.with(|thread| thread.enter(row, place))
}

#[inline(never)]
fn leave(place: &Place, answer: &dyn Answer) {
    THREAD.with(|thread| thread.leave(place, answer));
}

/// Something on the stack, whose address says how deep it lies.
struct Place(Cell<usize>);

impl Place {
    fn address(&self) -> usize {
        self.0.as_ptr() as usize
    }
}

/// Bytes of a trace that the host calls of one hook may take; the rest is left out.
const TEXT: usize = 1024;

/// The outermost hook that a thread is in.
struct Thread {
    /// Where it stands on the stack; 0 if there is none. Only compared: a handler that leaves by longjmp(3) leaves it behind.
    place: Cell<usize>,
    row: Cell<Row>,
    start: Cell<u64>,
    /// Host calls made in it.
    calls: Cell<u64>,
    text: UnsafeCell<Line<TEXT>>,
    /// The text is being written: a signal handler leaves it alone.
    writing: Cell<bool>,
}

thread_local! {
    static THREAD: Thread = const {
        Thread {
            place: Cell::new(0),
            // The first: a thread's memory begins as zeros.
            row: Cell::new(Row::open),
            start: Cell::new(0),
            calls: Cell::new(0),
            text: UnsafeCell::new(Line::new()),
            writing: Cell::new(false),
        }
    };
}

impl Thread {
    /// Begins a call, unless it is made within another: further down the stack.
    fn enter(&self, row: Row, place: &Place) -> bool {
        let outer = self.place.get();
        if outer != 0 && place.address() < outer {
            return false;
        }
        self.place.set(place.address());
        self.row.set(row);
        self.calls.set(0);
        self.write(|text| *text = Line::new());
        self.start.set(now());
        true
    }

    /// Ends a call, unless a handler on another stack has taken its place.
    fn leave(&self, place: &Place, answer: &dyn Answer) {
        if self.place.get() != place.address() {
            return;
        }
        let took = now() - self.start.get();
        if is(COUNTED) {
            summary::count(self.row.get(), self.calls.get(), took);
        }
        if is(TRACED) {
            self.show(&trace::Answered(answer, errno()));
        }
        self.place.set(0);
    }

    /// Writes the line of a call, if it has made host calls.
    fn show(&self, answer: &dyn fmt::Display) {
        if self.calls.get() > 0 {
            let took = now() - self.start.get();
            self.write(|text| trace::line(self.row.get(), text.bytes(), answer, took));
        }
    }

    fn write(&self, work: impl FnOnce(&mut Line<TEXT>)) {
        if !self.writing.replace(true) {
            // SAFETY: the thread's own, and nobody else of it holds the text while `writing` is set.
            work(unsafe { &mut *self.text.get() });
            self.writing.set(false);
        }
    }
}

/// A host call was answered.
fn answered(call: &dyn fmt::Display, answer: Result<&dyn fmt::Display, Errno>) {
    THREAD.with(|thread| {
        if thread.place.get() == 0 {
            return summary::aside();
        }
        thread.calls.set(thread.calls.get() + 1);
        if is(TRACED) {
            thread.write(|text| {
                let separator = if text.bytes().is_empty() { "" } else { ", " };
                let _ = match answer {
                    Ok(reply) => write!(text, "{separator}{call} = {reply}"),
                    Err(errno) => write!(text, "{separator}{call} = -1 {}", trace::Name(errno)),
                };
            });
        }
    });
}

/// Nanoseconds of the monotonic clock.
pub fn now() -> u64 {
    clock::monotonic().as_nanos() as u64
}
