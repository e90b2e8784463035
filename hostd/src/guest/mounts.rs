//! Mounts that guests are made of, and the mount table to plan them by.

use super::plan::Context;
use super::sys;
use nix::mount::{mount, MsFlags};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

const NONE: Option<&str> = None;

/// Directories of a guest that are its own, never the host's, with their modes.
const OWN_DIRS: [(&str, u32); 4] = [
    ("tmp", 0o1777),
    ("home", 0o755),
    ("root", 0o700),
    ("run", 0o755),
];
/// A guest's own as well, where its root has it.
pub const VAR_TMP: &str = "var/tmp";
/// Top-level names that a guest's root never takes from the host.
pub const NOT_FROM_HOST: [&str; 8] = [
    "tmp",
    "home",
    "root",
    "run",
    "dev",
    "proc",
    "sys",
    "lost+found",
];

/// Cuts this mount namespace off from the one it was copied from.
///
/// # Errors
/// mount(2).
pub fn make_private() -> Result<(), String> {
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE)
        .context("make the mounts private")
}

/// Mounts an empty tmpfs on `at`, making the directory if need be.
///
/// # Errors
/// mkdir(2), mount(2).
pub fn tmpfs(at: &Path, mode: u32, flags: MsFlags) -> Result<(), String> {
    tmpfs_with(at, flags, &format!("mode={mode:o}"))
}

/// As [`tmpfs`], holding at most `mib` MiB.
///
/// # Errors
/// mkdir(2), mount(2).
pub fn tmpfs_of(mib: u64, at: &Path, mode: u32, flags: MsFlags) -> Result<(), String> {
    tmpfs_with(at, flags, &format!("mode={mode:o},size={mib}m"))
}

fn tmpfs_with(at: &Path, flags: MsFlags, options: &str) -> Result<(), String> {
    make_dir(at, 0o755)?;
    mount(
        Some("tmpfs"),
        at,
        Some("tmpfs"),
        flags | MsFlags::MS_NOSUID,
        Some(options),
    )
    .context(format_args!("mount a tmpfs on {}", at.display()))
}

/// Mounts the guest's own directories below `root`, each of them on a real directory.
///
/// # Errors
/// One line.
pub fn own_dirs(root: &Path) -> Result<(), String> {
    for (name, mode) in OWN_DIRS {
        let at = root.join(name);
        own_dir(&at)?;
        tmpfs(&at, mode, MsFlags::MS_NODEV)?;
    }
    let at = root.join(VAR_TMP);
    if fs::symlink_metadata(&at).is_ok_and(|data| data.is_dir()) {
        tmpfs(&at, 0o1777, MsFlags::MS_NODEV)?;
    }
    Ok(())
}

/// Makes a real directory at `at`: a root whose /home is a link elsewhere gets one of its own.
///
/// # Errors
/// unlink(2), mkdir(2).
pub fn own_dir(at: &Path) -> Result<(), String> {
    if fs::symlink_metadata(at).is_ok_and(|data| !data.is_dir()) {
        fs::remove_file(at).context(at.display())?;
    }
    make_dir(at, 0o755)
}

/// Binds `source` with all below it onto `at`.
///
/// # Errors
/// mount(2).
pub fn bind(source: &Path, at: &Path) -> Result<(), String> {
    mount(
        Some(source),
        at,
        NONE,
        MsFlags::MS_BIND | MsFlags::MS_REC,
        NONE,
    )
    .context(format_args!(
        "bind {} to {}",
        source.display(),
        at.display()
    ))
}

/// Binds `source` onto `at`, read-only with all below it.
///
/// # Errors
/// mount(2), mount_setattr(2).
pub fn bind_read_only(source: &Path, at: &Path) -> Result<(), String> {
    bind(source, at)?;
    sys::mount_read_only(at).context(format_args!("make {} read-only", at.display()))
}

/// Makes a directory and its missing parents; one that exists is left as it is.
///
/// # Errors
/// mkdir(2).
pub fn make_dir(at: &Path, mode: u32) -> Result<(), String> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(at)
        .context(format_args!("make the directory {}", at.display()))
}

/// Makes an empty file to bind onto.
///
/// # Errors
/// open(2).
pub fn make_file(at: &Path) -> Result<(), String> {
    fs::write(at, "").context(format_args!("make {}", at.display()))
}

/// Fills a file of the guest, making its directory, and gives it `mode`.
///
/// # Errors
/// open(2), write(2).
pub fn put_file(at: &Path, mut from: impl std::io::Read, mode: u32) -> Result<(), String> {
    if let Some(parent) = at.parent() {
        make_dir(parent, 0o755)?;
    }
    let _ = fs::remove_file(at);
    let mut file = fs::File::create(at).context(format_args!("make {}", at.display()))?;
    std::io::copy(&mut from, &mut file).context(format_args!("fill {}", at.display()))?;
    file.set_permissions(fs::Permissions::from_mode(mode))
        .context(format_args!("chmod {}", at.display()))
}

/// The path by which an open descriptor is mounted or opened again, whatever its name holds.
pub fn descriptor_path(fd: impl AsFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd()))
}

/// `path` without its leading slash, for joining below another root.
///
/// # Errors
/// A relative path, or one with `..`.
pub fn below(path: &Path) -> Result<&Path, String> {
    let inner = path.strip_prefix("/").map_err(|_| {
        format!(
            "{}: a guest path must be absolute; begin it with /",
            path.display()
        )
    })?;
    if inner
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
    {
        Ok(inner)
    } else {
        Err(format!(
            "{}: a guest path must not contain '..'",
            path.display()
        ))
    }
}

/// One line of the mount table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Where it is mounted.
    pub at: PathBuf,
    /// Type of file system.
    pub kind: String,
}

impl Mount {
    /// Whether a process serves it.
    pub fn is_fuse(&self) -> bool {
        self.kind == "fuse" || self.kind.starts_with("fuse.")
    }

    /// Whether it shows the kernel's state or a server's, rather than stored files.
    pub fn is_pseudo(&self) -> bool {
        const PSEUDO: [&str; 16] = [
            "proc",
            "sysfs",
            "devtmpfs",
            "devpts",
            "cgroup",
            "cgroup2",
            "debugfs",
            "tracefs",
            "securityfs",
            "bpf",
            "mqueue",
            "configfs",
            "efivarfs",
            "binfmt_misc",
            "autofs",
            "pstore",
        ];
        PSEUDO.contains(&self.kind.as_str()) || self.kind.starts_with("fuse")
    }
}

/// The mounts of this namespace.
///
/// # Errors
/// Reading `/proc/self/mountinfo`.
pub fn table() -> Result<Vec<Mount>, String> {
    const OWN: &str = "/proc/self/mountinfo";
    let own = File::open(OWN).context(OWN)?;
    table_of(&own).context(OWN)
}

/// The mounts of an open mount table, from its start.
///
/// # Errors
/// lseek(2), read(2).
pub fn table_of(mut file: &File) -> io::Result<Vec<Mount>> {
    let mut text = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut text)?;
    Ok(parse(&text))
}

/// proc(5): the fifth field is the mount point, with octal escapes; after a lone dash comes the type.
fn parse(text: &[u8]) -> Vec<Mount> {
    text.split(|byte| *byte == b'\n')
        .filter_map(|line| {
            let fields: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
            let dash = fields.iter().position(|field| *field == b"-")?;
            let kind = String::from_utf8_lossy(fields.get(dash + 1)?).into_owned();
            Some(Mount {
                at: unescape(fields.get(4)?).into(),
                kind,
            })
        })
        .collect()
}

fn unescape(field: &[u8]) -> OsString {
    let mut out = Vec::with_capacity(field.len());
    let mut at = 0;
    while at < field.len() {
        let octal = field.get(at + 1..at + 4).filter(|_| field[at] == b'\\');
        let value =
            octal.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        out.push(value.unwrap_or(field[at]));
        at += if value.is_some() { 4 } else { 1 };
    }
    OsString::from_vec(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_table_is_read_with_its_escapes() {
        let text = b"22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n40 22 0:5 / /a\\040b\\134c rw - fuse.sshfs x rw\nbroken\n";
        let table = parse(text);
        assert_eq!(
            table[0],
            Mount {
                at: "/".into(),
                kind: "ext4".into()
            }
        );
        assert_eq!(table[1].at, Path::new("/a b\\c"));
        assert!(table[1].is_pseudo() && !table[0].is_pseudo());
        assert_eq!(table.len(), 2);
    }

    #[test]
    fn guest_paths_cannot_climb() {
        assert_eq!(below(Path::new("/run/x")), Ok(Path::new("run/x")));
        assert!(below(Path::new("run/x")).is_err());
        assert!(below(Path::new("/run/../etc")).is_err());
    }
}
