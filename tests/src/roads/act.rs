//! What a process of a road does: a line says what, and a line comes back. See `bin/road_worker.rs`.
//!
//! | acts | |
//! |---|---|
//! | `make P MODE`, `mkdir P`, `symlink TARGET P`, `link P Q` | makes a name that is not there |
//! | `put P AT LEN BYTE`, `append P LEN BYTE`, `empty P`, `cut P LEN`, `punch P AT LEN`, `copy P Q AT TO LEN` | changes contents |
//! | `rename P Q FLAGS`, `unlink P`, `rmdir P`, `chmod P MODE` | changes names and metadata |
//! | `open S P FLAGS`, `close S`, `map S`, `unmap S` | a descriptor that stays open under a name, and a shared map of it |
//! | `sput S AT LEN BYTE`, `scut S LEN`, `spunch S AT LEN`, `schmod S MODE`, `poke S AT BYTE` | the same by descriptor and map |
//!
//! | looks | |
//! |---|---|
//! | `stat P`, `cat P`, `mapcat P`, `target P`, `list P`, `tree`, `names` | by name |
//! | `scat S`, `smap S` | by descriptor and map |
//! | `times P` | of modification and of change |
//! | `begin BASE` | forgets everything open; names are below BASE from then on |
#![allow(unsafe_code)]

use super::step::NAMES;
use crate::shown::digest;
use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{Error, Result};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Bytes of a map: no file grows longer.
pub const MAP: usize = 64 << 10;

/// Something that stays open.
#[derive(Debug)]
struct Slot {
    file: File,
    map: Option<Map>,
}

/// A shared map of the first [`MAP`] bytes of a file.
#[derive(Debug)]
struct Map(*mut u8);

impl Map {
    fn of(file: &File, writable: bool, shared: bool) -> Result<Map> {
        let access = libc::PROT_READ | if writable { libc::PROT_WRITE } else { 0 };
        let kind = if shared {
            libc::MAP_SHARED
        } else {
            libc::MAP_PRIVATE
        };
        // SAFETY: a fresh map at an address of the kernel's choice.
        let start =
            unsafe { libc::mmap(std::ptr::null_mut(), MAP, access, kind, file.as_raw_fd(), 0) };
        match start {
            libc::MAP_FAILED => Err(Error::last_os_error()),
            start => Ok(Map(start.cast())),
        }
    }

    /// The first bytes; by a system call, which answers EFAULT where a load beyond the file's end is a signal.
    fn read(&self, len: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; len.min(MAP)];
        let (from, to) = (
            libc::iovec {
                iov_base: self.0.cast(),
                iov_len: bytes.len(),
            },
            libc::iovec {
                iov_base: bytes.as_mut_ptr().cast(),
                iov_len: bytes.len(),
            },
        );
        // SAFETY: both vectors name live memory of this process; the kernel checks what it can reach.
        let read = unsafe { libc::process_vm_readv(libc::getpid(), &to, 1, &from, 1, 0) };
        if len > 0 {
            bytes.truncate(done(read as i64)? as usize);
        }
        Ok(bytes)
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: the map of `of`, which nobody else knows.
        unsafe { libc::munmap(self.0.cast(), MAP) };
    }
}

fn errno(error: &Error) -> String {
    let errno = error.raw_os_error().unwrap_or_default();
    format!("{:?}", nix::errno::Errno::from_raw(errno))
}

fn done(value: i64) -> Result<i64> {
    match value {
        -1 => Err(Error::last_os_error()),
        value => Ok(value),
    }
}

/// A process's state.
#[derive(Debug, Default)]
pub struct Acts {
    base: PathBuf,
    slots: BTreeMap<String, Slot>,
    /// What is written by descriptor is on the host only after fsync(2), so it is made.
    syncs: bool,
}

impl Acts {
    /// Nothing is open. With `syncs`, writes are followed by fsync(2).
    pub fn new(syncs: bool) -> Acts {
        Acts {
            syncs,
            ..Acts::default()
        }
    }

    /// Does what a line says; what came of it.
    pub fn act(&mut self, line: &str) -> String {
        let words: Vec<&str> = line.split(' ').collect();
        match self.perform(&words) {
            Ok(text) => text,
            Err(error) => errno(&error),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.base.join(name)
    }

    fn c_path(&self, name: &str) -> CString {
        CString::new(self.path(name).as_os_str().as_bytes()).expect("no NUL")
    }

    fn perform(&mut self, words: &[&str]) -> Result<String> {
        let number = |word: &str| word.parse::<u64>().expect("a number");
        let fine = |()| Ok("done".to_owned());
        match *words {
            ["begin", base] => {
                self.slots.clear();
                self.base = PathBuf::from(base);
                fine(())
            }
            ["make", name, mode] => {
                let mut options = OpenOptions::new();
                options
                    .write(true)
                    .create_new(true)
                    .mode(number(mode) as u32);
                options.open(self.path(name)).map(drop).and_then(fine)
            }
            ["mkdir", name] => fs::create_dir(self.path(name)).and_then(fine),
            ["symlink", target, name] => {
                std::os::unix::fs::symlink(target, self.path(name)).and_then(fine)
            }
            ["link", name, new] => fs::hard_link(self.path(name), self.path(new)).and_then(fine),
            ["unlink", name] => fs::remove_file(self.path(name)).and_then(fine),
            ["rmdir", name] => fs::remove_dir(self.path(name)).and_then(fine),
            ["rename", from, to, flags] => {
                let (from, to) = (self.c_path(from), self.c_path(to));
                let at = libc::AT_FDCWD;
                let flags = number(flags) as u32;
                // SAFETY: NUL-terminated paths.
                let renamed = unsafe { libc::renameat2(at, from.as_ptr(), at, to.as_ptr(), flags) };
                done(renamed.into()).map(drop).and_then(fine)
            }
            ["chmod", name, mode] => {
                let mode = Permissions::from_mode(number(mode) as u32);
                fs::set_permissions(self.path(name), mode).and_then(fine)
            }
            ["put", name, at, len, byte] => {
                let file = OpenOptions::new().write(true).open(self.path(name))?;
                let data = vec![number(byte) as u8; number(len) as usize];
                file.write_all_at(&data, number(at)).and_then(fine)
            }
            ["append", name, len, byte] => {
                let file = OpenOptions::new().append(true).open(self.path(name))?;
                put(&file, None, number(len), number(byte)).and_then(fine)
            }
            ["empty", name] => {
                let mut options = OpenOptions::new();
                options.write(true).truncate(true);
                options.open(self.path(name)).map(drop).and_then(fine)
            }
            ["cut", name, len] => {
                let path = self.c_path(name);
                // SAFETY: a NUL-terminated path.
                let cut = unsafe { libc::truncate(path.as_ptr(), number(len) as i64) };
                done(cut.into()).map(drop).and_then(fine)
            }
            ["punch", name, at, len] => {
                let file = OpenOptions::new().write(true).open(self.path(name))?;
                punch(&file, number(at), number(len)).and_then(fine)
            }
            ["copy", name, new, at, to, len] => {
                let source = File::open(self.path(name))?;
                let target = OpenOptions::new().write(true).open(self.path(new))?;
                copy(&source, &target, number(at), number(to), number(len))
            }
            ["open", slot, name, flags] => {
                let flags = number(flags) as i32;
                let path = self.c_path(name);
                // SAFETY: a NUL-terminated path; the descriptor is nobody else's.
                let file = unsafe {
                    let opened = libc::open(path.as_ptr(), flags | libc::O_CLOEXEC, 0o644);
                    <File as std::os::fd::FromRawFd>::from_raw_fd(done(opened.into())? as i32)
                };
                let opened = Slot { file, map: None };
                self.slots.insert(slot.to_owned(), opened);
                fine(())
            }
            ["close", slot] => Ok(self
                .slots
                .remove(slot)
                .map_or("none", |_| "done")
                .to_owned()),
            ["stat", name] => describe(&self.path(name)),
            ["cat", name] => fs::read(self.path(name)).map(|data| digest(&data)),
            ["mapcat", name] => {
                let file = File::open(self.path(name))?;
                let len = file.metadata()?.len() as usize;
                Map::of(&file, false, len.is_multiple_of(2))?
                    .read(len)
                    .map(|data| digest(&data))
            }
            ["target", name] => {
                fs::read_link(self.path(name)).map(|target| target.display().to_string())
            }
            ["list", name] => list(&self.path(name)).map(|names| names.join(" ")),
            ["times", name] => {
                let data = self.path(name).symlink_metadata()?;
                Ok(format!(
                    "{}.{:09} {}.{:09}",
                    data.mtime(),
                    data.mtime_nsec(),
                    data.ctime(),
                    data.ctime_nsec()
                ))
            }
            ["names"] => {
                let told = |name: &&str| {
                    let told = describe(&self.path(name));
                    format!("{name} {}", told.unwrap_or_else(|error| errno(&error)))
                };
                Ok(NAMES.iter().map(told).collect::<Vec<_>>().join("; "))
            }
            ["tree"] => tree(&self.base, Path::new("")).map(|lines| lines.join("; ")),
            [_, slot, ..] => {
                let syncs = self.syncs;
                let Some(slot) = self.slots.get_mut(slot) else {
                    return Ok("none".to_owned());
                };
                let done = by_slot(slot, words)?;
                if syncs && !matches!(words[0], "scat" | "smap" | "map" | "unmap") {
                    slot.file.sync_all()?;
                }
                Ok(done)
            }
            _ => panic!("unknown act {words:?}"),
        }
    }
}

fn by_slot(slot: &mut Slot, words: &[&str]) -> Result<String> {
    let number = |word: &str| word.parse::<u64>().expect("a number");
    let fine = |()| Ok("done".to_owned());
    match *words {
        ["sput", _, at, len, byte] => {
            put(&slot.file, Some(number(at)), number(len), number(byte)).and_then(fine)
        }
        ["scut", _, len] => slot.file.set_len(number(len)).and_then(fine),
        ["spunch", _, at, len] => punch(&slot.file, number(at), number(len)).and_then(fine),
        ["schmod", _, mode] => {
            let mode = Permissions::from_mode(number(mode) as u32);
            slot.file.set_permissions(mode).and_then(fine)
        }
        ["map", _] => {
            slot.map = None;
            slot.map = Some(Map::of(&slot.file, true, true)?);
            fine(())
        }
        ["unmap", _] => {
            slot.map = None;
            fine(())
        }
        ["poke", _, at, byte] => {
            let len = slot.file.metadata()?.len();
            let Some(map) = slot.map.as_ref().filter(|_| len > 0) else {
                return Ok("none".to_owned());
            };
            let at = number(at) % len.min(MAP as u64);
            // SAFETY: inside the map; below the file's end, which nobody moves meanwhile.
            unsafe {
                map.0.add(at as usize).write_volatile(number(byte) as u8);
                done(libc::msync(map.0.cast(), MAP, libc::MS_SYNC).into())?;
            }
            fine(())
        }
        ["scat", _] => {
            let data = slot.file.metadata()?;
            let mut bytes = vec![0; data.len() as usize + 1];
            let mut read = 0;
            loop {
                // Not a slot that was opened for writing alone.
                match slot.file.read_at(&mut bytes[read..], read as u64)? {
                    0 => break,
                    more => read += more,
                }
            }
            let (mode, links, size) = (data.mode(), data.nlink(), data.len());
            let contents = digest(&bytes[..read]);
            Ok(format!("{mode:o} {links} {size} {contents}"))
        }
        ["smap", _] => {
            let len = slot.file.metadata()?.len() as usize;
            match &slot.map {
                Some(map) => map.read(len).map(|data| digest(&data)),
                None => Ok("none".to_owned()),
            }
        }
        _ => panic!("unknown act {words:?}"),
    }
}

/// One write(2) or pwrite(2).
fn put(file: &File, at: Option<u64>, len: u64, byte: u64) -> Result<()> {
    let data = vec![byte as u8; len as usize];
    let written = match at {
        Some(at) => file.write_at(&data, at)?,
        None => std::io::Write::write(&mut &*file, &data)?,
    };
    assert_eq!(written, data.len(), "a short write");
    Ok(())
}

fn punch(file: &File, at: u64, len: u64) -> Result<()> {
    let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    // SAFETY: plain system call.
    let punched = unsafe { libc::fallocate(file.as_raw_fd(), mode, at as i64, len as i64) };
    done(punched.into()).map(drop)
}

fn copy(source: &File, target: &File, at: u64, to: u64, len: u64) -> Result<String> {
    // The guest kernel's copy ends where it last knew the source to end; stat(2) has it ask.
    source.metadata()?;
    let (mut at, mut to) = (at as i64, to as i64);
    // SAFETY: live offsets.
    let copied = unsafe {
        libc::copy_file_range(
            source.as_raw_fd(),
            &mut at,
            target.as_raw_fd(),
            &mut to,
            len as usize,
            0,
        )
    };
    done(copied as i64).map(|copied| format!("{copied} copied"))
}

fn describe(path: &Path) -> Result<String> {
    let data = path.symlink_metadata()?;
    let (links, size) = match data.is_dir() {
        true => (0, 0),
        false => (data.nlink(), data.len()),
    };
    Ok(format!("{:o} {links} {size}", data.mode()))
}

fn list(path: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let sign = match (kind.is_dir(), kind.is_symlink()) {
            (true, _) => "/",
            (_, true) => "@",
            _ => "",
        };
        names.push(format!("{}{sign}", entry.file_name().to_string_lossy()));
    }
    names.sort();
    Ok(names)
}

fn tree(base: &Path, below: &Path) -> Result<Vec<String>> {
    let here = base.join(below);
    let names = list(&here)?;
    let mut lines = vec![format!("{}: {}", below.display(), names.join(" "))];
    for name in names {
        let path = below.join(name.trim_end_matches(['/', '@']));
        let full = base.join(&path);
        let data = describe(&full)?;
        let contents = match name.chars().last() {
            Some('/') => {
                lines.extend(tree(base, &path)?);
                String::new()
            }
            Some('@') => fs::read_link(&full)?.display().to_string(),
            _ => digest(&fs::read(&full)?),
        };
        lines.push(format!("{} {data} {contents}", path.display()));
    }
    Ok(lines)
}
