//! Suites that others wrote for file systems, on a mount: pjdfstest for what POSIX says, fsx and fio for data.

use hostcall_tests::daemon::Scratch;
use hostcall_tests::fsx;
use hostcall_tests::mounted::{Mounted, MODES};
use hostcall_tests::outside::{may_mount, program, succeed, told};
use hostcall_tests::pjdfstest::{those, verdicts, Verdicts, CONFIG, PASSED, UNKNOWN_LIMIT};
use std::path::Path;

/// Bytes that a file of the suite may have: it makes one of 2 GiB, with a hole.
const LONGEST: u64 = 4 << 30;

fn pjdfstest(directory: &Path) -> (Verdicts, String) {
    let scratch = Scratch::new();
    let config = scratch.join("pjdfstest.toml");
    std::fs::write(&config, CONFIG).unwrap();
    let output = program("pjdfstest")
        .arg("-c")
        .arg(&config)
        .arg("-p")
        .arg(directory)
        .output()
        .unwrap();
    let text = told(&output);
    (verdicts(&text), text)
}

fn passes_what_the_native_file_system_passes(cache: &str) {
    if !may_mount() {
        return;
    }
    let mounted = Mounted::for_callers(cache, LONGEST);
    let native = mounted.host("native");
    std::fs::create_dir(&native).unwrap();
    std::fs::create_dir(mounted.host("mounted")).unwrap();
    let (mut expected, text) = pjdfstest(&native);
    assert_eq!(those(&expected, "ok").len(), PASSED, "native:\n{text}");
    // The name of a socket has room for a short path only.
    let short = Scratch::new();
    succeed(
        program("mount")
            .arg("--bind")
            .arg(mounted.path("mounted"))
            .arg(&*short),
    );
    let (found, text) = pjdfstest(&short);
    succeed(program("umount").arg(&*short));
    expected.insert(UNKNOWN_LIMIT.to_owned(), "skipped".to_owned());
    let differ: Vec<_> = expected
        .iter()
        .filter(|(name, verdict)| found.get(*name) != Some(verdict))
        .map(|(name, verdict)| format!("{name}: {:?}, native {verdict}", found.get(name)))
        .collect();
    assert!(differ.is_empty(), "{differ:#?}\n{text}");
    assert_eq!(found.len(), expected.len());
}

#[test]
fn pjdfstest_without_a_cache() {
    passes_what_the_native_file_system_passes("none");
}

#[test]
fn pjdfstest_with_a_cache_from_open_to_close() {
    passes_what_the_native_file_system_passes("auto");
}

#[test]
fn pjdfstest_with_everything_cached() {
    passes_what_the_native_file_system_passes("always");
}

#[test]
fn a_file_has_as_many_links_as_natively() {
    if !may_mount() {
        return;
    }
    let mounted = Mounted::start("auto");
    let (native, link) = (mounted.host("file"), |n: u32| format!("link-{n}"));
    std::fs::write(&native, "x").unwrap();
    // No file system of the base system has a limit beyond this one.
    let limit = (0..70_000).find_map(|n| {
        let error = std::fs::hard_link(&native, mounted.host(&link(n))).err()?;
        Some((n, error.raw_os_error()))
    });
    let Some((count, errno)) = limit else {
        eprintln!("skipped: this file system has no limit");
        return;
    };
    assert_eq!(errno, Some(libc::EMLINK));
    let onto = |n| std::fs::hard_link(mounted.path("file"), mounted.path(&link(n)));
    std::fs::remove_file(mounted.path(&link(0))).unwrap();
    onto(count).unwrap();
    assert_eq!(onto(count + 1).unwrap_err().raw_os_error(), errno);
}

fn fsx_finds_what_it_wrote(operations: u32) {
    if !may_mount() {
        return;
    }
    for cache in MODES {
        let mounted = Mounted::start(cache);
        for (name, weights) in fsx::configs() {
            let config = mounted.daemon.directory.join("fsx.toml");
            std::fs::write(&config, weights).unwrap();
            let text = succeed(
                program("fsx")
                    .arg("-f")
                    .arg(&config)
                    .args(["-N", &operations.to_string(), "-S", "20261124", "-P"])
                    .arg(&*mounted.daemon.directory)
                    .arg(mounted.path(name)),
            );
            // The host has what the guest wrote last.
            let (host, guest) = (mounted.host(name), mounted.path(name));
            assert_eq!(
                std::fs::read(host).unwrap(),
                std::fs::read(guest).unwrap(),
                "{cache} {name}: {text}"
            );
        }
    }
}

#[test]
fn fsx_with_and_without_maps() {
    fsx_finds_what_it_wrote(5_000);
}

#[test]
#[ignore = "minutes"]
fn fsx_100_000_operations_with_and_without_maps() {
    fsx_finds_what_it_wrote(100_000);
}

fn fio(mib: u32) {
    if !may_mount() {
        return;
    }
    const ENGINES: [(&str, &[&str]); 4] = [
        ("psync", &[]),
        ("psync", &["--direct=1"]),
        ("libaio", &["--direct=1", "--iodepth=8"]),
        ("mmap", &[]),
    ];
    for cache in MODES {
        let mounted = Mounted::start(cache);
        for (engine, more) in ENGINES {
            let text = succeed(
                program("fio")
                    .args(["--name=verify", "--rw=randwrite", "--bsrange=4k-64k"])
                    .args(["--blockalign=4k", "--verify=crc32c", "--verify_fatal=1"])
                    .args(["--do_verify=1", "--numjobs=2", "--group_reporting"])
                    .args(["--randseed=7", "--fallocate=none"])
                    .args([format!("--size={mib}m"), format!("--ioengine={engine}")])
                    .args(more)
                    .arg(format!("--directory={}", mounted.path("").display())),
            );
            assert!(text.contains("err= 0"), "{cache} {engine} {more:?}: {text}");
        }
    }
}

#[test]
fn fio_finds_what_it_wrote() {
    fio(4);
}

#[test]
#[ignore = "minutes"]
fn fio_finds_what_it_wrote_in_large_files() {
    fio(96);
}
