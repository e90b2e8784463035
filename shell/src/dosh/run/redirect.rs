//! Redirections (XCU 2.7), done for good in a process of their own, or undone behind a command.

use crate::dosh::shell::{Run, Shell};
use crate::dosh::syntax::tree::{Bytes, Mode, Redirect, Target, Word};
use crate::dosh::sys;

/// What descriptors named before: to be put back, or to be closed.
#[derive(Default)]
pub struct Saved(Vec<(i32, Option<i32>)>);

impl Saved {
    /// What standard error named.
    pub fn errors(&self) -> Option<i32> {
        let mut saved = self.0.iter();
        saved.find(|(fd, _)| *fd == 2).and_then(|(_, old)| *old)
    }
}

/// A redirection has failed and was told; the command is not run.
pub struct Failed;

impl Shell {
    /// Redirects, and remembers what was there.
    pub fn redirect(&mut self, redirects: &[Redirect]) -> Run<Result<Saved, Failed>> {
        let mut saved = Saved::default();
        for redirect in redirects {
            match self.redirect_one(redirect, Some(&mut saved)) {
                Ok(Ok(())) => {}
                Ok(Err(failed)) => {
                    self.restore(saved);
                    return Ok(Err(failed));
                }
                Err(flow) => {
                    self.restore(saved);
                    return Err(flow);
                }
            }
        }
        Ok(Ok(saved))
    }

    /// Redirects in a process that does not go back.
    pub fn redirect_for_good(&mut self, redirects: &[Redirect]) -> Run<Result<(), Failed>> {
        for redirect in redirects {
            if let Err(failed) = self.redirect_one(redirect, None)? {
                return Ok(Err(failed));
            }
        }
        Ok(Ok(()))
    }

    pub fn restore(&mut self, saved: Saved) {
        for (fd, old) in saved.0.into_iter().rev() {
            match old {
                Some(old) => sys::move_to(old, fd),
                None => sys::close(fd),
            }
        }
    }

    /// The redirections stay: what was there before is closed.
    pub fn keep(&mut self, saved: Saved) {
        for old in saved.0.into_iter().filter_map(|(_, old)| old) {
            sys::close(old);
        }
    }

    fn redirect_one(
        &mut self,
        redirect: &Redirect,
        saved: Option<&mut Saved>,
    ) -> Run<Result<(), Failed>> {
        let fd = redirect.fd;
        // The terminal, its events and the history are open for long.
        if self.interactive && fd >= sys::PRIVATE && sys::is_internal(fd) {
            self.complain(format_args!("{fd}: the shell itself uses this descriptor"));
            return Ok(Err(Failed));
        }
        let source = match &redirect.target {
            Target::File(mode, word) => {
                let path = self.text(word)?;
                self.open_for(*mode, &path)
            }
            Target::Both(mode, word) => {
                let path = self.text(word)?;
                let Ok(file) = self.open_for(*mode, &path) else {
                    return Ok(Err(Failed));
                };
                return Ok(self.place_both(file, saved));
            }
            Target::Duplicate(word) => return self.duplicate(fd, word, saved),
            Target::Here(body) => {
                let text = match body.get() {
                    Some(word) => self.text(word)?,
                    None => Bytes::new(),
                };
                self.here(&text)
            }
            Target::HereString(word) => {
                let mut text = self.text(word)?;
                text.push(b'\n');
                self.here(&text)
            }
        };
        Ok(source.and_then(|source| self.place(source, fd, saved)))
    }

    fn place_both(&mut self, file: i32, mut saved: Option<&mut Saved>) -> Result<(), Failed> {
        remember(1, saved.as_deref_mut());
        remember(2, saved);
        let done = sys::duplicate_to(file, 1).and_then(|()| sys::duplicate_to(file, 2));
        sys::close(file);
        done.map_err(|_| Failed)
    }

    /// Has the number name what was opened for it.
    fn place(&mut self, source: i32, fd: i32, saved: Option<&mut Saved>) -> Result<(), Failed> {
        if source == fd {
            // The number was free, and is so again afterwards.
            sys::move_to(source, fd);
            if let Some(saved) = saved {
                saved.0.push((fd, None));
            }
            return Ok(());
        }
        remember(fd, saved);
        let done = sys::duplicate_to(source, fd);
        sys::close(source);
        done.map_err(|error| {
            self.complain(format_args!("{fd}: {}", sys::reason(error)));
            Failed
        })
    }

    fn duplicate(
        &mut self,
        fd: i32,
        word: &Word,
        saved: Option<&mut Saved>,
    ) -> Run<Result<(), Failed>> {
        let text = self.text(word)?;
        if text == b"-" {
            remember(fd, saved);
            sys::close(fd);
            return Ok(Ok(()));
        }
        let (digits, moves) = match text.strip_suffix(b"-") {
            Some(digits) => (digits, true),
            None => (&text[..], false),
        };
        let number = std::str::from_utf8(digits)
            .ok()
            .and_then(|digits| digits.parse::<i32>().ok());
        let Some(from) = number.filter(|_| digits.iter().all(u8::is_ascii_digit)) else {
            // `>&file` of csh, as `&>file`.
            if fd == 1 && !text.is_empty() {
                let file = self.open_for(Mode::Write, &text);
                return Ok(file.and_then(|file| self.place_both(file, saved)));
            }
            let text = String::from_utf8_lossy(&text);
            self.complain(format_args!("{text}: ambiguous redirect"));
            return Ok(Err(Failed));
        };
        if !sys::is_open(from) || is_private(from, saved.as_deref(), &self.held) {
            self.complain(format_args!("{from}: Bad file descriptor"));
            return Ok(Err(Failed));
        }
        remember(fd, saved);
        if from == fd {
            sys::move_to(from, fd);
        } else if sys::duplicate_to(from, fd).is_err() {
            self.complain(format_args!("{fd}: Bad file descriptor"));
            return Ok(Err(Failed));
        } else if moves {
            sys::close(from);
        }
        Ok(Ok(()))
    }

    fn here(&mut self, text: &[u8]) -> Result<i32, Failed> {
        sys::file_of(text).map_err(|error| {
            self.complain(format_args!("here-document: {}", sys::reason(error)));
            Failed
        })
    }

    fn open_for(&mut self, mode: Mode, path: &[u8]) -> Result<i32, Failed> {
        let create = libc::O_WRONLY | libc::O_CREAT;
        let flags = match mode {
            Mode::Read => libc::O_RDONLY,
            Mode::ReadWrite => libc::O_RDWR | libc::O_CREAT,
            Mode::Append => create | libc::O_APPEND,
            Mode::Write if self.options.noclobber() => return self.open_new(path),
            Mode::Write | Mode::Clobber => create | libc::O_TRUNC,
        };
        sys::open(path, flags | libc::O_CLOEXEC).map_err(|error| self.refuse_path(path, error))
    }

    /// Under `set -C`: a file that is new, or one that is no regular file.
    fn open_new(&mut self, path: &[u8]) -> Result<i32, Failed> {
        let new = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_CLOEXEC;
        match sys::open(path, new) {
            Err(error) if error.raw_os_error() == Some(libc::EEXIST) => {
                let existing = sys::open(path, libc::O_WRONLY | libc::O_CLOEXEC);
                let fd = existing.map_err(|error| self.refuse_path(path, error))?;
                if sys::is_regular(fd) {
                    sys::close(fd);
                    let path = String::from_utf8_lossy(path);
                    self.complain(format_args!("{path}: cannot overwrite existing file"));
                    return Err(Failed);
                }
                Ok(fd)
            }
            result => result.map_err(|error| self.refuse_path(path, error)),
        }
    }

    fn refuse_path(&mut self, path: &[u8], error: std::io::Error) -> Failed {
        let path = String::from_utf8_lossy(path);
        self.complain(format_args!("{path}: {}", sys::reason(error)));
        Failed
    }
}

fn remember(fd: i32, saved: Option<&mut Saved>) {
    if let Some(saved) = saved {
        let old = sys::duplicate_above(fd, sys::PRIVATE, true).ok();
        saved.0.push((fd, old));
    }
}

/// Whether the number is one of the shell's own, which the script cannot mean.
fn is_private(fd: i32, saved: Option<&Saved>, held: &[i32]) -> bool {
    let saves = |saved: &Saved| saved.0.iter().any(|(_, old)| *old == Some(fd));
    saved.is_some_and(saves) && !held.contains(&fd)
}
