//! Guest processes that end and would keep their shadow, or have none left for others.

use hostcall::attach::local::Link;
use hostcall::doorbell::Futex;
use hostcall::lane::GuestEnd;
use hostcall::ops::{request, Calls};
use hostcall::region::{Claim, LanePage, LaneState, Region};
use hostcall::table::Request;
use hostcall::types::{DirFd, Mode, Offset, OpenFlags, RemoteFd, RwFlags, Token};
use hostcall::wait::Budget;
use hostcall::wire::{Message, Sink};
use hostcall_tests::daemon::{eventually, leave, Daemon};
use hostcall_tests::guest::Guest;
use hostcall_tests::peer::{hang_up, wake_host, Peer, FRESH};
use hostcall_tests::witness::c;
use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(10);
/// No answer comes any more, if none has come for so long.
const SILENCE: Duration = Duration::from_secs(1);
/// Calls behind one that sleeps.
const QUEUED: usize = 1;
const TURNS: usize = 5;

/// A process that makes calls by hand, on its first lane.
struct Caller {
    link: Link,
    region: Region,
    end: GuestEnd,
}

impl Caller {
    fn attach(daemon: &Daemon, resume: Token) -> Option<Caller> {
        let peer = Peer::claiming(daemon.socket(), &Claim { resume, ..FRESH })?;
        let end = GuestEnd::new(Budget::LOCAL, peer.region.clock());
        let (link, region) = (peer.link, peer.region);
        Some(Caller { link, region, end })
    }

    fn page(&self) -> &LanePage {
        self.region.page(0).expect("a region has a lane")
    }

    fn send(&mut self, request: &impl Request) {
        let page = self.region.page(0).expect("a region has a lane");
        let arena = self.region.arena(0).expect("a region has a lane");
        let sent = self.end.send(page, arena, &Futex, request, 0);
        sent.expect("there is room");
    }

    fn receive(&mut self) -> Option<Message> {
        let start = Instant::now();
        while start.elapsed() < SILENCE {
            let page = self.region.page(0).expect("a region has a lane");
            let limit = Duration::from_millis(20);
            match self.end.receive(page, &Futex, limit) {
                Ok(Ok(reply)) => return Some(reply),
                Ok(Err(_)) => {}
                Err(_) => return None,
            }
        }
        None
    }

    /// One more call, and the answer to one of those before.
    fn more(&mut self) -> Option<Message> {
        self.send(&request::Nop {});
        self.receive()
    }

    /// Hangs up in a call that sleeps, others queued behind it, and writes that its lane is served as soon as the shadow has
    /// written that it is not.
    fn hang_up(&mut self, daemon: &Daemon) {
        let path = daemon.export("fifo");
        let _ = nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU);
        self.send(&request::Openat {
            dirfd: DirFd::CWD,
            path: &c(&path),
            flags: OpenFlags(libc::O_RDWR),
            mode: Mode(0),
        });
        let opened = self.receive().expect("an answer");
        assert_eq!(opened.code, 0);
        let mut buffer = [0; 16];
        self.send(&request::Read {
            fd: RemoteFd(opened.words[0] as i32),
            offset: Offset(-1),
            flags: RwFlags(0),
            sink: Sink::new(&mut buffer),
        });
        (0..QUEUED).for_each(|_| self.send(&request::Nop {}));
        std::thread::sleep(Duration::from_millis(5));
        hang_up(&self.link);
        let start = Instant::now();
        while self.page().state() == Some(LaneState::Served) && start.elapsed() < PATIENCE {
            std::hint::spin_loop();
        }
        self.page().set_state(LaneState::Served);
    }
}

#[test]
fn a_process_that_has_hung_up_is_served_no_more() {
    let daemon = Daemon::start();
    for _ in 0..TURNS {
        let mut caller = Caller::attach(&daemon, Token::NONE).expect("a session");
        caller.hang_up(&daemon);
        let start = Instant::now();
        while caller.more().is_some() {
            assert!(start.elapsed() < PATIENCE, "it is served for ever");
        }
        let client = daemon.attach();
        client.nop().expect("others are served");
        leave(client);
    }
}

#[test]
fn a_shadow_that_clears_itself_is_taken_over_by_nobody() {
    let daemon = Daemon::start();
    for _ in 0..TURNS {
        let mut caller = Caller::attach(&daemon, Token::NONE).expect("a session");
        caller.hang_up(&daemon);
        caller.send(&request::HoldSession {});
        // The sleeping call's, those of the queue, and its own.
        let mut held = None;
        for _ in 0..QUEUED + 2 {
            held = caller.more();
            if held.is_none() {
                break;
            }
        }
        let successor =
            held.and_then(|reply| Caller::attach(&daemon, Token([reply.words[0], reply.words[1]])));
        caller.page().set_state(LaneState::Dead);
        wake_host(caller.page());
        // Whoever comes next has a shadow to himself.
        for _ in 0..6 {
            let mut next = Caller::attach(&daemon, Token::NONE).expect("a session");
            next.send(&request::Nop {});
            assert!(next.receive().is_some(), "it waits for ever");
        }
        drop(successor);
    }
}

#[test]
fn who_attaches_while_no_shadow_can_clear_itself_is_served() {
    let daemon = Daemon::start();
    let file = daemon.export("file");
    std::fs::write(&file, "").expect("a file");
    let guests: Vec<Guest> = (0..8)
        .map(|_| Guest::ready(daemon.socket(), "idle", &file))
        .collect();
    let mut shadows = Vec::new();
    eventually("all have shadows", || {
        let sessions = daemon.status().sessions;
        shadows = sessions
            .iter()
            .filter_map(|session| session.shadow)
            .collect();
        shadows.len() == guests.len()
    });
    // On a machine that has no time for them, say.
    for shadow in &shadows {
        kill(Pid::from_raw(*shadow), Signal::SIGSTOP).expect("it lives");
    }
    drop(guests);
    let clients: Vec<_> = (0..8).map(|_| daemon.attach()).collect();
    for client in clients {
        client.nop().expect("served");
        leave(client);
    }
}
