//! User and group ids. Those of the guest and those of the host are different types: an id that comes from a guest
//! means nothing on the host until the guest's map has said what it stands for.

use crate::types::Errno;
use crate::wire::{Extent, Field, Payload, ProtocolError, Reader, Writer};
use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(transparent)]
        pub struct $name(pub u32);

        impl $name {
            /// The id that names nobody: "keep it" of chown(2), "leave it" of setfsuid(2).
            pub const NONE: $name = $name(u32::MAX);
        }

        impl From<u32> for $name {
            fn from(id: u32) -> $name {
                $name(id)
            }
        }

        impl From<$name> for u32 {
            fn from(id: $name) -> u32 {
                id.0
            }
        }

        /// As a number; -1 for [`NONE`](Self::NONE).
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match *self {
                    $name::NONE => f.write_str("-1"),
                    $name(id) => write!(f, "{id}"),
                }
            }
        }
    };
}

id! {
    /// A user as the guest numbers them.
    GuestUid
}
id! {
    /// A group as the guest numbers them.
    GuestGid
}
id! {
    /// A user as the host numbers them.
    HostUid
}
id! {
    /// A group as the host numbers them.
    HostGid
}

macro_rules! travels {
    ($name:ident, $kind:literal) => {
        impl<'a> Field<'a> for $name {
            const TYPE: &'static str = $kind;
            const SIZE: usize = 4;
            fn put(&self, writer: &mut Writer<'_>) -> Result<(), Errno> {
                self.0.put(writer)
            }
            fn take(reader: &mut Reader<'a>) -> Result<Self, ProtocolError> {
                u32::take(reader).map($name)
            }
            fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

// The host's ids never travel.
travels!(GuestUid, "uid");
travels!(GuestGid, "gid");

/// Most supplementary groups that a call's caller may have.
pub const MOST_GROUPS: usize = 1024;

/// The supplementary groups of a caller, packed; on the host a private copy.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Groups<'a>(&'a [u8]);

impl<'a> Groups<'a> {
    /// These groups.
    pub fn new(groups: &'a [GuestGid]) -> Groups<'a> {
        let (start, len) = (groups.as_ptr().cast(), size_of_val(groups));
        #[allow(unsafe_code)]
        // SAFETY: the bytes of a live slice of transparent integers, which have no padding.
        Groups(unsafe { std::slice::from_raw_parts(start, len) })
    }

    /// How many; `EINVAL` for more than [`MOST_GROUPS`], or for bytes that are no whole number of ids.
    pub fn count(&self) -> Result<usize, Errno> {
        match (self.0.len() / 4, self.0.len() % 4) {
            (count, 0) if count <= MOST_GROUPS => Ok(count),
            _ => Err(Errno(libc::EINVAL)),
        }
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = GuestGid> + 'a {
        let id = |bytes: &[u8]| {
            bytes
                .iter()
                .rev()
                .fold(0, |id, byte| id << 8 | u32::from(*byte))
        };
        self.0.chunks_exact(4).map(move |bytes| GuestGid(id(bytes)))
    }
}

impl fmt::Debug for Groups<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (n, group) in self.iter().enumerate() {
            write!(f, "{}{group}", if n == 0 { "" } else { ", " })?;
        }
        f.write_str("]")
    }
}

impl<'a> Field<'a> for Groups<'a> {
    const TYPE: &'static str = "groups";
    const SIZE: usize = 4;
    const PAYLOAD: Payload = Payload::Private;
    fn put(&self, writer: &mut Writer<'_>) -> Result<(), Errno> {
        self.count()?;
        writer.bytes(self.0)
    }
    fn take(reader: &mut Reader<'a>) -> Result<Self, ProtocolError> {
        reader.bytes().map(Groups)
    }
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
    fn extent(&self) -> Extent {
        Extent::Private(self.0.as_ptr() as usize, self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_counted_and_read_back() {
        let list = [GuestGid(0), GuestGid(27), GuestGid(0x0102_0304)];
        let groups = Groups::new(&list);
        assert_eq!(groups.count(), Ok(3));
        assert_eq!(groups.iter().collect::<Vec<_>>(), list);
        assert_eq!(format!("{groups:?}"), "[0, 27, 16909060]");
        assert_eq!(Groups::new(&[]).count(), Ok(0));
        assert_eq!(Groups(&[1, 2, 3]).count(), Err(Errno(libc::EINVAL)));
        let many = vec![GuestGid(1); MOST_GROUPS + 1];
        assert_eq!(Groups::new(&many).count(), Err(Errno(libc::EINVAL)));
        assert_eq!(Groups::new(&many[1..]).count(), Ok(MOST_GROUPS));
    }

    #[test]
    fn nobody_is_shown_as_minus_one() {
        assert_eq!(GuestUid::NONE.to_string(), "-1");
        assert_eq!(GuestGid(7).to_string(), "7");
    }
}
