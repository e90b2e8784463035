//! A program's memory, accessed as a kernel accesses it: where there is none a copy ends, and no signal is the program's.
//!
//! Each instruction here that touches such memory, and each call of libc's that does, has an entry in a section of the object file which
//! says where to go on if it faults, as in the kernel (Linux `Documentation/arch/x86/exception-tables.rst`). Whoever handles SIGSEGV and SIGBUS of the process asks
//! [`landing`]. A process without such a handler gets the signal, and so does each on other processors than x86-64, which have no
//! entries.
#![allow(unsafe_code)]

use crate::types::Errno;
use std::ffi::{c_char, CStr};
use std::mem::MaybeUninit;

/// The assembler's text of an entry: the instruction at the label `2` may fault, and `3` is where to go on. It stands behind both.
#[cfg(target_arch = "x86_64")]
#[macro_export]
macro_rules! may_fault {
    () => {
        $crate::may_fault!("2b", "3b")
    };
    ($instruction:literal, $landing:literal) => {
        concat!(
            ".pushsection hostcall_faults, \"aR\", @progbits\n.balign 4\n.long ",
            $instruction,
            " - .\n.long ",
            $landing,
            " - .\n.popsection"
        )
    };
}

/// What a thread had in its registers when it faulted.
#[derive(Clone, Copy, Debug)]
pub struct Registers {
    /// The instruction.
    pub instruction: usize,
    /// The stack.
    pub stack: usize,
    /// `r12`, in which a [copy] keeps where the stack was.
    pub before: usize,
    /// `r13`, in which it keeps where to go on.
    pub landing: usize,
}

/// Where a thread goes on that has faulted, and where its stack is then; `None` if it has not faulted in an access.
#[cfg(target_arch = "x86_64")]
pub fn landing(at: Registers) -> Option<(usize, usize)> {
    /// An entry: distances from the fields themselves.
    #[repr(C)]
    struct Entry {
        instruction: i32,
        landing: i32,
    }
    extern "C" {
        static __start_hostcall_faults: [Entry; 0];
        static __stop_hostcall_faults: [Entry; 0];
    }
    let target = |field: &i32| {
        std::ptr::from_ref(field)
            .addr()
            .wrapping_add_signed(*field as isize)
    };
    // SAFETY: the linker defines both symbols, around the section, which holds nothing but entries.
    let entries = unsafe {
        let (start, end) = (
            __start_hostcall_faults.as_ptr(),
            __stop_hostcall_faults.as_ptr(),
        );
        std::slice::from_raw_parts(start, end.offset_from(start) as usize)
    };
    let by_itself = entries
        .iter()
        .find(|entry| target(&entry.instruction) == at.instruction)
        .map(|entry| (target(&entry.landing), at.stack));
    // libc's memcpy(3) has nothing on the stack but where it returns to.
    by_itself.or_else(|| {
        let is_called = at.stack.wrapping_add(size_of::<usize>()) == at.before
            && entries
                .iter()
                .any(|entry| target(&entry.landing) == at.landing);
        is_called.then_some((at.landing, at.before))
    })
}

/// Where a thread goes on that has faulted: nowhere.
#[cfg(not(target_arch = "x86_64"))]
pub fn landing(_at: Registers) -> Option<(usize, usize)> {
    None
}

/// Copies ascending, as far as both ranges can be accessed: how many bytes are left.
///
/// # Safety
/// What can be accessed of the ranges may be read and written; they do not overlap.
#[cfg(target_arch = "x86_64")]
#[inline]
pub unsafe fn copy(from: *const u8, to: *mut u8, len: usize) -> usize {
    let faulted: usize;
    // SAFETY: the caller's promise. The call is libc's, from which a thread that faults there comes back by the registers that it keeps
    // for its caller.
    unsafe {
        std::arch::asm!(
            "mov r12, rsp",
            "lea r13, [rip + 3f]",
            "call {memcpy}",
            "2:",
            "xor r13d, r13d",
            "3:",
            may_fault!(),
            memcpy = sym libc::memcpy,
            in("rdi") to,
            in("rsi") from,
            in("rdx") len,
            out("r12") _,
            out("r13") faulted,
            clobber_abi("C"),
        );
        match faulted {
            0 => 0,
            _ => copy_exactly(from, to, len),
        }
    }
}

/// [`copy`] to the last byte that can be accessed.
///
/// # Safety
/// As for [`copy`].
#[cfg(target_arch = "x86_64")]
#[cold]
unsafe fn copy_exactly(from: *const u8, to: *mut u8, len: usize) -> usize {
    let left;
    // SAFETY: the caller's promise; whatever faults has an entry. After a fault in a block its bytes are tried one by one.
    unsafe {
        std::arch::asm!(
            "5:",
            "cmp {len}, 16",
            "jb 7f",
            "28: movups {a}, [rsi]",
            "29: movups [rdi], {a}",
            "add rsi, 16",
            "add rdi, 16",
            "sub {len}, 16",
            "jmp 5b",
            "7:",
            "mov rcx, {len}",
            "30: rep movsb",
            "8:",
            may_fault!("28b", "7b"),
            may_fault!("29b", "7b"),
            may_fault!("30b", "8b"),
            len = inout(reg) len => _,
            a = out(xmm_reg) _,
            inout("rsi") from => _,
            inout("rdi") to => _,
            out("rcx") left,
            options(nostack),
        );
    }
    left
}

/// [`copy`] by stores that do not fetch the lines that they overwrite.
///
/// # Safety
/// As for [`copy`].
#[cfg(target_arch = "x86_64")]
pub unsafe fn copy_past_the_cache(from: *const u8, to: *mut u8, len: usize) -> usize {
    const LINE: usize = 64;
    let head = to.align_offset(LINE).min(len);
    let lines = (len - head) / LINE * LINE;
    // SAFETY: the caller's promise; whatever faults has an entry. From `head` on `to` is aligned as the stores ask.
    unsafe {
        let left = copy(from, to, head);
        if left > 0 {
            return left + (len - head);
        }
        let (mut source, mut target, mut left) = (from.add(head), to.add(head), lines);
        if lines > 0 {
            std::arch::asm!(
                "4:",
                "20: movups {a}, [{from}]",
                "21: movups {b}, [{from} + 16]",
                "22: movups {c}, [{from} + 32]",
                "23: movups {d}, [{from} + 48]",
                "movntps [{to}], {a}",
                "movntps [{to} + 16], {b}",
                "movntps [{to} + 32], {c}",
                "movntps [{to} + 48], {d}",
                "add {from}, 64",
                "add {to}, 64",
                "sub {left}, 64",
                "jnz 4b",
                "7:",
                // No release store waits for such stores by itself.
                "sfence",
                may_fault!("20b", "7b"),
                may_fault!("21b", "7b"),
                may_fault!("22b", "7b"),
                may_fault!("23b", "7b"),
                from = inout(reg) source,
                to = inout(reg) target,
                left = inout(reg) left,
                a = out(xmm_reg) _, b = out(xmm_reg) _, c = out(xmm_reg) _, d = out(xmm_reg) _,
                options(nostack),
            );
        }
        copy(source, target, left + (len - head - lines))
    }
}

/// memcpy, all of it.
///
/// # Safety
/// Both ranges are valid for `len` bytes and do not overlap.
#[cfg(not(target_arch = "x86_64"))]
pub unsafe fn copy(from: *const u8, to: *mut u8, len: usize) -> usize {
    // SAFETY: the caller's promise; `black_box` keeps the pointers opaque, so that no load is repeated after a check (XSA-155).
    unsafe {
        std::ptr::copy_nonoverlapping(std::hint::black_box(from), std::hint::black_box(to), len)
    }
    0
}

/// The same, where there are no such stores.
///
/// # Safety
/// As for [`copy`].
#[cfg(not(target_arch = "x86_64"))]
pub unsafe fn copy_past_the_cache(from: *const u8, to: *mut u8, len: usize) -> usize {
    // SAFETY: the caller's promise.
    unsafe { copy(from, to, len) }
}

/// Bytes of a string before its end; `None` if it reaches where there is no memory.
///
/// # Safety
/// What can be read from `text` on is a string or the beginning of one.
#[cfg(target_arch = "x86_64")]
unsafe fn length(text: *const c_char) -> Option<usize> {
    let mut len: usize;
    // SAFETY: blocks of sixteen aligned bytes, of which at least one belongs to the string, lie in one page; whatever faults has an entry.
    unsafe {
        std::arch::asm!(
            "mov {len}, {text}",
            "and {len}, -16",
            "mov ecx, {text:e}",
            "and ecx, 15",
            "pxor {zero}, {zero}",
            "movdqa {block}, {zero}",
            "20: pcmpeqb {block}, [{len}]",
            "pmovmskb {found:e}, {block}",
            "shr {found:e}, cl",
            "shl {found:e}, cl",
            "test {found:e}, {found:e}",
            "jnz 5f",
            "4:",
            "add {len}, 16",
            "movdqa {block}, {zero}",
            "21: pcmpeqb {block}, [{len}]",
            "pmovmskb {found:e}, {block}",
            "test {found:e}, {found:e}",
            "jz 4b",
            "5:",
            "bsf {found:e}, {found:e}",
            "add {len}, {found}",
            "sub {len}, {text}",
            "jmp 7f",
            "6:",
            "mov {len}, -1",
            "7:",
            may_fault!("20b", "6b"),
            may_fault!("21b", "6b"),
            text = in(reg) text,
            len = out(reg) len,
            found = out(reg) _,
            zero = out(xmm_reg) _,
            block = out(xmm_reg) _,
            out("rcx") _,
            options(nostack, readonly),
        );
    }
    (len != usize::MAX).then_some(len)
}

#[cfg(not(target_arch = "x86_64"))]
unsafe fn length(text: *const c_char) -> Option<usize> {
    // SAFETY: the caller's promise.
    Some(unsafe { libc::strlen(text) })
}

/// The first byte of a string; 0, as at its end, where there is no memory.
///
/// # Safety
/// What can be read at `text` may be read.
#[inline(always)]
pub unsafe fn first(text: *const c_char) -> u8 {
    #[cfg(target_arch = "x86_64")]
    {
        let byte: u32;
        // SAFETY: the caller's promise; the load has an entry.
        unsafe {
            std::arch::asm!(
                "xor {byte:e}, {byte:e}",
                "2: mov {byte:l}, byte ptr [{text}]",
                "3:",
                may_fault!(),
                text = in(reg) text,
                byte = out(reg) byte,
                options(nostack, readonly),
            );
        }
        byte as u8
    }
    #[cfg(not(target_arch = "x86_64"))]
    // SAFETY: the caller's promise.
    unsafe {
        text.cast::<u8>().read()
    }
}

/// The program's string at `text`.
///
/// # Errors
/// `EFAULT` if there is none, or no end of it.
///
/// # Safety
/// What can be read from `text` on is a string or the beginning of one, and stays for `'a`.
#[inline]
pub unsafe fn string<'a>(text: *const c_char) -> Result<&'a CStr, Errno> {
    // SAFETY: the caller's promise; the length is that of what has just been read.
    unsafe {
        let len = length(text).ok_or(Errno(libc::EFAULT))?;
        let bytes = std::slice::from_raw_parts(text.cast::<u8>(), len + 1);
        Ok(CStr::from_bytes_with_nul_unchecked(bytes))
    }
}

/// The program's value at `from`, aligned or not.
///
/// # Errors
/// `EFAULT` if there is none.
///
/// # Safety
/// What can be read there may be read, and any bytes are a value of the type.
#[inline]
pub unsafe fn get<T: Copy>(from: *const T) -> Result<T, Errno> {
    let mut value = MaybeUninit::<T>::uninit();
    // SAFETY: the caller's promise; the value is whole if nothing is left.
    unsafe {
        match copy(from.cast(), value.as_mut_ptr().cast(), size_of::<T>()) {
            0 => Ok(value.assume_init()),
            _ => Err(Errno(libc::EFAULT)),
        }
    }
}

/// Puts a value where the program wants it, aligned or not.
///
/// # Errors
/// `EFAULT` if there is no place for it.
///
/// # Safety
/// What can be written there may be written.
#[inline]
pub unsafe fn put<T: Copy>(to: *mut T, value: &T) -> Result<(), Errno> {
    // SAFETY: the caller's promise.
    match unsafe { copy(std::ptr::from_ref(value).cast(), to.cast(), size_of::<T>()) } {
        0 => Ok(()),
        _ => Err(Errno(libc::EFAULT)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn a_copy_is_whole_wherever_it_begins_and_ends() {
        let from: Vec<u8> = (0..1000).map(|at| (at % 251) as u8).collect();
        for copy in [copy, copy_exactly, copy_past_the_cache] {
            for (skip, at) in [(0, 0), (1, 0), (0, 1), (80, 0), (3, 63), (7, 64)] {
                for len in [0, 1, 15, 16, 17, 63, 64, 65, 129, 700] {
                    let mut to = vec![255u8; 1000];
                    // SAFETY: both vectors have `len` bytes behind the places.
                    let left = unsafe { copy(from[skip..].as_ptr(), to[at..].as_mut_ptr(), len) };
                    assert_eq!(left, 0);
                    assert!(to[at..at + len] == from[skip..skip + len]);
                    let around = to[..at].iter().chain(&to[at + len..]);
                    assert!(around.into_iter().all(|byte| *byte == 255));
                }
            }
        }
    }

    #[test]
    fn strings_are_as_long_as_they_are() {
        let mut room = [b'x'; 256];
        for start in 0..33 {
            for len in 0..70 {
                room.fill(b'x');
                room[start + len] = 0;
                room[start.saturating_sub(1)] = if start > 0 { 0 } else { room[0] };
                // SAFETY: a string that ends inside the array.
                let found = unsafe { string(room[start..].as_ptr().cast()) };
                assert_eq!(found.map(CStr::count_bytes), Ok(len), "{start}");
            }
        }
    }
}
