//! How a line looks while it is typed.

use super::choices::ahead;
use super::desk::Shared;
use super::looks::{looks, Look};
use crate::dosh::plan::Place;
use nu_ansi_term::{Color, Style};
use reedline::StyledText;
use std::time::Duration;

/// The host is waited for so long when its programs are not known yet, and not at all when they are.
const PATIENCE: Duration = Duration::from_millis(15);

/// Colours a line.
pub struct Highlighter {
    desk: Shared,
    /// The terminal has colours, and they are wanted.
    colours: bool,
}

impl Highlighter {
    pub fn new(desk: Shared, colours: bool) -> Highlighter {
        Highlighter { desk, colours }
    }
}

impl reedline::Highlighter for Highlighter {
    fn highlight(&self, line: &str, cursor: usize) -> StyledText {
        let mut text = StyledText::new();
        let mut at = 0;
        let mut desk = self.desk.lock();
        if self.colours {
            for part in looks(&mut desk, line, PATIENCE) {
                let range = part.range;
                // An escape or a name can end within a letter that is no byte of its own.
                let (Some(before), Some(shown)) =
                    (line.get(at..range.start), line.get(range.clone()))
                else {
                    continue;
                };
                if !before.is_empty() {
                    text.push((Style::new(), before.to_owned()));
                }
                let style = part.look.map(style).unwrap_or_default();
                let style = match part.exists {
                    true => style.underline(),
                    false => style,
                };
                text.push((style, shown.to_owned()));
                at = range.end;
            }
        }
        // Each key comes here, and no other place of the editor's.
        ahead(&mut desk, line.get(..cursor).unwrap_or_default().as_bytes());
        text.push((Style::new(), line[at..].to_owned()));
        text
    }
}

/// A command that does not exist is underlined too: who sees no colours sees that.
fn style(look: Look) -> Style {
    let style = Style::new();
    match look {
        Look::Keyword => style.fg(Color::Blue).bold(),
        Look::Command(Place::Guest) => style.fg(Color::Green),
        Look::Command(Place::Host) => style.fg(Color::Yellow).bold(),
        Look::Unknown(_) => style.fg(Color::Red).underline(),
        Look::Option => style.fg(Color::Blue),
        Look::Assignment => style.fg(Color::Purple),
        Look::Quoted => style.fg(Color::Cyan),
        Look::Expansion => style.fg(Color::Purple),
        Look::Operator | Look::Redirect => style.bold(),
        Look::Comment => style.dimmed(),
    }
}
