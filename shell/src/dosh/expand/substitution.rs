//! Command substitution (XCU 2.6.3) and process substitution.

use crate::dosh::shell::{Run, Shell};
use crate::dosh::syntax::tree::{Bytes, Kind, List, Mode, Redirect, Target, Word};
use crate::dosh::sys;

impl Shell {
    /// What the list writes, without the newlines at its end.
    pub fn substitute(&mut self, list: &List) -> Run<Bytes> {
        let mut text = match read_by(list) {
            Some(word) => {
                let path = self.text(word)?;
                self.whole_file(&path)
            }
            None => self.output_of(list)?,
        };
        // A variable holds no NUL.
        text.retain(|byte| *byte != 0);
        while text.last() == Some(&b'\n') {
            text.pop();
        }
        Ok(text)
    }

    fn whole_file(&mut self, path: &[u8]) -> Bytes {
        let read = sys::open(path, libc::O_RDONLY).and_then(|fd| {
            let text = sys::read_all(fd);
            sys::close(fd);
            text
        });
        self.substituted = Some(i32::from(read.is_err()));
        read.unwrap_or_else(|error| {
            self.complain(format_args!(
                "{}: {}",
                String::from_utf8_lossy(path),
                sys::reason(error)
            ));
            Bytes::new()
        })
    }

    fn output_of(&mut self, list: &List) -> Run<Bytes> {
        let (reader, writer) = self.pipe()?;
        let Some(child) = self.fork()? else {
            sys::close(reader);
            sys::move_to(writer, 1);
            self.run_child(|shell| shell.list(list, true));
        };
        sys::close(writer);
        let text = sys::read_all(reader).unwrap_or_default();
        sys::close(reader);
        let status = self.wait_for_child(child);
        self.substituted = Some(status);
        self.status = status;
        Ok(text)
    }

    /// A path that names one end of a pipe, at whose other end the list runs.
    pub fn process_substitution(&mut self, reads: bool, list: &List) -> Run<Bytes> {
        let (reader, writer) = self.pipe()?;
        let (ours, theirs) = match reads {
            true => (writer, reader),
            false => (reader, writer),
        };
        let Some(child) = self.fork()? else {
            sys::close(ours);
            sys::move_to(theirs, i32::from(!reads));
            self.run_child(|shell| shell.list(list, true));
        };
        sys::close(theirs);
        // Programs inherit it, and it stays out of the way of the script's own numbers.
        let kept = sys::duplicate_above(ours, 63, false).unwrap_or(ours);
        if kept != ours {
            sys::close(ours);
        }
        self.held.push(kept);
        self.background = Some(child);
        self.jobs.forget_later(child);
        Ok(format!("/dev/fd/{kept}").into_bytes())
    }

    /// Closes what process substitutions of the command have opened.
    pub fn release(&mut self, kept: usize) {
        for fd in self.held.drain(kept..) {
            sys::close(fd);
        }
    }
}

/// The file of `$(<file)`.
fn read_by(list: &List) -> Option<&Word> {
    let [item] = &list.0[..] else { return None };
    let pipeline = &item.and_or.first;
    let [command] = &pipeline.stages[..] else {
        return None;
    };
    match (&command.kind, &command.redirects[..]) {
        (
            Kind::Simple(simple),
            [Redirect {
                fd: 0,
                target: Target::File(Mode::Read, word),
            }],
        ) if simple.words.is_empty()
            && simple.assignments.is_empty()
            && item.and_or.rest.is_empty()
            && !item.background
            && !pipeline.negated =>
        {
            Some(word)
        }
        _ => None,
    }
}
