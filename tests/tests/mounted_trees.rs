//! Large trees on a mount: walked and removed with few host descriptors, and forgotten when the guest kernel forgets.

use hostcall_tests::daemon::{descendants, eventually, exports};
use hostcall_tests::mounted::Mounted;
use hostcall_tests::outside::{may_mount, script};
use serde_json::json;
use std::fs::File;
use std::path::Path;

/// Files of a directory.
const EACH: u32 = 500;

/// Open host files that the guest may have: the shadow's `RLIMIT_NOFILE`.
const OPEN_FILES: u64 = 1024;

/// Makes `directories` of [`EACH`] small files.
fn plant(root: &Path, directories: u32) {
    for directory in 0..directories {
        let path = root.join(format!("{}/{}", directory / 50, directory % 50));
        std::fs::create_dir_all(&path).unwrap();
        for file in 0..EACH {
            std::fs::write(path.join(format!("file-{file}")), [b'x'; 3]).unwrap();
        }
    }
}

/// Resident memory of a process, KiB, from `/proc/PID/status`.
fn resident(pid: i32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find(|line| line.starts_with("VmRSS:"));
    let size = line.and_then(|line| line.split_whitespace().nth(1));
    size.unwrap().parse().unwrap()
}

fn descriptors(pid: i32) -> u64 {
    std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, |all| all.count() as u64)
}

/// The process that holds most descriptors of those that hostd started: the mount's shadow.
fn shadow(mounted: &Mounted) -> i32 {
    let family = descendants(mounted.daemon.pid());
    let all = family.into_iter().max_by_key(|pid| descriptors(*pid));
    all.expect("a shadow")
}

/// Walks at most after the first: more than threads that serve.
const WALKS: u32 = 6;

fn walk_and_remove(cache: &str, directories: u32) {
    if !may_mount() {
        return;
    }
    let limits = json!({"open_files": OPEN_FILES});
    let mounted = Mounted::configured(
        |directory| json!({"exports": exports(directory), "limits": limits}),
        &format!("cache={cache}"),
    );
    let native = mounted.host("tree");
    plant(&native, directories);
    let tree = mounted.path("tree");
    let walk = |root: &Path| {
        let walked = r#"cd "$1"
            find . -printf '%y %s %n\n' | sort | uniq -c
            du -s --inodes . | cut -f1
            du -s -B1 . | cut -f1"#;
        script(walked, &[&root])
    };
    let expected = walk(&native);
    let forgotten = || {
        // Pages stay; names and inodes go.
        std::fs::write("/proc/sys/vm/drop_caches", "2").unwrap();
        eventually("the guest kernel's forgetting has arrived", || {
            mounted.count("inodes known") < 200
        });
    };
    let shadow = shadow(&mounted);
    let walk_through = || {
        assert_eq!(walk(&tree), expected, "cache={cache}");
        assert!(descriptors(shadow) < OPEN_FILES, "cache={cache}");
        forgotten();
        [resident(mounted.pid()), resident(shadow)]
    };
    // Each thread keeps what it took for its first thousands of files, and which of them serve is the kernel's choice. So
    // memory may grow a few times; what leaks grows with each walk.
    let mut seen = vec![walk_through()];
    let flat = (0..WALKS).any(|_| {
        let (before, after) = (seen[seen.len() - 1], walk_through());
        seen.push(after);
        // A quarter of a MiB is what allocators move about; a leak of 16 bytes a file would be more in a large tree.
        let room = 256 + u64::from(directories) / 4;
        after
            .iter()
            .zip(before)
            .all(|(after, before)| *after <= before + room)
    });
    assert!(
        flat,
        "cache={cache}: KiB of hostfs and its shadow after each walk: {seen:?}"
    );
    script(r#"rm -r "$1""#, &[&tree]);
    assert!(!native.exists(), "cache={cache}");
    forgotten();
    assert!(descriptors(shadow) < 100, "cache={cache}");
}

#[test]
fn files_that_are_open_run_out_for_all_and_come_back() {
    if !may_mount() {
        return;
    }
    const LIMIT: u64 = 64;
    let mounted = Mounted::configured(
        |directory| json!({"exports": exports(directory), "limits": {"open_files": LIMIT}}),
        "cache=auto",
    );
    let open = || {
        std::fs::write(mounted.host("f"), "data").expect("a file");
        std::iter::repeat_with(|| File::open(mounted.path("f")))
            .take(LIMIT as usize)
            .collect::<Result<Vec<_>, _>>()
    };
    for _ in 0..2 {
        let error = open().expect_err("more files than the host's side may hold");
        assert_eq!(error.raw_os_error(), Some(libc::ENFILE));
        eventually("the files that were open are closed", || {
            mounted.count("open files") == 0
        });
    }
    assert_eq!(std::fs::read(mounted.path("f")).expect("a file"), b"data");
}

#[test]
fn a_tree_of_20_000_files() {
    walk_and_remove("auto", 40);
}

#[test]
#[ignore = "a minute or two"]
fn a_tree_of_20_000_files_without_a_cache() {
    walk_and_remove("none", 40);
}

#[test]
#[ignore = "a minute or two"]
fn a_tree_of_20_000_files_with_everything_cached() {
    walk_and_remove("always", 40);
}

#[test]
#[ignore = "many minutes"]
fn a_tree_of_1_000_000_files() {
    walk_and_remove("auto", 2000);
}
