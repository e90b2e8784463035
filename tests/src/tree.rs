//! What a directory looks like to the host: the state that a case leaves behind.
#![allow(unsafe_code)]

use crate::shown::{digest, moment};
use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

/// One line for each file below `base`, sorted.
pub fn listing(base: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    walk(base, base, &mut lines);
    lines.sort();
    lines
}

fn walk(base: &Path, path: &Path, lines: &mut Vec<String>) {
    lines.push(describe(base, path));
    if path.symlink_metadata().is_ok_and(|data| data.is_dir()) {
        let Ok(entries) = std::fs::read_dir(path) else {
            return;
        };
        entries
            .flatten()
            .for_each(|entry| walk(base, &entry.path(), lines));
    }
}

fn describe(base: &Path, path: &Path) -> String {
    let name = path.strip_prefix(base).unwrap_or(path);
    let name = name.as_os_str().as_bytes().escape_ascii();
    let data = match path.symlink_metadata() {
        Ok(data) => data,
        Err(error) => return format!("{name}: {error}"),
    };
    let kind = data.file_type();
    let contents = if kind.is_symlink() {
        let target = std::fs::read_link(path).unwrap_or_default();
        digest(target.as_os_str().as_bytes())
    } else if kind.is_file() && data.size() <= 64 << 20 {
        std::fs::read(path).map_or_else(|error| error.to_string(), |data| digest(&data))
    } else if kind.is_block_device() || kind.is_char_device() {
        format!("device {:#x}", data.rdev())
    } else {
        String::new()
    };
    let size = if kind.is_dir() { 0 } else { data.size() };
    let times = (
        moment(data.atime(), data.atime_nsec() as u32),
        moment(data.mtime(), data.mtime_nsec() as u32),
    );
    let (mode, links, uid, gid) = (data.mode(), data.nlink(), data.uid(), data.gid());
    let attributes = attributes(path);
    format!("{name}: {mode:o} links {links} owner {uid}:{gid} size {size} times {times:?} {contents} {attributes:?}")
}

/// Names and values of a file's extended attributes, sorted; not those of the security modules.
fn attributes(path: &Path) -> Vec<String> {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else {
        return Vec::new();
    };
    let mut names = vec![0u8; 4096];
    // SAFETY: a NUL-terminated path; pointer and length of a live buffer.
    let len = unsafe { libc::llistxattr(path.as_ptr(), names.as_mut_ptr().cast(), names.len()) };
    let names = &names[..len.max(0) as usize];
    let each = names
        .split_inclusive(|byte| *byte == 0)
        .filter_map(|name| CStr::from_bytes_with_nul(name).ok());
    let mut all: Vec<String> = each
        .map(|name| {
            let mut value = vec![0u8; 65536];
            // SAFETY: NUL-terminated strings; pointer and length of a live buffer.
            let len = unsafe {
                let (data, room) = (value.as_mut_ptr().cast(), value.len());
                libc::lgetxattr(path.as_ptr(), name.as_ptr(), data, room)
            };
            value.truncate(len.max(0) as usize);
            format!("{}={}", name.to_string_lossy(), digest(&value))
        })
        .collect();
    all.sort();
    all
}
