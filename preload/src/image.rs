//! What a program file is, as its first bytes tell: whether the image that is made of it will load this library.
#![allow(unsafe_code)]

use crate::real::try_sys;
use libc::{c_char, c_int};
use syscalls::Sysno;

/// What becomes of this library in an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Image {
    /// Its dynamic linker loads it, as far as can be told.
    Loads,
    /// It has no dynamic linker. What it starts may load the library.
    Static,
    /// Its dynamic linker is to be told of no such library: another libc's ends the program over it, another machine's warns.
    Refuses,
}

/// What of a program file is looked at: its header and the table that follows it in every linker's output.
const HEAD: usize = 2048;
/// The longest path of a dynamic linker or interpreter that is looked at.
const PATH: usize = 256;
/// Scripts that may be each other's interpreters, as many as the kernel follows.
const SCRIPTS: u32 = 5;
/// ELF's program header types, elf(5).
const PT_INTERP: u32 = 3;
/// The start of a 64-bit little-endian file.
const OURS: &[u8] = b"\x7fELF\x02\x01";
#[cfg(target_arch = "x86_64")]
const MACHINE: u16 = 62;
#[cfg(target_arch = "aarch64")]
const MACHINE: u16 = 183;
/// Beginnings of the names of dynamic linkers that cannot load what is linked with glibc: musl's, uClibc's, Android's.
const OTHERS: [&[u8]; 3] = [b"ld-musl", b"ld64-uClibc", b"linker64"];

/// What the program at `dirfd`, `path` is; of a script, what its interpreter is. What cannot be read is taken for an ordinary
/// program.
///
/// # Safety
/// `path` is a C string.
pub unsafe fn of(dirfd: c_int, path: *const c_char, flags: c_int) -> Image {
    // SAFETY: the caller's promise.
    let mut opened = unsafe { open(dirfd, path, flags & libc::AT_EMPTY_PATH) };
    for _ in 0..=SCRIPTS {
        let Some(file) = opened else {
            break;
        };
        let mut head = [0u8; HEAD];
        let read = file.read(&mut head, 0);
        match interpreter(&head[..read]) {
            Some(name) => {
                let mut text = [0u8; PATH];
                let Some(room) = text[..PATH - 1].get_mut(..name.len()) else {
                    break;
                };
                room.copy_from_slice(name);
                // SAFETY: NUL-terminated, for the path is shorter than its zeroed room.
                opened = unsafe { open(libc::AT_FDCWD, text.as_ptr().cast(), 0) };
            }
            None => {
                let mut linker = [0u8; PATH];
                return judge(&head[..read], |offset, len| {
                    let room = linker.get_mut(..len)?;
                    let read = file.read(room, offset);
                    Some(&linker[..read])
                });
            }
        }
    }
    Image::Loads
}

/// A file that is closed when dropped.
struct File(c_int);

impl File {
    fn read(&self, room: &mut [u8], offset: u64) -> usize {
        // SAFETY: a live buffer and its length.
        let read = unsafe {
            try_sys!(
                Sysno::pread64,
                self.0,
                room.as_mut_ptr(),
                room.len(),
                offset
            )
        };
        read.unwrap_or(0) as usize
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // SAFETY: opened by `open`, and nobody else knows it.
        let _ = unsafe { try_sys!(Sysno::close, self.0) };
    }
}

/// # Safety
/// `path` is a C string.
unsafe fn open(dirfd: c_int, path: *const c_char, flags: c_int) -> Option<File> {
    let how = libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NOCTTY | libc::O_NONBLOCK;
    // SAFETY: the caller's promise.
    let opened = unsafe {
        match flags != 0 && *path == 0 {
            true => try_sys!(Sysno::fcntl, dirfd, libc::F_DUPFD_CLOEXEC, 3),
            false => try_sys!(Sysno::openat, dirfd, path, how, 0),
        }
    };
    opened.ok().map(|fd| File(fd as c_int))
}

/// The interpreter that a script names in its first line.
fn interpreter(head: &[u8]) -> Option<&[u8]> {
    let line = head.strip_prefix(b"#!")?;
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = line.iter().position(|byte| !blank(byte))?;
    let rest = &line[start..];
    let end = rest
        .iter()
        .position(|byte| blank(byte) || matches!(byte, b'\n' | 0))?;
    Some(&rest[..end])
}

/// What an ELF file is whose first bytes are `head`; `read` hands over what stands elsewhere in it, by offset and length.
fn judge<'r>(head: &[u8], read: impl FnOnce(u64, usize) -> Option<&'r [u8]>) -> Image {
    match segments(head) {
        None => Image::Loads,
        Some(Segments::OfAnotherMachine) => Image::Refuses,
        Some(Segments::NoLinker) => Image::Static,
        Some(Segments::Linker { offset, len }) => {
            let path = read(offset, len).unwrap_or_default();
            let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
            match OTHERS.iter().any(|other| name.starts_with(other)) {
                true => Image::Refuses,
                false => Image::Loads,
            }
        }
    }
}

/// What the table of segments says.
#[derive(Debug, PartialEq, Eq)]
enum Segments {
    OfAnotherMachine,
    NoLinker,
    /// The path of the dynamic linker stands there in the file.
    Linker {
        offset: u64,
        len: usize,
    },
}

/// `None` for what is no ELF file, or has its table elsewhere.
fn segments(head: &[u8]) -> Option<Segments> {
    let half = |at: usize| Some(u16::from_le_bytes(*head.get(at..)?.first_chunk()?));
    let word = |at: usize| Some(u32::from_le_bytes(*head.get(at..)?.first_chunk()?));
    let long = |at: usize| Some(u64::from_le_bytes(*head.get(at..)?.first_chunk()?));
    if !head.starts_with(&OURS[..4]) {
        return None;
    }
    if !head.starts_with(OURS) || half(18)? != MACHINE {
        return Some(Segments::OfAnotherMachine);
    }
    let (table, size, count) = (long(32)?, half(54)?, half(56)?);
    for number in 0..count {
        let at = usize::try_from(table).ok()?;
        let at = at.checked_add(usize::from(number) * usize::from(size))?;
        if word(at)? == PT_INTERP {
            let (offset, len) = (long(at + 8)?, long(at + 32)?);
            let len = usize::try_from(len).ok()?;
            return Some(Segments::Linker { offset, len });
        }
    }
    (count > 0).then_some(Segments::NoLinker)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(path: &str) -> Vec<u8> {
        let mut bytes = std::fs::read(path).expect("a program");
        bytes.truncate(HEAD);
        bytes
    }

    fn judged(head: &[u8], linker: &str) -> Image {
        judge(head, |_, _| Some(linker.as_bytes()))
    }

    #[test]
    fn dynamic_programs_have_a_linker() {
        let own = head("/proc/self/exe");
        assert!(matches!(segments(&own), Some(Segments::Linker { .. })));
        let mut one = own.clone();
        for number in 0..usize::from(one[56]) {
            let at = 64 + 56 * number;
            if one[at] == PT_INTERP as u8 {
                one[at] = 0;
            }
        }
        assert_eq!(judged(&one, ""), Image::Static, "none is left");
        assert_eq!(
            judged(&one[..100], ""),
            Image::Loads,
            "the table is cut off"
        );
        assert_eq!(judged(b"", ""), Image::Loads);
        assert_eq!(judged(b"\x7fEL", ""), Image::Loads);
    }

    #[test]
    fn linkers_of_others_and_programs_of_others_refuse() {
        let own = head("/proc/self/exe");
        for (linker, image) in [
            ("/lib64/ld-linux-x86-64.so.2", Image::Loads),
            ("/nix/store/ld-musl-not/ld-linux-x86-64.so.2", Image::Loads),
            ("/lib/ld-musl-x86_64.so.1\0", Image::Refuses),
            ("/opt/ld-musl-aarch64.so.1\0", Image::Refuses),
            ("/system/bin/linker64\0", Image::Refuses),
            ("", Image::Loads),
        ] {
            assert_eq!(judged(&own, linker), image, "{linker}");
        }
        for (at, byte) in [(4, 1), (5, 2), (18, 243)] {
            let mut other = own.clone();
            other[at] = byte;
            assert_eq!(judged(&other, ""), Image::Refuses, "byte {at}");
        }
    }

    #[test]
    fn a_file_is_judged_by_its_path_and_a_script_by_its_interpreter() {
        // SAFETY: NUL-terminated paths.
        let look = |path: &std::ffi::CStr| unsafe { of(libc::AT_FDCWD, path.as_ptr(), 0) };
        assert_eq!(look(c"/proc/self/exe"), Image::Loads);
        assert_eq!(look(c"/no such"), Image::Loads);
        let script = std::env::temp_dir().join(format!("hostcall-image-{}", std::process::id()));
        let name = std::ffi::CString::new(script.as_os_str().as_encoded_bytes()).unwrap();
        std::fs::write(&script, format!("#! {}\n", script.display())).unwrap();
        assert_eq!(look(&name), Image::Loads, "a script of itself");
        std::fs::remove_file(&script).unwrap();
    }

    #[test]
    fn scripts_name_their_interpreter() {
        assert_eq!(interpreter(b"#!/bin/sh\n"), Some(b"/bin/sh".as_slice()));
        assert_eq!(
            interpreter(b"#! /usr/bin/env  -S x\n"),
            Some(b"/usr/bin/env".as_slice())
        );
        assert_eq!(interpreter(b"#!/bin/cut-off"), None);
        assert_eq!(
            interpreter(b"#!/bin/ended\0"),
            Some(b"/bin/ended".as_slice())
        );
        assert_eq!(interpreter(b"\x7fELF"), None);
    }
}
