//! What the guests have in common: environment, links of /dev, the files put in.

use super::mounts::put_file;
use super::plan::{Context, Task};
use std::ffi::OsString;
use std::fs::File;
use std::os::unix::fs::symlink;
use std::path::Path;

/// Links of every guest's /dev.
pub const DEV_LINKS: [(&str, &str); 4] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];

/// Opens the host files that are to be copied into the guest.
///
/// # Errors
/// open(2).
pub fn open_sources(files: &[OsString]) -> Result<Vec<File>, String> {
    files
        .iter()
        .map(|path| File::open(path).context(Path::new(path).display()))
        .collect()
}

/// Writes the texts, and makes the links beside the files that were put in.
///
/// # Errors
/// open(2), write(2), symlink(2).
pub fn texts_and_links(task: &Task) -> Result<(), String> {
    let is_new = |path: &&(OsString, String)| !Path::new(&path.0).exists();
    for (path, text) in task.texts.iter().filter(is_new) {
        put_file(Path::new(path), text.as_bytes(), 0o644)?;
    }
    let mut links = task.links.iter();
    links.try_for_each(|(target, path)| {
        symlink(target, path).context(format_args!("make {}", Path::new(path).display()))
    })
}

/// Makes this process's environment and directory those of COMMAND. Nothing of the host's environment
/// comes along except what the task names.
pub fn environment(task: &Task) {
    let all: Vec<OsString> = std::env::vars_os().map(|(name, _)| name).collect();
    for name in all {
        std::env::remove_var(name);
    }
    let shell = if Path::new("/bin/bash").exists() {
        "/bin/bash"
    } else {
        "/bin/sh"
    };
    for (name, value) in [
        (
            "PATH",
            // Last the guest's own tools, by which mount(8) finds `fuse.hostfs`.
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/run/hostcall/bin",
        ),
        ("HOME", "/root"),
        ("USER", "root"),
        ("LOGNAME", "root"),
        ("SHELL", shell),
    ] {
        std::env::set_var(name, value);
    }
    for (name, value) in &task.env {
        std::env::set_var(name, value);
    }
    let _ = std::env::set_current_dir("/root");
}
