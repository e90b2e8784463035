//! What Tab offers.

use reedline::{CompletionResult, Suggestion};

/// Completes words.
pub struct Completer;

impl reedline::Completer for Completer {
    fn complete(&mut self, _line: &str, _at: usize) -> CompletionResult {
        CompletionResult::fresh(Vec::<Suggestion>::new())
    }
}
