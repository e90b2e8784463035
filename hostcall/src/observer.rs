//! Who looks on at this process's own host calls: its report and its trace, besides `hostd trace`.

use crate::table::{Reply, Request};
use crate::types::Errno;
use once_cell::race::OnceRef;
use std::fmt;

/// Is told of each call, as a trace shows it, when it is answered, and what it came to. It may run in a signal handler,
/// before malloc may be used, and while a lane is held: no calls may be made in it.
pub type Observer = fn(call: &dyn fmt::Display, answer: Result<&dyn fmt::Display, Errno>);

static OBSERVER: OnceRef<'static, Observer> = OnceRef::new();

/// Has an observer look on from now on. The first one of a process stays.
pub fn observe(observer: &'static Observer) {
    let _ = OBSERVER.set(observer);
}

/// Tells the observer of a call. One load where there is none.
#[inline]
pub(crate) fn tell<R: Request>(request: &R, outcome: &Result<R::Reply, Errno>) {
    if let Some(observer) = OBSERVER.get() {
        told(observer, request, outcome);
    }
}

#[cold]
fn told<R: Request>(observer: &Observer, request: &R, outcome: &Result<R::Reply, Errno>) {
    let call = Asked(request);
    match outcome {
        Ok(reply) => observer(&call, Ok(&Answered(reply))),
        Err(errno) => observer(&call, Err(*errno)),
    }
}

struct Asked<'r, R>(&'r R);

impl<R: Request> fmt::Display for Asked<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.show(f)
    }
}

struct Answered<'r, R>(&'r R);

impl<R: Reply> fmt::Display for Answered<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.show(f)
    }
}
