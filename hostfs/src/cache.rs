//! What the guest kernel may keep, by cache mode: pure decisions, no I/O.

use crate::fs::Data;
use fuser::{FopenFlags, InitFlags};
use std::time::Duration;

/// How much the guest kernel caches, `-o cache=`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cache {
    /// Nothing: every call asks the host.
    None,
    /// Names and metadata for a second, data from open to close.
    #[default]
    Auto,
    /// Everything for a day, writes included: for files that only this guest changes.
    Always,
}

impl Cache {
    /// All modes, by the names of the option.
    pub const NAMES: [(&'static str, Cache); 3] = [
        ("none", Cache::None),
        ("auto", Cache::Auto),
        ("always", Cache::Always),
    ];

    /// The name of the option's value.
    pub fn name(self) -> &'static str {
        match self {
            Cache::None => "none",
            Cache::Auto => "auto",
            Cache::Always => "always",
        }
    }

    /// How long a name and metadata are right without asking.
    pub fn lifetime(self) -> Duration {
        match self {
            Cache::None => Duration::ZERO,
            Cache::Auto => Duration::from_secs(1),
            Cache::Always => Duration::from_secs(24 * 60 * 60),
        }
    }

    /// Whether the guest kernel collects writes and sends them later.
    pub fn writes_back(self) -> bool {
        self == Cache::Always
    }

    /// What is asked of the guest kernel where it can do it. Not truncation by opening: the kernel would have the file
    /// emptied before it finds that it is a running program (`ETXTBSY`).
    pub fn features(self) -> InitFlags {
        let every = InitFlags::FUSE_ASYNC_READ
            | InitFlags::FUSE_BIG_WRITES
            | InitFlags::FUSE_MAX_PAGES
            | InitFlags::FUSE_PARALLEL_DIROPS
            | InitFlags::FUSE_DO_READDIRPLUS
            | InitFlags::FUSE_READDIRPLUS_AUTO
            | InitFlags::FUSE_POSIX_LOCKS
            | InitFlags::FUSE_FLOCK_LOCKS
            // Without it the kernel asks for `security.capability` before every write.
            | InitFlags::FUSE_HANDLE_KILLPRIV_V2
            // A file opened with O_DIRECT can be mapped, and finds what the kernel has been given to write by other ways.
            | InitFlags::FUSE_DIRECT_IO_ALLOW_MMAP
            // A handle of name_to_handle_at(2) would be good until the kernel forgets the file, for the host finds none by number.
            | InitFlags::FUSE_NO_EXPORT_SUPPORT;
        every
            | match self {
                Cache::None => InitFlags::FUSE_ASYNC_DIO,
                Cache::Auto => InitFlags::FUSE_ASYNC_DIO | InitFlags::FUSE_AUTO_INVAL_DATA,
                // What a reader puts into the cache while a write with O_DIRECT is under way stays there, for the kernel takes out
                // what is stale only after writes that it has waited for.
                Cache::Always => InitFlags::FUSE_WRITEBACK_CACHE | InitFlags::FUSE_CACHE_SYMLINKS,
            }
    }

    /// The flags of the host's open(2) for those of the guest's.
    ///
    /// Each write says whether it appends, because the guest may change its mind by fcntl(2). A kernel that writes back
    /// reads what it has been given to write in part.
    pub fn host_flags(self, flags: i32) -> i32 {
        let flags = (flags | libc::O_CLOEXEC) & !libc::O_APPEND;
        if !self.writes_back() {
            return flags;
        }
        match flags & libc::O_ACCMODE {
            libc::O_WRONLY => flags & !libc::O_ACCMODE | libc::O_RDWR,
            _ => flags,
        }
    }

    /// What the kernel is to do with the data of a file opened with `flags`; `unchanged` says that the file is as it was
    /// when the guest closed it last.
    pub fn data(self, flags: i32, unchanged: bool) -> Data {
        match self {
            _ if flags & libc::O_DIRECT != 0 => Data::Direct,
            Cache::None => Data::Direct,
            Cache::Auto if unchanged => Data::Kept,
            Cache::Auto => Data::Fresh,
            Cache::Always => Data::Kept,
        }
    }

    /// The same as flags of the reply to an open.
    pub fn open_flags(data: Data) -> FopenFlags {
        match data {
            Data::Fresh => FopenFlags::empty(),
            Data::Kept => FopenFlags::FOPEN_KEEP_CACHE,
            Data::Direct => FopenFlags::FOPEN_DIRECT_IO | FopenFlags::FOPEN_PARALLEL_DIRECT_WRITES,
            Data::Stream => FopenFlags::FOPEN_DIRECT_IO | FopenFlags::FOPEN_STREAM,
        }
    }

    /// Flags of the reply to opening a directory.
    pub fn directory_flags(self) -> FopenFlags {
        match self {
            Cache::Always => FopenFlags::FOPEN_CACHE_DIR | FopenFlags::FOPEN_KEEP_CACHE,
            _ => FopenFlags::empty(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_that_writes_back_can_read_what_it_writes() {
        let flags = libc::O_WRONLY | libc::O_APPEND | libc::O_TRUNC;
        let always = Cache::Always.host_flags(flags);
        assert_eq!(always, libc::O_RDWR | libc::O_TRUNC | libc::O_CLOEXEC);
        let auto = Cache::Auto.host_flags(flags);
        assert_eq!(auto, libc::O_WRONLY | libc::O_TRUNC | libc::O_CLOEXEC);
        assert!(!Cache::Auto
            .features()
            .contains(InitFlags::FUSE_WRITEBACK_CACHE));
    }

    #[test]
    fn direct_writes_overtake_nothing_where_the_cache_is_believed() {
        let overtakes = |mode: Cache| mode.features().contains(InitFlags::FUSE_ASYNC_DIO);
        assert!(overtakes(Cache::None) && overtakes(Cache::Auto));
        assert!(!overtakes(Cache::Always));
    }

    #[test]
    fn data_is_kept_only_where_nobody_else_changed_it() {
        assert_eq!(Cache::None.data(0, true), Data::Direct);
        assert_eq!(Cache::Auto.data(0, false), Data::Fresh);
        assert_eq!(Cache::Auto.data(0, true), Data::Kept);
        assert_eq!(Cache::Always.data(libc::O_DIRECT, true), Data::Direct);
        assert_eq!(Cache::None.lifetime(), Duration::ZERO);
    }
}
