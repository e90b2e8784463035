//! The first look at a path: whether any of its components begins as the prefix's last one does. Every path of a program is looked at,
//! so many bytes are looked at together, as strlen(3) does.
#![allow(unsafe_code)]

use std::ffi::c_char;
use std::hint::cold_path;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is looked for. The slash is here for where it lies: a constant of the code would be in another line of the cache.
pub struct Marks {
    slash: AtomicU64,
    first: AtomicU64,
}

/// In each byte of a word 1.
const EACH: u64 = u64::from_ne_bytes([1; 8]);

impl Marks {
    /// For components that begin with `first`.
    pub const fn new(first: u8) -> Marks {
        Marks {
            slash: AtomicU64::new(EACH * b'/' as u64),
            first: AtomicU64::new(EACH * first as u64),
        }
    }

    /// Looks for another one.
    pub fn set(&self, first: u8) {
        self.first.store(EACH * u64::from(first), Ordering::Relaxed);
    }

    /// Whether a component of a path may begin with that byte; no is certain.
    ///
    /// # Safety
    /// `path` is a C string.
    #[inline(always)]
    pub unsafe fn are_in(&self, path: *const c_char) -> bool {
        let slash = Block::of(self.slash.load(Ordering::Relaxed));
        let first = Block::of(self.first.load(Ordering::Relaxed));
        let skipped = path.addr() % size_of::<Block>();
        let mut at = path.wrapping_byte_sub(skipped).cast::<Block>();
        let mut inside = !0 << (skipped * Block::STEP);
        let mut begins = 1 << (skipped * Block::STEP);
        loop {
            // SAFETY: a block that holds a byte of the string or its end lies in the same page, so all of it can be read. What else is in it
            // may change meanwhile, and is not used.
            let block = unsafe { Block::at(at) };
            let slashes = block.equal(slash);
            let found = block.equal(first) & (slashes << Block::STEP | begins) & inside;
            let ends = block.equal(Block::of(0)) & inside;
            if found | ends != 0 {
                if ends == 0 {
                    return true;
                }
                // What lies behind the end may never have been written. It is shifted out, which Valgrind follows; what arithmetic masks out
                // would count as used, and be an error of the program's.
                return found << 1 << (u64::BITS - 1 - ends.trailing_zeros()) != 0;
            }
            // The code of a short path lies together.
            cold_path();
            begins = slashes >> (Block::STEP * (size_of::<Block>() - 1));
            inside = !0;
            at = at.wrapping_add(1);
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod block {
    use std::arch::x86_64::{__m128i, _mm_cmpeq_epi8, _mm_movemask_epi8, _mm_set1_epi64x};

    /// Sixteen bytes of memory.
    #[derive(Clone, Copy)]
    #[repr(transparent)]
    pub struct Block(__m128i);

    impl Block {
        /// Bits of an answer for each byte.
        pub const STEP: usize = 1;

        /// Eight bytes, twice.
        #[inline(always)]
        pub fn of(word: u64) -> Block {
            // SAFETY: every processor of this kind has the instruction.
            Block(unsafe { _mm_set1_epi64x(word as i64) })
        }

        /// What stands at an address; zeros, which end a string, where there is no memory.
        ///
        /// # Safety
        /// What can be read there may be read.
        #[inline(always)]
        pub unsafe fn at(place: *const Block) -> Block {
            let block;
            // SAFETY: the caller's promise; the load has an entry.
            unsafe {
                std::arch::asm!(
                    "pxor {block}, {block}",
                    "2: movdqa {block}, [{place}]",
                    "3:",
                    hostcall::may_fault!(),
                    place = in(reg) place,
                    block = out(xmm_reg) block,
                    options(nostack, readonly, preserves_flags),
                );
            }
            Block(block)
        }

        /// Which bytes are equal.
        #[inline(always)]
        pub fn equal(self, other: Block) -> u64 {
            // SAFETY: as above.
            unsafe { _mm_movemask_epi8(_mm_cmpeq_epi8(self.0, other.0)) as u64 }
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod block {
    use super::EACH;

    /// Eight bytes of memory.
    #[derive(Clone, Copy)]
    #[repr(transparent)]
    pub struct Block(u64);

    impl Block {
        /// Bits of an answer for each byte.
        pub const STEP: usize = 8;

        /// Eight bytes.
        #[inline(always)]
        pub fn of(word: u64) -> Block {
            Block(word)
        }

        /// What stands at an address.
        ///
        /// # Safety
        /// It can be read.
        #[inline(always)]
        pub unsafe fn at(place: *const Block) -> Block {
            // SAFETY: the caller's promise.
            unsafe { place.read_volatile() }
        }

        /// Which bytes are equal, by the lowest bit of each; perhaps also some above one that is.
        #[inline(always)]
        pub fn equal(self, other: Block) -> u64 {
            let differs = u64::from_le(self.0 ^ other.0);
            (differs.wrapping_sub(EACH) & !differs & (EACH << 7)) >> 7
        }
    }
}

use block::Block;

#[cfg(test)]
mod tests {
    use super::*;

    /// The answer, which does not depend on where the path lies.
    fn look(first: u8, path: &str) -> bool {
        let look = |skipped: usize| {
            let front = &b"/h/h/h/h/h/h/h/h"[..skipped];
            let memory = [front, path.as_bytes(), b"\0/host/"].concat();
            let mut room = [0u128; 8];
            // SAFETY: plain bytes, longer than the path and what stands around it.
            unsafe {
                let room = room.as_mut_ptr().cast::<u8>();
                room.copy_from_nonoverlapping(memory.as_ptr(), memory.len());
                Marks::new(first).are_in(room.add(skipped).cast())
            }
        };
        let answer = look(0);
        assert!((1..16).all(|skipped| look(skipped) == answer), "{path}");
        answer
    }

    #[test]
    fn beginnings_of_components_are_found() {
        for (path, expected) in [
            ("/usr/bin/bash", false),
            ("/etc/passwd", false),
            ("", false),
            ("/", false),
            ("h", true),
            ("/x/h", true),
            ("xh/x", false),
            ("/usr/../home", true),
            ("/a/b/c/d/e/f/g/i/j/k", false),
            ("/a/b/c/d/e/f/g/i/j/k/h", true),
            ("/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/h", true),
            ("/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/i", false),
        ] {
            assert_eq!(look(b'h', path), expected, "{path}");
        }
    }

    #[test]
    fn every_place_and_neighbour_is_looked_at() {
        for len in 0..40 {
            for at in 0..len {
                let mut path = "a".repeat(len);
                path.replace_range(at..=at, "h");
                assert_eq!(look(b'h', &path), at == 0, "{path}");
                if at > 0 {
                    path.replace_range(at - 1..at, "/");
                    assert!(look(b'h', &path), "{path}");
                }
            }
        }
    }
}
