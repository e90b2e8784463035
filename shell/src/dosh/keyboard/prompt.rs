//! The prompt.

use super::escapes;
use super::sides::{Side, Sides};
use crate::dosh::plan::Place;
use crate::dosh::shell::Shell;
use crate::dosh::sys;
use nu_ansi_term::{Color, Style};
use reedline::{PromptEditMode, PromptHistorySearch, PromptHistorySearchStatus, PromptViMode};
use std::borrow::Cow;
use std::time::Duration;
use unicode_width::UnicodeWidthStr;

/// The value of `PS1` that means this prompt.
pub const OWN: &[u8] = b"\\p";

/// Commands that take longer are told how long they took.
const LONG: Duration = Duration::from_secs(2);

/// A prompt as it is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prompt {
    /// Before the mark: where the shell is.
    left: String,
    /// Before what is typed.
    mark: String,
    /// Before the lines with which a command goes on.
    more: String,
    pub colours: bool,
}

impl Prompt {
    /// The prompt of a command's first line, or of another; and what stays of it behind the line.
    pub fn of(shell: &mut Shell, first: bool) -> (Prompt, Prompt) {
        let is_set = |name| {
            shell
                .variables
                .get(name)
                .is_some_and(|text| !text.is_empty())
        };
        let dumb = matches!(shell.variables.get(b"TERM"), None | Some(b"" | b"dumb"));
        let colours = !dumb && !is_set(b"NO_COLOR") && sys::is_terminal(2);
        let more = shell.prompt_text(b"PS2");
        let only = |text: String| Prompt {
            mark: text,
            more: more.clone(),
            colours,
            ..Prompt::default()
        };
        if !first {
            return (only(more.clone()), only(more.clone()));
        }
        if shell.variables.get(b"PS1") != Some(OWN) {
            let text = shell.prompt_text(b"PS1");
            return (only(text.clone()), only(text));
        }
        let sides = shell.sides();
        let took = shell
            .keyboard
            .as_ref()
            .map_or(Duration::ZERO, |keyboard| keyboard.took);
        let columns = sys::window(2).map_or(80, |(_, columns)| usize::from(columns));
        let paint = Paint(colours);
        let mark = only(mark(&sides, paint));
        let left = line(&sides, shell.status, took, columns, paint);
        let full = Prompt {
            left: if left.is_empty() { left } else { left + "\n" },
            ..mark.clone()
        };
        (full, mark)
    }

    /// Without an editor.
    pub fn plain(&self) -> String {
        format!("{}{}", self.left, self.mark)
    }
}

impl Shell {
    /// The text of a prompt variable.
    fn prompt_text(&mut self, name: &[u8]) -> String {
        let text = self.variables.get(name).unwrap_or_default().to_vec();
        let text = escapes::decode(self, &text);
        String::from_utf8_lossy(&self.expand_prompt(&text)).into_owned()
    }
}

/// Whether text is coloured.
#[derive(Clone, Copy)]
struct Paint(bool);

impl Paint {
    fn with(self, style: Style, text: &str) -> String {
        match self.0 {
            true => style.paint(text).to_string(),
            false => text.to_owned(),
        }
    }
}

fn guest() -> Style {
    Color::Green.normal()
}

fn host() -> Style {
    Color::Yellow.normal()
}

fn mark(sides: &Sides, paint: Paint) -> String {
    let end = match nix::unistd::geteuid().is_root() {
        true => "# ",
        false => "$ ",
    };
    match sides.place {
        Place::Guest => paint.with(guest().bold(), end),
        Place::Host => paint.with(host().bold(), &format!("host {end}")),
    }
}

/// Where the shell is, and how the last command has ended.
fn line(sides: &Sides, status: i32, took: Duration, columns: usize, paint: Paint) -> String {
    let end = [
        (status != 0).then(|| (Color::Red.normal(), format!("[{status}]"))),
        (took >= LONG).then(|| (Style::new().dimmed(), duration(took))),
    ];
    let end: Vec<(Style, String)> = end.into_iter().flatten().collect();
    let ways: [&dyn Fn(&Side) -> String; 4] = [
        &|side| format!("{}:{}", side.name, shown(side)),
        &|side| format!("{}:{}", side.name, short(&shown(side))),
        &|side| short(&shown(side)),
        &|side| last(&shown(side)),
    ];
    for way in ways {
        let mut parts = vec![(guest(), way(&sides.guest))];
        if let Some(side) = &sides.host {
            parts.push((host(), format!("@{}", way(side))));
        }
        parts.extend(end.iter().cloned());
        let width: usize = parts.iter().map(|(_, text)| text.width() + 1).sum();
        // The last column stays free: some terminals begin a line when it is filled.
        if width <= columns {
            let parts = parts.iter().map(|(style, text)| paint.with(*style, text));
            return parts.collect::<Vec<_>>().join(" ");
        }
    }
    String::new()
}

/// A directory for people: below the home directory from `~`, and without control characters.
fn shown(side: &Side) -> String {
    let below = side
        .home
        .as_ref()
        .filter(|home| home.len() > 1)
        .and_then(|home| {
            let rest = side.directory.strip_prefix(&home[..])?;
            (rest.is_empty() || rest.starts_with(b"/")).then_some(rest)
        });
    let text = match below {
        Some(rest) => format!("~{}", String::from_utf8_lossy(rest)),
        None => String::from_utf8_lossy(&side.directory).into_owned(),
    };
    text.chars()
        .map(|letter| if letter.is_control() { '?' } else { letter })
        .collect()
}

/// All names but the last by their first letter.
fn short(path: &str) -> String {
    let names: Vec<&str> = path.split('/').collect();
    let Some((last, rest)) = names.split_last() else {
        return String::new();
    };
    let first = |name: &&str| {
        let letters = if name.starts_with('.') { 2 } else { 1 };
        name.chars().take(letters).collect::<String>() + "/"
    };
    rest.iter().map(first).collect::<String>() + last
}

fn last(path: &str) -> String {
    path.rsplit('/').next().unwrap_or_default().to_owned()
}

fn duration(took: Duration) -> String {
    let seconds = took.as_secs();
    match seconds {
        0..60 => format!("{:.1}s", took.as_secs_f64()),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

impl reedline::Prompt for Prompt {
    fn render_prompt_left(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.left)
    }

    fn render_prompt_right(&self) -> Cow<'_, str> {
        Cow::Borrowed("")
    }

    fn render_prompt_indicator(&self, mode: PromptEditMode) -> Cow<'_, str> {
        match mode {
            PromptEditMode::Vi(PromptViMode::Normal) => Cow::Owned(format!(":{}", self.mark)),
            PromptEditMode::Vi(PromptViMode::Visual) => Cow::Owned(format!("v{}", self.mark)),
            _ => Cow::Borrowed(&self.mark),
        }
    }

    fn render_prompt_multiline_indicator(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.more)
    }

    fn render_prompt_history_search_indicator(&self, search: PromptHistorySearch) -> Cow<'_, str> {
        let what = match search.status {
            PromptHistorySearchStatus::Passing => "search",
            PromptHistorySearchStatus::Failing => "not found",
        };
        Cow::Owned(format!("({what}: {}) ", search.term))
    }

    fn get_prompt_color(&self) -> Color {
        Color::Default
    }

    fn get_indicator_color(&self) -> Color {
        Color::Default
    }

    fn get_prompt_multiline_color(&self) -> Color {
        Color::Default
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(name: &str, directory: &str, home: &str) -> Side {
        Side {
            name: name.to_owned(),
            directory: directory.into(),
            home: Some(home.into()),
        }
    }

    fn sides() -> Sides {
        Sides {
            guest: side("uml", "/home/me/source/project", "/home/me"),
            host: Some(side("box", "/srv/builds/today", "/root")),
            place: Place::Guest,
        }
    }

    fn plain(status: i32, seconds: u64, columns: usize) -> String {
        line(
            &sides(),
            status,
            Duration::from_secs(seconds),
            columns,
            Paint(false),
        )
    }

    #[test]
    fn both_sides_are_shown_as_long_as_there_is_room() {
        assert_eq!(
            plain(0, 0, 80),
            "uml:~/source/project @box:/srv/builds/today"
        );
        assert_eq!(
            plain(2, 3, 80),
            "uml:~/source/project @box:/srv/builds/today [2] 3.0s"
        );
        assert_eq!(plain(0, 0, 40), "uml:~/s/project @box:/s/b/today");
        assert_eq!(plain(0, 0, 30), "~/s/project @/s/b/today");
        assert_eq!(plain(0, 0, 20), "project @today");
        assert_eq!(plain(0, 0, 14), "");
    }

    #[test]
    fn wide_letters_take_two_columns_and_marks_none() {
        let shown = |directory: &str, columns| {
            let sides = Sides {
                guest: side("uml", directory, "/root"),
                ..Sides::default()
            };
            line(&sides, 0, Duration::ZERO, columns, Paint(false))
        };
        assert_eq!(shown("/源/项目", 13), "uml:/源/项目");
        assert_eq!(shown("/源/项目", 12), "/源/项目");
        assert_eq!(
            shown("/e\u{301}/e\u{301}e\u{301}", 10),
            "uml:/e\u{301}/e\u{301}e\u{301}"
        );
    }

    #[test]
    fn the_mark_tells_the_mode() {
        let mut sides = sides();
        assert!(!mark(&sides, Paint(false)).contains("host"));
        sides.place = Place::Host;
        assert!(mark(&sides, Paint(false)).starts_with("host "));
    }

    #[test]
    fn a_directory_cannot_play_with_the_terminal() {
        let side = side("x", "/a\x1b[31m\nb", "/");
        assert_eq!(shown(&side), "/a?[31m?b");
        let home = Side {
            directory: b"/home/meadow".to_vec(),
            ..self::side("x", "", "/home/me")
        };
        assert_eq!(shown(&home), "/home/meadow");
    }

    #[test]
    fn durations_are_short() {
        let of = |seconds| duration(Duration::from_millis(seconds));
        assert_eq!(
            [of(2_345), of(61_000), of(7_380_000)],
            ["2.3s", "1m01s", "2h03m"]
        );
    }
}
