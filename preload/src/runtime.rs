//! Programs of a language runtime that enters the kernel by itself though the program is linked with libc: Go's, as soon as a
//! package of the program brings C along.
//!
//! No hook sees what such a runtime does. A host file that the program inherits, or that its C code opens, would be a number without a
//! file to it, so it has its files from the mount alone.

use crate::program::Program;

/// Whether Go's compiler made this program.
pub fn is_gos(program: Program) -> bool {
    let mut notes = program.segments(libc::PT_NOTE);
    notes.any(|(notes, alignment)| has_gos(notes, alignment))
}

/// Whether one of these notes is of Go: of each the lengths of name and content, a type, name and content, elf(5).
fn has_gos(mut notes: &[u8], alignment: usize) -> bool {
    const HEAD: usize = 12;
    const NAME: &[u8] = b"Go\0\0";
    let alignment = alignment.max(4);
    while let Some(head) = notes.get(..HEAD) {
        let length = |at: usize| {
            let bytes = head[at..].first_chunk().copied();
            u32::from_le_bytes(bytes.unwrap_or_default()) as usize
        };
        let (name, content) = (length(0), length(4));
        if notes.get(HEAD..HEAD + name) == Some(NAME) {
            return true;
        }
        let end = (HEAD + name).next_multiple_of(alignment) + content;
        notes = notes
            .get(end.next_multiple_of(alignment)..)
            .unwrap_or_default();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(name: &[u8], content: &[u8], alignment: usize) -> Vec<u8> {
        let mut note = Vec::new();
        for word in [name.len(), content.len(), 4] {
            note.extend((word as u32).to_le_bytes());
        }
        for part in [name, content] {
            note.extend(part);
            note.resize(note.len().next_multiple_of(alignment), 0);
        }
        note
    }

    #[test]
    fn a_note_of_go_is_found_among_others() {
        for alignment in [4, 8] {
            let other = note(
                b"GNU\0",
                b"20 bytes of an identity"[..20].as_ref(),
                alignment,
            );
            let gos = note(b"Go\0\0", b"83 bytes"[..5].as_ref(), alignment);
            assert!(has_gos(&gos, alignment));
            assert!(has_gos(&[other.clone(), gos.clone()].concat(), alignment));
            assert!(!has_gos(&other, alignment));
            assert!(!has_gos(&[&other[..], &gos[..14]].concat(), alignment));
        }
        assert!(!has_gos(&note(b"Go", b"", 4), 4));
        assert!(!has_gos(&[0xff; 40], 1));
        assert!(!has_gos(&[], 0));
    }

    #[test]
    fn this_program_is_not_of_go() {
        assert!(!is_gos(Program::own()));
    }
}
