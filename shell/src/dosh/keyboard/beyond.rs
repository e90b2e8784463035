//! Keys beyond the line that they came with: an editor takes all that a terminal has, and gives one line.
//!
//! They are older than anything that the terminal still holds, and so they are the next lines' first.

use super::plain::Typed;
use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyModifiers};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What the editor and its keys share.
#[derive(Clone, Default)]
pub struct Beyond(Arc<Mutex<VecDeque<Event>>>);

impl Beyond {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Event>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn push(&self, event: Event) {
        self.lock().push_back(event);
    }

    /// Behind a line: takes what the editor has read, and what came in with it.
    pub fn fill(&self) {
        while let Ok(true) = event::poll(Duration::ZERO) {
            match event::read() {
                Ok(event) => self.push(event),
                Err(_) => break,
            }
        }
    }

    pub fn clear(&self) {
        self.lock().clear();
    }

    /// One line of it. Keys that need an editor give it the line, as far as it goes without them.
    pub fn line(&self) -> Typed {
        let mut events = self.lock();
        let mut text = String::new();
        let mut edited = false;
        while let Some(event) = events.pop_front() {
            match event {
                Event::Paste(pasted) => {
                    text.push_str(&pasted.replace("\r\n", "\n").replace('\r', "\n"));
                }
                Event::Key(key) if ends_line(&key) => {
                    return match edited {
                        true => Typed::Part(text),
                        false => Typed::Line(text.into_bytes()),
                    };
                }
                Event::Key(key) => match (key.code, key.modifiers) {
                    (KeyCode::Char(letter), KeyModifiers::NONE | KeyModifiers::SHIFT) => {
                        text.push(letter);
                    }
                    (KeyCode::Char('c' | 'u'), KeyModifiers::CONTROL) => text.clear(),
                    (KeyCode::Char('d'), KeyModifiers::CONTROL) if text.is_empty() => {
                        return Typed::End;
                    }
                    (KeyCode::Char('h'), KeyModifiers::CONTROL) | (KeyCode::Backspace, _) => {
                        text.pop();
                    }
                    _ => edited = true,
                },
                _ => {}
            }
        }
        match text.is_empty() {
            true => Typed::Nothing,
            false => Typed::Part(text),
        }
    }
}

/// Enter, or the newline that programs send for it.
pub fn ends_line(key: &KeyEvent) -> bool {
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
                '\x7f' => (KeyCode::Backspace, KeyModifiers::NONE),
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
        let keys = beyond("one\rt\x7ftwo\nx\x15three");
        assert_eq!(keys.line(), Typed::Line(b"one".to_vec()));
        assert_eq!(keys.line(), Typed::Line(b"two".to_vec()));
        assert_eq!(keys.line(), Typed::Part("three".to_owned()));
        assert_eq!(keys.line(), Typed::Nothing);
        assert_eq!(beyond("\x04x").line(), Typed::End);
    }

    #[test]
    fn a_line_that_needs_an_editor_does_not_run() {
        let keys = beyond("ls us\t\rnext\r");
        assert_eq!(keys.line(), Typed::Part("ls us".to_owned()));
        assert_eq!(keys.line(), Typed::Line(b"next".to_vec()));
    }

    #[test]
    fn pasted_text_is_one_piece() {
        let keys = beyond("");
        keys.push(Event::Paste("a\r\nb".to_owned()));
        assert_eq!(keys.line(), Typed::Part("a\nb".to_owned()));
    }
}
