//! `history`: what was entered at the terminal.

use super::{number, shown, Letters};
use crate::dosh::keyboard::history::{Entry, History};
use crate::dosh::shell::{Run, Shell};
use crate::dosh::syntax::tree::Bytes;
use chrono::Local;
use reedline::{History as _, HistoryItemId};

pub fn main(shell: &mut Shell, words: &[Bytes]) -> Run<i32> {
    let mut letters = Letters::new(words, b"d");
    let (mut clears, mut deleted, mut verbose) = (false, Vec::new(), false);
    while let Some((letter, operand)) = letters.next() {
        match letter {
            b'c' => clears = true,
            b'd' => deleted.push(operand),
            b'v' => verbose = true,
            letter => {
                let message = format!("-{}: invalid option", char::from(letter));
                return Ok(shell.refuse_with(b"history", message, 2));
            }
        }
    }
    let Some(mut history) = History::of(shell) else {
        return Ok(shell.refuse_with(b"history", "there is none: no lines are entered here", 1));
    };
    let mut status = 0;
    for word in &deleted {
        let id = number(word).map(HistoryItemId::new);
        if id.is_none_or(|id| history.delete(id).is_err()) {
            let message = format!("{}: history position out of range", shown(word));
            status = shell.refuse_with(b"history", message, 1);
        }
    }
    if clears && history.clear().is_err() {
        status = shell.refuse_with(b"history", "cannot be cleared", 1);
    }
    if clears || !deleted.is_empty() {
        return Ok(status);
    }
    let (holding, most) = match letters.operands() {
        [] => (String::new(), None),
        [one] if number(one).is_some() => (String::new(), number(one)),
        words => (shown(&words.join(&b' ')), None),
    };
    let entries = history.entries(&holding, most);
    let line = if verbose { whole } else { brief };
    let text: String = entries.iter().map(line).collect();
    Ok(shell.put(b"history", text.as_bytes()))
}

fn id(entry: &Entry) -> i64 {
    entry.id.map_or(0, |id| id.0)
}

fn brief(entry: &Entry) -> String {
    format!("{:5}  {}\n", id(entry), entry.command_line)
}

/// With when and where it ran, and how it ended.
fn whole(entry: &Entry) -> String {
    let time = entry.start_timestamp.map(|time| {
        let local = time.with_timezone(&Local);
        local.format("%Y-%m-%d %H:%M:%S").to_string()
    });
    let status = entry.exit_status.map(|status| status.to_string());
    let took = entry
        .duration
        .map(|took| format!("{:.1}s", took.as_secs_f64()));
    let place = entry.more_info.clone().unwrap_or_default();
    let guest = format!(
        "{}:{}",
        entry.hostname.as_deref().unwrap_or("?"),
        entry.cwd.as_deref().unwrap_or("?")
    );
    let host = place.host.map(|name| {
        let directory = place.host_cwd.as_deref().unwrap_or("?");
        format!(" @{name}:{directory}")
    });
    format!(
        "{:5}  {}  {:>3} {:>6}  {} {guest}{}  {}\n",
        id(entry),
        time.as_deref().unwrap_or("?"),
        status.as_deref().unwrap_or("?"),
        took.as_deref().unwrap_or("?"),
        place.os,
        host.unwrap_or_default(),
        entry.command_line
    )
}
