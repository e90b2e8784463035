//! Programs that others wrote, run to their end: suites, and tools whose results can be compared.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Where the tests' own tools are installed, below the workspace.
const TOOLS: &str = "target/tools/bin";

/// Longest run of a single program, seconds; only a hang reaches it.
const PATIENCE: u32 = 1200;

/// Whether this user may mount and serve many users; says so if not.
pub fn may_mount() -> bool {
    let may = nix::unistd::geteuid().is_root();
    if !may {
        eprintln!("skipped: needs root");
    }
    may
}

/// A program on the search path or among the tests' own tools.
///
/// # Panics
/// It is not installed.
pub fn tool(name: &str) -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(TOOLS);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::iter::once(own).chain(std::env::split_paths(&path));
    places
        .find_map(|place| Some(place.join(name)).filter(|path| path.is_file()))
        .unwrap_or_else(|| panic!("{name} is not installed; run .ci/setup --tests"))
}

/// A program that is killed if it hangs, without this process's environment but for the search path.
pub fn program(name: &str) -> Command {
    let mut command = Command::new(tool("timeout"));
    command
        .args(["-s", "KILL", &PATIENCE.to_string()])
        .arg(tool(name))
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("LC_ALL", "C")
        .stdin(Stdio::null());
    command
}

/// What a run wrote and how it ended, for people.
pub fn told(output: &Output) -> String {
    format!(
        "{}{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
        output.status
    )
}

/// Runs a command that has to succeed; what it wrote.
///
/// # Panics
/// It fails.
pub fn succeed(command: &mut Command) -> String {
    let output = command.output().expect("the program starts");
    assert!(output.status.success(), "{command:?}:\n{}", told(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs a script of bash that has to succeed to its last line, with arguments; what it wrote.
///
/// # Panics
/// A command in it fails.
pub fn script(text: &str, arguments: &[&dyn AsRef<OsStr>]) -> String {
    let mut bash = program("bash");
    bash.args(["-euo", "pipefail", "-c", text, "script"]);
    for argument in arguments {
        bash.arg(argument.as_ref());
    }
    succeed(&mut bash)
}

/// Types, permissions, owners, links, sizes, contents, extended attributes and access control lists of all that is below
/// a directory, in the order of names.
pub fn inventory(directory: &Path) -> String {
    const LIST: &str = r#"cd "$1"
find . -printf '%p %y %m %U:%G %l\n' | sort
find . ! -type d -printf '%p %n\n' | sort
find . -type f -printf '%p %s\n' | sort
find . -type f -print0 | sort -z | xargs -0r md5sum
find . ! -type l -print0 | sort -z | xargs -0r getfattr -hd -m - 2>/dev/null
"#;
    script(LIST, &[&directory])
}
