//! `hpath`: translates paths between guest and host.

use crate::command::Hpath;
use crate::failure::plain;
use crate::paths::Prefix;
use clap::Parser;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The whole program; answers its status.
pub fn main() -> i32 {
    with(&Hpath::parse(), &Prefix::of_environment())
}

/// The program with this command line; answers its status.
pub fn with(options: &Hpath, prefix: &Prefix) -> i32 {
    let own = std::env::current_dir().unwrap_or_default();
    let mut failed = false;
    for path in &options.paths {
        let translated = translate(options, prefix, &own, path);
        let printed = translated.and_then(|mut line| {
            line.push(b'\n');
            let written = std::io::stdout().write_all(&line);
            written.map_err(|error| format!("cannot write: {error}"))
        });
        if let Err(error) = printed {
            eprintln!("hpath: {error}");
            failed = true;
        }
    }
    failed.into()
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
