//! The words of a program as a guest hands them over: counts, arguments, offered variables.

use hostcall::types::Errno;
use std::ffi::{CStr, CString};

/// Bytes that a guest can hand over: more than execve(2) takes.
pub const MOST_BYTES: usize = 4 << 20;

/// What a program is started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// Its arguments, of which there is at least one: the first names it.
    pub arguments: Vec<CString>,
    /// Variables that the guest offers, `NAME=VALUE` or not.
    pub offered: Vec<CString>,
}

/// Takes the bytes apart: two 32-bit counts, then so many strings, each ended by a NUL. What follows is ignored.
///
/// # Errors
/// `EINVAL`: less is there than the counts say, or no argument.
pub fn parse(bytes: &[u8]) -> Result<Words, Errno> {
    let malformed = Errno(libc::EINVAL);
    let (counts, mut rest) = bytes.split_first_chunk::<8>().ok_or(malformed)?;
    let [a, b, c, d, e, f, g, h] = *counts;
    let counts = [[a, b, c, d], [e, f, g, h]].map(|count| u32::from_le_bytes(count) as usize);
    let mut strings = |count: usize| -> Result<Vec<CString>, Errno> {
        // Each takes a byte at least, so that a huge count asks for no memory.
        if count > rest.len() {
            return Err(malformed);
        }
        (0..count)
            .map(|_| {
                let string = CStr::from_bytes_until_nul(rest).map_err(|_| malformed)?;
                rest = &rest[string.count_bytes() + 1..];
                Ok(string.to_owned())
            })
            .collect()
    };
    let arguments = strings(counts[0])?;
    let offered = strings(counts[1])?;
    match arguments.is_empty() {
        true => Err(malformed),
        false => Ok(Words { arguments, offered }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(counts: [u32; 2], strings: &[u8]) -> Vec<u8> {
        let counts = counts.into_iter().flat_map(u32::to_le_bytes);
        counts.chain(strings.iter().copied()).collect()
    }

    #[test]
    fn strings_are_taken_as_they_are() {
        let words = parse(&bytes([3, 1], b"ls\0\0-a\nb\xff\0A=1\0rest")).unwrap();
        assert_eq!(
            words.arguments,
            [c"ls".to_owned(), c"".to_owned(), c"-a\nb\xff".to_owned()]
        );
        assert_eq!(words.offered, [c"A=1".to_owned()]);
    }

    #[test]
    fn counts_are_not_believed() {
        let refused: [&[u8]; 4] = [
            b"",
            b"\x01\0\0\0\0\0\0",
            &bytes([0, 1], b"A=1\0"),
            &bytes([1, 0], b"ls"),
        ];
        for bytes in refused {
            assert_eq!(parse(bytes), Err(Errno(libc::EINVAL)), "{bytes:?}");
        }
        for counts in [[u32::MAX, 0], [1, u32::MAX], [2, 1], [1 << 31, 1 << 31]] {
            assert_eq!(
                parse(&bytes(counts, b"ls\0-l\0")),
                Err(Errno(libc::EINVAL)),
                "{counts:?}"
            );
        }
    }
}
