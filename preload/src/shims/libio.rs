//! `FILE` as glibc lays it out, and the mode string of fopen(3).

use libc::{c_char, c_int, c_void, off64_t};
use std::mem::offset_of;

/// The public layout of a stream, `bits/types/struct_FILE.h`: fixed by the ABI since glibc 2.1, since `getc_unlocked`
/// is compiled into programs.
#[repr(C)]
pub struct File {
    /// Magic and state.
    pub flags: c_int,
    buffers: [*mut c_char; 11],
    markers: *mut c_void,
    chain: *mut File,
    /// The descriptor, -1 in a closed stream.
    pub fileno: c_int,
    /// More state. From glibc 2.38 on the last byte is a buffer.
    pub flags2: c_int,
    old_offset: i64,
    column: [u8; 4],
    lock: *mut c_void,
    /// The file position that belongs to the buffer's end, or -1.
    pub offset: off64_t,
    rest: [u64; 8],
    /// The jump table, behind what programs may see.
    pub table: *const c_void,
}

const _: () = assert!(offset_of!(File, fileno) == 112 && offset_of!(File, offset) == 144);
const _: () = assert!(offset_of!(File, table) == 216);

impl File {
    /// `_IO_NO_READS`
    pub const NO_READS: c_int = 0x4;
    /// `_IO_NO_WRITES`
    pub const NO_WRITES: c_int = 0x8;
    /// `_IO_ERR_SEEN`
    pub const ERROR: c_int = 0x20;
    /// `_IO_IS_APPENDING`
    pub const APPENDING: c_int = 0x1000;
    /// `_IO_IS_FILEBUF`: has a descriptor, unlike a memory or cookie stream.
    pub const FILEBUF: c_int = 0x2000;
    /// `_IO_FLAGS2_NOTCANCEL`
    pub const NOT_CANCEL: c_int = 0x2;
    /// `_IO_FLAGS2_CLOEXEC`
    pub const CLOEXEC: c_int = 0x40;
}

/// A mode string of fopen(3), understood as glibc does: the letters after the first seven are not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode {
    /// What open(2) gets.
    pub open: c_int,
    /// `NO_READS`, `NO_WRITES` and `APPENDING` of [`File::flags`].
    pub stream: c_int,
    /// `NOT_CANCEL` and `CLOEXEC` of [`File::flags2`].
    pub stream2: c_int,
    /// The first letter; the others follow from `open`.
    letter: u8,
}

impl Mode {
    /// Reads a mode string. `None` stands for EINVAL.
    pub fn parse(text: &[u8]) -> Option<Mode> {
        let letter = *text.first()?;
        let (mut open, mut stream) = match letter {
            b'r' => (libc::O_RDONLY, File::NO_WRITES),
            b'w' => (
                libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC,
                File::NO_READS,
            ),
            b'a' => (
                libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND,
                File::NO_READS | File::APPENDING,
            ),
            _ => return None,
        };
        let mut stream2 = 0;
        for option in text.iter().skip(1).take(6) {
            match option {
                b'+' => {
                    open = open & !libc::O_ACCMODE | libc::O_RDWR;
                    stream &= File::APPENDING;
                }
                b'x' => open |= libc::O_EXCL,
                b'e' => {
                    open |= libc::O_CLOEXEC;
                    stream2 |= File::CLOEXEC;
                }
                b'c' => stream2 |= File::NOT_CANCEL,
                _ => {}
            }
        }
        Some(Mode {
            open,
            stream,
            stream2,
            letter,
        })
    }

    /// Whether the stream starts at the file's end: `a`, but not `a+`, whose first read is at the beginning.
    pub fn starts_at_end(&self) -> bool {
        let both = File::APPENDING | File::NO_READS;
        self.stream & both == both
    }

    /// Whether an open file with these open(2) flags can serve this mode.
    pub fn fits(&self, flags: c_int) -> bool {
        match flags & libc::O_ACCMODE {
            libc::O_RDONLY => self.stream & File::NO_WRITES != 0,
            libc::O_WRONLY => self.stream & File::NO_READS != 0,
            _ => true,
        }
    }

    /// The same mode for `/dev/null`, as a C string: without `x`, which would refuse it, without `m`, whose stream
    /// has a jump table of its own, and with the conversion that `text` asks for.
    pub fn stand_in(&self, text: &[u8]) -> Option<StandIn> {
        let mut mode = StandIn {
            text: [0; 64],
            len: 0,
        };
        mode.push(&[self.letter])?;
        if self.open & libc::O_ACCMODE == libc::O_RDWR {
            mode.push(b"+")?;
        }
        if self.stream2 & File::CLOEXEC != 0 {
            mode.push(b"e")?;
        }
        if self.stream2 & File::NOT_CANCEL != 0 {
            mode.push(b"c")?;
        }
        mode.push(conversion(text))?;
        Some(mode)
    }
}

/// The part of a mode string that names a character set, or nothing.
pub fn conversion(text: &[u8]) -> &[u8] {
    const KEY: &[u8] = b",ccs=";
    match text.windows(KEY.len()).position(|window| window == KEY) {
        Some(start) => &text[start..],
        None => &[],
    }
}

/// A short mode string, ended by NUL.
pub struct StandIn {
    text: [u8; 64],
    len: usize,
}

impl StandIn {
    fn push(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.len + bytes.len();
        // The last byte stays NUL.
        if end >= self.text.len() {
            return None;
        }
        self.text[self.len..end].copy_from_slice(bytes);
        self.len = end;
        Some(())
    }

    /// For fopen(3).
    pub fn as_ptr(&self) -> *const c_char {
        self.text.as_ptr().cast()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_read_as_in_glibc() {
        let open = |text: &str| Mode::parse(text.as_bytes()).map(|mode| mode.open);
        assert_eq!(open("r"), Some(libc::O_RDONLY));
        assert_eq!(open("rb+"), Some(libc::O_RDWR));
        assert_eq!(
            open("wxe"),
            Some(libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC | libc::O_EXCL | libc::O_CLOEXEC)
        );
        assert_eq!(
            open("a+"),
            Some(libc::O_RDWR | libc::O_CREAT | libc::O_APPEND)
        );
        assert_eq!(open("rbbbbbb+"), Some(libc::O_RDONLY));
        assert_eq!(open("q"), None);
        assert_eq!(open(""), None);
    }

    #[test]
    fn only_pure_append_starts_at_the_end() {
        assert!(Mode::parse(b"a").unwrap().starts_at_end());
        assert!(!Mode::parse(b"a+").unwrap().starts_at_end());
        assert!(!Mode::parse(b"w").unwrap().starts_at_end());
    }

    #[test]
    fn stand_ins_keep_what_glibc_must_see() {
        let stand_in = |text: &[u8]| {
            let mode = Mode::parse(text).unwrap().stand_in(text).unwrap();
            String::from_utf8(mode.text[..mode.len].to_vec()).unwrap()
        };
        assert_eq!(stand_in(b"w+x"), "w+");
        assert_eq!(stand_in(b"rme"), "re");
        // glibc, too, takes the c of ",ccs=" for an option of its own.
        assert_eq!(stand_in(b"r,ccs=UTF-16"), "rc,ccs=UTF-16");
    }

    #[test]
    fn access_of_the_descriptor_limits_the_mode() {
        assert!(Mode::parse(b"r").unwrap().fits(libc::O_RDONLY));
        assert!(!Mode::parse(b"r+").unwrap().fits(libc::O_RDONLY));
        assert!(!Mode::parse(b"r").unwrap().fits(libc::O_WRONLY));
        assert!(Mode::parse(b"a+")
            .unwrap()
            .fits(libc::O_RDWR | libc::O_APPEND));
    }
}
