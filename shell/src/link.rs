//! Links by which a host program has a name in the guest.

use crate::failure::{plain, Failure};
use crate::paths::Prefix;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Where a user's own programs lie.
const LOCAL: &str = ".local/bin";
/// Where root's do.
const ROOT: &str = "/usr/local/bin";

/// Makes `name` in `directory` (or where the user's own programs lie) a link to this program, and answers its path.
///
/// # Errors
/// It is no plain name, it is there already, or the directory cannot be written, or is the host's.
pub fn install(name: &OsStr, directory: Option<&Path>) -> Result<PathBuf, Failure> {
    let said = plain(name.as_bytes());
    if !is_plain(name) {
        return Err(Failure::own(format_args!(
            "{said:?} is no name for a link; give the bare name of a host program, such as lpr"
        )));
    }
    let own = std::env::current_exe()
        .map_err(|error| Failure::own(format_args!("hrun's own path: {error}")))?;
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(LOCAL));
    let directory = match directory {
        Some(directory) => directory.to_owned(),
        None if nix::unistd::geteuid().is_root() => PathBuf::from(ROOT),
        None => home().unwrap_or_else(|| PathBuf::from(ROOT)),
    };
    let here = std::env::current_dir().unwrap_or_default();
    if is_the_hosts(&here, &directory) {
        return Err(Failure::own(format_args!(
            "{} is a directory of the host, where a link leads to the host's own files; name one of the guest",
            plain(directory.as_os_str().as_bytes())
        )));
    }
    let at = directory.join(name);
    let failed = |error: std::io::Error| {
        Failure::own(format_args!(
            "cannot make the link {}: {error}",
            at.display()
        ))
    };
    std::fs::create_dir_all(&directory).map_err(failed)?;
    std::os::unix::fs::symlink(&own, &at).map_err(failed)?;
    Ok(at)
}

fn is_the_hosts(here: &Path, directory: &Path) -> bool {
    let bytes = |path: &Path| path.as_os_str().as_bytes().to_vec();
    let prefix = Prefix::of_environment();
    prefix.to_host(&bytes(here), &bytes(directory)).is_some()
}

fn is_plain(name: &OsStr) -> bool {
    let bytes = name.as_bytes();
    let own = [b"hrun".as_slice(), b"hcd", b"hpwd", b"hpath"];
    !bytes.is_empty()
        && !own.contains(&bytes)
        && !bytes.contains(&b'/')
        && bytes != b"."
        && bytes != b".."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_become_links() {
        for name in ["", ".", "..", "a/b", "/bin/lpr", "hrun"] {
            assert!(!is_plain(OsStr::new(name)), "{name}");
        }
        assert!(is_plain(OsStr::new("lpr")) && is_plain(OsStr::new("-x")));
    }
}
