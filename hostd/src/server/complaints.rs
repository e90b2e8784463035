//! Log lines that a guest or a tool can cause at will: one a second in the long run, so that nobody fills the log of the host.

use std::fmt::Display;
use std::time::{Duration, Instant};

/// Lines that may come at once after a silence, and how long each takes of it.
const COMPLAINTS: Flood = Flood::of(60, Duration::from_secs(1));

/// A bound on what somebody can cause at will, and a count of what was left out.
#[derive(Clone, Debug)]
pub struct Flood {
    burst: u32,
    interval: Duration,
    /// When a silence that began now would have paid for all so far.
    paid: Option<Instant>,
    left_out: u64,
}

impl Flood {
    /// So many at once, and one each `interval` in the long run.
    pub const fn of(burst: u32, interval: Duration) -> Flood {
        Flood {
            burst,
            interval,
            paid: None,
            left_out: 0,
        }
    }

    /// Whether there were not too many of late; counts it if there were.
    pub fn admits(&mut self, now: Instant) -> bool {
        let paid = self.paid.map_or(now, |paid| paid.max(now));
        let admitted = paid - now <= (self.burst - 1) * self.interval;
        match admitted {
            true => self.paid = Some(paid + self.interval),
            false => self.left_out += 1,
        }
        admitted
    }

    /// How many have been left out since this was asked last.
    pub fn take_left_out(&mut self) -> u64 {
        std::mem::take(&mut self.left_out)
    }
}

/// The lines about one guest, or about the tools.
#[derive(Debug)]
pub struct Complaints(Flood);

impl Default for Complaints {
    fn default() -> Complaints {
        Complaints(COMPLAINTS)
    }
}

impl Complaints {
    /// Logs a line about the guest, or counts it if there were too many of late.
    pub fn about(&mut self, guest: &str, complaint: impl Display) {
        self.of(format_args!("guest {guest}: {complaint}"));
    }

    /// The same, for what concerns no guest.
    pub fn of(&mut self, complaint: impl Display) {
        let line = self.line(complaint, Instant::now());
        line.into_iter().for_each(|line| log::warn!("{line}"));
    }

    fn line(&mut self, complaint: impl Display, now: Instant) -> Option<String> {
        if !self.0.admits(now) {
            return None;
        }
        let mut line = printable(&complaint.to_string());
        if let n @ 1.. = self.0.take_left_out() {
            line += &format!(" ({n} lines like this were left out before this one)");
        }
        Some(line)
    }
}

/// Whether a letter is not shown but has a terminal, or whoever orders text for it, show others otherwise: controls, and the marks that
/// break a line or turn its direction.
pub fn steers(letter: char) -> bool {
    letter.is_control()
        || matches!(
            letter,
            '\u{61c}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
        )
}

/// One line for a terminal, whatever a shadow that serves its guest's ends has sent.
pub fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|char| {
            let escaped = steers(char).then(|| char.escape_default());
            let plain = escaped.is_none().then_some(char);
            escaped.into_iter().flatten().chain(plain)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_one_line_a_second_and_says_so() {
        let (mut complaints, start) = (Complaints::default(), Instant::now());
        assert!((0..COMPLAINTS.burst).all(|_| complaints.line("a", start).is_some()));
        assert!((0..999).all(|n| complaints
            .line("b", start + Duration::from_millis(n))
            .is_none()));
        let line = complaints.line("c", start + COMPLAINTS.interval).unwrap();
        assert!(line.starts_with("c (999 lines"), "{line}");
        assert_eq!(
            complaints
                .line("d", start + 2 * COMPLAINTS.interval)
                .as_deref(),
            Some("d")
        );
    }

    #[test]
    fn nothing_reaches_a_terminal_raw() {
        assert_eq!(printable("é\u{1b}[2J\n\"x\""), "é\\u{1b}[2J\\n\"x\"");
    }

    #[test]
    fn nothing_turns_the_direction_of_a_line() {
        let line = printable("rm \u{202e}txt.a\u{2066}b\u{2028}c");
        assert_eq!(line, "rm \\u{202e}txt.a\\u{2066}b\\u{2028}c");
    }
}
