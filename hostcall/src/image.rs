//! What a program file is, as its first bytes tell: whether the image that is made of it will load a library of this libc.

use std::ffi::CStr;

/// What becomes of a library to be preloaded in an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Image {
    /// Its dynamic linker loads the library, as far as can be told.
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

/// A program file that has been opened.
pub trait Program {
    /// Reads from `offset`, and returns how many bytes; none of what cannot be read.
    fn read(&self, room: &mut [u8], offset: u64) -> usize;
}

/// What a program is; of a script, what its interpreter is, which `open` opens. What cannot be opened or read is taken for
/// an ordinary program. Does not allocate.
pub fn of<P: Program>(mut program: Option<P>, open: impl Fn(&CStr) -> Option<P>) -> Image {
    for _ in 0..=SCRIPTS {
        let Some(file) = program else {
            break;
        };
        let mut head = [0u8; HEAD];
        let read = file.read(&mut head, 0);
        let Some(name) = interpreter(&head[..read]) else {
            let mut linker = [0u8; PATH];
            return judge(&head[..read], |offset, len| {
                let room = linker.get_mut(..len)?;
                let read = file.read(room, offset);
                Some(&linker[..read])
            });
        };
        let mut text = [0u8; PATH];
        let Some(room) = text[..PATH - 1].get_mut(..name.len()) else {
            break;
        };
        room.copy_from_slice(name);
        program = CStr::from_bytes_until_nul(&text).ok().and_then(&open);
    }
    Image::Loads
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
