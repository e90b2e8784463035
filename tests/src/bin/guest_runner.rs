//! `guest_runner PHASE [PATH]`: a guest process that brings its session into a phase, says `ready`, and stays there.
//!
//! It then tells what becomes of it, a line each: `ok` for a call that was answered, `lost ERRNO` when its host is gone,
//! `acked N` for a write. A line on standard input is answered by one more call.
#![deny(unsafe_code)]

use hostcall::client::{Client, Options};
use hostcall::ops::Calls;
use hostcall::transfer;
use hostcall::types::{DirFd, Errno, Mode, Offset, OpenFlags, RecordLock, RemoteFd, RwFlags};
use hostcall::wire::{Sink, Source};
use std::ffi::{CStr, CString};
use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

fn attach() -> Client {
    let options = Options {
        resume: None,
        umask: 0o22,
    };
    Client::attach(&options).unwrap_or_else(|error| {
        say(&format!("failed {error}"));
        std::process::exit(1)
    })
}

fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

fn open(client: &Client, path: &CStr, flags: i32) -> Result<RemoteFd, Errno> {
    Ok(client
        .openat(DirFd::CWD, path, OpenFlags(flags), Mode(0o644))?
        .fd)
}

fn lock(client: &Client, fd: RemoteFd) -> Result<(), Errno> {
    let whole = RecordLock {
        kind: libc::F_WRLCK as i16,
        whence: 0,
        start: 0,
        len: 0,
        pid: 0,
    };
    client.lock(fd, libc::F_SETLKW, whole).map(drop)
}

#[allow(unsafe_code)]
fn bulk(client: &Client, fd: RemoteFd, data: &[u8]) -> Result<usize, Errno> {
    let vector = libc::iovec {
        iov_base: data.as_ptr().cast_mut().cast(),
        iov_len: data.len(),
    };
    // SAFETY: the vector is a live slice, which is only read.
    unsafe { transfer::write_vectored(client, fd, Offset(0), RwFlags(0), &[vector]) }
}

/// A thousand threads' worth of claims: each round attaches anew and uses several lanes at once.
fn claim_for_ever() -> Result<(), Errno> {
    let client = attach();
    loop {
        let held = [(); 6].map(|()| ());
        std::thread::scope(|scope| {
            let threads: Vec<_> = held.iter().map(|()| scope.spawn(|| client.nop())).collect();
            threads
                .into_iter()
                .try_for_each(|thread| thread.join().unwrap_or(Err(Errno(libc::EIO))).map(drop))
        })?;
    }
}

/// Calls from a signal handler that interrupts calls.
#[allow(unsafe_code)]
fn calls_in_a_handler(client: &'static Client) -> Result<(), Errno> {
    use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
    static CLIENT: AtomicPtr<Client> = AtomicPtr::new(std::ptr::null_mut());
    static DONE: AtomicU32 = AtomicU32::new(0);
    static FAILED: AtomicU32 = AtomicU32::new(0);
    extern "C" fn handler(_: i32) {
        // SAFETY: set to a client that lives for ever before the handler is installed.
        let client = unsafe { &*CLIENT.load(Ordering::Relaxed) };
        let answered = client.nop().is_ok();
        if answered { &DONE } else { &FAILED }.fetch_add(1, Ordering::Relaxed);
    }
    CLIENT.store(std::ptr::from_ref(client).cast_mut(), Ordering::Relaxed);
    // SAFETY: zeroed structures are valid; the handler allocates nothing and takes no lock.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as extern "C" fn(i32) as usize;
        action.sa_flags = libc::SA_RESTART;
        libc::sigaction(libc::SIGALRM, &action, std::ptr::null_mut());
        let every = libc::timeval {
            tv_sec: 0,
            tv_usec: 700,
        };
        let timer = libc::itimerval {
            it_interval: every,
            it_value: every,
        };
        libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut());
    }
    let (start, mut calls) = (Instant::now(), 0);
    while start.elapsed() < Duration::from_millis(500) || DONE.load(Ordering::Relaxed) < 20 {
        client.nop()?;
        calls += 1;
    }
    let (done, failed) = (DONE.load(Ordering::Relaxed), FAILED.load(Ordering::Relaxed));
    say(&format!("handled {failed} failures"));
    assert!(calls > 0 && done > 0);
    Ok(())
}

fn phase(name: &str, path: &CStr) -> Result<(), Errno> {
    if name == "claiming" {
        say("ready");
        return claim_for_ever();
    }
    let client: &'static Client = Box::leak(Box::new(attach()));
    client.nop()?;
    match name {
        "once" => {}
        "idle" => say("ready"),
        "spinning" => {
            say("ready");
            loop {
                client.nop()?;
            }
        }
        "locking" => {
            let fd = open(client, path, libc::O_RDWR)?;
            say("ready");
            lock(client, fd)?;
            say("locked");
        }
        "holding" => {
            let fd = open(client, path, libc::O_RDWR)?;
            lock(client, fd)?;
            say("ready");
        }
        "opening" => {
            say("ready");
            open(client, path, libc::O_RDONLY)?;
        }
        "reading" => {
            let fd = open(client, path, libc::O_RDWR)?;
            say("ready");
            client.read(fd, Offset::CURRENT, RwFlags(0), Sink::new(&mut [0; 16]))?;
        }
        "polling" => {
            let fd = open(client, path, libc::O_RDWR)?;
            say("ready");
            client.poll(fd, libc::POLLIN as u32, -1)?;
        }
        "transferring" => {
            let fd = open(client, path, libc::O_RDWR)?;
            let data = vec![7; 8 << 20];
            say("ready");
            loop {
                let moved = bulk(client, fd, &data)?;
                if moved < data.len() {
                    // Cut short: the next one says why.
                    bulk(client, fd, &data)?;
                }
            }
        }
        "appending" => {
            let fd = open(client, path, libc::O_WRONLY | libc::O_APPEND)?;
            say("ready");
            for number in 0u64.. {
                client.write(
                    fd,
                    Offset::CURRENT,
                    RwFlags(0),
                    Source::new(&number.to_le_bytes()),
                )?;
                say(&format!("acked {number}"));
            }
        }
        "watching" => {
            client.watch_open(0)?;
            say("ready");
        }
        "held" => {
            say(&format!("token {}", client.hold_session()?.token));
            say("ready");
        }
        "preparing" => {
            say(&format!("token {}", client.fork_session()?.token));
            say("ready");
        }
        "forking" => {
            say("ready");
            loop {
                client.fork_session()?;
            }
        }
        "handling" => return calls_in_a_handler(client),
        _ => return Err(Errno(libc::EINVAL)),
    }
    if name == "once" {
        return Ok(());
    }
    for _ in std::io::stdin().lines() {
        client.nop()?;
        say("ok");
    }
    Ok(())
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_default();
    let path = CString::new(arguments.next().unwrap_or_default()).expect("a path has no NUL");
    match phase(&name, &path) {
        Ok(()) => ExitCode::SUCCESS,
        Err(errno) => {
            say(&format!("lost {}", errno.0));
            ExitCode::SUCCESS
        }
    }
}
