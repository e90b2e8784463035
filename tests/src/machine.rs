//! A guest's machine, played by a test: the region and the doorbell line of a guest that attaches by a device.

use crate::daemon::{eventually, exports, Daemon, PATIENCE};
use crate::peer::FRESH;
use hostcall::attach::device::REGION;
use hostcall::ops::Op;
use hostcall::region::{self, Claim, LaneState, Region};
use hostcall::ring::{Consumer, Producer};
use hostcall::shm::Mapping;
use hostcall::types::Token;
use hostcall::wire::Message;
use serde_json::json;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Lanes of the guest.
pub const LANES: u32 = 16;
/// Processes that it may have.
pub const PROCESSES: usize = 8;

/// A hostd with a local guest `a`, and one `b` that attaches by a device.
pub fn daemon() -> Daemon {
    Daemon::launch(|directory, socket| {
        let device =
            json!({"region": directory.join("region"), "doorbell": directory.join("doorbell")});
        json!({"guests": {
            "a": {"attach": {"local": socket}, "exports": exports(directory)},
            "b": {"attach": {"device": device}, "exports": exports(directory), "limits": {"lanes": LANES, "processes": PROCESSES}},
        }})
    })
}

/// The machine of guest `b`.
#[derive(Debug)]
pub struct Machine {
    /// The mapped region.
    pub region: Region,
    /// The line.
    pub line: UnixStream,
}

impl Machine {
    /// Maps the region and connects the line, once hostd has noticed that the machine before is gone.
    pub fn boot(directory: &Path) -> Machine {
        let mut booted = None;
        eventually("hostd answers the line", || {
            let file = std::fs::OpenOptions::new()
                .read(true)
                .write(true)
                .open(directory.join("region"))
                .unwrap();
            let mapping = Mapping::new(file.as_fd(), region::size(LANES)).unwrap();
            let line = UnixStream::connect(directory.join("doorbell")).unwrap();
            line.set_read_timeout(Some(Duration::from_secs(10)))
                .unwrap();
            let Ok(region) = Region::open(mapping) else {
                return false;
            };
            let asked = region.header().pong.load(Ordering::Acquire).wrapping_add(1);
            region.header().ping.store(asked, Ordering::Release);
            let answered = (&line).write_all(&[REGION]).is_ok()
                && (0..200).any(|_| {
                    std::thread::sleep(Duration::from_millis(1));
                    region.header().pong.load(Ordering::Acquire) == asked
                });
            booted = answered.then_some(Machine { region, line });
            answered
        });
        booted.expect("just booted")
    }

    /// Writes a byte to the line.
    pub fn ring(&mut self, byte: u8) {
        self.line.write_all(&[byte]).unwrap();
    }

    /// Claims a lane as a guest process of this name.
    pub fn claim(&mut self, lane: u32, process: u64) {
        self.resume(lane, process, Token::NONE);
    }

    /// The same, for the session that waits for a token.
    pub fn resume(&mut self, lane: u32, process: u64, resume: Token) {
        let page = self.region.page(lane).unwrap();
        page.set_claim(&Claim {
            process: Token([process, 1]),
            resume,
            ..FRESH
        });
        page.set_state(LaneState::Waiting);
        self.ring(lane as u8);
    }

    /// Gives a lane back.
    pub fn release(&mut self, lane: u32) {
        let page = self.region.page(lane).unwrap();
        page.set_state(LaneState::Released);
        self.ring(lane as u8);
    }

    /// Whether a lane is in a state.
    pub fn is(&self, lane: u32, state: LaneState) -> bool {
        self.region.page(lane).unwrap().state() == Some(state)
    }

    /// Makes one call without arguments on a freshly claimed lane; `None` if no answer comes.
    pub fn call(&mut self, lane: u32, op: Op) -> Option<Message> {
        let page = self.region.page(lane).unwrap();
        Producer::default().publish(
            &page.calls.0,
            Message {
                code: op as u32,
                ..Message::default()
            },
        );
        self.ring(lane as u8);
        let (page, start) = (self.region.page(lane).unwrap(), Instant::now());
        let mut replies = Consumer::default();
        while start.elapsed() < PATIENCE {
            if let Ok(Some(reply)) = replies.poll(&page.replies.0) {
                return Some(reply);
            }
            std::thread::sleep(Duration::from_micros(50));
        }
        None
    }

    /// The errno of such a call that asks for nothing.
    pub fn nop(&mut self, lane: u32) -> Option<u32> {
        self.call(lane, Op::Nop).map(|reply| reply.code)
    }
}
