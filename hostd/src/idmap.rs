//! Which host id a guest id stands for: pure functions over ranges, as `/proc/PID/uid_map` has them, user_namespaces(7).

use hostcall::ids::{GuestGid, GuestUid, HostGid, HostUid};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::marker::PhantomData;

/// What an id without a counterpart is shown as: the kernel's own overflow id, `nobody`.
pub const OVERFLOW: u32 = 65534;

/// Ranges of one map at most; the kernel's own limit for a user namespace.
pub const MOST_RANGES: usize = 340;

/// `count` ids from `guest` on stand for as many from `host` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// First id in the guest.
    pub guest: u32,
    /// First id on the host.
    pub host: u32,
    /// How many.
    pub count: u32,
}

impl Range {
    /// Every id but -1, which is none.
    pub const ALL: Range = Range {
        guest: 0,
        host: 0,
        count: u32::MAX,
    };
}

/// A range that cannot be meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MapError {
    /// No range.
    Empty,
    /// More ranges than [`MOST_RANGES`].
    TooMany,
    /// The range at this place has no id.
    NoIds(usize),
    /// The range at this place reaches -1 or goes beyond.
    Overflow(usize),
    /// Two ranges hold the same id of this side.
    Overlap(usize, usize, &'static str),
}

impl fmt::Display for MapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MapError::Empty => f.write_str("empty; leave it out to keep all ids as they are"),
            MapError::TooMany => write!(f, "more than {MOST_RANGES} ranges"),
            MapError::NoIds(at) => write!(f, "range [{at}] is empty; give it a `count`"),
            MapError::Overflow(at) => {
                write!(f, "range [{at}] goes beyond the last id, {}", u32::MAX - 1)
            }
            MapError::Overlap(one, other, side) => {
                write!(
                    f,
                    "ranges [{one}] and [{other}] share ids of the {side}; make them apart"
                )
            }
        }
    }
}

impl std::error::Error for MapError {}

/// A map between two kinds of ids, one to one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdMap<G, H> {
    ranges: Vec<Range>,
    #[serde(skip)]
    kinds: PhantomData<(G, H)>,
}

impl<G: From<u32> + Into<u32>, H: From<u32> + Into<u32>> IdMap<G, H> {
    /// Every id stands for itself.
    pub fn identity() -> Self {
        IdMap {
            ranges: vec![Range::ALL],
            kinds: PhantomData,
        }
    }

    /// The map of these ranges.
    ///
    /// # Errors
    /// A range is empty or too long, or two of them overlap on either side.
    pub fn new(ranges: &[Range]) -> Result<Self, MapError> {
        if ranges.is_empty() {
            return Err(MapError::Empty);
        }
        if ranges.len() > MOST_RANGES {
            return Err(MapError::TooMany);
        }
        for (at, range) in ranges.iter().enumerate() {
            if range.count == 0 {
                return Err(MapError::NoIds(at));
            }
            for first in [range.guest, range.host] {
                // The last id may be one below -1.
                if u64::from(first) + u64::from(range.count) > u64::from(u32::MAX) {
                    return Err(MapError::Overflow(at));
                }
            }
            for (earlier, other) in ranges[..at].iter().enumerate() {
                let share = |a: u32, b: u32| {
                    u64::from(a) < u64::from(b) + u64::from(other.count)
                        && u64::from(b) < u64::from(a) + u64::from(range.count)
                };
                for (side, shared) in [
                    ("guest", share(range.guest, other.guest)),
                    ("host", share(range.host, other.host)),
                ] {
                    if shared {
                        return Err(MapError::Overlap(earlier, at, side));
                    }
                }
            }
        }
        Ok(IdMap {
            ranges: ranges.to_vec(),
            kinds: PhantomData,
        })
    }

    /// Whether every id stands for itself, so that nothing needs translating.
    pub fn is_identity(&self) -> bool {
        self.ranges == [Range::ALL]
    }

    /// The host id that a guest id stands for.
    pub fn to_host(&self, id: G) -> Option<H> {
        let id = id.into();
        let range = self
            .ranges
            .iter()
            .find(|range| id.wrapping_sub(range.guest) < range.count)?;
        Some((range.host + (id - range.guest)).into())
    }

    /// The guest id that stands for a host id.
    pub fn to_guest(&self, id: H) -> Option<G> {
        let id = id.into();
        let range = self
            .ranges
            .iter()
            .find(|range| id.wrapping_sub(range.host) < range.count)?;
        Some((range.guest + (id - range.host)).into())
    }

    /// What the guest sees for a host id: [`OVERFLOW`] if no guest id stands for it.
    pub fn shown(&self, id: H) -> G {
        self.to_guest(id).unwrap_or(OVERFLOW.into())
    }

    /// First and last host id of each range.
    pub fn host_ranges(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        let ends = |range: &Range| (range.host, range.host + (range.count - 1));
        self.ranges.iter().map(ends)
    }
}

/// The users of a guest.
pub type UidMap = IdMap<GuestUid, HostUid>;
/// The groups of a guest.
pub type GidMap = IdMap<GuestGid, HostGid>;

/// Both maps of a guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdMaps {
    /// Users.
    pub uids: UidMap,
    /// Groups.
    pub gids: GidMap,
}

impl IdMaps {
    /// Every id stands for itself.
    pub fn identity() -> IdMaps {
        IdMaps {
            uids: IdMap::identity(),
            gids: IdMap::identity(),
        }
    }

    /// Whether nothing needs translating.
    pub fn is_identity(&self) -> bool {
        self.uids.is_identity() && self.gids.is_identity()
    }

    /// Whether some user of the guest has the rights of the host's root.
    pub fn reaches_root(&self) -> bool {
        self.uids.to_guest(HostUid(0)).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn range(guest: u32, host: u32, count: u32) -> Range {
        Range { guest, host, count }
    }

    fn fault(ranges: &[Range]) -> MapError {
        UidMap::new(ranges).unwrap_err()
    }

    #[test]
    fn ids_are_translated_both_ways() {
        let map = UidMap::new(&[range(0, 100_000, 1000), range(1000, 1000, 1)]).unwrap();
        for (guest, host) in [(0, 100_000), (999, 100_999), (1000, 1000)] {
            assert_eq!(map.to_host(GuestUid(guest)), Some(HostUid(host)));
            assert_eq!(map.to_guest(HostUid(host)), Some(GuestUid(guest)));
        }
        for guest in [1001, 100_000, u32::MAX - 1, u32::MAX] {
            assert_eq!(map.to_host(GuestUid(guest)), None);
        }
        assert_eq!(map.to_guest(HostUid(0)), None);
        assert_eq!(map.shown(HostUid(0)), GuestUid(65534));
        assert_eq!(map.shown(HostUid(u32::MAX)), GuestUid(65534));
        assert!(!map.is_identity());
        assert_eq!(
            map.host_ranges().collect::<Vec<_>>(),
            [(100_000, 100_999), (1000, 1000)]
        );
    }

    #[test]
    fn identity_has_every_id_but_none() {
        let map = GidMap::identity();
        for id in [0, 1, 65534, u32::MAX - 1] {
            assert_eq!(map.to_host(GuestGid(id)), Some(HostGid(id)));
            assert_eq!(map.to_guest(HostGid(id)), Some(GuestGid(id)));
        }
        assert_eq!(map.to_host(GuestGid::NONE), None);
        assert!(map.is_identity());
        assert_eq!(GidMap::new(&[Range::ALL]), Ok(map));
        assert!(IdMaps::identity().reaches_root());
    }

    #[test]
    fn ranges_that_cannot_be_meant_are_refused() {
        assert_eq!(fault(&[]), MapError::Empty);
        assert_eq!(fault(&[range(0, 0, 1), range(5, 5, 0)]), MapError::NoIds(1));
        assert_eq!(fault(&[range(1, 0, u32::MAX)]), MapError::Overflow(0));
        assert_eq!(fault(&[range(0, u32::MAX, 1)]), MapError::Overflow(0));
        assert!(UidMap::new(&[range(0, u32::MAX - 1, 1)]).is_ok());
        let guests = [range(0, 0, 10), range(9, 100, 1)];
        assert_eq!(fault(&guests), MapError::Overlap(0, 1, "guest"));
        let hosts = [range(0, 5, 1), range(50, 100, 10), range(10, 0, 6)];
        assert_eq!(fault(&hosts), MapError::Overlap(0, 2, "host"));
        assert!(UidMap::new(&[range(0, 10, 10), range(10, 0, 10)]).is_ok());
        let many: Vec<Range> = (0..341).map(|n| range(n, n, 1)).collect();
        assert_eq!(fault(&many), MapError::TooMany);
    }
}
