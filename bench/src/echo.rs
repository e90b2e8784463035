//! The floors: a round trip between two processes with nothing in it but the way there and back.
//!
//! The other process runs this same program and shares one page with us. A round is one word in a cache line of its
//! own in each direction. Neither process is tied to a processor, as a guest and its shadow are not.
#![allow(unsafe_code)]

use hostcall::clock::ticks;
use hostcall::doorbell::{futex_wait, futex_wake};
use hostcall::region::{Line, PAGE};
use hostcall::shm::{sealed_memfd, Mapping};
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
}

/// What the other process does before it answers: the least that any server of the call could do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Work {
    /// Nothing.
    Nothing = 1,
    /// stat(2) into the shared page; we copy the result out.
    Stat = 2,
    /// pread(2) of 4 KiB into the shared page; we copy them out.
    Pread4k = 3,
    /// open(2) and close(2), a round each.
    OpenClose = 4,
}

/// The shared page.
#[repr(C)]
struct Page {
    /// Counts batches; the other process sleeps here between them.
    batch: Line<AtomicU32>,
    /// Rounds of the batch and how to wait.
    rounds: AtomicU32,
    wait: AtomicU32,
    work: AtomicU32,
    ping: Line<AtomicU32>,
    pong: Line<AtomicU32>,
}

const _: () = assert!(size_of::<Page>() <= PAGE);
/// The page, and one for results behind it.
const SIZE: usize = 2 * PAGE;

/// Where results lie.
fn results(mapping: &Mapping) -> *mut u8 {
    // SAFETY: the mapping has `SIZE` bytes.
    unsafe { mapping.base().as_ptr().add(PAGE) }
}

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
    private: Box<[u8; PAGE]>,
}

impl Echo {
    /// Starts it.
    pub fn start(path: &str) -> Result<Echo, String> {
        let failed = |error: hostcall::types::Errno| error.to_string();
        let memfd = sealed_memfd(c"hostcall-bench", SIZE).map_err(failed)?;
        let mapping = Mapping::new(memfd.as_fd(), SIZE).map_err(failed)?;
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
            private: Box::new([0; PAGE]),
        })
    }

    fn begin(&mut self, rounds: u32, wait: Wait, work: Work) {
        let page = page(&self.mapping);
        page.rounds.store(rounds * trips(work), Ordering::Relaxed);
        page.wait.store(wait as u32, Ordering::Relaxed);
        page.work.store(work as u32, Ordering::Relaxed);
        page.batch.0.fetch_add(1, Ordering::Release);
        futex_wake(&page.batch.0, 1);
    }

    fn round(&mut self, wait: Wait, work: Work) {
        let page = page(&self.mapping);
        for _ in 0..trips(work) {
            self.sent = self.sent.wrapping_add(1);
            put(&page.ping.0, self.sent, wait);
            await_value(&page.pong.0, self.sent, wait);
        }
        let len = match work {
            Work::Nothing | Work::OpenClose => return,
            Work::Stat => size_of::<libc::stat>(),
            Work::Pread4k => PAGE,
        };
        // SAFETY: both are at least a page long and apart.
        unsafe {
            std::ptr::copy_nonoverlapping(results(&self.mapping), self.private.as_mut_ptr(), len)
        };
        std::hint::black_box(&self.private);
    }

    /// Ticks of so many rounds in a row.
    pub fn together(&mut self, rounds: u32, wait: Wait, work: Work) -> u64 {
        const WARM_UP: u32 = 64;
        self.begin(rounds + WARM_UP, wait, work);
        (0..WARM_UP).for_each(|_| self.round(wait, work));
        let start = ticks();
        (0..rounds).for_each(|_| self.round(wait, work));
        ticks() - start
    }

    /// Ticks of each of so many rounds, with a pause of so many microseconds before each.
    pub fn each(&mut self, rounds: u32, pause: u32, wait: Wait, work: Work) -> Vec<u64> {
        self.begin(rounds + 1, wait, work);
        self.round(wait, work);
        let mut samples = Vec::with_capacity(rounds as usize);
        for _ in 0..rounds {
            if pause > 0 {
                std::thread::sleep(Duration::from_micros(pause.into()));
            }
            let start = ticks();
            self.round(wait, work);
            samples.push(ticks() - start);
        }
        samples
    }
}

/// Round trips of one round.
fn trips(work: Work) -> u32 {
    if work == Work::OpenClose {
        2
    } else {
        1
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
        Mapping::new(std::io::stdin().as_fd(), SIZE).map_err(|error| error.to_string())?;
    let path = CString::new(path).map_err(|error| error.to_string())?;
    let (page, results) = (page(&mapping), results(&mapping));
    // SAFETY: a live NUL-terminated path.
    let open = || unsafe { libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
    let (file, mut opened) = (open(), None);
    let (mut batch, mut received) = (0u32, 0u32);
    loop {
        while page.batch.0.load(Ordering::Acquire) == batch {
            futex_wait(&page.batch.0, batch, None);
        }
        batch = batch.wrapping_add(1);
        let wait = match page.wait.load(Ordering::Relaxed) {
            1 => Wait::Spin,
            _ => Wait::Sleep,
        };
        let work = match page.work.load(Ordering::Relaxed) {
            2 => Work::Stat,
            3 => Work::Pread4k,
            4 => Work::OpenClose,
            _ => Work::Nothing,
        };
        for _ in 0..page.rounds.load(Ordering::Relaxed) {
            received = received.wrapping_add(1);
            await_value(&page.ping.0, received, wait);
            // SAFETY: a live NUL-terminated path, a page of room for results, descriptors of our own.
            unsafe {
                match (work, opened) {
                    (Work::Nothing, _) => {}
                    (Work::Stat, _) => {
                        libc::stat(path.as_ptr(), results.cast());
                    }
                    (Work::Pread4k, _) => {
                        libc::pread(file, results.cast(), PAGE, 0);
                    }
                    (Work::OpenClose, None) => opened = Some(open()),
                    (Work::OpenClose, Some(fd)) => {
                        libc::close(fd);
                        opened = None;
                    }
                }
            }
            put(&page.pong.0, received, wait);
        }
    }
}
