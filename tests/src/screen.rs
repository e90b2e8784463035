//! A terminal that shows what is written to it, and somebody who looks at it.

use crate::daemon::PATIENCE;
use crate::typist::Typist;
use std::num::NonZeroU16;
use std::ops::{Deref, DerefMut};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A program on a terminal whose screen can be looked at.
#[derive(Debug)]
pub struct Screen {
    typist: Typist,
    terminal: Arc<Mutex<Terminal>>,
}

/// How a letter is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// By the terminal's palette.
    pub colour: vt100::Color,
    /// A line is under it.
    pub underlined: bool,
}

struct Terminal {
    parser: vt100::Parser<Answers>,
    /// What the line of the cursor is to become, and when it has.
    awaited: Option<(String, Option<Instant>)>,
}

impl Terminal {
    /// The line in which the cursor is, up to it.
    fn line(&self) -> String {
        let screen = self.parser.screen();
        let (row, column) = screen.cursor_position();
        screen.contents_between(row, 0, row, column)
    }

    fn shows(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.parser.process(bytes);
        if self.awaited.is_some() {
            let line = self.line();
            if let Some((_, at @ None)) = self.awaited.as_mut().filter(|(it, _)| *it == line) {
                *at = Some(Instant::now());
            }
        }
        std::mem::take(&mut self.parser.callbacks_mut().0)
    }
}

impl std::fmt::Debug for Terminal {
    fn fmt(&self, to: &mut std::fmt::Formatter) -> std::fmt::Result {
        to.write_str(&self.parser.screen().contents())
    }
}

/// What the terminal has been asked for.
#[derive(Default)]
struct Answers(Vec<u8>);

impl vt100::Callbacks for Answers {
    fn unhandled_csi(
        &mut self,
        screen: &mut vt100::Screen,
        _: Option<u8>,
        _: Option<u8>,
        parameters: &[&[u16]],
        letter: char,
    ) {
        // Where the cursor is (ECMA-48 DSR 6).
        if letter == 'n' && parameters == [[6]] {
            let (row, column) = screen.cursor_position();
            self.0
                .extend(format!("\x1b[{};{}R", row + 1, column + 1).bytes());
        }
    }
}

fn sized(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).expect("a size")
}

impl Screen {
    /// Starts a program on a terminal of this size.
    ///
    /// # Panics
    /// It does not start.
    pub fn start(command: Command, rows: u16, columns: u16) -> Screen {
        let parser =
            vt100::Parser::new_with_callbacks(sized(rows), sized(columns), 0, Answers::default());
        let terminal = Arc::new(Mutex::new(Terminal {
            parser,
            awaited: None,
        }));
        let watched = terminal.clone();
        let typist = Typist::watched(command, rows, columns, move |bytes| {
            let mut terminal = watched.lock().unwrap_or_else(PoisonError::into_inner);
            terminal.shows(bytes)
        });
        Screen { typist, terminal }
    }

    fn lock(&self) -> MutexGuard<'_, Terminal> {
        self.terminal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is on the screen, without blanks at the ends of lines.
    pub fn shown(&self) -> String {
        let text = self.lock().parser.screen().contents();
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        lines.join("\n").trim_end().to_owned()
    }

    /// The screen with its colours, as escape sequences.
    pub fn formatted(&self) -> String {
        self.lock().parser.screen().contents_formatted()
    }

    /// How this text looks in the line of the cursor, where it is shown there first.
    pub fn look(&self, text: &str) -> Option<Look> {
        let terminal = self.lock();
        let screen = terminal.parser.screen();
        let (row, _) = screen.cursor_position();
        let (_, columns) = screen.size();
        let line = screen.contents_between(row, 0, row, columns.get());
        let column = line[..line.find(text)?].chars().count();
        let cell = screen.cell(row, u16::try_from(column).ok()?)?;
        Some(Look {
            colour: cell.fgcolor(),
            underlined: cell.underline(),
        })
    }

    /// The line in which the cursor is, up to it.
    pub fn line(&self) -> String {
        self.lock().line()
    }

    /// Types, and answers how long it takes until the cursor stands right behind this, which begins its line. The terminal looks
    /// at each of its outputs: nobody competes for its processor or its screen meanwhile.
    ///
    /// # Panics
    /// It does not come there.
    pub fn takes(&mut self, keys: &str, wanted: &str) -> Duration {
        self.lock().awaited = Some((wanted.to_owned(), None));
        let begun = Instant::now();
        self.types(keys);
        loop {
            if let Some((_, Some(at))) = self.lock().awaited {
                return at - begun;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "no {wanted:?} on\n{}",
                self.shown()
            );
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits until the screen is as wanted.
    ///
    /// # Panics
    /// It does not become so.
    pub fn until(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let start = Instant::now();
        loop {
            let shown = self.shown();
            if wanted(&shown) {
                return shown;
            }
            assert!(start.elapsed() < PATIENCE, "no {what} on\n{shown}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Types keys again and again until this is on the screen.
    ///
    /// # Panics
    /// It does not come.
    pub fn types_until(&mut self, keys: &str, wanted: &str) {
        for _ in 0..100 {
            if self.shown().contains(wanted) {
                return;
            }
            self.types(keys);
            std::thread::sleep(Duration::from_millis(300));
        }
        self.shows(wanted);
    }

    /// Waits until this is on the screen.
    ///
    /// # Panics
    /// It does not come.
    pub fn shows(&self, wanted: &str) -> String {
        self.until(&format!("{wanted:?}"), |shown| shown.contains(wanted))
    }

    /// Waits until the cursor stands right behind this, which begins its line.
    ///
    /// # Panics
    /// It does not come there.
    pub fn at(&self, wanted: &str) {
        assert!(
            self.comes_to(wanted, PATIENCE),
            "the cursor is not behind {wanted:?} but {:?} on\n{}",
            self.line(),
            self.shown()
        );
    }

    /// Whether the cursor comes to stand right behind this within a time.
    pub fn comes_to(&self, wanted: &str, within: Duration) -> bool {
        let start = Instant::now();
        while self.line() != wanted {
            if start.elapsed() >= within {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        true
    }

    /// Makes the window another size.
    pub fn resizes(&self, rows: u16, columns: u16) {
        let size = (sized(rows), sized(columns));
        self.lock().parser.set_size(size.0, size.1);
        self.typist.resizes(rows, columns);
    }
}

impl Deref for Screen {
    type Target = Typist;
    fn deref(&self) -> &Typist {
        &self.typist
    }
}

impl DerefMut for Screen {
    fn deref_mut(&mut self) -> &mut Typist {
        &mut self.typist
    }
}
