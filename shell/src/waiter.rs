//! The thread that waits on the host for a process's programs. It is made while they are being started, so that it is there when
//! they run.

use crate::events::{Event, Teller};
use crate::lookout::Lookout;
use crate::signals;
use hostcall::client::Client;
use std::sync::mpsc::{channel, Sender};

/// One that has nothing to wait for yet. Without any it ends.
#[derive(Debug)]
pub struct Waiter(Sender<Vec<u32>>);

impl Waiter {
    /// Makes it. No signal is ever its own.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(
        host: &'static Client,
        lookout: &'static Lookout,
        teller: Teller,
    ) -> std::io::Result<Waiter> {
        let (sender, jobs) = channel::<Vec<u32>>();
        let wait = move || {
            let Ok(jobs) = jobs.recv() else {
                return;
            };
            let lost = lookout.run(host, &jobs, |state| teller.tell(Event::State(state)));
            if let Err(errno) = lost {
                teller.tell(Event::Lost(errno));
            }
        };
        let thread = std::thread::Builder::new().name("hrun-wait".to_owned());
        signals::without(|| thread.stack_size(128 << 10).spawn(wait))?;
        Ok(Waiter(sender))
    }

    /// Has it wait for these jobs, and tell of their changes.
    pub fn wait_for(self, jobs: Vec<u32>) {
        // The thread does nothing else.
        let _ = self.0.send(jobs);
    }
}
