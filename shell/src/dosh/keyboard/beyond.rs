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

    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// One line of it. If keys need an editor, all stays for it, and there is no text.
    pub fn line(&self) -> Typed {
        let mut events = self.lock();
        let mut text = String::new();
        for (at, event) in events.iter().enumerate() {
            match event {
                Event::Paste(pasted) => {
                    text.push_str(&pasted.replace("\r\n", "\n").replace('\r', "\n"));
                }
                Event::Key(key) if ends_line(key) => {
                    events.drain(..=at);
                    return Typed::Line(text.into_bytes());
                }
                Event::Key(key) => match (key.code, key.modifiers) {
                    (KeyCode::Char(letter), KeyModifiers::NONE | KeyModifiers::SHIFT) => {
                        text.push(letter);
                    }
                    _ => return Typed::Part(String::new()),
                },
                _ => {}
            }
        }
        events.clear();
        match text.is_empty() {
            true => Typed::Nothing,
            false => Typed::Part(text),
        }
    }

    /// The keys of one line, for the editor.
    pub fn keys(&self) -> Vec<Event> {
        let mut events = self.lock();
        let ends = |event: &Event| matches!(event, Event::Key(key) if ends_line(key));
        let end = events.iter().position(ends);
        let end = end.map_or(events.len(), |at| at + 1);
        events.drain(..end).collect()
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
        let keys = beyond("one\rtwo\nthree");
        assert_eq!(keys.line(), Typed::Line(b"one".to_vec()));
        assert_eq!(keys.line(), Typed::Line(b"two".to_vec()));
        assert_eq!(keys.line(), Typed::Part("three".to_owned()));
        assert_eq!(keys.line(), Typed::Nothing);
    }

    #[test]
    fn a_line_that_needs_an_editor_is_left_to_it() {
        let keys = beyond("ls us\t\rnext\r");
        assert_eq!(keys.line(), Typed::Part(String::new()));
        assert_eq!(keys.keys().len(), 7);
        assert_eq!(keys.line(), Typed::Line(b"next".to_vec()));
        assert!(keys.is_empty());
    }

    #[test]
    fn pasted_text_is_one_piece() {
        let keys = beyond("");
        keys.push(Event::Paste("a\r\nb".to_owned()));
        assert_eq!(keys.line(), Typed::Part("a\nb".to_owned()));
    }
}
