//! Programs that enter the kernel by themselves, past libc and so past all hooks: on x86-64 by the instruction `syscall` in their own text, as
//! Rust's do with the crate `rustix`. Whatever they mean by a descriptor of libc's is to be the same file to them.
//!
//! With the first session each such instruction becomes `ud2`, which is as long and faults: one byte is written, so whoever stands there
//! finds the one or the other. The [handler](resume) does what libc's syscall(2) does here. What concerns no file it
//! leaves to a *stub*, which enters the kernel with all registers as the program has set them and goes back behind the instruction, for
//! a clone(2) returns twice and a sigreturn(2) never.
//!
//! A signal for a fault ends a program that has blocked it, so these do not get to block it ([`unblocked`]). Libraries are not searched,
//! nor is a program which by [`Program`]'s description does not look like one of these: the search touches all of the text.
#![allow(unsafe_code)]

mod sites;
mod stubs;

use crate::program::Program;
use crate::real::{errno, set_errno, try_sys};
use crate::shims::raw;
use libc::{c_int, c_long, ucontext_t};
use once_cell::race::OnceBool;
use std::sync::atomic::{AtomicBool, Ordering};
use stubs::Stub;
use syscalls::Sysno;

/// The last byte of the instruction `ud2`, whose first is that of `syscall`.
const UD2: u8 = 0x0b;

/// Programs without the marks of those in question are searched up to this size, which costs nothing to speak of.
const SMALL: usize = 256 << 10;

/// Whether the program enters the kernel by itself where that may concern a file.
pub fn expected() -> bool {
    static EXPECTED: OnceBool = OnceBool::new();
    EXPECTED.get_or_init(|| {
        let program = Program::own();
        is_likely(program) && stubs::make(sites::all(program).filter(concerns_files))
    })
}

/// Rust's programs, but not those of C++, have the unwinder beside them for themselves.
fn is_likely(program: Program) -> bool {
    let size: usize = program.text().map(<[u8]>::len).sum();
    size <= SMALL || program.needs(c"libgcc_s.so.1") && !program.needs(c"libstdc++.so.6")
}

fn concerns_files(site: &sites::Site) -> bool {
    site.number.is_none_or(|number| raw::knows(number.into()))
}

/// Has the program enter the library instead, from now on. Where its text may not be written to it goes on past the library.
pub fn begin() {
    static BEGUN: AtomicBool = AtomicBool::new(false);
    if !expected() || BEGUN.swap(true, Ordering::Relaxed) {
        return;
    }
    // Before the first fault.
    crate::faults::begin_illegal();
    let page = |stub: &Stub| stub.entry() & !4095;
    for neighbours in stubs::all().chunk_by(|one, next| page(one) == page(next)) {
        let first = page(&neighbours[0]);
        let last = neighbours[neighbours.len() - 1].entry() + 1;
        let len = last + 1 - first;
        let runs = libc::PROT_READ | libc::PROT_EXEC;
        // SAFETY: the program's text, which stays executable throughout, and changes by the second byte of an instruction.
        unsafe {
            if try_sys!(Sysno::mprotect, first, len, runs | libc::PROT_WRITE).is_err() {
                return;
            }
            for stub in neighbours {
                ((stub.entry() + 1) as *mut u8).write_volatile(UD2);
            }
            let _ = try_sys!(Sysno::mprotect, first, len, runs);
        }
    }
}

/// Does what the program has faulted for, if it wanted to enter the kernel, and has it go on behind that.
///
/// # Safety
/// `context` is that of a handler of a fault.
pub unsafe fn resume(context: *mut ucontext_t) -> bool {
    // SAFETY: the caller's promise.
    let registers = unsafe { &mut (*context).uc_mcontext.gregs };
    let of = |register: c_int| registers[register as usize];
    let Some(stub) = stubs::of(of(libc::REG_RIP) as usize) else {
        return false;
    };
    let number: c_long = of(libc::REG_RAX);
    let arguments = [
        libc::REG_RDI,
        libc::REG_RSI,
        libc::REG_RDX,
        libc::REG_R10,
        libc::REG_R8,
        libc::REG_R9,
    ];
    let [a, b, c, d, e, f] = arguments.map(|register| of(register) as usize);
    // SAFETY: the program's arguments of the call.
    if !unsafe { raw::concerns_files(number, a, b) } {
        registers[libc::REG_RIP as usize] = stub.enter() as i64;
        return true;
    }
    let behind = stub.behind() as i64;
    // The kernel's answers leave errno alone.
    let before = errno();
    // SAFETY: as above.
    let answer = match unsafe { raw::call(number, a, b, c, d, e, f) } {
        -1 => -c_long::from(errno().0),
        answer => answer,
    };
    set_errno(before);
    registers[libc::REG_RAX as usize] = answer;
    registers[libc::REG_RCX as usize] = behind;
    registers[libc::REG_R11 as usize] = registers[libc::REG_EFL as usize];
    registers[libc::REG_RIP as usize] = behind;
    true
}

/// Signals to be blocked, as the kernel has them, without the one that this program may not block.
pub fn unblocked(signals: u64) -> u64 {
    match signals & ILLEGAL != 0 && expected() {
        true => signals & !ILLEGAL,
        false => signals,
    }
}

/// SIGILL in a set of signals of the kernel's.
pub const ILLEGAL: u64 = 1 << (libc::SIGILL - 1);

/// Has the program begin with that signal unblocked, which the image before may have left blocked. For the constructor: threads inherit it.
pub fn start() {
    let mut blocked = 0u64;
    if !is_likely(Program::own()) {
        return;
    }
    // SAFETY: live masks of the size that is passed; null pointers ask for nothing.
    unsafe {
        let known = try_sys!(Sysno::rt_sigprocmask, 0, 0, &raw mut blocked, 8).is_ok();
        if known && unblocked(blocked) != blocked {
            let (how, set) = (libc::SIG_UNBLOCK, ILLEGAL);
            let _ = try_sys!(Sysno::rt_sigprocmask, how, &raw const set, 0, 8);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::sites::{all, Site};
    use crate::program::Program;
    use std::arch::naked_asm;

    /// The bytes within an instruction, and instructions: with a known number, with one from elsewhere, and with either.
    #[unsafe(naked)]
    unsafe extern "C" fn instructions() {
        naked_asm!(
            ".cfi_startproc",
            "mov ecx, 0x050f050f",
            "mov eax, 39",
            "mov rdi, [rsp + 8]",
            "syscall",
            "mov eax, 39",
            "mov eax, edi",
            "syscall",
            "mov eax, 39",
            "2:",
            "syscall",
            "test edi, edi",
            "mov eax, 1",
            "jnz 2b",
            "ret",
            ".cfi_endproc",
        )
    }

    #[test]
    fn instructions_are_told_from_their_bytes() {
        let start = (instructions as *const u8).addr();
        let within = |site: &Site| (start..start + 40).contains(&site.address);
        let found = all(Program::own()).filter(within);
        let found: Vec<_> = found
            .map(|site| (site.address - start, site.number))
            .collect();
        assert_eq!(found, [(15, Some(39)), (24, None), (31, None)]);
    }
}
