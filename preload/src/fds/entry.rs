//! What the table says of a number, in one word: the host file that it stands for.

use hostcall::types::RemoteFd;

/// Without it the number is foreign.
const HOST: u32 = 1;
const CLOEXEC: u32 = 2;
const READY: u32 = 4;
/// Bits of the flags.
const FLAGS: u32 = 3;

/// Descriptors of a shadow from this one on are in no table.
pub const BEYOND: i32 = 1 << 21;

/// A table entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The shadow's descriptor.
    pub remote: RemoteFd,
    /// Close-on-exec, in the guest kernel as on the host.
    pub cloexec: bool,
    /// Known to be ready at any time, poll(2), as regular files are.
    pub ready: bool,
}

impl Entry {
    /// The word of a number that is no host file's.
    pub const FOREIGN: u32 = 0;

    /// That of a file of which nothing else is known.
    pub fn new(remote: RemoteFd, cloexec: bool) -> Entry {
        let ready = false;
        Entry {
            remote,
            cloexec,
            ready,
        }
    }

    /// Its word.
    pub fn pack(self) -> u32 {
        let flag = |set, bit| if set { bit } else { 0 };
        let flags = flag(self.ready, READY) | flag(self.cloexec, CLOEXEC) | HOST;
        (self.remote.0 as u32) << FLAGS | flags
    }

    /// The entry of a word.
    #[inline]
    pub fn unpack(word: u32) -> Option<Entry> {
        Entry::remote(word).map(|remote| Entry {
            remote,
            cloexec: word & CLOEXEC != 0,
            ready: word & READY != 0,
        })
    }

    /// The shadow's descriptor alone.
    #[inline]
    pub fn remote(word: u32) -> Option<RemoteFd> {
        (word & HOST != 0).then_some(RemoteFd((word >> FLAGS) as i32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_what_was_packed() {
        assert_eq!(Entry::unpack(Entry::FOREIGN), None);
        for remote in [0, 3, 1 << 20] {
            for (cloexec, ready) in [(false, false), (true, false), (false, true), (true, true)] {
                let entry = Entry {
                    ready,
                    ..Entry::new(RemoteFd(remote), cloexec)
                };
                assert_eq!(Entry::unpack(entry.pack()), Some(entry));
                assert_eq!(Entry::remote(entry.pack()), Some(RemoteFd(remote)));
            }
        }
    }
}
