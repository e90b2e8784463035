//! Until when hostd waits for a guest process that it does not see: by the clock, and in a guest with its own kernel by what
//! that does meanwhile. One that is stopped, or hardly gets a processor, has its processes come later by as much.

use super::guest::Door;
use hostcall::attach::resident::LOOK_PERIOD;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// When a process that is to come has had its time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Due {
    clock: Instant,
    /// The last of the looks of the guest's resident that it has, if there is one.
    look: Option<u32>,
}

impl Due {
    /// After so long.
    pub fn after(patience: Duration, now: Instant, looks: Option<u32>) -> Due {
        let most = patience.as_millis() / LOOK_PERIOD.as_millis();
        Due {
            clock: now + patience,
            look: looks.map(|looks| looks.wrapping_add(most as u32)),
        }
    }

    /// When that is: not before the resident has made the looks that are missing, should it make them in time.
    pub fn at(self, now: Instant, looks: Option<u32>) -> Instant {
        let missing = match (self.look, looks) {
            (Some(last), Some(looks)) => last.wrapping_sub(looks) as i32,
            _ => 0,
        };
        match missing {
            ..=0 => self.clock,
            missing => self.clock.max(now + LOOK_PERIOD * missing as u32),
        }
    }
}

impl Door {
    /// The looks of the guest's resident: its word, by which it may have its own sessions end sooner or later. `None` if it has
    /// had none yet, and for a guest of the same kernel.
    pub fn looks(&self) -> Option<u32> {
        match self {
            Door::Socket { .. } => None,
            Door::Device { region, .. } => {
                let looks = region.header().looks.load(Ordering::Relaxed);
                (looks != 0).then_some(looks)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    #[test]
    fn a_guest_that_goes_on_has_its_time_by_the_clock() {
        let start = Instant::now();
        let end = start + PATIENCE;
        for (before, after) in [(None, None), (None, Some(7)), (Some(7), None)] {
            assert_eq!(Due::after(PATIENCE, start, before).at(end, after), end);
        }
        for first in [7, u32::MAX, u32::MAX - 50] {
            let due = Due::after(PATIENCE, start, Some(first));
            assert_eq!(due.at(start, Some(first)), end);
            assert_eq!(due.at(end, Some(first.wrapping_add(100))), end);
            assert_eq!(due.at(end, Some(first.wrapping_add(101))), end);
        }
    }

    #[test]
    fn a_guest_that_is_stopped_has_the_rest_of_its_time_afterwards() {
        let start = Instant::now();
        let due = Due::after(PATIENCE, start, Some(7));
        let later = start + PATIENCE * 20;
        assert_eq!(due.at(later, Some(7 + 30)), later + PATIENCE * 7 / 10);
        assert_eq!(due.at(later, Some(7 + 99)), later + LOOK_PERIOD);
    }
}
