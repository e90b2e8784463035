//! How many terminals a guest has: the kernel has few for all of the host (`kernel.pty.max`), and who has the last one locks
//! everybody out.

use super::terminal;
use hostcall::types::Errno;
use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;

/// The numbers of the terminals that have been made here. Only their guest knows when it closes one; then its name vanishes. One
/// that another terminal of the same user takes over meanwhile is counted until that is closed.
#[derive(Debug)]
pub(super) struct Terminals {
    made: BTreeSet<u32>,
    most: usize,
}

fn is_ours(number: u32) -> bool {
    let metadata = std::fs::metadata(format!("/dev/pts/{number}"));
    metadata.is_ok_and(|metadata| metadata.uid() == nix::unistd::geteuid().as_raw())
}

impl Terminals {
    /// None, of so many at once.
    pub fn new(most: usize) -> Terminals {
        Terminals {
            made: BTreeSet::new(),
            most,
        }
    }

    /// Makes one, whose master comes back.
    ///
    /// # Errors
    /// `EAGAIN` if the guest has too many already; the kernel's.
    pub fn open(&mut self, size: [u16; 4]) -> Result<OwnedFd, Errno> {
        if self.made.len() >= self.most {
            self.made.retain(|number| is_ours(*number));
        }
        if self.made.len() >= self.most {
            return Err(Errno(libc::EAGAIN));
        }
        let (master, number) = terminal::open(size)?;
        self.made.insert(number);
        Ok(master)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_are_closed_make_room() {
        let mut terminals = Terminals::new(2);
        let mut open = || terminals.open([24, 80, 0, 0]);
        let (one, two) = (open().unwrap(), open().unwrap());
        assert_eq!(open().map(drop), Err(Errno(libc::EAGAIN)));
        drop(one);
        let three = open().unwrap();
        assert_eq!(open().map(drop), Err(Errno(libc::EAGAIN)));
        drop((two, three));
        assert!(open().is_ok());
    }
}
