//! Processes that hostd starts of its own program, and the lines to them: a zygote and a launcher for each guest.

use super::aside;
use nix::sys::socket::{setsockopt, socketpair, sockopt, AddressFamily, SockFlag, SockType};
use std::io::Result;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Bytes that hostd may have said on a line and that have not been heard yet: whoever is behind with more is given up.
const LINE_BYTES: usize = 8 << 20;

/// Both ends of a line that takes whole messages.
pub(super) fn line(room: usize) -> Result<(OwnedFd, OwnedFd)> {
    let (ours, theirs) = socketpair(
        AddressFamily::Unix,
        SockType::SeqPacket,
        None,
        SockFlag::SOCK_CLOEXEC,
    )?;
    // Without the right to that it has what the kernel gives.
    let _ = setsockopt(&ours, sockopt::SndBufForce, &room);
    Ok((ours, theirs))
}

/// Starts a process in a role for a guest; its end of the line is its descriptor 0.
///
/// # Errors
/// socketpair(2), and those of starting a process.
pub(super) fn start(program: &Path, role: &str, guest: &str) -> Result<(Child, OwnedFd)> {
    let (ours, theirs) = line(LINE_BYTES)?;
    let mut command = Command::new(program);
    command
        .arg(role)
        // Says to whoever lists processes whose it is.
        .arg(guest)
        .env_clear()
        .envs(std::env::vars_os().filter(|(name, _)| name == "HOSTD_LOG"))
        .stdin(Stdio::from(theirs))
        .stdout(Stdio::null())
        .current_dir("/");
    let child = aside::with_all(|| command.spawn())?;
    Ok((child, ours))
}
