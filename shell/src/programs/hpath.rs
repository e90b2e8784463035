//! `hpath`: translates paths between guest and host.

use crate::command::Hpath;
use crate::failure::plain;
use crate::paths::Prefix;
use clap::Parser;
use hostcall::say::complain;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The whole program; answers its status.
pub fn main() -> i32 {
    let options = match Hpath::try_parse() {
        Ok(options) => options,
        Err(error) => return super::explain("hpath", &error),
    };
    let prefix = Prefix::of_environment();
    with(&options, &prefix, |lines| {
        super::conclude("hpath", super::answer(lines))
    })
}

/// The program with this command line, whose answer `put` writes; answers its status, of which `put` says its part.
pub fn with(options: &Hpath, prefix: &Prefix, put: impl FnOnce(&[u8]) -> i32) -> i32 {
    let own = std::env::current_dir().unwrap_or_default();
    let (mut lines, mut failed) = (Vec::new(), false);
    for path in &options.paths {
        match translate(options, prefix, &own, path) {
            Ok(line) => lines.extend([line, b"\n".to_vec()].concat()),
            Err(error) => {
                complain("hpath", error);
                failed = true;
            }
        }
    }
    // Whether one can be written is of no matter where there is none.
    let put = if lines.is_empty() { 0 } else { put(&lines) };
    put.max(failed.into())
}

fn translate(options: &Hpath, prefix: &Prefix, own: &Path, path: &Path) -> Result<Vec<u8>, String> {
    let bytes = path.as_os_str().as_bytes();
    let said = plain(bytes);
    if options.guest {
        return match path.is_absolute() {
            true => Ok(prefix.to_guest(bytes)),
            false => Err(format!(
                "{said}: relative, and the host's working directory is not known here; give an absolute path"
            )),
        };
    }
    let followed = match options.resolve {
        true => std::fs::canonicalize(path).map_err(|error| format!("{said}: {error}"))?,
        false => path.to_owned(),
    };
    prefix
        .to_host(own.as_os_str().as_bytes(), followed.as_os_str().as_bytes())
        .ok_or_else(|| {
            let root = plain(&prefix.to_guest(b"/"));
            format!("{said}: not a file of the host; those are under {root}")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_an_answer_nothing_is_written() {
        let of = |path| Hpath::try_parse_from(["hpath", path]).unwrap();
        let prefix = Prefix::parse(b"/host").unwrap();
        let mut written = Vec::new();
        let mut put = |lines: &[u8]| {
            written.push(lines.to_vec());
            0
        };
        assert_eq!(with(&of("/etc"), &prefix, &mut put), 1);
        assert_eq!(with(&of("/host/etc"), &prefix, &mut put), 0);
        assert_eq!(written, [b"/etc\n"]);
    }
}
