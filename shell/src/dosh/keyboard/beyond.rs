//! Keys beyond the line that they came with: an editor reads all that a terminal has, and gives one line.
//!
//! They are older than anything that the terminal still holds, and so they are the next lines' first.

use super::wake;
use crate::dosh::syntax::tree::Bytes;
use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyModifiers};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What the editor and its keys share.
#[derive(Clone, Default)]
pub struct Beyond(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    events: VecDeque<Event>,
    /// The window's columns and rows.
    size: Option<(u16, u16)>,
}

impl Beyond {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A size that the window has already is none of the terminal's: the shell has woken the editor.
    pub fn push(&self, event: Event) {
        let mut kept = self.lock();
        if let Event::Resize(columns, rows) = event {
            if kept.size.replace((columns, rows)) == Some((columns, rows)) {
                return;
            }
        }
        kept.events.push_back(event);
    }

    pub fn pop(&self) -> Option<Event> {
        self.lock().events.pop_front()
    }

    pub fn is_empty(&self) -> bool {
        self.lock().events.is_empty()
    }

    /// A line begins, for which the editor looks at the window by itself.
    pub fn begin(&self) {
        let mut kept = self.lock();
        kept.size = crossterm::terminal::size().ok();
        let is_key = |event: &Event| !matches!(event, Event::Resize(..));
        kept.events.retain(is_key);
    }

    /// Takes all that was read, and what the terminal has.
    pub fn fill(&self) {
        // What was read while the terminal told where its cursor is.
        while let Ok(true) = event::poll(Duration::ZERO) {
            match event::read() {
                Ok(event) => self.push(event),
                Err(_) => return,
            }
        }
        // Keys that are there come before the change of the window's size that this seems to be.
        wake::wake();
        while let Ok(event) = event::read() {
            let is_last = matches!(event, Event::Resize(..));
            self.push(event);
            if is_last {
                break;
            }
        }
    }

    /// A whole line that needs no editor.
    pub fn line(&self) -> Option<Bytes> {
        let events = &mut self.lock().events;
        let mut text = String::new();
        for (at, event) in events.iter().enumerate() {
            match event {
                Event::Key(key) if ends_line(key) => {
                    events.drain(..=at);
                    return Some(text.into_bytes());
                }
                event => text.push(letter(event)?),
            }
        }
        None
    }
}

/// What a key inserts.
fn letter(event: &Event) -> Option<char> {
    let Event::Key(key) = event else {
        return None;
    };
    match (key.code, key.modifiers) {
        (KeyCode::Char(letter), KeyModifiers::NONE | KeyModifiers::SHIFT) => Some(letter),
        _ => None,
    }
}

/// Enter, or the newline that programs send for it.
fn ends_line(key: &KeyEvent) -> bool {
    matches!(
        (key.code, key.modifiers),
        (KeyCode::Enter, KeyModifiers::NONE) | (KeyCode::Char('j'), KeyModifiers::CONTROL)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beyond(keys: &str) -> Beyond {
        let beyond = Beyond::default();
        for letter in keys.chars() {
            let (code, modifiers) = match letter {
                '\r' => (KeyCode::Enter, KeyModifiers::NONE),
                '\t' => (KeyCode::Tab, KeyModifiers::NONE),
                letter if letter.is_control() => {
                    let letter = char::from(letter as u8 | 0x60);
                    (KeyCode::Char(letter), KeyModifiers::CONTROL)
                }
                letter => (KeyCode::Char(letter), KeyModifiers::NONE),
            };
            beyond.push(Event::Key(KeyEvent::new(code, modifiers)));
        }
        beyond
    }

    #[test]
    fn lines_come_one_by_one() {
        let keys = beyond("one\rtwo\n\rthree");
        assert_eq!(keys.line(), Some(b"one".to_vec()));
        assert_eq!(keys.line(), Some(b"two".to_vec()));
        assert_eq!(keys.line(), Some(Bytes::new()));
        assert_eq!(keys.line(), None);
        assert_eq!(keys.lock().events.len(), 5);
    }

    #[test]
    fn a_line_that_needs_an_editor_stays() {
        let keys = beyond("ls us\t\rnext\r");
        assert_eq!(keys.line(), None);
        assert_eq!(keys.lock().events.len(), 12);
        let keys = Beyond::default();
        keys.push(Event::Paste("a\r\nb".to_owned()));
        assert_eq!(keys.line(), None);
    }
}
