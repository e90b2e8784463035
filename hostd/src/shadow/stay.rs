//! Keeps a thread, and those that it starts, on the processor where it is.

use nix::sched::{sched_getaffinity, sched_getcpu, sched_setaffinity, CpuSet};
use nix::unistd::Pid;

/// The processors that the thread may use otherwise; `None` where they cannot be told or chosen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stay(Option<CpuSet>);

/// The calling thread.
const SELF: Pid = Pid::from_raw(0);

impl Stay {
    /// Keeps the calling thread here.
    pub(super) fn begin() -> Stay {
        let stay = || {
            let all = sched_getaffinity(SELF)?;
            let mut here = CpuSet::new();
            here.set(sched_getcpu()?)?;
            sched_setaffinity(SELF, &here)?;
            nix::Result::Ok(all)
        };
        Stay(stay().ok())
    }

    /// Lets the calling thread go, the one that was kept or one that it has started since.
    pub(super) fn end(self) {
        if let Some(all) = self.0 {
            let _ = sched_setaffinity(SELF, &all);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count() -> usize {
        let set = sched_getaffinity(SELF).unwrap();
        let is_set = |&cpu: &usize| set.is_set(cpu).unwrap();
        (0..CpuSet::count()).filter(is_set).count()
    }

    #[test]
    fn threads_begin_where_they_are_started_and_are_let_go() {
        let all = count();
        let stay = Stay::begin();
        let kept = count();
        let begun = std::thread::spawn(move || {
            let begun = count();
            stay.end();
            (begun, count())
        });
        let begun = begun.join().unwrap();
        stay.end();
        assert_eq!((kept, begun, count()), (1, (1, all), all));
    }
}
