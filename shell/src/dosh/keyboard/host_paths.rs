//! Paths of the host that are being typed, as the process that asks the host finds them.
//!
//! A directory that takes long to read is kept beside a watch on it: as long as no event has come, what was read is what is
//! there, whoever changes it on the host. It is read when somebody has typed as far as to it, so that a Tab finds it read.

use super::offer::MOST;
use crate::dosh::syntax::tree::Bytes;
use crate::listing::{self, split, Entry, Listing, Onward};
use hostcall::ops::Calls;
use hostcall::types::{AtFlags, Errno, Offset, RemoteFd, RwFlags};
use hostcall::wire::Sink;
use std::mem::offset_of;

/// Whatever gives a directory another name or takes one from it, or the directory from its place.
const CHANGES: u32 = libc::IN_CREATE
    | libc::IN_DELETE
    | libc::IN_MOVED_FROM
    | libc::IN_MOVED_TO
    | libc::IN_DELETE_SELF
    | libc::IN_MOVE_SELF;

/// File systems that nobody changes but their own kernel, which tells of it. Others change on a server, or have no directories
/// but by being asked.
const WATCHED: [i64; 6] = [
    libc::BTRFS_SUPER_MAGIC,
    libc::EXT4_SUPER_MAGIC,
    libc::F2FS_SUPER_MAGIC,
    libc::OVERLAYFS_SUPER_MAGIC,
    libc::TMPFS_MAGIC,
    libc::XFS_SUPER_MAGIC,
];

/// Names in their order. Of very many those in the middle are left out: the first are shown, and with the last they tell what
/// all have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    pub names: Vec<Bytes>,
    /// How many are left out before the last.
    pub left_out: usize,
}

impl From<Vec<Bytes>> for Found {
    fn from(names: Vec<Bytes>) -> Found {
        Found { names, left_out: 0 }
    }
}

/// What is known of the host's directories.
#[derive(Debug, Default)]
pub struct Paths {
    kept: Option<Known>,
    /// The instance with the watch on it. It stays open: to close one takes the host's kernel many milliseconds.
    instance: Option<RemoteFd>,
}

/// A directory that has been read. It is not held open, which would keep its file system from being unmounted: if it goes and its
/// number is another's, the watch has told of that.
#[derive(Debug)]
struct Known {
    identity: Identity,
    listing: Listing,
    /// The watch on it.
    watch: Option<i32>,
}

/// A file's number, and those of its device (statx(2)).
type Identity = [u8; 16];

impl Paths {
    /// Reads the directory with this path, in which somebody is about to ask for names.
    ///
    /// # Errors
    /// The calls'.
    pub fn prepare(&mut self, host: &impl Calls, parent: &[u8]) -> Result<(), Errno> {
        let fd = listing::open(host, parent)?;
        let known = self.read(host, fd);
        let _ = host.close(fd);
        self.keep(known?);
        if let Some(kept) = &mut self.kept {
            kept.listing.sort();
        }
        Ok(())
    }

    /// The paths that begin so. Directories end in a slash. Hidden files come if their dot stands there.
    ///
    /// # Errors
    /// The calls'.
    pub fn find(
        &mut self,
        host: &impl Calls,
        path: &[u8],
        only_directories: bool,
    ) -> Result<Found, Errno> {
        let (parent, begin) = split(path);
        let fd = listing::open(host, parent)?;
        let known = self.read(host, fd);
        let known = known.map(|known| {
            let names = known.listing.beginning(begin);
            (choose(host, fd, parent, names, only_directories), known)
        });
        let _ = host.close(fd);
        let (found, known) = known?;
        self.keep(known);
        Ok(found)
    }

    /// What this directory holds now.
    fn read(&mut self, host: &impl Calls, fd: RemoteFd) -> Result<Known, Errno> {
        let identity = identity(host, fd)?;
        let mut watch = None;
        if let Some(kept) = self.kept.take_if(|kept| kept.identity == identity) {
            if self.nothing_happened(host) {
                return Ok(kept);
            }
            // It may be another directory with the number of one that has gone, and its watch with it.
            watch = self.watch(host, fd);
            if watch.is_none() {
                self.forget(host, kept.watch);
            }
        }
        let watched = watch.is_some();
        let read = Listing::read(host, fd, || {
            if !watched {
                watch = self.watch(host, fd);
            }
            match watched || watch.is_none() {
                true => Onward::On,
                // What has been read may have changed before the watch.
                false => Onward::Anew,
            }
        });
        match read {
            Ok(listing) => Ok(Known {
                identity,
                listing,
                watch,
            }),
            Err(errno) => {
                self.forget(host, watch);
                Err(errno)
            }
        }
    }

    /// Keeps what is watched.
    fn keep(&mut self, known: Known) {
        if known.watch.is_some() {
            self.kept = Some(known);
        }
    }

    fn forget(&self, host: &impl Calls, watch: Option<i32>) {
        if let (Some(instance), Some(watch)) = (self.instance, watch) {
            let _ = host.watch_remove(instance, watch);
        }
    }

    /// Whether no event has come of what is watched. Those that have are gone then.
    fn nothing_happened(&self, host: &impl Calls) -> bool {
        let Some(instance) = self.instance else {
            return false;
        };
        let mut events = [0; 4096];
        let mut nothing = true;
        loop {
            let sink = Sink::new(&mut events);
            match host.read(instance, Offset::CURRENT, RwFlags(0), sink) {
                Ok(_) => nothing = false,
                Err(errno) => return nothing && errno == Errno(libc::EAGAIN),
            }
        }
    }

    /// Watches a directory in the place of the one that is kept; nothing if that could not tell of all changes.
    fn watch(&mut self, host: &impl Calls, directory: RemoteFd) -> Option<i32> {
        let mut bytes = [0; size_of::<libc::statfs>()];
        let kind = host.statfs(directory.into(), c"", Sink::new(&mut bytes));
        kind.ok()?;
        let kind = bytes[offset_of!(libc::statfs, f_type)..].first_chunk()?;
        if !WATCHED.contains(&i64::from_ne_bytes(*kind)) {
            return None;
        }
        let kept = self.kept.take();
        self.forget(host, kept.and_then(|kept| kept.watch));
        let instance = match self.instance {
            Some(instance) => instance,
            None => {
                let flags = libc::IN_NONBLOCK | libc::IN_CLOEXEC;
                *self.instance.insert(host.watch_open(flags).ok()?.fd)
            }
        };
        // Whatever it told was of another directory.
        self.nothing_happened(host);
        let added = host.watch_add(instance, directory, CHANGES);
        added.ok().map(|added| added.descriptor)
    }
}

/// Of the names of a directory those that are asked for, in their order.
fn choose(
    host: &impl Calls,
    directory: RemoteFd,
    parent: &[u8],
    names: Vec<(&[u8], Entry)>,
    only_directories: bool,
) -> Found {
    let mut found = Found::default();
    let mut last = None;
    for (name, entry) in names {
        let is_shown = found.names.len() < MOST;
        let is_directory =
            (is_shown || only_directories) && entry.is_directory(host, directory, name);
        let ending: &[u8] = if is_directory { b"/" } else { b"" };
        match (is_shown, only_directories && !is_directory) {
            (_, true) => {}
            (true, false) => found.names.push([parent, name, ending].concat()),
            (false, false) => found.left_out += usize::from(last.replace(name).is_some()),
        }
    }
    found.names.extend(last.map(|name| [parent, name].concat()));
    found
}

fn identity(host: &impl Calls, fd: RemoteFd) -> Result<Identity, Errno> {
    let mut bytes = [0; size_of::<libc::statx>()];
    let flags = AtFlags(libc::AT_EMPTY_PATH);
    let sink = Sink::new(&mut bytes);
    host.statx(fd.into(), c"", flags, libc::STATX_INO, sink)?;
    let mut identity = Identity::default();
    let part = |at: usize| &bytes[at..at + 8];
    identity[..8].copy_from_slice(part(offset_of!(libc::statx, stx_ino)));
    // The minor number stands behind the major one.
    identity[8..].copy_from_slice(part(offset_of!(libc::statx, stx_dev_major)));
    Ok(identity)
}
