//! A hostile peer: attaches as any guest process may, and then writes what it likes where it likes.
use crate::random::Random;
use hostcall::attach::local::Link;
use hostcall::doorbell::futex_wake;
use hostcall::region::{Claim, LanePage, Region, ARENA, CHUNK};
use hostcall::ring::{mock, Consumer, Producer, DEPTH};
use hostcall::shm::Window;
use hostcall::types::Token;
use hostcall::wait::{AWAKE, SLEEPING};
use hostcall::wire::Message;
use std::ffi::{CStr, CString};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// The claim of a fresh process.
pub const FRESH: Claim = Claim {
    process: Token::NONE,
    resume: Token::NONE,
    umask: 0o22,
};

/// One hostile process on the same kernel.
#[derive(Debug)]
pub struct Peer {
    /// Its socket.
    pub link: Link,
    /// Its region.
    pub region: Region,
    /// Its end of the first lane's calls.
    pub calls: Producer,
    /// Its end of the first lane's replies.
    pub replies: Consumer,
}

impl Peer {
    /// Attaches; the first lane is served on return.
    pub fn attach(socket: &Path) -> Option<Peer> {
        Peer::claiming(socket, &FRESH)
    }

    /// Attaches with a claim of its own choice.
    pub fn claiming(socket: &Path, claim: &Claim) -> Option<Peer> {
        let (link, region) = Link::connect(lasting(socket), claim).ok()?;
        Some(Peer {
            link,
            region,
            calls: Producer::default(),
            replies: Consumer::default(),
        })
    }

    /// Control page of the first lane.
    pub fn page(&self) -> &LanePage {
        self.region.page(0).expect("a region has a lane")
    }

    /// Arena of the first lane.
    pub fn arena(&self) -> Window<'_> {
        self.region.arena(0).expect("a region has a lane")
    }

    /// Sends a message as it is, well formed or not.
    pub fn send(&mut self, message: Message) {
        let page = self.region.page(0).expect("a region has a lane");
        self.calls.publish(&page.calls.0, message);
        wake_host(page);
    }

    /// Waits for a reply; `None` if the session ends, or nothing comes in `limit`.
    pub fn reply(&mut self, limit: Duration) -> Option<Message> {
        let start = Instant::now();
        loop {
            let page = self.region.page(0).expect("a region has a lane");
            match self.replies.poll(&page.replies.0) {
                Ok(Some(reply)) => return Some(reply),
                Ok(None) => {}
                Err(_) => return None,
            }
            if start.elapsed() > Duration::from_micros(200) {
                if !self.link.alive() || start.elapsed() > limit {
                    return None;
                }
                std::thread::sleep(Duration::from_micros(50));
            }
        }
    }

    /// Waits until hostd has ended the session.
    pub fn ended(&self, limit: Duration) -> bool {
        let start = Instant::now();
        while self.link.alive() {
            if start.elapsed() > limit {
                return false;
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        true
    }
}

/// Closes a line to a shadow, as the kernel does at the process's end; the region stays.
///
/// # Panics
/// There is no line.
pub fn hang_up(link: &Link) {
    let line = (0..1024).find(|fd| link.owns(*fd)).expect("a line");
    nix::sys::socket::shutdown(line, nix::sys::socket::Shutdown::Both).expect("it is open");
}

/// Wakes a host thread that sleeps on a lane, whether or not it says so.
pub fn wake_host(page: &LanePage) {
    page.host_sleep.0.store(AWAKE, Ordering::SeqCst);
    futex_wake(&page.host_sleep.0, 1);
}

/// Paths of links are static, since a client lives as long as its program; tests use few.
fn lasting(path: &Path) -> &'static CStr {
    use std::collections::HashMap;
    use std::sync::Mutex;
    static KNOWN: Mutex<Option<HashMap<CString, &'static CStr>>> = Mutex::new(None);
    let path = CString::new(path.as_os_str().as_encoded_bytes()).expect("a path without NUL");
    let mut known = KNOWN
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let known = known.get_or_insert_with(HashMap::new);
    known
        .entry(path.clone())
        .or_insert_with(|| Box::leak(path.into_boxed_c_str()))
}

/// What [`corrupt`] can reach of a lane and its region.
pub const TARGETS: usize = 12;

/// Overwrites one thing that guest and host share; every one of them can be reached.
pub fn corrupt(region: &Region, lane: u32, random: &mut Random) {
    let (Some(page), Some(arena)) = (region.page(lane), region.arena(lane)) else {
        return;
    };
    let value = random.hostile();
    match random.below(TARGETS) {
        0 => page.state.0.store(
            if random.chance(2) {
                (value % 8) as u32
            } else {
                value as u32
            },
            Ordering::Relaxed,
        ),
        1 => page.cancel.0.store(
            if random.chance(2) {
                (value % 64) as u32
            } else {
                value as u32
            },
            Ordering::Relaxed,
        ),
        2 => page.guest_sleep.0.store(
            random.one_of(&[SLEEPING, AWAKE, value as u32]),
            Ordering::Relaxed,
        ),
        3 => page.host_sleep.0.store(
            random.one_of(&[SLEEPING, AWAKE, value as u32]),
            Ordering::Relaxed,
        ),
        4 => page.set_claim(&Claim {
            process: Token([value, random.hostile()]),
            resume: Token([random.hostile(), value]),
            umask: value as u32,
        }),
        5 => {
            let header = region.header();
            header.magic.store(value, Ordering::Relaxed);
        }
        6 => {
            let header = region.header();
            random
                .one_of(&[
                    &header.version,
                    &header.lanes,
                    &header.ticks_per_us,
                    &header.ping,
                    &header.pong,
                ])
                .store(value as u32, Ordering::Relaxed);
        }
        7 => mock::corrupt(
            &page.replies.0,
            random.below(DEPTH),
            random.below(mock::FIELDS),
            value,
        ),
        8 => {
            // Path bytes and lengths inside the payload.
            let at = random.below(DEPTH) * CHUNK + random.below(64);
            if let Some(byte) = arena.part(at.min(ARENA - 1), 1) {
                byte.copy_in(&[value as u8]);
            }
        }
        _ => mock::corrupt(
            &page.calls.0,
            random.below(DEPTH),
            random.below(mock::FIELDS),
            value,
        ),
    }
}
