//! The host's `struct statx` and `struct statfs`, read by their documented layout out of the bytes of an answer.

use crate::fs::{Attr, Ino, Space, Time};
use crate::inode::Key;

/// Bytes of a `struct statx`.
pub const STATX: usize = size_of::<libc::statx>();
/// Bytes of a `struct statfs`.
pub const STATFS: usize = size_of::<libc::statfs>();
/// What is asked for.
pub const MASK: u32 = libc::STATX_BASIC_STATS | libc::STATX_BTIME;

/// What the host says of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Metadata, without an inode number of ours.
    pub attr: Attr,
    /// Which file it is.
    pub key: Key,
}

impl Stat {
    /// Whether it is a regular file with several names.
    pub fn is_linked(&self) -> bool {
        self.attr.links > 1 && self.kind() == libc::S_IFREG
    }

    /// Reads a `struct statx`, statx(2).
    pub fn parse(bytes: &[u8; STATX]) -> Stat {
        let u32_at = |at| u32::from_ne_bytes(part(bytes, at));
        let u64_at = |at| u64::from_ne_bytes(part(bytes, at));
        let u16_at = |at| u16::from_ne_bytes(part(bytes, at));
        let time_at = |at| Time {
            seconds: i64::from_ne_bytes(part(bytes, at)),
            nanoseconds: u32_at(at + 8),
        };
        let mode = u32::from(u16_at(28));
        let has_birth = u32_at(0) & libc::STATX_BTIME != 0;
        Stat {
            attr: Attr {
                ino: 0,
                unit: u32_at(4),
                links: u32_at(16),
                uid: u32_at(20),
                gid: u32_at(24),
                mode,
                size: u64_at(40),
                blocks: u64_at(48),
                atime: time_at(64),
                ctime: time_at(96),
                mtime: time_at(112),
                device: (u32_at(128), u32_at(132)),
            },
            key: Key {
                device: (u32_at(136), u32_at(140)),
                ino: u64_at(32),
                birth: if has_birth {
                    time_at(80)
                } else {
                    Time::default()
                },
                directory: mode & libc::S_IFMT == libc::S_IFDIR,
            },
        }
    }

    /// The metadata under an inode number, of a link that is shown with so many bytes more than it has.
    pub fn under(&self, ino: Ino, more: u64) -> Attr {
        let size = self.attr.size + more;
        Attr {
            ino,
            size,
            ..self.attr
        }
    }

    /// The file's type, `S_IFMT` of its mode.
    pub fn kind(&self) -> u32 {
        self.attr.mode & libc::S_IFMT
    }
}

/// Reads a `struct statfs`, statfs(2), as every 64-bit Linux lays it out.
pub fn space(bytes: &[u8; STATFS]) -> Space {
    let at = |index: usize| u64::from_ne_bytes(part(bytes, index * 8));
    Space {
        unit: at(1) as u32,
        blocks: at(2),
        free: at(3),
        available: at(4),
        files: at(5),
        free_files: at(6),
        longest_name: at(8) as u32,
        block: match at(9) {
            0 => at(1) as u32,
            size => size as u32,
        },
    }
}

/// The kind of file system, `f_type` of a `struct statfs`.
pub fn file_system(bytes: &[u8; STATFS]) -> libc::c_long {
    libc::c_long::from_ne_bytes(part(bytes, 0))
}

fn part<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut part = [0; N];
    part.copy_from_slice(&bytes[at..at + N]);
    part
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    #[test]
    fn the_layout_is_libcs() {
        assert_eq!(offset_of!(libc::statx, stx_blksize), 4);
        assert_eq!(offset_of!(libc::statx, stx_nlink), 16);
        assert_eq!(offset_of!(libc::statx, stx_mode), 28);
        assert_eq!(offset_of!(libc::statx, stx_ino), 32);
        assert_eq!(offset_of!(libc::statx, stx_size), 40);
        assert_eq!(offset_of!(libc::statx, stx_atime), 64);
        assert_eq!(offset_of!(libc::statx, stx_btime), 80);
        assert_eq!(offset_of!(libc::statx, stx_ctime), 96);
        assert_eq!(offset_of!(libc::statx, stx_mtime), 112);
        assert_eq!(offset_of!(libc::statx, stx_rdev_major), 128);
        assert_eq!(offset_of!(libc::statx, stx_dev_minor), 140);
        assert_eq!(offset_of!(libc::statfs, f_bsize), 8);
        assert_eq!(offset_of!(libc::statfs, f_ffree), 48);
        assert_eq!(offset_of!(libc::statfs, f_namelen), 64);
        assert_eq!(offset_of!(libc::statfs, f_frsize), 72);
    }
}
