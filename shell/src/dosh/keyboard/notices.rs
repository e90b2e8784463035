//! What is told of jobs in the background.

use crate::dosh::builtins;
use crate::dosh::jobs::{Job, State};
use crate::dosh::shell::Shell;
use crate::dosh::sys;

impl Shell {
    /// The jobs that have ended or were stopped since they were told of.
    fn news_of_jobs(&mut self) -> Vec<usize> {
        self.jobs.reap();
        let changed = |job: &&Job| {
            let state = job.state();
            state != job.told && state != State::Running
        };
        let jobs = self.jobs.all().iter().filter(changed);
        jobs.map(|job| job.number).collect()
    }

    pub fn has_news_of_jobs(&mut self) -> bool {
        !self.news_of_jobs().is_empty()
    }

    pub fn tell_of_jobs(&mut self) {
        for number in self.news_of_jobs() {
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
