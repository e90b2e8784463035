//! `docs/PROTOCOL.md`, written from the op table and the layout's own constants.
//!
//! A test compares it with the file; `UPDATE_DOCS=1 cargo test -p hostcall protocol` rewrites the file.

use crate::metadata::SIZE;
use crate::ops::Op;
use crate::region::{LanePage, ARENA, CHUNK, MAGIC, MOST_LANES, PAGE, VERSION};
use crate::ring::{Entry, DEPTH};
use crate::table::FieldSpec;
use crate::wire::{flags, HEAD, PATH_MAX};
use std::fmt::Write;
use std::mem::offset_of;

/// The whole document.
pub fn document() -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = layout(&mut text).and_then(|()| ops(&mut text));
    text
}

fn layout(text: &mut String) -> std::fmt::Result {
    let magic = MAGIC.to_le_bytes();
    writeln!(
        text,
        "# Protocol

Generated from `hostcall/src/ops.rs`; do not edit (`UPDATE_DOCS=1 cargo test -p hostcall protocol`).
Version {VERSION}. All numbers are little-endian.

## Region

| offset | size | what |
|---|---|---|
| 0 | {PAGE} | header: magic \"{}\", version, number of lanes (at most {MOST_LANES}), ticks per µs, processors, ping, pong, whether calls have their callers' rights, changes to the exports, bytes written to a device guest's line and read from it, changes of its mounts |
| {PAGE} | {PAGE} × lanes | a control page for each lane |
| {PAGE} × (1 + lanes) | {ARENA} × lanes | an arena for each lane: {DEPTH} chunks of {CHUNK} bytes |

## Lane

| offset | what |
|---|---|
| {} | state: 0 free → 1 claimed → 2 waiting → 3 served → 4 released → 0; 3 → 5 dead → 4 |
| {} | guest: number of the call to cancel (its index + 1) |
| {} | sleep word of the guest's thread: 0 awake, 1 asleep |
| {} | sleep word of the host's thread |
| {} | claim: process key (16), resume token (16), umask (4) |
| {} | ring of calls: {DEPTH} entries |
| {} | ring of replies: {DEPTH} entries |
| {} | the host's processor that the guest's thread runs on, + 1; 0 if it cannot know |

A call in slot *n* of its ring has chunk *n* for its payload, and so has its reply. No offset travels.",
        magic.escape_ascii(),
        offset_of!(LanePage, state),
        offset_of!(LanePage, cancel),
        offset_of!(LanePage, guest_sleep),
        offset_of!(LanePage, host_sleep),
        offset_of!(LanePage, claim),
        offset_of!(LanePage, calls),
        offset_of!(LanePage, replies),
        offset_of!(LanePage, guest_processor),
    )?;
    writeln!(
        text,
        "
## Entry

{} bytes: the sequence word is stored last (release) and polled by the consumer (acquire); then the code (number of the
op, or errno of a reply, 0 for success), flags, bytes of payload, and a head of {HEAD} bytes.

| flag of a call | meaning |
|---|---|
| {:#x} LINK | goes on where the call before ended; if that was short or failed, the answer is `ECANCELED` |
| {:#x} WIDE | the payload may fill the whole arena; nothing else is in flight |

Scalars stand first in the head in the order of their fields, each at its own size. Behind them come, in their order, the bytes of
what the receiver copies before it looks at them: a *path*, whose scalar is the length (4), bytes without NUL ended by one, at most
{PATH_MAX}; *groups*, whose scalar is the length (4), ids of 4 bytes; *metadata*, {SIZE} bytes without a scalar: mode, links, owner,
group (4 each), size, device, inode, device that it is, blocks (8 each), size of a block, nanoseconds of the times of access, of change of
data, of any change (4 each), their seconds (8 each). What of these the head does not hold goes on at the start of the payload. *Bytes* are
payload in one piece, their scalar the length (4); a *capacity* (4) is the room for what comes back, and the *bytes* of a
reply are the first ones of the chunk, as many as its payload says. A *job state* (4) is 0 none, 1 exited, 2 died of a signal,
3 stopped, 4 continued, then eight bits of exit code or signal, then a bit for a core file.",
        size_of::<Entry>(),
        flags::LINK,
        flags::WIDE,
    )
}

fn ops(text: &mut String) -> std::fmt::Result {
    let mut family = "";
    for op in Op::ALL {
        let spec = op.spec();
        if spec.family != family {
            family = spec.family;
            writeln!(text, "\n## {family}")?;
        }
        let attributes = [
            (spec.blocks, "may block, can be cancelled"),
            (spec.no_restart, "ends after any signal handler"),
            (spec.retry, "may be repeated"),
            (spec.changes, "changes files"),
        ];
        let attributes: Vec<&str> = attributes
            .into_iter()
            .filter_map(|(has, name)| has.then_some(name))
            .collect();
        writeln!(
            text,
            "\n### {} {}\n\n{}\n",
            spec.number,
            spec.name,
            paragraph(spec.doc)
        )?;
        writeln!(text, "- {} → {}", fields(spec.request), fields(spec.reply))?;
        if !attributes.is_empty() {
            writeln!(text, "- {}", attributes.join("; "))?;
        }
        if !spec.syscall_names.is_empty() {
            let names = spec
                .syscall_names
                .iter()
                .map(|name| name.trim_start_matches("SYS_"));
            writeln!(
                text,
                "- host system calls: {}",
                names.collect::<Vec<_>>().join(", ")
            )?;
        }
    }
    Ok(())
}

/// The lines of a doc comment, each of which begins with a blank, as one.
fn paragraph(doc: &str) -> String {
    doc.lines()
        .map(str::trim)
        .collect::<Vec<_>>()
        .join(" ")
        .trim()
        .to_owned()
}

fn fields(fields: &[FieldSpec]) -> String {
    let field = |field: &FieldSpec| match field.size {
        0 => format!("{}: {}", field.name, field.kind),
        size => format!("{}: {} ({size})", field.name, field.kind),
    };
    match fields {
        [] => "()".to_owned(),
        fields => format!(
            "`({})`",
            fields.iter().map(field).collect::<Vec<_>>().join(", ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_protocol_document_is_fresh() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/PROTOCOL.md");
        let fresh = document();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, &fresh).unwrap_or_else(|error| panic!("{path}: {error}"));
        }
        let stored = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            stored == fresh,
            "docs/PROTOCOL.md is stale: run UPDATE_DOCS=1 cargo test -p hostcall protocol"
        );
    }
}
