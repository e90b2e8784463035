//! The inode table: which host file each number stands for, and how to get at it. No I/O.
//!
//! An inode is reached by an `O_PATH` descriptor of the host. Those are bounded: the least recently used ones are given
//! back, and such an inode is found again by its parent and name, where the [`Key`] says whether it is still the same
//! file. Never given back are the root's and those of files that have lost their name while they were known.
//!
//! A number is a function of device and host inode, so that a directory's listing, which knows no more, and stat agree.
//! When the host gives a number of a deleted file to a new one, the entry passes to the new file under another
//! *generation*, by which the guest kernel tells them apart; their look-ups are counted together, because a forget
//! names the number alone.

use crate::fs::{Ino, Time, ROOT};
pub use crate::held::{Held, Kind, Unused};
use crate::people::Who;
use std::collections::{HashMap, VecDeque};
use std::ffi::{CStr, CString};
use std::sync::Arc;

/// Which host file: what statx(2) can tell of that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Key {
    /// Device number.
    pub device: (u32, u32),
    /// The host's inode number.
    pub ino: u64,
    /// When it was made; zero where the file system does not tell.
    pub birth: Time,
    /// Whether it is a directory.
    pub directory: bool,
}

impl std::hash::Hash for Time {
    fn hash<S: std::hash::Hasher>(&self, state: &mut S) {
        (self.seconds, self.nanoseconds).hash(state);
    }
}

/// Parent and name.
type Place = (Ino, CString);

#[derive(Debug)]
struct Inode {
    key: Key,
    generation: u64,
    lookups: u64,
    path: Option<Arc<Held>>,
    /// Its place in the clock, if it has one.
    stamp: Option<u64>,
    /// Descriptors of its open files.
    open: Vec<Arc<Held>>,
    place: Option<Place>,
    /// Who found it there, if that matters.
    finder: Option<Arc<Who>>,
    /// Used since the hand of the clock passed.
    recent: bool,
    /// Time of change and length when the guest closed it last.
    closed: Option<(Time, u64)>,
}

/// How to get at an inode.
#[derive(Debug)]
pub enum Way {
    /// By this descriptor.
    Held(Arc<Held>),
    /// By looking for this name in the parent, as the one who found it did; it must be this file.
    Named(Ino, CString, Key, Option<Arc<Who>>),
    /// Not any more: `ESTALE`.
    Lost,
}

/// The table.
#[derive(Debug)]
pub struct Inodes {
    known: HashMap<Ino, Inode>,
    names: HashMap<Place, Ino>,
    /// Inodes with an `O_PATH` descriptor in the order in which the clock's hand meets them. An entry whose stamp is not
    /// its inode's is one that was left.
    clock: VecDeque<(Ino, u64)>,
    /// Entries that are not.
    held: usize,
    stamps: u64,
    limit: usize,
    devices: Vec<(u32, u32)>,
    /// Directories that have kept their numbers over a change of the view: device and host inode of each now.
    kept: HashMap<((u32, u32), u64), Ino>,
    /// The session whose view this is.
    session: u32,
}

impl Inodes {
    /// A table that knows the root and holds at most `limit` descriptors besides.
    pub fn new(root: Key, path: Arc<Held>, limit: usize) -> Inodes {
        let session = path.session();
        let inode = Inode {
            key: root,
            generation: 0,
            lookups: 1,
            path: Some(path),
            stamp: None,
            open: Vec::new(),
            place: None,
            finder: None,
            recent: true,
            closed: None,
        };
        Inodes {
            known: HashMap::from([(ROOT, inode)]),
            names: HashMap::new(),
            clock: VecDeque::new(),
            held: 0,
            stamps: 0,
            limit: limit.max(1),
            devices: vec![root.device],
            kept: HashMap::new(),
            session,
        }
    }

    /// The number of a host file.
    pub fn number(&mut self, device: (u32, u32), ino: u64) -> Ino {
        if let Some(kept) = self.kept.get(&(device, ino)) {
            return *kept;
        }
        let index = self.devices.iter().position(|known| *known == device);
        let index = index.unwrap_or_else(|| {
            self.devices.push(device);
            self.devices.len() - 1
        });
        if self
            .known
            .get(&ROOT)
            .is_some_and(|root| root.key.ino == ino && root.key.device == device)
        {
            return ROOT;
        }
        // Host numbers are small on most file systems; a device's index in the high bits keeps them apart, and an odd
        // factor spreads the few that are not.
        let number = ino
            ^ (index as u64)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .rotate_left(8);
        // 0 is nobody, 1 the root, and the highest are kept for what the host does not have.
        match number {
            0 | ROOT => number | 1 << 62,
            number if number >= crate::hidden::FIRST => number & !(1 << 63),
            number => number,
        }
    }

    /// The number of a file that a directory lists, as far as a listing tells: it lies on the directory's device.
    pub fn sibling(&mut self, parent: Ino, ino: u64) -> Ino {
        let device = self.known.get(&parent).map(|parent| parent.key.device);
        self.number(device.unwrap_or_default(), ino)
    }

    /// Counts a look-up of a file, found under a name or by a descriptor alone, and keeps its descriptor if there is
    /// none yet.
    pub fn enter(
        &mut self,
        key: Key,
        path: Option<Arc<Held>>,
        place: Option<(Ino, &CStr)>,
    ) -> (Ino, u64) {
        let ino = self.number(key.device, key.ino);
        let inode = self.known.entry(ino).or_insert_with(|| Inode {
            key,
            generation: 0,
            lookups: 0,
            path: None,
            stamp: None,
            open: Vec::new(),
            place: None,
            finder: None,
            recent: true,
            closed: None,
        });
        if inode.key != key {
            // Another file under the number of one that is gone.
            inode.key = key;
            inode.generation += 1;
            inode.path = None;
            self.held -= usize::from(inode.stamp.take().is_some());
            inode.open.clear();
            inode.closed = None;
        }
        inode.lookups += 1;
        let generation = inode.generation;
        if let Some((parent, name)) = place.filter(|_| ino != ROOT) {
            let same = |old: &Place| old.0 == parent && old.1.as_c_str() == name;
            if !inode.place.as_ref().is_some_and(same) {
                let place = (parent, name.to_owned());
                let old = inode.place.replace(place.clone());
                self.drop_name(old, ino);
                self.names.insert(place, ino);
            }
        }
        if let Some(path) = path {
            self.give(ino, path);
        }
        (ino, generation)
    }

    /// Whose rights led to an inode.
    pub fn finder(&self, ino: Ino) -> Option<Arc<Who>> {
        self.known.get(&ino)?.finder.clone()
    }

    /// Notes whose rights led to an inode.
    pub fn found_by(&mut self, ino: Ino, finder: Option<Arc<Who>>) {
        if let Some(inode) = self.known.get_mut(&ino) {
            inode.finder = finder;
        }
    }

    /// Counts a look-up of a file that a directory lists and that cannot be seen.
    pub fn unseen(&mut self, parent: Ino, ino: u64) -> (Ino, u64) {
        let device = self.known.get(&parent).map(|parent| parent.key.device);
        let key = Key {
            device: device.unwrap_or_default(),
            ino,
            ..Key::default()
        };
        let number = self.number(key.device, ino);
        let known = self.known.get(&number).map_or(key, |inode| inode.key);
        self.enter(known, None, None)
    }

    /// Forgets that a name leads to an inode, unless it has come to lead to another one.
    fn drop_name(&mut self, place: Option<Place>, ino: Ino) {
        if let Some(place) = place {
            if self.names.get(&place) == Some(&ino) {
                self.names.remove(&place);
            }
        }
    }

    /// Keeps a descriptor of an inode that has none, and gives back others if there are too many.
    pub fn give(&mut self, ino: Ino, path: Arc<Held>) {
        let Some(inode) = self.known.get_mut(&ino) else {
            return;
        };
        inode.recent = true;
        if path.session() != self.session && inode.place.is_some() {
            // Found in a view of the past; it will be found again.
            return;
        }
        if inode.path.is_none() {
            inode.path = Some(path);
            self.stamps += 1;
            inode.stamp = Some(self.stamps);
            self.clock.push_back((ino, self.stamps));
            self.held += 1;
            self.shrink(self.limit);
        }
    }

    /// Gives back descriptors until at most `limit` are left: second chance, so that what is used stays.
    pub fn shrink(&mut self, limit: usize) {
        let mut turns = 2 * self.clock.len();
        while self.held > limit && turns > 0 {
            turns -= 1;
            let Some((ino, stamp)) = self.clock.pop_front() else {
                return;
            };
            let inode = self.known.get_mut(&ino);
            let Some(inode) = inode.filter(|inode| inode.stamp == Some(stamp)) else {
                continue;
            };
            if std::mem::take(&mut inode.recent) {
                self.clock.push_back((ino, stamp));
                continue;
            }
            inode.stamp = None;
            self.held -= 1;
            // Where nothing else leads to it, it is out of the clock but keeps its descriptor until it is forgotten.
            if inode.place.is_some() || !inode.open.is_empty() {
                inode.path = None;
            }
        }
    }

    /// Half of the descriptors that are held now: what to shrink to when the host has no more.
    pub fn half(&self) -> usize {
        self.held / 2
    }

    /// How to get at an inode.
    pub fn way(&mut self, ino: Ino) -> Way {
        let Some(inode) = self.known.get_mut(&ino) else {
            return Way::Lost;
        };
        inode.recent = true;
        match (&inode.path, inode.open.last(), &inode.place) {
            (Some(held), ..) | (None, Some(held), _) => Way::Held(held.clone()),
            (None, None, Some((parent, name))) => {
                Way::Named(*parent, name.clone(), inode.key, inode.finder.clone())
            }
            (None, None, None) => Way::Lost,
        }
    }

    /// The known inode under a name.
    pub fn named(&self, parent: Ino, name: &CStr) -> Option<Ino> {
        self.names.get(&(parent, name.to_owned())).copied()
    }

    /// Whether an inode is known and stands for this file.
    pub fn is(&self, ino: Ino, key: &Key) -> bool {
        self.known.get(&ino).is_some_and(|inode| inode.key == *key)
    }

    /// The number of a file, if it is known.
    pub fn known_as(&mut self, key: &Key) -> Option<Ino> {
        let ino = self.number(key.device, key.ino);
        self.is(ino, key).then_some(ino)
    }

    /// Whether an inode has open files.
    pub fn is_open(&self, ino: Ino) -> bool {
        let inode = self.known.get(&ino);
        inode.is_some_and(|inode| !inode.open.is_empty())
    }

    /// How many look-ups of an inode the kernel has not taken back.
    pub fn lookups(&self, ino: Ino) -> u64 {
        self.known.get(&ino).map_or(0, |inode| inode.lookups)
    }

    /// Parent and name by which an inode was found last.
    pub fn place_of(&self, ino: Ino) -> Option<(Ino, CString)> {
        self.known.get(&ino)?.place.clone()
    }

    /// Whether an inode is known.
    pub fn knows(&self, ino: Ino) -> bool {
        self.known.contains_key(&ino)
    }

    /// All known inodes, and all known names with what each leads to.
    pub fn all(&self) -> (Vec<Ino>, Vec<(Ino, CString, Key)>) {
        let names = self.names.iter().filter_map(|((parent, name), ino)| {
            let inode = self.known.get(ino)?;
            Some((*parent, name.clone(), inode.key))
        });
        (self.known.keys().copied().collect(), names.collect())
    }

    /// Takes back look-ups.
    pub fn forget(&mut self, ino: Ino, count: u64) {
        let Some(inode) = self.known.get_mut(&ino).filter(|_| ino != ROOT) else {
            return;
        };
        inode.lookups = inode.lookups.saturating_sub(count);
        if inode.lookups == 0 {
            let gone = self.known.remove(&ino);
            self.held -= usize::from(gone.as_ref().is_some_and(|gone| gone.stamp.is_some()));
            self.drop_name(gone.and_then(|gone| gone.place), ino);
            self.kept.retain(|_, kept| *kept != ino);
            if self.clock.len() > 2 * self.held + 64 {
                let known = &self.known;
                self.clock.retain(|(ino, stamp)| {
                    known
                        .get(ino)
                        .is_some_and(|inode| inode.stamp == Some(*stamp))
                });
            }
        }
    }

    /// Begins again with another view: what has a name will be found there. Says what the root was.
    pub fn begin_again(&mut self, root: Key, path: Arc<Held>) -> (Key, Option<Arc<Held>>) {
        for inode in self.known.values_mut() {
            if inode.place.is_some() {
                inode.path = None;
                self.held -= usize::from(inode.stamp.take().is_some());
            }
        }
        self.session = path.session();
        let before = self.known.get_mut(&ROOT).map(|inode| {
            let key = std::mem::replace(&mut inode.key, root);
            (key, inode.path.replace(path))
        });
        before.unwrap_or_default()
    }

    /// The known names in a directory, and what each leads to.
    pub fn children(&self, parent: Ino) -> Vec<(CString, Ino, Key)> {
        let here = self.names.iter().filter(|((of, _), _)| *of == parent);
        here.filter_map(|((_, name), ino)| {
            let inode = self.known.get(ino)?;
            Some((name.clone(), *ino, inode.key))
        })
        .collect()
    }

    /// A directory is another one in the new view, and keeps its number.
    pub fn becomes(&mut self, ino: Ino, key: Key) {
        self.kept.retain(|_, kept| *kept != ino);
        if let Some(inode) = self.known.get_mut(&ino) {
            inode.key = key;
            self.kept.insert((key.device, key.ino), ino);
        }
    }

    /// An inode has lost a name.
    pub fn unnamed(&mut self, parent: Ino, name: &CStr) {
        let ino = self.names.remove(&(parent, name.to_owned()));
        if let Some(inode) = ino.and_then(|ino| self.known.get_mut(&ino)) {
            inode.place = None;
        }
    }

    /// A name has moved, or two have changed places.
    pub fn renamed(&mut self, from: (Ino, &CStr), to: (Ino, &CStr), exchange: bool) {
        let (from, to) = ((from.0, from.1.to_owned()), (to.0, to.1.to_owned()));
        if from == to {
            return;
        }
        let (moved, met) = (self.names.remove(&from), self.names.remove(&to));
        if moved.is_some() && moved == met {
            // Two names of one file: rename(2) does nothing.
            let (Some(moved), Some(met)) = (moved, met) else {
                return;
            };
            self.names.insert(from, moved);
            self.names.insert(to, met);
            return;
        }
        self.place(met, exchange.then_some(from));
        self.place(moved, Some(to));
    }

    fn place(&mut self, ino: Option<Ino>, place: Option<Place>) {
        let Some(inode) = ino.and_then(|ino| self.known.get_mut(&ino)) else {
            return;
        };
        inode.place = place.clone();
        if let (Some(ino), Some(place)) = (ino, place) {
            self.names.insert(place, ino);
        }
    }

    /// An open file has come.
    pub fn opened(&mut self, ino: Ino, held: &Arc<Held>) {
        if let Some(inode) = self.known.get_mut(&ino) {
            inode.open.push(held.clone());
        }
    }

    /// An open file has gone.
    pub fn closed(&mut self, ino: Ino, held: &Arc<Held>) {
        if let Some(inode) = self.known.get_mut(&ino) {
            inode.open.retain(|other| !Arc::ptr_eq(other, held));
        }
    }

    /// Remembers how a file was when it was closed.
    pub fn remember(&mut self, ino: Ino, state: Option<(Time, u64)>) {
        if let Some(inode) = self.known.get_mut(&ino) {
            inode.closed = state;
        }
    }

    /// How a file was when it was closed.
    pub fn remembered(&self, ino: Ino) -> Option<(Time, u64)> {
        self.known.get(&ino)?.closed
    }

    /// How many inodes are known, and how many `O_PATH` descriptors held.
    pub fn count(&self) -> (usize, usize) {
        let held = self.known.values().filter(|inode| inode.path.is_some());
        (self.known.len(), held.count())
    }
}

#[cfg(test)]
#[path = "inode_tests.rs"]
mod tests;
