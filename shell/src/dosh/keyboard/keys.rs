//! The editor's keys, where several come at once.
//!
//! reedline takes the keys that are there as one piece. It does the whole piece by the rules of the mode in which it ends, and forgets
//! what follows a key that ends the line. So it gets only as much of a piece as is of one mode and of one line; what follows is
//! kept, and the editor is woken for it.

use super::beyond::Beyond;
use super::desk::Shared;
use super::wake;
use crossterm::event::Event;
use reedline::{EditMode, PromptEditMode, ReedlineEvent, ReedlineRawEvent};
use std::cell::Cell;

/// A mode's keys.
pub struct Keys<M> {
    mode: M,
    beyond: Beyond,
    desk: Shared,
    /// Something of this piece is done, in the mode that was then.
    begun: Cell<bool>,
    /// No more of it is.
    over: Cell<bool>,
    /// What a key does that is done by itself, and the mode before it.
    next: Option<(PromptEditMode, ReedlineEvent)>,
}

impl<M: EditMode> Keys<M> {
    pub fn of(mode: M, beyond: Beyond, desk: Shared) -> Keys<M> {
        Keys {
            mode,
            beyond,
            desk,
            begun: Cell::new(false),
            over: Cell::new(false),
            next: None,
        }
    }

    /// What is done next: one key, or text that was kept as far as it goes.
    fn piece(&mut self) -> ReedlineEvent {
        if let Some((_, event)) = self.next.take() {
            self.over.set(true);
            return event;
        }
        let mut edits = Vec::new();
        while let Some(key) = self.beyond.pop() {
            let Ok(key) = ReedlineRawEvent::try_from(key) else {
                continue;
            };
            let before = self.mode.edit_mode();
            let event = self.mode.parse_event(key);
            let event = self.asking_anew(event);
            let changes = self.mode.edit_mode() != before;
            match event {
                ReedlineEvent::Edit(edit) if !changes => edits.extend(edit),
                event if edits.is_empty() && !(changes && self.begun.get()) => {
                    self.over
                        .set(changes || ends(&event) || !self.beyond.is_empty());
                    return event;
                }
                event => {
                    self.over.set(true);
                    self.next = Some((before, event));
                    break;
                }
            }
        }
        ReedlineEvent::Edit(edits)
    }

    /// A list that is open is not asked for again by another Tab: reedline steps through it. One in which nothing is to step
    /// through is closed before.
    fn asking_anew(&self, event: ReedlineEvent) -> ReedlineEvent {
        match event {
            ReedlineEvent::UntilFound(ref events)
                if matches!(events[..], [ReedlineEvent::Menu(_), ..])
                    && self.desk.lock().list_is_empty =>
            {
                ReedlineEvent::Multiple(vec![ReedlineEvent::Esc, event])
            }
            event => event,
        }
    }
}

impl<M: EditMode> EditMode for Keys<M> {
    fn parse_event(&mut self, event: ReedlineRawEvent) -> ReedlineEvent {
        self.beyond.push(Event::from(event));
        let event = match self.over.get() {
            true => ReedlineEvent::None,
            false => self.piece(),
        };
        self.begun.set(true);
        if self.next.is_some() || !self.beyond.is_empty() {
            wake::wake();
        }
        event
    }

    /// Asked first behind a piece.
    fn edit_mode(&self) -> PromptEditMode {
        self.begun.set(false);
        self.over.set(false);
        match &self.next {
            Some((before, _)) => before.clone(),
            None => self.mode.edit_mode(),
        }
    }
}

/// Whether it may end the line, or give it up.
fn ends(event: &ReedlineEvent) -> bool {
    matches!(
        event,
        ReedlineEvent::Enter
            | ReedlineEvent::Submit
            | ReedlineEvent::SubmitOrNewline
            | ReedlineEvent::CtrlC
            | ReedlineEvent::CtrlD
            | ReedlineEvent::ExecuteHostCommand(_)
    )
}
