//! A lane's thread: takes calls, has them executed, answers.
#![allow(unsafe_code)]

use crate::calls::Caller;
use crate::message::FromShadow;
use crate::shadow::session::Session;
use crate::shadow::stay::Stay;
use hostcall::doorbell::{futex_wait, futex_wake, Futex};
use hostcall::lane::{call_number, HostEnd, Next};
use hostcall::ops::{self, Op, Trace};
use hostcall::region::{LanePage, LaneState, Region};
use hostcall::shm::Window;
use hostcall::wait::{Budget, Doorbell, Wakeup};
use hostcall::wire::{flags, Message, ProtocolError, SCRATCH};
use std::sync::atomic::{fence, AtomicBool, AtomicI32, AtomicU32, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Head of a payload that a trace shows: all paths of any call.
const TRACED_BYTES: usize = SCRATCH;

/// How the guest's threads are woken; the host's own always sleep on a futex.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostBell {
    /// They sleep on the same kernel.
    Futex,
    /// They look at their word themselves, and after a while they want their lane named on the guest's line.
    Watched,
}

impl HostBell {
    fn budget(self) -> Budget {
        match self {
            HostBell::Futex => Budget::LOCAL.moving(),
            HostBell::Watched => Budget::DEVICE.moving(),
        }
    }
}

/// The doorbell of one lane's host end.
struct LaneBell<'l> {
    session: &'static Session,
    lane: u32,
    page: &'l LanePage,
    ending: &'l AtomicBool,
}

impl Doorbell for LaneBell<'_> {
    fn is_over(&self) -> bool {
        self.ending.load(Ordering::Relaxed)
    }
    fn sleep(&self, word: &AtomicU32, limit: Option<Duration>) -> Wakeup {
        Futex.sleep(word, limit)
    }
    fn wake(&self, word: &AtomicU32) {
        match self.session.bell {
            HostBell::Futex => Futex.wake(word),
            HostBell::Watched => {
                // [B2] Orders taking back SLEEPING before the look for the wish; pairs with [B1].
                fence(Ordering::SeqCst);
                if self.page.bell.0.load(Ordering::Relaxed) != 0 {
                    self.session.hostd.ring(self.lane);
                }
            }
        }
    }
}

/// What the main thread knows of a lane's thread.
#[derive(Debug)]
pub struct Lane {
    /// Number in its region.
    pub number: u32,
    /// The region.
    pub region: Arc<Region>,
    /// Kernel id of the thread, for `tgkill`; 0 before it runs and after it has left.
    thread: AtomicI32,
    /// Number of the next call to be answered, as a cancel word names it.
    unanswered: AtomicU32,
    /// Set when the thread has left the lane.
    left: AtomicU32,
    /// Set when the thread is to leave it. The lane's state says so too, but lies in memory that the guest writes.
    ending: AtomicBool,
}

impl Lane {
    /// Starts a thread on a lane. It begins on the calling thread's processor, which is idle when that has nothing more to do: by
    /// itself the kernel may put it behind a program that runs on another.
    pub fn start(
        session: &'static Session,
        region: Arc<Region>,
        number: u32,
    ) -> std::io::Result<Arc<Lane>> {
        let (thread, left) = (AtomicI32::new(0), AtomicU32::new(0));
        let ending = AtomicBool::new(false);
        let lane = Arc::new(Lane {
            number,
            region,
            thread,
            unanswered: AtomicU32::new(call_number(0)),
            left,
            ending,
        });
        let own = lane.clone();
        let stay = Stay::begin();
        // The deepest call is a trace line; 128 KiB is ample, and only touched pages cost memory.
        let started = std::thread::Builder::new()
            .stack_size(128 << 10)
            .spawn(move || {
                stay.end();
                own.run(session)
            });
        stay.end();
        started.map(|_| lane)
    }

    /// The lane's control page.
    pub fn page(&self) -> Option<&LanePage> {
        self.region.page(self.number)
    }

    /// Whether the thread has left.
    pub fn has_left(&self) -> bool {
        self.left.load(Ordering::Acquire) != 0
    }

    /// Has the thread leave after the call it is in, whatever the guest writes.
    pub fn end(&self) {
        self.ending.store(true, Ordering::Relaxed);
    }

    /// Whether the thread is to leave, or the guest wants it to.
    pub fn is_ending(&self) -> bool {
        let state = self.page().and_then(LanePage::state);
        self.ending.load(Ordering::Relaxed) || state != Some(LaneState::Served)
    }

    /// Waits for a while until the thread has left.
    pub fn await_end(&self, most: Duration) {
        futex_wait(&self.left, 0, Some(most));
    }

    /// Whether the guest wants a call cancelled that has not been answered. The thread may not even have taken it
    /// yet: a cancellation that comes first must not be lost.
    pub fn to_be_cancelled(&self) -> bool {
        let cancel = self
            .page()
            .map(|page| page.cancel.0.load(Ordering::Acquire));
        cancel == Some(self.unanswered.load(Ordering::Relaxed))
    }

    /// Interrupts the system call that the thread is in. It may be about to enter one, so this is repeated until
    /// the purpose is reached.
    pub fn interrupt(&self) {
        let thread = self.thread.load(Ordering::Acquire);
        if thread != 0 {
            // SAFETY: plain system call; the thread id is one of this process's or has ended, which is ESRCH.
            unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, libc::SIGUSR1) };
        }
    }

    fn run(&self, session: &'static Session) {
        // SAFETY: plain system call.
        self.thread
            .store(unsafe { libc::gettid() }, Ordering::Release);
        let board = session.board.slot(session.slot);
        board.lanes.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = self.serve(session) {
            session.fault(&error);
        }
        board.lanes.fetch_sub(1, Ordering::Relaxed);
        self.thread.store(0, Ordering::Release);
        self.left.store(1, Ordering::Release);
        futex_wake(&self.left, 1);
        if session.bell == HostBell::Watched {
            let _ = session
                .hostd
                .tell(&FromShadow::LaneClosed { lane: self.number }, &[]);
        }
    }

    fn serve(&self, session: &'static Session) -> Result<(), ProtocolError> {
        let head = session.board.head();
        let (Some(page), Some(arena)) = (self.page(), self.region.arena(self.number)) else {
            return Err(ProtocolError::Header("lane number"));
        };
        let bell = LaneBell {
            session,
            lane: self.number,
            page,
            ending: &self.ending,
        };
        let mut end = HostEnd::new(session.bell.budget(), session.board.clock());
        let mut caller = Caller::new(session);
        let mut scratch = vec![0; SCRATCH];
        // A spare shadow's thread sleeps here, and looks for calls when there is somebody to make them.
        session.await_adoption();
        while let Next::Call(call, chunk) = end.next(page, arena, &bell)? {
            let traced = head.tracing.load(Ordering::Relaxed) != 0;
            let traced = traced.then(|| Traced::begin(call, chunk));
            let answer = execute(&mut caller, call, chunk, &mut scratch)?;
            if let Some(traced) = traced {
                traced.end(session, answer);
            }
            // Before the answer, whose release publishes it: a guest that has the answer cancels a later call only.
            self.unanswered
                .store(call_number(end.answered() + 1), Ordering::Relaxed);
            end.reply(page, &bell, answer);
            count(session, &call, &answer);
        }
        Ok(())
    }
}

fn execute(
    caller: &mut Caller,
    call: Message,
    chunk: Window<'_>,
    scratch: &mut [u8],
) -> Result<Message, ProtocolError> {
    if call.flags & flags::LINK != 0 && !caller.complete {
        return Ok(Message {
            code: libc::ECANCELED as u32,
            ..Message::default()
        });
    }
    if !caller.may_execute(call.code) {
        caller.complete = false;
        return Ok(Message {
            code: libc::EPERM as u32,
            ..Message::default()
        });
    }
    caller.complete = true;
    let spec = Op::from_number(call.code).map(Op::spec);
    if spec.is_some_and(|spec| !spec.clean) {
        caller.session.mark();
    }
    let changes = spec.is_some_and(|spec| spec.changes);
    let change = changes.then(|| caller.session.change());
    let answer = ops::dispatch(caller, call, chunk, scratch)?;
    drop(change);
    if answer.code != 0 {
        caller.complete = false;
    }
    Ok(answer)
}

/// After the answer is on its way: the guest does not wait for the books.
fn count(session: &Session, call: &Message, answer: &Message) {
    let counts = session.board.slot(session.slot);
    counts.calls[call.code as usize % counts.calls.len()].fetch_add(1, Ordering::Relaxed);
    if answer.code != 0 {
        counts.errors.fetch_add(1, Ordering::Relaxed);
    }
}

/// A call that a trace shows.
struct Traced {
    call: Message,
    /// The head of the payload, which the call may overwrite.
    payload: Vec<u8>,
    start: Instant,
}

impl Traced {
    #[cold]
    fn begin(call: Message, chunk: Window<'_>) -> Traced {
        let mut payload = vec![0; (call.payload as usize).min(TRACED_BYTES).min(chunk.len())];
        let _ = chunk.copy_out(&mut payload);
        Traced {
            call,
            payload,
            start: Instant::now(),
        }
    }

    #[cold]
    fn end(self, session: &Session, answer: Message) {
        let took = self.start.elapsed();
        let line = format!(
            "{} <{:.6}>",
            Trace {
                call: self.call,
                payload: &self.payload,
                answer
            },
            took.as_secs_f64()
        );
        session.trace(line);
    }
}
