//! The program's own image, as the loader has mapped it: elf(5), `dl_iterate_phdr`(3).
#![allow(unsafe_code)]

use libc::{c_int, c_void, Elf64_Phdr};
use std::ffi::CStr;
use std::slice;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

/// The object that was executed, not a library. It is never unmapped.
#[derive(Clone, Copy)]
pub struct Program {
    base: usize,
    headers: &'static [Elf64_Phdr],
}

impl Program {
    /// The one that runs. To be asked for by the constructor first: afterwards other threads may hold the loader's lock, for ever in a child
    /// that is forked meanwhile.
    pub fn own() -> Program {
        static BASE: AtomicUsize = AtomicUsize::new(0);
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        static FIRST: AtomicPtr<Elf64_Phdr> = AtomicPtr::new(std::ptr::null_mut());
        let known = FIRST.load(Ordering::Acquire);
        if !known.is_null() {
            let count = COUNT.load(Ordering::Relaxed);
            return Program {
                base: BASE.load(Ordering::Relaxed),
                // SAFETY: so they have been found below.
                headers: unsafe { slice::from_raw_parts(known, count) },
            };
        }
        let mut own = Program {
            base: 0,
            headers: &[],
        };
        // SAFETY: `first` is given what it expects, which lives through the call.
        unsafe { libc::dl_iterate_phdr(Some(first), (&raw mut own).cast()) };
        BASE.store(own.base, Ordering::Relaxed);
        COUNT.store(own.headers.len(), Ordering::Relaxed);
        // Whoever finds them finds the other two.
        FIRST.store(own.headers.as_ptr().cast_mut(), Ordering::Release);
        own
    }

    /// The contents of its segments of a kind (`PT_NOTE`, say), each with its alignment.
    pub fn segments(self, kind: u32) -> impl Iterator<Item = (&'static [u8], usize)> {
        let of_kind = move |header: &&Elf64_Phdr| header.p_type == kind;
        self.headers.iter().filter(of_kind).map(move |header| {
            let start = (self.base + header.p_vaddr as usize) as *const u8;
            // SAFETY: the loader has mapped the segment, and it stays.
            let contents = unsafe { slice::from_raw_parts(start, header.p_memsz as usize) };
            (contents, header.p_align as usize)
        })
    }

    /// What has been loaded from an address to the end of its segment.
    pub fn from(self, address: usize) -> Option<&'static [u8]> {
        let mut loaded = self.segments(libc::PT_LOAD).map(|(contents, _)| contents);
        loaded.find_map(|contents| contents.get(address.checked_sub(contents.as_ptr().addr())?..))
    }

    /// Its instructions: the segments that may be executed and are not written to.
    pub fn text(self) -> impl Iterator<Item = &'static [u8]> {
        const KINDS: u32 = libc::PF_R | libc::PF_W | libc::PF_X;
        let loaded = self
            .headers
            .iter()
            .filter(|header| header.p_type == libc::PT_LOAD);
        let flags = loaded.map(|header| header.p_flags & KINDS);
        let contents = self.segments(libc::PT_LOAD).map(|(contents, _)| contents);
        let text = flags.zip(contents);
        text.filter(|&(flags, _)| flags == libc::PF_R | libc::PF_X)
            .map(|(_, contents)| contents)
    }

    /// Whether it has been linked with the library of this name.
    pub fn needs(self, library: &CStr) -> bool {
        let Some((entries, _)) = self.segments(libc::PT_DYNAMIC).next() else {
            return false;
        };
        let entries = entries.as_chunks::<16>().0.iter().map(|entry| {
            let word = |at: usize| {
                let bytes = entry[at..].first_chunk().copied();
                u64::from_ne_bytes(bytes.unwrap_or_default())
            };
            (word(0), word(8))
        });
        let entries = entries.take_while(|&(tag, _)| tag != DT_NULL);
        let names = entries.clone().find(|&(tag, _)| tag == DT_STRTAB);
        let Some((_, names)) = names else {
            return false;
        };
        // The loader makes an address of it, where it may write there.
        let names = match names as usize {
            offset if offset < self.base => self.base + offset,
            address => address,
        };
        let mut needed = entries.filter(|&(tag, _)| tag == DT_NEEDED);
        needed.any(|(_, offset)| {
            // SAFETY: a string of the object's own table, which the loader has read too.
            let name = unsafe { CStr::from_ptr((names + offset as usize) as *const libc::c_char) };
            name == library
        })
    }
}

const DT_NULL: u64 = 0;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;

/// Takes the first object, which is the program, and ends the walk there.
///
/// # Safety
/// For `dl_iterate_phdr`, with a [`Program`].
unsafe extern "C" fn first(object: *mut libc::dl_phdr_info, _: usize, found: *mut c_void) -> c_int {
    // SAFETY: the loader's description of a loaded object; the caller's promise.
    unsafe {
        let object = &*object;
        *found.cast() = Program {
            base: object.dlpi_addr as usize,
            headers: slice::from_raw_parts(object.dlpi_phdr, object.dlpi_phnum.into()),
        };
    }
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_program_is_described_as_it_is() {
        let own = Program::own();
        let here = this_program_is_described_as_it_is as *const u8;
        assert!(own.text().any(|text| text.as_ptr_range().contains(&here)));
        assert!(!own
            .text()
            .any(|text| text.as_ptr_range().contains(&(&raw const own).cast())));
        assert!(own.needs(c"libc.so.6"));
        assert!(!own.needs(c"libc.so") && !own.needs(c""));
    }
}
