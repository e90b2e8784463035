//! How a guest process and its shadow come to share a region, and what they say to each other besides calls.

mod attaching;
pub mod bells;
pub mod device;
pub mod local;
pub mod resident;

use crate::clock::ticks;
use crate::commons::Commons;
use crate::doorbell::{Aside, Bell};
use crate::region::{Claim, Region};
use crate::shm::Mapping;
use crate::types::{Errno, Token};
use crate::wait::Budget;
use crate::wire::ProtocolError;
pub use attaching::Attaching;
pub use local::Knock;
use local::Patience;
use std::ffi::CStr;
use std::fmt;
use std::os::fd::RawFd;

/// Where a guest looks first: a socket or device path.
pub const ENVIRONMENT: &CStr = c"HOSTCALL_ATTACH";
/// Where it looks next.
pub const SOCKET: &CStr = c"/run/hostcall/guest.sock";
/// Devices that it looks for last.
pub const DEVICES: &[&CStr] = &[device::MMAPPER];

/// Why a guest process is not attached. Printed as one line that says what was looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachError {
    /// `$HOSTCALL_ATTACH` names something that cannot be attached to.
    Named(Errno),
    /// None of the usual places exists.
    Nowhere,
    /// A socket or device is there, but its hostd does not answer.
    NoAnswer(&'static CStr, Errno),
    /// hostd refuses: its limit, or an unknown token.
    Refused(Errno),
    /// hostd speaks another version.
    Version,
    /// hostd's region is not understood.
    Protocol(ProtocolError),
}

impl fmt::Display for AttachError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AttachError::Named(errno) => {
                write!(f, "cannot attach to the host: $HOSTCALL_ATTACH does not lead to a hostd ({}); correct or unset it", Plain(*errno))
            }
            AttachError::Nowhere => f.write_str(
                "no host to attach to: looked for $HOSTCALL_ATTACH (not set), /run/hostcall/guest.sock and /dev/mmapper; start the guest with `hostd run`, or `hostd serve` on its host",
            ),
            AttachError::NoAnswer(path, errno) => {
                write!(f, "cannot attach to the host: {} does not answer ({}); is hostd running?", path.to_bytes().escape_ascii(), Plain(*errno))
            }
            AttachError::Refused(Errno(libc::EMFILE | libc::EAGAIN)) => {
                f.write_str("the host refuses this process: its limit of guest processes is reached; raise limits.processes")
            }
            AttachError::Refused(errno) => write!(f, "the host refuses this process ({})", Plain(*errno)),
            AttachError::Version => f.write_str("the host's hostd is of another version; install the same version on both sides"),
            AttachError::Protocol(error) => write!(f, "the host's region is not understood ({error}); install the same version on both sides"),
        }
    }
}

impl std::error::Error for AttachError {}

impl AttachError {
    /// The errno for a call that had to attach first.
    pub fn errno(&self) -> Errno {
        match self {
            AttachError::Refused(errno) => *errno,
            _ => Errno(libc::ENOTCONN),
        }
    }
}

/// An errno in words without the allocation that `io::Error` needs.
struct Plain(Errno);

impl fmt::Display for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.0 .0 {
            libc::ENOENT => "no such file",
            libc::EACCES | libc::EPERM => "permission denied",
            libc::ECONNREFUSED => "nobody listens",
            libc::ENOTSOCK | libc::EPROTOTYPE => "not a socket of hostd",
            libc::ENODEV | libc::ENXIO => "no region behind it",
            libc::EAGAIN | libc::ETIMEDOUT => "timed out",
            libc::ENOTCONN => "it lies among the host's files",
            errno => return write!(f, "errno {errno}"),
        };
        f.write_str(text)
    }
}

/// The guest's connection to its host, besides the region.
#[derive(Debug)]
pub enum Link {
    /// A Unix socket on the same kernel.
    Local(local::Link),
    /// A device of the guest kernel.
    Device(device::Link),
}

impl Link {
    /// Finds the host: `$HOSTCALL_ATTACH`, then the socket, then the devices. The claim is for the first lane, whose
    /// number comes back, and with it the count of changes to the guest's exports that the session's view has seen.
    pub fn find(
        claim: &Claim,
        attaching: &mut dyn Attaching,
    ) -> Result<(Link, Region, u32, u32), AttachError> {
        let _aside = Aside::begin();
        if let Some(path) = named() {
            return match path.to_bytes().starts_with(b"/dev/") {
                true => Link::device(path, claim, attaching),
                false => Link::local(path, claim, attaching),
            }
            .map_err(|error| match error {
                AttachError::NoAnswer(_, errno) => AttachError::Named(errno),
                error => error,
            });
        }
        match Link::local(SOCKET, claim, attaching) {
            Err(AttachError::NoAnswer(_, Errno(libc::ENOENT))) => {}
            found => return found,
        }
        for path in DEVICES {
            match Link::device(path, claim, attaching) {
                Err(AttachError::NoAnswer(_, Errno(libc::ENOENT))) => {}
                found => return found,
            }
        }
        Err(AttachError::Nowhere)
    }

    fn local(
        path: &'static CStr,
        claim: &Claim,
        attaching: &mut dyn Attaching,
    ) -> Result<(Link, Region, u32, u32), AttachError> {
        let knock = Knock::begin(path, claim, Patience::Waits)?;
        attaching.meanwhile();
        Link::welcomed(knock, attaching)
    }

    /// What came of a [`knock`]: as from [`find`](Link::find).
    pub fn welcomed(
        knock: Knock,
        attaching: &mut dyn Attaching,
    ) -> Result<(Link, Region, u32, u32), AttachError> {
        let _aside = Aside::begin();
        let (link, region, view) = knock.welcome(attaching)?;
        Ok((Link::Local(link), region, 0, view))
    }

    fn device(
        path: &'static CStr,
        claim: &Claim,
        attaching: &mut dyn Attaching,
    ) -> Result<(Link, Region, u32, u32), AttachError> {
        let (link, region) = device::Link::open(path)?;
        // Before the claim: a change that comes in between may then seem missed, but is never overlooked.
        let view = region.view();
        let lane = link
            .claim(&region, claim)
            .map_err(|errno| AttachError::NoAnswer(path, errno))?;
        attaching.meanwhile();
        Ok((Link::Device(link), region, lane, view))
    }

    /// Takes another lane for this process; `EAGAIN` if there is none.
    pub fn claim(&self, region: &Region, claim: &Claim) -> Result<u32, Errno> {
        let _aside = Aside::begin();
        match self {
            Link::Local(link) => link.claim(region, claim),
            Link::Device(link) => link.claim_free(region, claim),
        }
    }

    /// Has the host look at a lane: a new claim, a call to cancel.
    pub fn attention(&self, lane: u32) {
        let _aside = Aside::begin();
        match self {
            Link::Local(link) => link.attention(lane),
            Link::Device(link) => link.attention(lane),
        }
    }

    /// Has the guest's kernel make a lane's arena ready for large transfers, where each page's first use is dear.
    pub(crate) fn make_ready(&self, region: &Region, lane: u32) {
        if let (Link::Device(_), Some(arena)) = (self, region.arena(lane)) {
            device::enter(arena);
        }
    }

    /// Sends a descriptor to the shadow; `EOPNOTSUPP` if that runs on another kernel.
    pub fn offer(&self, fd: RawFd) -> Result<(), Errno> {
        let _aside = Aside::begin();
        match self {
            Link::Local(link) => link.offer(fd),
            Link::Device(_) => Err(Errno(libc::EOPNOTSUPP)),
        }
    }

    /// Gives back what guest processes hold that have ended, where the host does not see that by itself.
    pub fn reap(&self, region: &Region) {
        let _aside = Aside::begin();
        if let Link::Device(link) = self {
            link.reap_beside(region);
            link.await_released(region);
        }
    }

    /// Whether the host is still there. Asked only after a long wait.
    pub fn alive(&self, region: &Region) -> bool {
        let _aside = Aside::begin();
        match self {
            Link::Local(link) => link.alive(),
            Link::Device(link) => link.alive(region),
        }
    }

    /// The doorbell of a lane.
    pub fn bell<'r>(&self, region: &'r Region, lane: u32) -> Bell<'r> {
        match self {
            Link::Local(_) => Bell::Futex(crate::doorbell::Futex),
            Link::Device(link) => Bell::Line(link.bell(region, lane)),
        }
    }

    /// How long to spin.
    pub fn budget(&self) -> Budget {
        match self {
            Link::Local(_) => Budget::LOCAL,
            Link::Device(_) => Budget::UNRUNG,
        }
    }

    /// What the guest's processes share.
    #[inline]
    pub fn commons<'l>(&'l self, region: &'l Region) -> &'l Commons {
        match self {
            Link::Local(link) => link.commons(),
            Link::Device(_) => &region.header().commons,
        }
    }

    /// Whether other processes take lanes of the same region.
    pub fn is_shared(&self) -> bool {
        matches!(self, Link::Device(_))
    }

    /// Whether the guest's kernel is its own and has one processor, as user-mode Linux does: sched_getaffinity(2).
    #[allow(unsafe_code)]
    pub fn is_on_one_processor(&self) -> bool {
        let _aside = Aside::begin();
        // SAFETY: a live set of the size that is passed; zeros are an empty set.
        let processors = || unsafe {
            let mut set = std::mem::zeroed::<libc::cpu_set_t>();
            libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set);
            libc::CPU_COUNT(&set)
        };
        matches!(self, Link::Device(_)) && processors() == 1
    }

    /// Whether `fd` is one of the link's own descriptors.
    pub fn owns(&self, fd: RawFd) -> bool {
        match self {
            Link::Local(link) => link.owns(fd),
            Link::Device(link) => link.owns(fd),
        }
    }
}

/// Introduces this process to a host on the same kernel, if one is where it is looked for first, and does not wait for the answer.
pub fn knock(claim: &Claim) -> Option<Knock> {
    let _aside = Aside::begin();
    let path = named().unwrap_or(SOCKET);
    if path.to_bytes().starts_with(b"/dev/") {
        return None;
    }
    Knock::begin(path, claim, Patience::Goes).ok()
}

#[allow(unsafe_code)]
fn named() -> Option<&'static CStr> {
    // SAFETY: getenv's string lives until the environment is changed; the shim reads it once at attach, as every
    // program that calls getenv does.
    unsafe {
        let value = libc::getenv(ENVIRONMENT.as_ptr());
        (!value.is_null() && *value != 0).then(|| CStr::from_ptr(value))
    }
}

/// Moves a descriptor above those that programs use (never 0–2, nor a shell's 10 or 255), close-on-exec.
///
/// Just below 1024, or below the soft limit if that is lower: higher would make the kernel grow the table for nothing. It stays
/// where it is if no other number is free.
#[allow(unsafe_code)]
pub fn out_of_the_way(fd: RawFd) -> Result<RawFd, Errno> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is a live rlimit.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) };
    let floor = (limit.rlim_cur.min(1024) as i32 - 40).max(3);
    // SAFETY: plain system calls; the old descriptor is ours and, once it has been moved, no longer used.
    unsafe {
        let high = libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, floor);
        let high = if high == -1 {
            libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3)
        } else {
            high
        };
        let high = Errno::result(high.into());
        if high == Err(Errno(libc::EMFILE)) && fd > 2 {
            Errno::result(libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC).into())?;
            return Ok(fd);
        }
        libc::close(fd);
        high.map(|fd| fd as RawFd)
    }
}

/// Maps a region whose size only its header tells.
pub(crate) fn map(fd: std::os::fd::BorrowedFd<'_>) -> Result<Region, AttachError> {
    let no_region = |_| AttachError::Protocol(ProtocolError::Header("region size"));
    let lanes = Region::open(Mapping::new(fd, crate::region::PAGE).map_err(no_region)?)
        .map_err(AttachError::Protocol)?
        .lanes();
    let mapping = Mapping::new(fd, crate::region::size(lanes)).map_err(no_region)?;
    open(mapping)
}

/// Maps a region whose file has exactly its size.
pub(crate) fn map_whole(fd: std::os::fd::BorrowedFd<'_>) -> Result<Region, AttachError> {
    let mapping = Mapping::whole(fd)
        .map_err(|_| AttachError::Protocol(ProtocolError::Header("region size")))?;
    open(mapping)
}

fn open(mapping: Mapping) -> Result<Region, AttachError> {
    Region::open(mapping).map_err(|error| match error {
        ProtocolError::Header("version") => AttachError::Version,
        error => AttachError::Protocol(error),
    })
}

/// What a guest process writes on connecting to hostd's socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// [`VERSION`](crate::region::VERSION) of the guest's library.
    pub version: u32,
    /// The claim; its process key is not sent, the connection is the process.
    pub claim: Claim,
    /// Where and when it was written.
    pub sent: Sent,
}

/// Where and when a guest process on the same kernel spoke. hostd's thread keeps out of its way by this.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// One more than the number of the processor; 0 if it is not known.
    pub processor: u32,
    /// By [`ticks`].
    pub ticks: u64,
}

impl Sent {
    /// Here and now.
    pub fn here() -> Sent {
        Sent {
            processor: crate::sync::processor().map_or(0, |number| number.wrapping_add(1)),
            ticks: ticks(),
        }
    }
}

/// What hostd answers; the memfds of a region and of the guest's commons come with it if `errno` is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// [`VERSION`](crate::region::VERSION) of hostd.
    pub version: u32,
    /// 0, or why hostd refuses.
    pub errno: i32,
    /// Changes to the guest's exports that the session's view has seen.
    pub view: u32,
}

impl Hello {
    /// Bytes on the socket.
    pub const SIZE: usize = 48;

    /// As it is sent.
    pub fn to_bytes(&self) -> [u8; Hello::SIZE] {
        let [r0, r1] = self.claim.resume.0;
        let head = u64::from(self.version) << 32 | u64::from(self.claim.umask);
        let mut bytes = [0; Hello::SIZE];
        let Sent { processor, ticks } = self.sent;
        let words = [crate::region::MAGIC, head, processor.into(), ticks, r0, r1];
        bytes
            .chunks_exact_mut(8)
            .zip(words)
            .for_each(|(to, word)| to.copy_from_slice(&word.to_le_bytes()));
        bytes
    }

    /// Reads what a guest sent.
    pub fn from_bytes(bytes: &[u8]) -> Result<Hello, ProtocolError> {
        let bytes: &[u8; Hello::SIZE] = bytes
            .try_into()
            .map_err(|_| ProtocolError::Header("length of a hello"))?;
        let word = |n: usize| {
            bytes[8 * n..8 * n + 8]
                .iter()
                .rev()
                .fold(0u64, |word, byte| word << 8 | u64::from(*byte))
        };
        if word(0) != crate::region::MAGIC {
            return Err(ProtocolError::Header("magic number of a hello"));
        }
        let claim = Claim {
            process: Token::NONE,
            resume: Token([word(4), word(5)]),
            umask: word(1) as u32,
        };
        Ok(Hello {
            version: (word(1) >> 32) as u32,
            claim,
            sent: Sent {
                processor: word(2) as u32,
                ticks: word(3),
            },
        })
    }
}

impl Welcome {
    /// Bytes on the socket.
    pub const SIZE: usize = 16;

    /// As it is sent.
    pub fn to_bytes(&self) -> [u8; Welcome::SIZE] {
        let head = u128::from(self.version) << 32 | u128::from(self.errno as u32);
        (u128::from(self.view) << 64 | head).to_le_bytes()
    }

    /// Reads what hostd sent.
    pub fn from_bytes(bytes: [u8; Welcome::SIZE]) -> Welcome {
        let word = u128::from_le_bytes(bytes);
        Welcome {
            version: (word >> 32) as u32,
            errno: word as u32 as i32,
            view: (word >> 64) as u32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greetings_round_trip() {
        let claim = Claim {
            process: Token::NONE,
            resume: Token([u64::MAX, 4]),
            umask: 0o777,
        };
        let sent = Sent {
            processor: 2,
            ticks: u64::MAX,
        };
        let hello = Hello {
            version: 7,
            claim,
            sent,
        };
        assert_eq!(Hello::from_bytes(&hello.to_bytes()), Ok(hello));
        assert!(Hello::from_bytes(&hello.to_bytes()[1..]).is_err());
        assert!(Hello::from_bytes(&[0; Hello::SIZE]).is_err());
        let welcome = Welcome {
            version: 1,
            errno: libc::EMFILE,
            view: 3,
        };
        assert_eq!(Welcome::from_bytes(welcome.to_bytes()), welcome);
    }
}
