//! Interrupting lanes' threads, again and again: one may be about to enter the system call that it is to leave.

use super::lane::Lane;
use super::session::{wake, Main};
use nix::poll::PollTimeout;
use std::sync::Arc;

/// Turns in a row after each of which the pause is twice as long.
const TURNS: u32 = 64;
/// How often it is doubled: from one millisecond to 64.
const DOUBLED: u32 = 6;

/// How many turns of the main thread have found threads to interrupt since the last that found none.
#[derive(Debug, Default)]
pub(super) struct Kicks(u32);

impl Kicks {
    /// How long the main thread rests after a turn, if it is to look again by itself. Threads leave at once, as a rule. A guest can
    /// ask for the end of a call that it never makes, and must not have a processor of the host's kept busy by that.
    pub fn pause_after(&mut self, kicked: bool) -> Option<PollTimeout> {
        if !kicked {
            self.0 = 0;
            return None;
        }
        let doubled = (self.0 / TURNS).min(DOUBLED);
        self.0 = self.0.saturating_add(1);
        Some(PollTimeout::from(1u8 << doubled))
    }
}

impl Main {
    /// Repeats the signal to every thread that is to leave a system call; says whether there are any.
    pub(super) fn kick(&self) -> bool {
        let kick = |lane: &&Arc<Lane>| {
            let wanted = lane.is_ending() && !lane.has_left() || lane.to_be_cancelled();
            if wanted {
                if let Some(page) = lane.page() {
                    wake(&page.host_sleep.0);
                }
                lane.interrupt();
            }
            wanted
        };
        self.lanes.iter().filter(kick).count() > 0
    }
}
