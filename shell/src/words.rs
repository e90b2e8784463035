//! A host program's arguments and environment, as the `exec` op takes them: written into a file of the host's memory.

use crate::failure::plain;
use hostcall::client::Client;
use hostcall::ops::Calls;
use hostcall::transfer::{self, Known};
use hostcall::types::{Errno, Offset, RemoteFd, RwFlags};
use hostcall::wire::Sink;
use std::ffi::CString;

/// The words as they are written: two 32-bit little-endian counts, then the arguments and the variables, a NUL behind each.
pub fn pack(arguments: &[CString], variables: &[CString]) -> Vec<u8> {
    let count = |list: &[CString]| u32::try_from(list.len()).unwrap_or(u32::MAX).to_le_bytes();
    let mut packed = [count(arguments), count(variables)].concat();
    for word in arguments.iter().chain(variables) {
        packed.extend_from_slice(word.to_bytes_with_nul());
    }
    packed
}

/// Writes the words where the host finds them.
///
/// # Errors
/// `E2BIG` if they do not fit; the calls'.
pub fn write(host: &Client, packed: &[u8]) -> Result<RemoteFd, Errno> {
    let len = u64::try_from(packed.len()).unwrap_or(u64::MAX);
    let fd = match host.scratch(len) {
        Ok(reply) => reply.fd,
        Err(Errno(libc::EINVAL)) => return Err(Errno(libc::E2BIG)),
        Err(errno) => return Err(errno),
    };
    let mut at = 0;
    while at < packed.len() {
        let rest = &packed[at..];
        match transfer::write(host, fd, Known::Plain, Offset(at as i64), RwFlags(0), rest) {
            Ok(0) | Err(Errno(libc::EPERM | libc::EFBIG | libc::ENOSPC)) => {
                let _ = host.close(fd);
                return Err(Errno(libc::E2BIG));
            }
            Ok(written) => at += written,
            Err(errno) => {
                let _ = host.close(fd);
                return Err(errno);
            }
        }
    }
    Ok(fd)
}

/// Why the host has refused these words, for people, if it says so.
pub fn refusal(host: &Client, words: RemoteFd) -> Option<String> {
    let mut room = [0; 4096];
    let filled = host.refusal(words, Sink::new(&mut room)).ok()?.filled.0;
    (filled > 0).then(|| plain(&room[..filled]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_arrives_as_it_is() {
        let words = [c"-x", c"", c"a\nb"].map(|word| word.to_owned());
        let packed = pack(&words, &[c"A=".to_owned()]);
        assert_eq!(packed, b"\x03\0\0\0\x01\0\0\0-x\0\0a\nb\0A=\0");
    }
}
