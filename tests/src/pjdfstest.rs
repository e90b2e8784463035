//! What pjdfstest is told, and what it says.

use std::collections::{BTreeMap, BTreeSet};

/// What it says of each of its tests: `ok`, `skipped`, `FAILED`.
pub type Verdicts = BTreeMap<String, String>;

/// Everything that Linux has; two users of the base system. What stays out needs a file system that may be remounted
/// read-only below running tests, which would be the machine's own in the native run.
pub const CONFIG: &str = r#"
[features]
posix_fallocate = {}
rename_ctime = {}
stat_st_birthtime = {}
utime_now = {}
utimensat = {}

[settings]
naptime = 0.01
allow_remount = false

[dummy_auth]
entries = [["nobody", "nogroup"], ["daemon", "daemon"]]
"#;

/// Tests of release 0.2.2 that pass on a local file system.
pub const PASSED: usize = 383;

/// Skipped on every FUSE file system: pathconf(3) knows the greatest number of links by the type of the file system, and
/// for FUSE it does not. The limit itself has a test here.
pub const UNKNOWN_LIMIT: &str = "link::link_count_max";

/// The verdicts in what it wrote.
pub fn verdicts(text: &str) -> Verdicts {
    let verdict = |line: &str| {
        let mut words = line.split_whitespace();
        let (name, verdict) = (words.next()?, words.next()?);
        let known = name.contains("::") && words.next().is_none();
        known.then(|| (name.to_owned(), verdict.to_owned()))
    };
    text.lines().filter_map(verdict).collect()
}

/// The tests with one verdict.
pub fn those<'v>(verdicts: &'v Verdicts, wanted: &str) -> BTreeSet<&'v str> {
    let of = verdicts.iter().filter(|(_, verdict)| *verdict == wanted);
    of.map(|(name, _)| name.as_str()).collect()
}
