//! What programs have for a stream that is no file.

use std::fs::File;
use std::io::{Error, Result};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Opens `/dev/null`, if that is what stands there (CVE-2026-88265): nothing else is written to, nor waited for.
///
/// # Errors
/// open(2); `Other` if it is something else.
pub(super) fn open(path: &Path) -> Result<OwnedFd> {
    let file = File::options()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)?;
    let metadata = file.metadata()?;
    let wanted = nix::sys::stat::makedev(1, 3);
    match metadata.file_type().is_char_device() && metadata.rdev() == wanted {
        true => Ok(file.into()),
        false => Err(Error::other(format!(
            "{} is something else",
            path.display()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cve_2026_88265_nothing_stands_for_dev_null() {
        assert!(open(Path::new("/dev/null")).is_ok());
        let base = std::env::temp_dir().join(format!("hostcall-null-{}", std::process::id()));
        std::fs::create_dir(&base).unwrap();
        let [link, to_null, file, fifo] =
            ["link", "to-null", "file", "fifo"].map(|name| base.join(name));
        std::fs::write(&file, "unchanged").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        std::os::unix::fs::symlink("/dev/null", &to_null).unwrap();
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        for path in [&link, &to_null, &file, &fifo, Path::new("/dev/zero")] {
            assert!(open(path).is_err(), "{path:?}");
        }
        assert_eq!(std::fs::read(&file).unwrap(), b"unchanged");
        std::fs::remove_dir_all(&base).unwrap();
    }
}
