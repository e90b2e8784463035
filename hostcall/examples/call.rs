//! Attaches, makes a few calls, and times them: `cargo run --example call -- PATH`.

use hostcall::client::{Client, Options};
use hostcall::ops::Calls;
use hostcall::types::*;
use hostcall::wire::Sink;
use std::ffi::CString;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = CString::new(std::env::args().nth(1).unwrap_or("/etc/hosts".to_owned()))?;
    let start = Instant::now();
    let client = Client::attach(&Options {
        resume: None,
        umask: 0o22,
    })?;
    client.nop()?;
    println!("attach {:?}", start.elapsed());
    let fd = client
        .openat(DirFd::CWD, &path, OpenFlags(libc::O_RDONLY), Mode(0))?
        .fd;
    let mut data = vec![0; 4096];
    let filled = client
        .read(fd, Offset(0), RwFlags(0), Sink::new(&mut data))?
        .filled
        .0;
    println!("{} bytes from {path:?}", filled);
    let time = |name: &str, rounds: u32, call: &mut dyn FnMut()| {
        let mut best = f64::MAX;
        for _ in 0..5 {
            let start = Instant::now();
            (0..rounds).for_each(|_| call());
            best = best.min(start.elapsed().as_nanos() as f64 / f64::from(rounds));
        }
        println!("{name:12} {best:8.0} ns");
    };
    time("nop", 100_000, &mut || {
        let _ = client.nop();
    });
    time("lseek", 100_000, &mut || {
        let _ = client.lseek(fd, 0, libc::SEEK_SET);
    });
    time("stat", 100_000, &mut || {
        let _ = client.stat(DirFd::CWD, &path, AtFlags(0));
    });
    let mut statx = [0u8; 256];
    time("statx", 100_000, &mut || {
        let _ = client.statx(DirFd::CWD, &path, AtFlags(0), 0x7ff, Sink::new(&mut statx));
    });
    time("host stat", 100_000, &mut || {
        drop(std::fs::metadata("/etc/hosts"))
    });
    time("pread 4k", 100_000, &mut || {
        let _ = client.read(fd, Offset(0), RwFlags(0), Sink::new(&mut data));
    });
    time("open+close", 50_000, &mut || {
        let fd = client
            .openat(DirFd::CWD, &path, OpenFlags(libc::O_RDONLY), Mode(0))
            .unwrap()
            .fd;
        client.close(fd).unwrap();
    });
    Ok(())
}
