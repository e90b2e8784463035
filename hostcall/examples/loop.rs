//! tmp
use hostcall::client::{Client, Options};
use hostcall::ops::Calls;
use hostcall::types::*;
use hostcall::wire::Sink;
fn main() {
    let client = Client::attach(&Options {
        resume: None,
        umask: 0o22,
    })
    .unwrap();
    let what = std::env::args().nth(1).unwrap();
    let mut statx = [0u8; 256];
    let fd = client
        .openat(DirFd::CWD, c"/etc/passwd", OpenFlags(0), Mode(0))
        .unwrap()
        .fd;
    let mut buf = vec![0u8; 4096];
    for r in 0..6 {
        let t = std::time::Instant::now();
        for _ in 0..300_000 {
            match what.as_str() {
                "nop" => {
                    let _ = client.nop();
                }
                "stat" => {
                    let _ = client.statx(
                        DirFd::CWD,
                        c"/etc/hosts",
                        AtFlags(0),
                        0x7ff,
                        Sink::new(&mut statx),
                    );
                }
                _ => {
                    let _ = client.read(fd, Offset(0), RwFlags(0), Sink::new(&mut buf));
                }
            }
        }
        eprintln!(
            "{what} {r} {:.1}",
            t.elapsed().as_nanos() as f64 / 300_000.0
        );
    }
}
