//! Named sessions of a guest: working directories on the host that outlive the processes that chose them.

use super::passing::Passed;
use std::collections::HashMap;

/// Named sessions of a guest: each holds a descriptor of hostd's. The one that was used longest ago makes room.
const MOST: usize = 256;

/// The directories by name. They are of the shadows' view; hostd itself never enters them.
#[derive(Debug, Default)]
pub struct Named {
    by_name: HashMap<Vec<u8>, (u64, Passed)>,
    uses: u64,
}

impl Named {
    /// A session's directory, if one has been kept.
    pub fn directory(&mut self, name: &[u8]) -> Option<&Passed> {
        self.uses += 1;
        let (used, directory) = self.by_name.get_mut(name)?;
        *used = self.uses;
        Some(directory)
    }

    /// Keeps a session's directory.
    pub fn keep(&mut self, name: Vec<u8>, directory: Passed) {
        self.uses += 1;
        self.by_name.insert(name, (self.uses, directory));
        if self.by_name.len() > MOST {
            let oldest = self.by_name.iter().min_by_key(|(_, (used, _))| *used);
            if let Some(name) = oldest.map(|(name, _)| name.clone()) {
                self.by_name.remove(&name);
            }
        }
    }

    /// The guest is gone, and its sessions with it.
    pub fn clear(&mut self) {
        self.by_name.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::passing::Closer;

    #[test]
    fn the_one_used_longest_ago_makes_room() {
        let closer = Closer::default();
        let file = || {
            let root = std::fs::File::open("/").unwrap();
            closer.take(vec![root.into()]).remove(0)
        };
        let mut named = Named::default();
        let name = |n: usize| n.to_string().into_bytes();
        (0..MOST).for_each(|n| named.keep(name(n), file()));
        assert!(named.directory(&name(0)).is_some());
        named.keep(name(MOST), file());
        let kept = |named: &mut Named, n: usize| named.directory(&name(n)).is_some();
        assert!(
            kept(&mut named, 0)
                && !kept(&mut named, 1)
                && kept(&mut named, 2)
                && kept(&mut named, MOST)
        );
    }
}
