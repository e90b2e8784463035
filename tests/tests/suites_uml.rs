//! The suites of others in a guest with a kernel of its own: pjdfstest, fsx and fio on a mount whose host is across a
//! machine's boundary. They run under the preload as every program of the guest does, and take the mount's road.
//!
//! The guest's kernel is older than 6.6, so that no shared map is made of a file that is not cached.

use hostcall_tests::daemon::{program, Scratch};
use hostcall_tests::fsx;
use hostcall_tests::outside::{may_mount, told, tool};
use hostcall_tests::pjdfstest::{those, verdicts, CONFIG, PASSED, UNKNOWN_LIMIT};
use hostcall_tests::shell::{can_be, UML};
use std::path::Path;
use std::process::{Command, Stdio};

/// Mounts the host where `$suite`, a directory of the host, has a short name, since the name of a socket has room for no
/// other; links that a suite makes lead to paths of the guest.
const MOUNTED: &str = r#"
mkdir -p /mnt/host /mnt/suite
hostfs /mnt/host -o "cache=$cache,symlinks=stored"
mount --bind "/mnt/host$suite" /mnt/suite
"#;

/// What a script says in a UML guest that has the host below `/mnt/host` in a cache mode, in a directory of the host's,
/// with a configuration and a tool copied beside it; it must succeed. `None` where there is no UML.
fn says(cache: &str, directory: &Path, name: &str, config: &str, script: &str) -> Option<String> {
    if !may_mount() || !can_be(UML) {
        return None;
    }
    let written = directory.join("config.toml");
    std::fs::write(&written, config).expect("a configuration");
    let output = Command::new(program("hostd"))
        .args([
            "run",
            "--guest",
            "uml",
            "--as",
            "caller",
            "--no-mount",
            "--copy",
        ])
        .arg(format!("{}:/root/config.toml", written.display()))
        .arg("--copy")
        .arg(format!("{}:/root/tool", tool(name).display()))
        .args(["--", "env"])
        .arg(format!("cache={cache}"))
        .arg(format!("suite={}", directory.display()))
        .args(["bash", "-euc"])
        .arg(format!("{MOUNTED}{script}"))
        .stdin(Stdio::null())
        .output()
        .expect("hostd runs");
    assert!(output.status.success(), "{cache}: {}", told(&output));
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn pjdfstest(cache: &str) {
    let directory = Scratch::new();
    // It fails when a test does; the verdicts say which.
    let script = "/root/tool -c /root/config.toml -p /mnt/suite || true";
    let Some(text) = says(cache, &directory, "pjdfstest", CONFIG, script) else {
        return;
    };
    let verdicts = verdicts(&text);
    assert!(those(&verdicts, "FAILED").is_empty(), "{cache}: {text}");
    assert_eq!(those(&verdicts, "ok").len(), PASSED - 1, "{cache}: {text}");
    assert!(those(&verdicts, "skipped").contains(UNKNOWN_LIMIT));
}

#[test]
fn pjdfstest_in_uml() {
    pjdfstest("auto");
}

#[test]
#[ignore = "minutes"]
fn pjdfstest_in_uml_in_the_other_cache_modes() {
    pjdfstest("none");
    pjdfstest("always");
}

fn fsx_finds_what_it_wrote(cache: &str, operations: u32) {
    let configs = fsx::configs().into_iter();
    for (name, weights) in configs.filter(|(name, _)| cache != "none" || *name != "mapped") {
        let directory = Scratch::new();
        let script = format!(
            "cd /root; ./tool -f config.toml -N {operations} -S 20261124 -P /root /mnt/suite/{name}
             cat /mnt/suite/{name} > {name}; sha256sum {name}"
        );
        let Some(text) = says(cache, &directory, "fsx", &weights, &script) else {
            return;
        };
        // The host has what the guest wrote last.
        let host = Command::new("sha256sum")
            .arg(name)
            .current_dir(&*directory)
            .output()
            .expect("sha256sum runs");
        let sum = String::from_utf8_lossy(&host.stdout).into_owned();
        assert!(
            sum.contains(name) && text.ends_with(&sum),
            "{cache} {sum}: {text}"
        );
    }
}

#[test]
fn fsx_in_uml() {
    fsx_finds_what_it_wrote("auto", 2_000);
}

#[test]
#[ignore = "minutes"]
fn fsx_in_uml_100_000_operations_in_each_cache_mode() {
    for cache in hostcall_tests::mounted::MODES {
        fsx_finds_what_it_wrote(cache, 100_000);
    }
}

#[test]
fn fio_in_uml() {
    for cache in hostcall_tests::mounted::MODES {
        let directory = Scratch::new();
        let engines = match cache {
            "none" => "psync",
            _ => "psync mmap",
        };
        let script = format!(
            "for engine in {engines} 'psync --direct=1'; do
                /root/tool --name=verify --rw=randwrite --bsrange=4k-64k --blockalign=4k --verify=crc32c --verify_fatal=1 \\
                    --do_verify=1 --randseed=7 --fallocate=none --size=2m --ioengine=$engine --directory=/mnt/suite
            done"
        );
        if let Some(text) = says(cache, &directory, "fio", "", &script) {
            let runs = engines.split(' ').count() + 1;
            assert_eq!(text.matches("err= 0").count(), runs, "{cache}: {text}");
        }
    }
}
