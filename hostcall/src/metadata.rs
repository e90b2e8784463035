//! What stat(2) tells of a file, as it travels: a head and one cache line, where `struct statx` takes four.

use crate::types::Errno;
use crate::wire::{to_bytes, to_words, Field, Payload, ProtocolError, Reader, Writer, HEAD};
use std::fmt;

/// Metadata of a file, stat(3type).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// File type and mode.
    pub mode: u32,
    /// Hard links.
    pub links: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Length in bytes.
    pub size: u64,
    /// The device that it lies on.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
    /// The device that it is, if it is one.
    pub is_device: u64,
    /// Blocks of 512 bytes.
    pub blocks: u64,
    /// Bytes of a block that suits reads and writes.
    pub block: u32,
    /// Last access: seconds, and nanoseconds of the next.
    pub accessed: (i64, u32),
    /// Last change of the data.
    pub modified: (i64, u32),
    /// Last change of any kind.
    pub changed: (i64, u32),
}

impl From<&libc::stat> for Metadata {
    fn from(stat: &libc::stat) -> Metadata {
        Metadata {
            mode: stat.st_mode,
            links: stat.st_nlink as u32,
            uid: stat.st_uid,
            gid: stat.st_gid,
            size: stat.st_size as u64,
            device: stat.st_dev,
            inode: stat.st_ino,
            is_device: stat.st_rdev,
            blocks: stat.st_blocks as u64,
            block: stat.st_blksize as u32,
            accessed: (stat.st_atime, stat.st_atime_nsec as u32),
            modified: (stat.st_mtime, stat.st_mtime_nsec as u32),
            changed: (stat.st_ctime, stat.st_ctime_nsec as u32),
        }
    }
}

/// Words of it on the wire.
const WORDS: usize = 12;

/// Bytes of it on the wire.
pub(crate) const SIZE: usize = 8 * WORDS;

const _: () = assert!(SIZE <= HEAD + 64);

fn pair(low: u32, high: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

fn halves(word: u64) -> (u32, u32) {
    (word as u32, (word >> 32) as u32)
}

impl Metadata {
    /// What a trace shows stands first, in the head.
    #[inline(always)]
    fn words(&self) -> [u64; WORDS] {
        [
            pair(self.mode, self.links),
            pair(self.uid, self.gid),
            self.size,
            self.device,
            self.inode,
            self.is_device,
            self.blocks,
            pair(self.block, self.accessed.1),
            pair(self.modified.1, self.changed.1),
            self.accessed.0 as u64,
            self.modified.0 as u64,
            self.changed.0 as u64,
        ]
    }

    #[inline(always)]
    fn of(words: [u64; WORDS]) -> Metadata {
        let [kind, owner, size, device, inode, is_device, blocks, first, second, times @ ..] =
            words;
        let ((mode, links), (uid, gid)) = (halves(kind), halves(owner));
        let ((block, accessed), (modified, changed)) = (halves(first), halves(second));
        let [access, modification, change] = times.map(|seconds| seconds as i64);
        Metadata {
            mode,
            links,
            uid,
            gid,
            size,
            device,
            inode,
            is_device,
            blocks,
            block,
            accessed: (access, accessed),
            modified: (modification, modified),
            changed: (change, changed),
        }
    }
}

impl<'a> Field<'a> for Metadata {
    const TYPE: &'static str = "metadata";
    const SIZE: usize = 0;
    const PAYLOAD: Payload = Payload::Private;
    #[inline(always)]
    fn put(&self, writer: &mut Writer<'_>) -> Result<(), Errno> {
        let bytes: [u8; SIZE] = to_bytes(&self.words());
        writer.private(&bytes).ok_or(Errno(libc::EIO))
    }
    #[inline(always)]
    fn take(reader: &mut Reader<'a>) -> Result<Self, ProtocolError> {
        let bytes: [u8; SIZE] = reader.array()?;
        Ok(Metadata::of(to_words(&bytes)))
    }
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{mode={:#o}, size={}}}", self.mode, self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fact_keeps_its_place() {
        let stat = Metadata {
            mode: 1,
            links: 2,
            uid: 3,
            gid: 4,
            size: 5,
            device: u64::MAX,
            inode: 7,
            is_device: 8,
            blocks: 9,
            block: 10,
            accessed: (-11, 12),
            modified: (i64::MAX, 14),
            changed: (15, u32::MAX),
        };
        assert_eq!(Metadata::of(stat.words()), stat);
    }
}
