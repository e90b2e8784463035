//! What a host directory holds.

use hostcall::ops::Calls;
use hostcall::types::{DirFd, Errno, Mode, OpenFlags, RemoteFd};
use hostcall::wire::Sink;
use std::ffi::CString;

/// Bytes of entries that are read at once.
const ROOM: usize = 128 << 10;

/// Names and types of entries; all names lie in one piece.
#[derive(Debug, Default)]
pub struct Listing {
    text: Vec<u8>,
    entries: Vec<Entry>,
    /// They are in the order of their names.
    sorted: bool,
}

/// An entry of a listing, whose name it keeps.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    start: u32,
    length: u16,
    kind: u8,
}

/// What [`Listing::read`] is told before it reads on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Onward {
    /// As it has begun.
    On,
    /// From the beginning once more.
    Anew,
}

impl Listing {
    /// Reads an open directory to its end, but for `.` and `..`. What does not come in one piece is long: `long` is then asked
    /// how to go on, once.
    ///
    /// # Errors
    /// The calls'.
    pub fn read(
        host: &impl Calls,
        directory: RemoteFd,
        long: impl FnOnce() -> Onward,
    ) -> Result<Listing, Errno> {
        let mut listing = Listing::default();
        let mut long = Some(long);
        let mut room = vec![0; ROOM];
        loop {
            let filled = host.getdents(directory, Sink::new(&mut room))?.filled.0;
            if filled == 0 {
                break;
            }
            let is_second = !listing.entries.is_empty();
            if let Some(long) = long.take_if(|_| is_second) {
                if long() == Onward::Anew {
                    host.lseek(directory, 0, libc::SEEK_SET)?;
                    listing = Listing::default();
                    continue;
                }
            }
            for (name, kind) in Packed(&room[..filled]) {
                listing.add(name, kind);
            }
        }
        Ok(listing)
    }

    /// Puts the entries in order, so that those with a beginning are found at once.
    pub fn sort(&mut self) {
        if !std::mem::replace(&mut self.sorted, true) {
            sort(&mut self.entries, &self.text);
        }
    }

    fn add(&mut self, name: &[u8], kind: u8) {
        let (start, length) = (u32::try_from(self.text.len()), u16::try_from(name.len()));
        if let (Ok(start), Ok(length), false) = (start, length, matches!(name, b"." | b"..")) {
            self.text.extend_from_slice(name);
            self.entries.push(Entry {
                start,
                length,
                kind,
            });
        }
    }

    /// The entries whose names begin so, in the order of their names. Hidden ones come if their dot stands there.
    pub fn beginning(&self, begin: &[u8]) -> Vec<(&[u8], Entry)> {
        let name = |entry: &Entry| entry.name(&self.text);
        let fits = |entry: &&Entry| name(entry).starts_with(begin);
        let mut found: Vec<Entry> = match self.sorted {
            true => {
                let from = self.entries.partition_point(|entry| name(entry) < begin);
                self.entries[from..]
                    .iter()
                    .take_while(fits)
                    .copied()
                    .collect()
            }
            false => self.entries.iter().filter(fits).copied().collect(),
        };
        if !self.sorted {
            sort(&mut found, &self.text);
        }
        let named = found
            .into_iter()
            .map(|entry| (entry.name(&self.text), entry));
        named
            .filter(|(name, _)| name[0] != b'.' || !begin.is_empty())
            .collect()
    }
}

fn sort(entries: &mut [Entry], text: &[u8]) {
    entries.sort_unstable_by(|one, other| one.name(text).cmp(other.name(text)));
}

impl Entry {
    fn name(self, text: &[u8]) -> &[u8] {
        let start = self.start as usize;
        &text[start..start + usize::from(self.length)]
    }

    /// Whether this entry of the directory is one too, or leads to one. That is asked where the entry does not say it.
    pub fn is_directory(self, host: &impl Calls, directory: RemoteFd, name: &[u8]) -> bool {
        match self.kind {
            libc::DT_DIR => true,
            libc::DT_LNK | libc::DT_UNKNOWN => {
                let flags = OpenFlags(libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC);
                let name = CString::new(name).unwrap_or_default();
                let opened = host.openat(DirFd(directory.0), &name, flags, Mode(0));
                opened.map(|opened| host.close(opened.fd)).is_ok()
            }
            _ => false,
        }
    }
}

/// Opens a directory to read it; the session's own where no path is given.
///
/// # Errors
/// The call's.
pub fn open(host: &impl Calls, path: &[u8]) -> Result<RemoteFd, Errno> {
    let path = match path {
        b"" => b".",
        path => path,
    };
    let path = CString::new(path).map_err(|_| Errno(libc::EINVAL))?;
    let flags = OpenFlags(libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC);
    Ok(host.openat(DirFd::CWD, &path, flags, Mode(0))?.fd)
}

/// A path that is being typed: the directory that it leads into, with the slash, and how a name there begins.
pub fn split(path: &[u8]) -> (&[u8], &[u8]) {
    let slash = path.iter().rposition(|byte| *byte == b'/');
    path.split_at(slash.map_or(0, |slash| slash + 1))
}

/// Names and types of packed `struct linux_dirent64`, getdents64(2).
struct Packed<'e>(&'e [u8]);

impl<'e> Iterator for Packed<'e> {
    type Item = (&'e [u8], u8);

    fn next(&mut self) -> Option<Self::Item> {
        // Inode and offset, 8 bytes each; length of the entry, 2; type, 1; the name and a NUL.
        const LENGTH: usize = 16;
        const NAME: usize = 19;
        let length = self.0.get(LENGTH..LENGTH + 2)?;
        let length = usize::from(u16::from_ne_bytes([length[0], length[1]]));
        let (entry, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        let name = entry.get(NAME..)?;
        let end = name.iter().position(|byte| *byte == 0)?;
        (end > 0).then_some((&name[..end], entry[NAME - 1]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &[u8], kind: u8) -> Vec<u8> {
        let length = (19 + name.len() + 1).next_multiple_of(8);
        let mut bytes = vec![0; 16];
        bytes.extend_from_slice(&(length as u16).to_ne_bytes());
        bytes.push(kind);
        bytes.extend_from_slice(name);
        bytes.resize(length, 0);
        bytes
    }

    #[test]
    fn entries_are_read_to_their_end_and_no_further() {
        let packed = [entry(b"a", libc::DT_DIR), entry(b"long name", libc::DT_REG)].concat();
        let read: Vec<_> = Packed(&packed).collect();
        assert_eq!(
            read,
            [
                (b"a".as_slice(), libc::DT_DIR),
                (b"long name", libc::DT_REG)
            ]
        );
        for cut in [1, 18, 19, packed.len() - 1] {
            assert!(Packed(&packed[..cut]).count() < 2, "{cut}");
        }
        assert_eq!(Packed(&[0; 40]).count(), 0);
    }

    #[test]
    fn names_are_found_by_their_beginning() {
        let mut listing = Listing::default();
        for name in [".", "b", "..", "ab", ".a", "a", "a\u{1}"] {
            listing.add(name.as_bytes(), libc::DT_REG);
        }
        listing.add(b"a\xff", libc::DT_REG);
        let a: [&[u8]; 5] = [b"a", b"a\x01", b"ab", b"a\xff", b"b"];
        for _ in 0..2 {
            let found = |begin: &[u8]| -> Vec<Vec<u8>> {
                let found = listing.beginning(begin).into_iter();
                found.map(|(name, _)| name.to_vec()).collect()
            };
            assert_eq!(found(b"a"), &a[..4]);
            assert_eq!(found(b"a\xff"), [b"a\xff"]);
            assert_eq!(found(b""), a);
            assert_eq!(found(b"."), [b".a"]);
            assert_eq!(found(b"c"), [b""; 0]);
            listing.sort();
        }
    }
}
