//! Whether a file is ready, and whether it could ever not be.
#![allow(unsafe_code)]

use hostcall::ops::reply;
use hostcall::types::Errno;
use nix::poll::PollFlags;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::time::TimeSpec;
use std::os::fd::AsRawFd;
use std::os::fd::{BorrowedFd, RawFd};
use std::time::Duration;

/// What a file has for which its file system knows no waiting, whatever is asked for.
const ALL: PollFlags = PollFlags::POLLIN
    .union(PollFlags::POLLOUT)
    .union(PollFlags::POLLRDNORM)
    .union(PollFlags::POLLWRNORM);

/// Waits for one of the guest's files, at most so long.
///
/// # Errors
/// poll(2): `EINTR` when a signal interrupts the thread.
pub(super) fn poll(
    fd: RawFd,
    events: i16,
    timeout: Option<Duration>,
) -> Result<reply::Poll, Errno> {
    // SAFETY: the guest's descriptor. If another lane closes it meanwhile, the kernel says of the number what there is to say.
    let file = unsafe { BorrowedFd::borrow_raw(fd) };
    let asked = PollFlags::from_bits_retain(events);
    let told = asked | PollFlags::POLLERR | PollFlags::POLLHUP | PollFlags::POLLNVAL;
    let now = look(file, asked | ALL, Some(Duration::ZERO))?;
    let always = now == ALL && is_always_ready(file);
    let waits = !now.intersects(told) && timeout != Some(Duration::ZERO);
    let ready = match waits {
        true => look(file, asked, timeout)?,
        false => now & told,
    };
    Ok(reply::Poll {
        ready: u32::from(ready.bits() as u16),
        always: always.into(),
    })
}

fn look(
    file: BorrowedFd<'_>,
    events: PollFlags,
    timeout: Option<Duration>,
) -> Result<PollFlags, Errno> {
    // Not by nix, which has no answer where the kernel has one bit that it does not know.
    let mut asked = libc::pollfd {
        fd: file.as_raw_fd(),
        events: events.bits(),
        revents: 0,
    };
    let timeout = timeout.map(TimeSpec::from_duration);
    let limit = timeout
        .as_ref()
        .map_or(std::ptr::null(), |timeout| timeout.as_ref());
    // SAFETY: a live descriptor's entry, and a live limit or none.
    Errno::result(unsafe { libc::ppoll(&mut asked, 1, limit, std::ptr::null()) }.into())?;
    Ok(PollFlags::from_bits_retain(asked.revents))
}

/// Whether the kernel has nothing to wait for in a file: epoll_ctl(2) refuses those, and no other call tells.
fn is_always_ready(file: BorrowedFd<'_>) -> bool {
    let added = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)
        .and_then(|epoll| epoll.add(file, EpollEvent::new(EpollFlags::empty(), 0)));
    added == Err(nix::errno::Errno::EPERM)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Write;
    use std::os::fd::AsRawFd;

    fn now(file: &impl AsRawFd, events: PollFlags) -> (PollFlags, u32) {
        let said = poll(file.as_raw_fd(), events.bits(), Some(Duration::ZERO)).unwrap();
        (PollFlags::from_bits_retain(said.ready as i16), said.always)
    }

    #[test]
    fn what_can_be_waited_for_is_never_taken_for_ready_at_any_time() {
        let asked = PollFlags::POLLIN | PollFlags::POLLPRI;
        let program = File::open("/proc/self/exe").unwrap();
        assert_eq!(now(&program, asked), (PollFlags::POLLIN, 1));
        // A regular file by its kind, of which the kernel tells changes.
        let mounts = File::open("/proc/self/mounts").unwrap();
        assert_eq!(now(&mounts, asked).1, 0);
        let (reader, mut writer) = std::io::pipe().unwrap();
        assert_eq!(now(&reader, asked), (PollFlags::empty(), 0));
        writer.write_all(b"x").unwrap();
        assert_eq!(now(&reader, asked), (PollFlags::POLLIN, 0));
        drop(writer);
        let closed = PollFlags::POLLIN | PollFlags::POLLHUP;
        assert_eq!(now(&reader, asked), (closed, 0));
        // Both ends of a pipe that has data are as a file that is always ready.
        let path = format!("/proc/self/fd/{}", reader.as_raw_fd());
        let both = File::options().read(true).write(true).open(path).unwrap();
        assert_eq!(now(&both, ALL), (ALL, 0));
    }
}
