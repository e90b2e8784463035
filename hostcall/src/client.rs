//! The guest's side of a session: typed calls from any thread, from signal handlers, before malloc is up.
//!
//! A [`Client`] allocates nothing, so it can live in a static. Each thread that is in a call has a lane to itself:
//! it tries the one it used last, then any idle one, then claims a new one, and if the host has no more, waits for
//! one of this process's own; while as many threads are in calls as the processors bear, it waits for its turn ([`turn`]).
//! A signal handler that interrupts a call simply takes another lane.
#![allow(unsafe_code)]

mod asked;
mod guard;
mod interrupt;
mod queue;
mod slots;
mod thread_end;
mod turn;

use crate::acting::{ActsFor, As, Credentials};
use crate::attach::{AttachError, Attaching, Link};
use crate::commons::Commons;
use crate::doorbell::futex_wait;
use crate::lane::GuestEnd;
use crate::ops::Calls;
use crate::region::{Claim, Region};
use crate::table::Request;
use crate::types::{Errno, RemoteFd, Token};
pub use asked::{Asked, Options};
pub use guard::take_surplus;
pub(crate) use guard::{add_surplus, Guard};
pub use interrupt::{interruptible, Interrupt};
use slots::Slots;
use std::cell::{Cell, UnsafeCell};
use std::mem::{ManuallyDrop, MaybeUninit};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;
use turn::Turns;

/// Lanes that one process uses at most; more threads than that share.
const MOST: usize = 64;

/// Longest sleep of a [modest](Client::be_modest) process's thread between two looks for a lane.
const LONGEST_NAP: Duration = Duration::from_millis(256);

/// One of this process's lanes.
struct Slot {
    /// 0 free, 1 in use.
    busy: AtomicU32,
    /// Who uses it or did last: the address of something that each thread has.
    holder: AtomicUsize,
    /// Counts its users.
    calls: AtomicU32,
    /// Whoever uses it sleeps for its answer.
    asleep: AtomicBool,
    /// Where on its stack the thread has begun to use it.
    place: AtomicUsize,
    /// Who sleeps in a call that may be given up, as pthread_self(3) names it; 0 for nobody.
    sleeper: AtomicUsize,
    /// The lane's number, once it is started.
    number: AtomicU32,
    lane: UnsafeCell<Lane>,
}

/// The private half of a lane, used by whoever holds its slot.
struct Lane {
    end: Option<GuestEnd>,
    acts_for: ActsFor,
    /// A signal came while a call was waited for that cannot be cancelled: it is the next call's.
    interrupted: bool,
    /// Its arena has been made ready for large transfers.
    ready: bool,
}

/// A session with the host.
pub struct Client {
    link: ManuallyDrop<Link>,
    region: ManuallyDrop<Region>,
    umask: u32,
    slots: Slots,
    /// Slots from this index on have no lane yet.
    opened: AtomicU32,
    /// Whether the host gives each call the rights of its caller.
    callers: bool,
    /// Counts changes of the process's own ids.
    own: AtomicU32,
    /// Threads of the process may differ in their ids.
    own_varies: AtomicBool,
    /// The session's view: a count of the changes to the guest's exports.
    view: u32,
    lost: AtomicBool,
    /// Whether threads that call in turn share the lanes that are awake.
    gathers: AtomicBool,
    /// Whether the process leaves lanes to others when they are short.
    modest: AtomicBool,
    /// Counts lanes that became idle while somebody waited for one; a futex.
    freed: AtomicU32,
    waiters: AtomicU32,
    turns: Turns,
}

// SAFETY: a slot's lane is touched only by the thread that set its `busy` word; all the rest is atomics and read-only.
unsafe impl Sync for Client {}
// SAFETY: nothing in a client belongs to a thread.
unsafe impl Send for Client {}

thread_local! {
    /// What this thread does before it sleeps in a call for long.
    static BEFORE_SLEEP: Cell<Option<fn()>> = const { Cell::new(None) };
    /// The slot that this thread used last. Plain thread-local storage: no destructor, no allocation.
    static LAST: Cell<usize> = const { Cell::new(0) };
}

/// An address that is this thread's alone.
fn this_thread() -> usize {
    LAST.with(|last| std::ptr::from_ref(last).addr())
}

/// Has the calling thread do this each time before it sleeps in a call for longer than half a millisecond, in any
/// session.
pub fn before_sleeping(act: Option<fn()>) {
    BEFORE_SLEEP.set(act);
}

fn heralds() -> bool {
    BEFORE_SLEEP.get().is_some()
}

fn herald() {
    if let Some(act) = BEFORE_SLEEP.get() {
        act();
    }
}

impl Client {
    /// Finds the host and begins (or takes over) a session.
    pub fn attach(options: &Options) -> Result<Client, AttachError> {
        let mut place = MaybeUninit::uninit();
        Client::attach_in(&mut place, options, &mut ())?;
        // SAFETY: it has just been written.
        Ok(unsafe { place.assume_init() })
    }

    /// The same in the place where the client stays: it is large, and a fresh process has to fault each page in to which it is moved.
    pub fn attach_in<'p>(
        place: &'p mut MaybeUninit<Client>,
        options: &Options,
        attaching: &mut dyn Attaching,
    ) -> Result<&'p mut Client, AttachError> {
        let found = Link::find(&options.claim(), attaching)?;
        Ok(Client::begin_in(place, options, found))
    }

    fn begin_in<'p>(
        place: &'p mut MaybeUninit<Client>,
        options: &Options,
        (link, region, lane, view): (Link, Region, u32, u32),
    ) -> &'p mut Client {
        let callers = region.has_callers();
        let turns = Turns::new(region.clock(), link.is_on_one_processor());
        let client = place.write(Client {
            link: ManuallyDrop::new(link),
            region: ManuallyDrop::new(region),
            umask: options.umask,
            // SAFETY: they are made below.
            slots: unsafe { Slots::unmade() },
            callers,
            own: AtomicU32::new(0),
            own_varies: AtomicBool::new(false),
            view,
            opened: AtomicU32::new(1),
            lost: AtomicBool::new(false),
            gathers: AtomicBool::new(false),
            modest: AtomicBool::new(false),
            freed: AtomicU32::new(0),
            waiters: AtomicU32::new(0),
            turns,
        });
        client.slots.make();
        // SAFETY: nobody else knows the client yet.
        unsafe { *client.slots[0].lane.get() = client.start(0, lane) };
        client
    }

    fn start(&self, slot: usize, lane: u32) -> Lane {
        self.slots[slot].number.store(lane, Ordering::Relaxed);
        Lane {
            end: Some(GuestEnd::new(self.link.budget(), self.region.clock())),
            acts_for: ActsFor::Unknown,
            interrupted: false,
            ready: false,
        }
    }

    /// Whether the host is gone: every call answers `ENOTCONN`.
    pub fn lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// Calls on behalf of somebody, where the host gives each call the rights of its caller; elsewhere it is the same
    /// as calling for the process.
    pub fn acting_as<'c>(&'c self, who: &'c Credentials<'c>) -> As<'c> {
        As::other(self, who)
    }

    /// Whether the host gives each call the rights of its caller.
    pub fn has_callers(&self) -> bool {
        self.callers
    }

    /// The process has changed its ids or groups: its calls are its new self's from now on. If only one thread's have
    /// changed, setfsuid(2), or may have, each call asks from now on whose it is.
    pub fn ids_changed(&self, of_one_thread: bool) {
        if of_one_thread {
            self.own_varies.store(true, Ordering::Release);
        }
        self.own.fetch_add(1, Ordering::AcqRel);
    }

    /// The version of the ids that all threads share, if they do.
    pub(crate) fn own_version(&self) -> Option<u32> {
        let version = self.own.load(Ordering::Acquire);
        (!self.own_varies.load(Ordering::Acquire)).then_some(version)
    }

    /// Counts the changes to the guest's exports. Read for nothing: it is a word of the region.
    pub fn view_generation(&self) -> u32 {
        self.region.view()
    }

    /// Whether the guest's exports have changed since this session began. Its open files go on working and it keeps
    /// the view that it has; a session that is begun now sees the new one.
    pub fn view_is_outdated(&self) -> bool {
        self.view != self.view_generation()
    }

    /// What the guest's processes tell each other. Read for nothing: it is memory that they share.
    #[inline]
    pub fn commons(&self) -> &Commons {
        self.link.commons(&self.region)
    }

    /// Has threads that call in turn share lanes: each call takes the first lane that is idle, so that one shadow thread
    /// serves them all and stays awake. By itself each thread goes on using the lane that it used last, which suits
    /// threads that call at the same time.
    pub fn gather(&self) {
        self.gathers.store(true, Ordering::Relaxed);
    }

    /// Has the process take no second lane when a quarter of those that the guest's processes share is taken: for a program of
    /// which hundreds may run. Its threads share what it has then: whoever is [`interruptible`] and waits in a call gives its
    /// lane up, by `EINTR`, to those who wait for one.
    pub fn be_modest(&self) {
        self.modest.store(true, Ordering::Relaxed);
    }

    /// Whether the calling thread should give up the lane on which it only waits.
    pub(crate) fn lane_is_wanted(&self) -> bool {
        self.modest.load(Ordering::Relaxed) && self.waiters.load(Ordering::Relaxed) > 0
    }

    /// After `EINTR`: waits until nobody waits for a lane any more, a moment at most.
    pub fn give_way(&self) {
        for _ in 0..20 {
            if !self.lane_is_wanted() {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Looks whether the host still lives, for a process that makes no calls just now. On the same kernel this costs one
    /// system call and wakes nobody; across kernels hostd is asked for a sign.
    pub fn alive(&self) -> bool {
        if !self.lost() && !self.link.alive(&self.region) {
            self.lose();
        }
        !self.lost()
    }

    /// Waits until what the guest's processes that have ended left on the host is gone, their locks above all: a shadow ends
    /// a moment after its process. At most a fifth of a second.
    ///
    /// # Errors
    /// `ENOTCONN` if the host is gone.
    pub fn settle(&self) -> Result<(), Errno> {
        self.link.reap(&self.region);
        Calls::settle(self).map(drop)
    }

    /// Hands a pipe of this process's own to the host, for a program there. One thread does so at a time.
    ///
    /// # Errors
    /// `EOPNOTSUPP` if the host's kernel is another, `EINVAL` if it is no pipe; the call's.
    pub fn hand_pipe(&self, fd: BorrowedFd<'_>) -> Result<RemoteFd, Errno> {
        self.link.offer(fd.as_raw_fd())?;
        self.take_pipe().map(|taken| taken.fd)
    }

    /// Whether `fd` is one of the client's own descriptors.
    pub fn owns_fd(&self, fd: RawFd) -> bool {
        self.link.owns(fd)
    }

    /// In a child that inherited its parent's client by fork: lets go of descriptors and mapping without a word to
    /// the host, for the parent goes on using the session. The client is not to be used again.
    ///
    /// # Safety
    /// No other thread uses the client, and it is not used after this.
    pub unsafe fn abandon(&self) {
        self.lost.store(true, Ordering::Relaxed);
        // SAFETY: taken once, by the caller's promise; descriptors and addresses are the child's own copies.
        unsafe {
            drop(std::ptr::read(&*self.region));
            drop(std::ptr::read(&*self.link));
        }
    }

    /// A lane for the calling thread, which is given back when the guard is dropped.
    pub(crate) fn lane(&self) -> Result<Guard<'_>, Errno> {
        if let Some(guard) = self.lane_at_once() {
            return Ok(guard);
        }
        let (mut wait, mut nap) = (self.turns.begin(self.counts()), Duration::from_millis(1));
        loop {
            let is_due = self.await_turn(&mut wait);
            if let Some(guard) = self.idle_slot() {
                return Ok(guard);
            }
            if self.lost() {
                return Err(Errno(libc::ENOTCONN));
            }
            if !is_due && !self.bear_another() {
                // Somebody else took the turn.
                continue;
            }
            if let Some(guard) = self.open_slot()? {
                return Ok(guard);
            }
            self.await_slot(nap);
            // Where hundreds of processes have few lanes, they are not to spend their time on looking for one.
            if self.modest.load(Ordering::Relaxed) {
                nap = (nap * 2).min(LONGEST_NAP);
            }
        }
    }

    /// The slots that have had a lane.
    fn opened(&self) -> &[Slot] {
        let opened = self.opened.load(Ordering::Acquire) as usize;
        &self.slots[..opened.min(MOST)]
    }

    fn try_slot(&self, slot: usize) -> Option<Guard<'_>> {
        let entry = self.slots.get(slot)?;
        if slot >= self.opened.load(Ordering::Acquire) as usize {
            return None;
        }
        // Acquire: pairs with the release in `Guard::drop`, so that the last holder's changes to the lane are seen.
        if entry
            .busy
            .compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed)
            .is_err()
        {
            return None;
        }
        // SAFETY: `busy` is ours until the guard is dropped.
        let lane = unsafe { &*entry.lane.get() };
        if lane.end.is_none() {
            // The lane was not to be had, while one for a later slot was.
            entry.busy.store(0, Ordering::Release);
            return None;
        }
        Some(Guard::of(self, slot))
    }

    /// Claims one more lane from the host; `None` if it has none to give now, or others may need it.
    fn open_slot(&self) -> Result<Option<Guard<'_>>, Errno> {
        let is_modest = self.modest.load(Ordering::Relaxed) && self.link.is_shared();
        if is_modest && self.region.lanes_are_short() {
            return Ok(None);
        }
        for (slot, entry) in self.slots.iter().enumerate() {
            if entry
                .busy
                .compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed)
                .is_err()
            {
                continue;
            }
            // SAFETY: `busy` is ours.
            let lane = unsafe { &mut *entry.lane.get() };
            // One that has been given back in the meantime is as good as a new one.
            if lane.end.is_none() {
                let claim = Claim {
                    process: Token::NONE,
                    resume: Token::NONE,
                    umask: self.umask,
                };
                match self.link.claim(&self.region, &claim) {
                    Ok(number) => *lane = self.start(slot, number),
                    refused => {
                        entry.busy.store(0, Ordering::Release);
                        return match refused {
                            Err(errno) if errno != Errno(libc::EAGAIN) => Err(errno),
                            _ => Ok(None),
                        };
                    }
                }
                self.opened.fetch_max(slot as u32 + 1, Ordering::AcqRel);
            }
            return Ok(Some(Guard::of(self, slot)));
        }
        Ok(None)
    }

    /// Sleeps until a lane of this process may be idle, or so long.
    fn await_slot(&self, nap: Duration) {
        let seen = self.freed.load(Ordering::Acquire);
        self.waiters.fetch_add(1, Ordering::SeqCst);
        if self.modest.load(Ordering::Relaxed) {
            // Whoever only waits sees that its lane is wanted when it wakes. One that is just about to sleep misses this,
            // and hears the next.
            for slot in self
                .slots
                .iter()
                .filter(|slot| slot.asleep.load(Ordering::SeqCst))
            {
                self.nudge(slot.number.load(Ordering::Relaxed));
            }
        }
        // A look between the announcement and the sleep is not needed: the limit bounds what a lost race costs.
        herald();
        futex_wait(&self.freed, seen, Some(nap));
        self.waiters.fetch_sub(1, Ordering::SeqCst);
    }

    fn lose(&self) -> Errno {
        self.lost.store(true, Ordering::Relaxed);
        Errno(libc::ENOTCONN)
    }
}

/// For the process itself.
impl Calls for Client {
    #[inline]
    fn call<R: Request>(&self, request: R) -> Result<R::Reply, Errno> {
        As::from(self).call(request)
    }
}
