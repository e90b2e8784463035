//! The suites of others under the preload, on files of the host below the prefix: pjdfstest for what POSIX says, fsx for
//! data.

use hostcall_tests::daemon::Scratch;
use hostcall_tests::differential::{seen, Side};
use hostcall_tests::fsx;
use hostcall_tests::outside::{may_mount, told, tool};
use hostcall_tests::pjdfstest::{those, verdicts, Verdicts, CONFIG, PASSED, UNKNOWN_LIMIT};
use std::path::Path;
use std::process::{Command, Stdio};

/// A command in a guest of a kind.
fn guest(kind: &str, options: &[&str]) -> Command {
    let mut command = Side::Guest(kind.to_owned()).command_with(options);
    command.stdin(Stdio::null());
    command
}

fn pjdfstest(mut side: Command, directory: &Path) -> (Verdicts, String) {
    let config = directory.join("config.toml");
    std::fs::write(&config, CONFIG).expect("a configuration");
    let tests = directory.join("d");
    std::fs::create_dir(&tests).expect("a directory");
    let output = side
        .arg(seen(&tool("pjdfstest").canonicalize().expect("its path")))
        .arg("-c")
        .arg(seen(&config))
        .arg("-p")
        .arg(seen(&tests))
        .output()
        .expect("the side runs");
    let text = told(&output);
    (verdicts(&text), text)
}

/// Every test ends as natively.
fn pjdfstest_as_natively(kind: &str) {
    if !may_mount() {
        return;
    }
    let native = Scratch::new();
    let (mut expected, text) = pjdfstest(Side::Native.command(), &native);
    assert_eq!(those(&expected, "ok").len(), PASSED, "native:\n{text}");
    expected.insert(UNKNOWN_LIMIT.to_owned(), "skipped".to_owned());
    let scratch = Scratch::new();
    let (found, text) = pjdfstest(guest(kind, &["--as", "caller"]), &scratch);
    let differ: Vec<_> = expected
        .iter()
        .filter(|(name, verdict)| found.get(*name) != Some(verdict))
        .map(|(name, verdict)| format!("{name}: {:?}, native {verdict}", found.get(name)))
        .collect();
    assert_eq!(differ, Vec::<String>::new(), "{text}");
    assert_eq!(found.len(), expected.len());
}

#[test]
fn pjdfstest_in_local() {
    pjdfstest_as_natively("local");
}

#[test]
fn pjdfstest_in_uml() {
    pjdfstest_as_natively("uml");
}

/// Runs fsx on a file of the host, which must hold then what the guest wrote last.
fn fsx_finds_what_it_wrote(kind: &str, options: &[&str], operations: u32, seeds: u32) {
    if !may_mount() {
        return;
    }
    let maps = !options.contains(&"--no-mount");
    let configs = fsx::configs().into_iter();
    for (name, weights) in configs.filter(|(name, _)| maps || *name != "mapped") {
        let scratch = Scratch::new();
        let (config, file) = (scratch.join("config.toml"), scratch.join("file"));
        std::fs::write(&config, weights).expect("a configuration");
        // Without a mount nothing can be executed below the prefix.
        let copied = format!("{}:/root/fsx", tool("fsx").display());
        let mut options = options.to_vec();
        options.extend(["--copy", &copied]);
        // Each seed in a file of its own; what fsx says of a failure stands beside it.
        let script = format!(
            "for seed in $(seq {seeds}); do
                /root/fsx -f {config} -N {operations} -S $seed -P /tmp {file}-$seed || exit
                cksum < {file}-$seed
            done",
            config = seen(&config).display(),
            file = seen(&file).display(),
        );
        let output = guest(kind, &options)
            .args(["bash", "-c", &script])
            .output()
            .expect("the side runs");
        let text = told(&output);
        assert!(output.status.success(), "{kind} {options:?} {name}: {text}");
        for seed in 1..=seeds {
            let host = Command::new("cksum")
                .stdin(std::fs::File::open(format!("{}-{seed}", file.display())).unwrap())
                .output()
                .expect("cksum runs");
            let sum = String::from_utf8_lossy(&host.stdout).into_owned();
            assert!(text.contains(&sum), "{kind} {options:?} {name}: {text}");
        }
    }
}

#[test]
fn fsx_in_local() {
    fsx_finds_what_it_wrote("local", &[], 10_000, 2);
}

#[test]
fn fsx_in_local_without_a_mount() {
    fsx_finds_what_it_wrote("local", &["--no-mount"], 15_000, 2);
}

#[test]
fn fsx_in_uml() {
    fsx_finds_what_it_wrote("uml", &[], 2_000, 1);
}

#[test]
fn fsx_in_uml_without_a_mount() {
    fsx_finds_what_it_wrote("uml", &["--no-mount"], 10_000, 1);
}

#[test]
#[ignore = "minutes"]
fn fsx_100_000_operations() {
    for options in [&[] as &[&str], &["--no-mount"]] {
        fsx_finds_what_it_wrote("local", options, 100_000, 4);
        fsx_finds_what_it_wrote("uml", options, 100_000, 1);
    }
}
