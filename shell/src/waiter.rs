//! The thread that waits on the host for a process's programs. It is made while they are being started, so that it is there when
//! they run.

use crate::events::{Event, Teller};
use crate::lookout::Lookout;
use crate::signals;
use hostcall::client::Client;
use std::sync::mpsc::{channel, Sender};

/// One that has nothing to wait for yet. Without any it ends.
#[derive(Debug)]
pub struct Waiter(Sender<Wanted>);

/// The jobs to wait for.
#[derive(Debug)]
struct Wanted {
    jobs: Vec<u32>,
    /// Nobody wants them after their end.
    lets_go: bool,
}

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
        let (sender, jobs) = channel::<Wanted>();
        let wait = move || {
            let Ok(Wanted { jobs, lets_go }) = jobs.recv() else {
                return;
            };
            let lost = lookout.run(host, &jobs, lets_go, |state| {
                teller.tell(Event::State(state))
            });
            if let Err(errno) = lost {
                teller.tell(Event::Lost(errno));
            }
        };
        let thread = std::thread::Builder::new().name("hrun-wait".to_owned());
        signals::without(|| thread.stack_size(128 << 10).spawn(wait))?;
        Ok(Waiter(sender))
    }

    /// Has it wait for these jobs, and tell of their changes. `lets_go`: nobody wants them after their end.
    pub fn wait_for(self, jobs: Vec<u32>, lets_go: bool) {
        // The thread does nothing else.
        let _ = self.0.send(Wanted { jobs, lets_go });
    }
}
