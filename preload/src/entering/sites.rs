//! Where in a program's text stands the instruction `syscall`.
//!
//! Its two bytes stand in other instructions and between functions as well. So each function in which they occur is decoded from its start,
//! which the table for unwinding tells (Linux Standard Base, *Exception Frames*): what the decoding arrives at is an instruction.

use crate::program::Program;
use memchr::memmem;
use std::ops::Range;
use yaxpeax_arch::{Decoder, LengthedInstruction, U8Reader};
use yaxpeax_x86::long_mode::{InstDecoder, Instruction, Opcode, Operand, RegSpec};

/// The instruction.
pub const SYSCALL: [u8; 2] = [0x0f, 0x05];

/// One that enters the kernel.
pub struct Site {
    /// Where it stands.
    pub address: usize,
    /// The number of the system call, if it can only be this.
    pub number: Option<u32>,
}

/// All of the program's, in order.
pub fn all(program: Program) -> impl Iterator<Item = Site> {
    let functions = Functions::of(program);
    let mut walk = Walk::nowhere();
    let candidates = program.text().flat_map(|text| {
        let start = text.as_ptr().addr();
        memmem::find_iter(text, &SYSCALL).map(move |at| start + at)
    });
    candidates.filter_map(move |address| {
        if !walk.function.contains(&address) {
            walk = Walk::through(functions?.around(address)?);
        }
        walk.arrives(address).then(|| Site {
            address,
            number: walk.number_at(address),
        })
    })
}

/// The program's functions: the table of the section `.eh_frame_hdr`.
#[derive(Clone, Copy)]
struct Functions {
    program: Program,
    /// What the table's words count from.
    section: usize,
    /// Of each function, in order, the start and where its description is.
    table: &'static [[[u8; 4]; 2]],
}

impl Functions {
    const PT_GNU_EH_FRAME: u32 = 0x6474_e550;
    /// The version, and of the encodings that there could be those that linkers write: a pointer by a signed word from where it stands,
    /// a count, and the table by signed words from the start of the section.
    const HEAD: [u8; 4] = [1, 0x1b, 0x03, 0x3b];

    fn of(program: Program) -> Option<Functions> {
        let (section, _) = program.segments(Self::PT_GNU_EH_FRAME).next()?;
        let (head, rest) = section.split_at_checked(12)?;
        let count = word(head, 8)? as usize;
        let (words, _) = rest.as_chunks();
        let (pairs, _) = words.as_chunks();
        head.starts_with(&Self::HEAD).then_some(Functions {
            program,
            section: section.as_ptr().addr(),
            table: pairs.get(..count)?,
        })
    }

    /// The instructions of the function around an address.
    fn around(self, address: usize) -> Option<&'static [u8]> {
        let from_section = |bytes| {
            let offset = i32::from_ne_bytes(bytes) as isize;
            self.section.wrapping_add_signed(offset)
        };
        let after = |&[start, _]: &[[u8; 4]; 2]| from_section(start) <= address;
        let after = self.table.partition_point(after);
        let [start, description] = self.table[after.checked_sub(1)?].map(from_section);
        // Its length, that of whom it belongs to, the start of the function from here, the function's length.
        let entry = self.program.from(description)?;
        let told = (description + 8).wrapping_add_signed(word(entry, 8)? as i32 as isize);
        let length = word(entry, 12)? as usize;
        let around = told == start && address < start + length;
        self.program.from(start)?.get(..length).filter(|_| around)
    }
}

/// The word of four bytes at a place.
fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_ne_bytes(*bytes))
}

/// A walk through a function from instruction to instruction.
struct Walk {
    /// Where the function is.
    function: Range<usize>,
    /// All of it.
    whole: &'static [u8],
    /// What is left of it.
    rest: &'static [u8],
    /// What the register of the system call's number holds before that, and from which address on.
    number: Option<(u32, usize)>,
}

impl Walk {
    fn nowhere() -> Walk {
        Walk::through(&[])
    }

    fn through(function: &'static [u8]) -> Walk {
        let start = function.as_ptr().addr();
        Walk {
            function: start..start + function.len(),
            whole: function,
            rest: function,
            number: None,
        }
    }

    /// Whether there is an instruction at an address of the function. To be asked in ascending order.
    fn arrives(&mut self, address: usize) -> bool {
        while !self.rest.is_empty() && self.rest.as_ptr().addr() < address {
            (self.rest, self.number) = match first_of(self.rest) {
                Some((instruction, rest)) => {
                    let behind = rest.as_ptr().addr();
                    (rest, number_after(self.number, &instruction, behind))
                }
                // Behind what is none, nothing is known to be one.
                None => (&[][..], None),
            };
        }
        !self.rest.is_empty() && self.rest.as_ptr().addr() == address
    }

    /// The number that the register holds where the walk has arrived, unless the function jumps to there with another.
    fn number_at(&self, address: usize) -> Option<u32> {
        let (number, since) = self.number?;
        let mut rest = self.whole;
        while let Some((instruction, behind)) = first_of(rest) {
            let target = target(&instruction, behind.as_ptr().addr());
            if target.is_some_and(|target| (since..=address).contains(&target)) {
                return None;
            }
            rest = behind;
        }
        Some(number)
    }
}

/// The instruction at the start, and what is behind it.
fn first_of(bytes: &'static [u8]) -> Option<(Instruction, &'static [u8])> {
    let mut reader = U8Reader::new(bytes);
    let instruction = InstDecoder::default().decode(&mut reader).ok()?;
    let length = instruction.len().to_const() as usize;
    Some((instruction, bytes.get(length..)?))
}

/// Where an instruction jumps to, if it says so by the distance from what is `behind` it.
fn target(instruction: &Instruction, behind: usize) -> Option<usize> {
    let opcode = instruction.opcode();
    let distance = match instruction.operand(0) {
        _ if opcode != Opcode::JMP && !opcode.is_jcc() => return None,
        Operand::ImmediateI8 { imm } => imm.into(),
        Operand::ImmediateI32 { imm } => imm as isize,
        _ => return None,
    };
    Some(behind.wrapping_add_signed(distance))
}

/// What is known of the number after an instruction. Compilers load it shortly before, among the arguments; behind anything else than what
/// loads them nothing is known.
fn number_after(
    before: Option<(u32, usize)>,
    instruction: &Instruction,
    behind: usize,
) -> Option<(u32, usize)> {
    const EAX: Operand = Operand::Register {
        reg: RegSpec::eax(),
    };
    let to = instruction.operand(0);
    match instruction.opcode() {
        Opcode::MOV if to == EAX => match instruction.operand(1) {
            Operand::ImmediateU32 { imm } => Some((imm, behind)),
            Operand::ImmediateI32 { imm } => Some((imm.try_into().ok()?, behind)),
            _ => None,
        },
        Opcode::MOV | Opcode::LEA | Opcode::XOR | Opcode::MOVZX | Opcode::MOVSXD => match to {
            // The register's halves and quarters have its number.
            Operand::Register { reg } if reg.num() == RegSpec::rax().num() => None,
            _ => before,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_behind_no_instruction_is_none() {
        static TEXT: [u8; 6] = [0x90, 0x06, 0x0f, 0x05, 0x0f, 0x05];
        let start = TEXT.as_ptr().addr();
        let mut walk = Walk::through(&TEXT);
        assert!(!walk.arrives(start + 2) && !walk.arrives(start + 4));
        let mut walk = Walk::through(&TEXT[2..]);
        assert!(walk.arrives(start + 2) && walk.arrives(start + 4));
    }
}
