//! What hostd, its zygotes and its shadows say to each other: JSON datagrams with descriptors beside them.

use crate::exec::message::{Change, Terminal};
use hostcall::types::Token;
use nix::sys::memfd::{memfd_create, MFdFlags};
use nix::sys::socket::{recv, recvmsg, sendmsg, ControlMessage, ControlMessageOwned, MsgFlags};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{Error, ErrorKind, IoSlice, IoSliceMut, Read, Result, Seek, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::PathBuf;

/// Descriptors that one datagram carries at most; the kernel's own limit is 253.
pub const MOST_FDS: usize = 64;

/// Milliseconds to wait at most while too many descriptors are on their way.
const MOST_NAPS: u32 = 10_000;

/// Bytes of one datagram at most.
const MOST_BYTES: usize = 8 << 10;

/// Bytes of a long one (a zygote's report names every export); more than a socket takes at once.
const MOST_BYTES_LONG: usize = 256 << 10;

/// Bytes of a name that is sent, of a session or of a program: `NAME_MAX`.
pub const MOST_NAME: usize = 255;

/// A token as text; only these messages carry tokens, over sockets that no guest holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenWords(pub u64, pub u64);

impl From<Token> for TokenWords {
    fn from(token: Token) -> TokenWords {
        TokenWords(token.0[0], token.0[1])
    }
}

impl From<TokenWords> for Token {
    fn from(words: TokenWords) -> Token {
        Token([words.0, words.1])
    }
}

/// hostd to a zygote.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToZygote {
    /// Confine yourself by this policy. Descriptors: the board, and the region of a device guest.
    Begin {
        /// Name of the guest, for process titles and logs.
        guest: String,
        /// What the guest may see and use.
        policy: Box<crate::shadow::sandbox::Policy>,
        /// Lanes of a shadow's own region (local) or of the guest's (device).
        lanes: u32,
        /// Whether the guest's one region comes with this message.
        device: bool,
        /// Count of changes to the guest's exports that the policy is the outcome of.
        view: u32,
        /// Host programs that the guest can have.
        jobs: u32,
        /// Home directory of the user of programs.
        home: PathBuf,
        /// What of their policy concerns the guest's own programs, as JSON.
        programs: String,
    },
    /// Fork a shadow. Descriptor: its end of a control socket.
    Spawn {
        /// Its place on the board.
        slot: u32,
    },
}

/// A zygote to hostd.
#[derive(Debug, Serialize, Deserialize)]
pub enum FromZygote {
    /// Confined; ready to fork.
    Ready {
        /// Which layers of the confinement are active.
        report: crate::shadow::sandbox::Report,
    },
    /// The policy cannot be applied.
    Failed {
        /// One line that names the cure.
        error: String,
    },
    /// A shadow was forked. Descriptor: its pidfd.
    Spawned {
        /// Its place on the board.
        slot: u32,
        /// Its process id.
        pid: i32,
    },
    /// A shadow has ended.
    Ended {
        /// Its process id.
        pid: i32,
        /// The signal that ended it, or 0.
        signal: i32,
    },
}

/// hostd to a shadow.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToShadow {
    /// Become the session of a guest process. Descriptors: the client's socket (local), then a fresh region if the
    /// session is taken over by a new program image.
    Adopt {
        /// Mask of the guest process; a session that was prepared or held keeps its own.
        umask: Option<u32>,
        /// A new program image takes the session over: close what is close-on-exec.
        image: bool,
        /// First lane.
        lane: u32,
    },
    /// Serve one more lane of the guest's one region, which the session's process has claimed.
    Serve {
        /// Which.
        lane: u32,
    },
    /// Look at a lane that is served: a call to cancel, a release. When this is read, the lane may have been closed and
    /// be somebody else's, so it is never a reason to serve it.
    Attention {
        /// Which.
        lane: u32,
    },
    /// Take over open files of a parent. Descriptors: one for each number.
    Import {
        /// The numbers under which the guest knows them, with their close-on-exec flags.
        files: Vec<(RawFd, bool)>,
    },
    /// Take over a parent's context. Descriptor: the working directory.
    Context {
        /// File mode creation mask.
        umask: u32,
    },
    /// The guest's exports have changed; this session keeps its view.
    View {
        /// Count of changes.
        view: u32,
    },
    /// Answer to the last request; a redeemed file comes with it.
    Answer {
        /// 0 or why not.
        errno: i32,
    },
    /// Answer to the last request, which was granted; a file may come with it.
    Value {
        /// What was asked for.
        value: u32,
    },
    /// A program runs.
    JobStarted {
        /// Its number in this session.
        job: u32,
        /// Where its bytes are counted on the board.
        place: u32,
    },
    /// A program was not started.
    JobRefused {
        /// Its job's number in this session.
        job: u32,
        /// For programs.
        errno: i32,
        /// For people, where errno does not say all: one line that names the cure.
        reason: Option<String>,
    },
    /// The state of a job has changed.
    JobChanged {
        /// Its number in this session.
        job: u32,
        /// To what.
        change: Change,
    },
}

/// A shadow to hostd.
#[derive(Debug, Serialize, Deserialize)]
pub enum FromShadow {
    /// Can be adopted. Descriptor: its region (local).
    Ready,
    /// Keep the open file that comes with this until it is redeemed.
    Share {
        /// Its name.
        token: TokenWords,
    },
    /// Hand out a shared file.
    Redeem {
        /// Its name.
        token: TokenWords,
    },
    /// Prepare a child's session. Descriptor: the working directory.
    Fork {
        /// By which the child will attach.
        token: TokenWords,
        /// Inherited mask.
        umask: u32,
    },
    /// Open files for the child under preparation. Descriptors: one for each number.
    ForkFiles {
        /// The numbers, with their close-on-exec flags.
        files: Vec<(RawFd, bool)>,
        /// Whether the child is complete now; an answer follows.
        last: bool,
    },
    /// Keep this session for the next program image.
    Hold {
        /// By which it will attach.
        token: TokenWords,
    },
    /// The old image goes on: the held session's token is void.
    Unhold,
    /// Wait until the shadows of guest processes that have ended are gone.
    Settle,
    /// Start a program. Descriptors: the sealed words, the working directory, then the streams that are files.
    Exec {
        /// The number that its job is to have in this session, which no other has had.
        job: u32,
        /// File mode creation mask.
        umask: u32,
        /// Whether each of the three streams is a file; `/dev/null` otherwise.
        files: [bool; 3],
        /// Its session's.
        terminal: Terminal,
        /// Whether the directory is one that the view has itself, on the way to an export.
        bare: bool,
        /// A job of the session whose process group it joins.
        beside: Option<u32>,
    },
    /// Send a signal to a job's process group.
    SignalJob {
        /// Its number in this session.
        job: u32,
        /// Which.
        signal: i32,
    },
    /// Move a job to the foreground of its terminal, or to the background.
    ForegroundJob {
        /// Which.
        job: u32,
        /// Whether the foreground is its own.
        own: bool,
    },
    /// Let go of a job that has ended. There is no answer.
    ForgetJob {
        /// Its number in this session.
        job: u32,
    },
    /// Make a terminal.
    Terminal {
        /// Rows, columns, and both in pixels.
        size: [u16; 4],
    },
    /// Tell the working directory of a named session.
    EnterSession {
        /// Its name, at most [`MOST_NAME`] bytes.
        name: Vec<u8>,
    },
    /// Keep the working directory of a named session. Descriptor: the directory.
    KeepSession {
        /// Its name, at most [`MOST_NAME`] bytes.
        name: Vec<u8>,
    },
    /// List programs whose names begin so.
    Complete {
        /// At most [`MOST_NAME`] bytes.
        text: Vec<u8>,
    },
    /// A lane's thread has left the lane; it can be wiped.
    LaneClosed {
        /// Which.
        lane: u32,
    },
    /// A thread of a device guest sleeps: name its lane on the line.
    Ring {
        /// Which.
        lane: u32,
    },
    /// The guest broke the protocol; the session ends.
    Fault {
        /// What it did.
        error: String,
    },
    /// One traced call.
    Trace {
        /// As `hostd trace` prints it.
        line: String,
    },
}

/// Sends one message with its descriptors.
pub fn send<M: Serialize>(socket: &impl AsRawFd, message: &M, fds: &[RawFd]) -> Result<()> {
    send_with(socket, message, fds, MsgFlags::empty())
}

/// Sends a message as long as it may be, by a file ahead of its descriptors: what a socket takes in one piece has a limit
/// (`net.core.wmem_max`), which only root may pass.
pub fn send_by_file<M: Serialize>(socket: &impl AsRawFd, message: &M, fds: &[RawFd]) -> Result<()> {
    let mut file = File::from(memfd_create(c"hostd-message", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(&serde_json::to_vec(message)?)?;
    file.rewind()?;
    send(socket, &(), &[&[file.as_raw_fd()], fds].concat())
}

/// Waits for a message that was sent [by file](send_by_file).
pub fn receive_by_file<M: for<'m> Deserialize<'m>>(
    socket: &impl AsRawFd,
) -> Result<(M, Vec<OwnedFd>)> {
    let ((), mut fds) = receive_long(socket, true)?;
    if fds.is_empty() {
        return Err(Error::new(
            ErrorKind::InvalidData,
            "a message without its file",
        ));
    }
    let mut bytes = Vec::new();
    File::from(fds.remove(0)).read_to_end(&mut bytes)?;
    Ok((serde_json::from_slice(&bytes)?, fds))
}

/// Sends one message unless the receiver is behind.
pub fn try_send<M: Serialize>(socket: &impl AsRawFd, message: &M, fds: &[RawFd]) -> Result<()> {
    send_with(socket, message, fds, MsgFlags::MSG_DONTWAIT)
}

fn send_with<M: Serialize>(
    socket: &impl AsRawFd,
    message: &M,
    fds: &[RawFd],
    flags: MsgFlags,
) -> Result<()> {
    let bytes = serde_json::to_vec(message)?;
    let rights = [ControlMessage::ScmRights(fds)];
    let control: &[ControlMessage] = if fds.is_empty() { &[] } else { &rights };
    let mut naps = 0;
    loop {
        let sent = sendmsg::<()>(
            socket.as_raw_fd(),
            &[IoSlice::new(&bytes)],
            control,
            flags | MsgFlags::MSG_NOSIGNAL,
            None,
        );
        match sent {
            Err(nix::errno::Errno::EINTR) => continue,
            // The kernel counts descriptors on their way for all processes of a user together, so another session's or
            // guest's forks can fill the count. It falls as soon as hostd reads.
            Err(nix::errno::Errno::ETOOMANYREFS) if flags.is_empty() && naps < MOST_NAPS => {
                naps += 1;
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            sent => return sent.map(drop).map_err(Error::from),
        }
    }
}

/// Receives one message that may be long, waiting for it if wanted; else as [`receive`].
pub fn receive_long<M: for<'m> Deserialize<'m>>(
    socket: &impl AsRawFd,
    wait: bool,
) -> Result<(M, Vec<OwnedFd>)> {
    let flags = if wait {
        MsgFlags::empty()
    } else {
        MsgFlags::MSG_DONTWAIT
    };
    // How long it is comes first: clearing room for the longest takes longer than all else that a short one costs.
    let look = flags | MsgFlags::MSG_PEEK | MsgFlags::MSG_TRUNC;
    let len = loop {
        match recv(socket.as_raw_fd(), &mut [], look) {
            Err(nix::errno::Errno::EINTR) => continue,
            len => break len?,
        }
    };
    receive_into(socket, &mut vec![0; len.min(MOST_BYTES_LONG)], flags)
}

/// Receives one message with its descriptors if there is one, all close-on-exec; `UnexpectedEof` when the other side is gone.
pub fn receive<M: for<'m> Deserialize<'m>>(socket: &impl AsRawFd) -> Result<(M, Vec<OwnedFd>)> {
    receive_into(socket, &mut [0; MOST_BYTES], MsgFlags::MSG_DONTWAIT)
}

fn receive_into<M: for<'m> Deserialize<'m>>(
    socket: &impl AsRawFd,
    bytes: &mut [u8],
    flags: MsgFlags,
) -> Result<(M, Vec<OwnedFd>)> {
    let mut control = nix::cmsg_space!([RawFd; MOST_FDS]);
    let (len, fds) = loop {
        let mut buffer = [IoSliceMut::new(bytes)];
        let received = recvmsg::<()>(
            socket.as_raw_fd(),
            &mut buffer,
            Some(&mut control),
            flags | MsgFlags::MSG_CMSG_CLOEXEC,
        );
        let message = match received {
            Err(nix::errno::Errno::EINTR) => continue,
            received => received.map_err(Error::from)?,
        };
        let mut fds = Vec::new();
        for part in message.cmsgs().map_err(Error::from)? {
            if let ControlMessageOwned::ScmRights(received) = part {
                fds.extend(received.into_iter().map(owned));
            }
        }
        if message
            .flags
            .intersects(MsgFlags::MSG_TRUNC | MsgFlags::MSG_CTRUNC)
        {
            return Err(Error::new(ErrorKind::InvalidData, "truncated message"));
        }
        break (message.bytes, fds);
    };
    if len == 0 {
        return Err(Error::from(ErrorKind::UnexpectedEof));
    }
    Ok((serde_json::from_slice(&bytes[..len])?, fds))
}

#[allow(unsafe_code)]
fn owned(fd: RawFd) -> OwnedFd {
    use std::os::fd::FromRawFd;
    // SAFETY: the kernel has just put this descriptor into our table for this message; nobody else knows it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}
