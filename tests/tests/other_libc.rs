//! A guest whose programs are linked with another libc, as Alpine's are: the library is none of theirs, and they go by the mount.

use hostcall_tests::daemon::{program, Scratch};
use hostcall_tests::outside::may_mount;
use hostcall_tests::shell::kinds;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

const LINKER: &str = "/lib/ld-musl-x86_64.so.1";

/// Says what it was given, reads a file, and executes itself once more.
const SOURCE: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int count, char **words)
{
	char line[64] = "nothing\n";
	FILE *file = fopen(words[1], "r");

	if (file)
		fgets(line, sizeof line, file);
	printf("%s %s", getenv("LD_PRELOAD") ? "with" : "without", line);
	fflush(stdout);
	return count > 2 ? execl("/bin/own", "own", words[1], NULL) : 7;
}
"#;

#[test]
fn its_programs_run_as_the_first_command_of_a_guest() {
    if !may_mount() {
        return;
    }
    let scratch = Scratch::new();
    let (root, shared) = (scratch.join("root"), scratch.join("shared"));
    for directory in [&root.join("bin"), &root.join("lib"), &shared] {
        fs::create_dir_all(directory).expect("a directory");
    }
    fs::copy(LINKER, root.join(&LINKER[1..])).expect("apt-get install musl-tools");
    let source = scratch.join("own.c");
    fs::write(&source, SOURCE).expect("a file");
    let compiler = Command::new("musl-gcc")
        .arg("-o")
        .arg(root.join("bin/own"))
        .arg(&source)
        .status();
    assert!(compiler.expect("apt-get install musl-tools").success());
    fs::write(root.join("bin/script"), "#!/bin/own\n").expect("a file");
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(root.join("bin/script"), mode).expect("permissions");
    fs::write(shared.join("file"), "of the host\n").expect("a file");
    let file = format!("/host{}/file", shared.display());
    for kind in kinds() {
        let told = |words: &[&str]| {
            let output = Command::new(program("hostd"))
                .args(["run", "--guest", kind, "--root"])
                .arg(&root)
                .arg("--export")
                .arg(&shared)
                .arg("--")
                .args(words)
                .stdin(Stdio::null())
                .output()
                .expect("hostd runs");
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert_eq!(output.status.code(), Some(7), "{kind}: {output:?}");
            said
        };
        let once = "without of the host\n";
        assert_eq!(told(&["/bin/own", &file]), once, "{kind}");
        assert_eq!(told(&["own", &file, "again"]), once.repeat(2), "{kind}");
        assert_eq!(told(&["/bin/script"]), "without #!/bin/own\n", "{kind}");
    }
}
