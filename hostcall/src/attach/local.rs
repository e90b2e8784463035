//! Attaching on the same kernel: a Unix socket hands over a region of this process's own; its hang-up means death.
#![allow(unsafe_code)]

use super::{map_whole, out_of_the_way, AttachError, Attaching, Hello, Sent, Welcome};
use crate::commons::{Commons, CommonsPage};
use crate::region::{Claim, LaneState, Region, VERSION};
use crate::sync::give_way;
use crate::types::Errno;
use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

/// Longest wait for hostd's answer, seconds: a stale or stopped hostd must not hang its clients.
const PATIENCE: i64 = 5;

/// Looks for hostd's answer before the sleep for it, a microsecond each: the answer comes within some thirty, and a
/// processor that has gone to sleep takes twenty to wake. Between two looks whoever wants the processor has it.
const LOOKS: u32 = 100;

/// The byte with which a descriptor is offered to the shadow; no lane has this number.
pub const OFFER: u8 = 255;

/// The guest's end of the socket, and what its processes share.
#[derive(Debug)]
pub struct Link {
    socket: OwnedFd,
    commons: CommonsPage,
}

/// Whether a host that is too busy to take a connection at once is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// At most [`PATIENCE`].
    Waits,
    /// Not at all.
    Goes,
}

/// A process that has introduced itself and has not looked for the answer yet.
#[derive(Debug)]
pub struct Knock {
    socket: OwnedFd,
    path: &'static CStr,
    cookie: Option<u64>,
}

impl Knock {
    /// Connects and introduces the process.
    pub fn begin(
        path: &'static CStr,
        claim: &Claim,
        patience: Patience,
    ) -> Result<Knock, AttachError> {
        let socket =
            introduce(path, claim, patience).map_err(|errno| AttachError::NoAnswer(path, errno))?;
        let cookie = match patience {
            Patience::Waits => None,
            Patience::Goes => cookie(socket.as_raw_fd()),
        };
        Ok(Knock {
            socket,
            path,
            cookie,
        })
    }

    /// The session, its region, and the count of changes to the guest's exports that its view has seen. Waits until hostd has
    /// answered.
    pub fn welcome(
        self,
        attaching: &mut dyn Attaching,
    ) -> Result<(Link, Region, u32), AttachError> {
        let no_answer = |errno| AttachError::NoAnswer(self.path, errno);
        let (welcome, files) =
            await_welcome(self.socket.as_raw_fd(), attaching).map_err(no_answer)?;
        if welcome.version != VERSION {
            return Err(AttachError::Version);
        }
        if welcome.errno != 0 {
            return Err(AttachError::Refused(Errno(welcome.errno)));
        }
        let [Some(region), Some(commons)] = files else {
            return Err(no_answer(Errno(libc::EPROTO)));
        };
        let region = map_whole(region.as_fd())?;
        let commons = CommonsPage::open(commons.as_fd()).map_err(no_answer)?;
        let socket = self.socket;
        Ok((Link { socket, commons }, region, welcome.view))
    }

    /// Itself, unless the program has closed its descriptor past the hooks since it was begun without patience, and may have made
    /// another of the same number.
    pub fn untouched(self) -> Option<Knock> {
        if self.cookie.is_some() && cookie(self.socket.as_raw_fd()) == self.cookie {
            return Some(self);
        }
        // Not ours to close.
        let _ = self.socket.into_raw_fd();
        None
    }

    /// The socket.
    pub fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// What no other socket of the system has, socket(7) `SO_COOKIE`.
fn cookie(socket: RawFd) -> Option<u64> {
    let mut cookie = 0u64;
    let mut size = size_of::<u64>() as libc::socklen_t;
    let place = std::ptr::from_mut(&mut cookie).cast();
    // SAFETY: a live value and its size; another descriptor's answer is an error.
    let got =
        unsafe { libc::getsockopt(socket, libc::SOL_SOCKET, libc::SO_COOKIE, place, &mut size) };
    (got == 0).then_some(cookie)
}

impl Link {
    /// Connects, introduces the process and maps the region that comes back. Lane 0 is already being served.
    pub fn connect(path: &'static CStr, claim: &Claim) -> Result<(Link, Region), AttachError> {
        let (link, region, _) = Knock::begin(path, claim, Patience::Waits)?.welcome(&mut ())?;
        Ok((link, region))
    }

    /// What the guest's processes share.
    pub fn commons(&self) -> &Commons {
        self.commons.words()
    }

    /// Takes the next lane of this process's own region and has the shadow serve it.
    pub fn claim(&self, region: &Region, claim: &Claim) -> Result<u32, Errno> {
        let pages = (1..region.lanes()).filter_map(|lane| Some((lane, region.page(lane)?)));
        for (lane, page) in pages {
            if page.move_state(LaneState::Free, LaneState::Claimed) {
                page.set_claim(claim);
                page.set_state(LaneState::Waiting);
                self.attention(lane);
                return Ok(lane);
            }
        }
        Err(Errno(libc::EAGAIN))
    }

    /// Names a lane to the shadow.
    pub fn attention(&self, lane: u32) {
        let byte = lane as u8;
        // SAFETY: one byte at a live address. A full or closed socket is seen by the next wait.
        unsafe {
            libc::send(
                self.socket.as_raw_fd(),
                std::ptr::from_ref(&byte).cast(),
                1,
                libc::MSG_NOSIGNAL,
            )
        };
    }

    /// Sends a descriptor to the shadow, which keeps it for a call if it is a pipe.
    pub fn offer(&self, fd: RawFd) -> Result<(), Errno> {
        let byte = OFFER;
        // SAFETY: pointers and lengths are those of live locals; the control buffer is aligned for cmsghdr and large
        // enough for one descriptor.
        unsafe {
            let mut control = [0u64; 4];
            let mut iov = libc::iovec {
                iov_base: std::ptr::from_ref(&byte).cast_mut().cast(),
                iov_len: 1,
            };
            let mut header: libc::msghdr = std::mem::zeroed();
            header.msg_iov = &mut iov;
            header.msg_iovlen = 1;
            header.msg_control = control.as_mut_ptr().cast();
            header.msg_controllen = libc::CMSG_SPACE(size_of::<RawFd>() as u32) as _;
            let message = libc::CMSG_FIRSTHDR(&header);
            (*message).cmsg_level = libc::SOL_SOCKET;
            (*message).cmsg_type = libc::SCM_RIGHTS;
            (*message).cmsg_len = libc::CMSG_LEN(size_of::<RawFd>() as u32) as _;
            libc::CMSG_DATA(message).cast::<RawFd>().write_unaligned(fd);
            let sent = libc::sendmsg(self.socket.as_raw_fd(), &header, libc::MSG_NOSIGNAL);
            Errno::result(sent as i64).map(drop)
        }
    }

    /// Whether the other end is still open: it never sends, so anything to read is the end.
    pub fn alive(&self) -> bool {
        let mut poll = libc::pollfd {
            fd: self.socket.as_raw_fd(),
            events: libc::POLLIN | libc::POLLRDHUP,
            revents: 0,
        };
        // SAFETY: one live pollfd.
        unsafe { libc::poll(&mut poll, 1, 0) != 1 }
    }

    /// Whether `fd` is the socket.
    pub fn owns(&self, fd: RawFd) -> bool {
        fd == self.socket.as_raw_fd()
    }
}

/// Connects and introduces the process: first what hostd has to know, for it has to be woken, then what only this side needs.
fn introduce(path: &CStr, claim: &Claim, patience: Patience) -> Result<OwnedFd, Errno> {
    let bytes = path.to_bytes();
    // SAFETY: sockaddr_un is valid when zeroed; every pointer and length below is that of a live local.
    unsafe {
        // Before all else: a guest of another kernel, where each system call is slow, looks here first and in vain.
        let exists = libc::syscall(
            libc::SYS_faccessat,
            libc::AT_FDCWD,
            path.as_ptr(),
            libc::F_OK,
        );
        Errno::result(exists)?;
        let mut address: libc::sockaddr_un = std::mem::zeroed();
        if bytes.len() >= address.sun_path.len() {
            return Err(Errno(libc::ENAMETOOLONG));
        }
        address.sun_family = libc::AF_UNIX as libc::sa_family_t;
        address
            .sun_path
            .iter_mut()
            .zip(bytes)
            .for_each(|(to, from)| *to = *from as libc::c_char);
        let goes = match patience {
            Patience::Waits => 0,
            Patience::Goes => libc::SOCK_NONBLOCK,
        };
        let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC | goes;
        let socket = Errno::result(libc::socket(libc::AF_UNIX, kind, 0).into())?;
        let socket = OwnedFd::from_raw_fd(socket as RawFd);
        let fd = socket.as_raw_fd();
        if patience == Patience::Waits {
            be_patient(fd, libc::SO_SNDTIMEO);
        }
        let size = size_of::<libc::sockaddr_un>() as u32;
        let address = std::ptr::from_ref(&address).cast();
        Errno::result(libc::connect(fd, address, size).into())?;
        let hello = Hello {
            version: VERSION,
            claim: *claim,
            sent: Sent::here(),
        };
        let bytes = hello.to_bytes();
        let sent = libc::send(fd, bytes.as_ptr().cast(), bytes.len(), libc::MSG_NOSIGNAL);
        Errno::result(sent as i64)?;
        if patience == Patience::Goes {
            // The answer is waited for.
            Errno::result(libc::fcntl(fd, libc::F_SETFL, 0).into())?;
        }
        be_patient(fd, libc::SO_RCVTIMEO);
        Ok(OwnedFd::from_raw_fd(out_of_the_way(socket.into_raw_fd())?))
    }
}

/// Limits waits on a socket, of the kind of one option.
fn be_patient(socket: RawFd, option: libc::c_int) {
    let patience = libc::timeval {
        tv_sec: PATIENCE,
        tv_usec: 0,
    };
    let size = size_of::<libc::timeval>() as u32;
    let patience = std::ptr::from_ref(&patience).cast();
    // SAFETY: a live value and its size.
    unsafe { libc::setsockopt(socket, libc::SOL_SOCKET, option, patience, size) };
}

/// What has come with hostd's answer: the region and the commons.
type Files = [Option<OwnedFd>; 2];

/// Times that the answer is looked at: room is made for one number at least between two of them.
const MOST_LOOKS: usize = 4;

/// hostd's answer, and its files.
fn await_welcome(socket: RawFd, attaching: &mut dyn Attaching) -> Result<(Welcome, Files), Errno> {
    // A file that finds no number is gone with the answer. So that is only looked at before it is known that none is lost.
    let mut received = Err(Errno(libc::EMFILE));
    // Files may be withheld for another reason too, as by a security module: then room does not help.
    for _ in 0..MOST_LOOKS {
        let (welcome, files, lacking) = receive(socket)?;
        if !lacking {
            received = Ok((welcome, files));
            break;
        }
        drop(files);
        if !attaching.make_room() {
            break;
        }
    }
    // SAFETY: no byte is asked for, of a message that is there: with it goes the rest.
    let taken = unsafe { libc::recv(socket, std::ptr::null_mut(), 0, libc::MSG_DONTWAIT) };
    Errno::result(taken as i64)?;
    received
}

/// The next message on the socket, which stays there, its files, and whether some have found no number.
fn receive(socket: RawFd) -> Result<(Welcome, Files, bool), Errno> {
    let mut answer = [0u8; Welcome::SIZE];
    // SAFETY: pointers and lengths are those of live buffers; the control buffer is aligned for cmsghdr and
    // large enough for two descriptors; those that arrive are ours.
    unsafe {
        let mut control = [0u64; 4];
        let mut iov = libc::iovec {
            iov_base: answer.as_mut_ptr().cast(),
            iov_len: answer.len(),
        };
        let mut header: libc::msghdr = std::mem::zeroed();
        header.msg_iov = &mut iov;
        header.msg_iovlen = 1;
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = size_of_val(&control) as _;
        let mut looks = LOOKS;
        let received = loop {
            let waits = if looks > 0 { libc::MSG_DONTWAIT } else { 0 };
            let flags = libc::MSG_PEEK | libc::MSG_CMSG_CLOEXEC | waits;
            match Errno::result(libc::recvmsg(socket, &mut header, flags) as i64) {
                Err(Errno(libc::EINTR)) => continue,
                Err(Errno(libc::EAGAIN)) if looks > 0 => {
                    looks -= 1;
                    give_way();
                }
                received => break received?,
            }
        };
        let lacking = header.msg_flags & libc::MSG_CTRUNC != 0;
        let mut files = [None, None];
        let message = libc::CMSG_FIRSTHDR(&header);
        if !message.is_null()
            && (*message).cmsg_level == libc::SOL_SOCKET
            && (*message).cmsg_type == libc::SCM_RIGHTS
        {
            let size = (*message).cmsg_len as usize - libc::CMSG_LEN(0) as usize;
            let numbers = libc::CMSG_DATA(message).cast::<RawFd>();
            for (at, file) in files.iter_mut().enumerate().take(size / size_of::<RawFd>()) {
                *file = Some(OwnedFd::from_raw_fd(numbers.add(at).read_unaligned()));
            }
        }
        match received {
            0 => Err(Errno(libc::ECONNREFUSED)),
            n if n as usize == answer.len() => Ok((Welcome::from_bytes(answer), files, lacking)),
            _ => Err(Errno(libc::EPROTO)),
        }
    }
}
