//! What a guest mounts over the host's files: programs under the preload find it as natively. Each script of `mounts/` runs in
//! a directory of the host, natively and in a guest; what it says, and the files it leaves, must be equal.

use hostcall_tests::daemon::Scratch;
use hostcall_tests::differential::{seen, Outcome, Side};
use hostcall_tests::outside::{may_mount, told};
use std::path::Path;
use std::process::Stdio;

fn outcome(side: &Side, scratch: &Scratch, script: &Path) -> Outcome {
    let work = scratch.join("work");
    std::fs::create_dir(&work).expect("a directory for the script");
    let run = side
        .command()
        .args(["bash", "-c", "cd \"$1\"; . \"$0\""])
        .args([seen(script), seen(&work)])
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .stdin(Stdio::null())
        .output()
        .expect("the side runs");
    let outcome = Outcome::new(told(&run), &work);
    std::fs::remove_dir_all(&work).expect("the script's own directory");
    outcome
}

fn as_natively(kind: &str) {
    if !may_mount() {
        return;
    }
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("mounts");
    let mut ran = 0;
    for script in std::fs::read_dir(scripts).expect("the scripts").flatten() {
        let scratch = Scratch::new();
        let expected = outcome(&Side::Native, &scratch, &script.path());
        let found = outcome(&Side::Guest(kind.to_owned()), &scratch, &script.path());
        if let Some(text) = expected.difference(&found) {
            panic!("{} in {kind}:\n{text}", script.path().display());
        }
        ran += 1;
    }
    assert!(ran > 0);
}

#[test]
fn what_is_mounted_is_found_in_local() {
    as_natively("local");
}

#[test]
fn what_is_mounted_is_found_in_uml() {
    as_natively("uml");
}
