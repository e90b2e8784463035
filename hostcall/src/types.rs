//! The plain types that cross the boundary: errnos, descriptors, tokens, flags.

use std::fmt;

/// A normal negative answer of a host call, errno(3). A broken protocol is a [`ProtocolError`](crate::wire::ProtocolError) instead.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(pub i32);

impl Errno {
    /// The calling thread's errno.
    pub fn last() -> Errno {
        Errno(
            std::io::Error::last_os_error()
                .raw_os_error()
                .unwrap_or(libc::EIO),
        )
    }

    /// Turns the `-1` convention of a system call into a result.
    pub fn result(value: i64) -> Result<i64, Errno> {
        if value == -1 {
            Err(Errno::last())
        } else {
            Ok(value)
        }
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        std::io::Error::from_raw_os_error(self.0).fmt(f)
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Errno({}: {self})", self.0)
    }
}

impl std::error::Error for Errno {}

/// A descriptor of the shadow process: an open file of the guest process on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RemoteFd(pub i32);

/// Where a relative path starts on the host: a [`RemoteFd`] or the shadow's working directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DirFd(pub i32);

impl DirFd {
    /// The shadow's working directory, `AT_FDCWD`.
    pub const CWD: DirFd = DirFd(libc::AT_FDCWD);
}

impl From<RemoteFd> for DirFd {
    fn from(fd: RemoteFd) -> DirFd {
        DirFd(fd.0)
    }
}

/// A capability of 128 random bits that names an open file or a waiting session inside one guest.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token(pub [u64; 2]);

impl Token {
    /// The token that names nothing.
    pub const NONE: Token = Token([0, 0]);

    /// A fresh token from getrandom(2).
    pub fn random() -> Result<Token, Errno> {
        let mut token = [0u8; 16];
        getrandom(&mut token)?;
        let (a, b) = token.split_at(8);
        let word = |half: &[u8]| {
            half.iter()
                .fold(0u64, |word, byte| word << 8 | u64::from(*byte))
        };
        Ok(Token([word(a), word(b)]))
    }

    /// Reads the 32 hexadecimal digits that [`Display`](fmt::Display) writes.
    pub fn parse(text: &[u8]) -> Option<Token> {
        let word = |half: &[u8]| u64::from_str_radix(std::str::from_utf8(half).ok()?, 16).ok();
        if text.len() != 32 || !text.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        Some(Token([word(&text[..16])?, word(&text[16..])?]))
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:016x}", self.0[0], self.0[1])
    }
}

/// Never prints the secret: a token in a log would be a key left in the door.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Token::NONE {
            "Token(none)"
        } else {
            "Token(…)"
        })
    }
}

#[allow(unsafe_code)]
fn getrandom(buffer: &mut [u8]) -> Result<(), Errno> {
    // SAFETY: the pointer and length are those of one live, writable slice.
    let n = unsafe { libc::syscall(libc::SYS_getrandom, buffer.as_mut_ptr(), buffer.len(), 0) };
    match Errno::result(n)? {
        n if n as usize == buffer.len() => Ok(()),
        _ => Err(Errno(libc::EAGAIN)),
    }
}

macro_rules! bits {
    ($(#[$doc:meta])* $name:ident($repr:ty) { $($flag:ident),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name(pub $repr);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                #[allow(unused_mut)]
                let mut rest = self.0;
                let mut separator = "";
                $(
                    let flag = libc::$flag as $repr;
                    if flag != 0 && rest & flag == flag {
                        write!(f, "{separator}{}", stringify!($flag))?;
                        separator = "|";
                        rest &= !flag;
                    }
                )*
                if rest != 0 || separator.is_empty() {
                    write!(f, "{separator}{rest:#x}")?;
                }
                Ok(())
            }
        }
    };
}

bits! {
    /// Flags of open(2).
    OpenFlags(i32) {
        O_RDWR, O_WRONLY, O_CREAT, O_EXCL, O_NOCTTY, O_TRUNC, O_APPEND, O_NONBLOCK, O_SYNC, O_DSYNC, O_DIRECT,
        O_TMPFILE, O_DIRECTORY, O_NOFOLLOW, O_CLOEXEC, O_PATH, O_NOATIME,
    }
}

bits! {
    /// `AT_*` flags of the `*at` calls.
    AtFlags(i32) { AT_SYMLINK_NOFOLLOW, AT_REMOVEDIR, AT_SYMLINK_FOLLOW, AT_EMPTY_PATH, AT_NO_AUTOMOUNT }
}

bits! {
    /// `RWF_*` flags of preadv2(2) and pwritev2(2).
    RwFlags(i32) { RWF_HIPRI, RWF_DSYNC, RWF_SYNC, RWF_NOWAIT, RWF_APPEND }
}

/// A file mode: type and permission bits, inode(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode(pub u32);

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#o}", self.0)
    }
}

/// A file offset, or the file's own position (`-1`, as in preadv2(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offset(pub i64);

impl Offset {
    /// Use and move the file's own position.
    pub const CURRENT: Offset = Offset(-1);
}

/// The two times of utimensat(2); nanoseconds may be `UTIME_NOW` or `UTIME_OMIT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// Last access, seconds since the epoch.
    pub atime: i64,
    /// Last modification, seconds since the epoch.
    pub mtime: i64,
    /// Nanoseconds of the last access.
    pub atime_nsec: u32,
    /// Nanoseconds of the last modification.
    pub mtime_nsec: u32,
}

/// A record lock or the question for one, fcntl(2) `struct flock`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordLock {
    /// `F_RDLCK`, `F_WRLCK` or `F_UNLCK`.
    pub kind: i16,
    /// `SEEK_SET`, `SEEK_CUR` or `SEEK_END`.
    pub whence: i16,
    /// First byte, relative to `whence`.
    pub start: i64,
    /// Bytes; 0 means to the end of the file.
    pub len: i64,
    /// The holder, of a `F_GETLK` answer; host process id, `-1` for OFD locks.
    pub pid: i32,
}

/// The option of `await_job` that lets go of the job together with its end, beside those of waitpid(2).
pub const LET_GO: i32 = 0x1_0000;

/// What has become of a job, wait(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// Nothing that was asked for.
    None,
    /// It has ended with this code.
    Exited(u8),
    /// A signal has ended it.
    Signalled {
        /// Which.
        signal: u8,
        /// Whether there is a core file.
        core: bool,
    },
    /// A signal has stopped it.
    Stopped(u8),
    /// It goes on, SIGCONT.
    Continued,
}

/// The commands of fcntl(2) about how long a file's data will live, from `linux/fcntl.h`; libc has none of them.
pub mod write_hint {
    /// `F_GET_RW_HINT`
    pub const GET: i32 = 1035;
    /// `F_SET_RW_HINT`
    pub const SET: i32 = 1036;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_round_trips_and_hides() {
        let token = Token::random().unwrap();
        assert_ne!(token, Token::random().unwrap());
        assert_eq!(Token::parse(token.to_string().as_bytes()), Some(token));
        assert!(!format!("{token:?}").contains(&token.to_string()[..4]));
        for bad in [
            "",
            "0",
            "+000000000000000000000000000000f",
            &"g".repeat(32),
            &"0".repeat(33),
        ] {
            assert_eq!(Token::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn flags_print_like_strace() {
        assert_eq!(
            OpenFlags(libc::O_WRONLY | libc::O_CREAT | libc::O_CLOEXEC).to_string(),
            "O_WRONLY|O_CREAT|O_CLOEXEC"
        );
        assert_eq!(OpenFlags(0).to_string(), "0x0");
        assert_eq!(
            AtFlags(libc::AT_EMPTY_PATH | 1).to_string(),
            "AT_EMPTY_PATH|0x1"
        );
    }
}
