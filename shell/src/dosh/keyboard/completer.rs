//! What Tab offers.

use super::choices::{choices, Choices};
use super::desk::Shared;
use super::offer::Offer;
use reedline::{CompletionResult, CompletionStatus, Partial, Span, Suggestion};
use std::time::Duration;

/// The host is waited for so long at a Tab. What comes later is shown when it comes.
const PATIENCE: Duration = Duration::from_millis(100);

/// Completes words.
pub struct Completer {
    desk: Shared,
    /// An answer of the host's has been promised to the editor.
    waits: bool,
}

impl Completer {
    pub fn new(desk: Shared) -> Completer {
        Completer { desk, waits: false }
    }
}

impl reedline::Completer for Completer {
    fn complete(&mut self, line: &str, at: usize) -> CompletionResult {
        let (text, behind) = line.split_at_checked(at).unwrap_or((line, ""));
        let mut desk = self.desk.lock();
        match choices(&mut desk, text.as_bytes(), PATIENCE) {
            Choices::Waiting => {
                self.waits = true;
                desk.list_is_empty = false;
                desk.host.call_back();
                CompletionResult::Pending
            }
            Choices::Offer(offer) => {
                self.waits = false;
                let result = result(&offer, text, behind);
                desk.list_is_empty = result.suggestions().is_empty();
                result
            }
        }
    }

    fn poll_completion(&mut self) -> CompletionStatus {
        if !self.waits {
            return CompletionStatus::Idle;
        }
        let mut desk = self.desk.lock();
        desk.host.hear();
        match desk.host.waits() {
            true => {
                desk.host.call_back();
                CompletionStatus::Pending
            }
            false => {
                self.waits = false;
                CompletionStatus::Ready
            }
        }
    }
}

fn result(offer: &Offer, text: &str, behind: &str) -> CompletionResult {
    let at = text.len();
    let span = Span::new(offer.start.min(at), at);
    let mut suggestions: Vec<Suggestion> = offer
        .written(behind)
        .into_iter()
        .map(|written| Suggestion {
            value: written.text,
            display_override: Some(written.shown),
            description: written.about,
            span,
            append_whitespace: written.blank,
            ..Suggestion::default()
        })
        .collect();
    let left_out = offer.left_out();
    if left_out > 0 {
        // To choose this is to go on typing.
        suggestions.push(Suggestion {
            value: text[span.start..].to_owned(),
            display_override: Some(format!("… {left_out} more")),
            span,
            ..Suggestion::default()
        });
    }
    let insert = offer.shared();
    // Names that share no more than what is typed leave the line as it is.
    let partial = insert.map(|insert| Partial { span, insert });
    CompletionResult::fresh(suggestions).with_partial(partial)
}
