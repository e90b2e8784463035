//! What the table says of a host file, in one word.

use hostcall::types::RemoteFd;

const HOST: i32 = 1;
const CLOEXEC: i32 = 2;
const READY: i32 = 4;
/// Bits of the flags.
const FLAGS: u32 = 3;

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
    /// That of a file of which nothing else is known.
    pub fn new(remote: RemoteFd, cloexec: bool) -> Entry {
        let ready = false;
        Entry {
            remote,
            cloexec,
            ready,
        }
    }

    /// Never 0, which is no host file.
    pub fn pack(self) -> i32 {
        let flag = |set, bit| if set { bit } else { 0 };
        self.remote.0 << FLAGS | flag(self.ready, READY) | flag(self.cloexec, CLOEXEC) | HOST
    }

    /// The entry of a word.
    #[inline]
    pub fn unpack(word: i32) -> Option<Entry> {
        Entry::remote(word).map(|remote| Entry {
            remote,
            cloexec: word & CLOEXEC != 0,
            ready: word & READY != 0,
        })
    }

    /// The shadow's descriptor alone.
    #[inline]
    pub fn remote(word: i32) -> Option<RemoteFd> {
        (word != 0).then_some(RemoteFd(word >> FLAGS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_what_was_packed() {
        assert_eq!(Entry::unpack(0), None);
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
