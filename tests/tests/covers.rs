//! What a guest mounts over the host's files: programs under the preload find it as natively. Each script of `mounts/` runs in
//! a directory of the host, natively and in a guest; what it says, and the files it leaves, must be equal.

use hostcall_tests::daemon::Scratch;
use hostcall_tests::differential::{outcome, seen, Side};
use hostcall_tests::outside::may_mount;
use std::ffi::OsStr;
use std::path::Path;

fn as_natively(kind: &str) {
    if !may_mount() {
        return;
    }
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("mounts");
    let mut ran = 0;
    for script in std::fs::read_dir(scripts).expect("the scripts").flatten() {
        let scratch = Scratch::new();
        let name = seen(&script.path());
        let arguments = ["bash", "-c", "cd \"$1\"; . \"$0\""].map(OsStr::new);
        let arguments = [&arguments[..], &[name.as_os_str()]].concat();
        let expected = outcome(&Side::Native, &scratch, &arguments);
        let found = outcome(&Side::Guest(kind.to_owned()), &scratch, &arguments);
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
