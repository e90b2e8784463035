//! The floors: a round trip between two processes with nothing in it but the way there and back.
//!
//! The other process runs this same program and shares one page with us. A round is one word in a cache line of its
//! own in each direction. Neither process is tied to a processor, as a guest and its shadow are not.
#![allow(unsafe_code)]

use hostcall::doorbell::{futex_wait, futex_wake};
use hostcall::region::{Line, PAGE};
use hostcall::shm::{sealed_memfd, Mapping};
use hostcall::wait::ticks;
use std::ffi::CString;
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Argument that makes this program the other process; its standard input is the page.
pub const ECHO: &str = "echo";

/// How the two wait for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Wait {
    /// They look without pause.
    Spin = 1,
    /// They sleep on a futex at once.
    Sleep = 2,
    /// They sleep on a futex at once, and the other process makes a stat(2) before it answers.
    SleepAndStat = 3,
}

/// The shared page.
#[repr(C)]
struct Page {
    /// Counts batches; the other process sleeps here between them.
    batch: Line<AtomicU32>,
    /// Rounds of the batch and how to wait.
    rounds: AtomicU32,
    wait: AtomicU32,
    ping: Line<AtomicU32>,
    pong: Line<AtomicU32>,
}

const _: () = assert!(size_of::<Page>() <= PAGE);

fn page(mapping: &Mapping) -> &Page {
    // SAFETY: the mapping has a page, is aligned to one, and a `Page` is made of atomics only.
    unsafe { mapping.base().cast::<Page>().as_ref() }
}

/// Waits until `word` is `value`.
fn await_value(word: &AtomicU32, value: u32, wait: Wait) {
    loop {
        let found = word.load(Ordering::Acquire);
        if found == value {
            return;
        }
        if wait != Wait::Spin {
            futex_wait(word, found, None);
        }
    }
}

fn put(word: &AtomicU32, value: u32, wait: Wait) {
    word.store(value, Ordering::Release);
    if wait != Wait::Spin {
        futex_wake(word, 1);
    }
}

/// The other process.
#[derive(Debug)]
pub struct Echo {
    mapping: Mapping,
    child: Child,
    sent: u32,
}

impl Echo {
    /// Starts it.
    pub fn start(path: &str) -> Result<Echo, String> {
        let failed = |error: hostcall::types::Errno| error.to_string();
        let memfd = sealed_memfd(c"hostcall-bench", PAGE).map_err(failed)?;
        let mapping = Mapping::new(memfd.as_fd(), PAGE).map_err(failed)?;
        let own = std::env::current_exe().map_err(|error| error.to_string())?;
        let child = Command::new(own)
            .args([ECHO, path])
            .stdin(Stdio::from(memfd))
            .spawn()
            .map_err(|error| error.to_string())?;
        Ok(Echo {
            mapping,
            child,
            sent: 0,
        })
    }

    fn begin(&mut self, rounds: u32, wait: Wait) {
        let page = page(&self.mapping);
        page.rounds.store(rounds, Ordering::Relaxed);
        page.wait.store(wait as u32, Ordering::Relaxed);
        page.batch.0.fetch_add(1, Ordering::Release);
        futex_wake(&page.batch.0, 1);
    }

    fn round(&mut self, wait: Wait) {
        let page = page(&self.mapping);
        self.sent = self.sent.wrapping_add(1);
        put(&page.ping.0, self.sent, wait);
        await_value(&page.pong.0, self.sent, wait);
    }

    /// Ticks of so many rounds in a row.
    pub fn together(&mut self, rounds: u32, wait: Wait) -> u64 {
        const WARM_UP: u32 = 64;
        self.begin(rounds + WARM_UP, wait);
        (0..WARM_UP).for_each(|_| self.round(wait));
        let start = ticks();
        (0..rounds).for_each(|_| self.round(wait));
        ticks() - start
    }

    /// Ticks of each of so many rounds, with a pause of so many microseconds before each.
    pub fn each(&mut self, rounds: u32, pause: u32, wait: Wait) -> Vec<u64> {
        self.begin(rounds + 1, wait);
        self.round(wait);
        let mut samples = Vec::with_capacity(rounds as usize);
        for _ in 0..rounds {
            if pause > 0 {
                std::thread::sleep(Duration::from_micros(pause.into()));
            }
            let start = ticks();
            self.round(wait);
            samples.push(ticks() - start);
        }
        samples
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Answers until killed, which also the end of its parent does.
pub fn answer(path: &str) -> Result<(), String> {
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)
        .map_err(|error| error.to_string())?;
    let mapping =
        Mapping::new(std::io::stdin().as_fd(), PAGE).map_err(|error| error.to_string())?;
    let path = CString::new(path).map_err(|error| error.to_string())?;
    let page = page(&mapping);
    let (mut batch, mut received) = (0u32, 0u32);
    loop {
        while page.batch.0.load(Ordering::Acquire) == batch {
            futex_wait(&page.batch.0, batch, None);
        }
        batch = batch.wrapping_add(1);
        let wait = match page.wait.load(Ordering::Relaxed) {
            1 => Wait::Spin,
            2 => Wait::Sleep,
            _ => Wait::SleepAndStat,
        };
        for _ in 0..page.rounds.load(Ordering::Relaxed) {
            received = received.wrapping_add(1);
            await_value(&page.ping.0, received, wait);
            if wait == Wait::SleepAndStat {
                let mut stat = std::mem::MaybeUninit::<libc::stat>::uninit();
                // SAFETY: a live NUL-terminated path and room for a stat.
                unsafe { libc::stat(path.as_ptr(), stat.as_mut_ptr()) };
            }
            put(&page.pong.0, received, wait);
        }
    }
}
