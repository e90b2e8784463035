//! `hostfs check-preload` on programs of each kind.

use hostcall_tests::daemon::{program, Scratch};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// Exit status, output and errors.
fn check(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(program("hostfs"))
        .arg("check-preload")
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let status = output.status.code().expect("no signal");
    (status, text(output.stdout), text(output.stderr))
}

fn json(arguments: &[&str]) -> (i32, Value) {
    let (status, output, errors) = check(&[&["--json"], arguments].concat());
    assert_eq!(errors, "");
    (status, serde_json::from_str(&output).unwrap())
}

fn compile(scratch: &Scratch, name: &str, code: &str, options: &[&str]) -> String {
    let (source, file) = (scratch.join(format!("{name}.c")), scratch.join(name));
    std::fs::write(&source, code).unwrap();
    let status = Command::new("cc")
        .args(["-w", "-o"])
        .args([&file, &source])
        .args(options)
        .status();
    assert!(status.expect("cc; install gcc").success(), "{name}");
    file.to_str().unwrap().to_owned()
}

fn write(path: &Path, text: &[u8], mode: u32) -> String {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn an_ordinary_program_is_covered_by_host_calls() {
    let (status, answer) = json(&["/bin/cat"]);
    assert_eq!(status, 0, "{answer}");
    assert_eq!(answer["verdict"], "covered");
    let symbols = answer["symbols"].as_array().unwrap();
    for wanted in ["open", "read", "write", "close"] {
        let one = symbols.iter().find(|one| one["name"] == wanted);
        let one = one.unwrap_or_else(|| panic!("{wanted}: {answer}"));
        assert_eq!(one["way"], "host_calls", "{one}");
        assert_eq!(one["used_by"][0], "cat", "{one}");
    }
    let (status, output, _) = check(&["cat"]);
    assert_eq!(status, 0);
    assert!(
        output.contains("/cat: covered by host calls\n"),
        "found along PATH: {output}"
    );
    assert!(output.contains("    Opening and closing: "), "{output}");
}

#[test]
fn static_and_privileged_programs_are_the_mounts() {
    let scratch = Scratch::new();
    let alone = compile(
        &scratch,
        "alone",
        "int main(void) { return 0; }",
        &["-static"],
    );
    let (status, output, _) = check(&[&alone]);
    assert_eq!(status, 0, "{output}");
    assert!(
        output.contains("static: no dynamic linker loads the library"),
        "{output}"
    );
    let copy = scratch.join("copy");
    let copy = write(&copy, &std::fs::read("/bin/cat").unwrap(), 0o4755);
    let (status, output, _) = check(&[&copy]);
    assert_eq!(status, 0, "{output}");
    assert!(
        output.contains("rights of its own (set-user-ID)"),
        "{output}"
    );
}

#[test]
fn scripts_are_what_executes_them() {
    let scratch = Scratch::new();
    let shell = write(&scratch.join("shell"), b"#! /bin/dash -e\n", 0o755);
    let (status, answer) = json(&[&shell]);
    assert_eq!(
        (status, &answer["interpreters"][0]),
        (0, &"/bin/dash".into())
    );
    assert!(!answer["symbols"].as_array().unwrap().is_empty());
    let named = write(&scratch.join("named"), b"#!/usr/bin/env dash\n", 0o755);
    let (_, answer) = json(&[&named]);
    let interpreter = answer["interpreters"][0].as_str().unwrap_or_default();
    assert!(interpreter.ends_with("/dash"), "{answer}");
    let gone = write(&scratch.join("gone"), b"#!/none/sh\n", 0o755);
    let (status, _, errors) = check(&[&gone]);
    assert_eq!(status, 2);
    assert_eq!(
        errors,
        format!("hostfs: {gone}: /none/sh: no such file or directory\n")
    );
    let turning = scratch.join("turning");
    let text = format!("#!{}\n", turning.display());
    let turning = write(&turning, text.as_bytes(), 0o755);
    assert_eq!(check(&[&turning]).0, 2, "a script that interprets itself");
}

#[test]
fn what_is_not_covered_is_told_with_its_user() {
    let scratch = Scratch::new();
    let walks = "#include <fts.h>\nint main(int n, char **v) { return fts_open(v, 0, 0) == 0; }";
    let (status, answer) = json(&[&compile(&scratch, "walks", walks, &[])]);
    assert_eq!(status, 0);
    let fts = answer["symbols"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["name"] == "fts_open");
    assert_eq!(
        fts.map(|one| &one["way"]),
        Some(&"mount".into()),
        "{answer}"
    );

    let traces =
        "int main(void) { void *p[4]; backtrace_symbols_fd(p, backtrace(p, 4), 2); return 0; }";
    let library = compile(
        &scratch,
        "libtraces.so",
        &traces.replace("main", "traces"),
        &["-shared", "-fPIC"],
    );
    let user = "int traces(void);\nint main(void) { return traces(); }";
    let directory = Path::new(&library).parent().unwrap().to_str().unwrap();
    let search = format!("-L{directory}");
    let user = compile(
        &scratch,
        "user",
        user,
        &[&search, "-ltraces", "-Wl,-rpath,$ORIGIN"],
    );
    let (status, output, _) = check(&[&user]);
    assert_eq!(status, 1, "{output}");
    assert!(
        output.contains("    backtrace_symbols_fd in libtraces.so: "),
        "{output}"
    );
    let (status, output, _) = check(&["--no-libraries", &user]);
    assert_eq!(status, 0, "{output}");
    std::fs::remove_file(library).unwrap();
    let (status, output, _) = check(&[&user]);
    assert_eq!(status, 2, "{output}");
    assert!(
        output.contains("its library libtraces.so is not found"),
        "{output}"
    );
}

#[test]
fn what_cannot_be_looked_at_is_told_in_one_line() {
    let scratch = Scratch::new();
    let plain = write(&scratch.join("plain"), b"text", 0o644);
    let mut cut = std::fs::read("/bin/cat").unwrap();
    cut.truncate(1000);
    let cut = write(&scratch.join("cut"), &cut, 0o755);
    for (name, fault) in [
        ("/none/at/all", "no such file or directory"),
        ("no-such-program", "no such program along PATH"),
        ("/tmp", "a directory"),
        ("/dev/null", "not a regular file"),
    ] {
        let (status, output, errors) = check(&[name]);
        assert_eq!((status, output.as_str()), (2, ""), "{name}");
        assert_eq!(errors, format!("hostfs: {name}: {fault}\n"));
    }
    assert_eq!(check(&[&plain]).0, 2);
    let (status, output, _) = check(&[&cut]);
    assert_eq!(status, 2);
    assert!(output.contains("damaged"), "{output}");
    assert_eq!(
        check(&["/bin/cat", "/none", "/bin/ls"]).0,
        2,
        "the worst of all"
    );
}

#[test]
fn another_machines_and_another_libcs_programs_are_told_apart() {
    let scratch = Scratch::new();
    let mut foreign = std::fs::read("/bin/cat").unwrap();
    // e_machine: RISC-V.
    foreign[18..20].copy_from_slice(&243u16.to_le_bytes());
    let foreign = write(&scratch.join("foreign"), &foreign, 0o755);
    let (status, output, _) = check(&[&foreign]);
    assert_eq!(status, 0, "{output}");
    assert!(output.contains("for another machine"), "{output}");
    let of_musl = compile(
        &scratch,
        "of-musl",
        "int main(void) { return 0; }",
        &["-Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1"],
    );
    let (status, output, _) = check(&[&of_musl]);
    assert_eq!(status, 0, "{output}");
    assert!(output.contains("linked with musl"), "{output}");
    const OF_GO: &str = r#"__asm__(".pushsection .note.go.buildid, \"a\", %note; .long 4, 0, 4; .asciz \"Go\\0\"; .popsection");
        int main(void) { return 0; }"#;
    let (status, output, _) = check(&[&compile(&scratch, "of-go", OF_GO, &[])]);
    assert_eq!(status, 0, "{output}");
    assert!(output.contains("made by Go's compiler"), "{output}");
}
