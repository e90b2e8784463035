//! Standard input from a file of the guest: what the program has not read is there for who reads the file next, as in
//! `while read line; do hrun …; done < file`.
//!
//! The reading end of the pipe stays open here, and is emptied when the program has ended. Nobody waits at the writing end
//! of a file, so nobody misses being told that its reader is gone.

use super::guest;
use super::pump::Pump;
use hostcall::client::Client;
use hostcall::ops::Calls;
use hostcall::region::CHUNK;
use hostcall::transfer::{self, Known};
use hostcall::types::{Offset, RemoteFd};
use nix::unistd::{lseek, Whence};
use std::sync::atomic::Ordering;

/// Gives back what was not read. `ended` waits a moment for the thread's end and says whether it has come.
pub fn unread(
    host: &Client,
    reader: RemoteFd,
    number: usize,
    pump: &Pump,
    mut ended: impl FnMut() -> bool,
) {
    pump.stop();
    let nonblocking = libc::O_NONBLOCK as u64;
    if host.fcntl(reader, libc::F_SETFL, nonblocking).is_err() {
        return;
    }
    let mut unread = 0;
    let mut buffer = vec![0; CHUNK];
    loop {
        // Asked ahead of the emptying: what came before the end is found then.
        let last = ended();
        while let Ok(read @ 1..) =
            transfer::read(host, reader, Known::Nothing, Offset::CURRENT, &mut buffer)
        {
            unread += read as i64;
        }
        if last {
            break;
        }
    }
    let left = pump.left.load(Ordering::SeqCst) as i64;
    let _ = lseek(guest(number), -(unread + left), Whence::SeekCur);
}
