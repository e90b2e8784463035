//! The order of the preload library's code (`preload/start.ld`) under the linker of a bare Debian; rustc's own is the one that links the
//! library of all other tests.

use hostcall_tests::daemon::Scratch;
use object::{Object, ObjectSection, ObjectSymbol};
use std::path::Path;
use std::process::Command;

#[test]
fn gnu_ld_puts_the_code_of_a_start_together() {
    let scratch = Scratch::new();
    let (source, library) = (scratch.join("code.c"), scratch.join("library.so"));
    std::fs::write(
        &source,
        "int fstat(void) { return 1; } int other(void) { return 2; }",
    )
    .unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../preload/start.ld");
    let output = Command::new("cc")
        .args([
            "-w",
            "-shared",
            "-fPIC",
            "-ffunction-sections",
            "-fno-builtin",
        ])
        .arg("-fuse-ld=bfd")
        .arg(format!("-Wl,-T,{}", script.display()))
        .arg("-o")
        .args([&library, &source])
        .output()
        .expect("cc; install gcc");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let bytes = std::fs::read(&library).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    let section_of = |name: &str| {
        let symbol = file.symbols().find(|symbol| symbol.name() == Ok(name));
        let section = symbol.expect(name).section_index().expect("it is defined");
        let section = file.section_by_index(section).unwrap();
        section.name().unwrap().to_owned()
    };
    assert_eq!(section_of("fstat"), ".text.start");
    assert_eq!(section_of("other"), ".text");
}
