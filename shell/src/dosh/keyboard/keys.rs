//! The editor's keys, where several come at once.
//!
//! reedline takes all keys that are there as one piece. It does the whole piece by the rules of the mode in which it ends, and forgets
//! what follows a key by which it gives up the line.

use super::beyond::{ends_line, Beyond};
use crossterm::event::{Event, KeyCode, KeyModifiers};
use reedline::{EditMode, PromptEditMode, PromptViMode, ReedlineEvent, ReedlineRawEvent};
use std::cell::Cell;

/// A mode's keys.
pub struct Keys<M> {
    mode: M,
    beyond: Beyond,
    /// The mode when the piece began; nothing between pieces.
    began: Cell<Option<PromptEditMode>>,
    /// A key of the piece has given up the line.
    over: bool,
}

impl<M: EditMode> Keys<M> {
    pub fn of(mode: M, beyond: Beyond) -> Keys<M> {
        Keys {
            mode,
            beyond,
            began: Cell::new(None),
            over: false,
        }
    }
}

impl<M: EditMode> EditMode for Keys<M> {
    fn parse_event(&mut self, event: ReedlineRawEvent) -> ReedlineEvent {
        let began = self.began.get_mut();
        if began.is_none() {
            *began = Some(self.mode.edit_mode());
            self.over = false;
        }
        let event = Event::from(event);
        if self.over {
            self.beyond.push(event);
            return ReedlineEvent::None;
        }
        let mut keys = self.beyond.keys();
        keys.push(event);
        let mut keys = keys.into_iter();
        let mut events = Vec::new();
        while let (false, Some(key)) = (self.over, keys.next()) {
            self.over = gives_up(&key);
            if let Ok(key) = ReedlineRawEvent::try_from(key) {
                events.push(self.mode.parse_event(key));
            }
        }
        keys.for_each(|key| self.beyond.push(key));
        match events.len() {
            1 => events.remove(0),
            _ => ReedlineEvent::Multiple(events),
        }
    }

    /// Asked behind a piece, before it is done: text that was inserted in front of an Escape is none of the mode behind it.
    fn edit_mode(&self) -> PromptEditMode {
        match self.began.take() {
            Some(began @ PromptEditMode::Vi(PromptViMode::Insert)) => began,
            _ => self.mode.edit_mode(),
        }
    }
}

/// The key that makes a line the host's, and a newline, with which reedline does not reckon. Behind Enter a piece ends by itself.
fn gives_up(event: &Event) -> bool {
    let Event::Key(key) = event else {
        return false;
    };
    let to_host = (key.code, key.modifiers) == (KeyCode::Char('h'), KeyModifiers::ALT);
    to_host || ends_line(key)
}
