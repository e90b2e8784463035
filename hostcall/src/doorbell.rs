//! The doorbells: a futex where both sides share a kernel, a serial line where they do not.
#![allow(unsafe_code)]

use crate::attach::bells;
use crate::cancellation::Held;
use crate::clock;
use crate::types::Errno;
use crate::wait::{Doorbell, Wakeup, SLEEPING};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

/// futex(2) on shared memory. Not `FUTEX_PRIVATE_FLAG`, by which std and most crates would never meet the other process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Futex;

impl Doorbell for Futex {
    fn sleep(&self, word: &AtomicU32, limit: Option<Duration>) -> Wakeup {
        futex_wait(word, SLEEPING, limit)
    }
    fn wake(&self, word: &AtomicU32) {
        futex_wake(word, 1);
    }
}

/// Leaves errno alone until this is dropped: a call that succeeds does so however it had to wait, errno(3).
pub struct KeepErrno(i32);

impl KeepErrno {
    /// From now on.
    pub fn begin() -> KeepErrno {
        // SAFETY: errno's address is valid for the life of the thread.
        KeepErrno(unsafe { *libc::__errno_location() })
    }
}

impl Drop for KeepErrno {
    fn drop(&mut self) {
        // SAFETY: as above.
        unsafe { *libc::__errno_location() = self.0 };
    }
}

/// What the library asks of its own kernel by libc's functions amid a call of the program's, until this is dropped: it leaves errno
/// alone, and is no cancellation point, since the thread has a lane. Not for what sleeps until something happens, which syscall(2)
/// does: a handler may leave that by longjmp(3), and the thread would not be cancelled any more.
pub struct Aside {
    _held: Held,
    _errno: KeepErrno,
}

impl Aside {
    /// From now on.
    pub fn begin() -> Aside {
        let _errno = KeepErrno::begin();
        let _held = Held::begin();
        Aside { _held, _errno }
    }
}

fn timespec(time: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: time.as_secs() as i64,
        tv_nsec: time.subsec_nanos().into(),
    }
}

/// Sleeps while `word` is `value`.
pub fn futex_wait(word: &AtomicU32, value: u32, limit: Option<Duration>) -> Wakeup {
    let _errno = KeepErrno::begin();
    let timeout = limit.map(timespec);
    let timeout = timeout
        .as_ref()
        .map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: the word outlives the call; the timeout is null or points to a live timespec.
    let r = unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT,
            value,
            timeout,
        )
    };
    match Errno::result(r) {
        Err(Errno(libc::EINTR)) => Wakeup::Interrupted,
        Err(Errno(libc::ETIMEDOUT)) => Wakeup::TimedOut,
        _ => Wakeup::Rung,
    }
}

/// Wakes up to `count` sleepers on `word`.
pub fn futex_wake(word: &AtomicU32, count: i32) {
    let _errno = KeepErrno::begin();
    // SAFETY: the word is mapped; the call reads nothing but its address.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, count) };
}

/// A guest kernel's serial line: a byte names the lane that wants the host's attention. A ring from the host goes by
/// the guest's resident (see [`bells`]), which takes a while; so the guest's sleep begins as a series of naps that grow
/// to a millisecond, and stays one where there is no resident.
#[derive(Clone, Copy, Debug)]
pub struct SerialLine<'r> {
    /// The line, open for writing.
    pub line: RawFd,
    /// The lane to name.
    pub lane: u8,
    /// The lane's word that says whether the host is to name it.
    pub wanted: Option<&'r AtomicU32>,
}

/// First and longest nap.
const NAP: (Duration, Duration) = (Duration::from_micros(20), Duration::from_millis(1));
/// Times that the processor is given to other guest threads before the first nap, in a guest kernel without fine timers,
/// which makes 10 ms of the shortest nap; so many system calls take about a millisecond in it. Elsewhere a nap is better
/// from the start: a guest that yields keeps the host's processor, which the shadow may be waiting for.
const YIELDS: u32 = 64;

impl SerialLine<'_> {
    fn sleep(&self, word: &AtomicU32, limit: Option<Duration>, restarts: bool) -> Wakeup {
        let _errno = KeepErrno::begin();
        for _ in 0..if coarse_timers() { YIELDS } else { 0 } {
            if word.load(Ordering::Acquire) != SLEEPING {
                return Wakeup::Rung;
            }
            std::thread::yield_now();
        }
        let (mut nap, mut slept) = (NAP.0, Duration::ZERO);
        while word.load(Ordering::Acquire) == SLEEPING {
            if limit.is_some_and(|limit| slept >= limit) {
                return Wakeup::TimedOut;
            }
            if let Some(wanted) = self.wanted.filter(|_| nap == NAP.1) {
                let left = limit.map(|limit| limit.saturating_sub(slept));
                if let Some(woken) =
                    bells::await_ring(word, wanted, self.lane.into(), left, restarts)
                {
                    return woken;
                }
            }
            let interrupted = if nap < NAP.1 {
                let time = timespec(nap);
                // SAFETY: the timespec is live; no remainder is asked for.
                let cut = unsafe { libc::syscall(libc::SYS_nanosleep, &raw const time, 0) == -1 };
                cut && !(restarts && handlers_restart())
            } else {
                // Reads the clock first, another system call, so not for the shortest naps.
                let nobodys = AtomicU32::new(0);
                sleep_as_a_call(&nobodys, 0, Some(nap), restarts) == Wakeup::Interrupted
            };
            if interrupted {
                return Wakeup::Interrupted;
            }
            slept += nap;
            nap = (nap * 2).min(NAP.1);
        }
        Wakeup::Rung
    }
}

/// Whether this kernel's sleeps end at its clock tick only, as clock_getres(2) tells.
fn coarse_timers() -> bool {
    const UNKNOWN: u32 = 0;
    const FINE: u32 = 1;
    const COARSE: u32 = 2;
    static TIMERS: AtomicU32 = AtomicU32::new(UNKNOWN);
    if TIMERS.load(Ordering::Relaxed) == UNKNOWN {
        let mut resolution = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: a live timespec.
        unsafe { libc::clock_getres(libc::CLOCK_MONOTONIC, &mut resolution) };
        let fine = resolution.tv_sec == 0 && resolution.tv_nsec < 1_000_000;
        TIMERS.store(if fine { FINE } else { COARSE }, Ordering::Relaxed);
    }
    TIMERS.load(Ordering::Relaxed) == COARSE
}

/// Writes one byte to a line, waiting while it is full: a lost byte would be a lost wake-up.
pub fn ring_line(line: impl AsRawFd, byte: u8) {
    let _aside = Aside::begin();
    loop {
        // SAFETY: one byte at a live address.
        let written = unsafe { libc::write(line.as_raw_fd(), std::ptr::from_ref(&byte).cast(), 1) };
        match Errno::result(written as i64) {
            Err(Errno(libc::EINTR | libc::EAGAIN)) => std::thread::yield_now(),
            _ => return,
        }
    }
}

/// Sleeps as a call of the guest's program does: after a handler with `SA_RESTART` the sleep goes on, and
/// [`Wakeup::Interrupted`] tells of one without; of any handler, if the call is none that `restarts`, signal(7).
///
/// futex_waitv(2) is the one futex wait with a limit that the kernel restarts so (its limit is absolute). Kernels before
/// 5.16, and filters that do not know it, get FUTEX_WAIT and a guess.
pub fn sleep_as_a_call(
    word: &AtomicU32,
    value: u32,
    limit: Option<Duration>,
    restarts: bool,
) -> Wakeup {
    static UNKNOWN: AtomicBool = AtomicBool::new(false);
    if restarts && !UNKNOWN.load(Ordering::Relaxed) {
        match futex_waitv(word, value, limit) {
            Err(Errno(libc::EINTR)) => return Wakeup::Interrupted,
            Err(Errno(libc::ETIMEDOUT)) => return Wakeup::TimedOut,
            Err(Errno(libc::ENOSYS | libc::EPERM)) => UNKNOWN.store(true, Ordering::Relaxed),
            _ => return Wakeup::Rung,
        }
    }
    match futex_wait(word, value, limit) {
        Wakeup::Interrupted if restarts && handlers_restart() => Wakeup::Rung,
        woken => woken,
    }
}

/// `struct futex_waitv` of `linux/futex.h`.
#[repr(C)]
struct Waiter {
    value: u64,
    address: u64,
    flags: u32,
    reserved: u32,
}

/// futex_waitv(2) on one shared word.
fn futex_waitv(word: &AtomicU32, value: u32, limit: Option<Duration>) -> Result<i64, Errno> {
    /// `FUTEX2_SIZE_U32`, without the private flag.
    const SIZE_U32: u32 = 2;
    let _errno = KeepErrno::begin();
    let waiter = Waiter {
        value: value.into(),
        address: word.as_ptr() as u64,
        flags: SIZE_U32,
        reserved: 0,
    };
    let until = limit.map(|limit| timespec(clock::monotonic().saturating_add(limit)));
    let timeout = until.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: one live waiter, whose word outlives the call; the timeout is null or a live timespec.
    Errno::result(unsafe {
        libc::syscall(
            libc::SYS_futex_waitv,
            &raw const waiter,
            1,
            0,
            timeout,
            libc::CLOCK_MONOTONIC,
        )
    })
}

/// Whether an interrupted call is to go on, as `SA_RESTART` asks.
///
/// For sleeps that cannot tell which handler ran (FUTEX_WAIT with a limit, like nanosleep, ends with `EINTR` whatever the
/// handler's flags): all signals with handlers are asked; one without the flag lets the call fail with `EINTR`.
/// Not those of faults: whoever sleeps makes none, and language runtimes (Rust's, Go's, Java's) handle them.
fn handlers_restart() -> bool {
    const FAULTS: [i32; 6] = [
        libc::SIGSEGV,
        libc::SIGBUS,
        libc::SIGILL,
        libc::SIGFPE,
        libc::SIGTRAP,
        libc::SIGSYS,
    ];
    (1..32)
        .filter(|signal| !FAULTS.contains(signal))
        .all(|signal| {
            // SAFETY: sigaction is valid when zeroed; the call only reads the action.
            let action = unsafe {
                let mut action: libc::sigaction = std::mem::zeroed();
                match libc::sigaction(signal, std::ptr::null(), &mut action) {
                    0 => action,
                    _ => return true,
                }
            };
            let default =
                action.sa_sigaction == libc::SIG_DFL || action.sa_sigaction == libc::SIG_IGN;
            default || action.sa_flags & libc::SA_RESTART != 0
        })
}

/// The doorbell of a guest's lane, whichever kind of boundary lies between.
#[derive(Clone, Copy, Debug)]
pub enum Bell<'r> {
    /// Same kernel.
    Futex(Futex),
    /// Another kernel.
    Line(SerialLine<'r>),
}

impl Bell<'_> {
    /// Sleeps in a call that `restarts` after a handler with `SA_RESTART`, or does not.
    pub fn sleep_in_a_call(
        &self,
        word: &AtomicU32,
        limit: Option<Duration>,
        restarts: bool,
    ) -> Wakeup {
        match self {
            Bell::Futex(_) => sleep_as_a_call(word, SLEEPING, limit, restarts),
            Bell::Line(bell) => bell.sleep(word, limit, restarts),
        }
    }
}

impl Doorbell for Bell<'_> {
    fn sleep(&self, word: &AtomicU32, limit: Option<Duration>) -> Wakeup {
        self.sleep_in_a_call(word, limit, true)
    }
    fn wake(&self, word: &AtomicU32) {
        match self {
            Bell::Futex(bell) => bell.wake(word),
            Bell::Line(bell) => ring_line(bell.line, bell.lane),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_futex_wakes_and_times_out() {
        let word = AtomicU32::new(SLEEPING);
        assert_eq!(
            Futex.sleep(&word, Some(Duration::from_millis(5))),
            Wakeup::TimedOut
        );
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(5));
                word.store(0, Ordering::Relaxed);
                Futex.wake(&word);
            });
            while word.load(Ordering::Relaxed) == SLEEPING {
                assert_eq!(Futex.sleep(&word, None), Wakeup::Rung);
            }
        });
    }

    #[test]
    fn a_nap_ends_when_the_word_changes() {
        let bell = SerialLine {
            line: -1,
            lane: 0,
            wanted: None,
        };
        let word = AtomicU32::new(SLEEPING);
        assert_eq!(
            bell.sleep(&word, Some(Duration::from_millis(3)), true),
            Wakeup::TimedOut
        );
        word.store(0, Ordering::Relaxed);
        assert_eq!(bell.sleep(&word, None, true), Wakeup::Rung);
    }
}
