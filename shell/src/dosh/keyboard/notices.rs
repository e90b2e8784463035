//! What is told of jobs in the background.

use crate::dosh::builtins;
use crate::dosh::jobs::State;
use crate::dosh::shell::Shell;
use crate::dosh::sys;

impl Shell {
    /// Tells of jobs that have ended or were stopped since they were told of.
    pub fn tell_of_jobs(&mut self) {
        self.jobs.reap();
        let changed = |job: &&crate::dosh::jobs::Job| {
            let state = job.state();
            state != job.told && state != State::Running
        };
        let changed: Vec<usize> = self
            .jobs
            .all()
            .iter()
            .filter(changed)
            .map(|job| job.number)
            .collect();
        for number in changed {
            if let Some(job) = self.jobs.get(number) {
                let _ = sys::write_all(2, &self.jobs.line(job, false));
            }
            builtins::settle(self, number);
        }
    }

    pub fn has_stopped_jobs(&mut self) -> bool {
        self.jobs.reap();
        let mut jobs = self.jobs.all().iter();
        jobs.any(|job| matches!(job.state(), State::Stopped(_)))
    }
}
