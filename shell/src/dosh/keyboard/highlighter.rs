//! How a line looks while it is typed.

use nu_ansi_term::Style;
use reedline::StyledText;

/// Colours a line.
pub struct Highlighter;

impl reedline::Highlighter for Highlighter {
    fn highlight(&self, line: &str, _cursor: usize) -> StyledText {
        let mut text = StyledText::new();
        text.push((Style::new(), line.to_owned()));
        text
    }
}
