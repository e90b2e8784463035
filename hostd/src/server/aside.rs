//! Out of the way of programs that start.
//!
//! Who connects to a socket wakes the other end for the processor it runs on itself, wake_up_interruptible_sync_poll() in the kernel's
//! `net/core/sock.c`, as if it were about to sleep. A program that has its session before it needs it does not: hostd would take
//! its processor from it while another is idle. So hostd avoids a processor on which it has met several programs, until
//! somebody had to wait for it: then what it went to is busy.

use hostcall::attach::Sent;
use hostcall::clock::{ticks, Clock};
use nix::sched::{sched_getaffinity, sched_getcpu, sched_setaffinity, CpuSet};
use nix::unistd::Pid;
use std::sync::OnceLock;

/// Programs met on this thread's processor one after another before it is avoided.
const MEETINGS: u32 = 3;
/// An introduction that lay for longer than this, microseconds, has waited for a processor that somebody has: waking one takes fifty
/// to a hundred, a slice of another job's a thousand or more.
const LATE_US: u64 = 500;
/// Programs for which none is avoided after that.
const CALM: u32 = 64;

/// The calling thread.
const SELF: Pid = Pid::from_raw(0);

/// The processors that hostd may use.
static ALL: OnceLock<CpuSet> = OnceLock::new();

/// Which processor hostd's thread avoids.
#[derive(Debug)]
pub(super) struct Aside {
    avoided: Option<usize>,
    met: u32,
    calm: u32,
}

impl Aside {
    /// For the calling thread, which avoids none.
    pub(super) fn new() -> Aside {
        if let Ok(all) = sched_getaffinity(SELF) {
            ALL.get_or_init(|| all);
        }
        Aside {
            avoided: None,
            met: 0,
            calm: 0,
        }
    }

    /// A program has introduced itself. What it says is believed: the worst that comes of it is a slow hostd.
    pub(super) fn meet(&mut self, sent: Sent, clock: Clock) {
        let here = sched_getcpu().ok();
        let lay = ticks().wrapping_sub(sent.ticks) / u64::from(clock.ticks_per_us.max(1));
        let theirs = sent.processor.checked_sub(1).map(|number| number as usize);
        let choice = self.choose(here, theirs, lay);
        if choice != self.avoided && avoid(choice).is_some() {
            self.avoided = choice;
        }
    }

    /// Which processor to avoid from now on.
    fn choose(&mut self, here: Option<usize>, theirs: Option<usize>, lay: u64) -> Option<usize> {
        self.calm = self.calm.saturating_sub(1);
        if self.avoided.is_some() && lay > LATE_US {
            self.calm = CALM;
            return None;
        }
        let again = here.is_some() && here == theirs && self.calm == 0;
        self.met = if again { self.met + 1 } else { 0 };
        match self.met {
            MEETINGS.. => {
                self.met = 0;
                theirs
            }
            _ => self.avoided,
        }
    }
}

/// Has the calling thread run on all processors but one; `None` if that is its only one.
fn avoid(avoided: Option<usize>) -> Option<()> {
    let mut set = *ALL.get()?;
    if let Some(number) = avoided {
        set.unset(number).ok()?;
    }
    sched_setaffinity(SELF, &set).ok()
}

/// Does what starts a process, which is to have all processors.
pub(super) fn with_all<T>(work: impl FnOnce() -> T) -> T {
    let own = sched_getaffinity(SELF).ok();
    let narrowed = own.filter(|own| ALL.get().is_some_and(|all| all != own));
    if narrowed.is_some() {
        avoid(None);
    }
    let done = work();
    if let Some(own) = narrowed {
        let _ = sched_setaffinity(SELF, &own);
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_is_avoided_on_which_programs_are_met_again_and_again() {
        let mut aside = Aside::new();
        let (here, there) = (Some(1), Some(0));
        for _ in 1..MEETINGS {
            assert_eq!(aside.choose(here, here, 0), None);
        }
        assert_eq!(aside.choose(here, there, 0), None, "the last was elsewhere");
        for _ in 1..MEETINGS {
            assert_eq!(aside.choose(here, here, 0), None);
        }
        assert_eq!(aside.choose(here, here, 0), here);
        aside.avoided = here;
        assert_eq!(aside.choose(there, here, 0), here, "it stays away");
        for _ in 1..MEETINGS {
            assert_eq!(aside.choose(there, there, 0), here);
        }
        assert_eq!(aside.choose(there, there, 0), there, "they have moved");
        assert_eq!(aside.choose(None, None, 0), here, "nothing is known");
    }

    #[test]
    fn whoever_has_to_wait_ends_it_for_a_while() {
        let mut aside = Aside::new();
        let here = Some(1);
        aside.avoided = here;
        assert_eq!(aside.choose(Some(0), here, LATE_US + 1), None);
        aside.avoided = None;
        for _ in 1..CALM {
            assert_eq!(aside.choose(here, here, LATE_US + 1), None);
        }
        let found = (0..MEETINGS).find_map(|_| aside.choose(here, here, 0));
        assert_eq!(found, here);
    }

    #[test]
    fn processes_are_started_with_all_processors() {
        let all = sched_getaffinity(SELF).unwrap();
        let _aside = Aside::new();
        let here = sched_getcpu().unwrap();
        let alone = avoid(Some(here)).is_none();
        let narrowed = sched_getaffinity(SELF).unwrap();
        assert_eq!(alone, narrowed == all);
        assert_eq!(with_all(|| sched_getaffinity(SELF).unwrap()), all);
        assert_eq!(sched_getaffinity(SELF).unwrap(), narrowed);
        assert_eq!(avoid(None), Some(()));
    }
}
